"""The store and the runner: nothing is lost, nothing is run twice."""

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from helpers import bring_down
from qmoe.errors import ConfigError, StateWarning, StoreError
from qmoe.studies import RunSummary, Store, load_study, make_trials, parse_study, run_stack, run_studies
from qmoe.studies.run import stack_run
from qmoe.studies.run.stack_run import failed
from qmoe.studies.run.stacks import cost
from qmoe.studies.store import status_of
from tiny_study import diverging_values, tiny_values


def figures(store, name):
    """All numbers of a study, by trial."""
    results = store.load(name)
    return {h: (r.metrics, r.history, r.state) for h, r in results.records.items()}


def without_mean_loss(numbers):
    """The same without what older stores did not have."""
    return {h: ({k: v for k, v in m.items() if k != "mean_loss"}, *rest) for h, (m, *rest) in numbers.items()}


def test_results_come_back_as_they_were_saved(tmp_path, tiny):
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([tiny], store).ran == 12
        results = store.load("tiny")
    assert results.study == tiny
    assert results.n_missing == 0
    assert [len(results.of(arm)) for arm in ("linear", "quantum")] == [6, 6]
    record = results.of("quantum")[0]
    assert record.execution.engine == "native"
    assert record.trial == next(m.trial for m in results.members if m.arm == "quantum")
    (again,) = run_stack((record.trial,))
    assert again.metrics == record.metrics
    assert again.state == record.state
    assert results.of("linear")[0].execution.engine == "none"


def test_a_finished_study_is_not_run_again(tmp_path, tiny):
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([tiny], store)
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([tiny], store).ran == 0


def test_more_seeds_run_only_the_new_trials(tmp_path):
    small = parse_study(tiny_values(seeds={"data": 1, "per_data": 2}))
    large = parse_study(tiny_values(seeds={"data": 1, "per_data": 3}))
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([small], store).ran == 4
        assert run_studies([large], store).ran == 2


def test_what_is_to_be_timed_later_is_trained_once_more_alone(tmp_path):
    study = parse_study(tiny_values())
    timed = parse_study(tiny_values(timed=3))
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([study], store)
        before = store.load("tiny").records
        summary = run_studies([timed], store)
        after = store.load("tiny").records
        assert run_studies([timed], store).ran == 0
    assert summary.ran == 6
    assert [record.execution.stack_size for record in before.values()] == [6] * 12
    assert sorted(record.execution.stack_size for record in after.values()) == [1] * 6 + [6] * 6
    for digest, record in after.items():
        assert (record.metrics, record.history, record.state) == (
            before[digest].metrics, before[digest].history, before[digest].state,
        )  # fmt: skip


def test_a_failure_while_only_the_time_was_wanted_takes_no_result_away(tmp_path, monkeypatch):
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([parse_study(tiny_values())], store)
        before = store.load("tiny").records

        def out_of_memory(stack):
            raise MemoryError("no more")

        monkeypatch.setattr(stack_run, "run_stack", out_of_memory)
        summary = run_studies([parse_study(tiny_values(timed=1))], store)
        after = store.load("tiny").records
    assert (summary.ran, summary.failed) == (2, 0)
    assert after == before


def test_progress_adds_up_to_what_was_planned(tmp_path, tiny):
    planned, parts = [], []
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([tiny], store, on_plan=lambda stacks: planned.extend(map(cost, stacks)), on_progress=parts.append)
    assert sum(parts) == pytest.approx(sum(planned), rel=1e-12)


def test_a_trial_that_diverges_is_reported_and_run_again_only_if_asked(tmp_path):
    wild = parse_study(diverging_values())
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([wild], store) == RunSummary(ran=6, failed=6)
        results = store.load("tiny")
        assert results.of("wild") == []
        assert [record.failure for _, record in results.failed] == ["diverged"] * 6
        assert run_studies([wild], store) == RunSummary(ran=0, failed=6)
        assert run_studies([wild], store, retry=True) == RunSummary(ran=6, failed=6)
        assert {record.attempts for _, record in store.load("tiny").failed} == {2}


