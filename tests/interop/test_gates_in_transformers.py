"""Routers of qmoe as gates of five families of transformers, which route by their own rules."""

import copy
import math
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import qmoe
from helpers import generator
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.interop.transformers import FAMILIES, Family, gates_of, register_family, swap_gates, swapped, unswap_gates
from transformer_models import MODELS, Itself, build, config_of, ids, model_class, quantum

WITH_AUX = [name for name in MODELS if name != "DeepSeek-V3"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(before)


def outputs(model: Any, **options: Any) -> Any:
    return model(ids(), labels=ids(), output_router_logits=True, **options)


# --- the same rule -----------------------------------------------------------------------------------------------------


def test_all_five_families_are_tried_here() -> None:
    shipped = {
        family.name for router, family in FAMILIES.items() if "flex_olmo" not in router
    }  # the example of the docs
    assert shipped == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_router_that_gives_the_logits_of_the_gate_changes_nothing_to_the_last_bit(name: str) -> None:
    model = build(name)
    before = outputs(model)
    swap_gates(model, Itself.of(model))
    after = outputs(model)
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.loss, before.loss)
    assert len(after.router_logits) == len(before.router_logits) >= 1
    assert all(torch.equal(one, other) for one, other in zip(after.router_logits, before.router_logits, strict=True))
    if name in WITH_AUX:
        assert torch.equal(after.aux_loss, before.aux_loss)


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_finite_and_gradients_reach_every_part_of_the_gate(name: str) -> None:
    model = swap_gates(build(name).train(), quantum)
    out = outputs(model)
    out.loss.backward()
    assert math.isfinite(out.loss.item())
    if name in WITH_AUX:
        assert math.isfinite(out.aux_loss.item())
        assert out.aux_loss > 0
    for gate in gates_of(model).values():
        assert gate.router.quantum.weights.grad.abs().sum() > 0
        assert gate.router.projection.weight.grad.abs().sum() > 0
        assert gate.router.adapter.weight.grad.abs().sum() > 0


def test_the_circuit_decides_which_experts_are_used() -> None:
    model = swap_gates(build("Mixtral"), quantum)
    gate = gates_of(model)["model.layers.0.mlp.gate"]
    x = torch.randn(20, 16, generator=generator())
    logits, weights, chosen = gate(x)
    assert torch.equal(logits, gate.router.logits(x))
    assert torch.equal(chosen, logits.topk(2).indices)
    torch.testing.assert_close(weights, torch.softmax(logits.topk(2).values, -1))


def test_the_correction_bias_of_deepseek_moves_the_choice_and_not_the_weights() -> None:
    model = swap_gates(build("DeepSeek-V3"), quantum)
    (gate,) = gates_of(model).values()
    x = torch.randn(20, 16, generator=generator())
    gate.e_score_correction_bias[5:7] = 10.0
    logits, weights, chosen = gate(x)
    assert {tuple(sorted(row)) for row in chosen.tolist()} == {(5, 6)}
    scores = logits.sigmoid().gather(1, chosen)
    torch.testing.assert_close(weights, scores / scores.sum(-1, keepdim=True) * gate.routed_scaling_factor)


# --- out again ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_unswapping_puts_back_the_very_parameters(name: str) -> None:
    model = build(name)
    kinds = [type(module) for module in model.modules()]
    before, held = copy.deepcopy(model.state_dict()), dict(model.named_parameters())
    swap_gates(model, quantum)
    assert not {id(p) for p in model.parameters()} >= {id(p) for p in held.values()}
    unswap_gates(model)
    assert [type(module) for module in model.modules()] == kinds
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value is held[name] for name, value in model.named_parameters())
    assert not any(model.model._forward_hooks.values())


def test_unswapping_a_copy_leaves_the_other_swapped() -> None:
    model = swap_gates(build("Mixtral"), quantum)
    other = unswap_gates(copy.deepcopy(model))
    assert len(gates_of(model)) == 2
    assert gates_of(other) == {}
    assert torch.equal(outputs(other).logits, outputs(build("Mixtral")).logits)


def test_hooks_on_a_gate_stay() -> None:
    model, seen = build("OLMoE"), []
    model.model.layers[1].mlp.gate.register_forward_hook(lambda module, args, out: seen.append(out[0].shape))
    outputs(model)
    swap_gates(model, quantum)
    outputs(model)
    outputs(unswap_gates(model))
    assert seen == [(14, 4)] * 3


# --- which layers, which makes -----------------------------------------------------------------------------------------


