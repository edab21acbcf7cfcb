"""The data sets of "Better than classical?" (Bowles, Ahmed and Schuld 2024), with the seeds of their scripts.

``QmlTwoCurves(n_features=10).published()`` has the rows and the split of the published experiments.
"""

from qmoe.data.qml_benchmarks.qml_families import (
    QmlBarsAndStripes,
    QmlHiddenManifold,
    QmlHiddenManifoldDiff,
    QmlHyperplanesDiff,
    QmlLinearlySeparable,
    QmlTwoCurves,
    QmlTwoCurvesDiff,
)
from qmoe.data.qml_benchmarks.scripted_sets import ScriptedSet

QML_BENCHMARKS: tuple[type[ScriptedSet], ...] = (
    QmlLinearlySeparable,
    QmlHiddenManifold,
    QmlHiddenManifoldDiff,
    QmlHyperplanesDiff,
    QmlTwoCurves,
    QmlTwoCurvesDiff,
    QmlBarsAndStripes,
)
"""The data sets of the benchmark, in the order of its paper."""

__all__ = [
    "QML_BENCHMARKS",
    "QmlBarsAndStripes",
    "QmlHiddenManifold",
    "QmlHiddenManifoldDiff",
    "QmlHyperplanesDiff",
    "QmlLinearlySeparable",
    "QmlTwoCurves",
    "QmlTwoCurvesDiff",
    "ScriptedSet",
]
