"""Read-outs, encodings, ansatze and engines of a user's own: what they declare is compared with what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

import qmoe
from qmoe.circuits import Ansatz, Circuit, Encoding, Expval, Feature, Gate, Readout, Weight
from qmoe.circuits.gates import Dephase, Depolarize, Prepare
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.engines.protocol import Engine
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.training import TrainingConfig, train_stack

ENGINES = [NativeEngine, TorchEngine, ReferenceEngine, PennyLaneEngine]


@dataclass(frozen=True)
class OwnReadout(Readout):
    """Declares any number of outputs."""

    name: ClassVar[str] = "own"
    count: int = 1

    def n_outputs(self, n_qubits):
        return self.count


@dataclass(frozen=True)
class FirstWire(Expval):
    """A kind of expectation values that says that it returns one of them."""

    def n_outputs(self, n_qubits):
        return 1


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.__name__)
@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize(
    "readout", [OwnReadout(count=1), OwnReadout(count=3), OwnReadout(count=40), FirstWire()], ids=str
)
def test_a_read_out_that_an_engine_does_not_know_is_refused(engine, noise, readout):
    circuit = Circuit(3, 2, readout=readout, noise=noise)
    x, weights = torch.rand(5, 3, dtype=torch.float64), torch.rand(*circuit.weight_shape, dtype=torch.float64)
    with pytest.raises(UnsupportedError, match=rf"got the read-out {type(readout).__name__}.*'expval' or 'born'"):
        engine().evaluate(circuit, x, weights)
    with pytest.raises(UnsupportedError, match="got the read-out"):
        engine().vjp(circuit, x, weights)


@pytest.mark.parametrize("readout", [OwnReadout(count=2), FirstWire()], ids=str)
def test_training_does_not_reach_the_kernels_with_such_a_read_out(readout):
    router = qmoe.QuantumRouter(2, 2, readout=readout)
    moe = qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, 2))
    x, y = torch.rand(1, 8, 2), torch.tensor([[0, 1] * 4])
    with pytest.raises(UnsupportedError, match="got the read-out"):
        train_stack([moe], x, y, TrainingConfig(epochs=1), [0])


@pytest.mark.parametrize("readout", [OwnReadout(count=2), OwnReadout(count=5), FirstWire()], ids=str)
@pytest.mark.parametrize("look", [qmoe.span, qmoe.twin, qmoe.distill], ids=lambda look: look.__name__)
def test_spans_twins_and_distilled_routers_follow_no_other_read_out(look, readout):
    router = qmoe.QuantumRouter(2, 2, readout=readout)
    with pytest.raises(UnsupportedError, match=rf"got (the read-out )?{type(readout).__name__}"):
        look(router)


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "2", None])
def test_a_read_out_without_a_number_of_outputs_is_refused(count):
    with pytest.raises(ConfigError, match=r"OwnReadout: n_outputs\(2\) is"):
        Circuit(2, 1, readout=OwnReadout(count=count))


class ParityEngine(Engine):
    """Computes a read-out of its own: the expectation of Z on all wires together."""

    name = "parity"
    readouts = (OwnReadout,)

    def _evaluate(self, circuit, x, weights, strength):
        born = Circuit(circuit.n_qubits, circuit.n_layers, readout="born")
        signs = torch.tensor([(-1.0) ** k.bit_count() for k in range(circuit.dim)], dtype=x.dtype)
        return TorchEngine()._evaluate(born, x, weights, strength) @ signs.unsqueeze(-1)


def test_an_engine_may_list_a_read_out_of_its_own():
    circuit = Circuit(2, 1, readout=OwnReadout(count=1))
    x, weights = torch.rand(4, 2), torch.rand(*circuit.weight_shape)
    found = ParityEngine().evaluate(circuit, x, weights)
    words = ReferenceEngine().evaluate(Circuit(2, 1, readout="born"), x, weights)
    torch.testing.assert_close(found[:, 0], words[:, 0] - words[:, 1] - words[:, 2] + words[:, 3])
    router = qmoe.QuantumRouter(2, 2, readout=OwnReadout(count=1), engine=ParityEngine())
    assert router(x).shape == (4, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda out: out[..., :1],
        lambda out: out.double(),
        lambda out: out.mT,
        lambda out: out.sum(1),
        lambda out: out[:, :1],
    ],
    ids=["outputs", "dtype", "order", "batch", "rows"],
)
def test_an_engine_that_returns_something_else_than_declared_is_named(wrong):
    class Wrong(Engine):
        name = "wrong"

        def _evaluate(self, circuit, x, weights, strength):
            return wrong(x.new_zeros(len(x), x.shape[1], circuit.n_outputs))

    circuit = Circuit(2, 1)
    with pytest.raises(UnsupportedError, match=r"Engine 'wrong' returned .* declares 2 output"):
        Wrong().evaluate(circuit, torch.rand(5, 2), torch.rand(*circuit.weight_shape))


@dataclass(frozen=True)
class OwnEncoding(Encoding):
    """Any operations."""

    ops: tuple = ()
    uploads: int = 1
    name: ClassVar[str] = "own"

    def n_features(self, n_qubits):
        return n_qubits

    def check_features(self, in_features, n_qubits):
        pass

    def operations(self, n_qubits):
        return self.ops

    max_frequency = 1
    period = 6.3


RX = Gate("RX", (0,), (Feature(0),))


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        (OwnEncoding((RX, Gate("RY", (1,), (Feature(2),)))), r"Feature\(index=2\), but the circuit has 2 feature"),
        (OwnEncoding((Gate("RZ", (0,), (Feature(7),)),)), r"Feature\(index=7\)"),
        (OwnEncoding((RX, Gate("RX", (2,), (Feature(1),)))), r"wire 2, but the circuit has wires 0 to 1"),
        (OwnEncoding((Gate("CNOT", (0, 5)),)), "wire 5"),
        (OwnEncoding((Gate("RX", (0,), (Weight(0),)),)), "weights belong to the ansatz"),
        (OwnEncoding((RX, Prepare(2))), "prepares a state after other operations"),
        (OwnEncoding((Prepare(2),), uploads=2), "prepares a state after other operations"),
        (OwnEncoding((Prepare(3),)), r"on 3 wire\(s\); the circuit has 2 qubit"),
        (OwnEncoding((RX, Depolarize((0,)))), "has pure states"),
        (OwnEncoding((RX, Dephase((1,)))), "has pure states"),
        (OwnEncoding((RX, Dephase((2,)))), "wire 2"),
        (OwnEncoding((RX, Depolarize((-1,)))), "wire -1"),
        (OwnEncoding(("RX",)), "holds 'RX', expected a Gate"),
        (OwnEncoding(None), "returned None, expected a tuple"),
        (OwnEncoding((RX,), uploads=0), "uploads=0, expected an integer"),
        (OwnEncoding((RX,), uploads=1.5), "uploads=1.5, expected an integer"),
        (OwnEncoding([RX]), "cannot be hashed"),
    ],
    ids=str,
)
def test_an_encoding_that_names_what_is_not_there_is_refused(encoding, message):
    with pytest.raises(ConfigError, match=message):
        Circuit(2, 2, encoding=encoding)


def test_a_subclass_of_our_encoding_is_looked_at_too():
    class Shifted(qmoe.AngleEncoding):
        def operations(self, n_qubits):
            return tuple(Gate("RX", (w,), (Feature(w + 1),)) for w in range(n_qubits))

    with pytest.raises(ConfigError, match=r"Shifted uses Feature\(index=3\), but the circuit has 3"):
        Circuit(3, 1, encoding=Shifted())


@dataclass(frozen=True)
class OwnAnsatz(Ansatz):
    """Any gates in layers of any declared shape."""

    gates: tuple = ()
    shape: tuple = (2,)
    name: ClassVar[str] = "own"

    def layer_shape(self, n_qubits):
        return self.shape

    def layer(self, index, n_qubits):
        return self.gates if index else self.gates[:1]


def turn(wire, index):
    return Gate("RY", (wire,), (Weight(index),))


@pytest.mark.parametrize(
    ("ansatz", "message"),
    [
        (OwnAnsatz((turn(0, 0), turn(1, 2))), r"Weight\(index=2\) in layer 1, but layer_shape declares 2 weight"),
        (OwnAnsatz((turn(0, 5),)), r"Weight\(index=5\) in layer 0"),
        (OwnAnsatz((turn(0, 0), turn(3, 1))), "wire 3"),
        (OwnAnsatz((Gate("RY", (0,), (Feature(0),)),)), "features enter through the encoding"),
        (OwnAnsatz((turn(0, 0), Prepare(2))), "expected a Gate"),
        (OwnAnsatz((turn(0, 0),), shape=[2]), "cannot be hashed"),
        (OwnAnsatz((turn(0, 0),), shape=2), "expected a tuple of integers"),
        (OwnAnsatz((turn(0, 0),), shape=(2, -1)), "expected a tuple of integers"),
        (OwnAnsatz((turn(0, 0),), shape=(2.0,)), "expected a tuple of integers"),
        (OwnAnsatz((turn(0, 0),), shape=()), r"^$"),
    ],
    ids=str,
)
def test_an_ansatz_that_names_what_is_not_there_is_refused(ansatz, message):
    if message == "^$":  # one weight a layer, as a number: that is a shape
        assert Circuit(2, 2, ansatz=ansatz).n_weights == 2
        return
    with pytest.raises(ConfigError, match=message):
        Circuit(2, 2, ansatz=ansatz)


def test_own_parts_that_keep_their_word_run_on_every_engine():
    encoding = OwnEncoding((RX, Gate("RY", (1,), (Feature(1),)), Gate("CZ", (0, 1))))
    circuit = Circuit(2, 2, encoding=encoding, ansatz=OwnAnsatz((turn(0, 0), turn(1, 1))))
    x, weights = torch.rand(3, 2, dtype=torch.float64), torch.rand(*circuit.weight_shape, dtype=torch.float64)
    truth = ReferenceEngine().evaluate(circuit, x, weights)
    for engine in (NativeEngine(), TorchEngine(), PennyLaneEngine()):
        torch.testing.assert_close(engine.evaluate(circuit, x, weights), truth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", [0, -2, 2.5, True])
def test_a_number_of_features_is_at_least_one(given):
    @dataclass(frozen=True)
    class Any(OwnEncoding):
        ops: tuple = field(default=(RX,))

    with pytest.raises(ConfigError, match="in_features is"):
        Circuit(2, 1, encoding=Any(), in_features=given)


class OwnFunctions(qmoe.routers.FeatureRouter):
    """Functions that may not be what was declared."""

    runs_stacked = True
    width, cast = 3, torch.float32

    def features(self, x):
        return x[..., :1].expand(*x.shape[:-1], self.width).to(self.cast)


@pytest.mark.parametrize(("width", "cast"), [(2, torch.float32), (7, torch.float32), (3, torch.float64)])
def test_functions_of_a_gate_that_are_not_those_declared_are_named(width, cast):
    router = OwnFunctions(2, 2, 3)
    router.width, router.cast = width, cast
    moe = qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, 2))
    x, y = torch.rand(1, 8, 2), torch.tensor([[0, 1] * 4])
    message = rf"OwnFunctions\.features returned {cast} of shape \(.*, {width}\), expected torch\.float32"
    with pytest.raises(qmoe.ShapeError, match=message):
        moe(x[0])
    with pytest.raises(qmoe.ShapeError, match=message):
        train_stack([moe], x, y, TrainingConfig(epochs=1), [0])
