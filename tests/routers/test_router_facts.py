import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import qmoe
from qmoe import (
    ConfigError,
    Gate,
    LinearRouter,
    MLPRouter,
    NoiseModel,
    QuantumRouter,
    ShapeError,
    UniformRouter,
    UnsupportedError,
)
from qmoe.circuits import Circuit
from qmoe.engines import ReferenceEngine
from qmoe.errors import EncodingRangeWarning
from qmoe.routers import Router, require_router


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quantum(in_features: int = 2, n_experts: int = 2, seed: int = 0, **options: Any) -> QuantumRouter:
    return QuantumRouter(in_features, n_experts, **options, generator=generator(seed), dtype=torch.float64)


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(*shape, generator=generator(seed), dtype=torch.float64) * math.pi


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- sizes ---------------------------------------------------------------------------------------------------------


def test_parameter_counts_are_those_of_the_paper() -> None:
    assert n_parameters(UniformRouter(2, 2)) == 0
    assert n_parameters(LinearRouter(2, 2)) == 6
    assert [n_parameters(MLPRouter(2, 2, hidden=h)) for h in (2, 4, 8, 16, 32, 64)] == [12, 22, 42, 82, 162, 322]
    router = QuantumRouter(2, 2)
    assert n_parameters(router) == 24
    assert n_parameters(router.quantum) == 18
    assert QuantumRouter(2, 2, n_layers=2, ansatz="basic_entangler").circuit.n_weights == 4


def test_projection_stands_in_front_only_where_features_and_qubits_differ() -> None:
    assert QuantumRouter(2, 2).projection is None
    router = QuantumRouter(5, 2, n_qubits=3)
    assert router.projection.weight.shape == (3, 5)
    assert n_parameters(router) == 3 * 5 + 3 + 3 * 3 * 3 + 2 * 3 + 2
    assert QuantumRouter(5, 2, encoding="amplitude").projection is None


@pytest.mark.parametrize(
    ("in_features", "n_experts", "options", "n_qubits"),
    [
        (3, 2, {}, 3),
        (1, 2, {"encoding": "amplitude"}, 1),
        (4, 2, {"encoding": "amplitude"}, 2),
        (5, 2, {"encoding": "amplitude"}, 3),
        (1, 4, {"readout": "born"}, 2),
        (2, 5, {"readout": "born", "encoding": "amplitude"}, 3),
        (3, 8, {"readout": "born"}, 3),
    ],
)
def test_default_number_of_qubits(in_features: int, n_experts: int, options: dict[str, Any], n_qubits: int) -> None:
    assert QuantumRouter(in_features, n_experts, **options).circuit.n_qubits == n_qubits


# --- what the classical routers compute -----------------------------------------------------------------------------


def test_linear_router_is_a_softmax_of_a_linear_layer() -> None:
    router, x = LinearRouter(3, 4, generator=generator(), dtype=torch.float64), inputs(7, 3)
    layer = nn.Linear(3, 4, dtype=torch.float64)
    layer.load_state_dict(router.state_dict())
    torch.testing.assert_close(router(x), layer(x).softmax(-1), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("name", "activation"), [("relu", nn.ReLU()), ("tanh", nn.Tanh()), ("silu", nn.SiLU())])
def test_mlp_router_is_a_softmax_of_two_layers(name: str, activation: nn.Module) -> None:
    router = MLPRouter(3, 4, hidden=5, activation=name, generator=generator(), dtype=torch.float64)
    net = nn.Sequential(nn.Linear(3, 5), activation, nn.Linear(5, 4)).double()
    net.load_state_dict({k.replace("layer1", "0").replace("layer2", "2"): v for k, v in router.state_dict().items()})
    x = inputs(7, 3)
    torch.testing.assert_close(router(x), net(x).softmax(-1), rtol=0, atol=1e-14)


def test_uniform_router_gives_every_expert_the_same_weight() -> None:
    assert torch.equal(UniformRouter(2, 4)(torch.randn(3, 2)), torch.full((3, 4), 0.25))


# --- what the quantum router computes -------------------------------------------------------------------------------


