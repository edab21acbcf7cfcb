"""What qmoe tests itself with, public so that you can test your own engines and routers.

Subclass `EngineConformance` or `RouterConformance` in a test module and pytest collects its inherited tests.
The functions that draw circuits, inputs and channels need no pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qmoe.testing.random_circuits import random_circuit, random_inputs
from qmoe.testing.random_noise import random_channel, random_placed
from qmoe.testing.random_operations import random_operations

if TYPE_CHECKING:
    from qmoe.testing.engine_suite import EngineConformance
    from qmoe.testing.router_suite import RouterConformance

__all__ = [
    "EngineConformance",
    "RouterConformance",
    "random_channel",
    "random_circuit",
    "random_inputs",
    "random_operations",
    "random_placed",
]


def __getattr__(name: str) -> Any:
    # The conformance suites import pytest, which users of random_circuit need not have.
    if name == "EngineConformance":
        from qmoe.testing.engine_suite import EngineConformance

        return EngineConformance
    if name == "RouterConformance":
        from qmoe.testing.router_suite import RouterConformance

        return RouterConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
