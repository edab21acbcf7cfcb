import dataclasses
import pickle

import pytest

from qmoe.circuits import (
    AmplitudeEncoding,
    AngleEncoding,
    BasicEntangler,
    Born,
    Circuit,
    CustomAnsatz,
    Depolarize,
    Expval,
    Feature,
    Gate,
    NoEntangler,
    NoiseModel,
    Operation,
    Prepare,
    StronglyEntangling,
    Weight,
)
from qmoe.testing import random_circuit

DEPHASED = NoiseModel(dephasing="all")


def short(op: Operation) -> str:
    """An operation in a few letters: ``RX0``, ``~01`` for noise, ``≈01`` for dephasing, ``|x>``."""
    if isinstance(op, Prepare):
        return "|x>"
    wires = "".join(map(str, op.wires))
    return f"{op.name}{wires}" if isinstance(op, Gate) else ("~" if isinstance(op, Depolarize) else "≈") + wires


def sequence(circuit: Circuit) -> str:
    return " ".join(map(short, circuit.operations))


# --- identity --------------------------------------------------------------------------------------------------------


def test_names_and_objects_describe_the_same_circuit() -> None:
    named = Circuit(2, 3, "angle", "strongly_entangling", "expval", 0.1)
    built = Circuit(
        2, 3, AngleEncoding("X", 1), StronglyEntangling(), Expval(), NoiseModel(0.1, "block"), in_features=2
    )
    assert named == built
    assert hash(named) == hash(built)
    assert len({named, built}) == 1


@pytest.mark.parametrize(
    "other",
    [
        Circuit(3, 3),
        Circuit(2, 2),
        Circuit(2, 3, AngleEncoding("Y")),
        Circuit(2, 3, AngleEncoding(uploads=2)),
        Circuit(2, 3, "amplitude"),
        Circuit(2, 3, "amplitude", in_features=3),
        Circuit(2, 3, ansatz="no_entangler"),
        Circuit(2, 3, ansatz=BasicEntangler("Y")),
        Circuit(2, 3, readout="born"),
        Circuit(2, 3, noise=0.0),
        Circuit(2, 3, noise=NoiseModel(0.0, "gate")),
        Circuit(2, 3, noise=NoiseModel(dephasing="layers")),
    ],
)
def test_circuits_that_differ_in_one_part_are_unequal(other: Circuit) -> None:
    assert other != Circuit(2, 3)


def test_hash_does_not_travel_to_other_processes() -> None:
    # Python hashes a string to another number in every process.
    circuit = Circuit(2, 3)
    assert hash(circuit) == hash(Circuit(2, 3))
    copy = pickle.loads(pickle.dumps(circuit))
    assert set(vars(copy)) == set(Circuit.__dataclass_fields__)
    assert hash(copy) == hash(circuit)


@pytest.mark.parametrize("seed", range(20))
def test_pickle_and_repr_round_trip(seed: int) -> None:
    circuit = random_circuit(seed)
    before = circuit.operations  # cached on the instance, and must not disturb equality
    copy = pickle.loads(pickle.dumps(circuit))
    assert copy == circuit
    assert hash(copy) == hash(circuit)
    assert copy.operations == before
    assert eval(repr(circuit)) == circuit


def test_circuit_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Circuit(2).n_qubits = 3  # type: ignore[misc]


def test_replace_changes_one_part() -> None:
    assert dataclasses.replace(Circuit(2, 3), n_layers=1) == Circuit(2, 1)


def test_with_noise_takes_models_numbers_and_none() -> None:
    circuit = Circuit(2, 3)
    assert circuit.with_noise(0.1) == Circuit(2, 3, noise=0.1)
    assert circuit.with_noise(NoiseModel(0.1, "gate")).noise == NoiseModel(0.1, "gate")
    assert circuit.with_noise(0.1).with_noise(None) == circuit
    assert circuit.with_noise(0).noise == NoiseModel(0.0)


def test_list_of_gates_is_a_custom_ansatz() -> None:
    gates = [Gate("RY", [0], [Weight(0)]), Gate("CZ", (0, 1))]
    assert Circuit(2, ansatz=gates) == Circuit(2, ansatz=CustomAnsatz(tuple(gates)))
    assert hash(Circuit(2, ansatz=gates)) == hash(Circuit(2, ansatz=CustomAnsatz(tuple(gates))))


# --- sizes -----------------------------------------------------------------------------------------------------------


def test_sizes_of_the_router_of_the_paper() -> None:
    circuit = Circuit(2, 3)
    assert (circuit.dim, circuit.in_features, circuit.n_outputs) == (4, 2, 2)
    assert (circuit.weight_shape, circuit.n_weights) == ((3, 2, 3), 18)
    assert (circuit.frequencies, circuit.n_frequencies) == ((-1, 0, 1), 9)


def test_born_read_out_has_one_output_per_basis_state() -> None:
    assert Circuit(3, readout="born").n_outputs == 8
    assert Circuit(3, readout=Born()).n_outputs == 8