def poisoned(error, index=5):
    """`run_stack` that raises ``error`` where the trial of a study with that index is in the stack."""
    seen = sorted(m.trial.hash for m in make_trials(parse_study(tiny_values())))[index]

    def run(stack):
        if any(trial.hash == seen for trial in stack):
            raise error
        return run_stack(stack)

    return seen, run


@pytest.mark.parametrize(
    ("error", "kind", "again"),
    [(KeyError("a row that cannot be encoded"), "error", 0), (MemoryError("16 GiB"), "memory", 1)],
    ids=["error", "memory"],
)
def test_one_trial_that_fails_takes_no_other_with_it(error, kind, again, tmp_path, tiny, monkeypatch):
    digest, run = poisoned(error)
    monkeypatch.setattr(stack_run, "run_stack", run)
    with Store(tmp_path / "s.sqlite") as store, Store(tmp_path / "whole.sqlite") as whole:
        assert run_studies([tiny], store) == RunSummary(ran=12, failed=1)
        ((member, record),) = store.load("tiny").failed
        assert member.trial.hash == digest
        assert record.failure == kind
        assert type(error).__name__ in record.error
        assert "in run" in record.error
        assert run_studies([tiny], store).ran == again
        monkeypatch.undo()
        run_studies([tiny], whole)
        rest = {name: value for name, value in figures(whole, "tiny").items() if name != digest}
        assert {name: value for name, value in figures(store, "tiny").items() if name != digest} == rest
        assert run_studies([tiny], store, retry=True) == RunSummary(ran=1, failed=0)
        assert figures(store, "tiny") == figures(whole, "tiny")


def test_one_whose_process_dies_is_tried_three_times(tmp_path, tiny):
    trial = make_trials(tiny)[0].trial
    wanted = {trial.hash: trial}
    with Store(tmp_path / "s.sqlite") as store:
        for attempt in (1, 2, 3):
            assert store.settled(wanted) == set()
            store.save([failed(trial, "died", "SIGKILL")])
            assert store.records(wanted)[trial.hash].attempts == attempt
        assert store.settled(wanted) == {trial.hash}
        assert store.settled(wanted, retry=True) == set()


def test_a_failure_of_another_version_is_tried_again(tmp_path, tiny):
    trial = make_trials(tiny)[0].trial
    with Store(tmp_path / "s.sqlite") as store:
        bug = failed(trial, "error", "a bug")
        store.save([dataclasses.replace(bug, execution=dataclasses.replace(bug.execution, version="0.0.1"))])
        assert store.settled({trial.hash: trial}) == set()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("test_accuracy = test_accuracy / 2", "not as it was written"),
        ("weights = zeroblob(length(weights))", "not as it was written"),
        ("spec = names", "not as it was written"),
        ("error = 'no error', status = 'done'", "not as it was written"),
    ],
)
def test_a_row_that_was_changed_is_named_left_out_and_trained_again(damage, words, tmp_path, tiny):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
        before = figures(store, "tiny")
    with sqlite3.connect(path) as db:
        (digest,) = db.execute("SELECT hash FROM trials ORDER BY hash").fetchone()
        db.execute(f"UPDATE trials SET {damage} WHERE hash = ?", (digest,))
    with Store(path) as store:
        with pytest.warns(StateWarning, match=f"1 rows are damaged.*{digest}.*{words}"):
            assert digest not in store.load("tiny").records
        assert run_studies([tiny], store).ran == 1
        assert figures(store, "tiny") == before


def test_figures_that_cannot_be_are_not_believed_though_the_digest_fits(tmp_path, tiny):
    trial = make_trials(tiny)[0].trial
    (record,) = run_stack((trial,))
    with Store(tmp_path / "s.sqlite") as store:
        store.save([dataclasses.replace(record, metrics=record.metrics | {"test_accuracy": 5.0})])
        with pytest.warns(StateWarning, match=r"'test_accuracy' = 5\.0 cannot be"):
            assert store.records({trial.hash: trial}) == {}
        assert store.settled({trial.hash: trial}) == set()  # so that it is trained again, as the warning says


