"""What others report that models reach on a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedScore:
    """One published figure on one data set.

    Attributes:
        model: the name of the model in its source.
        test_accuracy: the mean accuracy on the test rows.
        source: who published it.
        url: where it is described.
        where: the file that it is taken from, with repository and commit.
        repeats_training: whether the published number is the accuracy on the training rows.
    """

    model: str
    test_accuracy: float
    source: str
    url: str
    where: str
    repeats_training: bool = False
