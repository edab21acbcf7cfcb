"""What a data set is: options, one difficulty knob, a sample from a seed, and the truth where it can be known."""

from __future__ import annotations

import functools
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, get_type_hints

import numpy as np

from qmoe.data.options import OptionRule, Real, Samples
from qmoe.data.published import PublishedScore
from qmoe.errors import ConfigError, ShapeError, count
from qmoe.seeding import Seed, child, random_state

#: Classes that an error names one by one.
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class Points:
    """Labelled rows.

    Attributes:
        x: ``(N, F)`` float64 features.
        y: ``(N,)`` int64 labels from 0 to C - 1.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled rows in a training and a test part.

    Attributes:
        x_train: ``(N, F)`` float64 features to fit on.
        y_train: ``(N,)`` int64 labels from 0 to C - 1.
        x_test: ``(T, F)`` float64 held-out features; ``T`` is 0 when nothing was held out.
        y_test: ``(T,)`` int64 labels.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Dataset(ABC):
    """A family of classification problems with one difficulty knob.

    The fields of a subclass are its options; each may carry an `OptionRule` in its annotation, which is enforced on
    construction. Data sets are frozen and hashable; two with equal options are equal.

    Attributes:
        name: the name in `DATASETS`.
        difficulty: the name of the option that is the knob, "" if there is none. The docstring of a data set says in
            which direction it gets harder.
    """

    name: ClassVar[str]
    difficulty: ClassVar[str]
    #: Whether a seed decides the rows or the split; False for a set with one official split.
    resampled: ClassVar[bool] = True
    #: Why other seeds give no fresh rows of the same problem, "" for a family that can be sampled without limit.
    limited: ClassVar[str] = ""
    #: The seed whose split has published results (`published_scores`), None for a set without.
    published_seed: ClassVar[int | None] = None
    #: Whether features may be in units of their own, as columns of a table are; pixels and coordinates share one.
    mixed_units: ClassVar[bool] = False
    #: The option that says where files of the user's own lie, "" for a set without such files.
    located: ClassVar[str] = ""

    def __post_init__(self) -> None:
        rules = option_rules(type(self))
        for field in fields(self):
            if field.name in rules:
                value = getattr(self, field.name)
                checked = rules[field.name].check(self.name, field.name, value, field.default)
                object.__setattr__(self, field.name, checked)
        self._check()

    def _check(self) -> None:  # noqa: B027 - most data sets have nothing to add
        """Refuses options that are good by themselves but do not go together."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """The number of features F of a row."""

    @property
    @abstractmethod
    def n_classes(self) -> int:
        """The number of classes C."""

    @abstractmethod
    def sample(self, seed: Seed) -> Points:
        """Returns the rows for ``seed``; an ``int`` gives what scikit-learn gives for it where the set is its own."""

    def split(self, seed: Seed, test_fraction: float = 0.2, split_seed: Seed | None = None) -> Split:
        """Samples rows and holds out a stratified part of them.

        Args:
            seed: the seed of the rows.
            test_fraction: the share of the rows to hold out, from 0 (an empty test part) to below 1.
            split_seed: the seed of the partition. Without it an ``int`` seed is used again, as in
                ``train_test_split(..., random_state=seed)``, and a sequence gives its child 1.

        Raises:
            ConfigError: ``test_fraction`` is out of range, or a part would hold fewer than two classes.
            ShapeError: `sample` returned rows or labels that are not those that the data set declares.
        """
        test_fraction = _FRACTION.check(self.name, "test_fraction", test_fraction, 0.2)
        seed = check_seed(seed)
        if split_seed is None:
            split_seed = child(seed, 1) if isinstance(seed, np.random.SeedSequence) else seed
        points = check_points(self, self.sample(seed))
        return stratified_split(self.name, points, test_fraction, check_seed(split_seed))

    @property
    def n_rows(self) -> int:
        """The number of rows of a sample; a data set that can say so without one does."""
        return len(self.sample(0).y)

    def part_sizes(self, test_fraction: float = 0.2) -> tuple[int, int]:
        """Rows of the training and of the test part that `split` makes."""
        n_test = math.ceil(self.n_rows * test_fraction)
        return self.n_rows - n_test, n_test

    def resized(self, n_samples: int) -> Self:
        """Returns the same family with another number of rows.

        Raises:
            ConfigError: for a set that cannot be sampled without limit.
        """
        reason = self.limited
        if not reason and "n_samples" not in {field.name for field in fields(self)}:
            reason = "its rows are given, not sampled"
        if reason:
            raise ConfigError(
                f"{self.name} has no fresh rows to test on: {reason}. Leave test_samples out, and hold out some of the rows "
                "with test_fraction."
            )
        changes: dict[str, Any] = {"n_samples": n_samples}
        return replace(self, **changes)

    def pinned(self) -> dict[str, object]:
        """Returns options that name the content of files of the user's own; none for a set without such files.

        Results are known by these, and not by where the files lie.
        """
        return {}

    def bayes_error(self) -> float | None:
        """Returns the error rate of the best possible classifier, None where it is not known."""
        return None

    def published_scores(self) -> tuple[PublishedScore, ...]:
        """Returns what others report on the split of `published_seed`; nothing for most sets."""
        return ()

    def posterior(self, x: np.ndarray) -> np.ndarray | None:
        """Returns the ``(N, C)`` class probabilities at the rows of ``x`` ``(N, F)``, None where they are not known."""
        return None

    def _rows(self, x: np.ndarray) -> np.ndarray:
        """Returns ``x`` as float64 after checking that it is a finite ``(N, F)``."""
        return check_rows(self.name, x, self.n_features)


@dataclass(frozen=True)
class SampledDataset(Dataset):
    """A data set of as many rows as one asks for.

    Attributes:
        n_samples: the number of rows.
    """

    n_samples: Samples = 500

    @property
    def n_rows(self) -> int:
        """As many as asked for."""
        return self.n_samples


@dataclass(frozen=True)
class BinaryDataset(SampledDataset):
    """A sampled data set with the classes 0 and 1."""

    @property
    def n_classes(self) -> int:
        """Two."""
        return 2


_FRACTION = Real(0.0, 1.0, open_high=True)


@functools.cache
def option_rules(cls: type[Dataset]) -> dict[str, OptionRule]:
    """Returns the rule of each option of a data set that has one."""
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for name, hint in hints.items():
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, OptionRule):
                found[name] = extra
    return found


def check_seed(seed: Seed) -> Seed:
    """Returns a seed that both NumPy and scikit-learn take.

    Raises:
        ConfigError: it is neither a `numpy.random.SeedSequence` nor a whole number from 0 to 2**32 - 1.
    """
    if isinstance(seed, np.random.SeedSequence):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= int(seed) < 2**32:
        raise ConfigError(
            f"A seed must be a whole number from 0 to 2**32 - 1 or a numpy SeedSequence, got {seed!r}; "
            "for example seed=0."
        )
    return int(seed)


def check_rows(where: str, x: np.ndarray, n_features: int | None = None) -> np.ndarray:
    """Returns ``x`` as a float64 ``(N, F)`` array.

    Raises:
        ShapeError: it has another rank, another number of features, or an entry that is not finite.
    """
    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or (n_features is not None and rows.shape[1] != n_features):
        wanted = "F" if n_features is None else str(n_features)
        raise ShapeError(f"{where}: x must have shape (N, {wanted}), got {rows.shape}; one row is x[None, :].")
    bad = ~np.isfinite(rows)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ShapeError(
            f"{where}: x[{row}, {column}] is {rows[row, column]}, expected finite numbers; "
            "drop or impute such rows first."
        )
    return rows


def check_points(dataset: Dataset, points: Points) -> Points:
    """Returns the rows of a data set, which may be somebody's own, as float64 and int64.

    Raises:
        ShapeError: they are not `Points`, are not finite ``(N, n_features)``, or their labels are not ``(N,)`` integers from
            0 to n_classes - 1.
    """
    name = dataset.name
    if not isinstance(points, Points):
        raise ShapeError(f"{name}: sample returned {type(points).__name__}, expected qmoe.data.Points(x, y).")
    x, y = check_rows(name, points.x, dataset.n_features), np.asarray(points.y)
    if y.shape != x.shape[:1] or y.dtype.kind not in "iu":
        raise ShapeError(
            f"{name}: the labels are {y.dtype} of shape {y.shape}, expected integers of shape {x.shape[:1]}: one a row."
        )
    if y.size and not 0 <= int(y.min()) <= int(y.max()) < dataset.n_classes:
        raise ShapeError(
            f"{name}: the labels run from {y.min()} to {y.max()}, expected 0 to {dataset.n_classes - 1} for n_classes="
            f"{dataset.n_classes}."
        )
    return Points(x, y.astype(np.int64, copy=False))


def stratified_split(where: str, points: Points, test_fraction: float, seed: Seed) -> Split:
    """Partitions rows as ``sklearn.model_selection.train_test_split(x, y, stratify=y)`` does.

    Args:
        where: the name of the data set, for messages.
        points: the rows.
        test_fraction: the share to hold out, in [0, 1).
        seed: the seed of the partition; not used when nothing is held out.

    Raises:
        ConfigError: a part would hold fewer than two classes, or a class is too small to be in both.
    """
    if test_fraction == 0.0:
        split = Split(points.x, points.y, points.x[:0], points.y[:0])
    else:
        from sklearn.model_selection import train_test_split

        try:
            x_train, x_test, y_train, y_test = train_test_split(
                points.x, points.y, test_size=test_fraction, stratify=points.y, random_state=random_state(seed)
            )
        except ValueError as error:
            raise ConfigError(
                f"{where}: {len(points.y)} rows of {count(len(np.unique(points.y)), 'class', 'classes')} cannot be split "
                f"with test_fraction={test_fraction} so that every class is in both parts; the rarest: "
                f"{rarest_classes(points.y)}. Take more samples, another test_fraction, or fewer classes."
            ) from error
        split = Split(x_train, y_train, x_test, y_test)
    for part, y in (("training", split.y_train), ("test", split.y_test)):
        present = np.unique(y).size
        if present < 2 and (part == "training" or test_fraction > 0.0):
            raise ConfigError(
                f"{where}: the {part} part has {y.size} rows of {present} class, expected at least two classes; "
                "take more samples, another seed or another test_fraction."
            )
    return split


def rarest_classes(y: np.ndarray, names: Sequence[str] = ()) -> str:
    """The rarest classes with their rows, at most five of them: ``"class 3 (1 row), class 0 (2 rows)"``.

    Args:
        y: ``(N,)`` integer labels.
        names: what to call each class, instead of its number.
    """
    classes, rows = np.unique(y, return_counts=True)
    found = [
        f"{repr(names[classes[at]]) if names else f'class {classes[at]}'} ({count(int(rows[at]), 'row')})"
        for at in np.argsort(rows, kind="stable")[:_MOST_NAMED]
    ]
    return ", ".join(found)


def shuffled(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> Points:
    """Returns the rows in a random order."""
    order = generator.permutation(len(y))
    return Points(np.ascontiguousarray(x[order]), y[order].astype(np.int64))
