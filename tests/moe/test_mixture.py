import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers import generator
from qmoe import (
    ConfigError,
    LinearExperts,
    LinearRouter,
    MixtureOfExperts,
    QuantumExperts,
    QuantumRouter,
    ShapeError,
    UniformRouter,
)
from qmoe.experts import Experts
from qmoe.layers import Linear
from qmoe.moe import balance_loss, expert_load, z_loss
from qmoe.routers import Router, SoftmaxRouter

F64: dict[str, Any] = {"dtype": torch.float64}


def inputs(*shape: int) -> Tensor:
    return 0.1 + torch.rand(shape, generator=generator(9), **F64) * 3


def router(kind: str, n_experts: int = 3) -> Router:
    make = QuantumRouter if kind == "quantum" else LinearRouter
    return make(3, n_experts, generator=generator(1), **F64)


def experts(kind: str, n_experts: int = 3) -> Experts:
    if kind == "quantum":
        return QuantumExperts(3, n_experts, generator=generator(2), **F64)
    return LinearExperts(3, 2, n_experts, generator=generator(2), **F64)


class Given(SoftmaxRouter):
    """A router whose logits are its input."""

    def __init__(self, n_experts: int) -> None:
        super().__init__(n_experts, n_experts)

    def logits(self, x: Tensor) -> Tensor:
        return x


# --- the mixture ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_experts", ["classical", "quantum"])
@pytest.mark.parametrize("of_router", ["classical", "quantum"])
@pytest.mark.parametrize("top_k", [None, 1, 2, 3])
def test_output_is_the_weighted_sum_of_the_experts(of_router: str, of_experts: str, top_k: int | None) -> None:
    gate, crew = router(of_router), experts(of_experts)
    x = inputs(6, 3)
    out = MixtureOfExperts(gate, crew, top_k=top_k)(x)
    weights, outputs = gate(x), crew(x)
    for row in range(6):
        chosen = sorted(range(3), key=lambda e: -float(weights[row, e].detach()))[: top_k or 3]
        # A single weight is not rescaled: it would be 1, and the router would never train.
        total = 1.0 if top_k == 1 else sum(float(weights[row, e].detach()) for e in chosen)
        expected = sum((weights[row, e] / total * outputs[row, e] for e in chosen), torch.zeros(2, **F64))
        torch.testing.assert_close(out[row], expected, rtol=0, atol=1e-13)


def test_top_1_is_the_expert_of_largest_weight() -> None:
    gate, crew, x = QuantumRouter(3, 3, generator=generator(4), **F64), experts("classical"), inputs(20, 3)
    nn.init.zeros_(gate.adapter.bias)
    weight, best = gate(x).max(-1)
    assert len(best.unique()) > 1, "the test needs a router that uses several experts"
    expected = weight.unsqueeze(-1) * crew(x)[torch.arange(20), best]
    torch.testing.assert_close(MixtureOfExperts(gate, crew, top_k=1)(x), expected, rtol=0, atol=1e-15)


def test_top_k_keeps_k_weights_that_sum_to_one() -> None:
    x = inputs(20, 3)
    for k in (1, 2, 3):
        weights = MixtureOfExperts(router("quantum"), experts("classical"), top_k=k).diagnostics(x).weights
        assert torch.equal((weights > 0).sum(-1), torch.full((20,), k))
        if k > 1:
            torch.testing.assert_close(weights.sum(-1), torch.ones(20, **F64), rtol=0, atol=1e-15)
        else:
            assert torch.equal(weights.sum(-1), router("quantum")(x).max(-1).values)


@pytest.mark.parametrize("of_router", ["classical", "quantum"])
@pytest.mark.parametrize("top_k", [None, 1, 2, 3])
def test_weights_that_are_never_rescaled_are_the_routers_own(of_router: str, top_k: int | None) -> None:
    gate, x = router(of_router), inputs(20, 3)
    found = MixtureOfExperts(gate, experts("classical"), top_k=top_k, norm_topk_prob=False).diagnostics(x).weights
    kept = gate(x).topk(top_k or 3, -1)
    assert torch.equal(found, torch.zeros_like(found).scatter(-1, kept.indices, kept.values))


