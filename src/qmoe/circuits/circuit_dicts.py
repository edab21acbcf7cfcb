"""Circuits as plain dictionaries, which JSON can hold, and back."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qmoe.circuits.angles.expressions import Angle, Computed, Expression, Factor, Feature, Weight, as_angle
from qmoe.circuits.angles.named_functions import function_named, name_of
from qmoe.circuits.angles.traced import AngleFunction
from qmoe.circuits.ansatze import ANSATZE, Ansatz, CustomAnsatz
from qmoe.circuits.encodings import ENCODINGS
from qmoe.circuits.gates import Dephase, Depolarize, Disturb, Gate, Operation, Prepare
from qmoe.circuits.noise import Channel, NoiseModel
from qmoe.circuits.noise.noise_dicts import channel_from_dict, channel_to_dict, noise_from_dict, noise_to_dict
from qmoe.circuits.readouts import READOUTS, Hamiltonian, Parity, Pauli, Probs, Readout, Readouts
from qmoe.errors import ConfigError, UnsupportedError, did_you_mean, unknown

if TYPE_CHECKING:
    from qmoe.circuits.circuit import Circuit

FORMAT, VERSION = "qmoe.circuit", 1

_READOUTS: dict[str, type[Readout]] = {**READOUTS, "pauli": Pauli, "probs": Probs, "parity": Parity}
_ANSATZE: dict[str, type[Ansatz]] = {**ANSATZE}
_LETTERS: dict[type[Factor], str] = {Feature: "x", Weight: "w", Computed: "a"}
_FACTOR = re.compile(r"([xwa])(\d+)")


def circuit_to_dict(circuit: Circuit) -> dict[str, Any]:
    """The circuit as dictionaries, lists, texts and numbers.

    Raises:
        UnsupportedError: for an encoding, ansatz or read-out of a class of your own, or angles by one.
    """
    data: dict[str, Any] = {"format": FORMAT, "version": VERSION, "n_qubits": circuit.n_qubits}
    data["in_features"] = circuit.in_features
    data["readout"] = _readout_data(circuit.readout)
    data["noise"] = None if circuit.noise is None else noise_to_dict(circuit.noise)
    if circuit.body is None:
        n_layers, encoding, ansatz = circuit.template
        data |= {"n_layers": n_layers, "encoding": _options("encoding", encoding, ENCODINGS)}
        data["ansatz"] = (
            {"name": "custom", "gates": [_operation_data(gate) for gate in ansatz.gates]}
            if type(ansatz) is CustomAnsatz
            else _options("ansatz", ansatz, _ANSATZE)
        )
        return data
    if circuit.body.function is not None:
        data["angles"] = _function_data(circuit.body.function)
    data["weight_shape"] = list(circuit.weight_shape)
    data["operations"] = [_operation_data(op) for op in circuit.body.operations]
    if circuit.body.is_noisy:
        data["is_noisy"] = True
    return data


def circuit_from_dict(cls: type[Circuit], data: Any) -> Circuit:
    """The circuit that a dictionary describes, checked like one that code describes.

    Raises:
        ConfigError: for another format or version, keys that are unknown or missing, or values that make no circuit.
    """
    data = _mapping("A circuit", data)
    if data.get("format") != FORMAT:
        raise ConfigError(
            f"The dictionary has format {data.get('format')!r}, expected {FORMAT!r}: what Circuit.to_dict gives."
        )
    if data.get("version") != VERSION:
        raise ConfigError(
            f"The circuit is written in version {data.get('version')!r}, and this qmoe reads version {VERSION}; read it "
            "with the qmoe that wrote it, or a newer one."
        )
    common = ("format", "version", "n_qubits", "in_features", "readout", "noise")
    if "operations" not in data:
        _keys("A circuit made from a template", data, (*common, "n_layers", "encoding", "ansatz"))
        return cls(
            n_qubits=data["n_qubits"],
            n_layers=data["n_layers"],
            encoding=_part("encoding", data["encoding"], ENCODINGS),
            ansatz=_ansatz(data["ansatz"]),
            readout=_readout(data["readout"]),
            noise=_noise(data["noise"]),
            in_features=data["in_features"],
        )
    _keys("A circuit made of operations", data, (*common, "weight_shape", "operations"), ("is_noisy", "angles"))
    weight_shape = tuple(_natural("weight_shape", n) for n in _list("weight_shape", data["weight_shape"]))
    circuit = cls.from_operations(
        [_operation(place, op) for place, op in enumerate(_list("operations", data["operations"]))],
        n_qubits=data["n_qubits"],
        readout=_readout(data["readout"]),
        noise=_noise(data["noise"]),
        in_features=data["in_features"],
        weight_shape=weight_shape,
        angles=_function(data["angles"], data["in_features"], weight_shape) if "angles" in data else None,
    )
    if not data.get("is_noisy", False):
        return circuit
    assert circuit.body is not None
    return dataclasses.replace(circuit, body=dataclasses.replace(circuit.body, is_noisy=True))


def _options(what: str, part: Any, known: Mapping[str, type[Any]]) -> dict[str, Any]:
    if known.get(part.name) is not type(part):
        raise UnsupportedError(
            f"The {what} {type(part).__name__} is a class of your own, which a dictionary cannot hold; pickle the circuit."
        )
    return {"name": part.name, **{f.name: _listed(getattr(part, f.name)) for f in dataclasses.fields(part)}}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _readout_data(readout: Readout) -> dict[str, Any]:
    if type(readout) is Readouts:
        return {"name": "list", "parts": [_readout_data(part) for part in readout.parts]}
    if type(readout) is Hamiltonian:
        return {"name": "hamiltonian", "coeffs": list(readout.coeffs), "words": list(readout.word_texts)}
    return _options("read-out", readout, _READOUTS)


def _operation_data(op: Operation) -> dict[str, Any]:
    if isinstance(op, Gate):
        return {"gate": op.name, "wires": list(op.wires), "angles": [_angle_data(angle) for angle in op.angles]}
    if isinstance(op, Prepare):
        return {"prepare": op.n_wires}
    if isinstance(op, Depolarize):
        return {"depolarize": list(op.wires)}
    if isinstance(op, Disturb):
        return {"disturb": list(op.wires), "channel": channel_to_dict(op.channel)}
    return {"dephase": list(op.wires), "axis": op.axis}


def _function_data(function: AngleFunction) -> dict[str, Any]:
    name = name_of(function)
    if name is None:
        raise UnsupportedError(
            "The circuit has angles by a function of your own, which a dictionary cannot hold; write the angles as sums and "
            "products of Feature and Weight, or pickle the circuit."
        )
    return {"name": name, "n_angles": function.n_angles}


def _function(data: Any, in_features: Any, weight_shape: tuple[int, ...]) -> AngleFunction:
    where = "The function of angles"
    data = _mapping(where, data)
    _keys(where, data, ("name", "n_angles"))
    sizes = _natural(where, in_features), _natural(where, data["n_angles"]), math.prod(weight_shape)
    return function_named(data["name"], *sizes)


def _factor_text(factor: Factor) -> str:
    return f"{_LETTERS[type(factor)]}{factor.index}"


def _angle_data(angle: Angle) -> Any:
    if isinstance(angle, Feature | Weight | Computed):
        return _factor_text(angle)
    if isinstance(angle, Expression):
        return [[coefficient, [_factor_text(factor) for factor in factors]] for coefficient, factors in angle.terms]
    return angle


def _readout(data: Any) -> Readout:
    data = _mapping("A read-out", data)
    if data.get("name") == "list":
        _keys("A list of read-outs", data, ("name", "parts"))
        return Readouts(tuple(_readout(part) for part in _list("parts", data["parts"])))
    if data.get("name") == "hamiltonian":
        _keys("The read-out hamiltonian", data, ("name", "coeffs", "words"))
        return Hamiltonian(_list("coeffs", data["coeffs"]), _list("words", data["words"]))
    part: Readout = _part("read-out", data, _READOUTS)
    return part


def _ansatz(data: Any) -> Ansatz:
    data = _mapping("An ansatz", data)
    if data.get("name") != "custom":
        part: Ansatz = _part("ansatz", data, _ANSATZE)
        return part
    _keys("The ansatz custom", data, ("name", "gates"))
    listed = [_operation(place, op) for place, op in enumerate(_list("gates", data["gates"]))]
    return CustomAnsatz(tuple(listed))  # type: ignore[arg-type]  # it refuses what is no gate


def _part(what: str, data: Any, known: Mapping[str, type[Any]]) -> Any:
    data = _mapping(f"The {what}", data)
    name = data.get("name")
    if not isinstance(name, str) or name not in known:
        raise unknown(what, name, known)
    names = tuple(f.name for f in dataclasses.fields(known[name]))
    _keys(f"The {what} {name}", data, ("name", *names))
    return known[name](**{key: tuple(v) if isinstance(v := data[key], list) else v for key in names})


def _noise(data: Any) -> NoiseModel | None:
    if data is None:
        return None
    return noise_from_dict(_mapping("The noise", data))


def _operation(place: int, data: Any) -> Operation:
    where = f"Operation {place}"
    data = _mapping(where, data)
    if "gate" in data:
        _keys(where, data, ("gate", "wires", "angles"))
        angles = [_angle(where, angle) for angle in _list(f"{where}: angles", data["angles"])]
        return Gate(data["gate"], tuple(_list(f"{where}: wires", data["wires"])), tuple(angles))
    if "prepare" in data:
        _keys(where, data, ("prepare",))
        return Prepare(_natural(where, data["prepare"]))
    if "depolarize" in data:
        _keys(where, data, ("depolarize",))
        return Depolarize(_wires(where, data["depolarize"]))
    if "disturb" in data:
        _keys(where, data, ("disturb", "channel"))
        channel = channel_from_dict(_mapping(where, data["channel"]))
        if not isinstance(channel, Channel):
            raise ConfigError(f"{where} is {channel.name}, which is no channel but changes gates.")
        return Disturb(channel, _wires(where, data["disturb"]))
    _keys(where, data, ("dephase", "axis"))
    if data["axis"] not in ("X", "Y", "Z"):
        raise unknown("dephasing axis", data["axis"], ("X", "Y", "Z"))
    return Dephase(_wires(where, data["dephase"]), data["axis"])


def _angle(where: str, data: Any) -> Angle:
    if isinstance(data, str):
        return _factor(where, data)
    if not isinstance(data, list):
        return as_angle(where, data)
    total: Any = 0.0
    for term in data:
        if not isinstance(term, list) or len(term) != 2 or not isinstance(term[1], list):
            raise ConfigError(f"{where} has the term {term!r} in an angle, expected [2.0, ['x0', 'w1']] for 2*x0*w1.")
        product: Any = as_angle(where, term[0])
        for factor in term[1]:
            product = product * _factor(where, factor)
        total = total + product
    return as_angle(where, total)


def _factor(where: str, text: Any) -> Factor:
    match = _FACTOR.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{where} has {text!r} in an angle, expected 'x0' for a feature or 'w0' for a weight.")
    return next(kind for kind, letter in _LETTERS.items() if letter == match[1])(int(match[2]))


def _wires(where: str, data: Any) -> tuple[int, ...]:
    return tuple(_natural(where, wire) for wire in _list(f"{where}: wires", data))


def _natural(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{where} has {value!r}, expected a non-negative integer.")
    return value


def _mapping(what: str, data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{what} is {data!r}, expected a dictionary such as Circuit.to_dict gives.")
    return data


def _list(what: str, data: Any) -> list[Any]:
    if not isinstance(data, list | tuple):
        raise ConfigError(f"{what} is {data!r}, expected a list.")
    return list(data)


def _keys(what: str, data: Mapping[str, Any], needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    known = (*needed, *optional)
    for key in data:
        if key not in known:
            raise ConfigError(f"{what} has the unknown key {key!r}{did_you_mean(key, known)}")
    missing = [key for key in needed if key not in data]
    if missing:
        raise ConfigError(f"{what} lacks {', '.join(map(repr, missing))}.")
