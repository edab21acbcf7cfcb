"""One name, one question."""

import pytest

from qmoe.claims import ablation_study
from qmoe.errors import ConfigError
from qmoe.studies import (
    Store,
    continues,
    load_preset,
    parse_study,
    run_studies,
    with_free_name,
)
from tiny_study import tiny_values
from user_tables import table_values, write_table

ARMS = tiny_values()["arms"]


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": {"data": 9, "per_data": 2}},
        {"seeds": {"data": 1}},
        {"title": "Other", "about": "words"},
        {"arms": [*ARMS, ARMS[0] | {"name": "again", "label": "again"}]},
        {"lr_factors": [2.0]},
        {"timed": 1},
    ],
)
def test_more_of_the_same_goes_on(changes):
    assert continues(parse_study(tiny_values(**changes)), parse_study(tiny_values()))


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ARMS[:1]},
        {"training": {"epochs": 3, "batch_size": 16, "lr": 0.1}},
        {"data": {"name": "circles", "options": {"n_samples": 60}}},
        {"seeds": {"root": 1, "data": 3, "per_data": 2}},
        {"seeds": {"fixed": 42, "data": 1, "per_data": 2}},
    ],
)
def test_what_would_lose_something_from_sight_does_not_go_on(changes):
    assert not continues(parse_study(tiny_values(**changes)), parse_study(tiny_values()))


def test_quick_presets_are_no_whole_ones():
    preset = load_preset("phase3b-heldout")
    assert not continues(preset.resized(3, quick=True), preset)
    assert continues(preset, preset.resized(3))


def test_ablations_that_ask_something_else_get_names_of_their_own(tmp_path):
    one, two = (write_table(tmp_path / folder / "data.csv", seed) for seed, folder in enumerate(("one", "two")))
    asked = [
        ablation_study(one, "side", rungs=("linear",)),
        ablation_study(two, "side", rungs=("linear",)),
        ablation_study(one, "side", rungs=("linear",), experts=4),
        ablation_study(one, "side", rungs=("linear",), layers=1),
    ]
    names = ["ablate-data-side", "ablate-data-side-2", "ablate-data-side-3", "ablate-data-side-4"]
    with Store(tmp_path / "s.sqlite") as store:
        for study in asked:
            store.save_study(with_free_name(study, store))
        assert store.study_names() == names
        assert [with_free_name(study, store).name for study in asked] == names
        assert with_free_name(asked[2].resized(5), store).name == names[2]
        assert with_free_name(asked[1], store).title == "What carries the effect: side in data.csv (2)"
        two.unlink()  # what is in the store is compared with
        assert with_free_name(ablation_study(one, "side", rungs=("linear", "twin")), store).name == names[0]


def test_a_long_name_stays_within_bounds(tmp_path):
    path = write_table(tmp_path / ("long-" * 14 + ".csv"))
    with Store(tmp_path / "s.sqlite") as store:
        for experts in (2, 3):
            store.save_study(with_free_name(ablation_study(path, "side", rungs=("linear",), experts=experts), store))
        first, second = store.study_names()
        assert max(len(first), len(second)) <= 60
        assert second.endswith("-2")
        assert store.load(second).study.name == second


def test_the_study_of_a_name_is_known_and_of_none_is_none(tmp_path):
    study = parse_study(table_values(write_table(tmp_path / "data.csv")))
    with Store(tmp_path / "s.sqlite") as store:
        assert store.asked("tiny") is None
        store.save_study(study)
        assert continues(store.asked("tiny"), study)


def test_two_studies_of_one_name_are_not_run_together(tmp_path):
    one, other = parse_study(tiny_values()), parse_study(tiny_values(arms=ARMS[:1]))
    with Store(tmp_path / "s.sqlite") as store, pytest.raises(ConfigError, match="Two studies are named 'tiny'"):
        run_studies([one, other], store)
