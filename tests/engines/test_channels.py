"""Channels of noise at their places: 300 random circuits on each engine, and what theory says of each channel."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from qmoe.circuits import (
    AmplitudeDamping,
    BitFlip,
    BitPhaseFlip,
    Channel,
    Circuit,
    Depolarizing,
    Disturb,
    Feature,
    Gate,
    Kraus,
    NoiseModel,
    OverRotation,
    Pauli,
    PauliError,
    PhaseDamping,
    PhaseFlip,
    ReadoutConfusion,
    ReadoutError,
    ThermalRelaxation,
    Weight,
)
from qmoe.engines import Engine, NativeEngine, ReferenceEngine, TorchEngine
from qmoe.engines.native.layout import MIX
from qmoe.engines.native.plan.mixing import is_diagonal
from qmoe.engines.native.plan.pauli_program import NoisyProgram
from qmoe.engines.pennylane import PennyLaneEngine
from qmoe.testing import random_channel, random_circuit, random_inputs, random_operations, random_placed

MIXED = PennyLaneEngine("default.mixed")
ENGINES = {"reference": ReferenceEngine(), "torch": TorchEngine(), "native": NativeEngine(), "pennylane": MIXED}
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}
EXACT = {"rtol": 0, "atol": 1e-11}
N_CIRCUITS, N_CHUNKS = 300, 15


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


def drawn(index: int) -> Circuit:
    """Circuit ``index``: one of 1 to 3 qubits, a template or operations in turn, with one to three channels."""
    rng = np.random.default_rng([15, index])
    n_qubits = 1 + index % 3
    if index % 2:
        circuit = random_operations(rng, n_qubits=n_qubits, noise=True)
    else:
        circuit = random_circuit(rng, n_qubits=n_qubits, noise=True)
    assert circuit.noise is not None
    placed = tuple(random_placed(rng, n_qubits) for _ in range(rng.integers(1, 4)))
    noise = circuit.noise
    return circuit.with_noise(
        NoiseModel(noise.depolarizing, noise.placement, noise.dephasing, noise.dephasing_axis, placed)
    )


def answers(engine: Engine, circuit: Circuit, dtype: torch.dtype, seed: int) -> list[Tensor]:
    """Read-outs of two samples, and gradients of a random projection: of features, weights and the strength."""
    x, weights = random_inputs(circuit, seed, batch=(2,), dtype=dtype, requires_grad=True)
    strength = x.new_tensor(0.125).requires_grad_()
    out = engine.evaluate(circuit, x, weights, strength)
    given = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    gradients = torch.autograd.grad(out, (x, weights, strength), given / given.norm(), materialize_grads=True)
    return [tensor.double() for tensor in (out.detach(), *gradients)]


@pytest.mark.parametrize("chunk", range(N_CHUNKS))
def test_random_noisy_circuits_agree_with_default_mixed(chunk: int) -> None:
    for index in range(chunk, N_CIRCUITS, N_CHUNKS):
        circuit = drawn(index)
        expected = answers(MIXED, circuit, torch.float64, index)
        for engine in (NativeEngine(), TorchEngine(), *[ReferenceEngine()] * (index % 5 == 0)):
            for dtype, tolerance in TOLERANCES.items():
                found = answers(engine, circuit, dtype, index)
                off = max(
                    float((got - want).abs().max()) for got, want in zip(found, expected, strict=True) if want.numel()
                )
                assert off <= tolerance, f"circuit {index} on {engine.name} is {off} off: {circuit}"


def test_random_noisy_circuits_cover_every_channel_and_place() -> None:
    circuits = [drawn(index) for index in range(N_CIRCUITS)]
    channels = {op.channel for circuit in circuits for op in circuit.operations if isinstance(op, Disturb)}
    assert {(channel.name, channel.n_wires) for channel in channels} == {
        *((name, 1) for name in ("depolarizing", "bit_flip", "phase_flip", "bit_phase_flip", "pauli_error", "kraus")),
        *((name, 1) for name in ("amplitude_damping", "phase_damping", "thermal_relaxation", "readout_error")),
        *((name, 2) for name in ("depolarizing", "pauli_error", "kraus", "readout_confusion")),
        ("readout_confusion", 1),
    }
    placed = [one for circuit in circuits for one in circuit.noise.channels]
    assert {one.place for one in placed} == {
        "encoding", "layer", "layers", "gate", "one_qubit_gate", "two_qubit_gate", "readout",
    }  # fmt: skip
    assert {one.wires is None for one in placed} == {one.gates is None for one in placed} == {True, False}
    assert any(isinstance(one.channel, OverRotation) for one in placed)


# --- closed forms ----------------------------------------------------------------------------------------------------


def turned(readout: str, noise: NoiseModel, n_qubits: int = 2, gates: tuple[Gate, ...] = ()) -> Circuit:
    """RX by a feature on each wire, gates, and a word that is measured."""
    encoding = [Gate("RX", (wire,), (Feature(wire),)) for wire in range(n_qubits)]
    return Circuit.from_operations([*encoding, *gates], n_qubits=n_qubits, readout=[Pauli(readout)], noise=noise)


def at_the_end(channel: Channel, wires: tuple[int, ...] | None = None) -> NoiseModel:
    return NoiseModel(channels=[channel.before_readout(wires)])


def angles(n_qubits: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return (2 * torch.rand(6, n_qubits, generator=generator, dtype=torch.float64) - 1) * math.pi


def measure(engine: Engine, circuit: Circuit, x: Tensor) -> Tensor:
    return engine.evaluate(circuit, x, x.new_zeros(circuit.weight_shape)).squeeze(-1)


# What becomes of <X>, <Y> and <Z> of one qubit: factors, and what is added to the last.
RELAXED = 1 - math.exp(-0.2), math.exp(-10 / 70)
BLOCH = [
    (Depolarizing(0.15), (0.8, 0.8, 0.8), 0.0),
    (BitFlip(0.2), (1.0, 0.6, 0.6), 0.0),
    (PhaseFlip(0.2), (0.6, 0.6, 1.0), 0.0),
    (BitPhaseFlip(0.2), (0.6, 1.0, 0.6), 0.0),
    (PauliError((("X", 0.1), ("Y", 0.05), ("Z", 0.2))), (0.5, 0.4, 0.7), 0.0),
    (PhaseDamping(0.36), (0.8, 0.8, 1.0), 0.0),
    (AmplitudeDamping(0.36), (0.8, 0.8, 0.64), 0.36),
    (AmplitudeDamping(0.36, 0.25), (0.8, 0.8, 0.64), 0.18),
    (ThermalRelaxation(50, 70, 10), (RELAXED[1], RELAXED[1], 1 - RELAXED[0]), RELAXED[0]),
    (ThermalRelaxation(50, 70, 10, 0.5), (RELAXED[1], RELAXED[1], 1 - RELAXED[0]), 0.0),
    (ThermalRelaxation(math.inf, math.inf, 10), (1.0, 1.0, 1.0), 0.0),
]


@pytest.mark.parametrize(("channel", "factors", "added"), BLOCH, ids=lambda part: getattr(part, "name", ""))
def test_channel_of_one_qubit_moves_the_bloch_vector_as_known(
    engine: Engine, channel: Channel, factors: tuple[float, float, float], added: float
) -> None:
    x = angles(1)
    # RX(x) |0> is at (0, -sin x, cos x), and S takes its Y to -X.
    known = {"X0": (0, x.sin(), 0.0, (Gate("S", (0,)),)), "Y0": (1, -x.sin(), 0.0, ()), "Z0": (2, x.cos(), added, ())}
    for word, (axis, value, constant, gates) in known.items():
        circuit = turned(word, at_the_end(channel), 1, gates)
        torch.testing.assert_close(measure(engine, circuit, x), factors[axis] * value[:, 0] + constant, **EXACT)


@pytest.mark.parametrize(("word", "value"), [("Z0 Z1", "cc"), ("Y0 Z1", "sc"), ("Z1", "c"), ("Y0", "s")])
def test_depolarizing_of_a_pair_shrinks_every_word_of_it_alike(engine: Engine, word: str, value: str) -> None:
    x, p = angles(), 0.3
    factors = {"cc": x.cos().prod(-1), "sc": -x[:, 0].sin() * x[:, 1].cos(), "c": x[:, 1].cos(), "s": -x[:, 0].sin()}
    circuit = turned(word, at_the_end(Depolarizing(p, 2), (1, 0)))
    torch.testing.assert_close(measure(engine, circuit, x), (1 - 16 * p / 15) * factors[value], **EXACT)


def test_depolarizing_as_a_channel_is_that_of_a_strength(engine: Engine) -> None:
    for placement, place in (("gate", "gate"), ("block", "encoding")):
        circuit = Circuit(2, 2, noise=NoiseModel(0.1, placement))
        other = Circuit(2, 2, noise=NoiseModel(channels=[Depolarizing(0.1).after(place)]))
        if placement == "block":
            other = other.with_noise(other.noise + NoiseModel(channels=[Depolarizing(0.1).after("layers")]))
        x, weights = random_inputs(circuit, 1)
        torch.testing.assert_close(
            engine.evaluate(other, x, weights), engine.evaluate(circuit, x, weights), rtol=0, atol=1e-11
        )


def test_depolarizing_before_the_ansatz_damps_each_word_of_the_encoding(engine: Engine) -> None:
    p, x = 0.1, angles()
    noise = NoiseModel(channels=[Depolarizing(p).after("encoding")])
    gates = (Gate("CNOT", (0, 1)), Gate("PhaseShift", (0,), (0.0,)))
    # CNOT takes Z1 back to Z0 Z1, and Z0 to itself.
    for word, n_letters, value in (("Z1", 2, x.cos().prod(-1)), ("Z0", 1, x[:, 0].cos())):
        factor = (1 - 4 * p / 3) ** n_letters
        torch.testing.assert_close(measure(engine, turned(word, noise, 2, gates), x), factor * value, **EXACT)


def test_gates_that_turn_too_far_are_gates_of_other_angles(engine: Engine) -> None:
    noise = NoiseModel(channels=[OverRotation(0.1, 0.05).after("gate", gates=["RX"])])
    x = angles(1)
    torch.testing.assert_close(
        measure(engine, turned("Z0", noise, 1), x), (1.1 * x + 0.05).cos()[:, 0], rtol=0, atol=1e-11
    )


def test_a_read_out_error_shrinks_and_shifts_what_is_measured_in_any_basis(engine: Engine) -> None:
    x, noise = angles(), at_the_end(ReadoutError(0.1, 0.3))
    # <Z> becomes (1 - a - b) <Z> + b - a for every basis that Z stands for, once for each wire of a word.
    y, z = 0.6 * -x[:, 0].sin() + 0.2, 0.6 * x[:, 1].cos() + 0.2
    for word, expected in (("Y0", y), ("Z1", z), ("Y0 Z1", y * z)):
        torch.testing.assert_close(measure(engine, turned(word, noise), x), expected, **EXACT)


def test_a_confusion_of_a_pair_reads_outcomes_by_its_rows(engine: Engine) -> None:
    rows = ((0.9, 0.1, 0.0, 0.0), (0.0, 0.8, 0.2, 0.0), (0.0, 0.1, 0.9, 0.0), (0.2, 0.0, 0.0, 0.8))
    gates = [Gate("RX", (wire,), (Feature(wire),)) for wire in range(2)]
    for wires in ((0, 1), (1, 0)):
        noise = at_the_end(ReadoutConfusion(rows), wires)
        circuit = Circuit.from_operations(gates, readout="born", noise=noise)
        x = angles()
        up = torch.stack([(x / 2).cos() ** 2, (x / 2).sin() ** 2], -1)
        pair = torch.einsum("bi,bj->bij", up[:, wires[0]], up[:, wires[1]]).flatten(1) @ torch.tensor(
            rows, dtype=x.dtype
        )
        expected = pair if wires == (0, 1) else pair.unflatten(1, (2, 2)).transpose(1, 2).flatten(1)
        torch.testing.assert_close(engine.evaluate(circuit, x, x.new_zeros(0)), expected, **EXACT)


def test_channels_follow_the_wires_that_gates_rename(engine: Engine) -> None:
    # X and SWAP rename basis states; the channel strikes the wire that is meant.
    gates = (Gate("PauliX", (0,)), Gate("SWAP", (0, 1)), Gate("PauliX", (0,)))
    x, noise = angles(), at_the_end(AmplitudeDamping(0.36), (1,))
    torch.testing.assert_close(
        measure(engine, turned("Z1", noise, 2, gates), x), -0.64 * x[:, 0].cos() + 0.36, rtol=0, atol=1e-11
    )
    torch.testing.assert_close(measure(engine, turned("Z0", noise, 2, gates), x), -x[:, 1].cos(), rtol=0, atol=1e-11)


# --- how the native engine lays them out -----------------------------------------------------------------------------


def n_rows(*placed: object, n_layers: int = 3, strength: float = 0.0) -> tuple[int, int]:
    """Dampings and matrices of the router of the paper with these channels."""
    program = NoisyProgram(Circuit(2, n_layers, noise=NoiseModel(strength, channels=placed)))
    assert int((program.rows[:, 0] == MIX).sum()) == program.sizes.n_mixings
    return program.sizes.n_dampings, program.sizes.n_mixings


def test_mixtures_of_pauli_errors_are_factors_beside_the_dampings() -> None:
    assert n_rows() == (2, 0)
    assert n_rows(BitFlip(0.1).after("encoding")) == (2, 0)
    # After the gates of each layer; those of the strength join the first and the last.
    assert n_rows(PauliError((("XY", 0.1),)).after("two_qubit_gate")) == (3, 0)
    # All words of a pair alike: no rotation turns any into one that is damped otherwise.
    assert n_rows(Depolarizing(0.1, 2).after("two_qubit_gate")) == (2, 0)


def test_channels_of_one_layer_are_one_matrix() -> None:
    assert n_rows(AmplitudeDamping(0.1).after("encoding")) == (2, 1)
    assert n_rows(AmplitudeDamping(0.1).after("gate")) == (2, 4)
    assert n_rows(AmplitudeDamping(0.1).after("gate"), BitFlip(0.1).after("gate")) == (2, 4)


def test_matrices_are_joined_only_where_that_saves_work() -> None:
    pair = random_channel(10, 2)
    assert isinstance(pair, Kraus)
    circuit = Circuit(
        4, 2, noise=NoiseModel(channels=[pair.after("two_qubit_gate"), AmplitudeDamping(0.1).after("layer")])
    )
    program = NoisyProgram(circuit)
    # Sixteen entries a row for each pair; two pairs together would have up to 256.
    assert program.sizes.n_mixings > 6
    assert max(matrix.nnz for matrix in program.matrices) <= 34 * 4**4
    x, weights = random_inputs(circuit, 2)
    torch.testing.assert_close(
        NativeEngine().evaluate(circuit, x, weights), TorchEngine().evaluate(circuit, x, weights), **EXACT
    )


def test_a_mixture_of_pauli_errors_is_found_whatever_its_class() -> None:
    assert is_diagonal(PhaseDamping(0.3))
    assert is_diagonal(ThermalRelaxation(math.inf, 30, 10))
    assert not is_diagonal(AmplitudeDamping(0.3))
    assert not is_diagonal(ReadoutError(0.1, 0.2))


def test_phases_that_a_channel_alone_makes_matter_are_kept() -> None:
    # A Hadamard gate as a channel: without it a phase of |0> would change nothing.
    root = math.sqrt(0.5)
    hadamard = Kraus((((root, root), (root, -root)),))
    ops = [Disturb(hadamard, (0,)), Gate("RZ", (0,), (Weight(0),)), Disturb(hadamard, (0,))]
    circuit = Circuit.from_operations(ops, noise=0.0)
    x, w = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64)
    for engine in ENGINES.values():
        out = engine.evaluate(circuit, x, w)
        torch.testing.assert_close(out, torch.full_like(out, math.cos(0.7)), **EXACT)
