"""Recomputes what a report says from its store alone, with sqlite3 and numpy.

It imports nothing of qmoe, and follows docs/store.md. ``python scripts/recompute.py FOLDER`` prints the accuracies of all
arms; with ``--analyses STUDY A B`` the mean difference of two arms at every analysis of a study; with ``--check FILE``, what
``qmoe report FOLDER --json`` printed, it compares all figures and fails where they differ.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections import defaultdict
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

#: Largest difference of a mean or an effect; they are sums in another order.
EXACT = 1e-9
#: Largest difference of a bound of an interval, as a share of its width: resampling noise.
NOISE = 0.2

#: Columns of ``trials`` before those of figures.
FIXED = 15

Key = tuple[str, float | None]


class Runs:
    """The trials of one arm at one specification: seeds, and figures by name."""

    def __init__(self, rows: list[tuple[int, int, float | None, dict[str, float]]]) -> None:
        self.seeds = [(d, k) for d, k, _, _ in rows]
        self.rates = np.array([np.nan if lr is None else lr for _, _, lr, _ in rows])
        self.metrics = [m for _, _, _, m in rows]

    def values(self, metric: str) -> np.ndarray:
        """``(n,)`` figures of a metric."""
        return np.array([m.get(metric, np.nan) for m in self.metrics])

    def take(self, keep: np.ndarray) -> Runs:
        """The trials at some places."""
        rows = [
            (*self.seeds[i], None if np.isnan(self.rates[i]) else float(self.rates[i]), self.metrics[i])
            for i in np.flatnonzero(keep)
        ]
        return Runs(rows)


def arms_of(db: sqlite3.Connection, study: str, specification: int = 0) -> dict[Key, Runs]:
    """The arms of a study at one specification, with the trials that count there."""
    selects = db.execute(
        "SELECT selects FROM specifications WHERE study = ? AND specification = ?", (study, specification)
    ).fetchone()[0]
    found = defaultdict(list)
    query = (
        "SELECT name, strength, learning_rate, own_rate, members.data_seed, members.init_seed, status, seconds, stack_size, "
        "trials.* FROM arms JOIN members USING (arm) JOIN trials USING (hash) JOIN executions USING (execution) "
        "WHERE study = ? AND specification = ? ORDER BY arms.arm, members.data_seed, members.init_seed"
    )
    failed: dict[Key, set[float | None]] = defaultdict(set)
    cursor = db.execute(query, (study, specification))
    names = [column[0] for column in cursor.description[9 + FIXED :]]
    for arm, strength, rate, own, data, init, status, seconds, stack, *rest in cursor:
        if selects != "best_rate" and not own:
            continue
        if status == "failed":
            failed[arm, strength].add(rate)
            continue
        metrics = {name: value for name, value in zip(names, rest[FIXED:], strict=True) if value is not None}
        if stack == 1:  # only what trained alone has a time of its own
            metrics["seconds"] = seconds
        found[arm, strength].append((data, init, rate, metrics))
    arms = {key: Runs(rows) for key, rows in found.items()}
    if selects == "best_rate":
        return {key: _best_rate(runs, failed[key]) for key, runs in arms.items()}
    if selects == "best_start":
        return {key: _best_start(runs) for key, runs in arms.items()}
    return arms


def _best_rate(runs: Runs, failed: set[float | None]) -> Runs:
    loss = runs.values("loss")
    rates = sorted(set(runs.rates.tolist()))
    best = min(rates, key=lambda rate: (rate in failed, float(np.nanmean(loss[runs.rates == rate]))))
    return runs.take(runs.rates == best)


def _best_start(runs: Runs) -> Runs:
    loss, draws = runs.values("loss"), np.array([d for d, _ in runs.seeds])
    keep = np.zeros(len(loss), dtype=bool)
    for draw in np.unique(draws):
        here = np.flatnonzero(draws == draw)
        keep[here[np.argmin(loss[here])]] = True
    chosen = runs.take(keep)
    chosen.seeds = [(d, 0) for d, _ in chosen.seeds]
    return chosen


def difference(a: Runs, b: Runs, metric: str, ratio: bool = False) -> np.ndarray:
    """``(draws,)`` mean differences (of logarithms, for ratios) of two arms, paired by seeds."""
    at = dict(zip(b.seeds, b.values(metric).tolist(), strict=True))
    by_draw = defaultdict(list)
    several = len({d for d, _ in a.seeds}) > 1
    for (d, k), value in zip(a.seeds, a.values(metric).tolist(), strict=True):
        other = at.get((d, k), np.nan)
        if np.isfinite(value) and np.isfinite(other):
            by_draw[d if several and metric != "seconds" else (d, k)].append(
                np.log(value / other) if ratio else value - other
            )
    return np.array([np.mean(values) for values in by_draw.values()])


def bca(values: np.ndarray, n: int = 20_000, seed: int = 0) -> tuple[float, float]:
    """The 95% BCa bootstrap interval of a mean (Efron 1987)."""
    normal, mean = NormalDist(), values.mean()
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (n, len(values)))].mean(axis=1)
    below = (means < mean).mean() + 0.5 * (means == mean).mean()
    if not 0 < below < 1:
        return float(mean), float(mean)
    z0 = normal.inv_cdf(float(below))
    left_out = (values.sum() - values) / (len(values) - 1)
    d = left_out.mean() - left_out
    spread = float((d**2).sum()) ** 1.5
    a = 0.0 if spread == 0 else float((d**3).sum()) / (6 * spread)
    bounds = []
    for q in (0.025, 0.975):
        z = z0 + normal.inv_cdf(q)
        bounds.append(float(np.quantile(means, normal.cdf(z0 + z / (1 - a * z)))))
    return bounds[0], bounds[1]


class Checker:
    """Compares a report's JSON with the store, and keeps what differs.

    Args:
        db: the store.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.wrong: list[str] = []
        self.compared = 0
        self._arms: dict[tuple[str, int], dict[Key, Runs]] = {}

    def report(self, report: dict[str, Any]) -> None:
        """Compares every mean accuracy, every effect and interval, and every effect of a multiverse."""
        for row in report["headline"]:
            if row["mean"] is not None and row["epoch"] is None and row["quantity"] != "loss":
                runs = self._of(row["study"])[row["arm"], row["strength"]]
                mean = float(np.mean(runs.values(row["quantity"])))
                self._same(f"{row['study']}, {row['arm']}, mean", mean, row["mean"])
        for verdict in report["verdicts"]:
            for one in verdict.get("per_study") or [verdict]:
                self._verdict(one)

    def _verdict(self, verdict: dict[str, Any]) -> None:
        for test in verdict["tests"]:
            for c in test["comparisons"]:
                if c.get("effect") is not None and c["estimand"] == "mean":
                    where = f"{verdict['claim']}, {test['name']} on {test['study']}, {c['a']} against {c['b']}"
                    self._comparison(where, test["study"], c)
        for row in (verdict.get("multiverse") or {}).get("specifications", []):
            for point in row["points"]:
                if point["effect"] is not None and point["study"]:
                    self._point(f"{verdict['claim']}, {row['choices']}", row["choices"], point)

    def _comparison(self, where: str, study: str, c: dict[str, Any]) -> None:
        ratio = c["scale"] == "ratio"
        if study:
            a, b = (self._of(study)[tuple(c[side])] for side in ("arm_a", "arm_b"))
            d = difference(a, b, c["metric"], ratio)
        else:
            rows = self.db.execute(
                "SELECT name, figures FROM measurements WHERE quantity = ? ORDER BY rowid", (c["metric"],)
            )
            found = {name: np.array(json.loads(figures)) for name, figures in rows}
            x = found[c["arm_a"][0]]
            # A claim may compare with a number.
            y = found[c["arm_b"][0]] if c["arm_b"][0] in found else np.full_like(x, c["mean_b"])
            d = np.log(x / y) if ratio else x - y
        back = np.exp if ratio else float
        self._same(f"{where}, effect", float(back(d.mean())), c["effect"])
        if len(d) > 2 and np.ptp(d) > 1e-12:
            for name, bound in zip(("low", "high"), bca(d), strict=True):
                self._same(f"{where}, {name}", float(back(bound)), c[name], NOISE * (c["high"] - c["low"]))

    def _point(self, where: str, choices: dict[str, str], point: dict[str, Any]) -> None:
        number = next(
            (
                n
                for n, text in self.db.execute(
                    "SELECT specification, choices FROM specifications WHERE study = ?", (point["study"],)
                )
                if json.loads(text) == choices
            ),
            None,
        )
        if number is None:
            return  # judged at the study's own analysis, since it has no such alternative
        arms, keys = self._of(point["study"], number), [tuple(point[side]) for side in ("a_key", "b_key")]
        if not all(key in arms for key in keys):
            arms = self._of(point["study"])  # an arm that was not tried there: both stay at the study's own analysis
        a, b = (arms[key] for key in keys)
        self._same(f"{where}, effect", float(difference(a, b, point["metric"]).mean()), point["effect"])

    def _of(self, study: str, specification: int = 0) -> dict[Key, Runs]:
        key = study, specification
        if key not in self._arms:
            self._arms[key] = arms_of(self.db, *key)
        return self._arms[key]

    def _same(self, where: str, ours: float, theirs: float, tolerance: float = EXACT) -> None:
        self.compared += 1
        if not abs(ours - theirs) <= tolerance:
            self.wrong.append(f"{where}: {ours!r} from the store, {theirs!r} in the report")