def test_expval_weights_are_a_softmax_of_the_adapted_expectation_values() -> None:
    router, x = quantum(3, 4), inputs(6, 3)
    z = ReferenceEngine().evaluate(Circuit(3, 3), x, router.quantum.weights)
    logits = z @ router.adapter.weight.T + router.adapter.bias
    torch.testing.assert_close(router.logits(x), logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(router(x), logits.softmax(-1), rtol=0, atol=1e-12)


def test_projection_is_applied_before_the_circuit() -> None:
    router, x = quantum(5, 2, n_qubits=2), inputs(6, 5)
    angles = x @ router.projection.weight.T + router.projection.bias
    z = ReferenceEngine().evaluate(Circuit(2, 3), angles, router.quantum.weights)
    torch.testing.assert_close(router.measure(x), z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_born_weights_are_the_probabilities_where_every_state_names_an_expert(noise: float | None) -> None:
    router, x = quantum(2, 4, readout="born", noise=noise), inputs(6, 2)
    expected = ReferenceEngine().evaluate(Circuit(2, 3, readout="born", noise=noise), x, router.quantum.weights)
    torch.testing.assert_close(router(x), expected, rtol=0, atol=1e-12)
    assert n_parameters(router) == 18


def test_born_weights_share_the_outcomes_that_name_no_expert() -> None:
    router, x = quantum(2, 3, readout="born"), inputs(6, 2)
    p = ReferenceEngine().evaluate(Circuit(2, 3, readout="born"), x, router.quantum.weights)
    torch.testing.assert_close(router(x), p[:, :3] + p[:, 3:] / 3, rtol=0, atol=1e-12)


def test_born_weights_of_basis_states_are_not_negative() -> None:
    # Noise of strength 0 runs on the density matrix, where a probability of 0 comes out as about -1e-16.
    for seed in range(10):
        router = quantum(2, 4, readout="born", noise=0.0, n_layers=1)
        with torch.no_grad():
            router.quantum.weights.copy_(torch.randint(0, 4, (1, 2, 3), generator=generator(seed)) * math.pi / 2)
            x = torch.randint(0, 3, (40, 2), generator=generator(seed)) * (math.pi / 2)
            assert router(x.double()).min() >= 0
        moe = qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, 4, dtype=torch.float64))
        assert moe.diagnostics(x.double()).entropy.isfinite()


def test_born_read_out_has_no_logits() -> None:
    with pytest.raises(UnsupportedError, match="call the router itself"):
        quantum(readout="born").logits(inputs(3, 2))


def test_more_experts_than_basis_states_are_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"5 experts .* 2 qubit\(s\) have 4; use n_qubits=3 or more"):
        QuantumRouter(2, 5, n_qubits=2, readout="born")
    assert QuantumRouter(2, 4, n_qubits=2, readout="born")(torch.zeros(1, 2)).shape == (1, 4)


def test_default_circuit_is_the_first_expert_for_untouched_qubits() -> None:
    # RX(0) on |00> and no layer: all probability is on basis state 0.
    router = QuantumRouter(2, 4, n_layers=0, readout="born")
    assert torch.equal(router(torch.zeros(2)), torch.tensor([1.0, 0, 0, 0]))
    # Wire 0 is the most significant bit: flipping it gives state 2.
    flipped = router(torch.tensor([math.pi, 0.0]))
    torch.testing.assert_close(flipped, torch.tensor([0.0, 0, 1, 0]), rtol=0, atol=1e-6)


# --- the span of the paper's router ---------------------------------------------------------------------------------


def trigonometric_features(x: Tensor) -> np.ndarray:
    """The products of {1, cos, sin} of two features: the constant and 8 functions."""
    one = torch.ones_like(x)
    basis = torch.stack([one, x.cos(), x.sin()], -1)
    return (basis[:, 0, :, None] * basis[:, 1, None, :]).flatten(1).numpy()


def residual(router: QuantumRouter) -> float:
    x = torch.rand(200, 2, generator=generator(5), dtype=torch.float64) * 6
    features, logits = trigonometric_features(x), router.logits(x).detach().numpy()
    solution = np.linalg.lstsq(features, logits, rcond=None)[0]
    return float(np.abs(features @ solution - logits).max())


@pytest.mark.parametrize("ansatz", ["strongly_entangling", "basic_entangler", "no_entangler"])
def test_logits_of_one_upload_lie_in_the_span_of_eight_products_and_a_constant(ansatz: str) -> None:
    for seed in range(3):
        assert residual(quantum(seed=seed, ansatz=ansatz)) < 1e-10


def test_logits_of_two_uploads_leave_that_span() -> None:
    assert residual(quantum(encoding=qmoe.AngleEncoding(uploads=2))) > 0.01


