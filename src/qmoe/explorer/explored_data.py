"""Two features and two classes, split into a training and a held-out part, with every scaling that the page offers."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from qmoe.data import DATASETS, Scaler, Split, fit_scaling
from qmoe.data.base import Dataset
from qmoe.data.tables.table import UserTable
from qmoe.errors import ConfigError, unknown

#: The scalings of the page; all act on each feature by itself, as a line.
SCALINGS = ("minmax_pi", "minmax_centred", "standard", "none")
#: Most rows of a part that go into the page: every one is drawn and classified in every frame.
MAX_ROWS = 1000
#: A feature that varies by less cannot be scaled to angles: its slope would be infinite.
SMALLEST_RANGE = 1e-300
_N_SAMPLES, _TEST_FRACTION = 600, 0.5


@dataclass(frozen=True, eq=False)
class ExploredData:
    """What the models of the page are trained on.

    Attributes:
        name: of the data set, or of the file.
        features: the names of both features.
        classes: the names of both classes.
        split: the rows, not scaled.
        scalers: of each name in `SCALINGS`, fitted on the training part.
    """

    name: str
    features: tuple[str, str]
    classes: tuple[str, str]
    split: Split
    scalers: dict[str, Scaler]


def explored_data(source: str | PathLike[str], target: str | None, seed: int) -> ExploredData:
    """The data of a page.

    Args:
        source: a name of `qmoe.data.DATASETS`, or a CSV file.
        target: the label column of the file.
        seed: of the rows and of their split.

    Raises:
        ConfigError: for an unknown data set, other than two features or classes, a feature that is constant, or more rows
            than a page shows.
    """
    dataset, features, classes = _dataset(fspath(source), target)
    split = dataset.split(seed, _TEST_FRACTION)
    if max(len(split.y_train), len(split.y_test)) > MAX_ROWS:
        raise ConfigError(
            f"{source} has {len(split.y_train) + len(split.y_test)} rows, and the page draws at most {2 * MAX_ROWS}; give a "
            "file with a sample of them."
        )
    ranges = split.x_train.max(0) - split.x_train.min(0)
    constant = np.flatnonzero(ranges == 0)
    if constant.size:
        raise ConfigError(f"{source}: the feature {features[constant[0]]!r} is constant, expected two that vary.")
    tiny = np.flatnonzero(ranges < SMALLEST_RANGE)
    if tiny.size:
        raise ConfigError(
            f"{source}: the feature {features[tiny[0]]!r} varies by {ranges[tiny[0]]:.3g}, expected at least "
            f"{SMALLEST_RANGE}; give it in a smaller unit."
        )
    scalers = {name: fit_scaling(name, split.x_train) for name in SCALINGS}
    name = Path(source).name if target is not None else fspath(source)
    return ExploredData(name, features, classes, split, scalers)


def _dataset(source: str, target: str | None) -> tuple[Dataset, tuple[str, str], tuple[str, str]]:
    """The data set with the names of its features and classes."""
    if target is None:
        if source not in DATASETS:
            if Path(source).suffix or Path(source).is_file():
                raise ConfigError(f"{source} is a file; say which column holds the labels: --target COLUMN (target=).")
            raise unknown("data set", source, sorted(DATASETS))
        made = DATASETS[source]()
        if not made.limited and hasattr(made, "n_samples"):
            made = made.resized(_N_SAMPLES)
        _check_sizes(source, made)
        return made, ("feature 1", "feature 2"), ("class 0", "class 1")
    if source in DATASETS and not Path(source).exists():
        raise ConfigError(f"{source} is a data set, which has labels of its own; leave out --target (target=).")
    table = UserTable(source, target)
    _check_sizes(source, table)
    return table, (table.columns[0], table.columns[1]), (table.classes[0], table.classes[1])


def _check_sizes(source: str, dataset: Dataset) -> None:
    if (dataset.n_features, dataset.n_classes) != (2, 2):
        raise ConfigError(
            f"{source} has {dataset.n_features} feature(s) and {dataset.n_classes} classes, and the page shows a plane with "
            "two classes; expected two of each, such as --data moons."
        )
