"""Packages that are imported on use, and what cannot be converted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from qmoe.circuits import Circuit
from qmoe.errors import ConfigError, UnsupportedError


def check_circuit(circuit: Any) -> None:
    """Raises `ConfigError` for anything but a circuit."""
    if not isinstance(circuit, Circuit):
        raise ConfigError(
            f"Got a {type(circuit).__name__}, expected a qmoe.Circuit; of a layer or router give its .circuit."
        )


class Trouble(NamedTuple):
    """What cannot be converted: where it stands, why, and what to do about it."""

    place: str
    reason: str
    remedy: str = ""


def refuse(source: str, troubles: Sequence[Trouble]) -> UnsupportedError:
    """One error for all that cannot be converted."""
    shown = "; ".join(f"{trouble.place}: {trouble.reason}" for trouble in troubles)
    remedies = dict.fromkeys(trouble.remedy for trouble in troubles if trouble.remedy)
    return UnsupportedError(" ".join([f"{source} cannot be converted. {shown}.", *remedies]))


#: What to do about an angle that is no polynomial; one place for it.
NOT_POLYNOMIAL = (
    "Angles are polynomials in inputs and weights, or in a QNode functions by torch's operations: compute others before the "
    "layer and give their results as inputs."
)
#: What to do about operations that follow a measurement or read classical bits.
CLASSICAL = "Circuits here have no classical bits: measure at the end alone, or write out each case as a circuit."
