from collections.abc import Iterator

import pytest

from qmoe.engines.native.run.prepared_circuits import prepare


@pytest.fixture
def fresh_plans() -> Iterator[None]:
    """No plan from before is used in the test, and none of the test's after it: for tests that move a threshold."""
    prepare.cache_clear()
    yield
    prepare.cache_clear()
