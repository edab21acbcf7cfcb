"""Circuits as rotations and phases: the steps and the schedule, multiplied out as matrices, are the circuit."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from torch import Tensor

from qmoe.circuits import AngleEncoding, Born, Circuit, Gate, Weight
from qmoe.engines import ReferenceEngine
from qmoe.engines.native.layout import CONSTANT, FEATURE, WEIGHT
from qmoe.engines.native.plan import stages
from qmoe.engines.native.plan.lowering import Damp, Forget, Phase, Rotation, Step, Turn, WireBits, lower
from qmoe.engines.native.plan.stages import Schedule, groups, make_schedule, odd, pivots
from qmoe.testing import random_circuit, random_inputs

SEEDS = range(80)


# --- a few lines of NumPy that run what the compiler makes -----------------------------------------------------------


def signs(mask: int, dim: int) -> np.ndarray:
    """1 where ``parity(mask & k)`` is even, else -1."""
    return np.array([-1 if odd(mask & k) else 1 for k in range(dim)])


def matrix(step: Rotation | Phase, x: np.ndarray, weights: np.ndarray, dim: int) -> np.ndarray:
    source = {CONSTANT: [0.0], WEIGHT: weights, FEATURE: x}[step.turn.kind][step.turn.index]
    half = (step.turn.factor * source + step.turn.offset) / 2
    if isinstance(step, Phase):
        return np.diag(np.exp(-1j * half * signs(step.mask, dim)))
    flipped = np.eye(dim)[np.arange(dim) ^ step.flip]
    return np.cos(half) * np.eye(dim) + np.sin(half) * -signs(step.sign, dim)[:, None] * flipped


def initial(circuit: Circuit, x: np.ndarray, prepared: bool) -> np.ndarray:
    psi = np.zeros(circuit.dim, dtype=complex)
    psi[: len(x) if prepared else 1] = x / np.linalg.norm(x) if prepared else 1
    return psi


def read(circuit: Circuit, probabilities: np.ndarray, wire_bits: WireBits) -> np.ndarray:
    logical = probabilities[wire_bits.order()]
    if isinstance(circuit.readout, Born):
        return logical
    return np.array([logical @ signs(1 << wire, circuit.dim) for wire in reversed(range(circuit.n_qubits))])


def run_steps(circuit: Circuit, x: np.ndarray, weights: np.ndarray, p: float) -> np.ndarray:
    """The steps of `lower` on a density matrix, as they come."""
    steps, wire_bits, prepared = lower(circuit)
    psi, dim = initial(circuit, x, prepared), circuit.dim
    rho = np.outer(psi, psi.conj())
    for step in steps:
        if isinstance(step, Damp):
            flipped, z = np.eye(dim)[np.arange(dim) ^ step.flip], np.diag(signs(step.sign, dim))
            rho = (1 - p) * rho + p / 3 * sum(k @ rho @ k.T for k in (flipped, z, flipped @ z))
        elif isinstance(step, Forget):
            for flip, sign in step.words:
                word = np.eye(dim)[np.arange(dim) ^ flip] @ np.diag(signs(sign, dim))  # real: Y but for its phase
                rho = (rho + word @ rho @ word.T) / 2
        else:
            unitary = matrix(step, x, weights, dim)
            rho = unitary @ rho @ unitary.conj().T
    return read(circuit, rho.diagonal().real, wire_bits)


def scheduled(schedule: Schedule) -> Iterator[Rotation | Phase]:
    yield from schedule.start
    for stage in schedule.stages:
        yield from stage.rotations
        yield from stage.phases


def run_schedule(circuit: Circuit, schedule: Schedule, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    psi = initial(circuit, x, schedule.prepared)
    for step in scheduled(schedule):
        psi = matrix(step, x, weights, circuit.dim) @ psi
    return read(circuit, abs(psi) ** 2, schedule.wire_bits)


def numbers(x: Tensor, weights: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return x.numpy(), weights.numpy().ravel()


# --- the same as the reference ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_of_a_circuit_give_the_reference_with_and_without_noise(seed: int) -> None:
    circuit = random_circuit(seed, max_qubits=3)
    x, weights = random_inputs(circuit, seed, batch=())
    p = circuit.noise.depolarizing if circuit.noise else 0.0
    expected = ReferenceEngine().evaluate(circuit, x, weights).numpy()
    np.testing.assert_allclose(run_steps(circuit, *numbers(x, weights), p), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_schedule_of_a_circuit_gives_the_reference(seed: int, per_sample: bool) -> None:
    circuit = random_circuit(seed, noise=False)
    x, weights = random_inputs(circuit, seed, batch=())
    expected = ReferenceEngine().evaluate(circuit, x, weights).numpy()
    schedule = make_schedule(circuit, per_sample)
    np.testing.assert_allclose(run_schedule(circuit, schedule, *numbers(x, weights)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_of_a_stage_commute_so_that_their_order_does_not_matter(seed: int) -> None:
    circuit = random_circuit(seed, n_qubits=3, noise=False)
    x, weights = numbers(*random_inputs(circuit, seed, batch=()))
    schedule = make_schedule(circuit)
    assert all(stage.rotations == [] or stage.phases == [] for stage in schedule.stages)
    for stage in schedule.stages:
        for a, b in itertools.combinations([*stage.rotations, *stage.phases], 2):
            a_matrix, b_matrix = (matrix(step, x, weights, circuit.dim) for step in (a, b))
            np.testing.assert_allclose(a_matrix @ b_matrix, b_matrix @ a_matrix, rtol=0, atol=1e-12)


def test_stages_hold_either_shared_angles_or_those_of_each_sample() -> None:
    for circuit in (random_circuit(seed, noise=False, encoding="angle") for seed in SEEDS):
        for stage in make_schedule(circuit).stages:
            kinds = {step.turn.kind == FEATURE for step in (*stage.rotations, *stage.phases)}
            assert kinds == {stage.each}
        assert not any(stage.each for stage in make_schedule(circuit, per_sample=False).stages)


# --- what costs nothing ----------------------------------------------------------------------------------------------


def layer(n_qubits: int, *gates: Gate) -> Circuit:
    return Circuit(n_qubits, 1, AngleEncoding("Y"), gates)


def test_gates_that_rename_basis_states_cost_no_step() -> None:
    renaming = (Gate("PauliX", (2,)), Gate("CNOT", (0, 1)), Gate("SWAP", (1, 2)), Gate("CNOT", (2, 0)))
    steps, wire_bits, prepared = lower(layer(3, *renaming))
    assert steps == [Rotation(bit, bit, Turn(FEATURE, w, 1.0)) for w, bit in enumerate((4, 2, 1))]
    assert not prepared
    # X of wire 2 reaches, through the SWAP, wire 1.
    assert wire_bits.shift == [0, 1, 0]
    assert sorted(wire_bits.order()) == list(range(8))


def test_a_gate_after_renaming_is_one_step_with_other_bits() -> None:
    steps, _, _ = lower(layer(2, Gate("CNOT", (0, 1)), Gate("RY", (0,), (Weight(0),)), Gate("RZ", (1,), (Weight(1),))))
    assert steps[2:] == [Rotation(0b11, 0b10, Turn(WEIGHT, 0, 1.0)), Phase(0b11, Turn(WEIGHT, 1, 1.0))]


def test_rotation_after_a_bit_flip_turns_the_other_way() -> None:
    steps, _, _ = lower(layer(1, Gate("PauliX", (0,)), Gate("RY", (0,), (Weight(0),)), Gate("RZ", (0,), (Weight(1),))))
    assert [step.turn.factor for step in steps[1:]] == [-1.0, -1.0]


def weights_in(steps: Iterable[Rotation | Phase]) -> set[int]:
    return {step.turn.index for step in steps if step.turn.kind == WEIGHT}


def test_phases_before_the_first_rotation_are_dropped() -> None:
    gates = (Gate("RZ", (0,), (Weight(0),)), Gate("IsingZZ", (0, 1), (Weight(1),)), Gate("RY", (0,), (Weight(2),)))
    # The encoding by RZ opens with Hadamard gates; without it nothing but phases stands before the rotation.
    bare = Circuit(2, 1, _NoFeatures(), (*gates, Gate("RZ", (1,), (Weight(3),))))
    schedule = make_schedule(bare)
    assert [step.turn for step in schedule.start] == [Turn(WEIGHT, 2, 1.0)]
    assert schedule.stages == ()


class _NoFeatures(AngleEncoding):
    """Leaves the qubits as they are."""

    def operations(self, n_qubits: int) -> tuple[Gate, ...]:
        del n_qubits
        return ()


def test_phases_of_prepared_amplitudes_are_kept_until_the_last_rotation() -> None:
    gates = (Gate("RZ", (0,), (Weight(0),)), Gate("RY", (0,), (Weight(1),)), Gate("RZ", (0,), (Weight(2),)))
    schedule = make_schedule(Circuit(1, 1, "amplitude", gates))
    assert schedule.prepared
    assert schedule.start == ()
    assert weights_in(scheduled(schedule)) == {0, 1}


@pytest.mark.parametrize(("n_qubits", "n_layers"), [(2, 3), (3, 1), (4, 2)])
def test_dead_parameters_of_the_router_of_the_paper_have_no_term(n_qubits: int, n_layers: int) -> None:
    circuit = Circuit(n_qubits, n_layers)
    dead = {(n_qubits * (n_layers - 1) + wire) * 3 + 2 for wire in range(n_qubits)}
    assert weights_in(scheduled(make_schedule(circuit))) == set(range(circuit.n_weights)) - dead


# --- few passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_layers", [1, 2, 5])
@pytest.mark.parametrize("n_qubits", [1, 2, 3, 8])
def test_a_strongly_entangling_layer_is_one_table_of_phases_and_one_stage_of_rotations(
    n_qubits: int, n_layers: int
) -> None:
    schedule = make_schedule(Circuit(n_qubits, n_layers))
    assert [rotation.turn.kind for rotation in schedule.start] == [FEATURE] * n_qubits
    assert [stage.kind for stage in schedule.stages] == [Phase, Rotation] * n_layers
    assert [len(stage.rotations) for stage in schedule.stages[1::2]] == [n_qubits] * n_layers


def test_constant_phases_join_the_weight_of_the_same_mask() -> None:
    # RX(x) ends with RZ(-pi/2), RZ(w) follows: one angle, w - pi/2.
    circuit = Circuit(1, 1, "angle", [Gate("RZ", (0,), (Weight(0),)), Gate("RY", (0,), (Weight(1),))])
    (table, _) = make_schedule(circuit).stages
    assert table.phases == [Phase(1, Turn(WEIGHT, 0, 1.0, -np.pi / 2))]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_groups_are_biorthogonal_and_hold_each_rotation_once(size: int) -> None:
    largest = 0
    for circuit in (random_circuit(seed, n_qubits=4, noise=False) for seed in SEEDS):
        for stage in make_schedule(circuit).stages:
            parts = groups(stage.rotations, size)
            assert sorted(map(id, itertools.chain(*parts))) == sorted(map(id, stage.rotations))
            largest = max([largest, *map(len, parts)])
            for group in parts:
                for a, b in itertools.product(group, repeat=2):
                    assert odd(a.sign & b.flip) == (a is b)
    assert largest == size


def test_rotations_of_a_layer_fill_groups_of_three() -> None:
    schedule = make_schedule(Circuit(8, 2))
    assert [len(group) for group in groups(schedule.stages[-1].rotations, 3)] == [3, 3, 2]


@pytest.mark.parametrize("seed", range(30))
def test_pivots_pick_one_member_of_each_coset(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_bits, flips, span = 6, [], {0}
    for flip in map(int, rng.integers(1, 1 << n_bits, 8)):
        if flip not in span and len(flips) < 3:
            flips.append(flip)
            span |= {flip ^ member for member in span}
    bits = pivots(flips)
    assert bits == sorted(set(bits))
    assert len(bits) == len(flips)
    picked = [k for k in range(1 << n_bits) if not any(k >> bit & 1 for bit in bits)]
    cosets = {frozenset(k ^ member for member in span) for k in range(1 << n_bits)}
    assert len(picked) == len(cosets)
    assert {frozenset(k ^ member for member in span) for k in picked} == cosets


def test_read_out_order_names_each_basis_state_once() -> None:
    for circuit in (random_circuit(seed, n_qubits=4, noise=False) for seed in SEEDS):
        wire_bits = lower(circuit)[1]
        assert sorted(wire_bits.order()) == list(range(circuit.dim))
        for (w, flip), (v, sign) in itertools.product(enumerate(wire_bits.flip), enumerate(wire_bits.sign)):
            assert odd(flip & sign) == (w == v)


def test_every_step_is_of_a_known_kind() -> None:
    steps: list[Step] = [step for seed in SEEDS for step in lower(random_circuit(seed))[0]]
    assert {type(step) for step in steps} == {Rotation, Phase, Damp, Forget}


def test_a_step_looks_back_only_until_it_is_stopped(monkeypatch):
    asked = []
    commutes = stages._commutes
    monkeypatch.setattr(stages, "_commutes", lambda step, stage: asked.append(step) or commutes(step, stage))
    gates = [Gate("RX", (0,), (Weight(0),)), Gate("RY", (0,), (Weight(1),))] * 300
    schedule = stages.make_schedule(Circuit.from_operations(gates))
    assert len(schedule.stages) > 500
    assert len(asked) < 4 * len(schedule.stages)
