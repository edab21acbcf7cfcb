"""Results as arrays: what a verdict is made from, wherever it came from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from qmoe.errors import ConfigError, unknown
from qmoe.statistics import PairedDifference, Summary, mean_interval, paired_difference, summarize
from qmoe.statistics.bootstrap import cluster_means
from qmoe.studies.metrics import metric_facts
from qmoe.studies.store.columns import Columns
from qmoe.studies.store.results import Reader
from qmoe.studies.store.trial_rows import RECENT, Record
from qmoe.studies.trials import TrialSpec


class ArmKey(NamedTuple):
    """What tells an arm from the others of its study: its name, and its noise strength (None where it has none)."""

    name: str
    strength: float | None = None


#: More than any study has initialisations of one draw.
_INITS = 1_000_000


@dataclass(frozen=True, eq=False)
class ArmRuns:
    """The n planned trials of one arm (at one noise strength), finished or not.

    Attributes:
        label: what readers call the arm, without its noise strength; `title` has both.
        data_seeds: ``(n,)`` seed of the data of each trial.
        init_seeds: ``(n,)`` seed of its first weights and batch order.
        values: for each metric ``(n,)`` numbers, NaN where there is none.
        done: ``(n,)`` whether it finished; all by default.
        failed: ``(n,)`` whether it failed, as when its loss was no longer finite; none by default.
        lrs: ``(n,)`` learning rates; NaN where they are not known.
        epochs: ``(n,)`` passes over the data; 0 where not known.
        batch_sizes: ``(n,)`` samples a step; 0 where not known.
        recent: ``(n, 4)`` loss of the last four epochs, NaN where not recorded.
        tried: the learning rates that a choice was made from, by `StudyRuns.tuned`; empty where none was.
        study: name of the study; "" where the runs are of none.
        name: name of the arm in its study.
        strength: depolarizing probability; None where the arm has none.
        columns: what the n trials left in a store; None where there is none.
        reader: reads more of them.
        metric: the accuracy that its study is judged by.
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
    study: str = ""
    name: str = ""
    strength: float | None = None
    columns: Columns | None = None
    reader: Reader | None = None
    metric: str = "test_accuracy"

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

    @property
    def n(self) -> int:
        """Trials that finished well."""
        return int(self.done.sum())

    @property
    def key(self) -> ArmKey:
        """What tells it from the other arms of its study."""
        return ArmKey(self.name, self.strength)

    @property
    def title(self) -> str:
        """Label, with the noise strength where there is one."""
        return self.label if self.strength is None else f"{self.label} at p = {self.strength:g}"

    @property
    def clustered(self) -> bool:
        """Whether the data vary, so that the seed of the data is the unit; otherwise the initialisation is."""
        return len(np.unique(self.data_seeds)) > 1

    @cached_property
    def finished(self) -> tuple[Record, ...]:
        """``n`` whole records of `trials`, read when they are first asked for."""
        if self.reader is None:
            return ()
        trials = self.trials
        found = self.reader.records({trial.hash: trial for trial in trials})
        return tuple(found[trial.hash] for trial in trials)

    @cached_property
    def trials(self) -> tuple[TrialSpec, ...]:
        """``n`` trials that finished well, in the order of the seeds; none where there is no store."""
        return () if self.columns is None else tuple(self.columns.trials[self.done])

    @property
    def first(self) -> TrialSpec:
        """A trial that finished well, for what all of the arm have in common.

        Raises:
            ConfigError: where there is none.
        """
        if self.columns is None or not self.done.any():
            raise ConfigError(f"No trial of {self.title} has finished in a store.")
        trial: TrialSpec = self.columns.trials[np.argmax(self.done)]
        return trial

    @cached_property
    def clusters(self) -> np.ndarray:
        """``(n,)`` the unit that each finished run belongs to."""
        return (self.data_seeds if self.clustered else self.init_seeds)[self.done]

    def figures(self, metric: str) -> np.ndarray:
        """Values of a metric of the finished runs that have it, at most ``(n,)``."""
        found = self.values.get(metric, np.full(len(self.done), math.nan))[self.done]
        return found[np.isfinite(found)]

    @cached_property
    def scores(self) -> np.ndarray:
        """``(n,)`` final accuracies of the finished runs."""
        return self.figures(self.metric)

    @cached_property
    def summary(self) -> Summary:
        """The final accuracies in eight numbers."""
        return summarize(self.scores)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean final accuracy; NaN where there are fewer than two clusters."""
        return mean_interval(self.scores, self.clusters) if len(np.unique(self.clusters)) > 1 else (math.nan, math.nan)

    @property
    def guesses(self) -> bool:
        """Whether its mean accuracy is no better than that of saying the commonest class every time."""
        chance = self.figures("chance")
        return 0 < self.n == len(chance) and self.summary.mean <= float(chance.mean())

    def minus(self, other: ArmRuns, metric: str | None = None) -> PairedDifference | None:
        """Difference of the means of a metric over the seeds that both have, or None where they share fewer than two.

        Args:
            other: an arm of the same study.
            metric: name of a metric; None for the accuracy of the study.
        """
        left, right = self._shared(other)
        clusters = self.clusters[left]
        if len(np.unique(clusters)) < 2:
            return None
        what = metric or self.metric
        return paired_difference(self.values[what][self.done][left], other.values[what][other.done][right], clusters)

    def differences(self, other: ArmRuns) -> np.ndarray:
        """``(n,)`` differences of the accuracies over the seeds that both have, the mean of each of `clusters`."""
        left, right = self._shared(other)
        return cluster_means(self.scores[left] - other.scores[right], self.clusters[left])

    def _shared(self, other: ArmRuns) -> tuple[list[int], list[int]]:
        """Places of the finished runs of equal seeds, here and there."""
        mine, theirs = (
            list(zip(arm.data_seeds[arm.done].tolist(), arm.init_seeds[arm.done].tolist(), strict=True))
            for arm in (self, other)
        )
        at = {seeds: i for i, seeds in enumerate(mine)}
        return [at[seeds] for seeds in theirs if seeds in at], [j for j, seeds in enumerate(theirs) if seeds in at]

    def curves(self, quantity: str) -> np.ndarray:
        """``(n, epochs)`` histories of the finished runs that keep them; ``(0, 0)`` where none does."""
        if self.reader is None:
            return np.zeros((0, 0))
        return self.reader.histories(self.trials, quantity)

    def take(self, mask: np.ndarray) -> ArmRuns:
        """The trials where ``mask`` ``(n,)`` holds, or those at the places that it lists."""
        rows = ("data_seeds", "init_seeds", "done", "failed", "lrs", "epochs", "batch_sizes", "recent")
        changed: dict[str, Any] = {name: getattr(self, name)[mask] for name in rows}
        if self.columns is not None:
            changed["columns"] = self.columns.take(mask)
        return dataclasses.replace(self, **changed, values={name: value[mask] for name, value in self.values.items()})


@dataclass(frozen=True, eq=False)
class StudyRuns:
    """The arms of a study.

    Attributes:
        name: name of the study.
        arms: trials by name of the arm and noise strength (None where it has none).
        chance: accuracy of guessing the commonest class, its share of the test part; None where it is not known.
        balanced_chance: balanced accuracy of guessing, whatever the shares are; None where it is not known.
        part: what the arm `mean` switches off, in words.
    """

    name: str
    arms: Mapping[ArmKey, ArmRuns]
    chance: float | None = None
    balanced_chance: float | None = None
    part: str = "router"

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", {ArmKey(*key): runs for key, runs in self.arms.items()})

    def guessing(self, metric: str) -> float | None:
        """What guessing gives in a metric; None where that is not known, or the metric is no accuracy."""
        facts = metric_facts(metric)
        if not facts.is_accuracy:
            return None
        return self.balanced_chance if facts.balanced else self.chance

    @property
    def clustered(self) -> bool:
        """Whether the data vary, so that the seed of the data is the unit; otherwise the initialisation is."""
        return any(runs.clustered for runs in self.arms.values())

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
            higher_is_better: by default, for accuracies.

        Raises:
            ConfigError: for a metric of the test part, which would tune on what the verdict is about, and for one that no
                trial has.
        """
        if metric_facts(by).held_out:
            raise ConfigError(f"by is {by!r}: choosing a learning rate by test data flatters every arm; use 'loss'.")
        rising = metric_facts(by).higher_is_better if higher_is_better is None else higher_is_better
        sign = 1.0 if rising else -1.0
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
                raise unknown(f"metric of arm {key.name!r} in study {self.name!r}:", by, runs.values)
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

        Starts that failed have no loss and are passed over. A draw of which a start has not run yet is unfinished.

        Raises:
            ConfigError: for a metric of the test part, which would choose on what the verdict is about.
        """
        if metric_facts(by).held_out:
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
        arms[key] = ArmRuns(
            runs[0].label,
            np.concatenate([part.data_seeds for part in runs]),
            np.concatenate([part.init_seeds + at * _INITS for at, part in parts]),
            {name: np.concatenate([part.values[name] for part in runs]) for name in metrics},
            np.concatenate([part.done for part in runs]),
            np.concatenate([part.failed for part in runs]),
            study=runs[0].study,
            name=runs[0].name,
            strength=runs[0].strength,
            metric=runs[0].metric,
        )
    return dataclasses.replace(studies[0], arms=arms)
