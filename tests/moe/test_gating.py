"""How a mixture chooses: noise, capacity, choice by experts, bias, counters, masks."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qmoe
from helpers import generator
from qmoe import (
    ConfigError,
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
from qmoe.moe import (
    BiasCorrection,
    Capacity,
    ExpertChoice,
    LossCoefficients,
    RouterNoise,
    balance_loss,
    collect_routings,
    importance_loss,
    load_loss,
    z_loss,
)
from qmoe.moe.gating import scored
from qmoe.routers import SoftmaxRouter

F64: dict[str, Any] = {"dtype": torch.float64}
E = 6


def inputs(n_rows: int = 40, seed: int = 9) -> Tensor:
    return 0.1 + torch.rand(n_rows, 3, generator=generator(seed), **F64) * 3


def mixture(kind: str = "linear", **options: Any) -> MixtureOfExperts:
    make = QuantumRouter if kind == "quantum" else LinearRouter
    router = make(3, E, generator=generator(1), **F64)
    nn.init.normal_(list(router.parameters())[-2], generator=generator(4))
    experts = MLPExperts(3, 2, E, hidden=4, generator=generator(2), **F64)
    return MixtureOfExperts(router, experts, generator=generator(3), **options)


class Given(SoftmaxRouter):
    """A router whose logits are its input."""

    def __init__(self, n_experts: int) -> None:
        super().__init__(n_experts, n_experts)

    def logits(self, x: Tensor) -> Tensor:
        return x


def given(n_experts: int, **options: Any) -> MixtureOfExperts:
    experts = LinearExperts(n_experts, 2, n_experts, generator=generator(2), **F64)
    return MixtureOfExperts(Given(n_experts), experts, generator=generator(3), **options)


#: Options that choose among experts, each in its way.
WAYS: dict[str, dict[str, Any]] = {
    "top 1": {"top_k": 1, "losses": LossCoefficients(balance=1)},
    "top 2": {"top_k": 2, "losses": LossCoefficients(balance=1)},
    "not rescaled": {"top_k": 3, "norm_topk_prob": False, "losses": LossCoefficients(balance=1)},
    "noise": {"top_k": 2, "noise": True},
    "constant noise": {"top_k": 2, "noise": 0.7},
    "capacity": {"top_k": 2, "capacity": 1.0},
    "capacity by weight": {"top_k": 2, "capacity": Capacity(0.6, "weight")},
    "expert choice": {"expert_choice": 1.5},
    "bias": {"top_k": 2, "bias": True},
    "all": {
        "top_k": 2,
        "noise": True,
        "capacity": 1.0,
        "bias": 0.01,
        "losses": LossCoefficients(balance=0.1, z=0.01, importance=0.1, load=0.1),
    },
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


# --- what stays as it was -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "quantum"])
@pytest.mark.parametrize("options", [{}, {"top_k": 1}, {"top_k": 2}, {"top_k": 3, "norm_topk_prob": False}], ids=str)
def test_a_plain_mixture_has_no_gating_and_routes_to_the_same_bits(kind: str, options: dict[str, Any]) -> None:
    plain, x = mixture(kind, **options), inputs()
    assert plain.gating is None
    out, routing = plain.routed(x)
    assert torch.equal(out, plain(x))
    assert torch.equal(routing.weights, plain.diagnostics(x).weights)
    assert float(routing.loss) == 0
    if options:
        more = mixture(kind, **options, losses=LossCoefficients(balance=1))
        assert torch.equal(more(x), plain(x))
        assert more.state_dict().keys() == plain.state_dict().keys()


# --- noise ----------------------------------------------------------------------------------------------------------


def test_noise_is_that_of_the_formula() -> None:
    moe, x = mixture(top_k=2, noise=True), inputs()
    assert moe.gating is not None
    assert moe.gating.noise_weight is not None
    nn.init.normal_(moe.gating.noise_weight, generator=generator(7))
    _, routing = moe.routed(x, generator=generator(8))
    normal = torch.randn(40, E, generator=generator(8), **F64)
    assert isinstance(moe.router, LinearRouter)
    noisy = moe.router.logits(x) + normal * torch.log1p((x @ moe.gating.noise_weight.T).exp())
    # The K largest noisy logits, and their softmax.
    for row, weights in zip(noisy.tolist(), routing.weights.tolist(), strict=True):
        first = sorted(range(E), key=lambda e: -row[e])[:2]
        total = sum(math.exp(row[e]) for e in first)
        expected = [math.exp(row[e]) / total if e in first else 0.0 for e in range(E)]
        assert weights == pytest.approx(expected, abs=1e-12)


def test_noise_is_there_in_training_only_and_comes_from_a_generator() -> None:
    moe, other, x = mixture(top_k=2, noise=0.5), mixture(top_k=2, noise=0.5), inputs()
    state = torch.get_rng_state()
    first, second = moe(x), moe(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, second)
    assert torch.equal(other(x), first)
    resumed = copy.deepcopy(moe)
    assert torch.equal(resumed(x), moe(x))
    assert torch.equal(moe.routed(x, generator=generator(1))[0], moe.routed(x, generator=generator(1))[0])
    moe.eval()
    assert torch.equal(moe(x), mixture(top_k=2)(x))


def test_spread_of_constant_noise_is_its_standard_deviation() -> None:
    moe = given(4, top_k=2, noise=RouterNoise(0.7))
    routing = moe.routed(torch.zeros(5000, 4, **F64))[1]
    centred = routing.scores.log() - routing.scores.log().mean(-1, keepdim=True)
    # Of four independent numbers, less their mean: 3/4 of the variance.
    assert float(centred.std()) == pytest.approx(0.7 * math.sqrt(3 / 4), rel=0.02)


# --- capacity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", ["order", "weight"])
@pytest.mark.parametrize("factor", [0.3, 0.6, 1.0, 5.0])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_capacity_keeps_what_a_plain_loop_keeps(priority: Any, factor: float, k: int) -> None:
    moe, x = mixture(top_k=k, capacity=Capacity(factor, priority)), inputs()
    _, routing = moe.routed(x)
    places, scores = math.ceil(factor * k * 40 / E), routing.scores.tolist()
    ranked = [sorted(range(E), key=lambda e: -row[e])[:k] for row in scores]
    turns = [(n, ranked[n][rank]) for rank in range(k) for n in range(40)]
    if priority == "weight":
        turns.sort(key=lambda turn: -scores[turn[0]][turn[1]])
    kept, taken = set(), [0] * E
    for n, e in turns:
        if taken[e] < places:
            taken[e] += 1
            kept.add((n, e))
    assert {(n, e) for n, e in routing.kept.nonzero().tolist()} == kept
    assert routing.tokens_per_expert.tolist() == taken
    assert float(routing.drop_rate) == pytest.approx(1 - len(kept) / (40 * k), abs=1e-6)
    assert routing.chosen.sum(-1).tolist() == [k] * 40
    # Weights of what is kept are those of a mixture without limit.
    free = mixture(top_k=k).diagnostics(x).weights
    torch.testing.assert_close(routing.weights, free * routing.kept, rtol=0, atol=1e-15)


def test_capacity_in_evaluation_may_be_another() -> None:
    moe, x = mixture(top_k=1, capacity=Capacity(0.3, eval_factor=6.0)), inputs()
    assert float(moe.routed(x)[1].drop_rate) > 0.3
    assert float(moe.eval().routed(x)[1].drop_rate) == 0


def test_diagnostics_tell_the_drop_rate() -> None:
    moe, x = mixture(top_k=2, capacity=0.5), inputs()
    found, routing = moe.diagnostics(x), moe.routed(x)[1]
    assert float(found.drop_rate) == float(routing.drop_rate) > 0.4
    assert torch.equal(found.tokens_per_expert, routing.tokens_per_expert)
    assert float(found.unrouted) == float((routing.kept.sum(-1) == 0).double().mean()) > 0
    assert math.isfinite(float(found.entropy.detach()))


# --- experts choose -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 100.0])
def test_experts_choose_the_rows_of_largest_weight(factor: float) -> None:
    moe, x = mixture(expert_choice=ExpertChoice(factor)), inputs()
    out, routing = moe.routed(x)
    places, scores = min(40, math.ceil(factor * 40 / E)), moe.router(x)
    for e in range(E):
        best = sorted(range(40), key=lambda n: -float(scores[n, e].detach()))[:places]
        assert routing.kept[:, e].nonzero().flatten().tolist() == sorted(best)
    expected = torch.einsum("ne,neo->no", scores * routing.kept, moe.experts(x))
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)
    assert routing.tokens_per_expert.tolist() == [places] * E
    assert float(moe.diagnostics(x).unrouted) == float((routing.kept.sum(-1) == 0).double().mean())


# --- bias -----------------------------------------------------------------------------------------------------------


def test_the_bias_changes_the_choice_and_never_the_weights() -> None:
    x = torch.tensor([[2.0, 1.0, 0.0, -1.0]], **F64)
    probabilities = x.softmax(-1)
    for norm in (True, False):
        moe = given(4, top_k=2, norm_topk_prob=norm, bias=BiasCorrection())
        assert moe.gating is not None
        moe.gating.bias = torch.tensor([-1.0, 0.0, 0.0, 1.0], **F64)
        _, routing = moe.routed(x)
        assert routing.chosen.tolist() == [[False, True, False, True]]
        assert torch.equal(routing.scores, probabilities)
        chosen = probabilities * torch.tensor([0.0, 1.0, 0.0, 1.0], **F64)
        expected = chosen / chosen.sum() if norm else chosen
        torch.testing.assert_close(routing.weights, expected, rtol=0, atol=1e-15)


def test_a_bias_that_changes_no_choice_changes_nothing() -> None:
    moe, x = mixture(top_k=2, bias=True), inputs()
    before = moe(x)
    assert moe.gating is not None
    assert moe.gating.bias is not None
    moe.gating.bias += 0.3  # the same for all
    assert torch.equal(moe(x), before)


def test_update_moves_the_bias_by_the_sign_of_the_imbalance() -> None:
    moe = given(3, top_k=1, bias=BiasCorrection(0.5))
    assert moe.gating is not None
    assert moe.gating.bias is not None
    moe(torch.eye(3, **F64)[[0, 0, 0, 1, 1, 2]])
    moe.update_bias()
    assert moe.gating.bias.tolist() == [-0.5, 0, 0.5]
    moe.update_bias()  # nothing was routed since
    assert moe.gating.bias.tolist() == [-0.5, 0, 0.5]
    with moe.forced_balance():  # which is not what the router chose
        moe(torch.eye(3, **F64)[[0, 1]])
    moe.eval()(torch.eye(3, **F64)[[0, 0, 0]])
    moe.diagnostics(torch.eye(3, **F64)[[0, 0, 0]])
    moe.update_bias()
    assert moe.gating.bias.tolist() == [-0.5, 0, 0.5]
    assert torch.equal(moe.state_dict()["gating.bias"], moe.gating.bias)
    assert not moe.gating.bias.requires_grad


def test_the_bias_balances_a_router_that_prefers_one_expert() -> None:
    moe = given(4, top_k=1, bias=BiasCorrection(0.02))
    optimizer = torch.optim.SGD(moe.parameters(), lr=0.0)
    handle = moe.update_bias_after(optimizer)
    x = torch.randn(256, 4, generator=generator(0), **F64) + torch.tensor([2.0, 0, 0, 0], **F64)
    assert float(moe.diagnostics(x).load.max()) > 0.7
    for _ in range(60):
        moe(x).sum().backward()
        optimizer.step()
    assert float(moe.diagnostics(x).load.max()) < 0.3
    handle.remove()
    assert moe.gating is not None
    assert moe.gating.bias is not None
    before = moe.gating.bias.clone()
    moe(x)
    optimizer.step()
    assert torch.equal(moe.gating.bias, before)


def test_the_bias_keeps_its_digits_in_half_precision() -> None:
    moe = mixture(top_k=2, bias=True)
    assert moe.gating is not None
    moe.half()
    assert {p.dtype for p in moe.router.parameters()} == {torch.float16}
    assert moe.gating.bias is not None
    assert moe.gating.bias.dtype == torch.float64


# --- losses of a mixture --------------------------------------------------------------------------------------------


def test_losses_of_a_mixture_are_those_functions_times_their_coefficients() -> None:
    factors = LossCoefficients(balance=0.5, z=0.25, importance=2.0, load=3.0)
    moe, x = mixture(top_k=2, noise=0.4, losses=factors), inputs()
    _, routing = moe.routed(x, generator=generator(8))
    assert isinstance(moe.router, LinearRouter)
    logits = moe.router.logits(x)
    noisy = logits + 0.4 * torch.randn(40, E, generator=generator(8), **F64)
    expected = {
        "balance": balance_loss(noisy.softmax(-1), 2),
        "z": z_loss(logits),
        "importance": importance_loss(routing.weights),
        "load": load_loss(logits, noisy, torch.full((1, 1), 0.4, **F64), 2),
    }
    assert list(routing.losses) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(routing.losses[name], value, rtol=0, atol=1e-14)
    total = 0.5 * expected["balance"] + 0.25 * expected["z"] + 2 * expected["importance"] + 3 * expected["load"]
    torch.testing.assert_close(routing.loss, total, rtol=0, atol=1e-13)


def test_a_loss_without_a_coefficient_is_not_computed() -> None:
    assert mixture(top_k=2, losses=LossCoefficients(z=0.1)).routed(inputs())[1].losses.keys() == {"z"}


def test_the_balance_loss_counts_what_the_bias_chose() -> None:
    moe = given(3, top_k=1, bias=True, losses=LossCoefficients(balance=1.0))
    assert moe.gating is not None
    moe.gating.bias = torch.tensor([0.0, 0.0, 5.0], **F64)
    x = torch.tensor([[2.0, 1.0, 0.0]] * 4, **F64)
    _, routing = moe.routed(x)
    assert routing.load.tolist() == moe.diagnostics(x).load.tolist() == [0, 0, 1]
    assert float(routing.loss) == pytest.approx(3 * float(x.softmax(-1)[0, 2]), abs=1e-14)


@EACH_WAY
@pytest.mark.parametrize("kind", ["linear", "quantum"])
@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
def test_gradients_reach_the_router_and_every_expert_in_use(way: str, kind: str, dispatch: str) -> None:
    moe, x = mixture(kind, **WAYS[way], dispatch=dispatch), inputs()
    out, routing = moe.routed(x)
    (out.square().sum() + routing.loss).backward()
    for name, parameter in moe.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
    assert max(float(p.grad.abs().max()) for p in moe.router.parameters() if p.grad is not None) > 1e-8
    weight = moe.experts.layer2.weight  # type: ignore[union-attr]
    used = weight.grad.flatten(1).abs().sum(-1) > 0  # type: ignore[union-attr]
    assert used.tolist() == (routing.tokens_per_expert > 0).tolist()


@EACH_WAY
def test_gradients_are_those_of_finite_differences(way: str) -> None:
    moe, x = mixture(**WAYS[way]), inputs(5)
    names = [name for name, _ in moe.named_parameters()]

    def of(*values: Tensor) -> tuple[Tensor, Tensor]:
        parts = dict(zip(names, values, strict=True))
        out, routing = torch.func.functional_call(Routed(moe), {f"moe.{k}": v for k, v in parts.items()}, (x,))
        return out, routing

    values = [p.detach().clone().requires_grad_() for p in moe.parameters()]
    assert torch.autograd.gradcheck(of, values)


class Routed(nn.Module):
    """A mixture's output and its loss, with the same noise every time."""

    def __init__(self, moe: MixtureOfExperts) -> None:
        super().__init__()
        self.moe = moe

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out, routing = self.moe.routed(x, generator=generator(5))
        return out, routing.loss


