"""Rows with a right digest that no training wrote, and files that are a store no more: named, and healed by a run."""

import dataclasses
import io
import re
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from qmoe.data.tables.kept import kept_table
from qmoe.errors import QMoEError, StateWarning, StoreError
from qmoe.studies import Store, parse_study, run_studies
from qmoe.studies.boundary_measures import measure_boundaries, missing_boundaries
from qmoe.studies.store.trial_rows import packed
from qmoe.studies.store.trial_table import TrialTable
from tiny_study import tiny_values


@pytest.fixture
def path(tmp_path, tiny):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
    return path


def numbers(store):
    records = store.load("tiny").records
    return {key: (record.metrics, record.history, record.state) for key, record in records.items()}


def forge(path, change):
    """Changes the first row of the quantum arm and gives it the digest that fits."""
    with closing(sqlite3.connect(path)) as db, db:
        table = TrialTable(db)
        keys = [key for (key,) in db.execute("SELECT hash FROM trials")]
        rows = sorted((row for row, _ in table.rows(keys)), key=lambda row: row.hash)
        row = next(one for one in rows if '"kind":"quantum"' in one.frame)
        other = next(one for one in rows if '"kind":"quantum"' not in one.frame)
        table.put(change(row, other))
    return row.hash


def figures(**values):
    return lambda row, _: dataclasses.replace(row, figures=row.figures | values)


def ran(**values):
    return lambda row, _: dataclasses.replace(row, execution=dataclasses.replace(row.execution, **values))


def columns(**values):
    return lambda row, _: dataclasses.replace(row, **values)


def history(**values):
    names, content = packed({"loss": [0.1, 0.1], "running_accuracy": [0.5, 0.5]} | values)
    return columns(names=names, history=content)


def weights_of_another(row, other):
    return dataclasses.replace(row, header=other.header, weights=other.weights)


def no_accuracy(row, _):
    kept = {name: value for name, value in row.figures.items() if name != "test_accuracy"}
    return dataclasses.replace(row, figures=kept)


QUICK = {
    "infinite": (figures(loss=np.inf), "'loss' = inf"),
    "half a parameter": (figures(parameters=2.5), r"'parameters' = 2\.5"),
    "no accuracy": (no_accuracy, "it lacks test_accuracy"),
    "no figures": (columns(figures={}), "it lacks chance, loss"),
    "failed with figures": (columns(error="x", failure="error"), "failure = 'error' with"),
    "seconds": (ran(seconds=-1.0), r"-1\.0 seconds"),
    "threads": (ran(threads=0), "on 0 threads"),
    "attempts": (columns(attempts=-5), "tried -5 times"),
    "last losses": (columns(recent=np.full(4, np.nan, "<f4").tobytes()), "last losses"),
    "nested": (columns(frame="[" * 100_000), "cannot be read|another trial"),
}
WHOLE = {
    "too long": (history(loss=[0.1] * 3, running_accuracy=[0.5] * 3), "over 3 epochs"),
    "not finite": (history(loss=[0.1, np.nan]), "history of loss, running_accuracy cannot be"),
    "shares": (history(running_accuracy=[0.5, 7.0]), "history of loss, running_accuracy cannot be"),
    "names": (columns(names="7"), "no list"),
    "weights of another": (weights_of_another, "of its model"),
    "weights that are none": (columns(header="none", weights=b"none"), "weights cannot be read"),
}


@pytest.mark.parametrize(("change", "words"), [*QUICK.values(), *WHOLE.values()], ids=[*QUICK, *WHOLE])
def test_a_row_that_no_training_wrote_is_named_by_a_check_and_trained_again(change, words, path, tiny):
    with Store(path) as store:
        before = numbers(store)
    key = forge(path, change)
    with Store(path) as store:
        assert re.search(words, store.damaged()[key])
        assert run_studies([tiny], store).ran == 1
        assert numbers(store) == before
        assert store.damaged() == {}


@pytest.mark.parametrize(("change", "words"), QUICK.values(), ids=QUICK)
def test_a_report_reads_no_figure_of_such_a_row(change, words, path):
    forge(path, change)
    with Store(path, create=False) as store, pytest.warns(StateWarning, match=words):
        assert store.load("tiny").n_missing == 1


