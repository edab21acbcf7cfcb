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


@pytest.fixture
def undrawn(monkeypatch):
    """Reports are built without drawing their figures, which is most of the work; each picture is an empty element.

    For tests of anything but pictures, in this process alone. The figures themselves are built as ever.
    """
    monkeypatch.setattr("qmoe.report.pictures.all_pictures._draw", lambda picture: (picture.panel.name, "<svg></svg>"))
