"""Results as arrays: what a verdict is made from, wherever it came from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qmoe.data import make_dataset
from qmoe.errors import ConfigError, unknown
from qmoe.studies.store import Record, StudyResults
from qmoe.studies.trials import Member

ArmKey = tuple[str, float | None]

#: More than any study has initialisations of one draw.
_INITS = 1_000_000
#: Epochs at the end of training that show whether the loss was still falling.
RECENT = 4

#: Figures that are not in a trial's metrics, from its record; NaN where the record does not have them.
DERIVED: dict[str, Callable[[Record], float]] = {
    # Only what trained alone: a trial in a stack has no time of its own.
    "seconds": lambda record: record.seconds if record.stack_size == 1 else math.nan,
    # The mean over all epochs: of two models with one final loss, the lower has converged sooner.
    "mean_loss": lambda record: float(np.mean(record.history["loss"])) if record.history.get("loss") else math.nan,
}


@dataclass(frozen=True, eq=False)
class Runs:
    """The n planned trials of one arm (at one noise strength), finished or not.

    Attributes:
        label: what readers call the arm.
        data_seeds: ``(n,)`` seed of the data of each trial.
        init_seeds: ``(n,)`` seed of its first weights and batch order.
        values: for each metric ``(n,)`` figures, NaN where there is none.
        done: ``(n,)`` whether it finished; all by default.
        failed: ``(n,)`` whether it broke off, as when its loss was no longer finite; none by default.
        lrs: ``(n,)`` learning rates; NaN where they are not known.
        epochs: ``(n,)`` passes over the data; 0 where not known.
        batch_sizes: ``(n,)`` samples a step; 0 where not known.
        recent: ``(n, 4)`` loss of the last four epochs, NaN where not recorded.
        tried: the learning rates that a choice was made from, by `StudyRuns.tuned`; empty where none was.
    """

    label: str
    data_seeds: np.ndarray
    init_seeds: np.ndarray
    values: Mapping[str, np.ndarray]
    done: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    failed: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    lrs: np.ndarray = field(default_factory=lambda: np.zeros(0))
    epochs: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    batch_sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    recent: np.ndarray = field(default_factory=lambda: np.zeros((0, RECENT)))
    tried: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.data_seeds)
        fill = {
            "done": np.ones(n, dtype=bool), "failed": np.zeros(n, dtype=bool), "lrs": np.full(n, math.nan),
            "epochs": np.zeros(n, dtype=np.int64), "batch_sizes": np.zeros(n, dtype=np.int64),
            "recent": np.full((n, RECENT), math.nan),
        }  # fmt: skip
        for name, default in fill.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, default)
        lengths = {name: len(getattr(self, name)) for name in ("init_seeds", *fill)}
        lengths |= {name: len(value) for name, value in self.values.items()}
        wrong = {name: length for name, length in lengths.items() if length != n}
        if wrong:
            raise ConfigError(
                f"Runs of {self.label}: {n} data seeds, but other lengths in {wrong}; pass one row a trial."
            )

    @property
    def n_missing(self) -> int:
        """Trials that have not run yet."""
        return int((~self.done & ~self.failed).sum())

    def take(self, mask: np.ndarray) -> Runs:
        """The trials where ``mask`` ``(n,)`` holds."""
        rows = ("data_seeds", "init_seeds", "done", "failed", "lrs", "epochs", "batch_sizes", "recent")
        changed = {name: getattr(self, name)[mask] for name in rows}
        return dataclasses.replace(self, **changed, values={name: value[mask] for name, value in self.values.items()})


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """The arms of a study.

    Attributes:
        name: name of the study.
        arms: trials by name of the arm and noise strength (None where it has none).
        chance: accuracy of guessing the commonest class, its share of the test part; None where it is not known.
        balanced_chance: balanced accuracy of guessing, whatever the shares are; None where it is not known.
    """

    name: str
    arms: Mapping[ArmKey, Runs]
    chance: float | None = None
    balanced_chance: float | None = None

    def guessing(self, metric: str) -> float | None:
        """What guessing gives in a metric; None where that is not known, or the metric is no accuracy."""
        if not metric.endswith("accuracy"):
            return None
        return self.balanced_chance if metric.endswith("balanced_accuracy") else self.chance

    @property
    def clustered(self) -> bool:
        """Whether the data vary, so that the seed of the data is the unit; otherwise the initialisation is."""
        return any(len(np.unique(runs.data_seeds)) > 1 for runs in self.arms.values())

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """All learning rates, rising."""
        rates = {float(lr) for runs in self.arms.values() for lr in runs.lrs if not math.isnan(lr)}
        return tuple(sorted(rates))

    def at(self, lr: float) -> StudyRuns:
        """The study at one learning rate; an arm that was never trained with it is left out."""
        kept = {key: runs.take(runs.lrs == lr) for key, runs in self.arms.items() if (runs.lrs == lr).any()}
        return dataclasses.replace(self, arms=kept)

    def tuned(self, by: str = "loss", *, higher_is_better: bool | None = None) -> StudyRuns:
        """The study with each arm at its own best learning rate, which is chosen by the mean over all its seeds.

        Args:
            by: a metric of training or validation, such as ``"loss"``, ``"train_accuracy"`` or ``"validation_accuracy"``.
            higher_is_better: by default, what is called an accuracy.

        Raises:
            ConfigError: for a metric of the test part, which would tune on what the verdict is about, and for one that no
                trial has.
        """
        if by.startswith("test"):
            raise ConfigError(f"by is {by!r}: choosing a learning rate by test data flatters every arm; use 'loss'.")
        sign = 1.0 if (by.endswith("accuracy") if higher_is_better is None else higher_is_better) else -1.0
        arms = {}
        for key, runs in self.arms.items():
            rates = sorted(set(runs.lrs[~np.isnan(runs.lrs)].tolist()))
            if len(rates) < 2:
                arms[key] = runs
                continue
            if not runs.done.any():
                # Nothing to choose by yet; at whichever rate, it has not run.
                arms[key] = dataclasses.replace(runs.take(runs.lrs == rates[0]), tried=tuple(rates))
                continue
            if by not in runs.values:
                raise unknown(f"metric of arm {key[0]!r} in study {self.name!r}:", by, runs.values)
            means = []
            for lr in rates:
                at = (runs.lrs == lr) & runs.done & np.isfinite(runs.values[by])
                # A rate at which any run diverged is no choice for this arm, unless all are such.
                whole = not runs.failed[runs.lrs == lr].any()
                means.append((whole, sign * float(runs.values[by][at].mean()) if at.any() else -math.inf))
            best = rates[max(range(len(rates)), key=lambda i: means[i])]
            arms[key] = dataclasses.replace(runs.take(runs.lrs == best), tried=tuple(rates))
        return dataclasses.replace(self, arms=arms)

    def best_starts(self, by: str = "loss") -> StudyRuns:
        """The study with one run for each arm and draw of the data: that of the least training loss among its starts.

        Starts that broke off have no loss and are passed over. A draw of which a start has not run yet is unfinished.

        Raises:
            ConfigError: for a metric of the test part, which would choose on what the verdict is about.
        """
        if by.startswith("test"):
            raise ConfigError(f"by is {by!r}: choosing a start by test data flatters every arm; use 'loss'.")
        arms = {}
        for key, runs in self.arms.items():
            loss = runs.values.get(by, np.full(len(runs.data_seeds), math.nan))
            loss = np.where(np.isfinite(loss) & runs.done, loss, math.inf)
            kept, unfinished = [], []
            for draw in np.unique(runs.data_seeds):
                rows = np.flatnonzero(runs.data_seeds == draw)
                kept.append(int(rows[np.argmin(loss[rows])]))
                unfinished.append(bool((~runs.done[rows] & ~runs.failed[rows]).any()))
            best = runs.take(np.array(kept, dtype=np.int64))
            waiting = np.array(unfinished, dtype=bool)
            arms[key] = dataclasses.replace(
                best,
                init_seeds=np.zeros(len(kept), dtype=np.int64),
                done=best.done & ~waiting,
                failed=best.failed & ~waiting,
            )
        return dataclasses.replace(self, arms=arms)

    def selected(self, select: str) -> StudyRuns:
        """What counts of a specification's runs.

        Args:
            select: ``"all"``, ``"best_rate"`` (each arm at its learning rate of the least training loss) or
                ``"best_start"`` (the start of the least training loss, for each draw of the data).
        """
        chosen = {"all": lambda: self, "best_rate": self.tuned, "best_start": self.best_starts}
        if select not in chosen:
            raise unknown("select", select, chosen)
        return chosen[select]()


@dataclass(frozen=True, eq=False)
class Universe:
    """The results of a study at one specification of its multiverse.

    Attributes:
        choices: for each analysis choice the alternative that was taken, in words, such as ``{"rotation": "Z"}``.
        runs: the arms that were tried with these choices.
    """

    choices: Mapping[str, str]
    runs: StudyRuns

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        """The choices as something that can be compared and looked up."""
        return frozenset(self.choices.items())


def pooled(studies: Sequence[StudyRuns]) -> StudyRuns:
    """Several specifications of a study as one: for each arm and draw of the data the runs of all of them.

    Runs are paired within their specification. What differs between specifications by their choice, such as learning rates,
    is no longer told.
    """
    arms = {}
    for key in dict.fromkeys(key for study in studies for key in study.arms):
        parts = [(at, study.arms[key]) for at, study in enumerate(studies) if key in study.arms]
        runs = [part for _, part in parts]
        metrics = [name for name in runs[0].values if all(name in part.values for part in runs)]
        arms[key] = Runs(
            runs[0].label,
            np.concatenate([part.data_seeds for part in runs]),
            np.concatenate([part.init_seeds + at * _INITS for at, part in parts]),
            {name: np.concatenate([part.values[name] for part in runs]) for name in metrics},
            np.concatenate([part.done for part in runs]),
            np.concatenate([part.failed for part in runs]),
        )
    return dataclasses.replace(studies[0], arms=arms)


def runs_of(results: StudyResults, *others: StudyResults, name: str | None = None) -> StudyRuns:
    """Turns the results of a study into arrays.

    Args:
        results: a study with the records it has.
        others: the same question at other learning rates, taken in as further trials of the same arms.
        name: what claims call the study; by default the name of the first.
    """
    rows: dict[ArmKey, list[tuple[Member, Record | None]]] = {}
    labels: dict[str, str] = {}
    for each in (results, *others):
        labels |= {arm.name: arm.label for arm in each.study.arms if arm.name not in labels}
        for member in each.members:
            rows.setdefault((member.arm, member.variant), []).append((member, each.records.get(member.trial.hash)))
    arms = {key: _runs(_labelled(labels[key[0]], key[1]), found) for key, found in rows.items()}
    data = results.study.data
    balanced = 1 / make_dataset(data.name, **data.options).n_classes
    return StudyRuns(name or results.study.name, arms, _chance(arms.values(), balanced), balanced)


def _chance(arms: Iterable[Runs], balanced: float) -> float:
    """The mean share of the commonest class, over all runs; that of equal classes where no run says."""
    shares = [runs.values["chance"] for runs in arms if "chance" in runs.values]
    known = np.concatenate(shares) if shares else np.zeros(0)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else balanced


def by_name(results: Iterable[StudyResults | StudyRuns]) -> dict[str, StudyRuns]:
    """Studies as arrays under their names; those from a store at their own learning rate.

    Raises:
        ConfigError: for two of one name.
    """
    found: dict[str, StudyRuns] = {}
    for each in results:
        study = runs_of(each).at(each.study.training.lr) if isinstance(each, StudyResults) else each
        if study.name in found:
            raise ConfigError(f"Two results are named {study.name!r}; join them with runs_of(first, second).")
        found[study.name] = study
    return found


def _runs(label: str, found: list[tuple[Member, Record | None]]) -> Runs:
    members, records = [m for m, _ in found], [r if r is not None and r.error is None else None for _, r in found]
    metrics = dict.fromkeys(name for r in records if r is not None for name in r.metrics)
    values = {name: _column(records, lambda r, name=name: r.metrics.get(name, math.nan)) for name in metrics}  # type: ignore[misc]
    values |= {name: column for name, get in DERIVED.items() if np.isfinite(column := _column(records, get)).any()}
    recent = np.full((len(found), RECENT), math.nan)
    for row, record in zip(recent, records, strict=True):
        tail = record.history.get("loss", [])[-RECENT:] if record is not None else []
        if len(tail) == RECENT:
            row[:] = tail
    training = [m.trial.training for m in members]
    return Runs(
        label,
        np.array([m.trial.data_seed for m in members]),
        np.array([m.trial.init_seed for m in members]),
        values,
        np.array([r is not None for r in records]),
        np.array([r is not None and r.error is not None for _, r in found]),
        np.array([t.lr for t in training]),
        np.array([t.epochs for t in training]),
        np.array([t.batch_size for t in training]),
        recent,
    )


def _column(records: list[Record | None], get: Callable[[Record], float]) -> np.ndarray:
    return np.array([math.nan if record is None else get(record) for record in records], dtype=np.float64)


def _labelled(label: str, variant: float | None) -> str:
    return label if variant is None else f"{label} at p = {variant:g}"
