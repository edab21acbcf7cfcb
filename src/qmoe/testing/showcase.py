"""Circuits that the conformance suite of engines runs in every shape."""

from __future__ import annotations

from qmoe.circuits import (
    AmplitudeDamping,
    AngleEncoding,
    BitFlip,
    Born,
    Circuit,
    Depolarizing,
    NoiseModel,
    Probs,
    Readout,
    ReadoutError,
    Readouts,
)

#: Batch shapes.
BATCHES = ((), (1,), (3,), (2, 2))
_PAIR, _MISREAD = Depolarizing(0.1, 2).after("two_qubit_gate"), ReadoutError(0.1, 0.2).before_readout()
#: Every part of a circuit once, and small enough to run all shapes on.
SHOWCASE = (
    Circuit(2, 3),
    Circuit(2, 2, AngleEncoding("Y", uploads=2), readout="born"),
    Circuit(2, 1, "amplitude", in_features=3),
    Circuit(2, 1, "amplitude", readout="born", noise=0.1),
    Circuit(2, 2, AngleEncoding("Z"), "basic_entangler", noise=NoiseModel(0.1, "gate")),
    Circuit(2, 3, AngleEncoding("X", uploads=2), noise=NoiseModel(dephasing="all")),
    Circuit(2, 2, noise=NoiseModel(dephasing="all", dephasing_axis="Y")),
    Circuit(2, 1, noise=NoiseModel(0.05, channels=(AmplitudeDamping(0.1, 0.2).after("layer"), _PAIR, _MISREAD))),
)
#: Noise of a strength, beside what else there can be.
NOISY = (
    Circuit(2, 2, noise=0.1),
    Circuit(2, 1, noise=NoiseModel(0.1, "gate")),
    Circuit(2, 2, noise=NoiseModel(0.1, dephasing="all")),
    Circuit(2, 2, noise=NoiseModel(0.1, channels=(BitFlip(0.1).after("gate"),))),
)


def asks_for_probabilities(readout: Readout) -> bool:
    """Whether a part of the read-out is made of probabilities."""
    parts = readout.parts if isinstance(readout, Readouts) else (readout,)
    return any(isinstance(part, Born | Probs) for part in parts)
