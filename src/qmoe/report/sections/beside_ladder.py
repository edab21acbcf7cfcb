"""What stands beside a ladder: classifiers that everybody knows, and what dephasing costs along each axis."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np

from qmoe.report.findings.arms import Arm, interval_of
from qmoe.report.findings.judged import Measurements
from qmoe.report.sections.blocks import Block, Text
from qmoe.report.tables import DASH, Column, Table, signed, text, with_interval
from qmoe.routers import QuantumRouter, dephased_ranks
from qmoe.statistics import PairedDifference, paired_difference
from qmoe.statistics.bootstrap import cluster_means
from qmoe.studies import Study, TrialSpec
from qmoe.studies.assembly import build_model
from qmoe.studies.baselines import BASELINES, baseline_quantity

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


def baselines_of(study: Study, measurements: Measurements, quantum: Arm | None) -> list[Baseline]:
    """The baselines of a study that were measured, in the order of `BASELINES`.

    Args:
        study: the study.
        measurements: as a store has them.
        quantum: the arm that they are set against.
    """
    known = measurements.get(baseline_quantity(study), {})
    found = []
    for name, label in BASELINES.items():
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


def dephasing_blocks(
    stem: str, found: Mapping[str, tuple[Arm, PairedDifference | None]], quantum: tuple[Arm, TrialSpec] | None
) -> list[Block]:
    """What dephasing throughout costs along each axis, and how many functions it leaves; nothing for fewer than two axes.

    Args:
        stem: start of the name of the table.
        found: for each rung of `AXES` that was run its arm and its difference to the quantum router.
        quantum: the quantum router and one of its trials.
    """
    if len(found) < 2 or quantum is None:
        return []
    arm, trial = quantum
    ranks = ranks_of(trial)
    rows: list[dict[str, object]] = [_row("none", "none", arm, None, ranks)]
    rows += [_row(name, AXES[name], here, difference, ranks) for name, (here, difference) in found.items()]
    columns = (
        Column("dephased along", ("axis",), text, number=False),
        Column("functions left", ("rank",), _count),
        Column("accuracy [95%]", ("mean", "low", "high"), with_interval(3)),
        Column("difference to quantum [95%]", ("difference", "difference_low", "difference_high"), _difference),
    )
    caption = (
        "The quantum router dephased throughout, along each axis. Functions left: how many independent functions of the "
        "features its parameters can make, beside the constant."
    )
    return [Text(dephasing_words(found, ranks), title="Dephasing, axis by axis"),
            Table(f"{stem}-dephasing", caption, columns, tuple(rows))]  # fmt: skip


def dephasing_words(
    found: Mapping[str, tuple[Arm, PairedDifference | None]], ranks: Mapping[str, int]
) -> tuple[str, ...]:
    """The axes that cost least and most, and the spread between them."""
    costs = {AXES[name]: d.mean for name, (_, d) in found.items() if d is not None}
    if len(costs) < 2:
        return ()
    best, worst = max(costs, key=lambda axis: costs[axis]), min(costs, key=lambda axis: costs[axis])
    words = (
        f"Dephasing changes accuracy by {_signed(costs[best])} along {best} and by {_signed(costs[worst])} along {worst}: a "
        f"spread of {costs[best] - costs[worst]:.3f} by the choice of the axis alone."
    )
    if ranks:
        words += (
            f" Of the router's {ranks['none']} functions of the features, {ranks[best]} are left along {best} and "
            f"{ranks[worst]} along {worst}. So dephasing takes functions away as well as coherence."
        )
    return (words,)


def ranks_of(trial: TrialSpec) -> dict[str, int]:
    """Functions that are left of a quantum router along each axis, as `dephased_ranks`; none where it is large."""
    return _ranks(trial.model_dump_json())


@functools.lru_cache(maxsize=64)
def _ranks(canonical: str) -> dict[str, int]:
    router = build_model(TrialSpec.model_validate_json(canonical)).router
    if not isinstance(router, QuantumRouter) or router.circuit.n_qubits > _MOST_QUBITS:
        return {}
    return dephased_ranks(router) if router.circuit.n_weights <= _MOST_WEIGHTS else {}


def _row(
    name: str, axis: str, arm: Arm, difference: PairedDifference | None, ranks: Mapping[str, int]
) -> dict[str, object]:
    row: dict[str, object] = {"rung": name, "axis": axis, "rank": ranks.get(axis), "mean": arm.summary.mean}
    row |= {"low": _known(arm.interval[0]), "high": _known(arm.interval[1]), "n": arm.n}
    figures = (None, None, None) if difference is None else (difference.mean, difference.low, difference.high)
    return row | dict(zip(("difference", "difference_low", "difference_high"), figures, strict=True))


def _count(rank: int | None) -> str:
    return DASH if rank is None else str(rank)


def _difference(mean: float | None, low: float | None, high: float | None) -> str:
    return DASH if mean is None or low is None or high is None or isnan(low) else signed(mean, low, high)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _known(value: float) -> float | None:
    return None if isnan(value) else value


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
