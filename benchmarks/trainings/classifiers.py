"""Whole fits: the classifier of qmoe beside a small network of scikit-learn, on the points of the trainings."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.trainings.task import N_FRESH, N_POINTS, SPREAD
from qmoe import QMoEClassifier

#: What is called -> how it is made from a seed; qmoe's first.
CLASSIFIERS: Mapping[str, Callable[[int], Any]] = {
    "QMoEClassifier()": lambda seed: QMoEClassifier(random_state=seed),
    "MLPClassifier()": lambda seed: MLPClassifier(random_state=seed),
    "MLPClassifier(hidden_layer_sizes=(16,), batch_size=32, max_iter=50)": lambda seed: MLPClassifier(
        hidden_layer_sizes=(16,), batch_size=32, max_iter=50, random_state=seed
    ),
}


def fit_once(title: str, seed: int) -> dict[str, float]:
    """Seconds of a fit from a seed, which draws the points too, and the accuracy on fresh points."""
    x, y = make_moons(N_POINTS, noise=SPREAD, random_state=seed)
    fresh_x, fresh_y = make_moons(N_FRESH, noise=SPREAD, random_state=10_000 + seed)
    classifier = CLASSIFIERS[title](seed)
    with warnings.catch_warnings():
        # That it would go on after its last pass is no news: the passes are what was asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        begin = time.perf_counter()
        classifier.fit(x, y)
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "accuracy": float(classifier.score(fresh_x, fresh_y))}
