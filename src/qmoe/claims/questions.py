"""From a claim's tests to pairs of arms and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qmoe.claims.deciding.assay import Assays
from qmoe.claims.deciding.caveats import caveats, objections, obstacles, still_falling, too_few
from qmoe.claims.deciding.correction import PValues
from qmoe.claims.deciding.evidence import Contrast, Evidence, weigh
from qmoe.claims.kinds.base import ClaimTest, MeasuredTest, StudyTest
from qmoe.claims.pairs import Pairs, pair, scores
from qmoe.claims.runs import ArmKey, ArmRuns, StudyRuns
from qmoe.claims.verdicts import Estimate
from qmoe.claims.vocabulary import Estimand
from qmoe.statistics.bootstrap import cluster_means, paired_difference
from qmoe.statistics.conventions import ALPHA, SUCCESS
from qmoe.studies.metrics import metric_facts

if TYPE_CHECKING:
    from qmoe.claims.spec import Claim

#: For each quantity and name ``(n,)`` repeated measurements, paired by position.
Measurements = Mapping[str, Mapping[str, Sequence[float] | np.ndarray]]

#: Draws of the data that a specification other than the study's own must have, where the claim asks for more.
SPECIFICATION_DRAWS = 10


@dataclass(eq=False)
class Question:
    """Two sides, what is asked of them, and the evidence or what forbids it.

    Attributes:
        a_key: arm a and its noise strength.
        b_key: arm b and its noise strength.
        a: label of a.
        b: label of b.
        metric: what is compared.
        study: name of the study, or "".
        contrast: what is asked.
        estimand: what of the runs on one draw of the data is compared.
        unit: what a cluster is, in words.
        missing: whether an arm is missing.
        obstacles: what forbids a verdict before anything is tested.
        evidence: statistics, where nothing does.
        never: what forbids any verdict in view of the scores.
        no_sameness: what forbids the verdict that there is no difference that matters.
        caveats: what goes beside the verdict.
        falling: labels of the arms whose loss was still falling at the end of training.
        estimates: the comparison by all three estimands.
        idle: what is not shown to matter though a lead could be found, as `Comparison` says.
    """

    a_key: ArmKey
    b_key: ArmKey
    a: str
    b: str
    metric: str
    study: str
    contrast: Contrast
    estimand: Estimand = "mean"
    unit: str = "pairs"
    missing: bool = False
    obstacles: list[str] = field(default_factory=list)
    evidence: Evidence | None = None
    never: list[str] = field(default_factory=list)
    no_sameness: list[str] = field(default_factory=list)
    caveats: list[str] = field(default_factory=list)
    falling: list[str] = field(default_factory=list)
    estimates: tuple[Estimate, ...] = ()
    idle: str = ""

    @property
    def strength(self) -> float:
        """Noise strength of a; 0 where it has none."""
        return self.a_key.strength or 0.0


@dataclass(eq=False)
class Posed:
    """A test on one study, as questions.

    Attributes:
        test: the test.
        study: name of the study, or "".
        questions: what decides it.
        caveats: those that belong to the test as a whole.
        broken: what keeps the test from being posed at all; "" where nothing does.
        absent: whether that is that there are no results of the study.
    """

    test: ClaimTest
    study: str
    questions: list[Question]
    caveats: list[str] = field(default_factory=list)
    broken: str = ""
    absent: bool = False

    @property
    def p_values(self) -> list[PValues]:
        """P-values with which each question could be supported and refuted; None where it was not tested."""
        found = [q.evidence for q in self.questions]
        return [(None, None) if e is None else (e.p_support, e.p_refute) for e in found]


@dataclass(frozen=True, eq=False)
class Poser:
    """Poses tests on studies.

    Attributes:
        assays: whether routing matters at all, study by study.
        alpha: level of the tests.
        seed: seed of the resampling.
        most: independent seeds beyond which a test asks for no more; None for what it asks itself.
        facts: whether every comparison of accuracies is given by all three estimands.
    """

    assays: Assays
    alpha: float = ALPHA
    seed: int = 0
    most: int | None = None
    facts: bool = True

    def all(
        self, claim: Claim, studies: Mapping[str, StudyRuns], measured: Measurements, only: str = ""
    ) -> list[Posed]:
        """All tests of a claim, each once for every study it names (or for ``only`` that one), with the evidence weighed."""
        posed = []
        for test in claim.tests:
            least = test.min_seeds or claim.min_seeds
            if isinstance(test, MeasuredTest):
                posed.append(test.pose(self, measured, least))
                continue
            for name in [only] if only else claim.studies_of(test):
                study = studies.get(name)
                if study is None:
                    posed.append(Posed(test, name, [], broken=f"there are no results of the study {name}", absent=True))
                else:
                    posed.append(self.one(test, study, least))
        return posed

    def again(self, claim: Claim, base: Iterable[Posed], studies: Mapping[str, StudyRuns]) -> list[Posed]:
        """The same tests at another specification; what was not tried there stays as it was."""
        posed = []
        for before in base:
            study = studies.get(before.study)
            if study is None or not isinstance(before.test, StudyTest):
                posed.append(before)
                continue
            found = self.one(before.test, study, before.test.min_seeds or claim.min_seeds)
            known = {(q.a_key, q.b_key): q for q in before.questions}
            asked = [known.get((q.a_key, q.b_key)) if q.missing else q for q in found.questions]
            found.questions = [q for q in asked if q is not None]
            posed.append(before if found.broken or not found.questions else found)
        return posed

    def one(self, test: StudyTest, study: StudyRuns, least: int) -> Posed:
        """A test on one study."""
        return test.pose(self, study, least if self.most is None else min(least, self.most))

    def ask(
        self, test: StudyTest, study: StudyRuns, a: ArmKey, b: ArmKey, contrast: Contrast, min_seeds: int
    ) -> Question:
        """A question about two arms of a study, with the evidence weighed and all that forbids or qualifies a verdict."""
        left, right = study.arms.get(a), study.arms.get(b)
        label_a, label_b = (arm_words(k) if runs is None else runs.title for runs, k in ((left, a), (right, b)))
        asked = Question(a, b, label_a, label_b, test.metric, study.name, contrast, test.estimand)
        if left is None or right is None:
            missing = [arm_words(key) for runs, key in ((left, a), (right, b)) if runs is None]
            asked.missing, asked.obstacles = True, [f"there is no arm {' and no arm '.join(missing)}"]
            return asked
        pairs = pair(study, left, right, test.metric)
        if isinstance(pairs, str):
            asked.obstacles = [pairs]
            return asked
        asked.unit = pairs.unit
        exact = metric_facts(test.metric).is_count
        asked.obstacles = obstacles(pairs, left, right, 1 if exact else min_seeds)
        picked = scores(pairs, test.estimand, test.success)
        if isinstance(picked, str):
            asked.obstacles.append(picked)
        elif not asked.obstacles:
            self._weigh(asked, *picked, test.success if test.estimand == "mean" else None, exact)
            self._object(asked, test, pairs, left, right, study)
            if test.estimand == "best" and pairs.starts < test.starts:
                asked.caveats.append(
                    f"{study.name}, {asked.a} against {asked.b}: the best of {pairs.starts} initialisations; fewer than "
                    f"{test.starts} say little about what an arm can do."
                )
        # Too few draws forbid a verdict, not to show what they gave.
        told = not asked.obstacles or asked.obstacles == too_few(pairs, min_seeds)
        if told and self.facts and metric_facts(test.metric).is_accuracy and contrast.scale == "difference":
            asked.estimates = self._estimates(pairs, SUCCESS if test.success is None else test.success)
        return asked

    def _weigh(
        self,
        asked: Question,
        a: np.ndarray,
        b: np.ndarray,
        clusters: np.ndarray | None,
        success: float | None,
        exact: bool,
    ) -> None:
        if asked.contrast.scale == "ratio" and not ((a > 0).all() and (b > 0).all()):
            asked.obstacles = ["a ratio needs positive values"]
            return
        asked.evidence = weigh(
            a, b, asked.contrast, clusters, alpha=self.alpha, success=success, exact=exact, seed=self.seed
        )

    def _object(
        self, asked: Question, test: StudyTest, pairs: Pairs, left: ArmRuns, right: ArmRuns, study: StudyRuns
    ) -> None:
        if asked.evidence is None:
            return
        metric = asked.metric if asked.estimand != "success" else "success"
        sensitive = self.assays.sensitive(study, asked.a_key, asked.b_key, asked.metric, asked.evidence)
        asked.never, asked.no_sameness = objections(asked.evidence, study, metric, sensitive, test.asks_need)
        asked.caveats = caveats(pairs, left, right, asked.evidence, study, asked.metric)
        told = sensitive is False  # the verdict itself says it then
        if (
            self.facts
            and not told
            and self.assays.is_idle(study, asked.a_key, asked.b_key, asked.metric, asked.evidence)
        ):
            asked.idle = study.part
        if not metric_facts(asked.metric).is_count:
            asked.falling = [runs.title for runs in (left, right) if still_falling(runs)]

    def _estimates(self, pairs: Pairs, success: float) -> tuple[Estimate, ...]:
        found = []
        estimands: tuple[Estimand, ...] = ("mean", "success", "best")
        for estimand in estimands:
            picked = scores(pairs, estimand, success)
            if isinstance(picked, str) or len(np.unique(picked[2])) < 2:
                continue
            a, b, clusters = picked
            d = paired_difference(a, b, clusters, seed=self.seed)
            mean_a, mean_b = (float(cluster_means(v, clusters).mean()) for v in (a, b))
            threshold = success if estimand == "success" else None
            figures = d.mean, d.low, d.high, mean_a, mean_b, d.n_clusters
            found.append(Estimate(*figures, estimand, pairs.starts, threshold))
        return tuple(found)

    def weigh_measured(self, asked: Question, a: np.ndarray, b: np.ndarray, fixed: bool) -> None:
        """Weighs measurements ``(n,)`` of a against those of b, or against a number where they are ``fixed``."""
        self._weigh(asked, a, b, None, None, False)
        if asked.evidence is not None and not fixed:
            asked.never, _ = objections(asked.evidence, None, asked.metric)


def at_specifications(poser: Poser) -> Poser:
    """The same poser for specifications other than the studies' own: fewer draws will do, and no facts are added."""
    return replace(poser, most=SPECIFICATION_DRAWS, facts=False)


def arm_words(key: ArmKey) -> str:
    """An arm that a study may not have, in words."""
    return repr(key.name) if key.strength is None else f"{key.name!r} at p = {key.strength:g}"