# --- padding --------------------------------------------------------------------------------------------------------


@EACH_WAY
@pytest.mark.parametrize("filler", [0.0, float("nan")])
def test_padding_changes_nothing(way: str, filler: float) -> None:
    alone, beside, x = mixture(**WAYS[way]), mixture(**WAYS[way]), inputs(10)
    mask = torch.tensor([[True] * 3 + [False] * 2, [False] * 1 + [True] * 4, [True] * 3 + [False] * 2])
    padded = torch.full((3, 5, 3), filler, **F64)
    padded[mask] = x
    out, routing = alone.routed(x)
    masked, of_padded = beside.routed(padded, mask=mask)
    assert torch.equal(masked[mask], out)
    assert torch.equal(of_padded.weights[mask], routing.weights)
    assert masked[~mask].tolist() == [[0, 0]] * 5
    assert of_padded.weights[~mask].tolist() == [[0] * E] * 5
    assert not of_padded.chosen[~mask].any()
    assert torch.equal(of_padded.loss, routing.loss)
    assert torch.equal(of_padded.load, routing.load)
    assert torch.equal(of_padded.tokens_per_expert, routing.tokens_per_expert)
    assert torch.equal(beside.tokens_per_expert, alone.tokens_per_expert)
    for name, value in vars(alone.diagnostics(x)).items():
        torch.testing.assert_close(getattr(beside.diagnostics(padded, mask), name), value, rtol=0, atol=0)
    (out.sum() + routing.loss).backward()
    (masked.sum() + of_padded.loss).backward()
    for one, other in zip(alone.parameters(), beside.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)  # type: ignore[arg-type]


