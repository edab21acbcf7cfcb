"""The campaigns against studies: small ones of each, and the committed record."""

import json
import random
import sqlite3
from contextlib import closing
from dataclasses import asdict

import pytest
from endurance.damages import Damaged, is_part, one
from endurance.deliberate_damages import DELIBERATE
from endurance.kills import Round
from endurance.poison import Poisoned
from endurance.random_damages import RANDOM, flip_a_bit
from endurance.sample import Sample, Told, run_again, settled, tell

from endurance import __main__ as command
from endurance import record


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    return Sample(tmp_path_factory.mktemp("sample"))


def break_a_row(path, rng):
    del rng
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE trials SET loss = loss + 1 WHERE hash = (SELECT min(hash) FROM trials)")
    return "a loss of one more"


def test_a_store_tells_the_same_twice_and_after_running_again(sample, tmp_path):
    store = sample.copy(tmp_path / "copy")
    assert tell(store) == sample.told
    run_again(sample.studies, store)
    assert tell(store) == sample.told
    assert sample.told.words == ()


def test_a_damaged_row_is_named_and_healed(sample, tmp_path):
    found = one(sample, tmp_path / "one", break_a_row, random.Random(0))
    assert (found.read, found.run, found.is_well) == ("named", "same", True)


def test_a_file_that_is_no_store_is_refused(sample, tmp_path):
    found = one(
        sample, tmp_path / "one", lambda path, _: str(path.write_text("accuracy,0.99\n" * 500)), random.Random(0)
    )
    assert (found.read, found.run) == ("refused", "refused")


def test_wrong_numbers_without_a_word_are_seen(sample, tmp_path, monkeypatch):
    numbers = sample.told.numbers
    wrong = Told(numbers | {"headline": [numbers["headline"][0] | {"mean": 1.0}]}, ())
    fewer = Told(numbers | {"headline": numbers["headline"][:1]}, ())
    assert is_part(fewer, sample.told)
    assert not is_part(wrong, sample.told)
    monkeypatch.setattr("endurance.damages.tell", lambda _: wrong)
    found = one(sample, tmp_path / "one", break_a_row, random.Random(0))
    assert (found.read, found.run, found.is_well) == ("silent", "silent", False)


def test_an_error_of_another_kind_and_the_end_of_a_process_are_seen(sample, tmp_path, monkeypatch):
    monkeypatch.setattr("endurance.damages.tell", lambda _: {}["x"])
    monkeypatch.setattr("endurance.damages.run_again", lambda *_: __import__("os")._exit(7))
    found = one(sample, tmp_path / "one", break_a_row, random.Random(0))
    assert (found.read, found.run, found.is_well) == ("traceback", "crash", False)
    assert "KeyError" in found.words


def test_the_same_seed_damages_alike(sample, tmp_path):
    stores = [sample.copy(tmp_path / name) for name in ("a", "b")]
    assert flip_a_bit(stores[0], random.Random(3)) == flip_a_bit(stores[1], random.Random(3))
    one, other = (store.read_bytes() for store in stores)
    assert one == other != sample.store.read_bytes()


def test_there_are_at_least_50_deliberate_damages_each_of_its_own_name():
    names = [damage.__name__ for damage in DELIBERATE]
    assert len(names) == len(set(names)) >= 50
    assert sum(RANDOM.values()) == 40


def test_numbers_that_training_gives_again_have_no_times(sample):
    kept = json.dumps(settled(sample.told))
    assert "test_accuracy" in kept
    assert "finished_at" not in kept


def test_rounds_and_poisons_say_whether_they_are_well():
    calm = Round("local", 5, 3, True, 0, 0, 0)
    assert calm.is_well
    assert not any(Round(**asdict(calm) | {key: 1}).is_well for key in ("lost", "repeated", "left_over"))
    assert not Round(**asdict(calm) | {"equal": False}).is_well
    bad = Poisoned("local", "nan", 3, 499, 1, 1, "diverged", "NaN", True)
    assert bad.is_well
    for change in ({"status": 0}, {"done": 498}, {"told": 0}, {"failure": "error"}, {"equal": False}):
        assert not Poisoned(**asdict(bad) | change).is_well


def test_the_record_says_what_is_wrong_in_words(tmp_path):
    damaged = Damaged("a bit", "bit 3", "silent", "same", "")
    found = {
        "kills": {
            "rounds": [asdict(Round("local", 5, 3, True, 1, 0, 0))],
            "worker_kills_that_ended_a_run": 1,
            "trials": 80,
            "kills": {"local": {"both": 5}},
        },
        "damages": {"random": record._summed([damaged])},
        "poison": {"trials": 500, "runs": [asdict(Poisoned("local", "", 1, 0, 0, 0, None, "", True))]},
        "workers": {"speedup": 1.2, "overhead": 0.2, "runs": [{}, {}], "trials": 9, "cores": 2},
    }
    words = " ".join(record.faults(found))
    for part in ("kills with local", "1 kills of workers", "a bit: silent, then same", "poison none", "1.2 times"):
        assert part in words
    assert record.table(found).count("\n") == 6


def test_the_command_refuses_to_commit_a_quick_check(capsys):
    with pytest.raises(SystemExit):
        command.main(["kills", "--write", "--quick"])
    assert "drop --quick" in capsys.readouterr().err


def test_the_page_shows_the_committed_record_which_has_no_fault():
    found = record.load_record()
    assert record.faults(found) == []
    assert record.table(found) in command.PAGE.read_text(encoding="utf-8")
