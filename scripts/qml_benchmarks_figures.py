"""Writes the published accuracies of qml-benchmarks into the package: ``python scripts/qml_benchmarks_figures.py FOLDER``.

FOLDER is a checkout of github.com/XanaduAI/qml-benchmarks at commit 0bbf848. Its ``paper/results`` has test accuracies for
the best hyperparameters of each model; they are averaged over their five repetitions, for every data set of
`qmoe.data.qml_benchmarks`. Of the support vector machine the hyperparameters and the training accuracy are kept too.

Test accuracies that merely repeat the training accuracies are marked. That is so where both columns are equal and some
accuracy is no whole number of test rows; or, for the support vector machine, where a fit with its hyperparameters has
another test accuracy.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

from sklearn.svm import SVC

import qmoe
from qmoe.data import make_dataset
from qmoe.data.qml_benchmarks import QML_BENCHMARKS

OUT = Path(qmoe.__file__).parent / "data" / "qml_benchmarks" / "published.toml"
COMMIT = "0bbf84855d4da9099adea6a7522029795664d05b"
SIZES = range(2, 21)

#: Name of a data set without its prefix -> the option that varies, its values, and the name of a file for one.
STEMS: dict[str, tuple[str, tuple[int, ...], str]] = {
    "linearly_separable": ("n_features", tuple(SIZES), "linearly_separable_{value}d"),
    "hidden_manifold": ("n_features", tuple(SIZES), "hidden_manifold-6manifold-{value}d"),
    "hidden_manifold_diff": ("manifold_dim", tuple(SIZES), "hidden_manifold-10d-{value}manifold"),
    "hyperplanes_diff": ("n_hyperplanes", tuple(SIZES), "hyperplanes-10d-from3d-{value}n"),
    "two_curves": ("n_features", tuple(SIZES), "two_curves-5degree-0.1offset-{value}d"),
    "two_curves_diff": ("degree", tuple(SIZES), "two_curves-10d-{value}degree"),
    "bars_and_stripes": ("size", (4, 8, 16, 32), "bars_and_stripes_{value}_x_{value}_0.5noise"),
}


def main(folder: Path) -> None:
    """Reads the results in ``folder`` and writes the record."""
    lines = [
        "# Published test accuracies of qml-benchmarks: means over their five repetitions with the best hyperparameters.",
        "# Written by scripts/qml_benchmarks_figures.py. [data set.model]: an entry for each value of the option, nan where",
        "# there is none. `repeats_training`: values at which what is published as the test accuracy is that of training.",
        "",
        "[source]",
        'name = "Bowles, Ahmed and Schuld (2024)"',
        'url = "https://arxiv.org/abs/2403.07059"',
        'repository = "https://github.com/XanaduAI/qml-benchmarks"',
        f'commit = "{COMMIT}"',
        'path = "paper/results/{family}/{model}/{model}_{file}_GridSearchCV-best-hyperparams-results.csv"',
    ]
    for cls in QML_BENCHMARKS:
        family = cls.name.removeprefix("qml_benchmarks_")
        option, values, stem = STEMS[family]
        lines += ["", f"[{cls.name}]", f'option = "{option}"', f"values = {list(values)}", f'file = "{stem}"']
        results = folder / "paper" / "results" / family
        for model in sorted(path.name for path in results.iterdir()):
            columns = _of_model(cls.name, option, results / model, values, stem)
            if any(not math.isnan(value) for value in columns["test"]):
                lines += [
                    "",
                    f"[{cls.name}.{model}]",
                    *(f"{key} = {_array(column)}" for key, column in columns.items()),
                ]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _of_model(name: str, option: str, folder: Path, values: tuple[int, ...], stem: str) -> dict[str, list[float]]:
    """The columns of one model: its test accuracies, and what else is kept."""
    test, train, chosen, marked = [], [], [], []
    for value in values:
        start = folder / f"{folder.name}_{stem.format(value=value)}_GridSearchCV-best-hyperparams"
        results = start.with_name(f"{start.name}-results.csv")
        rows = list(csv.DictReader(results.open(encoding="utf-8"))) if results.exists() else []
        both = [(float(row["train_acc"]), float(row["test_acc"])) for row in rows]
        train.append(_mean([a for a, _ in both]))
        test.append(_mean([b for _, b in both]))
        n_test = make_dataset(name, **{option: value}).part_sizes()[1]
        whole = all(math.isclose(b * n_test, round(b * n_test), abs_tol=1e-6) for _, b in both)
        repeats = all(a == b for a, b in both) and not whole
        if folder.name == "SVC":
            best = {k: float(v) for k, v in list(csv.reader((start.parent / f"{start.name}.csv").open()))[1:]}
            chosen.append(best)
            dataset = make_dataset(name, **{option: value})
            split = dataset.split(dataset.published_seed)
            fitted = SVC(C=best["C"], gamma=best["gamma"]).fit(split.x_train, split.y_train)
            repeats |= not math.isclose(fitted.score(split.x_test, split.y_test), test[-1])
        if repeats:
            marked.append(value)
    columns = {"test": test}
    if chosen:
        columns |= {"train": train, "C": [c["C"] for c in chosen], "gamma": [c["gamma"] for c in chosen]}
    return columns | ({"repeats_training": marked} if marked else {})


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _array(values: list[float]) -> str:
    return (
        "[" + ", ".join(f"{value:.6g}" if isinstance(value, int) else repr(round(value, 6)) for value in values) + "]"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
