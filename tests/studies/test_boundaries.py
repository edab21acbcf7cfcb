"""Straightness of boundaries, and agreement with the best one, as measurements of a study."""

import numpy as np
import pytest

from qmoe.errors import ConfigError
from qmoe.studies import Store, load_preset, parse_study, run_studies
from qmoe.studies.boundaries import A_LINE, agreement_on, boundary_measurements, straightness_on
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


def test_one_linear_expert_draws_straight_lines_and_a_line_is_one(moons):
    found = boundary_measurements(moons, ["one", "quantum"])[straightness_on(moons.study)]
    assert found["one"].tolist() == [1.0, 1.0]
    assert found[A_LINE].tolist() == [1.0, 1.0]
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
