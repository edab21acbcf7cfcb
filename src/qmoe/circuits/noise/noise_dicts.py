"""Noise models as plain dictionaries, which JSON and TOML can hold, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from qmoe.circuits.noise.channel import Channel
from qmoe.circuits.noise.channels import CHANNELS
from qmoe.circuits.noise.model import NoiseModel
from qmoe.circuits.noise.placement import OverRotation, Placed
from qmoe.circuits.noise.source_device import SourceDevice
from qmoe.errors import ConfigError, did_you_mean, unknown

_KINDS: dict[str, type[Channel] | type[OverRotation]] = {**CHANNELS, OverRotation.name: OverRotation}
#: Parts of a model that are left out where there is nothing.
_LEFT_OUT = ("channels", "device")
_PLACING = ("place", "wires", "gates")


def noise_to_dict(noise: NoiseModel) -> dict[str, Any]:
    """The model as dictionaries, lists, texts and numbers; a complex number is a pair.

    Raises:
        ConfigError: for a channel of a class of your own, which a dictionary cannot hold.
    """
    data = {f.name: getattr(noise, f.name) for f in dataclasses.fields(noise) if f.name not in _LEFT_OUT}
    if noise.channels:
        data["channels"] = [placed_to_dict(placed) for placed in noise.channels]
    if noise.device is not None:
        data["device"] = {part: _listed(value) for part, value in dataclasses.asdict(noise.device).items()}
    return data


def noise_from_dict(data: Mapping[str, Any]) -> NoiseModel:
    """The model that `noise_to_dict` wrote: equal to the one before.

    Raises:
        ConfigError: for unknown or missing keys, or values that make no model.
    """
    known = [f.name for f in dataclasses.fields(NoiseModel)]
    for key in data:
        if key not in known:
            raise ConfigError(f"The noise has the unknown key {key!r}{did_you_mean(key, known)}")
    missing = [key for key in known if key not in data and key not in _LEFT_OUT]
    if missing:
        raise ConfigError(f"The noise lacks {', '.join(map(repr, missing))}.")
    channels = data.get("channels", ())
    if not isinstance(channels, list | tuple):
        raise ConfigError(f"channels is {channels!r}, expected a list.")
    device = data.get("device")
    made = None if device is None else _device(device)
    return NoiseModel(**{**data, "channels": tuple(placed_from_dict(one) for one in channels), "device": made})


def _device(data: Any) -> SourceDevice:
    known = [f.name for f in dataclasses.fields(SourceDevice)]
    if not isinstance(data, Mapping) or sorted(data) != sorted(known):
        raise ConfigError(f"The device of the noise is {data!r}, expected a table of {', '.join(known)}.")
    try:
        return SourceDevice(**{part: _nested(value) for part, value in data.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The device of the noise makes none: {error}") from error


def placed_to_dict(placed: Placed) -> dict[str, Any]:
    """A channel with its place: ``{"channel": "bit_flip", "p": 0.01, "place": "gate"}``."""
    data = {**channel_to_dict(placed.channel), "place": placed.place}
    for part in ("wires", "gates"):
        if (value := getattr(placed, part)) is not None:
            data[part] = list(value)
    return data


def placed_from_dict(data: Any) -> Placed:
    """The channel that `placed_to_dict` wrote.

    Raises:
        ConfigError: for unknown or missing keys, or values that make no channel.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"A channel is {data!r}, expected a table such as {{channel = 'bit_flip', p = 0.01}}.")
    channel = channel_from_dict({key: value for key, value in data.items() if key not in _PLACING})
    if "place" not in data:
        raise ConfigError(f"The channel {channel.name} lacks 'place', such as 'gate' or 'readout'.")
    return Placed(channel, data["place"], data.get("wires"), data.get("gates"))


def channel_from_dict(data: Mapping[str, Any]) -> Channel | OverRotation:
    """A channel by its name and options.

    Raises:
        ConfigError: for an unknown name or option, or values that make no channel.
    """
    name = data.get("channel")
    if not isinstance(name, str) or name not in _KINDS:
        raise unknown("channel", name, _KINDS)
    kind = _KINDS[name]
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # all of `_KINDS` are dataclasses
    for key in data:
        if key != "channel" and key not in fields:
            raise ConfigError(f"The channel {name} has the unknown key {key!r}{did_you_mean(key, fields)}")
    missing = [key for key, f in fields.items() if key not in data and f.default is dataclasses.MISSING]
    if missing:
        raise ConfigError(f"The channel {name} lacks {', '.join(map(repr, missing))}.")
    options = {key: _nested(value) for key, value in data.items() if key != "channel"}
    if name == "kraus":
        options["operators"] = _complex(options["operators"])
    return kind(**options)


def channel_to_dict(channel: Channel | OverRotation) -> dict[str, Any]:
    """The name and the options of a channel; complex numbers as pairs.

    Raises:
        ConfigError: for one of a class of your own.
    """
    if _KINDS.get(channel.name) is not type(channel):
        raise ConfigError(
            f"The channel {type(channel).__name__} is a class of your own, which a dictionary cannot hold."
        )
    fields = dataclasses.fields(channel)  # type: ignore[arg-type]  # all of `_KINDS` are dataclasses
    return {"channel": channel.name, **{f.name: _listed(getattr(channel, f.name)) for f in fields}}


def _listed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_listed(part) for part in value]
    return [value.real, value.imag] if isinstance(value, complex) else value


def _nested(value: Any) -> Any:
    return tuple(_nested(part) for part in value) if isinstance(value, list | tuple) else value


def _complex(operators: Any) -> Any:
    try:
        return tuple(tuple(tuple(complex(*pair) for pair in row) for row in matrix) for matrix in operators)
    except (TypeError, ValueError) as error:
        raise ConfigError("The channel kraus has operators that are no matrices of pairs [real, imaginary].") from error
