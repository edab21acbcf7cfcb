"""Claims about noise over its protocols, and a breakdown where noise changes nothing at first."""

import numpy as np
import pytest

from qmoe.claims import ArmRuns, StudyRuns, judge, parse_claims, universes
from qmoe.claims.runs import ArmKey
from qmoe.studies import StudyResults, load_preset, make_trials
from qmoe.studies.noise_measures import accuracy_under_noise, noise_cells
from qmoe.studies.store import Execution, Record

STRENGTHS = (0.0, 0.05, 0.1, 0.2)


def claim(**changes):
    test = {"kind": "breakdown", "name": "t", "arm": "quantum", "robust_to": 0.1, "breaks_by": 0.2, "margin": 0.02}
    values = {"id": "N1", "statement": "It breaks.", "source": "a test", "studies": ["phase3b-heldout"]}
    return parse_claims(values | {"tests": [test | changes]})


def runs(**levels):
    rows = np.arange(30)
    arms = {}
    for name, values in levels.items():
        for strength, level in zip(STRENGTHS, values, strict=True):
            luck = np.random.default_rng(int(1e4 * level)).normal(0, 0.005, 30)
            accuracy = {"test_accuracy": level + luck}
            arms[ArmKey(name, strength)] = ArmRuns(name, rows, rows * 0, accuracy, name=name, strength=strength)
    return {"phase3b-heldout": StudyRuns("phase3b-heldout", arms)}


def outcome(**levels):
    return judge(claim(), runs(**levels))[0].outcome


def test_scores_that_noise_leaves_exactly_alike_cost_nothing_where_stronger_noise_costs():
    assert outcome(quantum=(0.95, 0.95, 0.95, 0.85)) == "supported"


def test_accuracy_near_100_percent_can_still_be_lost():
    assert outcome(quantum=(0.99, 0.988, 0.987, 0.9)) == "supported"
    assert outcome(quantum=(0.99, 0.988, 0.987, 0.986)) == "refuted"


def test_noise_that_reaches_no_model_decides_nothing():
    assert outcome(quantum=(0.95, 0.95, 0.95, 0.95)) == "inconclusive"


@pytest.fixture(scope="module")
def results():
    """The preset with invented accuracies: retraining undoes noise up to p = 0.2."""
    study = load_preset("phase3b-heldout").model_copy(update={"lr_factors": ()})
    generator, records, luck = np.random.default_rng(0), {}, {}
    members = make_trials(study)
    for m in members:
        own = luck.setdefault((m.trial.data_seed, m.trial.init_seed), generator.normal(0, 0.004))
        score = float((0.88 if (m.strength or 0) > 0.2 else 0.97) + own + generator.normal(0, 0.002))
        metrics = {"test_accuracy": score, "train_accuracy": score, "loss": 0.1, "chance": 0.5, "parameters": 36.0}
        metrics["router_parameters"] = 24.0
        records[m.trial.hash] = Record(m.trial, metrics, {}, b"", Execution(1.0, 10, 1, "torch", "0", None))
    return StudyResults.of_records(study, tuple(members), records)


def invented(results, protocols):
    """Measurements: what was trained without noise loses 1.5 points for each 0.01 of p."""
    generator, found = np.random.default_rng(1), {}
    for cell in noise_cells(results):
        if cell.protocol in protocols:
            level = 0.97 - 1.5 * cell.strength * (cell.protocol == "evaluated")
            values = level + generator.normal(0, 0.004, 60)
            found.setdefault(accuracy_under_noise(results.study, cell.protocol), {})[cell.name] = values
    return found


def test_each_protocol_that_was_measured_is_a_specification_after_the_study_itself(results):
    measured = invented(results, ["retrained", "evaluated", "mitigated"])
    found = universes(results, measured)
    assert [dict(u.choices) for u in found] == [
        {"noise_protocol": "retrained"}, {"noise_protocol": "evaluated"}, {"noise_protocol": "mitigated"}
    ]  # fmt: skip
    arm = found[1].runs.arms[ArmKey("quantum", 0.1)]
    given = measured[accuracy_under_noise(results.study, "evaluated")]["quantum at p = 0.1, exact"]
    assert arm.values["test_accuracy"].tolist() == given.tolist()
    assert (arm.title, arm.n) == ("quantum router at p = 0.1", 60)
    own = found[0].runs.arms[ArmKey("linear")]
    assert found[1].runs.arms[ArmKey("linear")] is own


def test_measurements_of_other_models_are_left_out(results):
    measured = invented(results, ["evaluated"])
    named = measured[accuracy_under_noise(results.study, "evaluated")]
    named["quantum at p = 0.1, exact"] = np.zeros(59)
    assert [dict(u.choices) for u in universes(results, measured)] == [{"noise_protocol": "retrained"}]
    assert len(universes(results)) == 1


def test_a_claim_that_retraining_bears_out_and_use_without_it_refutes_depends_on_the_protocol(results):
    found = universes(results, invented(results, ["evaluated"]))
    verdict = judge(claim(breaks_by=0.3), {"phase3b-heldout": found[0].runs}, multiverse={"phase3b-heldout": found})[0]
    assert (verdict.own, verdict.outcome) == ("supported", "depends")
    assert verdict.multiverse.deciding.choice == "noise_protocol"
    assert "trained with the noise: supported; trained without noise: refuted" in " ".join(verdict.reasons)
