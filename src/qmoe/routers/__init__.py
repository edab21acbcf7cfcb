"""Routers: features in, routing weights out."""

from qmoe.routers.base import Router, require_router
from qmoe.routers.classical import LinearRouter, MLPRouter
from qmoe.routers.controls import UniformRouter
from qmoe.routers.features import FeatureRouter
from qmoe.routers.quantum import QuantumRouter

__all__ = ["FeatureRouter", "LinearRouter", "MLPRouter", "QuantumRouter", "Router", "UniformRouter", "require_router"]
