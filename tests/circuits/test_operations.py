"""Circuits made of operations: what they are, what is refused, and where their noise stands."""

import math
import pickle

import numpy as np
import pytest

from qmoe.circuits import (
    Body,
    Born,
    Circuit,
    Dephase,
    Depolarize,
    Expval,
    Feature,
    Gate,
    Hamiltonian,
    NoiseModel,
    Parity,
    Pauli,
    Prepare,
    Probs,
    Readouts,
    Weight,
)
from qmoe.errors import ConfigError, UnsupportedError

ENCODE, TRAIN, JOIN = Gate("RX", (0,), (Feature(0),)), Gate("RY", (1,), (2 * Weight(1),)), Gate("CNOT", (0, 1))


def test_sizes_are_those_that_are_named():
    circuit = Circuit.from_operations([ENCODE, TRAIN, JOIN])
    assert (circuit.n_qubits, circuit.in_features, circuit.weight_shape, circuit.n_outputs) == (2, 1, (2,), 2)
    assert circuit.operations == (ENCODE, TRAIN, JOIN)
    assert (circuit.encoding, circuit.ansatz, circuit.n_layers, circuit.is_template) == (None, None, None, False)


def test_more_wires_features_and_weights_may_be_there():
    circuit = Circuit.from_operations([ENCODE], n_qubits=3, in_features=4, weight_shape=(2, 3))
    assert (circuit.n_qubits, circuit.in_features, circuit.weight_shape, circuit.n_weights) == (3, 4, (2, 3), 6)


def test_wires_of_a_readout_count():
    assert Circuit.from_operations([ENCODE], readout=Pauli("Z3")).n_qubits == 4
    assert Circuit.from_operations([ENCODE], readout=[Pauli("Z0"), Probs((2,))]).n_qubits == 3


def test_equal_circuits_are_equal_and_hash_alike():
    one, two = (Circuit.from_operations([ENCODE, JOIN], readout=[Pauli("Z1 Z0")]) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != Circuit.from_operations([JOIN, ENCODE], readout=[Pauli("Z1 Z0")])
    assert one != one.with_readout("born")


def test_it_says_what_it_is():
    assert repr(Circuit.from_operations([ENCODE, TRAIN, JOIN], readout=Pauli("Z1"))) == (
        "<Circuit of 3 operations, n_qubits=2, in_features=1, weight_shape=(2,), readout=Pauli(word='Z1'), noise=None>"
    )


def test_a_circuit_of_a_template_and_its_operations_are_two_things():
    template = Circuit(2, 2)
    same = Circuit.from_operations(template.operations, in_features=2, weight_shape=template.weight_shape)
    assert same.operations == template.operations
    assert same != template
    with pytest.raises(UnsupportedError, match="made of an encoding and layers"):
        same.template  # noqa: B018


def test_noise_after_every_gate_or_at_the_end():
    by_gate = Circuit.from_operations([ENCODE, JOIN], noise=NoiseModel(0.1, "gate"))
    assert by_gate.operations == (ENCODE, Depolarize((0,)), JOIN, Depolarize((0, 1)))
    assert Circuit.from_operations([ENCODE, JOIN], noise=0.1).operations == (ENCODE, JOIN, Depolarize((0, 1)))
    assert by_gate.with_noise(None).operations == (ENCODE, JOIN)


def test_channels_of_a_list_go_with_the_noise():
    noisy = Circuit.from_operations([ENCODE, Dephase((0,)), JOIN, Depolarize((1,))], noise=0.1)
    assert noisy.with_noise(None).operations == (ENCODE, JOIN)
    assert noisy.with_noise(0.2).operations == noisy.operations


@pytest.mark.parametrize(("where", "places"), [("encoding", [0, 2]), ("layers", [1]), ("all", [0, 1, 2])])
def test_runs_of_gates_are_dephased_as_encodings_and_layers(where, places):
    gates = [ENCODE, TRAIN, ENCODE, TRAIN]
    noisy = Circuit.from_operations(gates, noise=NoiseModel(dephasing=where, dephasing_axis="X"))
    without_depolarizing = [op for op in noisy.operations if not isinstance(op, Depolarize)]
    expected = []
    for place, gate in enumerate(gates):
        expected += [gate, Dephase((0, 1), "X")] if place in places else [gate]
    assert without_depolarizing == expected


def test_a_template_and_its_operations_dephase_alike_where_each_layer_has_an_upload():
    noise = NoiseModel(dephasing="all")
    template = Circuit(2, 2, "angle").with_noise(noise)
    listed = Circuit.from_operations(Circuit(2, 2).operations, weight_shape=(2, 2, 3), noise=noise)
    assert [op for op in template.operations if isinstance(op, Dephase)] == [Dephase((0, 1))] * 2
    assert [op for op in listed.operations if isinstance(op, Dephase)] == [Dephase((0, 1))]


@pytest.mark.parametrize(
    ("operations", "options", "message"),
    [
        (ENCODE, {}, "expected a list of Gate"),
        ("RX", {}, "expected a list of Gate"),
        ([ENCODE, "CNOT"], {}, "Operation 1 is 'CNOT'"),
        ([ENCODE, JOIN], {"n_qubits": 1}, "acts on wire 1; the circuit has wires 0 to 0"),
        ([TRAIN], {"weight_shape": 1}, r"uses Weight\(1\), but weight_shape is \(1,\)"),
        ([TRAIN], {"weight_shape": (2, -1)}, "weight_shape is"),
        ([Gate("RX", (0,), (Feature(3),))], {"in_features": 2}, r"uses Feature\(3\), but in_features is 2"),
        ([ENCODE], {"in_features": 0}, "in_features is 0"),
        ([Gate("RX", (10**9,), (1.0,))], {}, "n_qubits is 1000000001, expected at most"),
        ([Gate("RX", (2**40,), (1.0,))], {}, "expected at most 10000000"),
        ([Depolarize((0,))], {}, "a circuit without noise has pure states"),
        ([Dephase((0,))], {}, "a circuit without noise has pure states"),
        ([ENCODE, Prepare(1)], {}, "can stand first alone"),
        ([Prepare(1)], {"n_qubits": 2}, "can stand first alone"),
        ([Prepare(2), ENCODE], {}, "cannot be angles of gates as well"),
        ([Prepare(1)], {"in_features": 3}, "1 qubit.s. have 2 amplitudes"),
        ([ENCODE], {"readout": Pauli("Z2"), "n_qubits": 2}, "measures wire 2"),
        ([ENCODE], {"readout": "expectation"}, "Unknown read-out"),
    ],
)
def test_what_does_not_fit_is_refused(operations, options, message):
    with pytest.raises(ConfigError, match=message):
        Circuit.from_operations(operations, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "in place of n_layers"), ({"n_layers": None, "encoding": None, "ansatz": None}, "in_features is None")],
)
def test_a_body_by_itself_is_sent_to_operations(options, message):
    with pytest.raises(ConfigError, match=message):
        Circuit(2, body=Body((JOIN,), (0,)), **options)


