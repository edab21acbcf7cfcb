"""Presets on published benchmarks: a group beside those that are registered."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from qmoe.cli.app import app
from qmoe.cli.registering import studies_of, study_of
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.studies import load_preset, parse_study, preset_names
from qmoe.studies.baselines import ALL_BASELINES, applicable
from qmoe.studies.presets import GROUPS, further_presets, preset_text, preset_values, refuse_borrowed_name
from qmoe.studies.specs.study import Baseline


@pytest.mark.parametrize("name", further_presets())
def test_every_preset_is_on_published_rows(name: str) -> None:
    study = load_preset(name)
    assert study.name == name
    assert study.seeds.fixed == study.data.kind.published_seed
    scores = make_dataset(study.data.name, **study.data.options).published_scores()
    assert "SVC" in {score.model for score in scores if not score.repeats_training}


def test_they_differ_in_their_data_alone_and_are_not_registered() -> None:
    same = {study.model_copy(update=dict.fromkeys(("name", "title", "about"), "") | {"data": None, "seeds": None}).canonical
            for study in map(load_preset, further_presets())}  # fmt: skip
    assert len(same) == 1
    assert len(further_presets()) == 11
    assert not set(further_presets()) & set(preset_names())


def test_the_name_of_a_group_runs_all_of_it() -> None:
    (group,) = GROUPS
    assert [study.name for study in studies_of(group, ())] == further_presets(group)
    shorter = studies_of(group, ["training.epochs=3"])
    assert {study.training.epochs for study in shorter} == {3}
    with pytest.raises(ConfigError, match="'qml-benchmarks' names 11 studies; name one of them, such as"):
        study_of(group)


def test_another_study_may_not_have_the_name_of_one() -> None:
    values = preset_values("qml-benchmarks-two-curves-4")
    values["training"]["epochs"] = 3
    with pytest.raises(
        ConfigError, match=r"named 'qml-benchmarks-two-curves-4' as a preset is, but differs from it in training"
    ):
        refuse_borrowed_name(parse_study(values))


def test_presets_are_listed_and_printed() -> None:
    listed = CliRunner().invoke(app, ["presets"]).output
    assert "qml-benchmarks-two-curves-4 " in listed
    assert "options = { n_features = 4 }" in CliRunner().invoke(app, ["presets", "qml-benchmarks-two-curves-4"]).output
    assert preset_text("qml-benchmarks-two-curves-10").count("seed 3 of their script") == 1


# --- baselines that a study asks for -----------------------------------------------------------------------------------


def test_a_study_without_a_ladder_has_the_baselines_it_lists() -> None:
    study = load_preset("qml-benchmarks-hyperplanes-diff-3")
    assert applicable(study) == ["logistic", "rbf-svm", "searched-svm"]
    assert applicable(study.model_copy(update={"baselines": ("bayes", "mlp")})) == ["mlp"]
    assert applicable(study.model_copy(update={"baselines": ()})) == []


def test_unknown_baselines_are_refused_and_all_known_ones_can_be_listed() -> None:
    assert set(Baseline.__args__) == set(ALL_BASELINES)  # type: ignore[attr-defined]
    values = preset_values("qml-benchmarks-hyperplanes-diff-3") | {"baselines": ["svc"]}
    with pytest.raises(ConfigError, match=r"baselines.*svc"):
        parse_study(values)
