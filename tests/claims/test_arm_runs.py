"""The runs of one arm: what pages and verdicts read of them."""

import numpy as np
import pytest

from qmoe.claims import ArmKey, ArmRuns, StudyRuns, runs_of
from report.invented_results import invented


@pytest.fixture(scope="module")
def results():
    """Phase 3B with three draws of the data, accuracy falling with the noise strength."""
    return invented("phase3b-heldout", lambda _arm, strength, _factor: 0.9 - 0.1 * (strength or 0.0), seeds=6)


def test_an_arm_is_found_by_its_name_and_strength(results):
    runs = runs_of(results)
    strengths = [key.strength for key in runs.arms if key.name == "quantum"]
    assert strengths == list(results.study.arms[0].noise)
    arm = runs.arms["quantum", strengths[1]]
    assert arm.key == ArmKey("quantum", strengths[1])
    assert (arm.study, arm.metric) == ("phase3b-heldout", "test_accuracy")
    assert arm.title == f"{arm.label} at p = {strengths[1]:g}"


def test_records_stand_in_the_order_of_the_seeds(results):
    for key, arm in runs_of(results).arms.items():
        assert arm.finished == tuple(results.of(key.name, key.strength))
        assert [r.metrics["test_accuracy"] for r in arm.finished] == arm.scores.tolist()


def test_a_difference_is_over_the_seeds_that_both_have():
    seeds, inits = np.divmod(np.arange(8), 2)
    one = ArmRuns("one", seeds, inits, {"test_accuracy": np.arange(8) / 10})
    other = ArmRuns("other", seeds, inits, {"test_accuracy": np.zeros(8)}, done=np.arange(8) >= 2)
    found = one.minus(other)
    assert found.n_clusters == 3
    assert found.mean == pytest.approx(0.45)
    assert one.differences(other).tolist() == pytest.approx([0.25, 0.45, 0.65])


def test_arms_that_share_fewer_than_two_draws_have_no_difference():
    seeds, inits = np.divmod(np.arange(4), 2)
    one = ArmRuns("one", seeds, inits, {"test_accuracy": np.ones(4)})
    other = ArmRuns("other", seeds, inits, {"test_accuracy": np.ones(4)}, done=np.arange(4) < 2)
    assert one.minus(other) is None


def test_taking_part_of_the_trials_takes_their_records_along(results):
    arm = next(iter(runs_of(results).arms.values()))
    kept = arm.take(arm.data_seeds == 1)
    assert {r.trial.data_seed for r in kept.finished} == {1}
    assert kept.finished == arm.take(np.flatnonzero(arm.data_seeds == 1)).finished
    assert kept.first is kept.trials[0]
    assert kept.curves("loss").tolist() == [r.history["loss"] for r in kept.finished if "loss" in r.history]


def test_plain_pairs_name_arms_as_well():
    runs = ArmRuns("x", np.arange(2), np.zeros(2, dtype=int), {})
    assert [key.name for key in StudyRuns("s", {("x", None): runs}).arms] == ["x"]
