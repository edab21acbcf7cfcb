"""Mixtures of experts as scikit-learn estimators."""

from qmoe.estimators.circuit_options import CircuitOptions
from qmoe.estimators.classifier import QMoEClassifier
from qmoe.estimators.regressor import QMoERegressor

__all__ = ["CircuitOptions", "QMoEClassifier", "QMoERegressor"]
