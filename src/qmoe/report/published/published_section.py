"""A table with a row for each data set: our arms and baselines, and what others published on the same rows and split."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isclose

import numpy as np

from qmoe.report.published.over_sets import OnPublishedRows, on_published_rows
from qmoe.report.sections.blocks import Block, Context, Section, Text
from qmoe.report.tables import Column, Table, fixed, text
from qmoe.report.words import join

#: Two shares of at most this many test rows that differ by less are equal.
_SAME = 1e-5
#: Our baseline that is a published model trained the same way -> the name of that model.
_SAME_MODEL = {"support vector machine (RBF), searched": "SVC"}
#: The same baseline within a sentence.
_IN_WORDS = {"support vector machine (RBF), searched": "support vector machine (RBF) with searched hyperparameters"}
#: Models that a column is for, if they are there; all others are in the files of the table.
_SHOWN = (
    "SVC",
    "MLPClassifier",
    "DataReuploadingClassifier",
    "DressedQuantumCircuitClassifier",
    "IQPKernelClassifier",
    "IQPVariationalClassifier",
)


def published_section(context: Context) -> list[Section]:
    """What others published, beside ours; nothing where no study is on published rows."""
    found = on_published_rows(context.results, context.contents.measurements)
    if not found:
        return []
    sources = sorted({(score.source, score.url) for each in found for score in each.published})
    blocks: list[Block] = [Text(_sentences(found, [name for name, _ in sources])), _table(found)]
    blocks.append(Text(tuple(f"{name}: {url}" for name, url in sources), points=True, title="Where the figures stand"))
    names = tuple(each.results.study.name for each in found)
    return [Section("published-results", "Beside published results", "Published results", blocks, studies=names)]


def _sentences(found: Sequence[OnPublishedRows], sources: Sequence[str]) -> tuple[str, ...]:
    epochs = [str(n) for n in sorted({each.results.study.training.epochs for each in found})]
    lines = [
        f"These data sets have the rows and the split of {join(sources)}. Their figures are test accuracies with the "
        f"hyperparameters that cross-validation chose on each set. Our arms are not tuned: {join(epochs)} epochs at one "
        "learning rate, and a figure is the mean over initialisations."
    ]
    for ours, theirs in _SAME_MODEL.items():
        pairs = [
            (each.baselines[ours], score)
            for each in found
            if ours in each.baselines
            for score in each.published
            if score.model == theirs
        ]
        if pairs:
            same = sum(isclose(value, score.test_accuracy, abs_tol=_SAME) for value, score in pairs)
            lines.append(
                f"Our {_IN_WORDS[ours]} is trained in the same way as their {theirs}, and has the accuracy that they "
                f"published on {same} of {len(pairs)} sets."
            )
    if any(score.repeats_training for each in found for score in each.published):
        lines.append(
            "An asterisk marks a published test accuracy that is in fact the training accuracy; its model has no mean here."
        )
    return tuple(lines)


def _table(found: Sequence[OnPublishedRows]) -> Table:
    ours = list(dict.fromkeys(label for each in found for label in each.ours))
    models = list(dict.fromkeys(score.model for each in found for score in each.published))
    rows = [_row(each) for each in found]
    keys = [*ours, *(f"published {model}" for model in models)]
    means: dict[str, object] = {"set": f"mean of {len(rows)}"}
    for key in keys:
        values = [row[key] for row in rows if row.get(key) is not None and not row.get(f"{key} starred")]
        means[key] = float(np.mean(values)) if len(values) == len(rows) else None  # type: ignore[arg-type]
    shown = [*ours, *(f"published {model}" for model in _SHOWN if model in models)]
    columns = [Column("data set", ("set",), text, number=False)]
    columns += [Column(_in_short_words(key), (key,), fixed(3), starred=f"{key} starred") for key in shown]
    caption = (
        "Test accuracy on published rows and splits: our arms and baselines, then what was published. The best of a row is "
        "bold. Where the table is wider than the page, scroll it sideways. Further published models are in the CSV file."
    )
    return Table("published-results", caption, tuple(columns), (*rows, means), compares=True)


def _in_short_words(name: str) -> str:
    """A heading that breaks over lines: the parts of a class's name are words of their own."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _row(each: OnPublishedRows) -> dict[str, object]:
    row: dict[str, object] = {"set": each.results.study.short_title, "study": each.results.study.name, **each.ours}
    for score in each.published:
        row[f"published {score.model}"] = score.test_accuracy
        if score.repeats_training:
            row[f"published {score.model} starred"] = True
    return row
