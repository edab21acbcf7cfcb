"""What theory says about dephased circuits, held against each engine."""

import math

import numpy as np
import pennylane as qml
import pytest
import torch
from torch import Tensor

from qmoe.circuits import AngleEncoding, Circuit, Dephase, Gate, NoiseModel, Weight
from qmoe.engines import Engine, NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.native.layout import DAMP
from qmoe.engines.native.plan.pauli_program import FORGOTTEN, NoisyProgram
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.testing import random_inputs

ENGINES = {
    "reference": ReferenceEngine(),
    "torch": TorchEngine(),
    "native": NativeEngine(),
    "pennylane": PennyLaneEngine(),
}
EXACT = {"rtol": 0, "atol": 1e-11}
# Forward mode makes torch compile some of its own formulas by a road that it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def dephased(where: str, n_qubits: int = 2, n_layers: int = 3, **options: object) -> Circuit:
    return Circuit(n_qubits, n_layers, noise=NoiseModel(dephasing=where), **options)


def residual(features: Tensor, values: Tensor) -> float:
    """What least squares leaves over, at most."""
    solution = torch.linalg.lstsq(features, values).solution
    return float((features @ solution - values).abs().max())


# --- after the encoding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rotation", ["X", "Y"])
def test_one_upload_that_is_dephased_leaves_the_cosines_alone(engine: Engine, rotation: str) -> None:
    circuit = dephased("encoding", encoding=AngleEncoding(rotation))
    x, weights = random_inputs(circuit, 1, batch=(40,))
    out = engine.evaluate(circuit, x, weights)
    cosines = x.cos()
    span = torch.stack([torch.ones(40, dtype=x.dtype), *cosines.T, cosines.prod(-1)], -1)
    assert residual(span, out) < 1e-11
    clean = engine.evaluate(circuit.with_noise(None), x, weights)
    assert residual(span, clean) > 1e-2
    for flip in ([-1.0, 1.0], [1.0, -1.0]):
        mirrored = engine.evaluate(circuit, x * x.new_tensor(flip), weights)
        torch.testing.assert_close(mirrored, out, **EXACT)


def test_one_upload_by_rz_is_forgotten(engine: Engine) -> None:
    circuit = dephased("encoding", encoding=AngleEncoding("Z"))
    x, weights = random_inputs(circuit, 2, batch=(5,), requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    torch.testing.assert_close(out, out[:1].expand_as(out), **EXACT)
    (gradient,) = torch.autograd.grad(out.square().sum(), x, materialize_grads=True)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), **EXACT)


def test_a_product_circuit_spans_the_cosine_of_each_qubits_own_feature(engine: Engine) -> None:
    circuit = dephased("encoding", n_qubits=3, ansatz="no_entangler")
    x, weights = random_inputs(circuit, 3, batch=(30,))
    out = engine.evaluate(circuit, x, weights)
    for wire in range(3):
        assert residual(x[:, wire : wire + 1].cos(), out[:, wire : wire + 1]) < 1e-11
    assert float(out.detach().std(0).min()) > 1e-2


def test_dephased_amplitudes_lose_their_signs(engine: Engine) -> None:
    circuit = dephased("encoding", encoding="amplitude", readout="born")
    x, weights = random_inputs(circuit, 4, batch=(6,))
    signs = x.new_tensor([1.0, -1.0, -1.0, 1.0])
    torch.testing.assert_close(
        engine.evaluate(circuit, x * signs, weights), engine.evaluate(circuit, x, weights), **EXACT
    )
    bare = dephased("encoding", n_layers=0, encoding="amplitude", readout="born")
    out = engine.evaluate(bare, x, weights[:0])
    torch.testing.assert_close(out, x.square() / x.square().sum(-1, keepdim=True), **EXACT)


# --- between layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["expval", "born"])
def test_a_single_layer_has_none_between(engine: Engine, readout: str) -> None:
    circuit = dephased("layers", n_layers=1, readout=readout)
    assert not any(isinstance(op, Dephase) for op in circuit.operations)
    x, weights = random_inputs(circuit, 5)
    clean = engine.evaluate(circuit.with_noise(None), x, weights)
    torch.testing.assert_close(engine.evaluate(circuit, x, weights), clean, **EXACT)


