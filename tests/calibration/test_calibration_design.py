"""Simulated studies are crossed as those that ship, and have the truth that they promise."""

import numpy as np
import pytest
from calibration.analyses import CLAIM, STUDY, Analyses, ByAxis, Everywhere, _claims, _specifications
from calibration.family import Family, paper
from calibration.questions import questions
from calibration.record import _play_all, try_judge
from calibration.scores import SHAPES, arms_of, luck

from calibration import Size, answers_of, table
from qmoe.claims import ArmKey, shipped_claims

A, B = ArmKey("a"), ArmKey("b")
POOLS = ("quantum", "without-last-rz", "twin", "crippled-twin")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("offset", [0.0, -0.02, -0.08])
def test_an_arm_has_the_mean_that_its_offset_says(name, offset):
    generator = np.random.default_rng(0)
    d = []
    for _ in range(300):
        arms = arms_of(generator, SHAPES[name], {A: 0.0, B: offset}, 30, 2)
        d.append(np.mean(arms[B].values["test_accuracy"] - arms[A].values["test_accuracy"]))
    assert abs(np.mean(d) - offset) < 5 * np.std(d) / np.sqrt(len(d)) + 1e-12


def test_luck_is_standard_normal_and_shared_as_in_the_studies():
    z = luck(np.random.default_rng(0), 2, 30, 2, (4000,))
    assert z.shape == (4000, 2, 30, 2)
    assert z.std() == pytest.approx(1, abs=0.01)

    def together(x, y):
        return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])

    assert together(z[:, 0, :, 0], z[:, 1, :, 0]) == pytest.approx(0.4, abs=0.02)  # one draw, one initialisation
    assert together(z[:, 0, :, 0], z[:, 1, :, 1]) == pytest.approx(0.2, abs=0.02)  # one draw
    assert together(z[:, 0, :, 0], z[:, 0, :, 1]) == pytest.approx(0.4, abs=0.02)  # one arm on one draw
    assert together(z[:, 0, 0, 0], z[:, 0, 1, 0]) == pytest.approx(0, abs=0.05)


def test_data_that_never_vary_give_no_arm_an_effect():
    z = luck(np.random.default_rng(0), 2, 1, 200, (500,)).mean(axis=(2, 3))
    assert float((z[:, 0] - z[:, 1]).std()) < 0.1


def test_the_family_on_trial_is_that_of_the_paper_and_no_claim_lacks_data():
    assert [c.id for c in paper()] == [c.id for c in shipped_claims(headline=True)]
    for side in ("supported", "refuted"):
        outcomes, effect = Family(side)(0)
        assert effect is None
        assert outcomes <= {side} | {f"{side} {c.id}" for c in paper()}
        assert Family(side)(0) == (outcomes, effect)


def test_claims_that_hold_clearly_are_supported():
    found = [Family("supported", edge=False)(number)[0] for number in range(5)]  # one with each kind of scores
    ids = {c.id for c in paper()}
    # Two initialisations do not suffice to show that noise costs nothing, and one bent boundary of sixty leaves C7 open.
    assert all({f"supported {name}" for name in ids - {"C5", "C7"}} <= each for each in found)
    assert any("supported C7" in each for each in found)


def test_the_analyses_on_trial_are_those_that_ship():
    specs = _specifications()
    assert len(specs) == 18
    assert {s.select for s in specs} == {"all", "best_rate", "best_start"}
    draws = {s.select: s.study.seeds.data for s in specs}
    assert draws["best_start"] < draws["all"] == draws["best_rate"] == 30
    claim, others = _claims()
    assert claim.id == CLAIM
    assert STUDY in claim.studies
    units = sum(len(c.studies) if c.per_study else 1 for c in paper())
    assert len(others) + 1 == units


def test_a_difference_that_flips_with_the_axis_depends_and_one_that_does_not_is_found():
    flips = Analyses(ByAxis(0.06, -0.01), 0.6, ("normal",), family=True)
    assert [flips(number)[0] for number in range(3)] == [frozenset({"depends"})] * 3
    assert flips(0)[1] == pytest.approx(0.025, abs=0.02)
    always = Analyses(Everywhere(0.08), 0.6, ("normal",), family=True)
    assert [always(number)[0] for number in range(3)] == [frozenset({"supported"})] * 3
    assert always(0) == always(0)


def test_processes_play_what_one_plays():
    pools = dict.fromkeys(POOLS, np.linspace(0.8, 1, 31 * 12).reshape(31, 12))
    parts = [(0, range(2)), (8, range(2, 4))]
    assert list(_play_all(pools, parts, 1)) == list(_play_all(pools, parts, 2))


def test_a_record_answers_every_question():
    pools = dict.fromkeys(POOLS, np.linspace(0.8, 1, 31 * 12).reshape(31, 12))
    told = []
    record = try_judge(pools, Size(), 1, told.append)
    answers = answers_of(record)
    assert len(told) == len(answers) == sum(len(q.limits) for q in questions(pools))
    assert {a.studies for a in answers} == {1}
    assert record["pools"]["twin"]["models"] == 372
    assert len(table(record).splitlines()) == 2 + len(answers)
