"""What differs between two results folders: verdicts, and what may be the reason."""

import dataclasses
import json
import re

import pytest
from invented_results import invented
from typer.testing import CliRunner

from qmoe.cli.app import app
from qmoe.errors import StateWarning, StoreError
from qmoe.report.sections.summary import gaps
from qmoe.report.two_folders import compare_results
from qmoe.studies import Store, parse_study, run_studies, trials
from qmoe.studies.run.stack_run import failed
from qmoe.studies.trials import NUMERICS
from tiny_study import TINY_TOML, tiny_values


def leads(arm, strength, factor):
    return 0.95 if arm.startswith("quantum") else 0.8


def ties(arm, strength, factor):
    return 0.9


def stored(folder, results, change=lambda record: record):
    """A folder with invented results."""
    with Store(folder / "store.sqlite") as store:
        store.save_study(results.study)
        store.save(change(complete(record)) for record in results.records.values())
    return folder


def complete(record):
    """The record with the figures that a store expects of every trial."""
    more = {"chance": 0.5, "test_balanced_accuracy": record.metrics["test_accuracy"]}
    return dataclasses.replace(record, metrics=record.metrics | more)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """In A quantum routers lead, over 40 draws; in B all tie over 30, as of another version and with a failure."""
    top = tmp_path_factory.mktemp("differing")
    few = invented("phase2-heldout", ties, seeds=30)
    doomed = few.members[0].trial

    def later(record):
        if record.trial == doomed:
            return failed(doomed, "died", "SIGKILL")
        return dataclasses.replace(record, execution=dataclasses.replace(record.execution, version="1"))

    return stored(top / "a", invented("phase2-heldout", leads, seeds=40)), stored(top / "b", few, later)


@pytest.fixture(scope="module")
def found(folders):
    return compare_results(*(folder / "store.sqlite" for folder in folders))


def test_studies_differ_by_options_draws_failures_and_versions(found):
    (study,) = found.differing
    assert study.name == "phase2-heldout"
    assert [(one.key, one.a, one.b) for one in study.options] == [("seeds.data", 40, 30)]
    assert (study.a.draws, study.a.failed, study.a.missing) == (40, 0, 0)
    assert (study.b.draws, study.b.failed, study.b.missing) == (30, 1, 0)
    assert 3 * study.a.done == 4 * (study.b.done + 1)
    assert (study.a.versions, study.a.numerics) == (("0",), study.b.numerics)
    assert "1" in study.b.versions
    assert study.differing > 0


def test_a_verdict_that_changed_has_what_decides_it_on_both_sides(found):
    changed = [verdict for verdict in found.changed if not verdict.study]
    assert changed
    for verdict in changed:
        assert verdict.a != verdict.b
        assert verdict.studies == ("phase2-heldout",)
    verdict = next(v for v in changed if v.by_a is not None and v.by_a.metric == "test_accuracy")
    assert verdict.a == "supported"
    assert verdict.by_a.low < 0.15 < verdict.by_a.high
    assert verdict.by_a.draws == 40
    assert verdict.by_b.draws in (29, 30)
    assert verdict.by_b.low < 0.01
    assert verdict.why_a
    assert verdict.why_b


def test_nothing_differs_from_itself(folders):
    path = folders[0] / "store.sqlite"
    same = compare_results(path, path)
    assert same.changed == same.differing == []
    assert same.verdicts
    assert not any(one["is_changed"] for one in same.as_dict()["verdicts"])