@pytest.mark.parametrize("top_k", [None, 2, 3])
def test_rescaling_that_is_asked_for_is_what_is_done_from_two_experts_on(top_k: int | None) -> None:
    x, parts = inputs(20, 3), (router("quantum"), experts("classical"))
    asked = MixtureOfExperts(*parts, top_k=top_k, norm_topk_prob=True)(x)
    assert torch.equal(asked, MixtureOfExperts(*parts, top_k=top_k)(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("of_experts", ["classical", "quantum"])
@pytest.mark.parametrize("of_router", ["classical", "quantum"])
def test_every_part_trains_at_every_top_k(of_router: str, of_experts: str, dtype: torch.dtype) -> None:
    x, target = inputs(64, 3).to(dtype), torch.arange(64) % 2
    for k in (1, 2, 3):
        moe = MixtureOfExperts(router(of_router), experts(of_experts), top_k=k).to(dtype)
        nn.functional.cross_entropy(moe(x), target).backward()
        for name, p in moe.named_parameters():
            assert float(p.grad.abs().max()) > 1e-4, f"{name} at top_k={k}"


def test_top_k_of_all_experts_equals_no_top_k() -> None:
    gate, crew, x = router("quantum"), experts("classical"), inputs(5, 3)
    assert torch.equal(MixtureOfExperts(gate, crew, top_k=3)(x), MixtureOfExperts(gate, crew)(x))


def test_head_is_applied_to_the_mixture() -> None:
    gate, crew, x = router("classical"), experts("quantum"), inputs(5, 3)
    head = Linear(2, 4, generator=generator(3), **F64)
    layer = nn.Linear(2, 4, **F64)
    layer.load_state_dict(head.state_dict())
    torch.testing.assert_close(
        MixtureOfExperts(gate, crew, head)(x), layer(MixtureOfExperts(gate, crew)(x)), rtol=0, atol=1e-15
    )


def test_shapes_and_empty_batches() -> None:
    for of_router in ("classical", "quantum"):
        for of_experts in ("classical", "quantum"):
            for top_k in (None, 2):
                moe = MixtureOfExperts(router(of_router), experts(of_experts), top_k=top_k)
                for batch in ((), (1,), (5,), (2, 3), (0,), (2, 0)):
                    assert moe(inputs(*batch, 3)).shape == (*batch, 2)
                moe(inputs(0, 3)).sum().backward()
                assert not any(p.grad is not None and p.grad.any() for p in moe.parameters())


@pytest.mark.parametrize("top_k", [None, 2])
def test_gradcheck(top_k: int | None) -> None:
    moe = MixtureOfExperts(router("quantum"), experts("quantum"), top_k=top_k)
    names = list(dict(moe.named_parameters()))

    def run(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(moe, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (inputs(2, 3).requires_grad_(), *moe.parameters()), atol=1e-6)


def test_copies_give_the_same_outputs() -> None:
    moe, x = MixtureOfExperts(router("quantum"), experts("quantum"), Linear(2, 2, **F64)), inputs(5, 3)
    for twin in (copy.deepcopy(moe), pickle.loads(pickle.dumps(moe))):
        assert torch.equal(twin(x), moe(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MixtureOfExperts(router("classical", 2), experts("classical")),
            "router has n_experts=2, the experts n",
        ),
        (lambda: MixtureOfExperts(LinearRouter(2, 3), experts("classical")), "router has in_features=2, the experts i"),
        (lambda: MixtureOfExperts(nn.Linear(3, 3), experts("classical")), "router is a Linear"),  # type: ignore[arg-type]
        (lambda: MixtureOfExperts(router("classical"), nn.Linear(3, 2)), "experts is a Linear"),  # type: ignore[arg-type]
        (lambda: MixtureOfExperts(router("classical"), experts("classical"), top_k=0), "top_k is 0, expected None or"),
        (lambda: MixtureOfExperts(router("classical"), experts("classical"), top_k=4), "an integer from 1 to 3"),
        (
            lambda: MixtureOfExperts(router("classical"), experts("classical"), top_k=1.5),  # type: ignore[arg-type]
            r"top_k is 1\.5",
        ),
        (lambda: MixtureOfExperts(router("classical"), experts("classical"), top_k=True), "top_k is True"),
        (
            lambda: MixtureOfExperts(router("classical"), experts("classical"), top_k=1, norm_topk_prob=True),
            "norm_topk_prob=True with top_k=1 makes every weight 1, .* keep at least two",
        ),
        (
            lambda: MixtureOfExperts(router("classical", 1), experts("classical", 1), top_k=1, norm_topk_prob=True),
            "never trains",
        ),
        (
            lambda: MixtureOfExperts(router("classical"), experts("classical"), norm_topk_prob=1),  # type: ignore[arg-type]
            "norm_topk_prob is 1, expected True, False or None",
        ),
        (
            lambda: MixtureOfExperts(router("classical"), experts("classical"), norm_topk_prob="no"),  # type: ignore[arg-type]
            "norm_topk_prob is 'no'",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_bad_inputs_are_refused_by_name() -> None:
    moe = MixtureOfExperts(router("classical"), experts("classical"))
    with pytest.raises(ShapeError, match=r"expected \(..., 3\)"):
        moe(inputs(4, 2))
    with pytest.raises(ShapeError, match=r"nan at index \(0, 0\)"):
        moe(inputs(4, 3) * math.nan)
    with pytest.raises(ShapeError, match="empty batch has no averages"):
        moe.diagnostics(inputs(0, 3))


# --- losses and diagnostics -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_experts", [1, 2, 4, 8])
def test_balance_loss_is_one_for_uniform_and_e_for_collapsed_routing(n_experts: int) -> None:
    assert float(balance_loss(torch.full((16, n_experts), 1 / n_experts, **F64))) == 1
    collapsed = torch.zeros(16, n_experts, **F64)
    collapsed[:, -1] = 1
    assert float(balance_loss(collapsed)) == n_experts


def test_balance_loss_is_one_for_experts_used_in_turn() -> None:
    assert float(balance_loss(torch.eye(4, **F64).repeat(3, 1))) == 1


def test_balance_loss_counts_all_experts_with_top_k() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], **F64)
    # Assignments: {0, 1} and {1, 2}; mean weights 0.3, 0.45, 0.25.
    assert torch.equal(expert_load(weights, 2), torch.tensor([0.25, 0.5, 0.25], **F64))
    assert float(balance_loss(weights, 2)) == pytest.approx(3 * (0.25 * 0.3 + 0.5 * 0.45 + 0.25 * 0.25), abs=1e-15)
    assert float(balance_loss(weights)) == pytest.approx(3 * (0.5 * 0.3 + 0.5 * 0.45), abs=1e-15)


def test_gradient_of_the_balance_loss_is_the_load() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], **F64, requires_grad=True)
    balance_loss(weights).backward()
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, 3 / 2 * expert_load(weights).expand(2, 3), rtol=0, atol=1e-15)


