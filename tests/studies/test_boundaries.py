"""Straightness of boundaries, and agreement with the best one, as measurements of a study."""

import numpy as np
import pytest

from qmoe.errors import ConfigError
from qmoe.studies import Store, StudyResults, load_preset, parse_study, run_studies
from qmoe.studies.boundary_measures import (
    agreement_on,
    boundary_measurements,
    measure_boundaries,
    missing_boundaries,
    straightness_on,
)
from tiny_study import tiny_values


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    study = load_preset("phase2-heldout").resized(seeds=2, quick=True)
    values = study.model_dump(mode="json", exclude_defaults=True) | {"name": "moons"}
    alone = {"router": {"kind": "uniform"}, "experts": {"kind": "linear"}, "n_experts": 1}
    values["arms"] = [*values["arms"], {"name": "one", "label": "one expert", "model": alone}]
    study = parse_study(values)
    with Store(tmp_path_factory.mktemp("boundaries") / "store.sqlite") as store:
        run_studies([study], store)
        return store.load("moons")


def test_one_linear_expert_draws_straight_lines(moons):
    found = boundary_measurements(moons, ["one", "quantum"])[straightness_on(moons.study)]
    assert found.keys() == {"one", "quantum"}
    assert found["one"].tolist() == [1.0, 1.0]
    assert found["quantum"].shape == (2,)


def test_agreement_with_the_best_boundary_is_a_share_for_each_draw(moons):
    found = boundary_measurements(moons, ["one", "quantum"])[agreement_on(moons.study)]
    assert found.keys() == {"one", "quantum"}
    assert all(((values > 0.5) & (values <= 1)).all() for values in found.values())
    assert not np.array_equal(found["one"], found["quantum"])


def test_data_that_are_not_planar_are_refused(tmp_path):
    values = tiny_values()
    values["data"] = {"name": "digits", "options": {}, "components": 4, "scaling": "minmax_pi"}
    study = parse_study(values)
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([study], store)
        with pytest.raises(ConfigError, match="boundaries take 2 and 2"):
            boundary_measurements(store.load(study.name), [study.arms[0].name])


def test_an_arm_without_runs_is_named(moons):
    with pytest.raises(ConfigError, match="no finished run of an arm 'linera'"):
        boundary_measurements(moons, ["linera"])


def test_draws_that_an_arm_lacks_are_left_out_for_all(moons):
    lost = {m.trial.hash for m in moons.members if m.arm == "one" and m.trial.data_seed == 0}
    records = {key: record for key, record in moons.records.items() if key not in lost}
    found = boundary_measurements(StudyResults.of_records(moons.study, moons.members, records), ["one", "quantum"])
    assert {len(values) for by_arm in found.values() for values in by_arm.values()} == {1}


def test_a_study_that_asks_has_them_measured_once(tmp_path):
    study = load_preset("phase2-heldout").resized(seeds=6, quick=True)
    assert study.boundaries == ("linear", "quantum")
    study = study.model_copy(update={"training": study.training.model_copy(update={"epochs": 2})})
    with Store(tmp_path / "store.sqlite") as store:
        store.save_study(study)
        measure_boundaries(study, study.boundaries, store)
        assert store.measurements() == {}  # nothing has run yet
        run_studies([study], store)
        assert missing_boundaries([study], store) == [(study, ["linear", "quantum"])]
        measure_boundaries(study, study.boundaries, store)
        assert missing_boundaries([study], store) == []
        found = store.measurements()
    assert found.keys() == {straightness_on(study), agreement_on(study)}
    assert {values.shape for by_arm in found.values() for values in by_arm.values()} == {(6,)}


def test_few_seeds_and_other_studies_ask_for_none(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        few, other = load_preset("phase2-heldout").resized(seeds=5), load_preset("phase2-published")
        assert missing_boundaries([few, other], store) == []


def test_a_file_that_asks_wrongly_is_refused():
    with pytest.raises(ConfigError, match="boundaries: Unknown arm 'qantum'"):
        parse_study(tiny_values(boundaries=["qantum"]))
    values = tiny_values(boundaries=["linear"])
    values["data"] = {"name": "digits", "options": {}, "components": 4, "scaling": "minmax_pi"}
    with pytest.raises(ConfigError, match=r"\(64, 2\) features and classes; boundaries take 2 and 2\. Remove the line"):
        parse_study(values)
