"""What is known of a metric by its name: its kind, what it is called, and whether it comes from held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["accuracy", "loss", "seconds", "count", "other"]


@dataclass(frozen=True)
class Metric:
    """The facts about one metric.

    Attributes:
        words: what readers call it.
        kind: accuracies, as which R² counts, lie between guessing and 1; a ``"count"`` is the same for every run of an arm,
            and without error.
        balanced: whether every class counts alike.
        held_out: whether it is measured on the test part, so that choosing by it flatters what is chosen.
    """

    words: str
    kind: Kind = "other"
    balanced: bool = False
    held_out: bool = False

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a share of rows that are classified well, or of a variance that is explained."""
        return self.kind == "accuracy"

    @property
    def is_count(self) -> bool:
        """Whether it is the same for every run of an arm."""
        return self.kind == "count"

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is better, as of accuracies alone."""
        return self.is_accuracy


METRICS = {
    "test_accuracy": Metric("test accuracy", "accuracy", held_out=True),
    "test_balanced_accuracy": Metric("balanced test accuracy", "accuracy", balanced=True, held_out=True),
    "train_accuracy": Metric("training accuracy", "accuracy"),
    "test_r2": Metric("share of the variance explained on test data (R²)", "accuracy", held_out=True),
    "test_loss": Metric("test loss", "loss", held_out=True),
    "validation_accuracy": Metric("validation accuracy", "accuracy"),
    "loss": Metric("final training loss", "loss"),
    "mean_loss": Metric("training loss, mean over the epochs", "loss"),
    "seconds": Metric("seconds to train one model", "seconds"),
    "parameters": Metric("trainable parameters", "count"),
    "router_parameters": Metric("trainable parameters of the router", "count"),
}


def metric_facts(name: str) -> Metric:
    """What is known of a metric; of one that qmoe does not know, what it is called."""
    return METRICS.get(name, Metric(name.replace("_", " ")))