def test_layers_are_chosen_by_their_numbers_and_make_may_take_them() -> None:
    told: list[tuple[int, int, int]] = []

    def make(in_features: int, n_experts: int, layer: int) -> nn.Module:
        told.append((in_features, n_experts, layer))
        return qmoe.LinearRouter(in_features, n_experts, generator=generator(layer))

    model = swap_gates(build("Mixtral"), make, layers=[1])
    assert list(gates_of(model)) == ["model.layers.1.mlp.gate"]
    assert len(outputs(model).router_logits) == 2
    swap_gates(model, make, layers=[0])
    assert told == [(16, 4, 1), (16, 4, 0)]


@pytest.mark.parametrize(
    "make",
    [
        lambda f, e: qmoe.twin(quantum(f, e), generator=generator()),
        lambda f, e: qmoe.LinearRouter(f, e, generator=generator()),
        lambda f, e: qmoe.QuantumRouter(f, e, n_qubits=2, readout="born", generator=generator()),
        lambda f, e: nn.Sequential(nn.Linear(f, 2), qmoe.QuantumLayer(qmoe.Circuit(2, 1)), nn.Linear(2, e)),
    ],
    ids=["twin", "linear", "born", "layer"],
)
def test_any_router_or_module_is_a_gate(make: Any) -> None:
    model = swap_gates(build("Qwen3-MoE").train(), make)
    out = outputs(model)
    out.loss.backward()
    for gate in gates_of(model).values():
        assert all(p.grad is not None and p.grad.isfinite().all() for p in gate.router.parameters())
        if isinstance(gate.router, qmoe.Router):
            x = torch.randn(5, 16, generator=generator())
            torch.testing.assert_close(torch.softmax(gate(x)[0], -1), gate.router(x))


def test_what_does_not_fit_is_told_and_changes_nothing() -> None:
    model = build("Mixtral")
    before = list(model.state_dict())
    cases = [
        (lambda: swap_gates(model, lambda f, e: 3), ConfigError, "make gave a int, expected a module"),
        (lambda: swap_gates(model, lambda f, e: quantum(f, e + 1)), ConfigError, "to 5 experts, and this gate has"),
        (lambda: swap_gates(model, quantum, layers=[2]), ConfigError, r"gates are in the layers \[0, 1\]"),
        (lambda: swap_gates(model, quantum, layers="first"), ConfigError, "expected 'all' or numbers"),
        (lambda: swap_gates(model, quantum, layers=[]), ConfigError, r"gates are in the layers \[0, 1\]"),
        (lambda: unswap_gates(model), ConfigError, "nothing to put back"),
        (lambda: swap_gates(nn.Linear(2, 2), quantum), ConfigError, "Known: DeepSeek-V3, GPT-OSS, Mixtral"),
        (lambda: swap_gates("mixtral", quantum), ConfigError, "expected a model of transformers"),
        (lambda: unswap_gates(3), ConfigError, "Got a int, expected a model of transformers"),
        (lambda: gates_of(None), ConfigError, "Got a NoneType, expected a model of transformers"),
        (lambda: register_family("Mixtral"), ConfigError, "expected a Family with the full name"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    one = quantum(16, 4)
    with pytest.raises(ConfigError, match="the same QuantumRouter twice"):
        swap_gates(model, lambda f, e: one)
    assert list(model.state_dict()) == before
    swap_gates(model, quantum)
    with pytest.raises(ConfigError, match=r"model\.layers\.0\.mlp\.gate is swapped already"):
        swap_gates(model, quantum)
    unswap_gates(model)
    swap_gates(model, nn.Linear)
    model.model.layers[0].mlp.gate.router = nn.Linear(16, 1)
    with pytest.raises(ShapeError, match="The gate Linear gave"):
        outputs(model)


class Tuple(nn.Linear):
    """Gives more than logits."""

    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x), x


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            lambda f, e: nn.Linear(f, 1),
            r"a Linear that gives \(2, 1\) for hidden states \(2, 16\); expected .*\(\.\.\., 4\) logits",
        ),
        (
            lambda f, e: nn.Linear(e, e),
            r"a Linear that fails on hidden states \(2, 16\) \(mat1 and mat2 .*pass on what make",
        ),
        (Tuple, r"a Tuple that gives a tuple for hidden states"),
        (lambda f, e: quantum(e, f), r"a QuantumRouter from 4 features to 16 experts, and this gate has 16 features"),
    ],
)
def test_modules_of_the_wrong_size_are_told_when_they_are_swapped_and_none_is(wrong: Any, says: str) -> None:
    model = build("Mixtral")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ConfigError, match=r"make gave for model\.layers\.1\.mlp\.gate " + says):
        swap_gates(model, lambda f, e, layer: wrong(f, e) if layer else quantum(f, e))
    assert gates_of(model) == {}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("make", [nn.Linear, quantum])
