"""A data set out of a script that seeds NumPy once and then makes its sets one after another.

An ``int`` seed is that of the whole script, which is replayed up to the place of the set. A `numpy.random.SeedSequence`,
which studies give, draws the set alone. Either way each seed is another problem of the family, and the split belongs to it.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qmoe.data.base import Dataset, Points, Split, check_seed
from qmoe.data.published import PublishedScore
from qmoe.data.qml_benchmarks.published_scores import scores_of
from qmoe.errors import ConfigError
from qmoe.seeding import Seed, random_state

N_SAMPLES, N_TEST = 300, 60
_TEST_FRACTION = 0.2  # the default of `Dataset.split`, and what the scripts hold out
_ATTEMPTS = 1000


class TooFewRowsError(Exception):
    """One class has too few rows in what was drawn."""


@dataclass(frozen=True)
class ScriptedSet(Dataset):
    """A set with two classes out of a script that makes several.

    A subclass says what the script makes up to it (`_script`) and how one set is drawn (`_rows_and_labels`).
    """

    limited: ClassVar[str] = "every seed draws another problem"
    #: The seed of the published script.
    published_seed: ClassVar[int]

    @property
    def n_classes(self) -> int:
        """Two."""
        return 2

    @property
    def n_rows(self) -> int:
        """Rows of both parts."""
        return sum(self.part_sizes())

    def part_sizes(self, test_fraction: float = _TEST_FRACTION) -> tuple[int, int]:
        """Rows of the two parts of the script."""
        return N_SAMPLES - N_TEST, N_TEST

    def published(self) -> Split:
        """Returns the training and test rows of the published experiments."""
        return self.split(self.published_seed)

    def published_scores(self) -> tuple[PublishedScore, ...]:
        """Returns what the paper's models reached on the test rows of `published`."""
        (value,) = vars(self).values()
        return scores_of(self.name, value)

    def sample(self, seed: Seed) -> Points:
        """Returns the training rows and then the test rows of ``split(seed)``."""
        split = self.split(seed)
        return Points(np.concatenate([split.x_train, split.x_test]), np.concatenate([split.y_train, split.y_test]))

    def split(self, seed: Seed, test_fraction: float = _TEST_FRACTION, split_seed: Seed | None = None) -> Split:
        """Returns the parts that the script makes from ``seed``; ``split_seed`` makes no difference.

        Raises:
            ConfigError: for another ``test_fraction`` than the default, or a seed with which the script fails.
        """
        if test_fraction != _TEST_FRACTION:
            raise ConfigError(
                f"{self.name}: test_fraction={test_fraction!r}, but the split is part of the data set; leave it at "
                f"{_TEST_FRACTION}."
            )
        seed = check_seed(seed)
        if not isinstance(seed, int):
            return self._alone(random_state(seed))
        kept = _scripted(self, seed)
        return Split(*(part.copy() for part in (kept.x_train, kept.y_train, kept.x_test, kept.y_test)))

    def _alone(self, random: np.random.RandomState) -> Split:
        """This set from a stream of its own; problems that give too few rows of a class are drawn again."""
        for _ in range(_ATTEMPTS):
            try:
                return self._draw(random)
            except TooFewRowsError:
                continue
        raise ConfigError(f"{self.name}: {_ATTEMPTS} problems had too few rows of one class; take another seed.")

    def _draw(self, random: np.random.RandomState) -> Split:
        x, y = self._rows_and_labels(random)
        return _split(x, y, random)

    @abstractmethod
    def _script(self) -> Iterator[ScriptedSet]:
        """The sets that the script makes with one stream, in order, up to this one."""

    @abstractmethod
    def _rows_and_labels(self, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
        """Draws ``(N, F)`` rows and ``(N,)`` labels 0 and 1.

        Raises:
            TooFewRowsError: all is drawn, but one class has too few rows.
        """


@functools.lru_cache(maxsize=64)
def _scripted(dataset: ScriptedSet, seed: int) -> Split:
    random = np.random.RandomState(seed)
    split = None
    for earlier in dataset._script():
        try:
            split = earlier._draw(random)
        except TooFewRowsError:
            random.permutation(N_SAMPLES)  # what the split would have drawn
            split = None
    if split is None:
        raise ConfigError(f"{dataset.name}: one class has too few rows with seed={seed}; take another seed.")
    return split


def _split(x: np.ndarray, y: np.ndarray, random: np.random.RandomState) -> Split:
    """As ``train_test_split(x, y, test_size=0.2)`` of scikit-learn: the first rows of a permutation are the test part."""
    order = random.permutation(len(y))
    test, train = order[:N_TEST], order[N_TEST:]
    return Split(x[train], y[train].astype(np.int64), x[test], y[test].astype(np.int64))
