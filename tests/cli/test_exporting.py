"""Results for other programs, read back by their own libraries."""

import sys

import pandas
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from qmoe.cli.app import app
from qmoe.errors import ConfigError, QMoEError
from qmoe.studies import Store, parse_study, run_studies
from qmoe.studies.export import facts_of, to_mlflow
from tiny_study import diverging_values, tiny_values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of two studies: one with noise strengths, one whose trials diverge."""
    top = tmp_path_factory.mktemp("results")
    arms = [tiny_values()["arms"][1] | {"noise": [0.0, 0.25]}]
    wild = diverging_values() | {"name": "wild", "seeds": {"data": 1, "per_data": 1}}
    studies = [tiny_values(arms=arms, seeds={"data": 2, "per_data": 1}, lr_factors=[0.5]), wild]
    with Store(top / "store.sqlite") as store:
        run_studies([parse_study(one) for one in studies], store)
    return top


def export(folder, to, out):
    done = CliRunner().invoke(app, ["export", str(folder), "--to", to, "--out", str(out)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def loaded(folder):
    with Store(folder / "store.sqlite", create=False) as store:
        return [store.load(name) for name in store.study_names()]


def test_facts_of_a_trial_are_flat_and_its_name_is_its_own(loaded):
    facts = [one for results in loaded for one in facts_of(results)]
    assert len({one.name for one in facts}) == len(facts) == 9
    first = facts[0]
    assert first.name == "quantum-p0.0-lr0.1-draw0-init0"
    for name, value in (("model.router.kind", "quantum"), ("model.router.noise", 0.0), ("training.lr", 0.1)):
        assert first.params[name] == value
    assert not any(isinstance(value, (dict, list)) or value is None for value in first.params.values())
    assert set(first.courses) == {"loss", "running_accuracy", "test_accuracy"}
    assert not set(first.courses) & set(first.metrics)
    assert facts[-1].error.startswith(f"trial {facts[-1].tags['qmoe.hash']} (data seed ")
    assert facts[-1].tags["qmoe.failure"] == "diverged"


def plain(frame):
    """A frame of Python's own values, with None wherever a value is missing."""
    return frame.astype(object).where(frame.notna(), None)


def test_parquet_has_the_same_rows_as_csv(folder, tmp_path):
    export(folder, "parquet", tmp_path)
    export(folder, "csv", tmp_path)
    with Store(folder / "store.sqlite", create=False) as store:
        frame, history = store.frame(), store.frame(history=True)
    for name, expected in (("trials", frame), ("history", history)):
        found = pandas.read_parquet(tmp_path / f"{name}.parquet")
        pandas.testing.assert_frame_equal(plain(found), plain(expected))
        assert len(pandas.read_csv(tmp_path / f"{name}.csv")) == len(expected)
    assert len(frame) == 9


def scalars(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_has_a_folder_for_each_trial_with_its_history(folder, loaded, tmp_path):
    told = export(folder, "tensorboard", tmp_path)
    assert "9 runs written" in told
    assert f"tensorboard --logdir {tmp_path}" in told
    for facts in facts_of(loaded[0]):
        found = scalars(tmp_path / "tiny" / facts.name)
        for name, values in facts.courses.items():
            assert [step for step, _ in found[name]] == list(range(1, len(values) + 1))
            assert [value for _, value in found[name]] == pytest.approx(values, rel=1e-6)
        assert found["final/train_accuracy"][0][1] == pytest.approx(facts.metrics["train_accuracy"], rel=1e-6)
    (half,) = (tmp_path / "wild").iterdir()
    half.rename(half.with_name(f".{half.name}"))  # as an interruption leaves it
    assert "1 run written" in export(folder, "tensorboard", tmp_path)
    assert [path.name for path in (tmp_path / "wild").iterdir()] == [half.name]


@pytest.mark.filterwarnings("ignore")  # of what MLflow depends on
def test_mlflow_has_a_run_for_each_trial_with_options_numbers_and_histories(folder, loaded, tmp_path):
    from mlflow import MlflowClient

    assert "9 runs written" in export(folder, "mlflow", tmp_path)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    for results in loaded:
        experiment = client.get_experiment_by_name(results.study.name)
        runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
        expected = list(facts_of(results))
        assert set(runs) == {facts.name for facts in expected}
        for facts in expected:
            run = runs[facts.name]
            assert run.data.params == {name: str(value) for name, value in facts.params.items()}
            last = {name: values[-1] for name, values in facts.courses.items()}
            assert run.data.metrics == facts.metrics | last
            assert run.info.status == ("FINISHED" if facts.error is None else "FAILED")
            assert run.data.tags["qmoe.hash"] == facts.tags["qmoe.hash"]
    facts = next(facts_of(loaded[0]))
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    run = client.search_runs([experiment.experiment_id], f"tags.qmoe.hash = '{facts.tags['qmoe.hash']}'")
    course = client.get_metric_history(run[0].info.run_id, "loss")
    assert [(one.step, one.value) for one in course] == list(enumerate(facts.courses["loss"], 1))
    client.update_run(run[0].info.run_id, status="RUNNING")  # as an interruption leaves it
    assert list(to_mlflow(loaded, tmp_path)) == [facts.name]


def test_nothing_is_written_through_a_link_in_the_folder(folder, tmp_path):
    for place in ("elsewhere", "out", "out/tiny"):
        (tmp_path / place).mkdir()
    half = tmp_path / "out" / "tiny" / ".quantum-p0.0-lr0.1-draw0-init0"
    half.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "wild").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "mlflow.db").symlink_to(tmp_path / "elsewhere" / "new.db")
    for to, name in (("tensorboard", "wild"), ("mlflow", "mlflow.db")):
        with pytest.raises(QMoEError, match=f"{name} is a link to .*elsewhere"):
            export(folder, to, tmp_path / "out")
    assert not half.is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("to", "module", "words"),
    [
        ("mlflow", "mlflow", "pip install mlflow"),
        ("tensorboard", "tensorboard", "pip install tensorboard"),
        ("parquet", "pyarrow", "pip install pyarrow"),
    ],
)
def test_a_package_that_is_missing_is_named_with_the_command(to, module, words, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(QMoEError, match=words):
        export(folder, to, tmp_path)


def test_an_unknown_format_is_refused_with_those_there_are(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"Unknown format 'tensorbord'; did you mean 'tensorboard'\?"):
        export(folder, "tensorbord", tmp_path)