def test_padding_of_a_plain_mixture_has_no_output_behind_a_head() -> None:
    moe = MixtureOfExperts(LinearRouter(3, 2), LinearExperts(3, 4, 2), Linear(4, 2))
    x, mask = torch.rand(4, 3), torch.tensor([True, False, True, True])
    found = moe(x, mask)
    assert torch.equal(found[mask], moe(x[mask]))
    assert found[1].tolist() == [0, 0]
    assert moe(x, torch.zeros(4, dtype=torch.bool)).tolist() == [[0, 0]] * 4


@EACH_WAY
@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
def test_a_batch_without_rows_has_outputs_without_rows(way: str, dispatch: str) -> None:
    moe = mixture(**WAYS[way], dispatch=dispatch)
    out, routing = moe.routed(inputs(0))
    assert out.shape == (0, 2)
    assert float(routing.loss) == float(routing.drop_rate) == 0
    assert moe.tokens_per_expert.tolist() == [0] * E


# --- shared experts -------------------------------------------------------------------------------------------------


def test_shared_experts_are_added_with_weight_one() -> None:
    x, two, layer = inputs(), MLPExperts(3, 2, 2, generator=generator(6), **F64), nn.Linear(3, 2, **F64)
    plain = mixture(top_k=2)
    for options in ({"top_k": 2}, {"top_k": 2, "dispatch": "sparse"}):
        torch.testing.assert_close(
            mixture(**options, shared=two)(x), plain(x) + two(x)[:, 0] + two(x)[:, 1], rtol=0, atol=1e-14
        )
        torch.testing.assert_close(mixture(**options, shared=layer)(x), plain(x) + layer(x), rtol=0, atol=1e-14)
    head = Linear(2, 5, **F64)
    with_head = mixture(head=head, top_k=2, shared=two)
    torch.testing.assert_close(with_head(x), head(plain(x) + two(x).sum(-2)), rtol=0, atol=1e-14)


