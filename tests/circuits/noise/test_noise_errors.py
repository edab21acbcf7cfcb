"""What is refused of channels, places and models names the value, what was expected and the remedy."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    Channel,
    Circuit,
    Depolarizing,
    Disturb,
    Kraus,
    NoiseModel,
    OverRotation,
    PauliError,
    PhaseDamping,
    Placed,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
)
from qmoe.circuits.noise.noise_dicts import channel_from_dict, noise_from_dict, noise_to_dict, placed_from_dict
from qmoe.errors import ConfigError, QMoEError

PAIR, MISREAD, FAR = Depolarizing(0.1, 2), ReadoutError(0.1), OverRotation(0.1)
PLAIN = {"depolarizing": 0.0, "placement": "block", "dephasing": "none", "dephasing_axis": "Z"}


@dataclass(frozen=True)
class OwnFlip(Channel):
    name = "own_flip"

    def kraus(self) -> np.ndarray:
        return np.array([[[0, 1], [1, 0]]], dtype=complex)


CASES: list[tuple[Callable[[], object], str]] = [
    # probabilities
    (lambda: BitFlip(1.1), r"BitFlip: p is 1\.1, expected a probability from 0 to 1"),
    (lambda: BitFlip(True), r"BitFlip: p is True, expected a probability"),
    (lambda: BitFlip("0.1"), r"BitFlip: p is '0\.1', expected a probability"),
    (lambda: PhaseDamping(math.nan), r"PhaseDamping: gamma is nan"),
    (lambda: AmplitudeDamping(0.1, -0.1), r"AmplitudeDamping: excited is -0\.1"),
    (lambda: ReadoutError(0.1, 2), r"ReadoutError: one_as_zero is 2"),
    (lambda: Depolarizing(0.1, 3), r"Depolarizing: n_wires is 3, expected 1 or 2"),
    (lambda: Depolarizing(0.1, True), r"Depolarizing: n_wires is True"),
    # mixtures
    (lambda: PauliError((("X",),)), r"PauliError got \(\('X',\),\), expected pairs such as"),
    (lambda: PauliError(3), r"PauliError got 3, expected pairs"),
    (lambda: PauliError(()), r"words \[\], expected words such as 'X'"),
    (lambda: PauliError((("XXX", 0.1),)), r"words \['XXX'\], expected words"),
    (lambda: PauliError((("X", 0.1), ("XX", 0.1))), r"words \['X', 'XX'\]"),
    (lambda: PauliError((("W", 0.1),)), r"words \['W'\]"),
    (lambda: PauliError((("X", 0.1), ("X", 0.2))), r"expected each at most once"),
    (lambda: PauliError((("X", 0.7), ("Z", 0.7))), r"probabilities \[0\.7, 0\.7\], expected a sum of at most 1"),
    (lambda: PauliError((("X", -0.1),)), r"probabilities \[-0\.1\]"),
    # relaxation
    (lambda: ThermalRelaxation("50", 70, 10), r"ThermalRelaxation: t1 is '50', expected a number"),
    (lambda: ThermalRelaxation(50, math.nan, 10), r"ThermalRelaxation: t2 is nan"),
    (lambda: ThermalRelaxation(0, 70, 10), r"t1=0, t2=70, time=10, expected t1 and t2 above 0"),
    (lambda: ThermalRelaxation(50, 70, math.inf), r"time=inf, expected t1 and t2 above 0, and a time from 0"),
    (lambda: ThermalRelaxation(50, 101, 10), r"t2=101 and t1=50; expected t2 of at most 2 \* t1"),
    (lambda: ThermalRelaxation(50, 70, 10, 2), r"ThermalRelaxation: excited is 2"),
    # operators and tables
    (lambda: Kraus("no"), r"Kraus got 'no', expected nested lists of numbers"),
    (lambda: Kraus(((1, 0), (0, 1))), r"shape \(2, 2\), expected \(k, 2, 2\), or \(k, 4, 4\) for a pair"),
    (lambda: Kraus((((1, 0), (0, 0.5)),)), r"sum K\^dag K is 0\.75 from the identity"),
    (lambda: Kraus((((1, 0), (0, math.nan)),)), r"Kraus got numbers that are not finite"),
    (lambda: Kraus((((1, 0), (0,)),)), r"expected nested lists of numbers, all of one length"),
    (lambda: ReadoutConfusion(((1, 0, 0), (0, 1, 0), (0, 0, 1))), r"shape of \(3, 3\), expected \(2, 2\), or \(4, 4\)"),
    (lambda: ReadoutConfusion(((0.9, 0.2), (0, 1))), r"expected rows of probabilities that sum to 1"),
    (lambda: ReadoutConfusion(((1.1, -0.1), (0, 1))), r"expected rows of probabilities"),
    (lambda: ReadoutConfusion(((1 + 0.1j, -0.1j), (0, 1))), r"expected rows of probabilities"),
    # gates that turn too far
    (lambda: OverRotation("far"), r"OverRotation: relative is 'far', expected a finite number"),
    (lambda: OverRotation(angle=math.inf), r"OverRotation: angle is inf"),
    (OverRotation, r"neither relative nor angle, and so changes nothing"),
    # places
    (lambda: Placed("BitFlip", "gate"), r"A placed channel is 'BitFlip', expected one such as BitFlip\(0\.01\)"),
    (lambda: BitFlip(0.1).after("gates"), r"Unknown place 'gates'; did you mean 'gate'\?"),
    (lambda: MISREAD.after("gate"), r"readout_error is an error of the measurement, placed at 'gate'; use 'readout'"),
    (lambda: FAR.after("layer"), r"over_rotation is of gates, placed at 'layer'; use one of gate, one_qubit_gate"),
    (lambda: BitFlip(0.1).after("gate", 1.5), r"wires is 1\.5, expected different non-negative integers"),
    (lambda: BitFlip(0.1).after("gate", []), r"wires is \[\], expected different"),
    (lambda: BitFlip(0.1).after("gate", [0, 0]), r"wires is \[0, 0\], expected different"),
    (lambda: BitFlip(0.1).after("gate", [-1]), r"wires is \[-1\]"),
    (lambda: PAIR.before_readout([0]), r"depolarizing acts on a pair, got wires=\(0,\)"),
    (lambda: BitFlip(0.1).after("layer", gates=["RX"]), r"'layer' is no place of gates; leave it out"),
    (
        lambda: BitFlip(0.1).after("gate", gates="RX"),
        r"gates is 'RX', expected a list of names such as \['RX', 'CNOT'\]",
    ),
    (lambda: BitFlip(0.1).after("gate", gates=3), r"gates is 3, expected a list of names"),
    (lambda: BitFlip(0.1).after("gate", gates=["RXX"]), r"Unknown gate 'RXX'; did you mean 'RX'\?"),
    (lambda: BitFlip(0.1).after("gate", gates=[3]), r"Unknown gate 3"),
    (lambda: PAIR.after("layer"), r"acts on a pair, and 'layer' has none; say which: wires=\(0, 1\)"),
    (lambda: PAIR.after("gate"), r"acts on a pair, and 'gate' is of single qubits too; use 'two_qubit_gate'"),
    (lambda: PAIR.after("one_qubit_gate", (0, 1)), r"'one_qubit_gate' is of single qubits too"),
    (lambda: Disturb(PAIR, (0,)), r"depolarizing on wires \(0,\): expected 2 different wire\(s\)"),
    (lambda: Disturb(PAIR, (1, 1)), r"depolarizing on wires \(1, 1\)"),
    # models
    (lambda: NoiseModel(channels=3), r"channels is 3, expected a list such as"),
    (
        lambda: NoiseModel(channels=[BitFlip(0.1)]),
        r"BitFlip\(p=0\.1\) has no place; say where it strikes, such as BitFlip",
    ),
    (lambda: NoiseModel(channels=[FAR]), r"has no place; say where it strikes, such as OverRotation"),
    (lambda: NoiseModel(channels=[0.1]), r"channels holds 0\.1, expected a channel with its place"),
    (lambda: NoiseModel(0.1) + NoiseModel(0.2), r"a circuit has one; write one of them as a channel"),
    (lambda: NoiseModel(dephasing="all") + NoiseModel(dephasing="layers"), r"Both models dephase fully; give one"),
    (
        lambda: Circuit(2, 1, noise=NoiseModel(channels=[BitFlip(0.1).after("gate", [2])])),
        r"strikes wire 2, but the circuit has wires 0 to 1",
    ),
    # dictionaries
    (lambda: noise_from_dict({**PLAIN, "chanels": []}), r"unknown key 'chanels'; did you mean 'channels'\?"),
    (lambda: noise_from_dict({"depolarizing": 0.1}), r"The noise lacks 'placement', 'dephasing', 'dephasing_axis'"),
    (lambda: noise_from_dict({**PLAIN, "channels": 3}), r"channels is 3, expected a list"),
    (lambda: placed_from_dict("bit_flip"), r"A channel is 'bit_flip', expected a table such as \{channel = 'bit_flip'"),
    (lambda: placed_from_dict({"channel": "bit_flip", "p": 0.1}), r"The channel bit_flip lacks 'place'"),
    (lambda: placed_from_dict({"channel": "bit_flip", "p": 0.1, "place": "gate", "wires": 1.5}), r"wires is 1\.5"),
    (
        lambda: channel_from_dict({"channel": "bit_flop", "p": 0.1}),
        r"Unknown channel 'bit_flop'; did you mean 'bit_flip'\?",
    ),
    (lambda: channel_from_dict({"p": 0.1}), r"Unknown channel None"),
    (lambda: channel_from_dict({"channel": "bit_flip", "q": 0.1}), r"bit_flip has the unknown key 'q'"),
    (lambda: channel_from_dict({"channel": "bit_flip"}), r"The channel bit_flip lacks 'p'"),
    (lambda: channel_from_dict({"channel": "kraus", "operators": [[1]]}), r"no matrices of pairs \[real, imaginary\]"),
    (lambda: noise_to_dict(NoiseModel(channels=[OwnFlip().after("gate")])), r"OwnFlip is a class of your own"),
]


@pytest.mark.parametrize(("make", "message"), CASES)
def test_wrong_values_are_refused_with_a_remedy(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert isinstance(caught.value, QMoEError)
    assert isinstance(caught.value, ValueError)


def test_a_channel_of_ones_own_runs() -> None:
    flipped = Circuit(1, 1, noise=NoiseModel(channels=[OwnFlip().after("encoding")]))
    named = Circuit(1, 1, noise=NoiseModel(channels=[BitFlip(1.0).after("encoding")]))
    np.testing.assert_allclose(OwnFlip().transfer(), BitFlip(1.0).transfer(), rtol=0, atol=1e-15)
    assert flipped != named
