"""From a circuit to stages that act on whole batches. Made once per circuit and cached."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from qmoe.circuits import GATES, Circuit, Dephase, Depolarize, Disturb, Feature, Gate, Operation, Prepare, Weight


@dataclass(frozen=True)
class Local:
    """Single-qubit gates, a sequence for each wire. Holds features or weights, never both."""

    gates: tuple[tuple[Gate, ...], ...]
    has_features: bool


@dataclass(frozen=True)
class Pair:
    """One two-qubit gate with an angle."""

    gate: Gate


@dataclass(frozen=True)
class Fixed:
    """Two-qubit gates without angles, in order."""

    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Noise:
    """The depolarizing channel ``counts[w]`` times on wire w."""

    counts: tuple[int, ...]


Stage = Prepare | Local | Pair | Fixed | Noise | Dephase | Disturb


@dataclass(frozen=True)
class Run:
    """Consecutive stages that all depend on the sample, or all do not."""

    stages: tuple[Stage, ...]
    per_sample: bool


@functools.lru_cache(maxsize=1024)
def make_plan(circuit: Circuit) -> tuple[Run, ...]:
    """Groups the operations of ``circuit`` into runs of stages."""
    builder = StageBuilder(circuit.n_qubits)
    for op in circuit.operations:
        builder.add(op)
    return grouped(builder)


def grouped(builder: StageBuilder) -> tuple[Run, ...]:
    """The runs of all that a builder was given."""
    builder.flush(range(builder.n_qubits))
    runs: list[Run] = []
    for stage in builder.finished():
        per_sample = isinstance(stage, Prepare) or (isinstance(stage, Local) and stage.has_features)
        if runs and runs[-1].per_sample == per_sample:
            runs[-1] = Run((*runs[-1].stages, stage), per_sample)
        else:
            runs.append(Run((stage,), per_sample))
    return tuple(runs)


class StageBuilder:
    """Packs single-qubit gates side by side and holds noise back as long as it commutes.

    The depolarizing channel commutes with every single-qubit unitary on its wire, and with dephasing, so it waits for the
    next two-qubit gate.
    """

    def __init__(self, n_qubits: int) -> None:
        self.n_qubits = n_qubits
        self.stages: list[Stage] = []
        self.open: list[list[Gate]] | None = None
        self.pending = [0] * n_qubits

    def add(self, op: Operation) -> None:
        if isinstance(op, Depolarize):
            for wire in op.wires:
                self.pending[wire] += 1
        elif isinstance(op, Prepare):
            self.stages.append(op)
        elif isinstance(op, Disturb):
            self.flush(op.wires)  # relaxation, for one, does not commute with it
            self._close()
            self.stages.append(op)
        elif isinstance(op, Dephase):
            self._close()
            self.stages.append(op)
        elif GATES[op.name][0] == 1:
            self.add_local(op)
        elif op.name == "ECR":
            # Up to a global phase; the only one that does not permute basis states.
            a, b = op.wires
            for part in (Gate("S", (a,)), Gate("SX", (b,)), Gate("CNOT", (a, b)), Gate("PauliX", (a,))):
                self.add(part)
        elif op.angles:
            self.add_pair(op)
        else:
            self.flush(op.wires)
            self._close()
            if self.stages and isinstance(self.stages[-1], Fixed):
                self.stages[-1] = Fixed((*self.stages[-1].gates, op))
            else:
                self.stages.append(Fixed((op,)))

    def flush(self, wires: range | tuple[int, ...]) -> None:
        """Puts the pending noise of ``wires`` before whatever comes next."""
        if any(self.pending[wire] for wire in wires):
            self._close()
            self.stages.append(Noise(tuple(n if w in wires else 0 for w, n in enumerate(self.pending))))
            for wire in wires:
                self.pending[wire] = 0

    def add_pair(self, gate: Gate) -> None:
        """A gate on two wires with an angle."""
        self.flush(gate.wires)
        self._close()
        self.stages.append(Pair(gate))

    def finished(self) -> list[Stage]:
        self._close()
        return self.stages

    def add_local(self, gate: Gate) -> None:
        """A gate on one wire."""
        features, weights = _kinds([gate])
        if self.open is not None:
            open_features, open_weights = _kinds(g for sequence in self.open for g in sequence)
            if (features and open_weights) or (weights and open_features):
                self._close()
        if self.open is None:
            self.open = [[] for _ in range(self.n_qubits)]
        self.open[gate.wires[0]].append(gate)

    def _close(self) -> None:
        if self.open is not None:
            has_features, _ = _kinds(g for sequence in self.open for g in sequence)
            self.stages.append(Local(tuple(map(tuple, self.open)), has_features))
            self.open = None


def _kinds(gates: Iterable[Gate]) -> tuple[bool, bool]:
    angles = [angle for gate in gates for angle in gate.angles]
    return any(isinstance(a, Feature) for a in angles), any(isinstance(a, Weight) for a in angles)
