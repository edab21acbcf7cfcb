"""The opening of the page: cards and sentences follow the data."""

import dataclasses
import json
import re

import numpy as np
import pytest
from invented_results import OWN, invented

from qmoe.claims import parse_claims
from qmoe.errors import ConfigError
from qmoe.report import Contents, build_report, effect_words, judge_all, read_store, telling
from qmoe.report.findings.verdict_words import rates_sentence
from qmoe.report.pictures.style import style
from qmoe.report.sections.blocks import Context
from qmoe.report.sections.claim_cards import cards_of, forest_of
from qmoe.report.sections.learning_rates import learning_rates_section, sensitivity_sentences
from qmoe.report.sections.summary import leads, opening_sentence, unexamined_sentence, verdict_table
from qmoe.studies import Record, Store, StudyResults, load_preset, make_trials, parse_study, run_studies
from qmoe.studies.store import Execution

CLAIM = {
    "id": "mine.1",
    "statement": "On <circles> & co., noise helps.",
    "source": "our <group>",
    "headline": True,
    "min_seeds": 6,
    "studies": ["my.own-study"],
    "tests": [
        {
            "kind": "difference",
            "name": "noise",
            "a": {"arm": "noisy", "noise": 0.3},
            "b": {"arm": "noisy", "noise": 0.0},
            "direction": "greater",
            "margin": 0.02,
        }
    ],
}


def phase2(quantum, rates=False, **options):
    """Phase 2 with the linear router at 0.9 and the quantum router as given, at 1, a quarter and four times the rate."""
    by_factor = quantum if isinstance(quantum, dict) else dict.fromkeys((1.0, 0.25, 4.0), quantum)
    results = invented(
        "phase2-heldout", lambda arm, _v, f: by_factor[f] if arm == "quantum" else 0.9, rates=False, **options
    )
    if not rates:
        return results
    study = results.study.model_copy(update={"lr_factors": (0.25, 4.0)})
    members = make_trials(study)
    generator = np.random.default_rng(2)
    records = {}
    for m in members:
        factor = round(m.trial.training.lr / study.training.lr, 6)
        score = (by_factor[factor] if m.arm == "quantum" else 0.9) + generator.normal(0, 0.01)
        metrics = {"test_accuracy": score, "loss": {1.0: 1.0, 0.25: 2.0, 4.0: 3.0}[factor], "parameters": 36.0}
        records[m.trial.hash] = Record(m.trial, metrics, {}, b"", Execution(1.0, 10, 1, "torch", "0", None))
    return StudyResults.of_records(study, tuple(members), records)


def drawn(results, claims=None):
    judged = judge_all(results, claims)
    with style():
        return judged, cards_of(judged, results)


@pytest.mark.parametrize(
    ("quantum", "outcome", "label"),
    [(0.97, "supported", "What held"), (0.9, "refuted", "What did not hold"), (0.85, "refuted", "What did not hold")],
)
def test_the_card_and_the_opening_follow_the_data(quantum, outcome, label):
    judged, (card,) = drawn([phase2(quantum)])
    assert (card.verdict.claim.id, card.verdict.outcome) == ("C2", outcome)
    assert (
        card.meaning
        == {"supported": card.verdict.claim.if_supported, "refuted": card.verdict.claim.if_refuted}[outcome]
    )
    assert [lead.label for lead in leads(judged)] == [label]
    words = {"supported": "1 held", "refuted": "1 did not hold"}[outcome]
    assert opening_sentence(judged) == f"Of 1 claim of the paper, {words}."
    assert "ahead" in card.effect if quantum > 0.9 else True
    assert card.panel.alt.startswith("Comparisons behind C2. quantum router against linear router: ")
    for name in ("C1", "C3", "C4a", "C4b", "C5", "C6a", "C6b", "C7"):
        assert name in unexamined_sentence(judged)


def test_too_few_seeds_are_open_and_say_why():
    judged, (card,) = drawn([phase2(0.97, seeds=8)])
    assert card.verdict.outcome == "inconclusive"
    assert card.meaning == "Inconclusive: there are 8 draws of the data, and the claim asks for 30."
    assert any("asks for 30" in reason for reason in card.reasons)
    assert card.panel is None
    assert card.effect.startswith("So far, and not judged: ")
    assert leads(judged)[0].label == "What is inconclusive"


def test_a_claim_of_which_part_is_missing_says_so():
    _, cards = drawn([invented("phase3a-heldout", lambda arm, _v, _f: 0.95 if arm == "quantum" else 0.85)])
    (card,) = cards
    assert card.verdict.claim.id == "C3"
    assert card.verdict.outcome == "inconclusive"
    assert any("There are no results of ladder-moons" in reason for reason in card.reasons)


@pytest.mark.usefixtures("undrawn")
def test_a_study_that_no_claim_speaks_of_shows_none(one_study, tmp_path):
    page = build_report(one_study("my.own-study"), tmp_path).read_text(encoding="utf-8")
    assert 'class="card' not in page
    assert "Do the verdicts depend" not in page
    assert not list((tmp_path / "tables").glob("verdicts*"))


def test_a_borrowed_name_is_not_judged():
    results = phase2(0.97)
    data = load_preset("ladder-circles").data
    borrowed = dataclasses.replace(results, study=results.study.model_copy(update={"data": data}))
    judged = judge_all([borrowed])
    assert judged.verdicts == ()
    assert unexamined_sentence(judged) == ""