# --- counters and forced balance ------------------------------------------------------------------------------------


def test_counters_add_up_over_calls() -> None:
    moe = mixture(top_k=2, capacity=0.5)
    total, dropped = torch.zeros(E, dtype=torch.int64), 0
    for seed in range(3):
        _, routing = moe.routed(inputs(seed=seed))
        total += routing.tokens_per_expert
        dropped += int(routing.chosen.sum() - routing.kept.sum())
    assert torch.equal(moe.tokens_per_expert, total)
    assert float(moe.drop_rate) == pytest.approx(dropped / (3 * 40 * 2), abs=1e-6)
    moe.diagnostics(inputs())
    assert torch.equal(moe.tokens_per_expert, total)
    moe.reset_counters()
    assert moe.tokens_per_expert.tolist() == [0] * E
    assert "gating.assigned" not in moe.state_dict()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_forced_balance_gives_all_experts_the_same_number_of_rows(k: int) -> None:
    moe, x = given(4, top_k=k, dispatch="sparse"), torch.randn(32, 4, generator=generator(1), **F64)
    x[:, 0] += 1000  # weights of the others are exactly 0
    with moe.forced_balance():
        out, routing = moe.routed(x)
        with moe.forced_balance():
            pass
        assert torch.equal(moe(x), out)
    assert routing.tokens_per_expert.tolist() == [8 * k] * 4
    assert routing.chosen.sum(-1).tolist() == [k] * 32
    assert bool(out.isfinite().all())
    assert torch.equal(routing.scores, x.softmax(-1))
    assert moe.routed(x)[1].tokens_per_expert[0] == 32


