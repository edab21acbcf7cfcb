"""Whether studies fit this machine: predicted trials, memory and time, against what is free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qmoe.engines.memory import free_bytes, in_words, machine_bytes
from qmoe.errors import UnsupportedError
from qmoe.studies.admission.counting import kinds_of_trials
from qmoe.studies.admission.footprint import SECONDS_OF_OPERATION, data_bytes, footprint, largest_stack, model_bytes
from qmoe.studies.assembly import MAX_KEPT_BYTES
from qmoe.studies.specs.study import DataSpec, ModelSpec, Study

#: Bytes of a process that has imported everything and loaded its kernels.
PROCESS_BYTES = 450 << 20
#: Bytes that a trial takes in the process that plans, beside its result's in the store.
TRIAL_BYTES = 500
#: Predicted seconds from which on nobody is taken to mean it: a year.
MOST_SECONDS = 366 * 24 * 3600


@dataclass(frozen=True)
class Prediction:
    """What running studies takes, before anything of them is built.

    Attributes:
        n_trials: how many trials there are, those in a store included.
        here: bytes in the process that plans and stores, beyond what it has by itself.
        stack: bytes of the largest stack and of data that are kept beside it, on top of `PROCESS_BYTES` of the process that
            trains it.
        seconds: seconds of one core that all trials take, roughly.
        lower: options that the largest stack's memory comes from, in words.
        longest: name of the study that takes most of the time.
    """

    n_trials: int
    here: int
    stack: int
    seconds: float
    lower: str
    longest: str

    def bytes(self, n_workers: int) -> int:
        """Bytes with so many worker processes of this machine; 0 for training in this process."""
        return self.here + (n_workers * (PROCESS_BYTES + self.stack) if n_workers else self.stack)


def predict(studies: Iterable[Study]) -> Prediction:
    """Trials, memory and time of studies, by arithmetic on their arms, seeds, learning rates and specifications.

    Raises:
        ConfigError: when a file that a study is about cannot be read or has changed.
    """
    n_trials, heaviest, stack, kept = 0, None, 0, 0
    seconds: dict[str, float] = {}
    for study in studies:
        kept += study.seeds.data * data_bytes(study.data)
        for trial, count in kinds_of_trials([study]):
            taken = footprint(trial)
            n_trials += count
            seconds[study.name] = seconds.get(study.name, 0.0) + count * taken.operations * SECONDS_OF_OPERATION
            size = taken.bytes(min(count, largest_stack(trial)))
            if size > stack:
                heaviest, stack = taken, size
    lower = "" if heaviest is None else heaviest.lower
    longest = max(seconds, key=lambda name: seconds[name], default="")
    return Prediction(
        n_trials, n_trials * TRIAL_BYTES, stack + min(kept, MAX_KEPT_BYTES), sum(seconds.values()), lower, longest
    )


def admit(prediction: Prediction, n_workers: int | None, n_at_once: int = 1, remedy: str = "") -> None:
    """Refuses what does not fit into the memory that is free, or takes longer than a year.

    Args:
        prediction: what is to run.
        n_workers: worker processes of this machine; 0 for training in this process, None for training elsewhere, of
            which nothing is known.
        n_at_once: how many trials' stacks run at once.
        remedy: how to go on all the same.

    Raises:
        UnsupportedError: with the number, what there is, and what to lower.
    """
    free = free_bytes()
    needed = prediction.here if n_workers is None else prediction.bytes(n_workers)
    seconds = prediction.seconds / max(1, n_at_once)
    if free is not None and needed > free:
        few = False
        parts = f"{prediction.n_trials:,} trials take {in_words(prediction.here)}"
        lower = "seeds, arms, noise strengths, lr_factors or lists of [multiverse]"
        if needed - prediction.here > prediction.here:
            few = bool(n_workers) and prediction.bytes(1) <= free
            who = f"{n_workers} workers take {in_words(PROCESS_BYTES + prediction.stack)} each" if n_workers else (
                f"the largest stack takes {in_words(prediction.stack)}"
            )  # fmt: skip
            parts, lower = f"{who}, {parts}", prediction.lower
        raise UnsupportedError(
            f"About {in_words(needed)} of memory are needed and {in_words(free)} are free: {parts}. Lower {lower}"
            f"{', or take fewer workers' if few else ''}{remedy}."
        )
    if seconds > MOST_SECONDS:
        raise UnsupportedError(
            f"{prediction.n_trials:,} trials are predicted to take {duration(seconds)}, most of it for the study "
            f"{prediction.longest}. Lower epochs, rows, seeds or the size of its models{remedy}."
        )


def fitting_workers(prediction: Prediction, n_workers: int) -> int:
    """As many worker processes of this machine as fit into its free memory, at least one and at most ``n_workers``."""
    free = free_bytes()
    if free is None:
        return n_workers
    return max(1, min(n_workers, (free - prediction.here) // (PROCESS_BYTES + prediction.stack)))


def require_model(model: ModelSpec, data: DataSpec) -> None:
    """Raises `UnsupportedError` for a model whose parameters, or one state of whose circuits, this machine cannot hold."""
    there, needed = machine_bytes(), model_bytes(model, data)
    if there is not None and needed > there:
        raise UnsupportedError(
            f"One model and one state of its circuits take {in_words(needed)}, and this machine has {in_words(there)}; "
            "lower n_qubits, hidden, out_features, n_functions or n_experts. A router with n_qubits below its features "
            "projects them."
        )


def duration(seconds: float) -> str:
    """Such as ``"3 minutes"``, of the largest unit that gives at least two."""
    for unit, length in (("years", 366 * 86_400), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}" if seconds < 1e15 else f"{seconds / length:.0e} {unit}"
    return f"{max(1, round(seconds))} s"
