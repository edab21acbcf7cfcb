"""What a circuit is: frozen, hashable descriptions that execute nothing."""

from qmoe.circuits.angles.expressions import Angle, Computed, Expression, Feature, Weight, angle_value
from qmoe.circuits.angles.traced import AngleFunction
from qmoe.circuits.ansatze import (
    ANSATZE,
    Ansatz,
    BasicEntangler,
    CustomAnsatz,
    NoEntangler,
    StronglyEntangling,
    as_ansatz,
)
from qmoe.circuits.circuit import Body, Circuit
from qmoe.circuits.circuit_spec import CircuitSpec
from qmoe.circuits.encodings import ENCODINGS, AmplitudeEncoding, AngleEncoding, Encoding, as_encoding
from qmoe.circuits.gates import GATES, Dephase, Depolarize, Gate, Operation, Prepare
from qmoe.circuits.noise import NoiseModel, as_noise
from qmoe.circuits.paulis import Sum, Word, as_word, word_text
from qmoe.circuits.readouts import (
    READOUTS,
    Born,
    Expval,
    Hamiltonian,
    Parity,
    Pauli,
    Probs,
    Readout,
    Readouts,
    as_readout,
)

__all__ = [
    "ANSATZE",
    "ENCODINGS",
    "GATES",
    "READOUTS",
    "AmplitudeEncoding",
    "Angle",
    "AngleEncoding",
    "AngleFunction",
    "Ansatz",
    "BasicEntangler",
    "Body",
    "Born",
    "Circuit",
    "CircuitSpec",
    "Computed",
    "CustomAnsatz",
    "Dephase",
    "Depolarize",
    "Encoding",
    "Expression",
    "Expval",
    "Feature",
    "Gate",
    "Hamiltonian",
    "NoEntangler",
    "NoiseModel",
    "Operation",
    "Parity",
    "Pauli",
    "Prepare",
    "Probs",
    "Readout",
    "Readouts",
    "StronglyEntangling",
    "Sum",
    "Weight",
    "Word",
    "angle_value",
    "as_ansatz",
    "as_encoding",
    "as_noise",
    "as_readout",
    "as_word",
    "word_text",
]