# --- collecting -----------------------------------------------------------------------------------------------------


def test_routings_of_mixtures_inside_a_network_are_collected() -> None:
    factors = LossCoefficients(balance=0.1)
    net = nn.Sequential(
        MixtureOfExperts(LinearRouter(3, 4), MLPExperts(3, 3, 4), top_k=2, losses=factors),
        nn.Tanh(),
        MixtureOfExperts(LinearRouter(3, 2), LinearExperts(3, 3, 2)),
    )
    x = torch.rand(8, 3)
    with collect_routings(net) as routings:
        out = net(x)
        with collect_routings(net[0]) as inner:
            net(x)
    assert [r.weights.shape for r in routings] == [(8, 4), (8, 2), (8, 2)]
    assert len(inner) == 1
    assert torch.equal(out, net(x))
    assert len(routings) == 3
    assert all("recorded_in" not in vars(module) for module in net.modules())
    sum((r.loss for r in routings), torch.zeros(())).backward()
    assert all(float(p.grad.abs().max()) > 0 for p in net[0].router.parameters())


# --- precision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, *WAYS.values()], ids=str)
def test_routing_keeps_its_precision_inside_autocast(options: dict[str, Any]) -> None:
    def make() -> MixtureOfExperts:
        router = LinearRouter(3, E, generator=generator(1))
        return MixtureOfExperts(router, MLPExperts(3, 2, E, generator=generator(2)), generator=generator(3), **options)

    x = torch.rand(40, 3, generator=generator(9)).bfloat16()
    expected = make().routed(x.float())[1]
    moe = make()
    with torch.autocast("cpu", torch.bfloat16):
        assert scored(moe.router, x).scores.dtype == torch.float32
        out, found = moe.routed(x)
        plain = make()(x)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.weights, expected.weights)
    assert torch.equal(found.loss, expected.loss)
    torch.testing.assert_close(plain, out)
    assert not torch.equal(out.float(), make()(x.float()))  # the experts are in lower precision