@pytest.mark.parametrize("version", [2, 3, 4])
def test_an_older_store_is_brought_up_with_all_its_rows(version, tmp_path, tiny):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
        before = figures(store, "tiny")
    bring_down(path, version)
    with Store(path) as store:
        assert without_mean_loss(figures(store, "tiny")) == without_mean_loss(before)
        found = [metrics["mean_loss"] for metrics, *_ in figures(store, "tiny").values()]
        # Its histories, from which it comes, were of 24 bits in this store.
        assert found == pytest.approx([metrics["mean_loss"] for metrics, *_ in before.values()], rel=1e-6)
        assert run_studies([tiny], store).ran == 0


def test_what_one_study_keeps_is_not_lost_to_another_that_keeps_figures(tmp_path):
    whole = parse_study(tiny_values())
    bare = parse_study({**tiny_values(name="bare"), "keep": "figures"})
    with Store(tmp_path / "s.sqlite") as store:
        assert run_studies([bare], store).ran == 12
        assert {(len(r.history), len(r.state)) for r in store.load("bare").records.values()} == {(0, 0)}
        assert run_studies([whole], store).ran == 12  # whose weights are not there
        before = figures(store, "tiny")
        assert all(history and state for _, history, state in before.values())
        assert run_studies([bare], store).ran == 0
        assert run_studies([bare.model_copy(update={"timed": 2})], store).ran > 0
        assert figures(store, "tiny") == before


def test_two_runs_of_one_store_are_refused_with_who_holds_it(tmp_path, tiny):
    with Store(tmp_path / "s.sqlite") as one, Store(tmp_path / "s.sqlite") as other:
        with one.alone(), pytest.raises(StoreError, match=f"process {os.getpid()} on .*--out"), other.alone():
            raise AssertionError("both")
        with one.alone(), pytest.raises(StoreError, match="is being written by process"):
            run_studies([tiny], other)
        with other.alone():
            assert run_studies([tiny], other).ran == 12  # whoever holds it may take it again
            assert (tmp_path / "s.sqlite.holder").exists()
        assert not (tmp_path / "s.sqlite.holder").exists()


def test_a_failed_trial_does_not_touch_its_neighbours(tmp_path, tiny):
    trials = [m.trial for m in make_trials(tiny) if m.arm == "linear"]
    alone = run_stack((trials[0],))[0]
    together = run_stack(tuple(trials))[0]
    np.testing.assert_array_equal(alone.history["loss"], together.history["loss"])


def test_killed_in_the_middle_the_same_command_repeats_only_what_was_under_way(tmp_path):
    text = """
name = "tiny"
title = "Tiny"
phase = "phase2"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 200 }, scaling = "minmax_pi" }
seeds = { data = 3, per_data = 1 }
training = { epochs = 400 }
""" + "".join(
        f'[[arms]]\nname = "h{h}"\nlabel = "h{h}"\n[arms.model]\nrouter = {{ kind = "mlp", hidden = {h} }}\n'
        'experts = { kind = "linear" }\n'
        for h in range(1, 5)
    )
    (tmp_path / "tiny.toml").write_text(text)
    script = (
        "import sys; from qmoe.studies import *\n"
        "s = Store(sys.argv[1]); print(run_studies([load_study(sys.argv[2])], s, LocalProcesses(2)))\n"
    )
    (tmp_path / "job.py").write_text(script)
    command = [sys.executable, str(tmp_path / "job.py")]
    target, whole = str(tmp_path / "killed.sqlite"), str(tmp_path / "whole.sqlite")
    job = subprocess.Popen([*command, target, str(tmp_path / "tiny.toml")], start_new_session=True)
    deadline = time.monotonic() + 60
    done = 0
    while done < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        if os.path.exists(target):
            try:
                with sqlite3.connect(f"file:{target}?mode=ro", uri=True) as db:
                    done = db.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
            except sqlite3.Error:  # not made yet
                continue
    os.kill(job.pid, signal.SIGKILL)  # the parent alone: its workers have to notice
    job.wait()
    with Store(target) as store:
        kept = store.hashes()
    assert 2 <= len(kept) < 12
    study = load_study(tmp_path / "tiny.toml")
    with Store(target) as a, Store(whole) as b:
        assert run_studies([study], a).ran == 12 - len(kept)
        assert run_studies([study], b).ran == 12
        assert figures(a, "tiny") == figures(b, "tiny")


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "s.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer qmoe \(store version 99.*upgrade qmoe"):
        Store(path)


