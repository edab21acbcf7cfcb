"""Every message names the value, what was expected and the remedy."""

from collections.abc import Callable

import pytest

from qmoe.circuits import (
    AmplitudeEncoding,
    AngleEncoding,
    BasicEntangler,
    Circuit,
    CustomAnsatz,
    Feature,
    Gate,
    NoiseModel,
    Weight,
    as_ansatz,
    as_encoding,
    as_noise,
    as_readout,
)
from qmoe.errors import ConfigError, QMoEError

CASES: list[tuple[Callable[[], object], str]] = [
    # circuit
    (lambda: Circuit(0), r"n_qubits is 0, expected an integer of at least 1"),
    (lambda: Circuit(2.0), r"n_qubits is 2\.0, expected an integer"),
    (lambda: Circuit(True), r"n_qubits is True, expected an integer"),
    (lambda: Circuit(2, -1), r"n_layers is -1, expected an integer of at least 0"),
    (lambda: Circuit(2, None), r"n_layers is None, expected an integer"),
    (lambda: Circuit(2, in_features=3), r"got 3 feature\(s\) and 2 qubit\(s\); use n_qubits=3, or a router"),
    (lambda: Circuit(2, encoding="amplitude", in_features=5), r"takes 1 to 4 features, got 5; use n_qubits=3 or more"),
    (lambda: Circuit(2, encoding="amplitude", in_features=0), r"takes 1 to 4 features, got 0; use n_qubits=1 or more"),
    (lambda: Circuit(2, encoding="amplitude", in_features=2.5), r"in_features is 2\.5, expected an integer"),
    (lambda: Circuit(2, encoding="amplitude", in_features=True), r"in_features is True, expected an integer"),
    (lambda: Circuit(2, 1, AngleEncoding(uploads=2)), r"2 uploads need at least as many layers, got n_layers=1; raise"),
    (lambda: Circuit(2, 0, AngleEncoding(uploads=2)), r"2 uploads need at least as many layers, got n_layers=0"),
    (lambda: Circuit(1, ansatz=[Gate("CNOT", (0, 2))]), r"acts on wire 2, .* 1 qubit\(s\) .* use n_qubits=3 or more"),
    # names
    (lambda: Circuit(2, encoding="angel"), r"Unknown encoding 'angel'; did you mean 'angle'\? Known: amplitude, angle"),
    (lambda: Circuit(2, ansatz="strong_entangling"), r"Unknown ansatz .* did you mean 'strongly_entangling'\?"),
    (lambda: Circuit(2, readout="exp_val"), r"Unknown read-out 'exp_val'; did you mean 'expval'\? Known: born, expval"),
    (lambda: as_encoding(None), r"Unknown encoding None\. Known: amplitude, angle"),
    (lambda: as_encoding(["angle"]), r"Unknown encoding \['angle'\]"),
    (lambda: as_readout({}), r"Unknown read-out \{\}"),
    (lambda: as_ansatz(None), r"ansatz is None, expected an Ansatz, a list of Gate, or one of strongly_entangling"),
    (lambda: as_ansatz(3), r"ansatz is 3, expected an Ansatz"),
    # encodings and ansatze
    (lambda: AngleEncoding("W"), r"Unknown rotation 'W'.* Known: X, Y, Z"),
    (lambda: AngleEncoding(uploads=0), r"uploads is 0, expected an integer of at least 1"),
    (lambda: AngleEncoding(uploads=1.5), r"uploads is 1\.5, expected an integer"),
    (lambda: AngleEncoding(uploads=True), r"uploads is True, expected an integer"),
    (lambda: BasicEntangler("RX"), r"Unknown rotation 'RX'; did you mean 'X'\?"),
    (lambda: CustomAnsatz(()), r"takes a non-empty list of Gate, got \(\)"),
    (lambda: as_ansatz(["RX"]), r"takes a non-empty list of Gate, got \('RX',\)"),
    (lambda: CustomAnsatz((Gate("RX", (0,), (Feature(0),)),)), r"use AngleEncoding\(uploads=\.\.\.\)"),
    (lambda: CustomAnsatz((Gate("RX", (0,), (Weight(1),)),)), r"uses the weights \[1\]; number them 0, 1, 2"),
    # gates
    (lambda: Gate("RXX", (0,), (0.1,)), r"Unknown gate 'RXX'; did you mean 'RX'\?"),
    (lambda: Gate(["RX"], (0,), (0.1,)), r"Unknown gate \['RX'\]"),
    (lambda: Gate("CNOT", (0,)), r"Gate CNOT on wires \(0,\): expected 2 different non-negative wire"),
    (lambda: Gate("CNOT", (1, 1)), r"Gate CNOT on wires \(1, 1\): expected 2 different"),
    (lambda: Gate("RX", (-1,), (0.1,)), r"Gate RX on wires \(-1,\): expected 1 different non-negative"),
    (lambda: Gate("RX", (0.5,), (0.1,)), r"Gate RX on wires \(0\.5,\): expected 1"),
    (lambda: Gate("RX", ("a",), (0.1,)), r"Gate RX on wires \('a',\): expected 1"),
    (lambda: Gate("RX", (), (0.1,)), r"Gate RX on wires \(\): expected 1"),
    (lambda: Gate("RX", 0, (0.1,)), r"Gate RX: wires is 0, expected a tuple such as \(0,\)"),
    (lambda: Gate("RX", (0,), 0.1), r"Gate RX: angles is 0\.1, expected a tuple such as \(0\.1,\)"),
    (lambda: Gate("RX", (0,)), r"Gate RX got 0 angle\(s\), expected 1; write each as Weight\(k\)"),
    (lambda: Gate("Rot", (0,), (0.1,)), r"Gate Rot got 1 angle\(s\), expected 3"),
    (lambda: Gate("CZ", (0, 1), (0.1,)), r"Gate CZ got 1 angle\(s\), expected 0"),
    (lambda: Gate("RX", (0,), ("w0",)), r"Gate RX got the angle 'w0'; write it as Weight\(k\)"),
    (lambda: Gate("RX", (0,), (float("nan"),)), r"Gate RX got the angle nan; .* a finite number of radians"),
    (lambda: Gate("RX", (0,), (True,)), r"Gate RX got the angle True"),
    (lambda: Weight(-1), r"Weight index is -1, expected an integer of at least 0"),
    (lambda: Weight("a"), r"Weight index is 'a', expected an integer"),
    (lambda: Feature(0.0), r"Feature index is 0\.0, expected an integer"),
    # noise
    (lambda: NoiseModel(1.5), r"depolarizing=1\.5 is not a probability: expected a number from 0 to 1"),
    (lambda: NoiseModel(-0.1), r"depolarizing=-0\.1 is not a probability"),
    (lambda: NoiseModel(float("nan")), r"depolarizing=nan is not a probability"),
    (lambda: NoiseModel(True), r"depolarizing=True is not a probability"),
    (lambda: as_noise("0.1"), r"depolarizing='0\.1' is not a probability"),
    (lambda: NoiseModel(0.1, "gates"), r"Unknown noise placement 'gates'; did you mean 'gate'\? Known: block, gate"),
    (
        lambda: NoiseModel(dephasing="layer"),
        r"Unknown dephasing 'layer'; did you mean 'layers'\? Known: all, encoding, layers, none",
    ),
    (
        lambda: NoiseModel(dephasing="all", dephasing_axis="x"),
        r"Unknown dephasing axis 'x'\. Known: X, Y, Z",
    ),
    (
        lambda: NoiseModel(dephasing_axis="X"),
        r"dephasing_axis='X' was given, but dephasing is 'none', .* set dephasing=",
    ),
    (lambda: NoiseModel(dephasing=None), r"Unknown dephasing None; did you mean 'none'\?"),
    (lambda: NoiseModel(dephasing=["all"]), r"Unknown dephasing \['all'\]"),
]


@pytest.mark.parametrize(("build", "message"), CASES, ids=[message for _, message in CASES])
def test_wrong_value_is_refused_by_name_with_a_remedy(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_config_error_is_a_value_error_and_a_qmoe_error() -> None:
    with pytest.raises(ValueError, match="n_qubits") as caught:
        Circuit(0)
    assert isinstance(caught.value, QMoEError)


def test_remedies_work() -> None:
    assert Circuit(3, in_features=3).in_features == 3
    assert Circuit(3, encoding=AmplitudeEncoding(), in_features=5).in_features == 5
    assert Circuit(3, ansatz=[Gate("CNOT", (0, 2))]).n_weights == 0
    assert Circuit(2, 2, AngleEncoding(uploads=2)).n_weights == 12
