"""Results belong to the content of files, and stay readable without them."""

import json
import os
import shutil
import sqlite3

import numpy as np
import pytest

from qmoe.data import UserTable
from qmoe.errors import ConfigError, StoreError
from qmoe.report import build_report, read_store
from qmoe.studies import LocalProcesses, Store, TrialSpec, load_study, make_trials, parse_study, run_studies
from qmoe.studies.store.digests import of_study
from tiny_study import tiny_values
from user_tables import table_values, write_table

TOML = """
name = "mine"
title = "Mine"
phase = "own"
protocol = "heldout"
data = { name = "table", options = { path = "data.csv", target = "side" }, scaling = "minmax_pi" }
seeds = { data = 2, per_data = 1 }
training = { epochs = 2, batch_size = 16 }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
"""


def hashes(study):
    return [member.trial.hash for member in make_trials(study)]


def test_the_digest_is_filled_in_when_a_study_is_read(tmp_path):
    path = write_table(tmp_path / "data.csv")
    study = parse_study(table_values(path))
    assert study.data.options["digest"] == UserTable(path, "side").digest
    assert hashes(study) == hashes(parse_study(table_values(path, options={"digest": study.data.options["digest"]})))
    trial = make_trials(study)[0].trial
    assert TrialSpec.from_json(trial.canonical).hash == trial.hash


@pytest.mark.parametrize("change", ["labels", "features", "order", "one more row"])
def test_other_content_is_other_trials(tmp_path, change):
    path = write_table(tmp_path / "data.csv")
    before = hashes(parse_study(table_values(path)))
    header, *lines = path.read_text().split("\n")
    other = {
        "labels": [line[:-1] + "ba"["ab".index(line[-1])] for line in lines],
        "features": ["0.123456" + line[8:] for line in lines],
        "order": lines[::-1],
        "one more row": [*lines, "0.5,0.25,a"],
    }[change]
    path.write_text("\n".join([header, *other]))
    assert set(hashes(parse_study(table_values(path)))).isdisjoint(before)


def test_the_same_content_is_the_same_trials_wherever_it_lies(tmp_path, monkeypatch):
    here, there = (write_table(tmp_path / folder / "data.csv") for folder in ("here", "there"))
    assert hashes(parse_study(table_values(here))) == hashes(parse_study(table_values(there)))
    monkeypatch.chdir(tmp_path / "here")
    assert hashes(parse_study(table_values("data.csv"))) == hashes(parse_study(table_values(there)))
    both = [parse_study(table_values(here)), parse_study(table_values(there, name="other"))]
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies(both, store).ran == 2


def test_one_relative_path_in_two_folders_shares_nothing(tmp_path):
    for seed, folder in enumerate(("one", "two")):
        write_table(tmp_path / folder / "data.csv", seed)
        (tmp_path / folder / "mine.toml").write_text(TOML)
    one, two = (load_study(tmp_path / folder / "mine.toml") for folder in ("one", "two"))
    assert set(hashes(one)).isdisjoint(hashes(two))


def test_changed_labels_train_anew_and_more_seeds_do_not_mix(tmp_path):
    path = write_table(tmp_path / "data.csv")
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([parse_study(table_values(path))], store).ran == 2
        write_table(path, labels=["a", "b"] * 20)
        changed = parse_study(table_values(path)).resized(3)
        assert run_studies([changed], store).ran == 3
        assert len(store.load("tiny").records) == 3


def test_a_file_that_changes_between_reading_and_training_is_refused(tmp_path):
    path = write_table(tmp_path / "data.csv")
    study = parse_study(table_values(path))
    write_table(path, seed=1)
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(ConfigError, match="the file has changed since"):
        run_studies([study], store)


