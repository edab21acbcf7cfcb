import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from qmoe.engines.native.plan import batch_plan as plans
from qmoe.engines.native.run import simulations as running


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Runs code in a fresh interpreter and returns what it prints."""

    def run(code: str) -> str:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


@pytest.fixture
def fresh_plans() -> Iterator[None]:
    """No plan from before is used in the test, and none of the test's after it: for tests that move a threshold."""
    for cache in (plans.make_plan, running.simulation):
        cache.cache_clear()
    yield
    for cache in (plans.make_plan, running.simulation):
        cache.cache_clear()
