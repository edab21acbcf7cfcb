"""A file from a stranger gives a module of qmoe or an error of one line, and takes neither memory nor time."""

import json
import os
import random
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

import qmoe
from helpers import generator
from qmoe.routers import Sampling, TwinRouter


def router() -> qmoe.QuantumRouter:
    return qmoe.QuantumRouter(2, 2, generator=generator())


def parts_of(module: nn.Module, folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the description that a file of a module holds."""
    qmoe.save(module, folder / "whole")
    with safetensors.safe_open(folder / "whole", framework="pt") as file:
        return safetensors.torch.load_file(folder / "whole"), json.loads(file.metadata()["qmoe"])


def written(folder: Path, tensors: dict[str, torch.Tensor], description: Any) -> Path:
    path = folder / "strange.safetensors"
    text = description if isinstance(description, str) else json.dumps(description)
    safetensors.torch.save_file(tensors, path, metadata={"qmoe": text})
    return path


def put(*keys: Any, value: Any) -> Callable[[Any], None]:
    """Changes one place of a description."""

    def change(description: Any) -> None:
        *way, last = keys
        for key in way:
            description = description[key]
        description[last] = value

    return change


CIRCUIT = ("module", "config", "circuit", "circuit")
CHANGED: dict[str, tuple[Callable[[Any], None], str]] = {
    "newer version": (
        put("version", value=2),
        r"version 2, and this qmoe reads version 1: read it with .* a newer one",
    ),
    "no version": (lambda d: d.pop("version"), r"no version"),
    "unknown key": (put("modul", value={}), r"unknown key 'modul'; did you mean 'module'\?"),
    "unknown class": (
        put("module", "class", value="QuantumRooter"),
        r"class 'QuantumRooter'; did you mean 'QuantumRouter'\?",
    ),
    "class of Python": (put("module", "class", value="os.system"), r"Unknown class 'os\.system'"),
    "class that is a list": (put("module", "class", value=[]), r"Unknown class"),
    "unknown option": (
        put("module", "config", "shotz", value=3),
        r"Unknown option of QuantumRouter 'shotz'; did you mean 'shots'",
    ),
    "an option of how it is made": (put("module", "config", "device", value="cuda"), r"Unknown option .* 'device'"),
    "option that is missing": (lambda d: d["module"]["config"].pop("n_experts"), r"lack 'n_experts'"),
    "wrong kind": (put("module", "config", "n_experts", value="2"), r"n_experts is '2', expected an integer"),
    "more experts than there are": (
        put("module", "config", "n_experts", value=3),
        r"adapter\.weight has the shape \(2, 2\) in",
    ),
    "as many as no machine holds": (
        put("module", "config", "n_experts", value=10**15),
        r"adapter\.weight has the shape \(2, 2\)",
    ),
    "more than a number holds": (put("module", "config", "n_experts", value=10**30), r"broken"),
    "unknown engine": (put("module", "config", "engine", value="natve"), r"Unknown engine 'natve'"),
    "unknown kind of value": (
        put("module", "config", "shots", value={"pickle": "x"}),
        r"Unknown kind of value 'pickle'",
    ),
    "two kinds of value": (put("module", "config", "shots", value={"a": 1, "b": 2}), r"there are 2: a, b"),
    "tensor that is missing": (
        put("module", "config", "shots", value={"tensor": "config:x"}),
        r"tensor 'config:x' is missing",
    ),
    "circuit of a newer version": (put(*CIRCUIT, "version", value=9), r"circuit is written in version 9"),
    "circuit of millions of gates": (put(*CIRCUIT, "n_layers", value=10**7), r"beyond 1000000 gates"),
    "circuit of many qubits": (put(*CIRCUIT, "n_qubits", value=10**7), r"beyond 1000000 gates"),
    "circuit that is none": (put(*CIRCUIT[:-1], value={"circuit": 3}), r"a circuit is '3'"),
    "frozen parameter that is not there": (put("frozen", value=["nowhere"]), r"nowhere"),
    "mode that is none": (put("training", value="yes"), r"modules that there are not"),
    "mode of no module": (put("training", value=["nowhere"]), r"modules that there are not"),
    "no module": (put("module", value=None), r"described by its class and its config"),
    "line feeds in names": (put("module", "class", value="a\nb\x1b[31m"), r"Unknown class"),
}


@pytest.mark.parametrize(("change", "message"), CHANGED.values(), ids=CHANGED.keys())
def test_a_changed_description_is_told_in_one_line(change, message: str, tmp_path: Path) -> None:
    tensors, description = parts_of(router(), tmp_path)
    change(description)
    path = written(tmp_path, tensors, description)
    begun = time.monotonic()
    with pytest.raises(qmoe.ConfigError, match=message) as caught:
        qmoe.load(path)
    assert time.monotonic() - begun < 5
    text = str(caught.value)
    assert text.startswith(f"{path} cannot be loaded: ")
    assert "\n" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, "{}", '{"version": true}', "null"])
def test_what_is_no_description_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    tensors, _ = parts_of(router(), tmp_path)
    with pytest.raises(qmoe.ConfigError, match=r"strange\.safetensors cannot be loaded: [^\n]+$"):
        qmoe.load(written(tmp_path, tensors, text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("quantum.weights"), r"quantum\.weights has the shape None in the file"),
        (lambda t: t.update(more=torch.ones(2)), r"more has the shape \(2,\) in the file, and None by its description"),
        (
            lambda t: t.update({"quantum.weights": torch.ones(3, 2)}),
            r"the shape \(3, 2\) in the file, and \(3, 2, 3\) by",
        ),
        (
            lambda t: t.update({"adapter.bias": torch.ones(2, dtype=torch.int64)}),
            r"adapter\.bias is torch\.int64 in the file",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_description_are_named(change, message: str, tmp_path: Path) -> None:
    tensors, description = parts_of(router(), tmp_path)
    change(tensors)
    with pytest.raises(qmoe.ConfigError, match=message):
        qmoe.load(written(tmp_path, tensors, description))


def test_a_span_of_more_functions_than_the_file_has_numbers_is_not_built(tmp_path: Path) -> None:
    twin = TwinRouter(qmoe.Circuit(2, 3), 2, generator=generator())
    tensors, description = parts_of(twin, tmp_path)
    description["module"]["config"]["circuit"]["circuit"] |= {"n_qubits": 20, "in_features": 20}
    begun = time.monotonic()
    with pytest.raises(qmoe.ConfigError, match=r"cannot be loaded"):
        qmoe.load(written(tmp_path, tensors, description))
    assert time.monotonic() - begun < 5


def test_a_sample_of_more_functions_than_there_are_numbers_is_not_drawn(tmp_path: Path) -> None:
    tensors, description = parts_of(TwinRouter(qmoe.Circuit(2, 3), 2, sampling=Sampling(4)), tmp_path)
    description["module"]["config"]["sampling"]["dict"]["n_functions"] = 10**12
    with pytest.raises(qmoe.ConfigError, match=r"weight has the shape \(2, 4\)"):
        qmoe.load(written(tmp_path, tensors, description))


def test_a_twin_whose_functions_stand_in_another_order_is_refused(tmp_path: Path) -> None:
    tensors, description = parts_of(TwinRouter(qmoe.Circuit(2, 3), 2), tmp_path)
    description["module"]["config"]["functions"] = "8 functions 0123456789ab"
    with pytest.raises(qmoe.ConfigError, match=r"was written with 8 functions 0123456789ab.*other functions"):
        qmoe.load(written(tmp_path, tensors, description))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("features", 8, r"features holds numbers outside of 0 to 7"),
        ("features", -1, r"features holds numbers outside"),
        ("waves", 2**30, r"waves holds numbers outside of 0 to 131072"),
    ],
)
def test_products_of_features_that_there_are_not_are_refused(
    name: str, value: int, message: str, tmp_path: Path
) -> None:
    small = qmoe.distill(qmoe.QuantumRouter(8, 2, n_layers=1, generator=generator()), max_weight=3)
    tensors, description = parts_of(small, tmp_path)
    tensors[f"config:products.{name}"][3, 0] = value
    with pytest.raises(qmoe.ConfigError, match=message):
        qmoe.load(written(tmp_path, tensors, description))


def test_any_changed_byte_gives_a_module_or_an_error_of_one_line(tmp_path: Path) -> None:
    moe = qmoe.MixtureOfExperts(router(), qmoe.MLPExperts(2, 2, n_experts=2, hidden=3), head=nn.Linear(2, 2))
    path, draw = tmp_path / "moe.safetensors", random.Random(0)
    qmoe.save(moe, path)
    content = path.read_bytes()
    loaded, messages = 0, []
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 1, 3))):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path.write_bytes(changed[: draw.choice((len(changed), len(changed), draw.randrange(len(changed))))])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loaded += isinstance(qmoe.load(path), nn.Module)
            except qmoe.QMoEError as error:
                messages.append(str(error))
    assert [message for message in messages if "\n" in message] == []
    assert 10 < loaded < 290


def test_weights_without_a_description_are_told_apart_with_the_way_to_load_them(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(router().state_dict(), path)
    with pytest.raises(
        qmoe.ConfigError, match=r"qmoe\.save did not write it.*load_state_dict\(safetensors\.torch\.load_file"
    ):
        qmoe.load(path)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "router.pt"
    torch.save(router(), path)
    with pytest.raises(qmoe.ConfigError, match=r"router\.pt cannot be loaded: it is broken"):
        qmoe.load(path)


def test_a_missing_file_a_folder_and_a_pipe_are_errors_of_the_system(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", ".", "pipe"):
        with pytest.raises(OSError, match=r"No such file|regular file"):
            qmoe.load(tmp_path / name)


def test_a_folder_in_place_of_the_file_is_told_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with pytest.raises(IsADirectoryError, match=r"it is a folder, expected the name of a file: '.*models'"):
        qmoe.save(qmoe.LinearRouter(2, 2), tmp_path / "models")
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_device_that_is_not_there_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(qmoe.ConfigError, match=r"device is 'cuda:99', which cannot be used here"):
        qmoe.load(tmp_path / "missing", device="cuda:99")