def test_it_has_no_options_of_a_template():
    with pytest.raises(UnsupportedError, match="made of an encoding and layers"):
        Circuit.from_operations([JOIN]).options()


def test_a_template_with_nothing_in_it_is_sent_to_operations():
    with pytest.raises(ConfigError, match="from_operations"):
        Circuit(2, 1, None)


# --- read-outs -----------------------------------------------------------------------------------------------------


def test_words_are_read_in_any_order_and_writing():
    assert Pauli("X2 Z0") == Pauli("Z0 X2") == Pauli("Z0 @ X2") == Pauli("Z(0) X(2)") == Pauli("I1 Z0 X2")
    assert Pauli("") == Pauli("I")
    assert Pauli("X2 Z0").words(3) == (((1.0, ((0, "Z"), (2, "X"))),),)


def test_sums_of_words_add_up_what_stands_twice():
    assert Hamiltonian([1, 2, 0.5], ["Z0 X1", "X1 Z0", "I"]).words(2) == (((3.0, ((0, "Z"), (1, "X"))), (0.5, ())),)


def test_one_wire_need_not_be_a_list():
    assert Probs(np.int64(1)) == Probs(1) == Probs((1,))
    assert Parity(np.int64(1)) == Parity(1) == Parity((1,))


def test_a_list_is_one_readout_with_all_outputs():
    readout = Readouts((Expval(), [Born(), Readouts((Parity(), Probs((1, 0))))]))
    assert readout.parts == (Expval(), Born(), Parity(), Probs((1, 0)))
    assert readout.n_outputs(2) == 2 + 4 + 1 + 4
    assert readout.words(2) is None
    assert Readouts((Expval(), Parity())).words(2) == (*Expval().words(2), *Parity().words(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pauli("Z0 Q1"), "holds 'Q1'"),
        (lambda: Pauli("Z0 X0"), "names wire 0 twice"),
        (lambda: Pauli("ZZ"), "holds 'ZZ'"),
        (lambda: Pauli(3), "expected text"),
        (lambda: Hamiltonian([1], ["Z0", "Z1"]), "1 coefficient.s. and 2 word"),
        (lambda: Hamiltonian([], []), "0 coefficient"),
        (lambda: Hamiltonian([math.nan], ["Z0"]), "finite"),
        (lambda: Probs(()), "at least one"),
        (lambda: Probs((0, 0)), "different"),
        (lambda: Parity((-1,)), "non-negative"),
        (lambda: Readouts(()), "is empty"),
        (lambda: Readouts(("nothing",)), "Unknown read-out"),
        (lambda: Readouts(None), "expected a list of read-outs"),
        (lambda: Readouts(Pauli("Z0")), "expected a list of read-outs"),
        (lambda: Readouts("expval"), "expected a list of read-outs"),
        (lambda: Hamiltonian(1.0, ["Z0"]), "expected lists"),
        (lambda: Hamiltonian([1.0, 2.0], "Z0"), "expected lists"),
        (lambda: Hamiltonian(None, None), "expected lists"),
        (lambda: Hamiltonian([1e308, 1e308], ["Z0", "Z0"]), "more than a number holds"),
        (lambda: Probs(None), "non-negative integers"),
        (lambda: Probs(1.5), "non-negative integers"),
        (lambda: Parity(1.5), "non-negative integers"),
    ],
)
def test_readouts_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_z_of_every_wire_in_order_is_expval():
    assert Circuit(2, 1, readout=[Pauli("Z0"), Pauli("Z1")]) == Circuit(2, 1)
    assert Circuit.from_operations([JOIN], readout=[Pauli("Z0"), Parity((1,))]).readout == Expval()
    for other in ([Pauli("Z1"), Pauli("Z0")], [Pauli("Z0")], [Pauli("Z0"), Hamiltonian([2.0], ["Z1"])]):
        assert Circuit(2, 1, readout=other).readout == Readouts(tuple(other))


def test_pictures_show_expressions_and_what_is_measured():
    circuit = Circuit.from_operations(
        [Gate("RX", (0,), (Feature(0) * Weight(0),)), Gate("CRZ", (0, 1), (2 * Weight(1) + 0.5,))],
        readout=[Pauli("Z0 X1"), Hamiltonian([2.0, 1.0], ["I", "Z1"]), Probs((1,))],
    )
    assert circuit.draw() == ("0: ─RX(x0*w0)──────●───────\n1: ───────────RZ(2*w1+0.5)─\n<Z0 X1>, <2 I + Z1>, P(1)")
