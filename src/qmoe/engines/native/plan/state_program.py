"""A schedule as arrays of numbers, which compiled code reads."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np

from qmoe.circuits import Born, Circuit
from qmoe.compiled.lanes import WIDTH, n_lanes
from qmoe.engines.native import layout as at
from qmoe.engines.native.plan.lowering import Phase, Rotation, Turn
from qmoe.engines.native.plan.stages import Stage, groups, make_schedule, pivots

#: Largest group of rotations in one pass: 2**3 amplitudes fill the registers; backward there are two states.
FORWARD_GROUP, BACKWARD_GROUP = 3, 2


class Program:
    """What the kernels of the state vector run.

    A slot is the angle of one rotation, or of one phase per sample. With ``lane_bits = 0`` lanes are samples, and slots
    that are the same for all samples come first. Otherwise lanes are basis states of one sample: the lowest ``lane_bits`` of
    their index, and all slots are shared. A rotation that spares those bits is still done lane by lane, with the sine's sign
    changed in the lanes where ``lane_sign & lane`` is odd.

    Attributes:
        sizes: what `header` holds, by name.
        header: that as an array: sizes, and the addresses of the arrays below.
        forward: ``(n, ROW)`` rows to apply.
        backward: ``(n, ROW)`` rows to undo, last first; the last ``sizes.n_start`` undo what features did at the beginning.
        start_slots: slot of each wire's first rotation, last wire first.
        sources: ``(slots, 2)`` kind and index; ``factors``: ``(slots, 2)`` factor and offset of each angle.
        lane_signs: ``(slots,)`` lowest bits of each rotation's sign.
        terms: ``(terms, 4)`` table, mask, kind, index of the phases; ``term_factors`` as ``factors``.
        order: ``(D,)`` place of each index in the order of basis states, for the Born read-out.
    """

    def __init__(self, circuit: Circuit, lane_bits: int = 0) -> None:
        self.circuit, self.lane_bits = circuit, lane_bits
        schedule = make_schedule(circuit, per_sample=lane_bits == 0)
        q = circuit.n_qubits
        first = {r.flip: r for r in schedule.start}
        start = [] if schedule.prepared else [first.get(1 << i, Rotation(1 << i, 1 << i, Turn())) for i in range(q)]
        steps: list[Rotation | Phase] = [*start]
        for stage in schedule.stages:
            steps += [*stage.rotations, *_each(stage)]
        each = [step for step in steps if lane_bits == 0 and step.turn.kind == at.FEATURE]
        separate = {id(step) for step in each}
        ordered = [*(step for step in steps if id(step) not in separate), *each]
        self._slot = {id(step): slot for slot, step in enumerate(ordered)}
        tables = [stage for stage in schedule.stages if stage.kind is Phase and not stage.each]
        terms = [(table, phase) for table, stage in enumerate(tables) for phase in stage.phases]
        self.forward = self._rows(schedule.stages, FORWARD_GROUP)
        # Rotations by weights at the very beginning are undone for the weights' gradients, all others for the features'.
        by_weights = [step for step in start if step.turn.kind == at.WEIGHT]
        by_features = [step for step in start if step.turn.kind != at.WEIGHT]
        undone = np.concatenate(
            [
                self._rows(schedule.stages, BACKWARD_GROUP)[::-1],
                _matrix(self._rotations(by_weights, BACKWARD_GROUP)),
            ]
        )
        last_undone = _matrix(self._rotations(by_features, BACKWARD_GROUP))
        self.backward = np.concatenate([undone, last_undone])
        self.start_slots = _integers(self._slot[id(step)] for step in start)
        self.sources = at.as_rows(at.Source, (at.Source(step.turn.kind, step.turn.index) for step in ordered))
        self.factors = np.array([(step.turn.factor, step.turn.offset) for step in ordered]).reshape(-1, 2)
        low = (1 << lane_bits) - 1
        self.lane_signs = _integers(step.sign & low if isinstance(step, Rotation) else 0 for step in ordered)
        self.terms = at.as_rows(at.Term, (at.Term(t, p.mask, p.turn.kind, p.turn.index) for t, p in terms))
        self.term_factors = np.array([(p.turn.factor, p.turn.offset) for _, p in terms]).reshape(-1, 2)
        self.signs = _integers(schedule.wire_bits.sign)
        self.shifts = _integers(schedule.wire_bits.shift)
        born = isinstance(circuit.readout, Born)
        self.order = np.argsort(schedule.wire_bits.order() if born else [0]).astype(np.int64)
        self.sizes = at.Header(
            n_qubits=q, dim=circuit.dim, lane_bits=lane_bits, n_vectors=circuit.dim >> lane_bits,
            n_features=circuit.in_features, n_outputs=circuit.n_outputs, n_weights=circuit.n_weights,
            n_tables=len(tables), n_shared=len(ordered) - len(each), n_slots=len(ordered),
            is_born=born, is_prepared=schedule.prepared,
            forward=at.address(self.forward), n_forward=len(self.forward),
            backward=at.address(self.backward), n_backward=len(undone), n_start=len(last_undone),
            start_slots=at.address(self.start_slots), sources=at.address(self.sources), factors=at.address(self.factors),
            lane_signs=at.address(self.lane_signs), terms=at.address(self.terms),
            term_factors=at.address(self.term_factors), n_terms=len(terms),
            has_sample_tables=any(p.turn.kind == at.FEATURE for _, p in terms),
            encodes_later=any(stage.each for stage in schedule.stages),
            signs=at.address(self.signs), shifts=at.address(self.shifts), order=at.address(self.order),
        )  # fmt: skip
        self.header = at.as_array(self.sizes)

    def parts(self, itemsize: int) -> np.ndarray:
        """Offsets in bytes of the sections of a thread's scratch memory, and its size, for numbers of ``itemsize``."""
        sizes, lanes = self.sizes, n_lanes(itemsize)
        state, phases = 2 * sizes.n_vectors * WIDTH, sizes.n_tables * sizes.dim
        return at.offsets(
            at.Scratch(
                psi=state,
                lam=state,
                rows=min(sizes.n_vectors, at.READOUT_ROW) * WIDTH,
                sums=sizes.n_qubits * WIDTH,
                coefficients=2 * sizes.n_slots * WIDTH,
                gradients=sizes.n_slots * WIDTH,
                tables=2 * phases * itemsize,
                table_gradients=sizes.n_tables * sizes.n_vectors * WIDTH,
                work=3 * 8 * max(sizes.n_shared, phases, (sizes.n_slots - sizes.n_shared) * lanes),
            )
        )

    def large_parts(self, itemsize: int) -> np.ndarray:
        """The same for large states: what all parts of the state share, then what each part has of its own."""
        sizes = self.sizes
        shared = at.offsets(
            at.Scratch(
                sums=sizes.n_qubits * WIDTH,
                coefficients=2 * sizes.n_slots * WIDTH,
                gradients=sizes.n_slots * WIDTH,
                work=3 * 8 * sizes.n_slots * n_lanes(itemsize),
                term_angles=8 * sizes.n_terms,
            )
        )
        own = at.offsets(
            at.PartScratch(
                rows=at.READOUT_ROW * WIDTH,
                sums=sizes.n_qubits * WIDTH,
                gradients=sizes.n_slots * WIDTH,
                table=2 * at.PHASE_CHUNK * itemsize,
                phases=(at.PHASE_CHUNK >> self.lane_bits) * WIDTH,
                work=3 * 8 * at.PHASE_CHUNK,
                terms=8 * sizes.n_terms,
            )
        )
        ends = [shared[-1] + part * own[-1] for part in range(at.N_PARTS + 1)]
        return np.concatenate([shared[:-1], *(own[:-1] + end for end in ends[:-1]), ends[-1:]])

    def _rows(self, stages: Sequence[Stage], size: int) -> np.ndarray:
        rows: list[np.ndarray] = []
        table = 0
        for stage in stages:
            if stage.kind is Rotation:
                rows += self._rotations(stage.rotations, size)
            elif stage.each:
                rows += [_row(at.PHASE_EACH, (), (), (p.mask,), (self._slot[id(p)],)) for p in stage.phases]
            else:
                rows.append(_row(at.PHASE, (), (), (), (table,)))
                table += 1
        return _matrix(rows)

    def _rotations(self, rotations: Sequence[Rotation], size: int) -> list[np.ndarray]:
        low = (1 << self.lane_bits) - 1
        rows = [
            _row(
                at.ROTATE,
                [pivot - self.lane_bits for pivot in pivots(r.flip for r in group)],
                [r.flip >> self.lane_bits for r in group],
                [r.sign >> self.lane_bits for r in group],
                [self._slot[id(r)] for r in group],
            )
            for group in groups([r for r in rotations if not r.flip & low], size)
        ]
        for r in rotations:
            if r.flip & low:
                high = r.flip >> self.lane_bits
                # The pivot, or -1 where the rotation stays within a vector, and the lanes' flip beside it.
                pivot = [high.bit_length() - 1, r.flip & low]
                row = _row(at.ROTATE_LANES, pivot, [high], [r.sign >> self.lane_bits], [self._slot[id(r)]])
                rows.append(row)
        return rows


def _each(stage: Stage) -> list[Phase]:
    return stage.phases if stage.each else []


def _integers(values: Iterable[int]) -> np.ndarray:
    return np.array(list(values), dtype=np.int64)


def _matrix(rows: list[np.ndarray]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, at.ROW)


def _row(
    operation: int, pivot: Iterable[int], flip: Iterable[int], sign: Iterable[int], slot: Sequence[int]
) -> np.ndarray:
    row = np.zeros(at.ROW, dtype=np.int64)
    row[at.OPERATION], row[at.GROUP_SIZE] = operation, len(slot)
    for first, values in ((at.PIVOT, pivot), (at.FLIP, flip), (at.SIGN, sign), (at.SLOT, slot)):
        for i, value in enumerate(values):
            row[first + i] = value
    return row


@functools.lru_cache(maxsize=256)
def make_program(circuit: Circuit, lane_bits: int = 0) -> Program:
    """The program of a circuit; made once."""
    return Program(circuit, lane_bits)