def test_diagonal_layers_commute_with_dephasing(engine: Engine) -> None:
    # E D L E D L E D L and E L D E L D E L are the same where D L = L D; the last D meets a diagonal read-out.
    layer = [Gate("RZ", (0,), (Weight(0),)), Gate("RZ", (1,), (Weight(1),)), Gate("IsingZZ", (0, 1), (Weight(2),))]
    options = {"encoding": AngleEncoding("X", uploads=3), "ansatz": layer}
    x, weights = random_inputs(dephased("all", **options), 6)
    outs = {where: engine.evaluate(dephased(where, **options), x, weights) for where in ("encoding", "layers", "all")}
    for where in ("layers", "all"):
        torch.testing.assert_close(outs[where], outs["encoding"], **EXACT)
    # Between two uploads nothing but phases is left, so they do nothing.
    torch.testing.assert_close(outs["all"], x.cos() ** 3, **EXACT)
    clean = engine.evaluate(dephased("none", **options), x, weights)
    assert float((clean - outs["all"]).abs().max()) > 1e-2


# --- both ------------------------------------------------------------------------------------------------------------


def gate(name: str, angle: float) -> np.ndarray:
    c, s = math.cos(angle / 2), math.sin(angle / 2)
    if name == "RZ":
        return np.diag(np.exp([-0.5j * angle, 0.5j * angle]))
    return np.array([[c, -1j * s], [-1j * s, c]] if name == "RX" else [[c, -s], [s, c]])


def layer_matrix(weights: np.ndarray) -> np.ndarray:
    """One strongly entangling layer of two qubits: Rot on both, CNOT 0 -> 1, CNOT 1 -> 0."""
    rot = [gate("RZ", omega) @ gate("RY", theta) @ gate("RZ", phi) for phi, theta, omega in weights]
    down, up = np.eye(4)[[0, 1, 3, 2]], np.eye(4)[[0, 3, 2, 1]]
    return up @ down @ np.kron(*rot)


def stochastic(unitary: np.ndarray) -> np.ndarray:
    matrix = abs(unitary) ** 2
    np.testing.assert_allclose(matrix.sum(0), 1, rtol=0, atol=1e-14)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-14)
    return matrix


@pytest.mark.parametrize("uploads", [1, 3])
def test_a_circuit_dephased_everywhere_is_a_markov_chain_on_bit_strings(engine: Engine, uploads: int) -> None:
    circuit = dephased("all", encoding=AngleEncoding("X", uploads=uploads), readout="born")
    x, weights = random_inputs(circuit, 7, batch=(4,))
    out = engine.evaluate(circuit, x, weights)
    for row, features in zip(out.numpy(), x.numpy(), strict=True):
        p = np.array([1.0, 0.0, 0.0, 0.0])
        for layer in range(3):
            if layer < uploads:
                p = stochastic(np.kron(*(gate("RX", angle) for angle in features))) @ p
            p = stochastic(layer_matrix(weights[layer].numpy())) @ p
        np.testing.assert_allclose(row, p, rtol=0, atol=1e-11)


