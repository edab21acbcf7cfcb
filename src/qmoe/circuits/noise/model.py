"""Noise as part of what a circuit is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qmoe.circuits.noise.channel import Channel
from qmoe.circuits.noise.placement import OverRotation, Placed
from qmoe.circuits.noise.source_device import SourceDevice
from qmoe.errors import ConfigError, unknown

PLACEMENTS = ("block", "gate")
DEPHASINGS = ("none", "encoding", "layers", "all")
AXES = ("X", "Y", "Z")


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Noise of a circuit: depolarizing at one strength, other channels at their places, full dephasing as an ablation.

    Depolarizing: with probability p a qubit suffers X, Y or Z, each with p/3 (PennyLane's convention). ``p = 3/4`` mixes
    the qubit fully; the channel shrinks its Bloch vector by ``1 - 4p/3``.

    Dephasing has no strength: it takes away all coherence between the eigenstates of one Pauli operator of every qubit.
    Of the Pauli words of the state those are left that have nothing but I and that operator. Along Z these eigenstates are
    the computational basis, and what is left of the state is a distribution over bit strings. What that does depends on
    the circuit and on the axis:

    * One upload by RX turns the Bloch vector of a qubit to ``(0, -sin x, cos x)``. Dephasing along Z leaves ``cos x``,
      along Y ``sin x``, along X nothing: read-outs are constant. After RY it is ``(sin x, 0, cos x)``; after RZ, which
      acts on ``H|0>``, ``(cos x, sin x, 0)``. `qmoe.routers.dephased_ranks` counts the functions that each axis leaves.
    * With ``"all"`` along Z a circuit is a Markov chain on bit strings: each layer U acts as the matrix ``|U_ij|^2``.
    * After the last layer there is none. Along Z it would change nothing, since read-outs are diagonal; along X or Y it
      would take away all that is measured. So a single layer has none between.

    Where both channels stand at one place the depolarizing one comes first. The order makes no difference: both are
    mixtures of Pauli errors, and such channels commute.

    Other channels stand behind these two where they share a place, in the order in which they are listed; errors of the
    measurement come last of all. The sum of two models has the channels of both.

    Args:
        depolarizing: the probability p, between 0 and 1.
        placement: ``"block"``: on every qubit after each encoding and again after the layers that follow it (what the
            paper's notebook does); ``"gate"``: after every gate, on the wires it acts on (what its text says). It places
            the depolarizing channel alone.
        dephasing: ``"none"``; ``"encoding"``: every qubit after each upload of the features; ``"layers"``: every qubit
            between trainable layers, that is after each but the last, however many gates a layer has; ``"all"``: both.
        dephasing_axis: ``"X"``, ``"Y"`` or ``"Z"``: the operator between whose eigenstates coherence is taken away.
        channels: further channels with their places.
        device: what it was taken from, where `from_ibm` made it: circuits are then in the gates of that device.

    Raises:
        ConfigError: for a probability outside [0, 1], an unknown placement, dephasing or axis, an axis other than Z
            without dephasing, or a channel without a place.

    Example:
        >>> from qmoe.circuits import AmplitudeDamping, ReadoutError
        >>> noise = NoiseModel(channels=[AmplitudeDamping(0.02).after("two_qubit_gate")])
        >>> len((noise + NoiseModel(channels=[ReadoutError(0.01).before_readout()])).channels)
        2
    """

    depolarizing: float = 0.0
    placement: str = "block"
    dephasing: str = "none"
    dephasing_axis: str = "Z"
    channels: tuple[Placed, ...] = ()
    device: SourceDevice | None = field(default=None, hash=False)  # models without one hash as ever

    def __post_init__(self) -> None:
        p = self.depolarizing
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not math.isfinite(p) or not 0 <= p <= 1:
            raise ConfigError(
                f"depolarizing={p!r} is not a probability: expected a number from 0 to 1 (0.75 mixes fully)."
            )
        object.__setattr__(self, "depolarizing", float(p))
        if self.placement not in PLACEMENTS:
            raise unknown("noise placement", self.placement, PLACEMENTS)
        if self.dephasing not in DEPHASINGS:
            raise unknown("dephasing", self.dephasing, DEPHASINGS)
        if self.dephasing_axis not in AXES:
            raise unknown("dephasing axis", self.dephasing_axis, AXES)
        if self.dephasing_axis != "Z" and self.dephasing == "none":
            raise ConfigError(
                f"dephasing_axis={self.dephasing_axis!r} was given, but dephasing is 'none', so nothing is dephased; set "
                "dephasing='encoding', 'layers' or 'all', or drop dephasing_axis."
            )
        object.__setattr__(self, "channels", _placed(self.channels))
        if self.device is not None and not isinstance(self.device, SourceDevice):
            raise ConfigError(f"device is {self.device!r}, expected a SourceDevice; NoiseModel.from_ibm makes both.")

    @classmethod
    def from_ibm(cls, backend: Any, qubits: Iterable[int] | None = None) -> NoiseModel:
        """The noise of a device of IBM, from a snapshot that comes with qiskit-ibm-runtime: nothing is downloaded.

        It holds what qiskit-aer's ``NoiseModel.from_backend`` holds: an error for each gate and qubits, with the relaxation
        while the gate lasts, and an error of each measurement. Circuits with it are in the gates of the device;
        `qmoe.interop.on_device` compiles them.

        Args:
            backend: the name of a snapshot, such as ``"fake_manila"``, or a backend object of Qiskit.
            qubits: numbers on the device of the wires, by default all that it has.

        Raises:
            ConfigError: for an unknown name or qubit, or numbers that contradict what the device reports.
            UnsupportedError: where Qiskit is missing: ``pip install 'qmoe[ibm]'``.

        Example:
            >>> NoiseModel.from_ibm("fake_manila", qubits=(0, 1)).device.gates
            ('CNOT', 'PauliX', 'RZ', 'SX')
        """
        from qmoe.circuits.noise.ibm_noise import ibm_noise

        return ibm_noise(backend, qubits)

    def __add__(self, other: NoiseModel) -> NoiseModel:
        """The channels of both, those of this one first.

        Raises:
            ConfigError: where both have full dephasing, depolarizing of their own, or different devices.
        """
        if not isinstance(other, NoiseModel):
            return NotImplemented
        if self.dephasing != "none" and other.dephasing != "none":
            raise ConfigError("Both models dephase fully; give one dephasing='none'.")
        if self.depolarizing and other.depolarizing:
            raise ConfigError(
                "Both models have a depolarizing strength, and a circuit has one; write one of them as a channel: "
                "NoiseModel(channels=[Depolarizing(p).after('gate')])."
            )
        if self.device is not None and other.device not in (None, self.device):
            raise ConfigError(
                f"The models are those of {self.device.name} and of {other.device.name}; take one of them."
            )
        # At strength 0 too, as where strengths are to be swept, a placement that somebody chose is kept.
        strong = other if other.depolarizing or (not self.depolarizing and self.placement == PLACEMENTS[0]) else self
        dephasing = other if other.dephasing != "none" else self
        return NoiseModel(
            strong.depolarizing,
            strong.placement,
            dephasing.dephasing,
            dephasing.dephasing_axis,
            self.channels + other.channels,
            self.device or other.device,
        )

    def __repr__(self) -> str:
        # Without the usual axis, as ever: a ``state_dict`` records the noise by this text.
        axis = "" if self.dephasing_axis == "Z" else f", dephasing_axis={self.dephasing_axis!r}"
        channels = f", channels={list(self.channels)!r}" if self.channels else ""
        if self.device is not None:  # of which there are many, with matrices
            digest = hashlib.sha256(channels.encode()).hexdigest()[:12]
            channels = (
                f", device={self.device.name!r}, qubits={self.device.qubits}, channels={len(self.channels)}:{digest}"
            )
        return (
            f"NoiseModel(depolarizing={self.depolarizing!r}, placement={self.placement!r}, "
            f"dephasing={self.dephasing!r}{axis}{channels})"
        )

    @property
    def dephases_encoding(self) -> bool:
        """Whether all qubits are dephased after each upload."""
        return self.dephasing in ("encoding", "all")

    @property
    def dephases_layers(self) -> bool:
        """Whether all qubits are dephased between layers."""
        return self.dephasing in ("layers", "all")


def _placed(channels: object) -> tuple[Placed, ...]:
    if not isinstance(channels, Iterable):
        raise ConfigError(f"channels is {channels!r}, expected a list such as [BitFlip(0.01).after('gate')].")
    listed = tuple(channels)
    for one in listed:
        if isinstance(one, Channel | OverRotation):
            raise ConfigError(
                f"{one!r} has no place; say where it strikes, such as {type(one).__name__}(...).after('gate')."
            )
        if not isinstance(one, Placed):
            raise ConfigError(
                f"channels holds {one!r}, expected a channel with its place: BitFlip(0.01).after('gate')."
            )
    return listed


def as_noise(noise: float | NoiseModel | None) -> NoiseModel | None:
    """Returns ``noise`` itself, or a `NoiseModel` of that depolarizing probability.

    Example:
        >>> from qmoe.circuits import as_noise
        >>> as_noise(0.05).depolarizing
        0.05
    """
    return noise if noise is None or isinstance(noise, NoiseModel) else NoiseModel(noise)
