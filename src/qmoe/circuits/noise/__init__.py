"""Noise as part of what a circuit is: channels, where they strike, and models made of them."""

from qmoe.circuits.noise.channel import Channel
from qmoe.circuits.noise.channels import (
    CHANNELS,
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Depolarizing,
    Kraus,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    ThermalRelaxation,
)
from qmoe.circuits.noise.model import AXES, DEPHASINGS, PLACEMENTS, NoiseModel, as_noise
from qmoe.circuits.noise.placement import GATE_PLACES, PLACES, OverRotation, Placed
from qmoe.circuits.noise.readout_errors import ReadoutConfusion, ReadoutError
from qmoe.circuits.noise.source_device import SourceDevice

__all__ = [
    "AXES",
    "CHANNELS",
    "DEPHASINGS",
    "GATE_PLACES",
    "PLACEMENTS",
    "PLACES",
    "AmplitudeDamping",
    "BitFlip",
    "BitPhaseFlip",
    "Channel",
    "Depolarizing",
    "Kraus",
    "NoiseModel",
    "OverRotation",
    "PauliError",
    "PhaseDamping",
    "PhaseFlip",
    "Placed",
    "ReadoutConfusion",
    "ReadoutError",
    "SourceDevice",
    "ThermalRelaxation",
    "as_noise",
]
