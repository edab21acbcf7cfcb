"""Noise by trajectories beside density matrices, and beside PennyLane's and Aer's: seconds at one accuracy.

``python -m benchmarks trajectories`` measures them and prints one line a size. The accuracy is a standard error of every
read-out of at most `TARGET`; read-outs are expectation values from -1 to 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from qmoe.circuits import Circuit, NoiseModel
    from qmoe.engines import Engine

QUBITS, N_LAYERS, N_BATCH = (6, 8, 10, 12, 14, 16), 2, 32
TARGET = 0.01
#: Trajectories from which an error bar is to be believed.
_FEWEST = 128
#: Qubits up to which others run: density matrices forward and for a step, default.mixed, Aer.
_DENSITY, _DENSITY_STEP, _MIXED, _AER = 10, 8, 8, 12


@dataclass(frozen=True)
class TrajectoryTimes:
    """Seconds at one size, the best of some; None for what was not run.

    Attributes:
        noise: in words.
        n_qubits: with `N_LAYERS` strongly entangling layers and a batch of `N_BATCH`.
        n_trajectories: how many give the accuracy.
        error: the largest standard error of a read-out.
        off: the difference from the density matrix in standard errors, root of the mean square over read-outs.
        forward, step: seconds.
        density: name of the engine with density matrices, its seconds forward and of a step.
        mixed: seconds forward of PennyLane's default.mixed.
        aer: seconds forward of qiskit-aer's trajectories of state vectors, and as many of them.
    """

    noise: str
    n_qubits: int
    n_trajectories: int
    error: float
    off: float | None
    forward: float
    step: float
    density: tuple[str, float, float | None] | None
    mixed: float | None
    aer: float | None


def noises() -> dict[str, NoiseModel]:
    """What is measured, in words."""
    from qmoe.circuits import AmplitudeDamping, NoiseModel

    return {
        "depolarizing 0.05 after blocks": NoiseModel(0.05),
        "depolarizing 0.01 after gates": NoiseModel(0.01, "gate"),
        "amplitude damping 0.02 after layers": NoiseModel(channels=[AmplitudeDamping(0.02).after("layer")]),
    }


def measure_trajectories(qubits: tuple[int, ...] = QUBITS, peers: bool = True) -> Iterator[TrajectoryTimes]:
    """Times every noise at every size."""
    for name, noise in noises().items():
        for n_qubits in qubits:
            yield _measure(name, noise, n_qubits, peers)


def _measure(name: str, noise: NoiseModel, n_qubits: int, peers: bool) -> TrajectoryTimes:
    import torch

    from qmoe.circuits import Circuit
    from qmoe.engines import TrajectoryEngine, choose_engine, get_engine

    circuit = Circuit(n_qubits, N_LAYERS, noise=noise)
    generator = torch.Generator().manual_seed(n_qubits)
    x = torch.rand(N_BATCH, n_qubits, generator=generator) * torch.pi
    weights = torch.rand(circuit.weight_shape, generator=generator) * 2 * torch.pi
    n, estimate = _FEWEST, TrajectoryEngine(_FEWEST).estimate(circuit, x, weights)
    while float(estimate.standard_error.max()) > TARGET:
        n, estimate = 2 * n, TrajectoryEngine(2 * n).estimate(circuit, x, weights)
    engine, off, density = TrajectoryEngine(n), None, None
    if n_qubits <= _DENSITY:
        exact_engine = choose_engine(circuit, x.device)[0]
        exact = exact_engine.evaluate(circuit, x, weights)
        known = estimate.standard_error.clamp_min(1e-6)  # float32
        off = float(((estimate.mean - exact) / known).square().mean().sqrt())
        seconds = _best(_forward(exact_engine, circuit, x, weights), 1.0)
        step = _best(_step(exact_engine, circuit, x, weights), 1.0) if n_qubits <= _DENSITY_STEP else None
        density = exact_engine.name, seconds, step
    pennylane = get_engine("pennylane")
    assert pennylane is not None
    return TrajectoryTimes(
        noise=name,
        n_qubits=n_qubits,
        n_trajectories=n,
        error=float(estimate.standard_error.max()),
        off=off,
        forward=_best(_forward(engine, circuit, x, weights)),
        step=_best(_step(engine, circuit, x, weights)),
        density=density,
        mixed=_best(_forward(pennylane, circuit, x, weights), 0.0) if peers and n_qubits <= _MIXED else None,
        aer=_best(_aer(circuit, x, weights, n), 0.0) if peers and n_qubits <= _AER else None,
    )


def _forward(engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor) -> Callable[[], Any]:
    import torch

    def run() -> None:
        with torch.no_grad():
            engine.evaluate(circuit, x, weights)

    return run


def _step(engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor) -> Callable[[], Any]:
    leaf = weights.clone().requires_grad_()

    def run() -> None:
        leaf.grad = None
        engine.evaluate(circuit, x, leaf).square().sum().backward()

    return run


def _best(run: Callable[[], Any], seconds: float = 3.0) -> float:
    """Of the runs that fit into so many seconds, and three at least; the first, which may compile, does not count."""
    if seconds:
        run()
    best, begin, n = float("inf"), time.perf_counter(), 0
    while n < (3 if seconds else 1) or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        run()
        best, n = min(best, time.perf_counter() - start), n + 1
        if n >= 50 or time.perf_counter() - begin > 20:
            break
    return best


def _aer(circuit: Circuit, x: Tensor, weights: Tensor, n_trajectories: int) -> Callable[[], Any]:
    """One job for the whole batch, as many shots as trajectories, each of which averages all read-outs at once."""
    from qiskit.circuit import QuantumCircuit
    from qiskit.quantum_info import Kraus, Pauli
    from qiskit_aer import AerSimulator
    from qiskit_aer.library import SaveExpectationValue
    from qiskit_aer.noise import depolarizing_error, kraus_error

    from qmoe.circuits import Depolarize, Disturb, Feature, Gate, Weight

    assert circuit.noise is not None
    # Of one qubit: Aer's parameter is 4/3 of ours, which counts no error that is the identity.
    flip = depolarizing_error(4 / 3 * circuit.noise.depolarizing, 1).to_instruction()
    flat = weights.flatten().tolist()

    def one(sample: list[float]) -> QuantumCircuit:
        made = QuantumCircuit(circuit.n_qubits)
        for op in circuit.operations:
            if isinstance(op, Depolarize):
                for wire in op.wires:
                    made.append(flip, [wire])
            elif isinstance(op, Disturb):
                made.append(kraus_error(Kraus(list(op.channel.kraus())).data).to_instruction(), list(op.wires))
            elif isinstance(op, Gate):
                angles = [
                    sample[a.index] if isinstance(a, Feature) else flat[a.index] if isinstance(a, Weight) else float(a)  # type: ignore[arg-type]
                    for a in op.angles
                ]
                if op.name == "Rot":
                    for turn, angle in zip(("rz", "ry", "rz"), angles, strict=True):
                        getattr(made, turn)(angle, *op.wires)
                else:
                    getattr(made, {"CNOT": "cx"}.get(op.name, op.name.lower()))(*angles, *op.wires)
        for wire in range(circuit.n_qubits):
            made.append(SaveExpectationValue(Pauli("Z"), f"Z{wire}"), [wire])
        return made

    jobs = [one(sample) for sample in x.tolist()]
    simulator = AerSimulator(method="statevector", precision="single", max_parallel_threads=1)
    return lambda: simulator.run(jobs, shots=n_trajectories, seed_simulator=0).result().data(0)


def text(one: TrajectoryTimes) -> str:
    """One line."""
    parts = [
        f"{one.n_qubits} qubits, {one.noise}: {one.n_trajectories} trajectories, standard error {one.error:.1g}; forward "
        f"{_seconds(one.forward)}, step {_seconds(one.step)}"
    ]
    if one.density is not None:
        name, forward, step = one.density
        line = f"density matrix ({name}) forward {_seconds(forward)}"
        line += "" if step is None else f", step {_seconds(step)}"
        parts.append(f"{line}; {one.off:.1f} standard errors apart")
    if one.mixed is not None:
        parts.append(f"default.mixed forward {_seconds(one.mixed)}")
    if one.aer is not None:
        parts.append(f"qiskit-aer, as many trajectories, forward {_seconds(one.aer)}")
    return "; ".join(parts)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
