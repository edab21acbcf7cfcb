"""Fixtures of the tests of studies."""

import pytest
from tiny_study import tiny_values

from qmoe.studies import parse_study


@pytest.fixture
def tiny():
    return parse_study(tiny_values())
