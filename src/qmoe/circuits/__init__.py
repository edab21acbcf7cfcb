"""What a circuit is: frozen, hashable descriptions that execute nothing."""

from qmoe.circuits.ansatze import (
    ANSATZE,
    Ansatz,
    BasicEntangler,
    CustomAnsatz,
    NoEntangler,
    StronglyEntangling,
    as_ansatz,
)
from qmoe.circuits.circuit import Circuit
from qmoe.circuits.circuit_spec import CircuitSpec
from qmoe.circuits.encodings import ENCODINGS, AmplitudeEncoding, AngleEncoding, Encoding, as_encoding
from qmoe.circuits.gates import GATES, Dephase, Depolarize, Feature, Gate, Operation, Prepare, Weight
from qmoe.circuits.noise import NoiseModel, as_noise
from qmoe.circuits.readouts import READOUTS, Born, Expval, Readout, as_readout

__all__ = [
    "ANSATZE",
    "ENCODINGS",
    "GATES",
    "READOUTS",
    "AmplitudeEncoding",
    "AngleEncoding",
    "Ansatz",
    "BasicEntangler",
    "Born",
    "Circuit",
    "CircuitSpec",
    "CustomAnsatz",
    "Dephase",
    "Depolarize",
    "Encoding",
    "Expval",
    "Feature",
    "Gate",
    "NoEntangler",
    "NoiseModel",
    "Operation",
    "Prepare",
    "Readout",
    "StronglyEntangling",
    "Weight",
    "as_ansatz",
    "as_encoding",
    "as_noise",
    "as_readout",
]