@pytest.mark.parametrize("suffix", ["lock", "holder"])
def test_a_folder_where_the_lock_stands_is_told(suffix, path):
    place = path.with_name(f"{path.name}.{suffix}")
    place.unlink(missing_ok=True)
    place.mkdir()
    with pytest.raises(StoreError, match="is no regular file; remove it"), Store(path) as store, store.alone():
        raise AssertionError("locked")


def test_a_kept_table_that_is_not_as_it_was_written_is_kept_anew(tmp_path):
    file, path = tmp_path / "points.csv", tmp_path / "s.sqlite"
    rng = np.random.default_rng(0)
    file.write_text(
        "x,y,side\n" + "".join(f"{x:.3f},{y:.3f},{'ab'[int(x > 0)]}\n" for x, y in rng.normal(size=(40, 2)))
    )
    data = {"name": "table", "options": {"path": str(file), "target": "side"}, "scaling": "minmax_pi"}
    study = parse_study(tiny_values(data=data))
    with Store(path) as store:
        run_studies([study], store)
        before = numbers(store)
    with closing(sqlite3.connect(path)) as db, db:
        (content,) = db.execute("SELECT content FROM kept_tables").fetchone()
        with np.load(io.BytesIO(content)) as found:
            arrays = dict(found) | {"y": 1 - found["y"]}
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)
        db.execute("UPDATE kept_tables SET content = ?", (out.getvalue(),))
        db.execute("DELETE FROM trials WHERE hash = (SELECT min(hash) FROM trials)")
    kept_table.cache_clear()
    with Store(path, create=False) as store, pytest.raises(QMoEError, match="not as it was written"):
        store.load("tiny")
    kept_table.cache_clear()
    with Store(path) as store:
        assert run_studies([study], store).ran == 1
        assert numbers(store) == before


def test_a_table_whose_first_page_is_gone_is_given_up_and_the_others_are_saved(path, tiny):
    with Store(path) as store:
        before = numbers(store)
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'measurements'").fetchone()
    content = bytearray(path.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = bytes(4096)
    path.write_bytes(content)
    with pytest.warns(StateWarning, match="12 trials"):
        store = Store(path)
    with store:
        assert run_studies([tiny], store).ran == 0
        assert numbers(store) == before


def test_each_measurement_of_boundaries_that_is_damaged_is_taken_again(tmp_path, tiny):
    study = tiny.resized(6).model_copy(update={"boundaries": ("quantum", "linear")})
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([study], store)
        measure_boundaries(study, study.boundaries, store)
        before = store.measurements()
        assert missing_boundaries([study], store) == []
    with closing(sqlite3.connect(path)) as db:
        keys = [key for (key,) in db.execute("SELECT hash FROM measurements")]
    assert len(keys) == 4
    for key in keys:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE measurements SET figures = '[0.5]' WHERE hash = ?", (key,))
        with Store(path) as store:
            ((_, arms),) = missing_boundaries([study], store)
            measure_boundaries(study, arms, store)
            after = store.measurements()
        for quantity, named in before.items():
            for name, values in named.items():
                np.testing.assert_array_equal(after[quantity][name], values)


def test_a_measurement_whose_own_hash_is_damaged_is_taken_again(tmp_path):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.save_measurement("0123456789abcdef", "quantity", "name", [1.0, 2.0])
    content = bytearray(path.read_bytes())
    at = content.index(b"0123456789abcdefquantity")  # in the row; the index has it once more
    content[at] ^= 1
    path.write_bytes(content)
    with Store(path) as store:
        assert not store.has_measurement("0123456789abcdef")
        store.save_measurement("0123456789abcdef", "quantity", "name", [1.0, 2.0])
        assert store.measurements()["quantity"]["name"].tolist() == [1.0, 2.0]


def test_words_of_sqlite_that_are_no_text_are_told(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE members (x' WHERE name = 'members'")
        db.execute("UPDATE sqlite_master SET name = CAST(x'6df3' AS TEXT) WHERE name = 'members'")
        db.commit()
    with pytest.raises(StoreError, match="is damaged"):
        Store(path, create=False)
