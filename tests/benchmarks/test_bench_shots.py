"""Training steps with shots beside PennyLane's."""

import pytest
import torch
from benchmarks.cli import app
from typer.testing import CliRunner

from benchmarks import shots


def test_lines_say_the_times_and_their_ratios() -> None:
    steps = shots.Steps(2, 32, 1000, 1184, {"qmoe": 0.002, "other": 0.4}, {"qmoe": 0.1, "other": 0.02})
    assert shots.text(steps) == [
        "2 qubits, batch 32, 1000 shots: 1,184 circuits a step",
        "  qmoe                               2.00 ms      1.0 x  (spread 10%)",
        "  other                            400.00 ms    200.0 x  (spread 2%)",
    ]


def test_the_command_times_every_contender(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda n: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(shots, "SIZES", ((2, 2, 20),))
    monkeypatch.setattr(shots, "LAYERS", 1)
    done = CliRunner().invoke(app, ["shots", "--rounds", "3"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"2 qubits, batch 2, 20 shots: {2 * (1 + 2 * 6)} circuits a step"
    assert [line.split("  ")[1] for line in lines[1:]] == [
        "qmoe",
        "PennyLane default.qubit",
        "PennyLane lightning.qubit",
    ]


def test_a_contender_that_computes_something_else_is_found() -> None:
    exact = torch.tensor([[0.5, 1.0]])
    shots._check("same", exact, torch.tensor([[0.55, 1.0]]), 1000)
    with pytest.raises(shots.BiasedError, match=r"other is off by up to 0\.1 "):
        shots._check("other", exact, torch.tensor([[0.5, 0.9]]), 1000)
