"""Channels of noise, their places and models of them, as data."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.circuits import (
    CHANNELS,
    AmplitudeDamping,
    AngleEncoding,
    BitFlip,
    BitPhaseFlip,
    Channel,
    Circuit,
    CustomAnsatz,
    Depolarize,
    Depolarizing,
    Disturb,
    Feature,
    Gate,
    Kraus,
    NoiseModel,
    OverRotation,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    Placed,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.circuits.noise.channel import pauli_words
from qmoe.circuits.noise.noise_dicts import noise_from_dict, noise_to_dict
from qmoe.errors import ConfigError
from qmoe.testing import random_channel, random_placed

SEEDS = st.integers(0, 10**6)
PAIR = Depolarizing(0.1, 2)
MISREAD = ReadoutError(0.02, 0.05)

# --- channels --------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_channels_keep_the_trace_and_positivity(seed: int) -> None:
    channel = random_channel(seed, readout=None)
    operators = channel.kraus()
    dim = 2**channel.n_wires
    assert operators.shape[1:] == (dim, dim)
    np.testing.assert_allclose(np.einsum("kba,kbc->ac", operators.conj(), operators), np.eye(dim), rtol=0, atol=1e-12)
    transfer = channel.transfer()
    np.testing.assert_allclose(transfer[0], np.eye(dim**2)[0], rtol=0, atol=1e-12)
    assert np.abs(transfer).max() <= 1 + 1e-12
    with pytest.raises(ValueError, match="read-only"):
        transfer[0, 0] = 2


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_mixtures_of_pauli_errors_are_those_whose_transfer_is_diagonal(seed: int) -> None:
    channel = random_channel(seed, readout=None)
    shares, transfer = channel.pauli_probabilities(), channel.transfer()
    if shares is None:
        assert np.abs(transfer - np.diag(transfer.diagonal())).max() > 1e-6 or channel.is_readout
        return
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    words = pauli_words(channel.n_wires)
    signs = np.array([[1 if np.allclose(a @ b, b @ a) else -1 for b in words] for a in words])
    np.testing.assert_allclose(transfer, np.diag(signs @ shares), rtol=0, atol=1e-12)


def test_a_channel_by_its_operators_is_the_named_one() -> None:
    for channel in (BitFlip(0.1), AmplitudeDamping(0.2, 0.3), PAIR, ThermalRelaxation(50, 70, 10), MISREAD):
        same = Kraus(tuple(tuple(map(tuple, operator)) for operator in channel.kraus()))
        np.testing.assert_allclose(same.transfer(), channel.transfer(), rtol=0, atol=1e-12)
        assert same.n_wires == channel.n_wires
        shares = channel.pauli_probabilities()
        if shares is None:
            assert same.pauli_probabilities() is None
        else:
            np.testing.assert_allclose(same.pauli_probabilities(), shares, rtol=0, atol=1e-12)


def test_limits_of_channels_are_the_channels_known() -> None:
    def same(a: Channel, b: Channel) -> None:
        np.testing.assert_allclose(a.transfer(), b.transfer(), rtol=0, atol=1e-12)

    same(ThermalRelaxation(50, 100, 10), AmplitudeDamping(1 - math.exp(-0.2)))
    same(ThermalRelaxation(math.inf, 50, 10), PhaseDamping(1 - math.exp(-0.4)))
    same(ThermalRelaxation(50, 70, 0), BitFlip(0.0))
    same(PhaseDamping(1.0), PhaseFlip(0.5))
    same(PauliError((("X", 0.1),)), BitFlip(0.1))
    same(PauliError((("Y", 0.1),)), BitPhaseFlip(0.1))
    same(ReadoutConfusion(((0.98, 0.02), (0.05, 0.95))), MISREAD)
    assert ReadoutError(0.1) == ReadoutError(0.1, 0.1)
    assert Depolarizing(0.75).transfer()[1:, 1:] == pytest.approx(np.zeros((3, 3)), abs=1e-15)
    assert Depolarizing(15 / 16, 2).transfer()[1:, 1:] == pytest.approx(np.zeros((15, 15)), abs=1e-15)


def test_the_first_wire_of_a_pair_counts_most() -> None:
    flips_first = PauliError((("XI", 1.0),))
    np.testing.assert_allclose(flips_first.kraus()[0], np.kron([[0, 1], [1, 0]], np.eye(2)), rtol=0, atol=0)
    moved = ReadoutConfusion(((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))  # 00 and 01 are exchanged
    state = np.diag([1.0, 0, 0, 0])
    out = sum(k @ state @ k.conj().T for k in moved.kraus())
    assert out.diagonal().real.tolist() == [0, 1, 0, 0]


# --- models ----------------------------------------------------------------------------------------------------------


def test_models_add_up() -> None:
    a = NoiseModel(0.1, channels=[BitFlip(0.1).after("gate")])
    b = NoiseModel(dephasing="all", dephasing_axis="X", channels=[MISREAD.before_readout()])
    assert a + b == NoiseModel(0.1, "block", "all", "X", (*a.channels, *b.channels))
    assert b + a == NoiseModel(0.1, "block", "all", "X", (*b.channels, *a.channels))
    assert NoiseModel() + NoiseModel() == NoiseModel()
    with pytest.raises(TypeError):
        a + 0.1


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seeds=st.lists(SEEDS, max_size=4), n_qubits=st.integers(1, 3))
def test_models_come_back_from_json_and_pickles_and_hash_alike(seeds: list[int], n_qubits: int) -> None:
    noise = NoiseModel(0.1, channels=[random_placed(seed, n_qubits) for seed in seeds])
    for again in (noise_from_dict(json.loads(json.dumps(noise_to_dict(noise)))), pickle.loads(pickle.dumps(noise))):
        assert again == noise
        assert hash(again) == hash(noise)
    circuit = Circuit(n_qubits, 1, noise=noise)
    assert Circuit.from_dict(json.loads(json.dumps(circuit.to_dict()))) == circuit
    assert eval(repr(noise)) == noise  # its own text


def test_a_model_without_channels_is_written_as_before() -> None:
    assert noise_to_dict(NoiseModel(0.1)) == {
        "depolarizing": 0.1, "placement": "block", "dephasing": "none", "dephasing_axis": "Z",
    }  # fmt: skip
    assert repr(NoiseModel(0.1)) == "NoiseModel(depolarizing=0.1, placement='block', dephasing='none')"


def test_every_channel_has_a_name_and_a_dictionary() -> None:
    examples = [
        BitFlip(0.1), PhaseFlip(0.1), BitPhaseFlip(0.1), PAIR, PauliError((("XY", 0.1),)), AmplitudeDamping(0.1, 0.2),
        PhaseDamping(0.1), ThermalRelaxation(50, 70, 1), MISREAD,
        ReadoutConfusion(((0.9, 0.1), (0.2, 0.8))), Kraus((((1, 0), (0, 1j)),)),
    ]  # fmt: skip
    assert {channel.name for channel in examples} == set(CHANNELS)
    noise = NoiseModel(channels=[channel.before_readout((0, 1)[: channel.n_wires]) for channel in examples])
    written = noise_to_dict(noise)["channels"]
    assert written[0] == {"channel": "bit_flip", "p": 0.1, "place": "readout", "wires": [0]}
    assert written[-1]["operators"] == [[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]]
    assert noise_from_dict(noise_to_dict(noise)) == noise


# --- places ----------------------------------------------------------------------------------------------------------


def struck(circuit: Circuit) -> str:
    """The operations: gates by name and wires, ``~`` for depolarizing, channels as ``!`` with their wires."""
    found = []
    for op in circuit.operations:
        if isinstance(op, Disturb):
            found.append("!" + "".join(map(str, op.wires)))
        elif isinstance(op, Gate):
            found.append(op.name + "".join(map(str, op.wires)))
        else:
            found.append("~" if isinstance(op, Depolarize) else type(op).__name__)
    return " ".join(found)


ANSATZ = CustomAnsatz((Gate("RY", (0,), (Weight(0),)), Gate("CNOT", (0, 1))))


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        (BitFlip(0.1).after("encoding"), "RX0 RX1 ~ !0 !1 RY0 CNOT01 RY0 CNOT01 ~"),
        (BitFlip(0.1).after("layer"), "RX0 RX1 ~ RY0 CNOT01 !0 !1 RY0 CNOT01 ~ !0 !1"),
        (BitFlip(0.1).after("layers"), "RX0 RX1 ~ RY0 CNOT01 RY0 CNOT01 ~ !0 !1"),
        (BitFlip(0.1).after("layers", [1]), "RX0 RX1 ~ RY0 CNOT01 RY0 CNOT01 ~ !1"),
        (BitFlip(0.1).after("gate"), "RX0 !0 RX1 !1 ~ RY0 !0 CNOT01 !0 !1 RY0 !0 CNOT01 !0 !1 ~"),
        (BitFlip(0.1).after("gate", gates=["ry"]), "RX0 RX1 ~ RY0 !0 CNOT01 RY0 !0 CNOT01 ~"),
        (BitFlip(0.1).after("one_qubit_gate", [0]), "RX0 !0 RX1 ~ RY0 !0 CNOT01 RY0 !0 CNOT01 ~"),
        (BitFlip(0.1).after("two_qubit_gate", [0]), "RX0 RX1 ~ RY0 CNOT01 !0 RY0 CNOT01 !0 ~"),
        (PAIR.after("two_qubit_gate"), "RX0 RX1 ~ RY0 CNOT01 !01 RY0 CNOT01 !01 ~"),
        (PAIR.after("two_qubit_gate", (1, 0)), "RX0 RX1 ~ RY0 CNOT01 RY0 CNOT01 ~"),
        (PAIR.after("gate", gates=["CNOT"]), "RX0 RX1 ~ RY0 CNOT01 !01 RY0 CNOT01 !01 ~"),
        (PAIR.after("encoding", (1, 0)), "RX0 RX1 ~ !10 RY0 CNOT01 RY0 CNOT01 ~"),
        (MISREAD.before_readout(), "RX0 RX1 ~ RY0 CNOT01 RY0 CNOT01 ~ !0 !1"),
    ],
    ids=lambda part: "" if isinstance(part, str) else f"{part.place}-{part.wires}-{part.gates}",
)
def test_channels_stand_at_their_places(placed: Placed, expected: str) -> None:
    assert struck(Circuit(2, 2, ansatz=ANSATZ, noise=NoiseModel(channels=[placed]))) == expected


def test_uploads_and_their_layers_have_channels_each() -> None:
    placed = [BitFlip(0.1).after("encoding"), PhaseFlip(0.1).after("layers")]
    circuit = Circuit(
        1, 3, AngleEncoding(uploads=2), [Gate("RY", (0,), (Weight(0),))], noise=NoiseModel(channels=placed)
    )
    assert struck(circuit) == "RX0 ~ !0 RY0 RY0 ~ !0 RX0 ~ !0 RY0 ~ !0"


def test_channels_at_one_place_stand_in_their_order_and_errors_of_the_measurement_last() -> None:
    placed = [MISREAD.before_readout(), BitFlip(0.1).before_readout(), PhaseFlip(0.1).after("layers")]
    ends = Circuit(1, 1, noise=NoiseModel(0.1, channels=placed)).operations[-3:]
    assert [op.channel for op in ends] == [PhaseFlip(0.1), BitFlip(0.1), MISREAD]


def test_operations_of_a_list_are_struck_by_runs_with_and_without_features() -> None:
    gates = [Gate("RX", (0,), (Feature(0),)), Gate("RY", (0,), (Weight(0),)), Gate("RX", (0,), (Feature(0),))]
    for place, expected in (
        ("encoding", "RX0 !0 RY0 RX0 ~ !0"),
        ("layer", "RX0 RY0 !0 RX0 ~"),
        ("layers", "RX0 RY0 !0 RX0 ~"),
    ):
        noise = NoiseModel(channels=[BitFlip(0.1).after(place)])
        assert struck(Circuit.from_operations(gates, noise=noise)) == expected


def test_errors_of_the_measurement_within_a_list_come_behind_all_else() -> None:
    ops = [
        Gate("RX", (0,), (Feature(0),)),
        Disturb(MISREAD, (0,)),
        Gate("RY", (0,), (Weight(0),)),
        Disturb(BitFlip(0.1), (0,)),
    ]
    circuit = Circuit.from_operations(ops, noise=0.0)
    assert [getattr(op, "channel", None) for op in circuit.operations[-2:]] == [None, MISREAD]
    assert circuit.with_noise(None).operations == (ops[0], ops[2])


def test_gates_turn_too_far_where_that_is_said() -> None:
    error = OverRotation(0.1, 0.02)
    circuit = Circuit(2, 1, ansatz="no_entangler", noise=NoiseModel(channels=[error.after("gate", [0], ["RX"])]))
    angles = [op.angles for op in circuit.operations if isinstance(op, Gate)]
    assert angles[0] == (1.1 * Feature(0) + 0.02,)
    assert angles[1] == (Feature(1),)
    assert angles[2] == (Weight(0), Weight(1), Weight(2))
    fixed = Circuit.from_operations([Gate("RZ", (0,), (1.0,)), Gate("CRX", (0, 1), (Weight(0),))], n_qubits=2)
    both = fixed.with_noise(NoiseModel(channels=[error.after("gate")]))
    limited = fixed.with_noise(NoiseModel(channels=[error.after("gate", [0])]))
    assert [op.angles for op in both.operations[:2]] == [(1.1 + 0.02,), (1.1 * Weight(0) + 0.02,)]
    assert limited.operations[1].angles == (Weight(0),)  # a gate with a wire beside those named is left alone


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BitFlip(0.1).after("gate", gates=[]), "gates is empty"),
        (lambda: BitFlip(0.1).after("one_qubit_gate", gates=["CNOT"]), "names CNOT, which is no one qubit gate"),
        (lambda: BitFlip(0.1).after("two_qubit_gate", gates=["RX"]), "names RX, which is no two qubit gate"),
        (lambda: OverRotation(0.1).after("gate", gates=["CNOT"]), "CNOT, which has no angle"),
        (lambda: OverRotation(0.1).after("two_qubit_gate", wires=[0]), "turns too far on both"),
        (lambda: ReadoutError(0.02, -1), "one_as_zero is -1, expected a probability"),
        (lambda: Depolarizing(0.1, n_wires=2.0), "n_wires is 2.0, expected 1 or 2"),
    ],
)
def test_what_would_strike_nowhere_or_mean_nothing_is_refused(make, told):
    with pytest.raises(ConfigError, match=told):
        make()


def test_a_sum_keeps_the_placement_of_a_strength_that_is_to_be_swept():
    readout = NoiseModel(channels=[ReadoutError(0.1).before_readout()])
    for found in (readout + NoiseModel(0.0, "gate"), NoiseModel(0.0, "gate") + readout):
        assert (found.placement, found.channels) == ("gate", readout.channels)