def test_a_damaged_store_is_refused_with_the_way_out(tmp_path, tiny):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 4] = os.urandom(4096 * 3)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged.*move it away"):
        Store(path, create=False)


def test_a_store_with_a_damaged_page_is_saved_but_for_what_stood_there(tmp_path, tiny):
    path, tiny = tmp_path / "s.sqlite", tiny.resized(20)
    with Store(path) as store:
        run_studies([tiny], store)
        before = figures(store, "tiny")
    content = bytearray(path.read_bytes())
    key = next(iter(before)).encode()
    leaf = 13  # what a page of rows begins with
    page = next(at for at in range(0, len(content), 4096) if content[at] == leaf and key in content[at : at + 4096])
    content[page : page + 8] = bytes(8)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged.*run its studies again"):
        Store(path, create=False)
    with pytest.warns(StateWarning, match=r"is damaged\. What can be read of it, \d+ trials.*s\.sqlite\.damaged-1"):
        store = Store(path)
    assert (tmp_path / "s.sqlite.damaged-1").read_bytes() == content
    with store:
        assert store.study_names() == ["tiny"]
        assert 0 < run_studies([tiny], store).ran < 40
        assert figures(store, "tiny") == before
    assert status_of(path).missing == 0


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "s.sqlite"
    path.write_text("not a database, but long enough to be taken for the header of one" * 30)
    with pytest.raises(StoreError, match="is damaged"):
        Store(path)


def test_a_database_of_something_else_is_refused(tmp_path):
    path = tmp_path / "s.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreError, match="no qmoe store"):
        Store(path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"):
        Store(tmp_path / "file" / "s.sqlite")


def test_a_missing_store_is_not_made_when_it_should_be_read(tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        Store(tmp_path / "none.sqlite", create=False)


def test_an_unknown_study_is_refused_with_those_there_are(tmp_path, tiny):
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([tiny.resized(1)], store)
        with pytest.raises(StoreError, match="no study 'tny'; it has tiny"):
            store.load("tny")


def test_results_of_an_unfinished_study_say_what_is_missing(tmp_path, tiny):
    with Store(tmp_path / "s.sqlite") as store:
        members = make_trials(tiny)
        store.save_study(tiny)
        store.save(run_stack((members[0].trial,)))
        results = store.load("tiny")
    assert results.n_missing == 11
    assert len(results.members) == 12


def test_a_model_that_does_not_fit_is_refused_before_anything_is_saved(tmp_path):
    model = {"router": {"kind": "quantum"}, "experts": {"kind": "linear"}, "top_k": 3}
    study = parse_study(tiny_values(arms=[{"name": "odd", "label": "odd", "model": model}]))
    with Store(tmp_path / "s.sqlite") as store:
        with pytest.raises(ConfigError, match="Study tiny, arm odd: top_k is 3"):
            run_studies([study], store)
        assert store.study_names() == []


def test_a_store_that_is_only_read_is_not_written_to(tmp_path, tiny):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        run_studies([tiny], store)
        before = figures(store, "tiny")
    bring_down(path, 3)
    content, names = path.read_bytes(), {file.name for file in tmp_path.iterdir()}
    with Store(path, create=False) as store:
        assert without_mean_loss(figures(store, "tiny")) == without_mean_loss(before)
    assert path.read_bytes() == content
    assert {file.name for file in tmp_path.iterdir()} == names


def test_an_empty_file_is_no_store_to_read(tmp_path):
    (tmp_path / "s.sqlite").touch()
    with pytest.raises(StoreError, match="no qmoe store"):
        Store(tmp_path / "s.sqlite", create=False)
