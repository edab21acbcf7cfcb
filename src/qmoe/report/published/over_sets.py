"""What studies on published data sets reached, and what was published: facts, without words for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.data import make_dataset
from qmoe.data.published import PublishedScore
from qmoe.report.findings.arms import finished
from qmoe.report.findings.judged import Measurements
from qmoe.studies import StudyResults
from qmoe.studies.baselines import ALL_BASELINES, baseline_quantity
from qmoe.studies.presets import GROUPS, further_presets


@dataclass(frozen=True)
class OnPublishedRows:
    """One study on rows and a split that others published results on.

    Attributes:
        results: the study.
        arms: mean test accuracy by the label of the arm.
        baselines: test accuracy by what readers call the baseline.
        published: what others report.
    """

    results: StudyResults
    arms: dict[str, float]
    baselines: dict[str, float]
    published: tuple[PublishedScore, ...]

    @property
    def ours(self) -> dict[str, float]:
        """Arms, then baselines."""
        return self.arms | self.baselines


def on_published_rows(results: Sequence[StudyResults], measurements: Measurements) -> list[OnPublishedRows]:
    """The studies of a store that are on published rows and have finished trials."""
    found = []
    for each in results:
        study = each.study
        kind = study.data.kind
        if kind.published_seed is None or study.seeds.fixed != kind.published_seed or study.data.labels != "true":
            continue
        arms = {a.title: float(a.figures("test_accuracy").mean()) for a in finished(each) if a.strength is None}
        if arms:
            measured = measurements.get(baseline_quantity(study), {})
            beside = {label: float(measured[name][0]) for name, label in ALL_BASELINES.items() if name in measured}
            published = make_dataset(study.data.name, **study.data.options).published_scores()
            found.append(OnPublishedRows(each, arms, beside, published))
    return found


def accuracies_over_sets(
    results: Sequence[StudyResults], measurements: Measurements
) -> dict[str, dict[str, np.ndarray]]:
    """For each group of presets on published data sets the accuracies of what all of its studies here have, by data set.

    Claims know them as ``mean test accuracy on each data set of GROUP``.
    """
    found = {}
    for group in GROUPS:
        members = further_presets(group)
        here = on_published_rows([r for r in results if r.study.name in members], measurements)
        shared = [label for label in here[0].ours if all(label in each.ours for each in here)] if here else []
        if len(here) > 1 and shared:
            quantity = f"mean test accuracy on each data set of {group}"
            found[quantity] = {label: np.array([each.ours[label] for each in here]) for label in shared}
    return found