def test_a_breakdown_is_told_at_the_strength_it_is_about():
    def at(p):
        return invented("phase3b-heldout", lambda _arm, v, _f: 0.85 if (v or 0.0) >= p else 0.97)

    judged = judge_all([at(0.5)])
    c5, t3 = judged.verdicts
    assert (c5.outcome, t3.outcome) == ("supported", "refuted")
    assert telling(c5).a.endswith("p = 0.5")
    assert telling(t3).a.endswith("p = 0.2")
    assert effect_words(telling(c5)).startswith("−0.1")
    told = forest_of(c5, {}).alt
    assert "p = 0.02 against" in told
    assert re.search(r"p = 0\.7 against [^;]*supports the claim", told)
    assert re.search(r"p = 0\.3 against [^;]*decides nothing", told)
    assert re.search(r"p = 0\.2 against [^;]*refutes it", forest_of(t3, {}).alt)


def test_verdicts_at_other_learning_rates():
    results = [phase2({1.0: 0.97, 0.25: 0.9, 4.0: 0.97}, rates=True)]
    judged, (card,) = drawn(results)
    assert [view.key for view in judged.views] == ["own", "x0.25", "x4", "best"]
    assert [view.verdicts[0].outcome for view in judged.views] == ["supported", "refuted", "supported", "supported"]
    # The best by training loss is the study's own.
    assert telling(judged.views[-1].verdicts[0]).effect == telling(judged.verdicts[0]).effect
    assert card.rates.startswith("It depends on the rate: refuted at a quarter of the rate; the same at four times")
    sentences = " ".join(sensitivity_sentences(judged))
    assert "C2 gets another verdict at some other learning rate" in sentences
    assert "For C2 the verdict even turns into its opposite" in sentences
    assert "with every arm at its own best rate, all verdicts stand" in opening_sentence(judged)
    (section,) = learning_rates_section(Context(Contents(tuple(results), {}), lambda _words: None))
    table = section.blocks[1]
    assert table.cells()[0][2:] == ["supported", "refuted*", "supported", "supported", "all its studies"]
    assert table.rows[0]["x0.25_effect"] == pytest.approx(0, abs=0.01)


def test_verdicts_that_do_not_depend_on_the_rate_say_so():
    judged, (card,) = drawn([phase2(0.97, rates=True)])
    assert sensitivity_sentences(judged)[0] == "No: C2 gets the same verdict at every learning rate tried."
    assert card.rates.startswith("The same at a quarter of the rate")
    assert "another verdict" not in opening_sentence(judged)
    one_rate, (card,) = drawn([phase2(0.97)])
    assert "is not known" in sensitivity_sentences(one_rate)[0]
    assert card.rates == ""


def test_an_arm_that_never_ran_is_open_at_every_rate():
    results = phase2(0.97, rates=True)
    kept = {m.trial.hash for m in results.members if m.arm == "linear"}
    records = {key: record for key, record in results.records.items() if key in kept}
    judged = judge_all([StudyResults.of_records(results.study, results.members, records)])
    assert {view.verdicts[0].outcome for view in judged.views} == {"inconclusive"}
    assert rates_sentence(judged, judged.verdicts[0]) == ""


def test_measurements_are_judged_where_there_are_any():
    generator = np.random.default_rng(0)
    values = {name: at + generator.normal(0, 0.1, 30) for name, at in (("quantum", 9), ("relu", 12), ("twin", 9))}
    judged = judge_all([], None, {"effective dimension on ladder-moons": values})
    assert [(v.claim.id, v.outcome) for v in judged.verdicts] == [("C4a", "refuted"), ("C4b", "refuted")]


def test_shortened_training_is_held_against_the_verdict():
    results = phase2(0.97)
    short = results.study.model_copy(update={"training": results.study.training.model_copy(update={"lr": 0.2})})
    members = tuple(make_trials(short))
    records = {
        m.trial.hash: dataclasses.replace(r, trial=m.trial)
        for m, r in zip(members, results.records.values(), strict=True)
    }
    _, (card,) = drawn([StudyResults.of_records(short, members, records)])
    assert card.verdict.outcome == "supported"
    assert card.caveats[0] == "Other than the preset of phase2-heldout: training.lr is 0.2, not 0.1."


def test_claims_of_a_users_own_are_judged_and_escaped(tmp_path):
    study = parse_study({**OWN, "seeds": {"data": 6, "per_data": 1}, "training": {"epochs": 1}})
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([study], store)
    (claim,) = parse_claims(CLAIM)
    page = build_report(tmp_path / "s.sqlite", tmp_path / "out", claims=[claim]).read_text(encoding="utf-8")
    assert 'id="claim-mine.1"' in page
    assert "On &lt;circles&gt; &amp; co., noise helps." in page
    assert "<circles>" not in page
    assert "<group>" not in page
    assert (tmp_path / "out" / "tables" / "verdicts.csv").exists()
    contents = read_store(tmp_path / "s.sqlite", [claim])
    assert [v.claim.id for v in contents.judged.verdicts] == ["mine.1"]
    json.dumps([v.as_dict() for v in contents.judged.verdicts], allow_nan=False)
    (twice,) = parse_claims({**CLAIM, "id": "C1"})
    with pytest.raises(ConfigError, match="Two claims are called C1"):
        judge_all([], [twice])


def test_the_table_of_verdicts_holds_the_effect():
    judged = judge_all([phase2(0.97)])
    (row,) = verdict_table(judged).rows
    assert (row["claim"], row["verdict"], row["a"], row["b"]) == ("C2", "supported", "quantum router", "linear router")
    assert row["low"] < row["effect"] < row["high"]
    assert row["effect"] == pytest.approx(0.07, abs=0.01)