# --- copies, states, stacks -----------------------------------------------------------------------------------------


@EACH_WAY
def test_copies_and_states_go_on_alike(way: str) -> None:
    moe, x = mixture(**WAYS[way]), inputs()
    moe(x)
    if "bias" in WAYS[way]:
        moe.update_bias()
    loaded = mixture(**WAYS[way])
    loaded.load_state_dict(moe.state_dict())
    copies = [copy.deepcopy(moe), pickle.loads(pickle.dumps(moe)), loaded]
    out = moe(x)
    assert all(torch.equal(other(x), out) for other in copies)


@EACH_WAY
def test_first_values_come_from_the_generator_also_without_memory_at_first(way: str) -> None:
    with torch.device("meta"):
        moe = MixtureOfExperts(LinearRouter(3, E), MLPExperts(3, 2, E, hidden=4), generator=generator(3), **WAYS[way])
    moe.to_empty(device="cpu")
    moe.reset_parameters(generator(5))
    other = MixtureOfExperts(LinearRouter(3, E), MLPExperts(3, 2, E, hidden=4), **WAYS[way])
    other.reset_parameters(generator(5))
    x = inputs().float()
    assert torch.equal(moe(x), other(x))
    assert moe.tokens_per_expert.sum() > 0


# --- what is refused ------------------------------------------------------------------------------------------------


