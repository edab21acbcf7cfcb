"""Times of twins beside their routers."""

from benchmarks.cli import app
from benchmarks.twins import BATCHES, QUBITS, TRAINED, EpochTimes, TwinTimes, text
from typer.testing import CliRunner


def test_a_line_says_both_times_and_their_ratio() -> None:
    one = TwinTimes(4, 32, (100e-6, 50e-6), (200e-6, 180e-6))
    assert text(one) == "4 qubits, batch 32: forward 100 us, twin 0.50 of it; step 200 us, twin 0.90 of it"


def test_an_epoch_says_what_is_in_front() -> None:
    without, behind = (EpochTimes(4, n, (200e-6, 300e-6)) for n in (4, 6))
    assert text(without) == "4 qubits: epoch of 400 rows 200 us, twin 1.50 of it"
    assert text(behind) == "4 qubits behind a map of 6 features: epoch of 400 rows 200 us, twin 1.50 of it"


def test_the_command_prints_a_line_for_each_size(monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda n: None)
    done = CliRunner().invoke(app, ["twins", "--seconds", "0.01"])
    assert done.exit_code == 0, done.output
    assert len(done.output.splitlines()) == len(QUBITS) * len(BATCHES) + len(TRAINED)
