"""Tests that ask whether data need something: equal arms and a ceiling answer them."""

import numpy as np
import pytest

from qmoe.claims import ArmRuns, StudyRuns, judge, parse_claims
from qmoe.report.findings.verdict_words import power_sentence

DRAWS = 12
SCORES = 0.8 + 0.05 * np.random.default_rng(0).normal(size=DRAWS)


def verdict(a, b, others=None, metric="test_accuracy", part="router", **test):
    arms = {"a": a, "b": b} | (others or {})
    runs = {
        (name, None): ArmRuns(name, np.arange(DRAWS), np.zeros(DRAWS), {metric: np.asarray(scores)})
        for name, scores in arms.items()
    }
    asked = {"kind": "difference", "name": "t", "a": "a", "b": "b", "margin": 0.02, "metric": metric} | test
    claims = parse_claims(
        {"id": "N", "statement": "s", "source": "me", "studies": ["s"], "min_seeds": 6, "tests": [asked]}
    )
    return judge(claims, [StudyRuns("s", runs, 0.5, part=part)])[0]


@pytest.mark.parametrize(("asks_need", "outcome"), [(True, "refuted"), (False, "inconclusive")])
def test_scores_exactly_alike_say_that_nothing_is_needed(asks_need, outcome):
    assert verdict(SCORES, SCORES, asks_need=asks_need).outcome == outcome


@pytest.mark.parametrize(("asks_need", "outcome"), [(True, "refuted"), (False, "inconclusive")])
def test_a_ceiling_says_that_nothing_is_needed(asks_need, outcome):
    top = 1 - 0.002 * np.random.default_rng(1).random((2, DRAWS))
    assert verdict(*top, asks_need=asks_need).outcome == outcome


@pytest.mark.parametrize("asks_need", [True, False])
def test_arms_that_guess_say_nothing_either_way(asks_need):
    guesses = 0.5 - 0.01 * np.random.default_rng(2).random((2, DRAWS))
    found = verdict(*guesses, asks_need=asks_need)
    assert found.outcome == "inconclusive"
    assert "neither arm does better than guessing" in found.reasons[0]
    assert "needs" not in found.reasons[0]  # more draws of arms that learn nothing are no remedy
    assert power_sentence(found.comparisons[0]) == ""


@pytest.mark.parametrize(
    ("part", "words"), [("router", "routing is not shown to matter"), ("layer", "the layer is not shown to matter")]
)
def test_what_is_switched_off_is_named(part, words):
    close = SCORES - 0.001 * np.random.default_rng(3).random(DRAWS)
    found = verdict(SCORES, close, {"mean": SCORES - 0.005}, part=part)
    assert found.outcome == "inconclusive"
    assert words in found.reasons[0]
    assert f"switching the {part} off is not shown to cost more than 0.02" in found.reasons[0]


def test_explained_variance_is_judged_as_an_accuracy_is():
    noise = 0.001 * np.random.default_rng(4).random((2, DRAWS))
    found = verdict(0.7 + noise[0], 0.3 + noise[1], metric="test_r2")
    assert found.outcome == "supported"
    assert "share of the variance explained" in found.reasons[0]
