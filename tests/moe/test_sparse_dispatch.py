"""Sparse dispatch: the same sums as dense, of what is chosen alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers import generator
from qmoe import (
    LinearExperts,
    LinearRouter,
    MixtureOfExperts,
    MLPExperts,
    QuantumExperts,
    QuantumRouter,
    ShapeError,
    UnsupportedError,
)
from qmoe.experts import Experts
from qmoe.layers import Linear
from qmoe.moe import Capacity, LossCoefficients
from qmoe.training import TrainingConfig, train_stack

E = 8


def experts(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> Experts:
    make: dict[str, Any] = {"generator": generator(2), "dtype": dtype, **options}
    if kind == "linear":
        return LinearExperts(3, 2, E, **make)
    if kind == "mlp":
        return MLPExperts(3, 2, E, hidden=5, activation="tanh", **make)
    noise = {"noise": 0.1} if kind == "noisy" else {}
    return QuantumExperts(3, E, n_layers=1, encoding="angle", **noise, **make)


def pair(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> list[MixtureOfExperts]:
    """The same mixture, dense and sparse."""
    return [
        MixtureOfExperts(
            QuantumRouter(3, E, generator=generator(1), dtype=dtype),
            experts(kind, dtype),
            generator=generator(3),
            dispatch=dispatch,
            **options,
        )
        for dispatch in ("dense", "sparse")
    ]


def inputs(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, 3, generator=generator(9), dtype=dtype) * 3


WAYS: dict[str, dict[str, Any]] = {
    "top 1": {"top_k": 1},
    "top 2": {"top_k": 2},
    "all": {"top_k": E},
    "capacity": {"top_k": 2, "capacity": 0.5},
    "expert choice": {"expert_choice": 2.0},
    "noise, bias": {"top_k": 2, "noise": True, "bias": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["linear", "mlp", "quantum", "noisy"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)], ids=str)
def test_sparse_equals_dense_in_outputs_and_gradients(
    way: str, kind: str, dtype: torch.dtype, tolerance: float
) -> None:
    x = inputs(4, 10, dtype=dtype)
    found = []
    for moe in pair(kind, dtype, **WAYS[way]):
        rows = x.clone().requires_grad_()
        out = moe(rows)
        out.square().mean().backward()
        found.append([out, rows.grad, *(p.grad for p in moe.parameters())])
    for dense, sparse in zip(*found, strict=True):
        torch.testing.assert_close(sparse, dense, rtol=0, atol=tolerance)


class Counting(LinearExperts):
    """Linear experts that note how many rows each of them gets."""

    seen: tuple[int, ...] = ()

    def grouped(self, x: Tensor, counts: Any) -> Tensor:
        self.seen = tuple(counts)
        return super().grouped(x, counts)

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("sparse dispatch computed all experts")


def test_experts_compute_the_rows_that_chose_them_alone() -> None:
    crew = Counting(3, 2, E, dtype=torch.float64)
    moe = MixtureOfExperts(LinearRouter(3, E, dtype=torch.float64), crew, top_k=2, dispatch="sparse")
    _, routing = moe.routed(inputs(20))
    assert sum(crew.seen) == 40
    assert list(crew.seen) == routing.tokens_per_expert.tolist() == moe.tokens_per_expert.tolist()


def test_an_expert_that_nobody_chose_is_not_computed() -> None:
    moe = pair("mlp", top_k=1)[1]
    crew = moe.experts
    assert isinstance(crew, MLPExperts)
    used = moe.diagnostics(inputs(6)).tokens_per_expert > 0
    assert 0 < int(used.sum()) < E
    with torch.no_grad():
        crew.layer2.weight[~used] = torch.nan
        assert bool(moe(inputs(6)).isfinite().all())


def test_a_collapsed_router_uses_one_expert() -> None:
    gate = LinearRouter(3, E, dtype=torch.float64)
    (bias,) = [p for p in gate.parameters() if p.dim() == 1]
    nn.init.zeros_(bias)
    with torch.no_grad():
        bias[3] = 100
    crew = Counting(3, 2, E, dtype=torch.float64)
    MixtureOfExperts(gate, crew, top_k=1, dispatch="sparse")(inputs(9))
    assert crew.seen == (0, 0, 0, 9, 0, 0, 0, 0)


def test_circuits_with_shots_take_rows_of_their_own_too() -> None:
    crew = QuantumExperts(3, E, encoding="angle", shots=4000, generator=generator(2), dtype=torch.float64)
    x, counts = inputs(12), [5, 0, 4, 0, 0, 2, 1, 0]
    found = crew.grouped(x, counts)
    crew.shots = None
    expected = crew.grouped(x, counts)
    assert found.shape == expected.shape == (12, 3)
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=6 / 4000**0.5)
    owner = [e for e, count in enumerate(counts) for _ in range(count)]
    torch.testing.assert_close(expected, crew(x)[torch.arange(12), owner], rtol=0, atol=1e-14)


def test_experts_that_return_another_shape_are_named() -> None:
    class Wrong(LinearExperts):
        def grouped(self, x: Tensor, counts: Any) -> Tensor:
            return super().grouped(x, counts)[:, :1]

    moe = MixtureOfExperts(LinearRouter(3, 2), Wrong(3, 2, 2), top_k=1, dispatch="sparse")
    with pytest.raises(ShapeError, match=r"grouped of Wrong returned shape \(4, 1\), expected \(4, 2\)"):
        moe(inputs(4, dtype=torch.float32))


def test_rows_are_checked() -> None:
    for kind in ("linear", "mlp", "quantum"):
        with pytest.raises(ShapeError, match="float32"):
            experts(kind).grouped(torch.zeros(1, 3), [1, *[0] * (E - 1)])


# --- around it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"capacity": Capacity(0.5)}], ids=str)
def test_compiled_whole_it_computes_all_experts_with_the_same_result(options: dict[str, Any]) -> None:
    moe = pair("mlp", top_k=2, **options)[1].eval()
    compiled = torch.compile(moe, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(inputs(20)), moe(inputs(20)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("way", ["top 2", "capacity", "expert choice"])
def test_exported_it_computes_all_experts_with_the_same_result(way: str) -> None:
    moe = pair("mlp", **WAYS[way])[1].eval()
    program = torch.export.export(moe, (inputs(20),), dynamic_shapes=({0: torch.export.Dim("rows")},))
    for n_rows in (20, 7, 33):
        torch.testing.assert_close(program.module()(inputs(n_rows)), moe(inputs(n_rows)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("n_models", [1, 3])
def test_stacks_train_it_as_they_train_a_dense_mixture(n_models: int) -> None:
    x = inputs(n_models, 40)
    y = (x.sum(-1) > 4.5).long()
    losses = []
    for place in (0, 1):
        models = [pair("mlp", top_k=2)[place] for _ in range(n_models)]
        losses.append(
            train_stack(models, x, y, TrainingConfig(epochs=3, batch_size=10), order_seeds=range(n_models)).loss
        )
    torch.testing.assert_close(*map(torch.as_tensor, losses), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "options",
    [{"noise": 0.1}, {"capacity": 1.0}, {"bias": True}, {"losses": LossCoefficients(balance=0.1)}],
    ids=str,
)
def test_training_in_stacks_refuses_what_it_would_leave_out(options: dict[str, Any]) -> None:
    net = nn.Sequential(pair("mlp", top_k=2, **options)[0], Linear(2, 2, dtype=torch.float64))
    x = inputs(1, 8)
    with pytest.raises(UnsupportedError, match="adds no auxiliary loss, updates no bias"):
        train_stack([net], x, torch.zeros(1, 8, dtype=torch.int64), TrainingConfig(epochs=1), order_seeds=[0])


def test_shared_experts_train_in_stacks_by_autograd() -> None:
    x = inputs(2, 40)
    y = (x.sum(-1) > 4.5).long()
    shared = [MLPExperts(3, 2, 1, generator=generator(s), dtype=torch.float64) for s in (5, 6)]
    models = [
        MixtureOfExperts(
            LinearRouter(3, E, generator=generator(1), dtype=torch.float64), experts("linear"), shared=both
        )
        for both in shared
    ]
    before = shared[0].layer1.weight.detach().clone()
    train_stack(models, x, y, TrainingConfig(epochs=2, batch_size=10, lr=0.1), order_seeds=[0, 1])
    assert float((shared[0].layer1.weight.detach() - before).abs().max()) > 0.01
