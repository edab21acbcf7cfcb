"""Settings of every test."""

import pytest
import torch

from qmoe.studies import parse_study
from tiny_study import tiny_values


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Tests run side by side in several processes; more threads than cores make all of them slow.
    torch.set_num_threads(1)


@pytest.fixture
def tiny():
    """A study that trains in a moment."""
    return parse_study(tiny_values())
