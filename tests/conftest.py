"""Settings of every test."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    # Tests run side by side in several processes; more threads than cores make all of them slow.
    torch.set_num_threads(1)
