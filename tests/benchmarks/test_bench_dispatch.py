"""Steps with sparse and dense dispatch."""

import pytest
import torch
from benchmarks.cli import app
from typer.testing import CliRunner

from benchmarks import dispatch


def test_a_line_says_the_times_and_their_ratio() -> None:
    found = dispatch.Dispatched(dispatch.Mixture("mlp", 64, 8, 2, 1024), 0.02, 0.005, 0.004)
    assert dispatch.text(found) == (
        "mlp      F=64   E=8   K=2  batch 1024  dense    20.00 ms  sparse     5.00 ms    4.0 x  balanced     4.00 ms"
    )


def test_the_command_times_every_size(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda n: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    sizes = (dispatch.Mixture("mlp", 2, 4, 1, 8), dispatch.Mixture("quantum", 2, 4, 2, 8))
    monkeypatch.setattr(dispatch, "SIZES", sizes)
    done = CliRunner().invoke(app, ["dispatch", "--rounds", "3"])
    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.output.splitlines()] == ["mlp", "quantum"]


def test_ways_that_compute_something_else_are_found() -> None:
    mixture, one = dispatch.Mixture("mlp", 2, 4, 1, 8), [torch.ones(3)]
    dispatch.compare(mixture, one, [torch.ones(3) + 1e-6])
    for wrong in (1.1, float("nan")):
        with pytest.raises(dispatch.UnequalError, match="differ by up to"):
            dispatch.compare(mixture, one, [torch.full((3,), wrong)])
