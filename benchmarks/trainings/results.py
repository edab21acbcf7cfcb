"""What is kept of the trainings. Ratios are computed when they are shown, as everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.sizes import Size, parse_size
from benchmarks.timing import Timing

#: The contender in whose time all others are expressed.
OWN = "qmoe"
#: The same with one thread.
OWN_ONE = "qmoe-1"


@dataclass(frozen=True)
class Trainer:
    """What a reader needs to know of a contender.

    Attributes:
        title: its name.
        advice: how it was used.
    """

    title: str
    advice: str


@dataclass(frozen=True)
class Training:
    """One task: M models of Q qubits.

    Attributes:
        n_qubits: Q.
        n_models: M.
        alone: contender -> seconds of the training of all models. Rounds are the turns that it had, loops the trainings of a
            turn at most, the first is that of a fresh process with what it compiles.
        busy: the same beside a process that keeps a core busy.
        compiling: contender -> seconds of its compilation alone, where it can be told apart.
        accuracy: contender -> mean training accuracy of the models at the end.
        loss_gap: contender -> largest difference of a model's loss in the first epoch from qmoe's, as a share of it.
        scaled: contender -> the factor by which a shorter measurement was multiplied, to foretell a whole training.
        errors: contender -> what went wrong, disagreement included.
    """

    n_qubits: int
    n_models: int
    alone: dict[str, Timing] = field(default_factory=dict)
    busy: dict[str, Timing] = field(default_factory=dict)
    compiling: dict[str, float] = field(default_factory=dict)
    accuracy: dict[str, float] = field(default_factory=dict)
    loss_gap: dict[str, float] = field(default_factory=dict)
    scaled: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """A classifier fitted to two moons.

    Attributes:
        title: what is called.
        timing: seconds of ``fit``.
        accuracy: on fresh points, the mean over the fits.
        lowest: of the fits.
    """

    title: str
    timing: Timing
    accuracy: float
    lowest: float


@dataclass(frozen=True)
class Threads:
    """One step of the native engine with torch's default threads, and with one.

    Attributes:
        size: what was computed.
        alone: ``default`` and ``one`` -> seconds of a step.
        busy: the same beside a process that keeps a core busy.
    """

    size: Size
    alone: dict[str, Timing]
    busy: dict[str, Timing]


@dataclass(frozen=True)
class Trainings:
    """All of it.

    Attributes:
        threads: torch's default on this machine.
        processes: of each contender for each task, one after another.
        trainers: contender -> profile, in the order of the tables.
        tasks: the trainings.
        fits: the classifiers, qmoe's first.
        steps: the native engine's threads, for each size.
        errors: what failed as a whole, with the reason.
    """

    threads: int
    processes: int
    trainers: dict[str, Trainer]
    tasks: tuple[Training, ...] = ()
    fits: tuple[Fit, ...] = ()
    steps: tuple[Threads, ...] = ()
    errors: dict[str, str] = field(default_factory=dict)


def read_trainings(content: dict[str, Any]) -> Trainings:
    """From what `dataclasses.asdict` made, sizes as text."""
    return Trainings(
        threads=content["threads"],
        processes=content["processes"],
        trainers={key: Trainer(**value) for key, value in content["trainers"].items()},
        tasks=tuple(
            Training(**{**task, "alone": _timings(task["alone"]), "busy": _timings(task["busy"])})
            for task in content["tasks"]
        ),
        fits=tuple(Fit(**{**fit, "timing": Timing(**fit["timing"])}) for fit in content["fits"]),
        steps=tuple(
            Threads(parse_size(step["size"]), _timings(step["alone"]), _timings(step["busy"]))
            for step in content["steps"]
        ),
        errors=content["errors"],
    )


def _timings(content: dict[str, Any]) -> dict[str, Timing]:
    return {key: Timing(**value) for key, value in content.items()}
