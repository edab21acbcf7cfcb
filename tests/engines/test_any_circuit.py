"""Circuits of any operations on every engine: values and gradients of 300 random ones, and what they cost."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from qmoe.circuits import (
    Circuit,
    Expval,
    Feature,
    Gate,
    Hamiltonian,
    Parity,
    Pauli,
    Probs,
    Readout,
    Readouts,
    Weight,
)
from qmoe.engines import Engine, NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.engines.rewriting.measuring import measured
from qmoe.errors import UnsupportedError
from qmoe.testing import random_inputs, random_operations

DEFAULT_QUBIT = PennyLaneEngine("default.qubit")
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def answers(engine, circuit, dtype, seed, of_features=True):
    x, weights = random_inputs(circuit, seed, batch=(3,), dtype=dtype, requires_grad=True)
    x.requires_grad_(of_features)
    out = engine.evaluate(circuit, x, weights)
    given = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    wanted = (x, weights) if of_features else (weights,)
    gradients = torch.autograd.grad(out, wanted, given / given.norm(), materialize_grads=True, allow_unused=True)
    return [tensor.double() for tensor in (out.detach(), *gradients)]


@pytest.mark.parametrize("first", range(0, 300, 20))
def test_random_circuits_agree_with_default_qubit(first):
    for seed in range(first, first + 20):
        circuit = random_operations(seed, n_qubits=1 + seed % 6, noise=False)
        of_features = seed % 3 > 0  # without them an engine may leave out a part of the way back
        expected = answers(DEFAULT_QUBIT, circuit, torch.float64, seed, of_features)
        for engine in (NativeEngine(), TorchEngine(), *[ReferenceEngine()] * (circuit.n_qubits <= 3)):
            for dtype, tolerance in TOLERANCES.items():
                found = answers(engine, circuit, dtype, seed, of_features)
                off = max(float((got - want).abs().max()) for got, want in zip(found, expected, strict=True))
                assert off <= tolerance, f"seed {seed} on {engine.name}"


def test_an_angle_of_products_has_the_gradients_of_calculus():
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0) * Weight(0) + 0.5 * Weight(1) ** 2,))])
    x = torch.tensor([[0.7]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([1.3, -0.4], dtype=torch.float64, requires_grad=True)
    out = NativeEngine().evaluate(circuit, x, w)
    out.sum().backward()
    sine = -math.sin(0.7 * 1.3 + 0.08)
    assert float(out.detach()) == pytest.approx(math.cos(0.7 * 1.3 + 0.08), abs=1e-14)
    assert float(x.grad) == pytest.approx(sine * 1.3, abs=1e-14)
    assert w.grad.tolist() == pytest.approx([sine * 0.7, sine * -0.4], abs=1e-14)


def test_a_shared_weight_gets_the_gradients_of_all_its_gates():
    circuit = Circuit.from_operations([Gate("RY", (0,), (Weight(0),)), Gate("RY", (0,), (2 * Weight(0),))])
    w = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    NativeEngine().evaluate(circuit, torch.zeros(5, 1, dtype=torch.float64), w).sum().backward()
    assert float(w.grad) == pytest.approx(5 * -3 * math.sin(0.9), abs=1e-13)


@pytest.mark.parametrize(
    ("word", "value"), [("X0", 0.6), ("Y1", -0.8), ("X0 Y1", -0.48), ("Z0", 0.8), ("I", 1.0), ("Z1 X0", 0.36)]
)
def test_words_have_the_values_of_product_states(word, value):
    # RY(a)|0> has <Z> = cos a and <X> = sin a; RX(a)|0> has <Z> = cos a and <Y> = -sin a.
    gates = [Gate("RY", (0,), (Feature(0),)), Gate("RX", (1,), (Feature(1),))]
    circuit = Circuit.from_operations(gates, readout=Pauli(word))
    x = torch.tensor([[math.asin(0.6), math.acos(0.6)]], dtype=torch.float64)
    for engine in (NativeEngine(), TorchEngine(), ReferenceEngine()):
        assert float(engine.evaluate(circuit, x, x.new_zeros(0))) == pytest.approx(value, abs=1e-12)


def test_words_that_share_a_basis_are_measured_together():
    def n_runs(*words):
        return len(measured(Hamiltonian([1.0] * len(words), words), 4).runs)

    assert n_runs("Z0", "Z1 Z2") == 1
    assert n_runs("X0 X1", "X2", "X3 X0") == 1
    assert n_runs("X0", "Y1", "Z2 X0") == 1
    assert n_runs("X0", "Y0", "Z0") == 3


def test_words_of_single_wires_need_no_probabilities():
    (one,) = measured(Hamiltonian([2.0, 0.5, 1.0], ["Z0", "I", "Z2"]), 3).runs
    assert isinstance(one.readout, Expval)
    assert one.basis == ()
    np.testing.assert_array_equal(one.table, [[2.0], [0.0], [1.0]])
    np.testing.assert_array_equal(one.offset, [0.5])


def test_probabilities_of_wires_take_no_table():
    reversed_wires = tuple(range(14))[::-1]  # a table would hold 2**28 numbers
    (run,) = measured(Probs(reversed_wires), 14).runs
    assert (run.table, run.marginals) == (None, (reversed_wires,))
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], n_qubits=14, readout=Probs(reversed_wires))
    out = NativeEngine().evaluate(circuit, torch.full((1, 1), 0.6, dtype=torch.float64), torch.zeros(0).double())
    assert out.nonzero().tolist() == [[0, 0], [0, 1]]
    assert out[0, :2].tolist() == pytest.approx([math.cos(0.3) ** 2, math.sin(0.3) ** 2], abs=1e-14)


def test_outputs_of_words_and_probabilities_stand_in_the_order_of_the_list():
    found = measured(Readouts((Probs((1,)), Pauli("X0"), Probs((0, 1)), Parity())), 2)
    # Computed are <X0> and the parity, then both marginals.
    assert found.order == (2, 3, 0, 4, 5, 6, 7, 1)


@dataclass(frozen=True)
class Purity(Readout):
    """A read-out that no engine here knows."""

    name = "purity"

    def n_outputs(self, n_qubits):
        return 1


@pytest.mark.parametrize("engine", [NativeEngine(), TorchEngine(), ReferenceEngine(), DEFAULT_QUBIT], ids=str)
def test_a_readout_of_ones_own_within_a_list_is_refused_by_name(engine):
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], readout=[Pauli("Z0"), Purity()])
    with pytest.raises(UnsupportedError, match="a list with a Purity"):
        engine.evaluate(circuit, *random_inputs(circuit, 0))


def test_a_template_runs_as_it_is():
    assert NativeEngine().rewriting(Circuit(2, 3)) is None
    assert TorchEngine().rewriting(Circuit(2, 3, readout="born", noise=0.1)) is None
    listed = Circuit.from_operations(Circuit(2, 3).operations)
    assert NativeEngine().rewriting(listed) is None
    scaled = Circuit.from_operations([Gate("RX", (0,), (2 * Feature(0) + 0.5,))])
    assert NativeEngine().rewriting(scaled) is None
    rewriting = TorchEngine().rewriting(scaled)
    assert rewriting.runs[0].operations == (Gate("RX", (0,), (Feature(1),)),)
    assert rewriting.angles.features == (2 * Feature(0) + 0.5,)


class PlainEngine(Engine):
    """An engine that knows one gate and one read-out, as somebody may write one."""

    name = "plain"
    readouts = (Expval,)

    def why_not(self, circuit, device):
        strange = [op.name for op in circuit.operations if op.name != "RX"]
        return f"it has no {strange[0]}; use engine='native'." if strange else None

    def _evaluate(self, circuit, x, weights, strength):
        total = x.new_zeros(*x.shape[:2], circuit.n_qubits)
        for op in circuit.operations:
            (angle,) = op.angles
            one = torch.zeros(circuit.n_qubits, dtype=x.dtype)
            one[op.wires[0]] = 1
            value = x[..., angle.index] if isinstance(angle, Feature) else weights[:, None, angle.index]
            total = total + value[..., None] * one
        return torch.cos(total)


def test_an_engine_of_ones_own_gets_plain_angles_and_its_own_readout():
    gates = [Gate("RX", (0,), (2 * Feature(0) * Weight(0),)), Gate("RX", (1,), (Weight(1) - 1,))]
    circuit = Circuit.from_operations(gates, readout=[Pauli("Z1"), Hamiltonian([3.0, 1.0], ["Z0", "I"])])
    x, weights = random_inputs(circuit, 0)
    expected = ReferenceEngine().evaluate(circuit, x, weights)
    torch.testing.assert_close(PlainEngine().evaluate(circuit, x, weights), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("readout", [Parity(), Probs((0, 1)), Pauli("X0")])
def test_an_engine_refuses_readouts_that_need_probabilities_it_has_not(readout):
    circuit = Circuit.from_operations([Gate("RX", (0,), (Feature(0),))], n_qubits=2, readout=readout)
    with pytest.raises(UnsupportedError, match="it computes Expval and nothing else, got the read-out Born"):
        PlainEngine().evaluate(circuit, *random_inputs(circuit, 0))


def test_a_gate_that_an_engine_has_not_is_named_with_an_engine_that_has():
    circuit = Circuit.from_operations([Gate("CRY", (0, 1), (Feature(0) * Weight(0),))])
    with pytest.raises(UnsupportedError, match="it has no CRY; use engine='native'"):
        PlainEngine().evaluate(circuit, *random_inputs(circuit, 0))


def test_outputs_that_depend_on_nothing_have_gradients_of_zero():
    circuit = Circuit.from_operations([Gate("RZ", (0,), (0.3,))], readout=Pauli("I"), weight_shape=2)
    for engine in (NativeEngine(), TorchEngine(), ReferenceEngine(), DEFAULT_QUBIT):
        out, of_x, of_weights = answers(engine, circuit, torch.float64, 0)
        assert out.flatten().tolist() == pytest.approx([1.0] * 3, abs=1e-15)
        assert not of_x.any()
        assert not of_weights.any()


def test_gradients_on_default_mixed_are_finite_where_a_probability_is_zero():
    circuit = Circuit.from_operations([Gate("CRX", (0, 1), (Weight(0),))], readout=[Parity(), Probs((1,))])
    mixed = answers(PennyLaneEngine("default.mixed"), circuit, torch.float64, 0)
    for got, want in zip(mixed, answers(ReferenceEngine(), circuit, torch.float64, 0), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_transforms_and_second_derivatives_pass_through_the_expressions():
    gates = [Gate("RX", (0,), (Feature(0) * Weight(0),)), Gate("CRZ", (0, 1), (Feature(1) ** 2 + Weight(1),))]
    circuit = Circuit.from_operations([Gate("Hadamard", (1,)), *gates], readout=[Pauli("X1"), Pauli("Z0 Z1")])
    x, weights = random_inputs(circuit, 3, requires_grad=True)
    engine = NativeEngine()
    assert torch.autograd.gradgradcheck(lambda *given: engine.evaluate(circuit, *given), (x, weights))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: engine.evaluate(circuit, row, weights)))(x)
    expected = torch.autograd.functional.jacobian(lambda rows: engine.evaluate(circuit, rows, weights), x)
    torch.testing.assert_close(jacobian, torch.einsum("bobf->bof", expected), rtol=0, atol=1e-12)
    forward = torch.func.jacfwd(lambda w: engine.evaluate(circuit, x[0], w))(weights)
    backward = torch.func.jacrev(lambda w: engine.evaluate(circuit, x[0], w))(weights)
    torch.testing.assert_close(forward, backward, rtol=0, atol=1e-12)