def test_a_markov_chain_knows_no_phases(engine: Engine) -> None:
    circuit = dephased("all")
    x, weights = random_inputs(circuit, 8, batch=(6,), requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    gradient = torch.stack([torch.autograd.grad(o, weights, retain_graph=True)[0] for o in out.flatten()]).abs()
    torch.testing.assert_close(gradient[..., [0, 2]], torch.zeros_like(gradient[..., [0, 2]]), **EXACT)
    assert float(gradient[..., 1].amax(0).min()) > 1e-4


@pytest.mark.parametrize("where", ["encoding", "layers", "all"])
def test_dephased_circuits_agree_with_a_program_written_in_pennylane(engine: Engine, where: str) -> None:
    circuit = dephased(where, n_qubits=3, readout="born")
    x, weights = random_inputs(circuit, 9, batch=(2,))

    @qml.qnode(qml.device("default.mixed", wires=3))
    def program(features: np.ndarray) -> object:
        qml.AngleEmbedding(features, wires=range(3), rotation="X")
        forget(where in ("encoding", "all"))
        for layer in range(3):
            qml.StronglyEntanglingLayers(weights[layer : layer + 1].numpy(), wires=range(3), ranges=[layer % 2 + 1])
            forget(where in ("layers", "all"))
        return qml.probs(wires=range(3))

    def forget(here: bool) -> None:
        for wire in range(3) if here else ():
            qml.PhaseFlip(0.5, wires=wire)

    expected = np.stack([program(row) for row in x.numpy()])
    np.testing.assert_allclose(engine.evaluate(circuit, x, weights).numpy(), expected, rtol=0, atol=1e-11)


# --- with depolarizing noise, of single qubits, and in programs ------------------------------------------------------


@pytest.mark.parametrize("placement", ["block", "gate"])
@pytest.mark.parametrize("where", ["encoding", "layers", "all"])
def test_gradients_of_the_noise_strength_beside_dephasing_equal_the_reference(where: str, placement: str) -> None:
    circuit = Circuit(3, 3, AngleEncoding("X", uploads=2), noise=NoiseModel(0.1, placement, where))
    x, weights = random_inputs(circuit, 10, stack=(4,), batch=(2,), requires_grad=True)
    strength = torch.tensor([0.0, 0.1, 0.3, 0.75], dtype=x.dtype).requires_grad_()
    truth = None
    for one in (ReferenceEngine(), TorchEngine(), NativeEngine()):
        out = one.evaluate(circuit, x, weights, strength)
        results = (out, *torch.autograd.grad(out.sin().sum(), (strength, x, weights)))
        truth = truth or results
        for ours, exact in zip(results, truth, strict=True):
            torch.testing.assert_close(ours, exact, rtol=0, atol=1e-12)


def test_seven_dephased_qubits_in_compiled_code_equal_the_torch_engine() -> None:
    circuit = dephased("all", n_qubits=7, n_layers=2, readout="born")
    x, weights = random_inputs(circuit, 11, batch=(3,), requires_grad=True)
    results = []
    for one in (TorchEngine(), NativeEngine()):
        out = one.evaluate(circuit, x, weights)
        results.append((out, *torch.autograd.grad(out.square().sum(), (x, weights))))
    for ours, truth in zip(*results, strict=True):
        torch.testing.assert_close(ours, truth, rtol=0, atol=1e-12)


def test_second_derivatives_of_a_dephased_circuit_in_compiled_code_equal_the_torch_engine() -> None:
    circuit = dephased("all", n_layers=2)
    x, weights = random_inputs(circuit, 12)
    rows = [
        torch.func.hessian(lambda w, e=one: e.evaluate(circuit, x, w).square().sum())(weights)
        for one in (TorchEngine(), NativeEngine())
    ]
    torch.testing.assert_close(rows[1], rows[0], rtol=0, atol=1e-12)


class OneQubitForgets(AngleEncoding):
    """Angle encoding of three features that entangles the qubits and dephases one, whose bits have new names by then."""

    def operations(self, n_qubits):
        tangle = (Gate("CNOT", (0, 1)), Gate("SWAP", (1, 2)), Gate("PauliX", (1,)), Gate("CNOT", (2, 0)))
        return (*super().operations(n_qubits), *tangle, Dephase((1,)), Gate("CNOT", (1, 2)), Dephase((2, 0)))


@pytest.mark.parametrize("readout", ["expval", "born"])
@pytest.mark.parametrize("p", [0.0, 0.1])
def test_single_qubits_are_dephased_behind_renaming_gates(engine: Engine, readout: str, p: float) -> None:
    circuit = Circuit(3, 2, OneQubitForgets("Y", uploads=2), readout=readout, noise=p)
    x, weights = random_inputs(circuit, 13, requires_grad=True)
    results = []
    for one in (engine, ReferenceEngine()):
        out = one.evaluate(circuit, x, weights)
        results.append((out, *torch.autograd.grad(out.sin().sum(), (x, weights))))
    for ours, truth in zip(*results, strict=True):
        torch.testing.assert_close(ours, truth, **EXACT)


def test_phases_that_dephasing_forgets_are_not_in_the_program() -> None:
    program = NoisyProgram(dephased("all", n_qubits=4))
    # Rotations by RX (one a qubit) and RY (one a qubit and layer); every Z before, between and after them is forgotten.
    assert len(program.sources) == 4 + 4 * 3
    # Both channels after the encoding are one; two more between layers, and depolarizing at the end.
    assert list(program.rows[:, 0]).count(DAMP) == len(program.counts) == 4
    assert [int((counts == FORGOTTEN).sum()) for counts in program.counts] == [4**4 - 2**4] * 3 + [0]


def test_a_program_without_dephasing_forgets_nothing() -> None:
    program = NoisyProgram(Circuit(3, 3, noise=NoiseModel(0.1, "gate")))
    assert program.counts.min() == 0


# --- along another axis ----------------------------------------------------------------------------------------------

#: The Bloch vector after one upload: by RX ``(0, -sin x, cos x)``, by RY ``(sin x, 0, cos x)``, by RZ ``(cos x, sin x, 0)``.
BLOCH = {"X": (None, "sin", "cos"), "Y": ("sin", None, "cos"), "Z": ("cos", "sin", None)}


@pytest.mark.parametrize("axis", [0, 1, 2], ids="XYZ")
@pytest.mark.parametrize("rotation", list(BLOCH))
def test_one_upload_keeps_the_part_of_its_bloch_vector_along_the_axis(engine: Engine, rotation: str, axis: int) -> None:
    noise = NoiseModel(dephasing="encoding", dephasing_axis="XYZ"[axis])
    circuit = Circuit(2, 2, AngleEncoding(rotation), noise=noise)
    x, weights = random_inputs(circuit, 14, batch=(40,), requires_grad=True)
    out = engine.evaluate(circuit, x, weights)
    (gradient,) = torch.autograd.grad(out.square().sum(), x, materialize_grads=True)
    kept = BLOCH[rotation][axis]
    if kept is None:
        torch.testing.assert_close(out, out[:1].expand_as(out), **EXACT)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), **EXACT)
        return
    one = getattr(x.detach(), kept)()
    span = torch.stack([torch.ones(40, dtype=x.dtype), *one.T, one.prod(-1)], -1)
    assert residual(span, out.detach()) < 1e-11
    assert float(out.detach().std(0).min()) > 1e-2


