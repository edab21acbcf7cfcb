from collections.abc import Iterator

import pytest

from qmoe.engines.native.plan import batch_plan as plans
from qmoe.engines.native.run import simulations as running


@pytest.fixture
def fresh_plans() -> Iterator[None]:
    """No plan from before is used in the test, and none of the test's after it: for tests that move a threshold."""
    for cache in (plans.make_plan, running.simulation):
        cache.cache_clear()
    yield
    for cache in (plans.make_plan, running.simulation):
        cache.cache_clear()
