"""Times of trajectories beside density matrices."""

from benchmarks.cli import app
from benchmarks.trajectories import TrajectoryTimes, noises, text
from typer.testing import CliRunner


def test_a_line_says_accuracy_and_times() -> None:
    one = TrajectoryTimes("flips", 8, 64, 0.004, 2.5, 2e-3, 8e-3, ("torch", 0.4, 1.2), None, 1.5)
    assert text(one) == (
        "8 qubits, flips: 64 trajectories, standard error 0.004; forward 2 ms, step 8 ms; density matrix (torch) forward "
        "400 ms, step 1.2 s; 2.5 standard errors apart; qiskit-aer, as many trajectories, forward 1.5 s"
    )


def test_the_command_prints_a_line_for_each_size_and_noise(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda n: None)
    monkeypatch.setattr("benchmarks.trajectories._best", lambda run, seconds=3.0: 0.001 + 0 * bool(run()))
    done = CliRunner().invoke(app, ["trajectories", "--quick"])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == 2 * len(noises())
    assert "density matrix (native)" in done.output