def test_a_gate_without_values_is_refused_where_the_model_has_them(make: Any) -> None:
    model = build("Mixtral")
    with pytest.raises(ConfigError, match=r"for model\.layers\.1\.mlp\.gate a .* on the device meta.*to_empty"):
        swap_gates(model, lambda f, e, layer: make(f, e).to("meta" if layer else "cpu"))
    assert gates_of(model) == {}


def test_a_model_without_values_takes_modules_without_a_trial() -> None:
    with torch.device("meta"):
        model = model_class("Mixtral")(config_of("Mixtral"))
        swap_gates(model, nn.Linear)
    assert [gate.router.weight.is_meta for gate in gates_of(model).values()] == [False, False]
    unswap_gates(model)
    swap_gates(model, lambda f, e: nn.Linear(f, e, device="meta"))
    assert [gate.router.weight.is_meta for gate in gates_of(model).values()] == [True, True]


def test_hooks_of_a_module_see_no_trial() -> None:
    seen = []

    def make(in_features: int, n_experts: int) -> nn.Module:
        made = nn.Sequential(Tuple(in_features, n_experts))
        made[0].register_forward_hook(lambda module, x, output: output[0])
        made.register_forward_pre_hook(lambda module, x: seen.append(x[0].shape))
        return made

    model = swap_gates(build("Mixtral"), make)
    assert seen == []
    outputs(model)
    assert seen == [(14, 16), (14, 16)]


