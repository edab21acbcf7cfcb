"""Files that nobody would write give a result or an error that qmoe explains; the long run is `endurance.fuzzing.fuzz`."""

import random
import tomllib

import pytest
from endurance.asks import POSSIBLE, asks
from endurance.fuzzing import as_toml, fuzz, read_and_plan_all

from endurance import fuzzing
from qmoe.errors import ConfigError, QMoEError
from qmoe.studies import preset_names, preset_text


def test_mutated_files_and_tables_give_a_result_or_an_error(monkeypatch):
    monkeypatch.setattr(fuzzing, "asks", lambda: ())
    found = fuzz(n_files=150, n_tables=200, seed=7)
    for kind, n in (("files", 150), ("tables", 200)):
        assert found[kind]["faults"] == []
        assert found[kind]["results"] + found[kind]["errors"] == n
    # Whoever mutates too much tests the reader of TOML alone.
    assert found["files"]["results"] >= 10
    assert found["tables"]["results"] >= 20


def test_a_fault_is_seen(monkeypatch):
    monkeypatch.setattr(fuzzing, "load_claims", lambda path: 1 / 0)
    monkeypatch.setattr(fuzzing, "asks", lambda: ())
    found = fuzz(n_files=4, n_tables=0, seed=0)
    assert ["ZeroDivisionError" in fault["fault"] for fault in found["files"]["faults"]] == [True]


def test_a_hang_is_seen(monkeypatch):
    def wait(path):
        while True:
            pass

    monkeypatch.setattr(fuzzing, "PATIENCE", 0.05)
    monkeypatch.setattr(fuzzing, "load_claims", wait)
    monkeypatch.setattr(fuzzing, "asks", lambda: ())
    faults = fuzz(n_files=4, n_tables=0, seed=0)["files"]["faults"]
    assert any("took longer than 0.05 s" in fault["fault"] for fault in faults)


@pytest.mark.parametrize("name", preset_names())
def test_tables_are_written_as_toml_reads_them(name):
    values = tomllib.loads(preset_text(name))
    assert tomllib.loads(as_toml(values)) == values


def test_a_seed_decides_the_files():
    one, other = (fuzzing._mutated(random.Random(3), preset_text("phase2-heldout")) for _ in range(2))
    assert one == other


_IMPOSSIBLE = [pair for pair in asks() if "ladder" not in pair[0] and not pair[0].startswith(POSSIBLE)]


@pytest.mark.parametrize(("words", "values"), _IMPOSSIBLE, ids=[words[:60] for words, _ in _IMPOSSIBLE])
@pytest.mark.filterwarnings("ignore::qmoe.errors.PerformanceWarning")
def test_an_impossible_ask_is_refused(words, values, tmp_path):
    path = tmp_path / "ask.toml"
    path.write_text(as_toml(values), "utf-8")
    with pytest.raises(QMoEError) as caught:
        read_and_plan_all(path)
    assert isinstance(caught.value, ConfigError) or "ower" in str(caught.value)