class OwnExperts(Experts):
    """Experts that can only compute all."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-2).expand(*x.shape[:-1], self.n_experts, self.in_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dispatch": "sparse"}, "and all are; pass top_k or expert_choice"),
        ({"dispatch": "spares", "top_k": 1}, "Unknown dispatch 'spares'; did you mean 'sparse'"),
        ({"noise": True}, "noise needs top_k"),
        ({"capacity": 1.0, "bias": True}, "capacity, bias needs top_k"),
        ({"expert_choice": 2, "top_k": 2, "bias": True}, "and so bias, top_k cannot be"),
        ({"expert_choice": 2, "losses": LossCoefficients(balance=1)}, "so balance loss cannot be"),
        ({"expert_choice": 2, "norm_topk_prob": False}, "norm_topk_prob rescales the weights of top_k"),
        ({"top_k": 2, "losses": LossCoefficients(load=1)}, "pass noise=True, or load=0"),
        ({"top_k": 2, "losses": 0.1}, r"losses is 0.1, expected LossCoefficients\(balance=0.01\)"),
        ({"top_k": 2, "noise": "loud"}, r"noise is 'loud', expected a number, True, None or RouterNoise\(...\)"),
        ({"top_k": 2, "noise": -1.0}, "std of the noise is -1.0, expected a finite number above 0"),
        ({"top_k": 2, "capacity": math.inf}, "factor of the capacity is inf"),
        ({"top_k": 2, "bias": 0.0}, "rate of the bias is 0.0"),
        ({"expert_choice": 0}, "factor of the expert choice is 0"),
        ({"shared": 3}, "shared is a int, expected a module"),
        ({"shared": LinearExperts(3, 4, 1)}, "The experts have out_features=2, the shared ones out_features=4"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixture(**options)


def test_values_of_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="Unknown priority 'wieght'; did you mean 'weight'"):
        Capacity(1, "wieght")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="eval_factor of the capacity is 0"):
        Capacity(1, eval_factor=0)
    with pytest.raises(ConfigError, match="z of the loss coefficients is -1, expected a finite number of at least 0"):
        LossCoefficients(z=-1)


def test_a_router_without_logits_has_no_noise_and_no_z_loss() -> None:
    def make(**options: Any) -> MixtureOfExperts:
        return MixtureOfExperts(QuantumRouter(3, 4, readout="born"), LinearExperts(3, 2, 4), top_k=2, **options)

    with pytest.raises(ConfigError, match="noise needs a router with logits, and the weights of this QuantumRouter"):
        make(noise=True)
    with pytest.raises(ConfigError, match="The z-loss needs a router with logits"):
        make(losses=LossCoefficients(z=0.1))
    assert make(capacity=1.0, bias=True, losses=LossCoefficients(balance=1))(torch.rand(5, 3)).shape == (5, 2)


def test_experts_that_compute_all_are_for_dense_dispatch() -> None:
    with pytest.raises(ConfigError, match=r"OwnExperts cannot give; define its method grouped"):
        MixtureOfExperts(LinearRouter(3, 2), OwnExperts(3, 3, 2), top_k=1, dispatch="sparse")
    with pytest.raises(UnsupportedError, match="OwnExperts computes all experts at once"):
        OwnExperts(3, 3, 2).grouped(torch.zeros(2, 3), [1, 1])


def test_what_a_mixture_does_not_have_is_named() -> None:
    plain = mixture(top_k=2)
    with pytest.raises(UnsupportedError, match="has no counters; pass dispatch='sparse'"):
        _ = plain.tokens_per_expert
    with pytest.raises(UnsupportedError, match="has no bias; pass dispatch='sparse', or"):
        plain.update_bias()
    with pytest.raises(UnsupportedError, match="has no bias to update; build it with bias=BiasCorrection"):
        mixture(top_k=2, capacity=1.0).update_bias_after(torch.optim.SGD(plain.parameters()))
    with (
        pytest.raises(UnsupportedError, match="All experts compute every row here"),
        mixture(losses=LossCoefficients(balance=1)).forced_balance(),
    ):
        pass


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected torch.bool of shape \(40,\)"):
        mixture()(inputs(), torch.ones(3, dtype=torch.bool))


def test_quantum_experts_may_be_shared() -> None:
    experts = QuantumExperts(3, 2, n_qubits=2, encoding="amplitude", generator=generator(0), **F64)
    shared = QuantumExperts(3, 1, n_qubits=2, encoding="amplitude", generator=generator(1), **F64)
    moe = MixtureOfExperts(QuantumRouter(3, 2, **F64), experts, top_k=1, shared=shared, dispatch="sparse")
    assert moe(inputs()).shape == (40, 2)


def test_balance_is_not_forced_where_experts_choose() -> None:
    moe = qmoe.MixtureOfExperts(qmoe.LinearRouter(3, 4), qmoe.LinearExperts(3, 2, n_experts=4), expert_choice=1.0)
    with pytest.raises(qmoe.UnsupportedError, match="balanced already"), moe.forced_balance():
        pass


@pytest.mark.parametrize("width", [1, 3])
def test_shared_experts_of_another_width_are_refused(width: int) -> None:
    moe = qmoe.MixtureOfExperts(
        qmoe.LinearRouter(3, 4), qmoe.LinearExperts(3, 2, n_experts=4), shared=torch.nn.Linear(3, width)
    )
    with pytest.raises(qmoe.ShapeError, match=rf"shared experts give shape \(5, {width}\), the others \(5, 2\)"):
        moe(torch.rand(5, 3))