def test_the_trial_of_a_module_changes_neither_it_nor_random_numbers() -> None:
    called = []

    class Counting(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            called.append(self.training)
            torch.rand(3)
            self[1](x)
            return self[0](x)

    made = [Counting(nn.Linear(16, 4), nn.BatchNorm1d(16)) for _ in range(2)]
    before = torch.get_rng_state()
    swap_gates(build("Mixtral"), lambda f, e, layer: made[layer])
    build_state = torch.get_rng_state()
    assert called == [False, False]
    assert [int(part[1].num_batches_tracked) for part in made] == [0, 0]
    torch.set_rng_state(before)
    build("Mixtral")
    assert torch.equal(torch.get_rng_state(), build_state)


class OwnRouter(nn.Module):
    """A router of nobody's family."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 16, generator=generator()))
        self.shift = shift

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = nn.functional.linear(x + self.shift, self.weight)
        return logits, logits.argmax(-1)


def test_a_family_of_your_own_is_registered_and_a_wrong_description_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qmoe.interop.transformers.families.FAMILIES", dict(FAMILIES))
    model = nn.Sequential(OwnRouter())
    with pytest.raises(ConfigError, match=r"It has OwnRouter\. Known:.*register_family"):
        swap_gates(model, quantum)
    register_family(Family("Own", f"{__name__}.OwnRouter", width=None))
    x = torch.randn(3, 16, generator=generator())
    swap_gates(model, quantum)
    assert torch.equal(model(x)[0], model[0].router.logits(x))
    # Here the weight is not all that decides: with an identity in its place, logits would be shifted.
    with pytest.raises(UnsupportedError, match="through an identity give another routing"):
        swap_gates(nn.Sequential(OwnRouter(1.0)), quantum)
    register_family(Family("Own", f"{__name__}.OwnRouter"))
    with pytest.raises(UnsupportedError, match="has width='hidden_dim', and a OwnRouter here has no hidden_dim"):
        swap_gates(nn.Sequential(OwnRouter()), quantum)


def test_logits_that_were_not_captured_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(transformers.MixtralModel):
        _can_record_outputs = {}  # noqa: RUF012

    model = build("Mixtral")
    silent = Silent(model.config)
    assert silent(ids(), output_router_logits=True).last_hidden_state.isfinite().all()
    swap_gates(silent, quantum)
    with pytest.raises(UnsupportedError, match=r"captured 0 for 2 swapped gate\(s\)"):
        silent(ids(), output_router_logits=True)
    assert silent(ids()).last_hidden_state.isfinite().all()


# --- what people do with models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_gates_stay_in_single_precision_in_a_model_of_bfloat16(name: str) -> None:
    model = swap_gates(build(name).train(), quantum)
    plain = build(name).to(torch.bfloat16)
    for lowered in (copy.deepcopy(model).to(torch.bfloat16), swap_gates(copy.deepcopy(plain), quantum).train()):
        assert {p.dtype for gate in gates_of(lowered).values() for p in gate.router.parameters()} == {torch.float32}
        out = outputs(lowered)
        assert out.logits.dtype == torch.bfloat16
        assert [z.dtype for z in out.router_logits] == [z.dtype for z in outputs(plain).router_logits]
        out.loss.backward()
        for gate in gates_of(lowered).values():
            assert gate.router.quantum.weights.grad.dtype == torch.float32
            assert gate.router.quantum.weights.grad.abs().sum() > 0
    half = copy.deepcopy(model).half()
    assert half.lm_head.weight.dtype == torch.float16
    assert {p.dtype for gate in gates_of(half).values() for p in gate.router.parameters()} == {torch.float32}
    assert unswap_gates(half).dtype == torch.float16
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    double = copy.deepcopy(model).double()
    assert {p.dtype for p in double.parameters()} == {torch.float64}
    x = torch.rand(3, 16, dtype=torch.float64)
    for gate in gates_of(double).values():
        right = type(gate).__mro__[2](config_of(name)).double()
        assert gate(x)[0].dtype == right(x)[0].dtype


def test_gates_are_not_lowered_by_autocast() -> None:
    model = swap_gates(build("Mixtral"), quantum)
    gate = gates_of(model)["model.layers.0.mlp.gate"]
    x = torch.randn(20, 16, generator=generator())
    right = gate.router.logits(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gate.logits(x), right)
        assert outputs(model).loss.isfinite()


@pytest.mark.parametrize("name", MODELS)
def test_it_generates_the_same_text_step_by_step_as_at_once(name: str) -> None:
    model = swap_gates(build(name), quantum)
    made = model.generate(ids()[:, :3], max_new_tokens=4, do_sample=False, pad_token_id=0, eos_token_id=None)
    assert made.shape == (2, 7)
    with torch.no_grad():
        assert torch.equal(model(made).logits[:, 2:-1].argmax(-1), made[:, 3:])


@pytest.mark.parametrize("name", MODELS)
def test_gradient_checkpointing_gives_the_same_gradients(name: str) -> None:
    model = swap_gates(build(name).train(), quantum)
    found = []
    for _ in range(2):
        model.zero_grad()
        outputs(model, use_cache=False).loss.backward()
        found.append([p.grad.clone() for gate in gates_of(model).values() for p in gate.router.parameters()])
        model.model.gradient_checkpointing = True
        checkpointing(model)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def checkpointing(model: Any) -> None:
    """By the name that the method has in newer versions, where the older one warns."""
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()


def test_copies_and_pickles_compute_the_same() -> None:
    model = swap_gates(build("GPT-OSS"), quantum)
    right = model(ids()).logits
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(again(ids()).logits, right)
        assert {type(gate) for gate in gates_of(again).values()} == {type(gate) for gate in gates_of(model).values()}
        unswap_gates(again)


def test_torch_compile_gives_the_same_step() -> None:
    model = swap_gates(build("Mixtral").train(), quantum)
    gate = gates_of(model)["model.layers.0.mlp.gate"]
    compiled = torch.compile(gate, backend="aot_eager", fullgraph=True)
    x = torch.randn(20, 16, generator=generator())
    found = []
    for one in (gate, compiled):
        gate.zero_grad()
        logits, weights, chosen = one(x)
        (logits.square().sum() + weights[:, 0].sum()).backward()
        found.append((logits, weights, chosen, gate.router.quantum.weights.grad.clone()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    torch.compiler.reset()


@pytest.mark.parametrize("layers", [None, 1, [True], [1.0], ["1"], [[1]]])
def test_layers_are_whole_numbers(layers: Any) -> None:
    with pytest.raises(ConfigError, match=r"layers is .*, expected 'all' or numbers of layers, such as \[0, 2\]"):
        swap_gates(build("Mixtral"), quantum, layers)
    with pytest.raises(ConfigError, match="expected 'all' or numbers of layers"):
        swapped(transformers.MixtralForCausalLM, quantum, layers)


def test_what_makes_gates_is_a_function() -> None:
    with pytest.raises(ConfigError, match=r"make is 3, expected a function: make=lambda"):
        swap_gates(build("Mixtral"), 3)  # type: ignore[arg-type]
