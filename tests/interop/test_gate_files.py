"""Gates in files of their own, and checkpoints of models that have their gates from the start."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from torch import nn

import qmoe
from helpers import generator
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop.transformers import gate_files, gates_of, load_gates, save_gates, swap_gates, swapped, unswap_gates
from transformer_models import MODELS, build, config_of, ids, model_class, quantum


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.set_verbosity(before)


def noisy(in_features: int, n_experts: int) -> qmoe.QuantumRouter:
    """A gate with a buffer that no checkpoint holds: the strength of its noise."""
    return qmoe.QuantumRouter(in_features, n_experts, n_qubits=2, n_layers=1, noise=0.2, generator=generator())


def trained(make: Any, name: str = "Mixtral") -> Any:
    """A model with swapped gates that are no longer as they were made."""
    model = swap_gates(build(name), make)
    with torch.no_grad():
        for gate in gates_of(model).values():
            for value in gate.router.parameters():
                value.add_(0.1)
            for adjusted in gate.family.adjusted:
                getattr(gate, adjusted).add_(0.5)
    return model


# --- gates alone -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_gates_come_back_from_their_file_to_the_last_bit(name: str, tmp_path: Path) -> None:
    model = trained(quantum, name)
    save_gates(model, tmp_path / "gates.safetensors")
    right = model(ids()).logits
    for other in (build(name), swap_gates(build(name), lambda f, e: nn.Linear(f, e))):
        assert not torch.equal(other(ids()).logits, right)
        assert load_gates(other, tmp_path / "gates.safetensors") is other
        assert torch.equal(other(ids()).logits, right)
        assert {part.training for part in other.modules()} == {False}
    before = build(name).state_dict()
    kept = {name for name in before if not name.endswith("e_score_correction_bias")}
    assert all(
        torch.equal(value, before[key]) for key, value in unswap_gates(other).state_dict().items() if key in kept
    )


def test_a_file_of_gates_holds_no_more_than_gates_by_names_that_others_can_read(tmp_path: Path) -> None:
    save_gates(trained(quantum), tmp_path / "gates.safetensors")
    names = list(safetensors.torch.load_file(tmp_path / "gates.safetensors"))
    assert len(names) == 2 * 5
    assert names[0] == "model/layers/0/mlp/gate.router.adapter.bias"


def test_twins_and_noise_come_back_too(tmp_path: Path) -> None:
    for make in (noisy, lambda f, e: qmoe.twin(quantum(f, e), generator=generator())):
        model = trained(make)
        save_gates(model, tmp_path / "gates.safetensors")
        other = load_gates(build("Mixtral"), tmp_path / "gates.safetensors")
        assert torch.equal(other(ids()).logits, model(ids()).logits)


class Own(nn.Linear):
    """A class that files do not know."""


def test_files_that_do_not_fit_are_told_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gates.safetensors"
    model = build("Mixtral")
    with pytest.raises(ConfigError, match="call swap_gates first"):
        save_gates(model, path)
    with pytest.raises(UnsupportedError, match=r"Own.*save_pretrained and from_pretrained"):
        save_gates(swap_gates(build("Mixtral"), lambda f, e: nn.Sequential(Own(f, e))), path)
    assert not path.exists()
    save_gates(trained(quantum), path)
    with pytest.raises(
        ConfigError, match=r"has a gate for 'model\.layers\.0\.mlp\.gate', and the model has none there"
    ):
        load_gates(model.model, path)
    with pytest.raises(
        ConfigError, match=r"gate for 'model\.layers\.0\.mlp\.gate' of the family Mixtral, and .* of DeepSeek-V3"
    ):
        load_gates(_deeper("DeepSeek-V3", n_routed_experts=4), path)
    other = build("OLMoE")
    with pytest.raises(ConfigError, match=r"of the family Mixtral, and the model's is of OLMoE.*give it to swap_gates"):
        load_gates(other, path)
    assert gates_of(other) == {}
    with pytest.raises(ConfigError, match="to 4 experts, and this gate has 16 features and 6 experts"):
        load_gates(_deeper("Mixtral", num_local_experts=6), path)
    qmoe.save(quantum(16, 4), path)
    with pytest.raises(ConfigError, match="holds a QuantumRouter and no gates"):
        load_gates(model, path)
    assert gates_of(model) == {}


def test_files_that_say_no_family_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(quantum)
    monkeypatch.setattr(gate_files, "save", lambda held, path, about: qmoe.save(held, path))  # as before it was said
    save_gates(model, tmp_path / "gates.safetensors")
    other = load_gates(build("Mixtral"), tmp_path / "gates.safetensors")
    assert torch.equal(other(ids()).logits, model(ids()).logits)
    with pytest.raises(ConfigError, match=r"no e_score_correction_bias for .*another family"):
        load_gates(_deeper("DeepSeek-V3", n_routed_experts=4), tmp_path / "gates.safetensors")


def test_modules_in_a_file_that_do_not_fit_are_told_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gates.safetensors"
    save_gates(swap_gates(build("Mixtral"), lambda f, e: nn.Sequential(nn.Linear(f, e))), path)
    model = _deeper("Mixtral", num_local_experts=6)
    with pytest.raises(
        ConfigError, match=r"for model\.layers\.0\.mlp\.gate a Sequential that gives \(2, 4\).*to \(\.\.\., 6\)"
    ):
        load_gates(model, path)
    assert gates_of(model) == {}


def test_a_file_that_cannot_be_written_leaves_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gates.safetensors"
    save_gates(trained(quantum), path)
    before = path.read_bytes()

    def full(*where: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        save_gates(swap_gates(build("Mixtral"), noisy), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(IsADirectoryError, match="it is a folder, expected the name of a file"):
        save_gates(trained(quantum), tmp_path)


def _deeper(name: str, **changes: Any) -> Any:
    config = config_of(name)
    for option, value in ({"first_k_dense_replace": 0} if name == "DeepSeek-V3" else {}).items():
        setattr(config, option, value)
    made = type(config)(**{**config.to_dict(), **changes})
    return model_class(name)(made)


# --- whole models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_swapped_class_loads_what_it_saved_and_the_plain_class_refuses_it(name: str, tmp_path: Path) -> None:
    kind = swapped(model_class(name), quantum)
    config = config_of(name)
    told = copy.deepcopy(config.to_dict())
    model = kind(config).eval()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.01)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert type(again) is kind
    assert torch.equal(again(ids()).logits, model(ids()).logits)
    assert set(again.state_dict()) == set(model.state_dict())
    assert config.to_dict().keys() >= told.keys()
    assert not hasattr(config, "qmoe_gates")
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        model_class(name).from_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_a_swapped_class_of_plain_modules_loads_what_it_saved(name: str, tmp_path: Path) -> None:
    for make in (nn.Linear, lambda f, e: nn.Sequential(nn.Linear(f, 3), nn.Tanh(), nn.Linear(3, e))):
        kind = swapped(model_class(name), make)
        model = kind(config_of(name)).eval()
        model.save_pretrained(tmp_path)
        assert torch.equal(kind.from_pretrained(tmp_path)(ids()).logits, model(ids()).logits)


def test_gates_stay_in_single_precision_when_a_model_is_loaded_in_half(tmp_path: Path) -> None:
    kind = swapped(model_class("Mixtral"), noisy)
    model = kind(config_of("Mixtral")).eval()
    model.save_pretrained(tmp_path)
    for dtype in (torch.bfloat16, torch.float16):
        again, info = kind.from_pretrained(tmp_path, dtype=dtype, output_loading_info=True)
        assert not info["missing_keys"]
        assert again.lm_head.weight.dtype == dtype
        for name, gate in gates_of(again).items():
            right = gates_of(model)[name].router
            x = torch.randn(4, 16, generator=generator())
            assert torch.equal(gate.router.logits(x), right.logits(x))  # with the noise, which no checkpoint holds
    assert torch.get_default_dtype() == torch.float32


def test_checkpoints_of_other_gates_are_refused(tmp_path: Path) -> None:
    swapped(model_class("Mixtral"), quantum)(config_of("Mixtral")).save_pretrained(tmp_path / "quantum")
    build("Mixtral").save_pretrained(tmp_path / "plain")
    turned = swapped(
        model_class("Mixtral"),
        lambda f, e: qmoe.QuantumRouter(f, e, n_qubits=3, n_layers=1, encoding=qmoe.AngleEncoding("Y")),
    )
    with pytest.raises(ConfigError, match=r"has quantum\.encoding .*rotation='X'.*would mean another routing"):
        turned.from_pretrained(tmp_path / "quantum")
    noisy = swapped(model_class("Mixtral"), lambda f, e: qmoe.QuantumRouter(f, e, n_qubits=3, n_layers=1, noise=0.3))
    with pytest.raises(ConfigError, match=r"has quantum\.noise 'None', and make gives .*would mean another routing"):
        noisy.from_pretrained(tmp_path / "quantum")
    with pytest.raises(ConfigError, match="has class 'QuantumRouter', and make gives 'LinearRouter'"):
        swapped(model_class("Mixtral"), qmoe.LinearRouter).from_pretrained(tmp_path / "quantum")
    for options in ({}, {"ignore_mismatched_sizes": True}):
        with pytest.raises(
            ConfigError, match=r"has the model's own gate at model\.layers\.0\.mlp\.gate.*call swap_gates"
        ):
            swapped(model_class("Mixtral"), quantum).from_pretrained(tmp_path / "plain", **options)


def test_checkpoints_with_gates_in_other_layers_are_refused(tmp_path: Path) -> None:
    every, one = (swapped(model_class("Mixtral"), quantum, layers) for layers in ("all", [1]))
    every(config_of("Mixtral")).save_pretrained(tmp_path / "every")
    one(config_of("Mixtral")).save_pretrained(tmp_path / "one")
    with pytest.raises(
        ConfigError, match=r"has a router at model\.layers\.0\.mlp\.gate, and this class leaves.*layers='all'"
    ):
        one.from_pretrained(tmp_path / "every")
    with pytest.raises(ConfigError, match=r"the model's own gate at model\.layers\.0\.mlp\.gate.*layers=\[0\]"):
        every.from_pretrained(tmp_path / "one")


def test_weights_beside_the_gates_that_do_not_fit_are_told_by_transformers(tmp_path: Path) -> None:
    kind = swapped(model_class("Mixtral"), quantum)
    kind(config_of("Mixtral")).save_pretrained(tmp_path)
    other = config_of("Mixtral")
    other.vocab_size += 1
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        kind.from_pretrained(tmp_path, config=other)


def test_a_model_whose_gates_were_swapped_afterwards_is_loaded_by_the_swapped_class(tmp_path: Path) -> None:
    model = trained(quantum)
    model.save_pretrained(tmp_path)
    again = swapped(model_class("Mixtral"), quantum).from_pretrained(tmp_path)
    assert torch.equal(again(ids()).logits, model(ids()).logits)


def test_a_swapped_class_has_no_other_gates_to_put_back() -> None:
    model = swapped(model_class("OLMoE"), quantum, layers=[1])(config_of("OLMoE"))
    assert list(gates_of(model)) == ["model.layers.1.mlp.gate"]
    with pytest.raises(ConfigError, match="replaced no gate"):
        unswap_gates(model)
    with pytest.raises(ConfigError, match=r"expected a class of transformers.*call swap_gates"):
        swapped(model, quantum)