def test_z_loss_is_the_mean_squared_log_partition() -> None:
    assert float(z_loss(torch.zeros(5, 4, **F64))) == pytest.approx(math.log(4) ** 2, abs=1e-15)
    logits = torch.tensor([[0.0, math.log(3)], [1.0, 1.0]], **F64)
    expected = (math.log(4) ** 2 + (1 + math.log(2)) ** 2) / 2
    assert float(z_loss(logits)) == pytest.approx(expected, abs=1e-15)


def test_diagnostics_of_known_routing() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], **F64)
    crew = LinearExperts(3, 2, 3, **F64)
    found = MixtureOfExperts(Given(3), crew, top_k=2).diagnostics(weights.log())
    kept = torch.tensor([[5 / 8, 3 / 8, 0], [0, 2 / 3, 1 / 3]], **F64)
    torch.testing.assert_close(found.weights, kept, rtol=0, atol=1e-15)
    torch.testing.assert_close(found.importance, weights.mean(0), rtol=0, atol=1e-15)
    assert torch.equal(found.load, expert_load(weights, 2))
    entropy = -sum(p * math.log(p) for p in (5 / 8, 3 / 8, 2 / 3, 1 / 3)) / 2
    assert float(found.entropy) == pytest.approx(entropy, abs=1e-14)
    assert float(found.balance_loss) == pytest.approx(float(balance_loss(weights, 2)), abs=1e-14)
    assert found.z_loss is not None
    assert float(found.z_loss) == pytest.approx(0, abs=1e-14)  # the logits are log-probabilities


def test_diagnostics_at_both_ends_of_routing() -> None:
    x = inputs(10, 3)
    uniform = MixtureOfExperts(UniformRouter(3, 4), LinearExperts(3, 2, 4, **F64)).diagnostics(x)
    assert float(uniform.entropy) == pytest.approx(math.log(4), abs=1e-14)
    assert float(uniform.balance_loss) == 1
    hard = MixtureOfExperts(router("quantum"), experts("classical"), top_k=1).diagnostics(x)
    assert float(hard.entropy.detach()) == 0


def test_diagnostics_of_a_router_without_logits_have_no_z_loss() -> None:
    born = QuantumRouter(3, 3, readout="born", **F64)
    found = MixtureOfExperts(born, experts("classical")).diagnostics(inputs(2, 4, 3))
    assert found.z_loss is None
    assert found.weights.shape == (2, 4, 3)
    torch.testing.assert_close(found.importance.sum(), torch.tensor(1.0, **F64), rtol=0, atol=1e-14)
