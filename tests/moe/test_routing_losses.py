"""Auxiliary losses against their formulas, written out row by row in plain Python."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers import generator
from qmoe import ShapeError
from qmoe.moe import balance_loss, expert_load, importance_loss, load_loss, z_loss

F64: dict[str, Any] = {"dtype": torch.float64}
SIZES = [(40, 4, 1), (40, 4, 2), (33, 8, 2), (17, 5, 4), (12, 3, 3)]


def logits_of(n_rows: int, n_experts: int, seed: int = 0) -> Tensor:
    return 2 * torch.randn(n_rows, n_experts, generator=generator(seed), **F64)


def variation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / len(values) / mean**2


def cdf(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2


# --- formulas -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_rows", "n_experts", "k"), SIZES)
def test_balance_loss_is_its_formula(n_rows: int, n_experts: int, k: int) -> None:
    weights = logits_of(n_rows, n_experts).softmax(-1)
    rows = weights.tolist()
    counts, totals = [0.0] * n_experts, [0.0] * n_experts
    for row in rows:
        for e in sorted(range(n_experts), key=lambda e: -row[e])[:k]:
            counts[e] += 1
        totals = [t + w for t, w in zip(totals, row, strict=True)]
    expected = n_experts * sum(c / (k * n_rows) * t / n_rows for c, t in zip(counts, totals, strict=True))
    assert float(balance_loss(weights, k)) == pytest.approx(expected, abs=1e-12)
    chosen = torch.zeros(n_rows, n_experts, dtype=torch.bool).scatter(-1, weights.topk(k).indices, True)
    assert float(balance_loss(weights, k, chosen=chosen)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_rows", "n_experts", "k"), SIZES)
def test_z_loss_is_its_formula(n_rows: int, n_experts: int, k: int) -> None:
    logits = logits_of(n_rows, n_experts)
    expected = sum(math.log(sum(math.exp(v) for v in row)) ** 2 for row in logits.tolist()) / n_rows
    assert float(z_loss(logits)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_rows", "n_experts", "k"), SIZES)
def test_importance_loss_is_its_formula(n_rows: int, n_experts: int, k: int) -> None:
    weights = logits_of(n_rows, n_experts).softmax(-1)
    expected = variation([sum(column) for column in zip(*weights.tolist(), strict=True)])
    assert float(importance_loss(weights)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_rows", "n_experts", "k"), SIZES)
def test_load_loss_is_its_formula(n_rows: int, n_experts: int, k: int) -> None:
    logits = logits_of(n_rows, n_experts)
    std = 0.2 + torch.rand(n_rows, n_experts, generator=generator(1), **F64)
    noisy = logits + std * torch.randn(logits.shape, generator=generator(2), **F64)
    load = [0.0] * n_experts
    for clean, disturbed, widths in zip(logits.tolist(), noisy.tolist(), std.tolist(), strict=True):
        for e in range(n_experts):
            others = sorted((disturbed[o] for o in range(n_experts) if o != e), reverse=True)
            load[e] += 1 if k == n_experts else cdf((clean[e] - others[k - 1]) / widths[e])
    assert float(load_loss(logits, noisy, std, k)) == pytest.approx(variation(load), abs=1e-12)


def test_losses_are_their_formulas_in_single_precision() -> None:
    logits = logits_of(200, 8)
    std = torch.full((1, 1), 0.5, **F64)
    noisy = logits + 0.5 * torch.randn(logits.shape, generator=generator(2), **F64)

    def losses(dtype: torch.dtype) -> list[float]:
        values = [v.to(dtype) for v in (logits, noisy, std)]
        weights = values[0].softmax(-1)
        return [
            float(balance_loss(weights, 2)),
            float(importance_loss(weights)),
            float(load_loss(*values, 2)),
        ]

    assert losses(torch.float32) == pytest.approx(losses(torch.float64), abs=2e-6)


# --- what they mean -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_experts", [2, 4, 7])
def test_collapsed_routing_costs_e_and_uniform_routing_one(n_experts: int) -> None:
    uniform = torch.full((16, n_experts), 1 / n_experts, **F64)
    collapsed = torch.eye(n_experts, **F64)[:1].expand(16, n_experts)
    assert float(balance_loss(uniform)) == pytest.approx(1, abs=1e-15)
    assert float(balance_loss(collapsed)) == n_experts
    assert float(importance_loss(uniform)) == pytest.approx(0, abs=1e-15)
    assert float(importance_loss(collapsed)) == pytest.approx(n_experts - 1, abs=1e-12)
    # Far from any threshold, the expected load is the load.
    by_turn = 50 * torch.eye(n_experts, **F64)
    assert float(load_loss(by_turn, by_turn, torch.ones((), **F64), 1)) == pytest.approx(0, abs=1e-12)
    first = 50 * collapsed
    assert float(load_loss(first, first, torch.ones((), **F64), 1)) == pytest.approx(n_experts - 1, abs=1e-12)


def test_the_load_loss_sees_an_imbalance_that_the_importance_does_not() -> None:
    # One expert gets a row of large weight, the other five of small weight: the weights' totals are 3 and 3.
    weights = torch.tensor([[0.9, 0.1]] + [[0.42, 0.58]] * 5, **F64)
    logits = weights.log()
    assert float(importance_loss(weights)) == pytest.approx(0, abs=1e-15)
    assert float(load_loss(logits, logits, torch.full((), 0.01, **F64), 1)) == pytest.approx(4 / 9, abs=1e-12)


@pytest.mark.parametrize("loss", ["balance", "z", "importance", "load"])
def test_gradients_are_those_of_finite_differences(loss: str) -> None:
    logits = logits_of(6, 4).requires_grad_()
    noise = 0.3 * torch.randn(6, 4, generator=generator(5), **F64)
    std = torch.full((1, 1), 0.3, **F64)

    def of(value: Tensor) -> Tensor:
        return {
            "balance": lambda: balance_loss(value.softmax(-1), 2),
            "z": lambda: z_loss(value),
            "importance": lambda: importance_loss(value.softmax(-1)),
            "load": lambda: load_loss(value, value + noise, std, 2),
        }[loss]()

    assert torch.autograd.gradcheck(of, logits)


# --- padding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", [0.0, 9.0, float("nan")])
def test_padding_changes_no_loss(filler: float) -> None:
    logits = logits_of(10, 4)
    mask = torch.tensor([[True] * 3 + [False] * 2, [False] * 1 + [True] * 4, [True] * 3 + [False] * 2])
    padded = torch.full((3, 5, 4), filler, **F64)
    padded[mask] = logits
    std, noise = torch.full((1, 1), 0.3, **F64), 0.2
    for alone, beside in [
        (expert_load(logits, 2), expert_load(padded, 2, mask)),
        (balance_loss(logits, 2), balance_loss(padded, 2, mask)),
        (balance_loss(logits, chosen=logits > 0), balance_loss(padded, mask=mask, chosen=padded > 0)),
        (z_loss(logits), z_loss(padded, mask)),
        (importance_loss(logits.exp()), importance_loss(padded.exp(), mask)),
        (load_loss(logits, logits + noise, std, 2), load_loss(padded, padded + noise, std, 2, mask)),
    ]:
        assert torch.equal(alone, beside)


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (torch.ones(3), r"torch.float32 of shape \(3,\), expected torch.bool of shape \(3,\)"),
        (torch.ones(4, dtype=torch.bool), r"torch.bool of shape \(4,\)"),
        ([True, True, False], "mask is list"),
    ],
)
def test_a_mask_is_of_booleans_one_per_row(mask: Any, found: str) -> None:
    with pytest.raises(ShapeError, match=found):
        z_loss(torch.zeros(3, 2), mask)


def test_an_impossible_number_of_experts_is_refused() -> None:
    with pytest.raises(ShapeError, match="top_k is 5, expected an integer from 1 to 4"):
        load_loss(torch.zeros(3, 4), torch.zeros(3, 4), torch.ones(()), 5)


def test_losses_refuse_what_fits_no_rows() -> None:
    weights = torch.full((4, 3), 1 / 3)
    with pytest.raises(ShapeError, match=r"chosen has shape \(5, 3\)"):
        balance_loss(weights, chosen=torch.ones(5, 3, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r"top_k is 1\.5"):
        expert_load(weights, 1.5)
    with pytest.raises(ShapeError, match="at least one row"):
        z_loss(weights, torch.zeros(4, dtype=torch.bool))
