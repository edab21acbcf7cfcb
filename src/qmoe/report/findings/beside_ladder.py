"""What is known beside a ladder: well-known classifiers, and what dephasing costs along each axis."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.claims import ArmRuns
from qmoe.report.findings.arms import interval_of
from qmoe.report.findings.judged import Measurements
from qmoe.report.tables import signed, signed_number
from qmoe.routers import QuantumRouter, dephased_ranks
from qmoe.statistics import PairedDifference, paired_difference
from qmoe.statistics.bootstrap import cluster_means
from qmoe.studies import Study, TrialSpec
from qmoe.studies.assembly import build_model
from qmoe.studies.baselines import ALL_BASELINES, baseline_quantity

#: Rung -> axis of those that dephase throughout.
AXES = {"dephased-x": "X", "dephased-y": "Y", "dephased-all": "Z"}
#: Qubits and weights up to which ranks are found: beyond, that takes longer than the rest of the page.
_MOST_QUBITS, _MOST_WEIGHTS = 4, 60


@dataclass(frozen=True)
class Baseline:
    """A classifier beside the ladder, on the same draws of the data.

    Attributes:
        name: its name in the store.
        label: what readers call it.
        mean: mean accuracy over the draws.
        low: lower bound of its 95% interval; NaN for too few draws.
        high: upper bound.
        n: number of draws.
        difference: its accuracy minus that of the quantum router, by draw.
    """

    name: str
    label: str
    mean: float
    low: float
    high: float
    n: int
    difference: PairedDifference | None


def baselines_of(study: Study, measurements: Measurements, quantum: ArmRuns | None) -> list[Baseline]:
    """The baselines of a study that were measured, in the order of `ALL_BASELINES`.

    Args:
        study: the study.
        measurements: as a store has them.
        quantum: the arm that they are set against.
    """
    known = measurements.get(baseline_quantity(study), {})
    found = []
    for name, label in ALL_BASELINES.items():
        values = np.asarray(known.get(name, ()), dtype=np.float64)
        if not len(values) or not np.isfinite(values).all():
            continue
        draws = np.arange(len(values))
        difference = None
        if quantum is not None and quantum.clustered:
            seeds = np.unique(quantum.clusters)
            means = dict(zip(seeds.tolist(), cluster_means(quantum.scores, quantum.clusters).tolist(), strict=True))
            both = [d for d in draws.tolist() if d in means]
            if len(both) > 1:
                difference = paired_difference(values[both], np.array([means[d] for d in both]))
        interval = (float(values[0]),) * 2 if np.ptp(values) == 0 else interval_of(values, draws)
        found.append(Baseline(name, label, float(values.mean()), *interval, len(values), difference))
    return found


def dephasing_words(
    found: Mapping[str, tuple[ArmRuns, PairedDifference | None]], ranks: Mapping[str, int]
) -> tuple[str, ...]:
    """The axes that cost least and most, and the spread between them."""
    costs = {AXES[name]: d.mean for name, (_, d) in found.items() if d is not None}
    if len(costs) < 2:
        return ()
    best, worst = max(costs, key=lambda axis: costs[axis]), min(costs, key=lambda axis: costs[axis])
    changes = f"{signed_number(costs[best])} along {best} and by {signed_number(costs[worst])} along {worst}"
    words = (
        f"Dephasing changes accuracy by {changes}: a spread of {costs[best] - costs[worst]:.3f} by the choice of the axis "
        "alone."
    )
    if ranks:
        words += (
            f" Of the router's {ranks['none']} functions of the features, {ranks[best]} are left along {best} and "
            f"{ranks[worst]} along {worst}. So dephasing takes functions away as well as coherence."
        )
    return (words,)


@functools.lru_cache(maxsize=64)
def ranks_of(trial: TrialSpec) -> dict[str, int]:
    """Functions that are left of a quantum router along each axis, as `dephased_ranks`; none where it is large."""
    router = build_model(trial).router
    if not isinstance(router, QuantumRouter) or router.circuit.n_qubits > _MOST_QUBITS:
        return {}
    return dephased_ranks(router) if router.circuit.n_weights <= _MOST_WEIGHTS else {}


def baseline_words(found: Sequence[Baseline]) -> str:
    """How the best of the classifiers compares, in one sentence; "" where none was fitted."""
    fitted = [b for b in found if b.name != "bayes"]
    if not fitted:
        return ""
    best = max(fitted, key=lambda b: b.mean)
    words = f"Of the classifiers that stand beside the ladder, the best is the {best.label} with {best.mean:.3f}"
    if best.difference is not None and best.difference.enough:
        d = best.difference
        words += f" ({signed(d.mean, d.low, d.high)} to the quantum router)"
    bayes = next((b for b in found if b.name == "bayes"), None)
    return f"{words}; {bayes.mean:.3f} is the best that any can reach." if bayes is not None else f"{words}."