@pytest.mark.parametrize(
    ("ansatz", "shape"),
    [
        ("strongly_entangling", (2, 3, 3)),
        ("no_entangler", (2, 3, 3)),
        (NoEntangler(), (2, 3, 3)),
        ("basic_entangler", (2, 3)),
        ([Gate("RX", (0,), (Weight(1),)), Gate("CRZ", (0, 2), (Weight(0),)), Gate("RX", (1,), (Weight(1),))], (2, 2)),
        ([Gate("Hadamard", (0,))], (2, 0)),
    ],
)
def test_weight_shape_has_the_layers_first(ansatz: object, shape: tuple[int, ...]) -> None:
    circuit = Circuit(3, 2, ansatz=ansatz)
    assert circuit.weight_shape == shape
    used = {index for op in circuit.operations if isinstance(op, Gate) for index in op.weight_indices}
    assert used == set(range(circuit.n_weights))


@pytest.mark.parametrize(("uploads", "top"), [(1, 1), (2, 2), (3, 3)])
def test_frequencies_reach_the_number_of_uploads(uploads: int, top: int) -> None:
    circuit = Circuit(2, 3, AngleEncoding(uploads=uploads))
    assert circuit.frequencies == tuple(range(-top, top + 1))
    assert circuit.n_frequencies == (2 * top + 1) ** 2


def test_amplitude_encoding_has_no_frequencies() -> None:
    circuit = Circuit(2, encoding="amplitude")
    assert circuit.frequencies is None
    assert circuit.n_frequencies is None
    assert circuit.encoding.period is None


def test_amplitude_encoding_takes_as_many_features_as_states_unless_told() -> None:
    assert Circuit(3, encoding="amplitude").in_features == 8
    assert Circuit(3, encoding="amplitude", in_features=5).in_features == 5
    assert AmplitudeEncoding.uploads == 1


# --- operations ------------------------------------------------------------------------------------------------------


def test_operations_of_the_router_of_the_paper() -> None:
    rots = "Rot0 Rot1 CNOT01 CNOT10"
    assert sequence(Circuit(2, 3)) == f"RX0 RX1 {rots} {rots} {rots}"


@pytest.mark.parametrize(
    ("n_layers", "uploads", "expected"),
    [
        (0, 1, "x"),
        (1, 1, "x l0"),
        (3, 1, "x l0 l1 l2"),
        (2, 2, "x l0 x l1"),
        (3, 2, "x l0 l1 x l2"),
        (5, 3, "x l0 l1 x l2 l3 x l4"),
        (3, 3, "x l0 x l1 x l2"),
    ],
)
def test_uploads_are_spread_over_the_layers_longer_blocks_first(n_layers: int, uploads: int, expected: str) -> None:
    circuit = Circuit(1, n_layers, AngleEncoding(uploads=uploads), ansatz=[Gate("RY", (0,), (Weight(0),))])
    words = []
    for op in circuit.operations:
        assert isinstance(op, Gate)
        angle = op.angles[0]
        words.append("x" if isinstance(angle, Feature) else f"l{angle.index}")
    assert " ".join(words) == expected


def test_number_of_weights_does_not_depend_on_the_uploads() -> None:
    assert {Circuit(2, 3, AngleEncoding(uploads=r)).n_weights for r in (1, 2, 3)} == {18}


def test_features_belong_to_their_wires() -> None:
    angles = [op.angles for op in Circuit(3, 0).operations if isinstance(op, Gate)]
    assert angles == [(Feature(0),), (Feature(1),), (Feature(2),)]


def test_rotation_z_opens_with_hadamards() -> None:
    assert sequence(Circuit(2, 0, AngleEncoding("Z"))) == "Hadamard0 RZ0 Hadamard1 RZ1"


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (Circuit(2, 1, noise=0.1), "RX0 RX1 ~01 Rot0 Rot1 CNOT01 CNOT10 ~01"),
        (
            Circuit(2, 1, noise=NoiseModel(0.1, "gate")),
            "RX0 ~0 RX1 ~1 Rot0 ~0 Rot1 ~1 CNOT01 ~01 CNOT10 ~10",
        ),
        (Circuit(2, 0, noise=0.1), "RX0 RX1 ~01"),
        (Circuit(2, 1, "amplitude", ansatz="no_entangler", noise=0.1), "|x> ~01 Rot0 Rot1 ~01"),
        (
            Circuit(2, 1, "amplitude", ansatz="no_entangler", noise=NoiseModel(0.1, "gate")),
            "|x> ~01 Rot0 ~0 Rot1 ~1",
        ),
        (
            Circuit(1, 3, AngleEncoding(uploads=2), noise=0.1),
            "RX0 ~0 Rot0 Rot0 ~0 RX0 ~0 Rot0 ~0",
        ),
    ],
)
def test_noise_placements(circuit: Circuit, expected: str) -> None:
    assert sequence(circuit) == expected
    assert sequence(circuit.with_noise(None)) == " ".join(word for word in expected.split() if word[0] != "~")


