"""The verdicts of a page: on the studies as they were planned, and at the other learning rates they were trained with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.claims import Claim, Comparison, StudyRuns, Universe, Verdict, judge, runs_of, shipped_claims
from qmoe.claims.analyses.universes import universes
from qmoe.claims.kinds.base import MeasuredTest
from qmoe.errors import ConfigError
from qmoe.report.findings.paper import is_preset
from qmoe.report.tables import signed, signed_number
from qmoe.studies import StudyResults, preset_names

#: For each quantity and name repeated measurements, as `qmoe.claims.judge` takes them.
Measurements = Mapping[str, Mapping[str, np.ndarray]]

_FACTORS = {0.1: "a tenth of the rate", 0.25: "a quarter of the rate", 0.5: "half the rate", 2.0: "twice the rate"}
_FACTORS |= {4.0: "four times the rate", 10.0: "ten times the rate"}


@dataclass(frozen=True)
class View:
    """The verdicts under one choice of learning rates.

    Attributes:
        key: ``"own"``, ``"x0.25"`` and the like, or ``"best"``.
        words: the choice in words.
        verdicts: on the claims that are shown, in their order.
        varied: names of the studies for which this is another choice than their own.
    """

    key: str
    words: str
    verdicts: tuple[Verdict, ...]
    varied: frozenset[str]


@dataclass(frozen=True)
class Judged:
    """All verdicts of a page.

    Attributes:
        views: the first is at the studies' own learning rates; those after it at others, where any study has them.
        studies: names of the studies that were judged.
        unexamined: claims of which no study is there.
        starts: of how many starts specifications with L-BFGS take the best; 0 where that differs or none is there.
    """

    views: tuple[View, ...]
    studies: frozenset[str]
    unexamined: tuple[Claim, ...]
    starts: int = 0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """At the studies' own learning rates."""
        return self.views[0].verdicts

    @property
    def covered(self) -> frozenset[str]:
        """Names of the studies in the store that some verdict rests on."""
        return frozenset(name for verdict in self.verdicts for name in self.studies_of(verdict))

    def about(self, studies: Sequence[str]) -> list[Verdict]:
        """The verdicts that rest on any of some studies."""
        return [v for v in self.verdicts if not set(studies).isdisjoint(self.studies_of(v))]

    @property
    def others(self) -> tuple[View, ...]:
        """At other learning rates."""
        return self.views[1:]

    def studies_of(self, verdict: Verdict) -> list[str]:
        """The studies in the store that a verdict rests on."""
        return [name for name in dict.fromkeys(test.study for test in verdict.tests) if name in self.studies]

    def varied(self, verdict: Verdict) -> list[str]:
        """Those of them that were trained at other learning rates too."""
        others: frozenset[str] = frozenset().union(*(view.varied for view in self.others))
        return [name for name in self.studies_of(verdict) if name in others]

    def elsewhere(self, verdict: Verdict) -> list[tuple[View, Verdict]]:
        """The same claim at the other learning rates that its studies have."""
        at = [v.claim.id for v in self.verdicts].index(verdict.claim.id)
        return [(v, v.verdicts[at]) for v in self.others if v.varied.intersection(self.studies_of(verdict))]


def judge_all(
    results: Sequence[StudyResults], claims: Sequence[Claim] | None = None, measurements: Measurements | None = None
) -> Judged:
    """Judges the claims that ship with qmoe, and those of the user's own, on every choice of learning rates there is.

    A study that borrowed a preset's name for something else is not what the claims speak of, and is left out.

    Args:
        results: studies of one store.
        claims: claims of the user's own.
        measurements: what claims compare and no trial has.

    Raises:
        ConfigError: for two claims of one id.
    """
    asked = [*shipped_claims(), *(claims or ())]
    twice = sorted({c.id for c in asked if [d.id for d in asked].count(c.id) > 1})
    if twice:
        raise ConfigError(f"Two claims are called {twice[0]}; give each an id of its own.")
    measured = measurements or {}
    genuine = [r for r in results if r.study.name not in preset_names() or is_preset(r.study)]
    runs = {r.study.name: runs_of(r) for r in genuine}
    studies = frozenset(runs)
    shown = [c for c in asked if _examined(c, studies, measured)]
    views = [_own(genuine, runs), *_factors(genuine, runs), *_best(genuine, runs)]
    own = {study.name: study for study in views[0][3]}
    many = _many(genuine, measured) if shown else {}
    judged = []
    for key, words, varied, chosen in views if shown else views[:1]:
        # Other specifications stand beside the studies' own; at another learning rate a verdict is that of one analysis.
        beside = many if key == "own" else None
        verdicts = judge(shown, [_with_times(study, own[study.name]) for study in chosen], measured, multiverse=beside)
        judged.append(View(key, words, tuple(verdicts), varied))
    starts = {r.study.multiverse.starts for r in genuine if r.study.name in many and r.study.multiverse is not None}
    unexamined = tuple(c for c in asked if c not in shown)
    return Judged(tuple(judged), studies, unexamined, starts.pop() if len(starts) == 1 else 0)