def test_jacobian_of_the_gate_has_rank_nine_of_twenty_four() -> None:
    router = quantum()
    x = torch.rand(200, 2, generator=generator(6), dtype=torch.float64) * 6
    parameters = dict(router.named_parameters())

    def gate(values: dict[str, Tensor]) -> Tensor:
        logits = torch.func.functional_call(router, values, (x,)).log()
        return logits[:, 0] - logits[:, 1]

    blocks = torch.func.jacrev(gate)(parameters)
    jacobian = torch.cat([block.flatten(1) for block in blocks.values()], 1)
    assert jacobian.shape == (200, 24)
    singular = torch.linalg.svdvals(jacobian)
    assert singular[8] / singular[0] > 1e-4
    assert singular[9] / singular[0] < 1e-12
    # The last RZ of each qubit commutes with what is measured.
    assert blocks["quantum.weights"][:, -1, :, 2].abs().max() < 1e-14


# --- words ----------------------------------------------------------------------------------------------------------


def test_repr_names_the_engine_alone() -> None:
    text = repr(QuantumRouter(2, 2, noise=0.1))
    assert "2 qubits, 3 layers" in text
    assert "noise=0.1 per block" in text
    assert "dephasing" not in text
    dephased = repr(QuantumRouter(2, 2, noise=NoiseModel(dephasing="layers")))
    assert "noise=0 per block, dephasing=layers" in dephased
    assert "engine=native)\n" in text
    assert "engine=reference)\n" in repr(QuantumRouter(2, 2, engine="reference"))
    assert "hidden=16, activation='relu'" in repr(MLPRouter(2, 2))
    assert "in_features=3, n_experts=2" in repr(LinearRouter(3, 2))


def test_draw_shows_a_line_for_each_qubit() -> None:
    lines = QuantumRouter(3, 2).draw().splitlines()
    assert len(lines) == 3
    assert all(f"x{wire}" in line and "Rot" in line for wire, line in enumerate(lines))


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearRouter(0, 2), "in_features is 0"),
        (lambda: LinearRouter(2, True), "n_experts is True"),
        (lambda: MLPRouter(2, 2, hidden=0), "hidden is 0"),
        (lambda: MLPRouter(2, 2, activation="rellu"), "did you mean 'relu'"),
        (lambda: QuantumRouter(2, 2, n_qubits=0), "n_qubits is 0"),
        (lambda: QuantumRouter(2, 2, n_layers=-1), "n_layers is -1"),
        (lambda: QuantumRouter(2, 2, encoding="angel"), "did you mean 'angle'"),
        (lambda: QuantumRouter(2, 2, ansatz="strongly"), "did you mean 'strongly_entangling'"),
        (lambda: QuantumRouter(2, 2, readout="expvals"), "did you mean 'expval'"),
        (lambda: QuantumRouter(2, 2, engine="torsch"), "did you mean 'torch'"),
        (lambda: QuantumRouter(2, 2, engine=3), "engine is 3"),  # type: ignore[arg-type]
        (lambda: QuantumRouter(2, 2, noise=1.5), "not a probability"),
        (lambda: QuantumRouter(5, 2, n_qubits=2, encoding="amplitude"), "use n_qubits=3 or more"),
        (lambda: QuantumRouter(2, 2, ansatz=[Gate("CNOT", (0, 2))]), "use n_qubits=3 or more"),
        (lambda: require_router(nn.Linear(2, 2)), "Linear, expected a qmoe.routers.Router"),
    ],
)
def test_bad_options_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_router_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Router(2, 2)  # type: ignore[abstract]


def test_angles_beyond_one_period_warn() -> None:
    router = QuantumRouter(2, 2)
    with pytest.warns(EncodingRangeWarning, match="from 0 to 7 radians"):
        router(torch.tensor([[0.0, 7.0]]))
    with pytest.warns(EncodingRangeWarning):
        QuantumRouter(2, 2)(torch.tensor([[-4.0, 4.0]]))
    router(torch.tensor([[-math.pi, math.pi]]))  # exactly one period
    QuantumRouter(2, 2, n_qubits=3)(torch.tensor([[0.0, 100.0]]))  # the projection rescales
    QuantumRouter(2, 2, encoding="amplitude")(torch.tensor([[0.0, 100.0]]))


def test_a_row_of_zeros_has_no_amplitudes() -> None:
    router = QuantumRouter(2, 2, encoding="amplitude")
    with pytest.raises(ShapeError, match="Row 1 of x is all zeros"):
        router(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_dtypes_that_do_not_fit_are_not_converted() -> None:
    with pytest.raises(ShapeError, match="nothing is converted silently"):
        QuantumRouter(2, 2)(torch.zeros(3, 2, dtype=torch.float64))
