"""What theory says about the stochastic chain, the incoherent counterpart of the quantum router."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

import qmoe
from qmoe import AngleEncoding, LinearRouter, NoiseModel, QuantumRouter
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.routers import QuadraticRouter, Router, StochasticRouter, circuit_basis, dephased_ranks, jacobian_rank
from qmoe.routers.functions.ranks import is_constant

F64 = torch.float64


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(n: int, n_features: int, seed: int = 0) -> Tensor:
    return (torch.rand(n, n_features, generator=seeded(seed), dtype=F64) - 0.5) * 2 * math.pi


def monomials(x: Tensor) -> Tensor:
    """``(N, 4**F)``: products of 1, cos x, sin x and cos x sin x of each feature; the first is the constant."""
    found = torch.ones(len(x), 1, dtype=x.dtype)
    for column in x.T:
        c, s = column.cos(), column.sin()
        found = (found.unsqueeze(-1) * torch.stack([torch.ones_like(c), c, s, c * s], -1).unsqueeze(1)).flatten(1)
    return found


def residual(design: Tensor, values: Tensor) -> float:
    return float((design @ torch.linalg.lstsq(design, values).solution - values).abs().max())


# --- the chain -------------------------------------------------------------------------------------------------------


def test_populations_are_those_of_two_rotated_qubits_for_each_feature() -> None:
    x = points(20, 2)
    p = StochasticRouter(2, 2, dtype=F64).populations(x)
    ones = torch.stack([(angle / 2).sin() ** 2 for f in (0, 1) for angle in (x[:, f], x[:, f] - math.pi / 2)], -1)
    for index, bits in enumerate(itertools.product((0, 1), repeat=4)):
        expected = math.prod(
            (ones[:, k] if bit else 1 - ones[:, k] for k, bit in enumerate(bits)), start=torch.ones(20)
        )
        torch.testing.assert_close(p[:, index], expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(p.sum(-1), torch.ones(20, dtype=F64))


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_the_chain_is_a_product_of_column_stochastic_matrices(n_features: int) -> None:
    router = StochasticRouter(n_features, 2, n_layers=2, generator=seeded(1), dtype=F64)
    n, dim, angles = router.n_bits, 4**n_features, router.angles.detach()
    strings = list(itertools.product((0, 1), repeat=n))
    matrix = np.eye(dim)
    for layer in range(2):
        for control in range(n):
            target, gate = (control + 1) % n, np.zeros((dim, dim))
            for column, bits in enumerate(strings):
                flip = math.sin(float(angles[layer, control, bits[control], bits[target]]) / 2) ** 2
                flipped = tuple(1 - bit if k == target else bit for k, bit in enumerate(bits))
                gate[column, column] += 1 - flip
                gate[strings.index(flipped), column] += flip
            np.testing.assert_allclose(gate.sum(0), 1, rtol=0, atol=1e-15)
            matrix = gate @ matrix
    signs = np.array([[(-1) ** bits[2 * f] for bits in strings] for f in range(n_features)])
    outcomes = router.outcomes().detach()
    np.testing.assert_allclose(outcomes.numpy(), signs @ matrix, rtol=0, atol=1e-14)
    x = points(10, n_features)
    expected = router.populations(x) @ outcomes.T
    torch.testing.assert_close(router.measure(x).detach(), expected, rtol=0, atol=1e-14)
    assert float(outcomes.abs().max()) <= 1


def test_angles_of_zero_read_the_cosine_of_each_feature() -> None:
    router = StochasticRouter(3, 2, dtype=F64)
    with torch.no_grad():
        router.angles.zero_()
    x = points(10, 3)
    torch.testing.assert_close(router.measure(x).detach(), x.cos(), rtol=0, atol=1e-14)


def test_a_stack_runs_as_its_models_do() -> None:
    routers = [StochasticRouter(2, 3, n_layers=2, generator=seeded(seed), dtype=F64) for seed in range(3)]
    stack = qmoe.training.ModelStack(routers)
    assert stack.module is not None
    x = torch.stack([points(5, 2, seed) for seed in range(3)])
    loop = torch.stack([router(rows) for router, rows in zip(routers, x, strict=True)])
    torch.testing.assert_close(stack(x), loop, rtol=0, atol=1e-14)


def test_more_features_than_a_chain_follows_are_refused_with_the_remedy() -> None:
    StochasticRouter(6, 2, n_layers=1)
    with pytest.raises(ConfigError, match=r"in_features is 7, .* takes up to 6 features; use qmoe.twin"):
        StochasticRouter(7, 2)


# --- its functions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_the_span_is_all_products_of_cosines_and_sines(n_features: int) -> None:
    x = points(300, n_features)
    routers = [StochasticRouter(n_features, 2, generator=seeded(seed), dtype=F64) for seed in range(4**n_features)]
    values = torch.cat([router.measure(x).detach() for router in routers], -1)
    design = monomials(x)
    assert residual(design, values) < 1e-12
    assert int(torch.linalg.matrix_rank(values - values.mean(0), rtol=1e-10)) == 4**n_features - 1


@pytest.mark.parametrize("rotation", ["X", "Y", "Z"])
def test_the_span_holds_random_quantum_routers_with_one_upload(rotation: str) -> None:
    x = points(200, 2)
    chains = [StochasticRouter(2, 2, generator=seeded(seed), dtype=F64) for seed in range(16)]
    functions = torch.cat([torch.ones(200, 1), *(chain.measure(x).detach() for chain in chains)], -1)
    for seed in range(20):
        router = QuantumRouter(2, 2, encoding=AngleEncoding(rotation), generator=seeded(seed), dtype=F64)
        assert residual(functions, router.logits(x).detach()) < 1e-11
    names = circuit_basis(router.circuit).names
    assert len(names) == 8
    assert residual(monomials(x), circuit_basis(router.circuit).values(x)) < 1e-12


@pytest.mark.parametrize(("n_layers", "size", "rank"), [(1, 22, 11), (2, 38, 16), (3, 54, 16)])
def test_parameters_and_jacobian_rank_beside_the_quantum_routers(n_layers: int, size: int, rank: int) -> None:
    chain, router = StochasticRouter(2, 2, n_layers=n_layers), QuantumRouter(2, 2)
    assert [sum(p.numel() for p in r.parameters()) for r in (chain, router)] == [size, 24]
    assert (jacobian_rank(chain), jacobian_rank(router)) == (rank, 9)
    assert jacobian_rank(chain, constant=False) == rank - 1


def difference(router: Router, x: Tensor) -> Tensor:
    logits = router.logits(x)
    return logits[:, 0] - logits[:, 1]


def nearest(target: QuantumRouter, n_layers: int, starts: int) -> float:
    """How far, at most, the chain with the nearest function is from a router: relative to its largest value."""
    x = points(60, 2, 3)
    wanted = difference(target, x).detach()
    wanted = wanted - wanted.mean()
    wanted = wanted / wanted.abs().max()
    chain = StochasticRouter(2, 2, n_layers=n_layers, dtype=F64)
    populations, shape, n = chain.populations(x), chain.angles.shape, chain.angles.numel()

    def missing(values: Tensor) -> Tensor:
        outcomes = torch.func.functional_call(_Outcomes(chain), {"chain.angles": values[:n].reshape(shape)}, ())
        found = populations @ (values[n:] @ outcomes)
        return found - found.mean() - wanted

    best, generator = math.inf, seeded(0)
    slopes = torch.func.jacrev(missing)
    for _ in range(starts):
        angles = torch.rand(n, generator=generator, dtype=F64) * 2 * math.pi
        first = torch.cat([angles, torch.rand(2, generator=generator, dtype=F64) * 2 - 1])
        fit = least_squares(
            lambda v: missing(torch.from_numpy(v)).detach().numpy(),
            first.numpy(),
            jac=lambda v: slopes(torch.from_numpy(v)).detach().numpy(),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=150,
        )
        best = min(best, float(np.abs(fit.fun).max()))
        if best < 1e-8:
            break
    return best


class _Outcomes(torch.nn.Module):
    def __init__(self, chain: StochasticRouter) -> None:
        super().__init__()
        self.chain = chain

    def forward(self) -> Tensor:
        return self.chain.outcomes()


def test_three_layers_reach_quantum_routers_and_one_layer_does_not() -> None:
    router = QuantumRouter(2, 2, generator=seeded(0), dtype=F64)
    assert nearest(router, 3, starts=6) < 1e-8
    assert nearest(router, 1, starts=2) > 1e-2


# --- ranks that dephasing leaves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation", "where", "expected"),
    [
        ("X", "encoding", {"none": 8, "X": 0, "Y": 3, "Z": 3}),
        ("Y", "encoding", {"none": 8, "X": 3, "Y": 0, "Z": 3}),
        ("Z", "encoding", {"none": 8, "X": 3, "Y": 3, "Z": 0}),
        ("X", "all", {"none": 8, "X": 0, "Y": 1, "Z": 2}),
        ("Y", "all", {"none": 8, "X": 2, "Y": 0, "Z": 2}),
        ("Z", "all", {"none": 8, "X": 2, "Y": 1, "Z": 0}),
    ],
)
def test_functions_that_dephasing_leaves(rotation: str, where: str, expected: dict[str, int]) -> None:
    router = QuantumRouter(2, 2, encoding=AngleEncoding(rotation))
    assert dephased_ranks(router, where) == dephased_ranks(router, where, seed=1) == expected
    for axis in "XYZ":
        noise = NoiseModel(dephasing=where, dephasing_axis=axis)
        assert is_constant(router.circuit.with_noise(noise)) == (expected[axis] == 0)


def test_a_routers_own_dephasing_counts_in_its_rank() -> None:
    noise = NoiseModel(dephasing="all")
    assert jacobian_rank(QuantumRouter(2, 2, noise=noise), constant=False) == 2
    assert jacobian_rank(QuantumRouter(2, 2, noise=noise)) == 3
    assert jacobian_rank(QuantumRouter(2, 2)) == jacobian_rank(qmoe.twin(QuantumRouter(2, 2))) == 9


def test_ranks_of_other_routers() -> None:
    assert jacobian_rank(LinearRouter(3, 2)) == 4
    assert jacobian_rank(QuadraticRouter(2, 2), constant=False) == 5
    # Of three experts there are two differences.
    assert jacobian_rank(LinearRouter(3, 3)) == 8


def test_ranks_of_what_is_no_quantum_router_or_no_stack_are_refused() -> None:
    class Own(LinearRouter):
        pass

    with pytest.raises(ConfigError, match=r"dephased_ranks takes a qmoe\.QuantumRouter, got a LinearRouter"):
        dephased_ranks(LinearRouter(2, 2))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="Own does not run as a stack"):
        jacobian_rank(Own(2, 2))
