"""What modules are made of, as plain data that JSON can hold, and back.

Numbers, texts, None and lists stay as they are. Everything else is a dictionary with one key that says what it is: a module,
a circuit, a tensor (which stands in the file beside the weights), or a dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from qmoe.circuits import Circuit
from qmoe.errors import ConfigError, QMoEError, UnsupportedError, unknown
from qmoe.layers import Stackable
from qmoe.saving.known import KNOWN
from qmoe.saving.torch_parts import TORCH_PARTS, torch_config, torch_module

#: What names of tensors begin with that belong to the configuration, so that no weight has such a name.
CONFIG_TENSOR = "config:"
#: Gates of a circuit at most, as its description counts them before any is made.
MAX_GATES = 1_000_000
#: Terms of one angle at most; adding one up takes as long as there are terms already.
MAX_TERMS = 10_000

_KEEP = "keep it by torch.save(module, path) or pickle, beside the code of yours."


def encode_module(module: nn.Module, tensors: dict[str, Tensor], where: str = "") -> dict[str, Any]:
    """A module as its class and what that was made of.

    Args:
        module: of a class of `KNOWN`.
        tensors: gets the tensors of the configuration, by name.
        where: the module stands, for names and messages.

    Raises:
        UnsupportedError: for a class that is not known, and for what no file holds, such as a function.
    """
    kind = type(module)
    name = next((name for name, cls in KNOWN.items() if cls is kind), None)
    place = f" at {where!r}" if where else ""
    if name is None:
        raise UnsupportedError(
            f"save writes modules of qmoe, and some of torch around them, and the module{place} is of the class "
            f"{kind.__module__}.{kind.__qualname__}; {_KEEP}"
        )
    try:
        config = module.config() if isinstance(module, Stackable) else torch_config(module)
    except QMoEError as error:
        raise UnsupportedError(f"The {name}{place} cannot be saved: {error}") from error
    prefix = f"{where}." if where else ""
    values = {key: _encode(value, tensors, f"{prefix}{key}") for key, value in config.items()}
    return {"class": name, "config": values}


def _encode(value: Any, tensors: dict[str, Tensor], where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise UnsupportedError(f"{where} is {value!r}, which JSON cannot hold; give a finite number.")
    if isinstance(value, nn.Module):
        return {"module": encode_module(value, tensors, where)}
    if isinstance(value, Circuit):
        try:
            return {"circuit": value.to_dict()}
        except UnsupportedError as error:
            reason = str(error).removesuffix("; pickle the circuit.").removesuffix(".")
            raise UnsupportedError(f"{where} cannot be saved: {reason}; {_KEEP}") from error
    if isinstance(value, Tensor):
        tensors[f"{CONFIG_TENSOR}{where}"] = value
        return {"tensor": f"{CONFIG_TENSOR}{where}"}
    if isinstance(value, list | tuple):
        return [_encode(part, tensors, f"{where}.{place}") for place, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _encode(part, tensors, f"{where}.{key}") for key, part in value.items()}}
    raise UnsupportedError(f"{where} is a {type(value).__name__}, which no file holds; {_KEEP}")


def decode_module(data: Any, tensors: Mapping[str, Tensor], n_numbers: int) -> nn.Module:
    """The module that `encode_module` wrote, without memory for its weights.

    Args:
        data: the class and what it was made of.
        tensors: those of the configuration.
        n_numbers: how many numbers the file holds; a module takes no more.

    Raises:
        ConfigError: for what does not describe a module.
    """
    if not isinstance(data, dict) or set(data) != {"class", "config"} or not isinstance(data["config"], dict):
        raise ConfigError("a module is described by its class and its config, and something else stands there")
    name = data["class"]
    if not isinstance(name, str) or name not in KNOWN:
        raise unknown("class", name, KNOWN)
    config = {key: _decode(value, tensors, n_numbers) for key, value in data["config"].items()}
    kind = KNOWN[name]
    if name in TORCH_PARTS:
        return torch_module(kind, config, "meta")
    assert issubclass(kind, Stackable)
    # What is drawn is replaced by what the file holds, so it is drawn from a generator of its own.
    making = {"device": "meta", "dtype": torch.float32, "generator": torch.Generator()}
    return kind.from_config(config, **making, max_functions=max(1, n_numbers))


def _decode(value: Any, tensors: Mapping[str, Tensor], n_numbers: int) -> Any:
    if isinstance(value, list):
        return [_decode(part, tensors, n_numbers) for part in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ConfigError(f"a value says in one key what it is, and there are {len(value)}: {', '.join(value)[:80]}")
    ((kind, content),) = value.items()
    if kind == "module":
        return decode_module(content, tensors, n_numbers)
    if kind == "circuit":
        _check_circuit(content)
        return Circuit.from_dict(content)
    if kind == "tensor":
        if content not in tensors:
            raise ConfigError(f"the tensor {content!r} is missing")
        return tensors[content]
    if kind == "dict":
        return {key: _decode(part, tensors, n_numbers) for key, part in content.items()}
    raise unknown("kind of value", kind, ("circuit", "dict", "module", "tensor"))


def _check_circuit(data: Any) -> None:
    """Refuses descriptions of a few numbers from which millions of gates, or of terms, would be made."""
    if not isinstance(data, dict):
        raise ConfigError(f"a circuit is {str(data)[:80]!r}, expected what Circuit.to_dict gives")
    n_layers, encoding, ansatz = data.get("n_layers", 0), data.get("encoding"), data.get("ansatz")
    uploads = encoding.get("uploads", 1) if isinstance(encoding, dict) else 1
    gates = ansatz.get("gates", ()) if isinstance(ansatz, dict) else ()
    n_gates = (n_layers + uploads) * (2 * data.get("n_qubits", 1) + len(gates))
    if n_gates > MAX_GATES:
        raise ConfigError(
            f"a circuit has {data.get('n_qubits')} qubits, {n_layers} layers and {uploads} uploads, beyond {MAX_GATES} gates"
        )
    for operation in (*data.get("operations", ()), *gates):
        for angle in operation.get("angles", ()):
            if isinstance(angle, list) and len(angle) > MAX_TERMS:
                raise ConfigError(f"an angle has {len(angle)} terms, expected {MAX_TERMS} at most")