def _not_there(db: sqlite3.Connection, study: str, first: str, second: str) -> str | None:
    """What the store lacks of a study and two of its arms, and what it has; None where all is there."""
    studies = [name for (name,) in db.execute("SELECT name FROM studies ORDER BY position")]
    if study not in studies:
        return f"the store has no study {study}; it has {', '.join(studies) or 'none'}."
    arms = [name for name, strength in arms_of(db, study) if strength is None]
    missing = [arm for arm in (first, second) if arm not in arms]
    return f"{study} has no finished arm {missing[0]}; it has {', '.join(arms) or 'none'}." if missing else None


def main(arguments: list[str] | None = None) -> int:
    """Prints the mean accuracy of every arm, or compares with a report."""
    parser = argparse.ArgumentParser(description="Recomputes figures of a store without qmoe.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", type=Path, help="what `qmoe report FOLDER --json` printed, to compare with")
    parser.add_argument(
        "--analyses", nargs=3, metavar=("STUDY", "A", "B"), help="difference of two arms at every analysis"
    )
    options = parser.parse_args(arguments)
    store = options.folder / "store.sqlite"
    if not store.is_file():
        parser.error(f"{store} is not there; FOLDER is what `qmoe run --out FOLDER` wrote.")
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    if options.check is not None:
        checker = Checker(db)
        checker.report(json.loads(options.check.read_text(encoding="utf-8")))
        print("\n".join(checker.wrong) or f"All {checker.compared} figures agree.")
        return 1 if checker.wrong else 0
    if options.analyses is not None:
        study, first, second = options.analyses
        if (wrong := _not_there(db, study, first, second)) is not None:
            parser.error(wrong)
        query = "SELECT specification, choices FROM specifications WHERE study = ? ORDER BY specification"
        for number, choices in db.execute(query, (study,)).fetchall():
            arms = arms_of(db, study, number)
            d = difference(arms[first, None], arms[second, None], "test_accuracy")
            error = d.std(ddof=1) / len(d) ** 0.5
            print(f"{d.mean():+.4f} +- {error:.4f} over {len(d)} draws  {', '.join(json.loads(choices).values())}")
        return 0
    for (study,) in db.execute("SELECT name FROM studies ORDER BY position").fetchall():
        for (arm, strength), runs in arms_of(db, study).items():
            metric = "test_accuracy" if np.isfinite(runs.values("test_accuracy")).all() else "train_accuracy"
            at = "" if strength is None else f" at p = {strength:g}"
            print(f"{study:<28} {arm + at:<28} {metric:<15} {runs.values(metric).mean():.6f}  ({len(runs.seeds)} runs)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
