"""Several stores made one: every trial once, nothing lost, doubled or mixed up."""

import dataclasses
import sqlite3
import struct

import pytest

from qmoe.data import UserTable
from qmoe.errors import ConfigError, StoreError
from qmoe.studies import Store, make_trials, parse_study, run_stack, run_studies
from qmoe.studies.run.stack_run import failed
from qmoe.studies.store import merge_stores, merging
from qmoe.studies.store.trial_table import TrialTable
from tiny_study import tiny_values
from user_tables import write_table


def trials_of(study):
    return [member.trial for member in make_trials(study)]


def filled(path, study, records=(), measured=()):
    """A store with a study and some records."""
    with Store(path) as store:
        store.save_study(study)
        store.save(records)
        for row in measured:
            store.save_measurement(*row)
    return path


@pytest.fixture
def halves(tmp_path, tiny):
    """Two stores with half of the trials of a study each, two of them in both."""
    trials = trials_of(tiny)
    (tmp_path / "a").mkdir()
    first = filled(tmp_path / "a" / "store.sqlite", tiny, run_stack(tuple(trials[:6])))
    second = filled(tmp_path / "b.sqlite", tiny, [*run_stack(tuple(trials[4:6])), *run_stack(tuple(trials[6:]))])
    return first, second


def content(path):
    """All that is in a store, but for the order of rows where that means nothing."""
    with sqlite3.connect(path) as db:
        tables = sorted(row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
        found = {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in tables}
    db.close()
    return found


def results_of(path, name="tiny"):
    with Store(path, create=False) as store:
        return {h: (r.metrics, r.history, r.state, r.error) for h, r in store.load(name).records.items()}


def test_halves_make_the_whole(halves, tmp_path, tiny):
    with Store(tmp_path / "whole.sqlite") as store:
        run_studies([tiny], store)
    before = [path.read_bytes() for path in halves]
    done = merge_stores(halves, tmp_path / "c.sqlite")
    assert results_of(tmp_path / "c.sqlite") == results_of(tmp_path / "whole.sqlite")
    assert (done.trials, done.studies, done.damaged) == (12, ("tiny",), {})
    assert done.taken == {halves[0]: 6, halves[1]: 6}
    assert [path.read_bytes() for path in halves] == before
    with Store(tmp_path / "c.sqlite") as store:
        assert run_studies([tiny], store).ran == 0


def test_merged_again_nothing_changes_and_a_source_may_be_the_target(halves, tmp_path):
    target = tmp_path / "c.sqlite"
    merge_stores(halves, target)
    once = content(target)
    assert merge_stores(halves, target).taken == {}
    assert merge_stores([target, *halves], target).taken == {}
    assert content(target) == once
    assert merge_stores(halves, halves[0]).taken == {halves[1]: 6}
    assert results_of(halves[0]) == results_of(target)


def test_an_interrupted_merge_leaves_what_there_was(halves, tmp_path, monkeypatch):
    target = filled(tmp_path / "c.sqlite", parse_study(tiny_values(name="other")))
    before = content(target)

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(merging, "_write_study", interrupted)
    with pytest.raises(KeyboardInterrupt):
        merge_stores(halves, target)
    assert content(target) == before
    monkeypatch.undo()
    assert merge_stores(halves, target).studies == ("other", "tiny")


def test_done_wins_over_failed_wherever_it_is(tmp_path, tiny):
    trial = trials_of(tiny)[0]
    bad = filled(tmp_path / "bad.sqlite", tiny, [failed(trial, "died", "SIGKILL")])
    good = filled(tmp_path / "good.sqlite", tiny, run_stack((trial,)))
    for number, sources in enumerate(([bad, good], [good, bad])):
        merge_stores(sources, tmp_path / f"{number}.sqlite")
        (found,) = results_of(tmp_path / f"{number}.sqlite").values()
        assert found[3] is None
    with Store(bad) as store:
        assert store.failures() == {trial.hash}
    merge_stores([bad, good], tmp_path / "preferred.sqlite", prefer=bad)
    (found,) = results_of(tmp_path / "preferred.sqlite").values()
    assert found[3] is None, "a failure is no result to prefer"


def other_result(trial):
    """A record of a trial as another machine might have it: the last digit of a weight differs."""
    (record,) = run_stack((trial,))
    state = bytearray(record.state)
    (value,) = struct.unpack("<f", state[-4:])
    state[-4:] = struct.pack("<f", value * (1 + 1e-6) + 1e-6)
    return dataclasses.replace(record, state=bytes(state))


def test_different_results_of_one_trial_are_named_and_refused_unless_one_store_is_preferred(tmp_path, tiny):
    trials = trials_of(tiny)
    a = filled(tmp_path / "a.sqlite", tiny, run_stack(tuple(trials[:2])))
    b = filled(tmp_path / "b.sqlite", tiny, [other_result(trials[1]), *run_stack(tuple(trials[2:3]))])
    with pytest.raises(StoreError, match=rf"1 trial has different .*{trials[1].hash} \(.*a\.sqlite and .*--prefer"):
        merge_stores([a, b], tmp_path / "c.sqlite")
    assert not (tmp_path / "c.sqlite").exists()
    for prefer in (a, b):
        target = tmp_path / f"by-{prefer.name}"
        merge_stores([a, b], target, prefer=prefer)
        assert len(results_of(target)) == 3
        assert results_of(target)[trials[1].hash] == results_of(prefer)[trials[1].hash]
    with pytest.raises(ConfigError, match=r"prefer is .*d\.sqlite, expected one of .*a\.sqlite"):
        merge_stores([a, b], tmp_path / "c.sqlite", prefer=tmp_path / "d.sqlite")


def test_where_neither_of_two_that_differ_is_preferred_that_is_refused(tmp_path, tiny):
    trial, *others = trials_of(tiny)
    a = filled(tmp_path / "a.sqlite", tiny, run_stack((trial,)))
    b = filled(tmp_path / "b.sqlite", tiny, [other_result(trial)])
    c = filled(tmp_path / "c.sqlite", tiny, run_stack(tuple(others[:1])))
    with pytest.raises(StoreError, match="different results"):
        merge_stores([a, b, c], tmp_path / "d.sqlite", prefer=c)


def test_when_and_where_a_trial_ran_is_no_result(tmp_path, tiny):
    trial = trials_of(tiny)[0]
    (record,) = run_stack((trial,))
    a = filled(tmp_path / "a.sqlite", tiny, [record])
    other = dataclasses.replace(record.execution, seconds=1e3, threads=8, version="0.0.9")
    b = filled(tmp_path / "b.sqlite", tiny, [dataclasses.replace(record, execution=other)])
    merge_stores([a, b], tmp_path / "c.sqlite")
    with Store(tmp_path / "c.sqlite", create=False) as store:
        assert store.load("tiny").records[trial.hash].execution.seconds == record.execution.seconds


def test_what_keeps_weights_and_history_is_taken_and_to_keep_none_is_no_difference(tmp_path, tiny):
    trial = trials_of(tiny)[0]
    (record,) = run_stack((trial,))
    bare = filled(tmp_path / "bare.sqlite", tiny, [record.without(weights=True, history=True)])
    full = filled(tmp_path / "full.sqlite", tiny, [record])
    for number, sources in enumerate(([bare, full], [full, bare])):
        merge_stores(sources, tmp_path / f"{number}.sqlite")
        (found,) = results_of(tmp_path / f"{number}.sqlite").values()
        assert found == results_of(full)[trial.hash]
    assert merge_stores([full], bare).taken == {full: 1}
    assert merge_stores([bare], full).taken == {}


def test_a_damaged_study_and_measurement_are_left_out(halves, tmp_path, tiny):
    filled(halves[0], tiny, measured=[("1" * 16, "dimension", "x", [1.0, 2.0])])
    with sqlite3.connect(halves[0]) as db:
        db.execute("UPDATE studies SET spec = replace(spec, 'Tiny', 'Tidy')")
        db.execute("UPDATE measurements SET figures = '[9.0]'")
    db.close()
    done = merge_stores(halves, tmp_path / "c.sqlite")
    assert set(done.damaged[halves[0]]) == {"tiny", "1" * 16}
    with Store(tmp_path / "c.sqlite", create=False) as store:
        assert store.load("tiny").study.title == "Tiny"
        assert store.measurements() == {}


def test_a_damaged_row_is_left_out_and_a_whole_one_of_another_store_is_taken(halves, tmp_path, tiny):
    trials = trials_of(tiny)
    with sqlite3.connect(halves[0]) as db:
        for trial in (trials[0], trials[4]):
            db.execute("UPDATE trials SET loss = loss + 1 WHERE hash = ?", (trial.hash,))
    db.close()
    done = merge_stores(halves, tmp_path / "c.sqlite")
    assert list(done.damaged) == [halves[0]]
    assert set(done.damaged[halves[0]]) == {trials[0].hash, trials[4].hash}
    assert set(results_of(tmp_path / "c.sqlite")) == {t.hash for t in trials[1:]}


@pytest.mark.parametrize(
    "changed", [{"title": "Other"}, {"seeds": {"data": 4, "per_data": 2}}, {"training": {"epochs": 3}}]
)
def test_different_studies_of_one_name_are_refused(changed, halves, tmp_path):
    other = filled(tmp_path / "other.sqlite", parse_study(tiny_values(**changed)))
    with pytest.raises(StoreError, match=r"different studies tiny\. Run one of them under another name"):
        merge_stores([*halves, other], tmp_path / "c.sqlite")
    assert not (tmp_path / "c.sqlite").exists()


def test_a_study_of_other_numerics_is_refused(halves, tmp_path, tiny, monkeypatch):
    monkeypatch.setattr("qmoe.studies.trials.NUMERICS", 10_000)
    other = filled(tmp_path / "other.sqlite", parse_study(tiny_values(about="not kept in memory")))
    with sqlite3.connect(other) as db, sqlite3.connect(halves[0]) as first:
        db.execute(
            "UPDATE studies SET spec = ?, digest = ?", first.execute("SELECT spec, digest FROM studies").fetchone()
        )
    first.close()
    db.close()
    with pytest.raises(StoreError, match="versions of qmoe whose numbers differ"):
        merge_stores([halves[0], other], tmp_path / "c.sqlite")


def test_studies_keep_their_order_and_measurements_come_along(tmp_path):
    first, second, third = (parse_study(tiny_values(name=name)) for name in ("zeta", "alpha", "beta"))
    a = filled(tmp_path / "a.sqlite", first, measured=[("1" * 16, "dimension", "x", [1.0, 2.0])])
    filled(a, second)
    b = filled(tmp_path / "b.sqlite", third, measured=[("1" * 16, "dimension", "x", [1.0, 2.0])])
    filled(b, second, measured=[("2" * 16, "dimension", "y", [3.0])])
    assert merge_stores([a, b], tmp_path / "c.sqlite").studies == ("zeta", "alpha", "beta")
    with Store(tmp_path / "c.sqlite", create=False) as store:
        found = store.measurements()
        assert len(store.load("beta").members) == 12
    assert {name: values.tolist() for name, values in found["dimension"].items()} == {"x": [1.0, 2.0], "y": [3.0]}
    other = filled(tmp_path / "d.sqlite", first, measured=[("1" * 16, "dimension", "x", [1.0, 2.5])])
    with pytest.raises(StoreError, match=f"1 measurement has different results .*{'1' * 16}"):
        merge_stores([a, other], tmp_path / "e.sqlite")
    merge_stores([a, other], tmp_path / "e.sqlite", prefer=other)
    with Store(tmp_path / "e.sqlite", create=False) as store:
        assert store.measurements()["dimension"]["x"].tolist() == [1.0, 2.5]


def test_tables_of_users_come_along_from_wherever_they_lay(tmp_path):
    stores = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        path = write_table(tmp_path / name / "table.csv")
        data = {"name": "table", "options": {"path": str(path), "target": "side"}}
        study = parse_study(tiny_values(data=data, arms=tiny_values()["arms"][:1], seeds={"data": 2, "per_data": 1}))
        trials = trials_of(study)
        records = run_stack((trials[len(stores)],))
        stores.append(filled(tmp_path / f"{name}.sqlite", study, records))
        path.unlink()
    merge_stores(stores, tmp_path / "c.sqlite")
    with Store(tmp_path / "c.sqlite", create=False) as store:
        results = store.load("tiny")
        assert results.study.data.options[UserTable.located] == str((tmp_path / "c.sqlite").resolve())
        assert results.n_missing == 0
        assert results.study.sizes[1] == 2


def test_a_store_that_is_being_written_is_not_merged(halves, tmp_path):
    refused = pytest.raises(StoreError, match=r"b\.sqlite is being written by process \d+")
    with Store(halves[1]) as store, store.alone(), refused:
        merge_stores(halves, tmp_path / "c.sqlite")
    with Store(tmp_path / "c.sqlite") as store, store.alone(), pytest.raises(StoreError, match="being written"):
        merge_stores(halves, tmp_path / "c.sqlite")


def test_a_missing_store_is_named(halves, tmp_path):
    with pytest.raises(StoreError, match=r"There is no store .*none\.sqlite"):
        merge_stores([*halves, tmp_path / "none.sqlite"], tmp_path / "c.sqlite")


def test_text_that_is_not_utf_8_is_told(tmp_path, tiny):
    bad = failed(trials_of(tiny)[0], "error", "words")
    odd = filled(tmp_path / "a.sqlite", tiny, [bad])
    with sqlite3.connect(odd) as db:
        db.execute("UPDATE trials SET error = CAST(x'ff' AS TEXT)")
    db.close()
    with Store(odd) as store, store.opened() as db:
        ((row, _),) = TrialTable(db).all()
        db.execute("UPDATE trials SET digest = ?", (row.digest(),))
        db.commit()
    with pytest.raises(StoreError, match="text that is not UTF-8"):
        merge_stores([odd], tmp_path / "b.sqlite")