def telling(verdict: Verdict) -> Comparison | None:
    """The comparison that tells a verdict best; of a breakdown, the strength that it is about."""
    kinds = {test.name: test.kind for test in verdict.claim.tests}
    for test in verdict.tests:
        found = [c for c in test.comparisons if c.decision is not None]
        if kinds[test.name] != "breakdown" or test.outcome != verdict.own or not found:
            continue
        if verdict.own == "supported":
            lasting = list(itertools.takewhile(lambda c: c.outcome == "refuted", reversed(found)))
            return lasting[-1] if lasting else verdict.key
        if verdict.own == "refuted" and all(c.outcome == "supported" for c in found):
            return found[-1]
    return verdict.key


def effect_words(comparison: Comparison | None) -> str:
    """The difference or ratio behind a verdict with its interval, in few characters; or an estimate that is not judged."""
    if comparison is not None and (unjudged := comparison.unjudged) is not None:
        return f"{signed_number(unjudged.effect, 3 if abs(unjudged.effect) >= 0.01 else 4)}, not judged"
    effect = None if comparison is None else comparison.interval
    if comparison is None or comparison.decision is None or effect is None:
        return ""
    if comparison.decision.evidence.contrast.scale == "ratio":
        return "×{:.3g} [{:.3g}, {:.3g}]".format(*effect)
    return signed(*effect)


def _many(results: Sequence[StudyResults], measured: Measurements) -> dict[str, tuple[Universe, ...]]:
    """The specifications of each study that has results of several."""
    found = {r.study.name: universes(r, measured) for r in results if r.study.multiverse or r.study.noise}
    return {name: several for name, several in found.items() if len(several) > 1}


_Choice = tuple[str, str, frozenset[str], list[StudyRuns]]


def _examined(claim: Claim, studies: frozenset[str], measured: Measurements) -> bool:
    """Whether anything is there that the claim speaks of."""
    return any(
        test.quantity in measured if isinstance(test, MeasuredTest) else not studies.isdisjoint(claim.studies_of(test))
        for test in claim.tests
    )


def _own(results: Sequence[StudyResults], runs: Mapping[str, StudyRuns]) -> _Choice:
    chosen = [runs[r.study.name].at(r.study.training.lr) for r in results]
    return "own", "the study's own rate", frozenset(), chosen


def _factors(results: Sequence[StudyResults], runs: Mapping[str, StudyRuns]) -> list[_Choice]:
    found = []
    for factor in sorted({f for r in results for f in r.study.lr_factors}):
        varied = frozenset(r.study.name for r in results if factor in r.study.lr_factors)
        chosen = [
            runs[r.study.name].at(r.study.training.lr * (factor if r.study.name in varied else 1)) for r in results
        ]
        found.append((f"x{factor:g}", _FACTORS.get(factor, f"{factor:g} times the rate"), varied, chosen))
    return found


def _best(results: Sequence[StudyResults], runs: Mapping[str, StudyRuns]) -> list[_Choice]:
    varied = frozenset(r.study.name for r in results if r.study.lr_factors)
    if not varied:
        return []
    chosen = [runs[r.study.name].tuned() for r in results]
    return [("best", "each arm at its own best rate", varied, chosen)]


def _with_times(study: StudyRuns, own: StudyRuns) -> StudyRuns:
    """With the wall times of the study's own rate: how long training takes does not depend on the rate."""
    arms = {}
    for key, runs in study.arms.items():
        timed = own.arms.get(key)
        if timed is None or "seconds" not in timed.values or np.isfinite(runs.values.get("seconds", np.nan)).any():
            arms[key] = runs
            continue
        seeds = zip(timed.data_seeds.tolist(), timed.init_seeds.tolist(), strict=True)
        known = dict(zip(seeds, timed.values["seconds"].tolist(), strict=True))
        asked = zip(runs.data_seeds.tolist(), runs.init_seeds.tolist(), strict=True)
        seconds = np.array([known.get(pair, np.nan) for pair in asked])
        arms[key] = dataclasses.replace(runs, values={**runs.values, "seconds": seconds})
    return dataclasses.replace(study, arms=arms)