def test_options_that_decide_the_features_are_part_of_the_identity(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("id,x,side\n" + "".join(f"{i},{i * i % 7},{'ab'[i % 2]}\n" for i in range(40)))
    other = tmp_path / "other.csv"
    other.write_text(path.read_text().replace("id,x", "minutes,x"))
    one, two = (parse_study(table_values(p, options={"keep": [n]})) for p, n in ((path, "id"), (other, "minutes")))
    assert set(hashes(one)).isdisjoint(hashes(two))


def finished(tmp_path, *studies):
    path = tmp_path / "out" / "store.sqlite"
    with Store(path) as store:
        run_studies(studies, store)
    return path


@pytest.mark.parametrize("fate", ["gone", "changed", "no table any more"])
def test_a_report_needs_the_store_alone(tmp_path, fate):
    table = write_table(tmp_path / "data" / "data.csv")
    store = finished(tmp_path, parse_study(table_values(table)))
    with Store(store) as opened:
        before = opened.load("tiny")
    build_report(store, tmp_path / "before")
    {
        "gone": lambda: shutil.rmtree(table.parent),
        "changed": lambda: write_table(table, seed=5),
        "no table any more": lambda: table.write_text("lorem ipsum"),
    }[fate]()
    moved = shutil.copy(store, tmp_path / "moved.sqlite")
    with Store(moved) as opened:
        after = opened.load("tiny")
    assert after.records.keys() == before.records.keys()
    assert after.n_missing == 0
    page = build_report(moved, tmp_path / "after").read_text(encoding="utf-8")
    assert page == (tmp_path / "before" / "report.html").read_text(encoding="utf-8")
    assert "tiny-first-linear" in page  # the boundary over the points, which are in the store


def test_training_goes_on_from_the_store_in_workers_of_their_own(tmp_path):
    table = write_table(tmp_path / "data.csv")
    study = parse_study(table_values(table))
    path = finished(tmp_path, study)
    with Store(path) as store:
        kept = store.at_hand(study)
        os.remove(table)
        assert kept.data.options["path"] == str(path.resolve())
        assert hashes(kept) == hashes(study)
        with LocalProcesses(2) as pool:
            assert run_studies([kept.resized(4)], store, pool).ran == 2


@pytest.mark.parametrize("damage", ["data gone", "no such value", "no JSON", "no data"])
@pytest.mark.usefixtures("undrawn")
def test_one_study_that_cannot_be_read_does_not_take_the_others_along(tmp_path, damage):
    table = write_table(tmp_path / "data.csv")
    good = parse_study(tiny_values(name="good", arms=tiny_values()["arms"][:1]))
    path = finished(tmp_path, good, parse_study(table_values(table)))
    with sqlite3.connect(path) as db:
        spec = json.loads(db.execute("SELECT spec FROM studies WHERE name = 'tiny'").fetchone()[0])
        if damage == "data gone":  # as in a store from before tables were kept
            db.execute("DELETE FROM kept_tables")
            os.remove(table)
        text = {"data gone": json.dumps(spec), "no such value": json.dumps(spec | {"seeds": "many"}), "no JSON": "{",
                "no data": json.dumps({"name": "tiny"})}[damage]  # fmt: skip
        db.execute("UPDATE studies SET spec = ?, digest = ? WHERE name = 'tiny'", (text, of_study("tiny", text)))
    db.close()
    contents = read_store(path)
    assert [results.study.name for results in contents.results] == ["good"]
    assert [name for name, _ in contents.unreadable] == ["tiny"]
    page = build_report(contents, tmp_path / "page").read_text(encoding="utf-8")
    assert "The study tiny cannot be read and is left out" in page
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM studies WHERE name = 'good'")
    db.close()
    with pytest.raises(StoreError, match="has no study that can be read"):
        read_store(path)


def test_a_store_without_the_table_says_so(tmp_path):
    path = finished(tmp_path, parse_study(tiny_values(arms=tiny_values()["arms"][:1])))
    with pytest.raises(ConfigError, match="cannot be read as a store"):
        UserTable(path, "side", "0" * 16)
    table = write_table(tmp_path / "data.csv")
    with Store(path) as store:
        store.save_study(parse_study(table_values(table)))
    with pytest.raises(ConfigError, match="does not keep the table"):
        UserTable(path, "side", "0" * 16)
    kept = UserTable(path, "side", UserTable(table, "side").digest)
    np.testing.assert_array_equal(kept.sample(0).x, UserTable(table, "side").sample(0).x)
    assert kept.classes == ("a", "b")
