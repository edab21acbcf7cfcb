"""Findings of the report: facts and sentences, without a page or a picture."""

import dataclasses

import numpy as np
import pytest
from invented_results import invented

from qmoe.claims.runs import ArmKey
from qmoe.errors import count
from qmoe.report import headline, judge_all, telling
from qmoe.report.findings.arms import arms_of, at_epoch, finished
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.rung_results import rungs_of
from qmoe.report.findings.verdict_words import bearings, effect_sentence, meaning_of, power_sentence
from qmoe.report.tables import Column, signed, signed_number
from qmoe.report.words import capital, file_name, join


def noisy(p):
    """Phase 3B with an accuracy that falls at a noise strength."""
    return invented("phase3b-heldout", lambda _arm, strength, _f: 0.85 if (strength or 0.0) >= p else 0.97)


def ladder():
    return invented("ladder-moons", lambda arm, _strength, _f: 0.9 if arm == "linear" else 0.95, seeds=4)


def test_an_arm_is_told_from_others_by_name_and_strength():
    results = noisy(0.5)
    rows = headline([results])
    assert [row.key for row in rows] == [arm.key for arm in arms_of(results)]
    row = next(row for row in rows if row.key == ArmKey("quantum", 0.3))
    assert (row.label, row.what) == ("quantum router at p = 0.3", "quantum router at p = 0.3: test accuracy")
    assert row.to_dict()["what"] == row.what
    assert "label" not in row.to_dict()


def test_a_loss_is_told_with_its_epoch():
    row = next(row for row in headline([invented("phase2-published", lambda *_: 0.9)]) if row.quantity == "loss")
    assert (row.measured, row.what) == ("linear router: loss", "linear router: loss, epoch 0")


def test_figures_of_an_arm_are_taken_at_the_end_or_at_an_epoch():
    (arm, *_) = finished(noisy(0.5))
    assert np.array_equal(at_epoch(arm, "test_accuracy", None), arm.scores)
    assert at_epoch(arm, "loss", 0).tolist() == [1.0] * arm.n
    assert at_epoch(arm, "loss", 10_000).size == 0
    assert at_epoch(arm, "unknown", 0).size == 0


def test_what_noise_costs_supports_or_refutes_by_its_strength():
    c5, t3 = judge_all([noisy(0.5)]).verdicts
    bears = {c.strength: outcome for c, outcome in bearings(c5.tests[0])}
    assert (bears[0.02], bears[0.7]) == ("supported", "supported")
    assert bears[0.3] == "inconclusive"  # too weak to tell of a breakdown, too strong to tell of robustness
    assert telling(c5).a_key == ArmKey("quantum", 0.5)
    assert meaning_of(c5) == c5.claim.if_supported
    assert meaning_of(t3) == t3.claim.if_refuted


def test_accuracies_are_told_in_percentage_points():
    (c2,) = judge_all([invented("phase2-heldout", lambda arm, *_: 0.97 if arm == "quantum" else 0.9)]).verdicts
    assert effect_sentence(telling(c2)) == (
        "Test accuracy (phase2-heldout): quantum router 96.9%, linear router 89.9%. The quantum router is 7.0 percentage "
        "points ahead; with 95% confidence the difference lies between +6.8 and +7.2 points, over 30 repeats."
    )
    assert power_sentence(None) == effect_sentence(None) == ""


def test_a_rung_is_called_by_what_stands_around_it():
    rungs = {r.rung.name: r for r in rungs_of(ladder(), {})}
    told = {name: (r.label, r.short_label, r.label_in_text) for name, r in rungs.items()}
    assert told["no-entangler"] == ("quantum router without entanglers", "without entanglers", "without entanglers")
    assert told["dephased-all"][1:] == ("dephased throughout", "dephased throughout")
    assert told["tanh"] == ("MLP router, tanh", "MLP router, tanh", "MLP router (tanh)")
    assert told["mean"][1:] == ("quantum router, switched off", "quantum router (switched off)")
    assert told["linear"] == ("linear router",) * 3
    # An arm that the study had before its ladder keeps its own name beside that of the rung.
    own = dataclasses.replace(rungs["tanh"].arm, label="mine")
    assert dataclasses.replace(rungs["tanh"], arm=own).label == "MLP router, tanh (mine)"


def test_studies_of_one_title_are_called_by_their_names():
    results = ladder()
    other = dataclasses.replace(results, study=results.study.model_copy(update={"name": "other"}))
    assert study_titles([results]) == {"ladder-moons": "two moons"}
    assert study_titles([results, other]) == {"ladder-moons": "ladder-moons", "other": "other"}


def test_a_starred_cell_follows_a_fact_of_its_row():
    column = Column("percentile", ("value",), starred="outside")
    assert [column.cell({"value": "9*", "outside": out}) for out in (True, False)] == ["9**", "9*"]
    assert [column.stars({"outside": out}) for out in (True, False, None)] == [True, False, False]
    assert not Column("plain", ("value",)).stars({"": True})


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (join([]), ""),
        (join(["a"]), "a"),
        (join(["a", "b", "c"]), "a, b and c"),
        (count(1, "run"), "1 run"),
        (count(1200, "run"), "1,200 runs"),
        (capital("two moons"), "Two moons"),
        (file_name("my.own"), "my-own"),
        (signed_number(-0.0123, 2), "−0.01"),
        (signed(0.0012, -0.5, 0.25), "+0.0012 [−0.5000, +0.2500]"),
        (signed(0.0012, -0.5, 0.25, 3), "+0.001 [−0.500, +0.250]"),
    ],
)
def test_small_pieces_of_text(made, expected):
    assert made == expected