@pytest.mark.parametrize(("axis", "value"), [("X", 0.0), ("Y", 0.0), ("Z", 1.0)])
def test_dephasing_of_the_ground_state_between_layers_that_do_nothing(engine: Engine, axis: str, value: float) -> None:
    circuit = dephased("layers", n_layers=2, ansatz=[Gate("RZ", (0,), (Weight(0),)), Gate("RZ", (1,), (Weight(1),))])
    circuit = circuit.with_noise(NoiseModel(dephasing="layers", dephasing_axis=axis))
    out = engine.evaluate(circuit, torch.zeros(1, 2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64))
    torch.testing.assert_close(out, torch.full_like(out, value), **EXACT)


class OneQubitForgetsX(OneQubitForgets):
    """The same along X and Y."""

    def operations(self, n_qubits):
        axes = iter("XY")
        return tuple(
            Dephase(op.wires, next(axes)) if isinstance(op, Dephase) else op for op in super().operations(n_qubits)
        )


@pytest.mark.parametrize("readout", ["expval", "born"])
@pytest.mark.parametrize("p", [0.0, 0.1])
def test_single_qubits_are_dephased_along_x_and_y_behind_renaming_gates(engine: Engine, readout: str, p: float) -> None:
    circuit = Circuit(3, 2, OneQubitForgetsX("Y", uploads=2), readout=readout, noise=p)
    x, weights = random_inputs(circuit, 15, requires_grad=True)
    results = []
    for one in (engine, ReferenceEngine()):
        out = one.evaluate(circuit, x, weights)
        results.append((out, *torch.autograd.grad(out.sin().sum(), (x, weights))))
    for ours, truth in zip(*results, strict=True):
        torch.testing.assert_close(ours, truth, **EXACT)


def test_the_axis_is_drawn_and_printed_unless_it_is_z() -> None:
    along = {axis: Circuit(1, 2, noise=NoiseModel(dephasing="all", dephasing_axis=axis)) for axis in "XYZ"}
    assert all(f"≈{axis}" in along[axis].draw() for axis in "XY")
    assert "≈─" in along["Z"].draw()
    assert repr(NoiseModel(0.1)) == "NoiseModel(depolarizing=0.1, placement='block', dephasing='none')"
    assert repr(along["X"].noise).endswith("dephasing='all', dephasing_axis='X')")