@pytest.mark.parametrize(
    ("circuit", "expected"),
    [
        (Circuit(2, 2, ansatz="no_entangler", noise=DEPHASED), "RX0 RX1 ~01 ≈01 Rot0 Rot1 ≈01 Rot0 Rot1 ~01"),
        (Circuit(2, 1, "amplitude", ansatz="no_entangler", noise=DEPHASED), "|x> ~01 ≈01 Rot0 Rot1 ~01"),
        (Circuit(1, 0, noise=DEPHASED), "RX0 ~0 ≈0"),
        (
            Circuit(1, 3, AngleEncoding(uploads=2), noise=DEPHASED),
            "RX0 ~0 ≈0 Rot0 ≈0 Rot0 ~0 ≈0 RX0 ~0 ≈0 Rot0 ~0",
        ),
        (
            Circuit(1, 2, AngleEncoding("Z"), BasicEntangler("Y"), noise=NoiseModel(0.1, "gate", "all")),
            "Hadamard0 ~0 RZ0 ~0 ≈0 RY0 ~0 ≈0 RY0 ~0",
        ),
        (  # a layer of several gates is one layer
            Circuit(
                2, 2, ansatz=[Gate("CZ", (0, 1)), Gate("CZ", (1, 0))], noise=NoiseModel(0.1, "gate", dephasing="layers")
            ),
            "RX0 ~0 RX1 ~1 CZ01 ~01 CZ10 ~10 ≈01 CZ01 ~01 CZ10 ~10",
        ),
    ],
)
def test_dephasing_stands_after_encodings_and_between_layers(circuit: Circuit, expected: str) -> None:
    assert sequence(circuit) == expected
    assert circuit.noise is not None
    first = {"RX0", "RX1", "RZ0", "|x>"}  # that end an encoding
    for where, channels in (
        ("none", 0),
        ("encoding", circuit.encoding.uploads),
        ("layers", max(circuit.n_layers - 1, 0)),
    ):
        other = circuit.with_noise(dataclasses.replace(circuit.noise, dephasing=where))
        words = sequence(other).split()
        places = [i for i, word in enumerate(words) if word[0] == "≈"]
        assert len(places) == channels
        for place in places:
            before = next(word for word in reversed(words[:place]) if word[0] != "~")
            assert (before in first) == (where == "encoding")
        assert [word for word in words if word[0] != "≈"] == [word for word in expected.split() if word[0] != "≈"]


def test_noise_of_strength_zero_keeps_its_place() -> None:
    assert sequence(Circuit(1, 0, noise=0.0)) == "RX0 ~0"


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("circuit", "picture"),
    [
        (
            Circuit(2, 1),
            """
0: ─RX(x0)─Rot(w0,w1,w2)─●─X─ <Z>
1: ─RX(x1)─Rot(w3,w4,w5)─X─●─ <Z>""",
        ),
        (
            Circuit(3, 2, AngleEncoding("Z", uploads=2), "basic_entangler", noise=0.1),
            """
0: ─H─RZ(x0)─~─RX(w0)─●───X─~─H─RZ(x0)─~─RX(w3)─●───X─~─ <Z>
1: ─H─RZ(x1)─~─RX(w1)─X─●─│─~─H─RZ(x1)─~─RX(w4)─X─●─│─~─ <Z>
2: ─H─RZ(x2)─~─RX(w2)───X─●─~─H─RZ(x2)─~─RX(w5)───X─●─~─ <Z>""",
        ),
        (
            Circuit(2, 1, "amplitude", readout="born", noise=NoiseModel(0.1, "gate")),
            """
0: ─|x>─~─Rot(w0,w1,w2)─~─●─~─X─~─ P(i)
1: ─|x>─~─Rot(w3,w4,w5)─~─X─~─●─~─ P(i)""",
        ),
        (
            Circuit(2, 2, ansatz="no_entangler", noise=NoiseModel(0.1, dephasing="all")),
            """
0: ─RX(x0)─~─≈─Rot(w0,w1,w2)─≈──Rot(w6,w7,w8)──~─ <Z>
1: ─RX(x1)─~─≈─Rot(w3,w4,w5)─≈─Rot(w9,w10,w11)─~─ <Z>""",
        ),
        (
            Circuit(
                3,
                1,
                ansatz=[
                    Gate("CRX", (2, 0), (Weight(0),)),
                    Gate("SWAP", (1, 2)),
                    Gate("PhaseShift", (1,), (0.5,)),
                    Gate("IsingZZ", (0, 2), (Weight(0),)),
                ],
            ),
            """
0: ─RX(x0)─RX(w0)──────────────────────IsingZZ(w0)─ <Z>
1: ─RX(x1)───│────SWAP─PhaseShift(0.5)──────│────── <Z>
2: ─RX(x2)───●────SWAP─────────────────IsingZZ(w0)─ <Z>""",
        ),
    ],
)
def test_draw(circuit: Circuit, picture: str) -> None:
    assert circuit.draw() == picture.lstrip("\n")


@pytest.mark.parametrize("seed", range(30))
def test_drawn_lines_are_equally_long(seed: int) -> None:
    circuit = random_circuit(seed)
    lines = circuit.draw().split("\n")
    assert len(lines) == circuit.n_qubits
    assert len({len(line) for line in lines}) == 1