def told(*arguments):
    done = CliRunner().invoke(app, ["diff", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_tells_verdicts_and_reasons(folders, found):
    shown = told(*folders)
    assert f"Verdicts that differ: {len(found.changed)} of {len(found.verdicts)}." in shown
    for line in ("seeds.data: 40 in A, 30 in B.", "failed trials: 0 in A, 1 in B.", "version of qmoe: 0 in A, "):
        assert f"  {line}" in shown
    for verdict in found.changed:
        assert f"\n{verdict.claim}" in shown
    plain = json.loads(told(*folders, "--json"))
    assert [one["claim"] for one in plain["verdicts"] if one["is_changed"]] == [v.claim for v in found.changed]
    assert plain["studies"][0]["options"] == [{"key": "seeds.data", "a": 40, "b": 30}]
    alike = told(folders[0], folders[0])
    assert f"Verdicts that differ: none of {len(found.verdicts)}." in alike
    assert "Studies, numbers and versions are alike." in alike


def test_arms_and_studies_of_one_side_are_named_whole(tmp_path):
    values = tiny_values(seeds={"data": 1, "per_data": 1})
    fewer = values | {"arms": values["arms"][:1], "training": {"epochs": 3}}
    for name, studies in (("a", [values, values | {"name": "mine"}]), ("b", [fewer])):
        with Store(tmp_path / name / "store.sqlite") as store:
            run_studies([parse_study(one) for one in studies], store)
    found = compare_results(tmp_path / "a" / "store.sqlite", tmp_path / "b" / "store.sqlite")
    tiny, mine = found.studies
    assert ("arms.quantum", "present", None) in [(one.key, one.a, one.b) for one in tiny.options]
    assert ("training.epochs", 2, 3) in [(one.key, one.a, one.b) for one in tiny.options]
    assert not [one for one in tiny.options if one.key.startswith("arms.quantum.")]
    assert (mine.name, mine.b) == ("mine", None)
    shown = told(tmp_path / "a", tmp_path / "b")
    assert "Study mine\n  only in A." in shown
    assert "  arms.quantum: present in A, absent in B." in shown


def test_results_of_other_numerics_are_told_as_such(tmp_path, tiny, monkeypatch):
    with Store(tmp_path / "a" / "store.sqlite") as store:
        run_studies([tiny], store)
    with monkeypatch.context() as patch:
        patch.setattr("qmoe.studies.trials.NUMERICS", 3)
        older = parse_study(tiny_values(about="planned anew"))
        with Store(tmp_path / "b" / "store.sqlite") as store:
            run_studies([older], store)
    trials._members.cache_clear()  # what it remembers of the older numerics
    with pytest.warns(StateWarning, match="of an earlier qmoe"):
        found = compare_results(tmp_path / "a" / "store.sqlite", tmp_path / "b" / "store.sqlite")
    (study,) = found.differing
    assert (study.a.numerics, study.b.numerics) == (NUMERICS, 3)
    assert (study.a.missing, study.b.missing) == (0, 12)
    with pytest.warns(StateWarning, match="of an earlier qmoe"):
        assert f"numerics: {NUMERICS} in A, 3 in B." in told(tmp_path / "a", tmp_path / "b")


def test_a_study_of_earlier_numerics_says_why_its_trials_do_not_count(tmp_path, tiny, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("qmoe.studies.trials.NUMERICS", 3)
        trials._members.cache_clear()
        with Store(tmp_path / "store.sqlite") as store:
            run_studies([tiny], store)
    trials._members.cache_clear()
    why = f"of an earlier qmoe (numerics 3, here {NUMERICS}), which trains to other numbers"
    with Store(tmp_path / "store.sqlite", create=False) as store:
        with pytest.warns(StateWarning, match=re.escape(why)):
            found = store.load(tiny.name)
        assert (found.numerics, found.n_missing) == (3, 12)
        assert any(why in line for line in gaps([found]))
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    again = CliRunner().invoke(app, ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path), "--workers", "1"])
    assert why in " ".join(again.output.split())
    with Store(tmp_path / "store.sqlite", create=False) as store:
        assert (store.load(tiny.name).numerics, store.load(tiny.name).n_missing) == (None, 0)


def test_a_folder_without_a_store_is_refused(folders, tmp_path):
    with pytest.raises(StoreError, match="There is no store"):
        compare_results(folders[0] / "store.sqlite", tmp_path / "store.sqlite")
