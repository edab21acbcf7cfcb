"""Caveats of a comparison of two arms: some forbid a verdict, the others are told beside it.

What forbids a verdict, because the data cannot carry one whatever they say:

* an arm, study or metric is missing, or trials have not run yet (a verdict must not depend on when it was asked for);
* more than 5% of the pairs failed: the remaining ones are a selection;
* too few independent seeds;
* epochs, batch size, the learning rate or the number of learning rates tried differ between the arms (each arm may have
  its own best rate, if all were chosen from equally many);
* all differences are exactly equal: most often both arms are one and the same, or the seed did not reach the model;
* nothing learned: neither arm does better than guessing, which is to say the commonest class every time;
* routing is not shown to matter: for "no difference that matters" in a study with the arm `mean` (the router switched off),
  a is not shown to be above that arm by more than the margin (assay sensitivity). Without that arm, a ceiling or floor
  effect: both arms within the margin of 100% or of chance.

A test that asks whether the data need something (``asks_need``) is answered by equal differences and by arms near 100%.

Told beside it: single runs that failed, numbers of parameters that differ by more than half, a loss that was still falling,
a lead where routing is not shown to matter, data that never vary, a mean that rests on few pairs.
"""

from __future__ import annotations

import numpy as np

from qmoe.claims.deciding.assay import not_shown_to_matter
from qmoe.claims.deciding.evidence import Decision, Evidence
from qmoe.claims.pairs import Pairs
from qmoe.claims.runs import ArmRuns, StudyRuns
from qmoe.statistics.conventions import ALPHA, UNEQUAL
from qmoe.studies.metrics import metric_facts

#: Share of pairs that may break off.
MAX_FAILED = 0.05
#: A mean loss that fell by more than this share over the last three epochs had not settled.
FALLING = 0.05


def obstacles(pairs: Pairs, a: ArmRuns, b: ArmRuns, min_seeds: int) -> list[str]:
    """What forbids a verdict before anything is tested, in plain words."""
    found = []
    if pairs.missing:
        found.append(f"{pairs.missing} of {pairs.planned} pairs of runs are not finished")
    if pairs.lost > MAX_FAILED * pairs.planned:
        found.append(f"{pairs.lost} of {pairs.planned} pairs failed, so the remaining ones are a selection")
    found += too_few(pairs, min_seeds)
    for name, left, right in (("epochs", a.epochs, b.epochs), ("batch size", a.batch_sizes, b.batch_sizes)):
        if set(left[left > 0].tolist()) != set(right[right > 0].tolist()) and (left > 0).any() and (right > 0).any():
            found.append(f"the arms were trained with different {name}")
    rates = [set(r.lrs[np.isfinite(r.lrs)].tolist()) for r in (a, b)]
    if not (a.tried or b.tried) and all(rates) and rates[0] != rates[1]:
        found.append("the arms were trained at different learning rates, and neither was chosen from several")
    if len(a.tried) != len(b.tried):
        found.append(
            f"the arms were tuned over {max(len(a.tried), 1)} and {max(len(b.tried), 1)} learning rates: unequal effort"
        )
    return found


def too_few(pairs: Pairs, min_seeds: int) -> list[str]:
    """That there are fewer independent seeds than a claim asks for, in plain words; nothing where there are enough."""
    n = len(np.unique(pairs.clusters))
    if n >= min_seeds:
        return []
    there = f"is 1 {pairs.unit_of_one}" if n == 1 else f"are {n} {pairs.unit}"
    return [f"there {there}, and the claim asks for {min_seeds}"]


def objections(
    evidence: Evidence,
    study: StudyRuns | None,
    metric: str,
    sensitive: bool | None = None,
    asks_need: bool = False,
) -> tuple[list[str], list[str]]:
    """What forbids any verdict once the scores are seen, and what forbids one that says "no difference that matters".

    Args:
        evidence: the figures.
        study: the study; None for measurements.
        metric: what is compared.
        sensitive: whether switching the router off is shown to cost more than the margin; None where that is not known.
        asks_need: whether b is a without something that the data may not need, as `qmoe.claims.kinds.base.StudyTest` says.
    """
    always, sameness = [], []
    if evidence.zero_spread and not (evidence.exact or asks_need) and evidence.n_clusters > 1:
        always.append(
            "all differences are exactly equal, which happens when both arms are one and the same or the seed did not "
            "reach the model"
        )
    if study is not None and metric_facts(metric).is_accuracy and evidence.contrast.scale == "difference":
        lowest, highest = sorted((evidence.mean_a, evidence.mean_b))
        margin = max(evidence.contrast.margin, evidence.contrast.at_least or 0.0)
        chance = study.guessing(metric)
        if sensitive is False:
            sameness.append(f"on this data set {not_shown_to_matter(study.part, margin)}")
        elif sensitive is None and lowest >= 1 - margin and not asks_need:
            sameness.append("both arms are so close to 100% that a difference that matters could not appear")
        if chance is not None and highest <= chance + margin:
            guessed = f"neither arm does better than guessing ({chance:.3g}), so no difference could appear"
            if highest <= chance:
                always.append(guessed)
            elif sensitive is None:
                sameness.append(guessed)
    return always, sameness


def says_no_difference(decision: Decision) -> bool:
    """Whether an outcome says that there is no difference that matters, rather than which side is ahead."""
    e = decision.evidence
    if e.contrast.direction in ("greater", "less"):
        beaten = e.high < 0 if e.contrast.sign > 0 else e.low > 0
        return decision.outcome == "refuted" and not beaten
    return decision.outcome == "supported"


def caveats(pairs: Pairs, a: ArmRuns, b: ArmRuns, evidence: Evidence, study: StudyRuns, metric: str) -> list[str]:
    """The caveats that are told beside a verdict, in sentences."""
    where = f"{study.name}, {a.title} against {b.title}"
    found = []
    if pairs.lost:
        found.append(f"{where}: {pairs.lost} of {pairs.planned} pairs failed and are left out.")
    if metric_facts(metric).kind in ("accuracy", "loss"):
        sizes = [float(np.nanmean(r.values["parameters"])) for r in (a, b) if "parameters" in r.values]
        if len(sizes) == 2 and max(sizes) > UNEQUAL * max(1.0, min(sizes)):
            against = f"{sizes[0]:.0f} against {sizes[1]:.0f} parameters of the whole mixture"
            found.append(f"{where}: {against}, so the arms differ in size.")
    if not study.clustered:
        found.append(
            f"{study.name}: the data never vary, so the verdict is about this one data set, over initialisations."
        )
    significant = min(evidence.p_support, evidence.p_refute) < ALPHA
    unranked = (
        evidence.contrast.direction in ("greater", "less") and evidence.beyond_support and evidence.rank_p > ALPHA
    )
    if significant and unranked:
        found.append(f"{where}: the mean differs but the typical pair does not: the difference comes from a few runs.")
    return found


def still_falling(runs: ArmRuns) -> bool:
    """Whether the mean loss was still falling at the end of training."""
    tails = runs.recent[np.isfinite(runs.recent).all(axis=1)]
    if len(tails) == 0:
        return False
    mean = tails.mean(axis=0)
    return bool(mean[-1] < (1 - FALLING) * mean[0])
