"""From steps to stages that pass over the state once: commuting rotations side by side, phases in one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qmoe.circuits import Circuit
from qmoe.engines.native.layout import CONSTANT, FEATURE
from qmoe.engines.native.plan.lowering import Phase, Rotation, WireBits, lower


def odd(bits: int) -> bool:
    """Whether an odd number of bits is set."""
    return bits.bit_count() % 2 == 1


@dataclass
class Stage:
    """Steps of one kind that commute: rotations or phases, all of one sample (``each``) or the same for every sample."""

    kind: type[Rotation] | type[Phase]
    each: bool
    rotations: list[Rotation] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)


@dataclass(frozen=True)
class Schedule:
    """What the state-vector kernel runs, in order.

    Attributes:
        start: rotations of ``|0...0>``, of one qubit each, that make up the initial product state.
        stages: everything after that.
        wire_bits: which index bits mean which wire at the end.
        prepared: whether the initial state holds the features as amplitudes instead.
    """

    start: tuple[Rotation, ...]
    stages: tuple[Stage, ...]
    wire_bits: WireBits
    prepared: bool


def make_schedule(circuit: Circuit, per_sample: bool = True) -> Schedule:
    """Schedules a circuit without noise: each step joins the earliest stage that it can reach by commuting.

    Args:
        circuit: what to run.
        per_sample: whether angles that are features differ between lanes, so that they need stages of their own.
    """
    steps, wire_bits, prepared = lower(circuit)
    stages: list[Stage] = []
    for step in steps:
        assert isinstance(step, (Rotation, Phase))
        barrier = next((i for i in reversed(range(len(stages))) if not _commutes(step, stages[i])), -1)
        if barrier < 0 and isinstance(step, Phase) and not prepared:
            continue  # a global phase of |0...0>
        each = per_sample and step.turn.kind == FEATURE
        place = next((s for s in stages[barrier + 1 :] if s.kind is type(step) and s.each == each), None)
        if place is None:
            place = Stage(type(step), each)
            stages.append(place)
        if isinstance(step, Rotation):
            place.rotations.append(step)
        else:
            place.phases = _merge(place.phases, step)
    # A phase that commutes with all that follows does not reach the measurement.
    later: set[int] = set()  # flips of the rotations behind
    for stage in reversed(stages):
        stage.phases = [p for p in stage.phases if any(odd(p.mask & flip) for flip in later)]
        later.update(rotation.flip for rotation in stage.rotations)
    stages = [stage for stage in stages if stage.rotations or stage.phases]
    start: tuple[Rotation, ...] = ()
    if stages and not prepared and stages[0].kind is Rotation:
        start, rest = _product(stages[0].rotations)
        stages[0].rotations = rest
    return Schedule(start, tuple(s for s in stages if s.rotations or s.phases), wire_bits, prepared)


def groups(rotations: Sequence[Rotation], size: int) -> list[tuple[Rotation, ...]]:
    """Commuting rotations in groups that one pass applies: no flip changes another's sign, flips are independent."""
    out: list[list[Rotation]] = []
    for rotation in rotations:
        for group in out:
            if len(group) < size and all(_separate(rotation, other) for other in group):
                group.append(rotation)
                break
        else:
            out.append([rotation])
    return [tuple(group) for group in out]


def pivots(flips: Iterable[int]) -> list[int]:
    """For independent flips, the bits that are 0 in one member of each coset of their span, ascending."""
    rows: list[int] = []
    for flip in flips:
        for row in rows:
            flip = min(flip, flip ^ row)
        rows.append(flip)
    return sorted(row.bit_length() - 1 for row in rows)


def _separate(a: Rotation, b: Rotation) -> bool:
    # With sign_i & flip_j odd only for i = j, the flips are independent too.
    return not odd(a.sign & b.flip) and not odd(b.sign & a.flip)


def _commutes(step: Rotation | Phase, stage: Stage) -> bool:
    if isinstance(step, Phase):
        return not any(odd(step.mask & rotation.flip) for rotation in stage.rotations)
    return not any(odd(phase.mask & step.flip) for phase in stage.phases) and all(
        odd(step.sign & other.flip) == odd(other.sign & step.flip) for other in stage.rotations
    )


def _merge(phases: list[Phase], new: Phase) -> list[Phase]:
    """Adds a phase, in one with another of the same mask where at most one of them has a source."""
    for i, old in enumerate(phases):
        if old.mask == new.mask and CONSTANT in (old.turn.kind, new.turn.kind):
            return [*phases[:i], Phase(old.mask, old.turn + new.turn), *phases[i + 1 :]]
    return [*phases, new]


def _product(rotations: Sequence[Rotation]) -> tuple[tuple[Rotation, ...], list[Rotation]]:
    """The first rotation of each qubit, and the others; before any renaming a flip is a single bit."""
    start: dict[int, Rotation] = {}
    rest: list[Rotation] = []
    for rotation in rotations:
        single = rotation.flip == rotation.sign and rotation.flip.bit_count() == 1
        if single and rotation.flip not in start:
            start[rotation.flip] = rotation
        else:
            rest.append(rotation)
    return tuple(start.values()), rest
