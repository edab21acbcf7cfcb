"""What stands beside a list of verdicts: on the page and at the terminal, from the same facts."""

import io

import numpy as np
import pytest
from rich.console import Console

from qmoe.claims import ladder_claims
from qmoe.cli.jobs import _tell, _tell_notes, _verdicts
from qmoe.report import Contents, effect_words, judge_all, telling
from qmoe.report.findings.rung_results import routing_sentences
from qmoe.report.findings.verdict_words import n_more_caveats, verdict_notes
from qmoe.report.pictures.style import style
from qmoe.report.sections.claim_cards import cards_of
from qmoe.report.sections.summary import opening_sentence, page_title, unexamined_sentence
from qmoe.studies import Record, StudyResults, load_preset, make_trials, with_ladder
from qmoe.studies.store import Execution


def ladder(scores, seeds=30, turning=None):
    """A ladder of the user's own with invented accuracies by arm; at four times the rate with those of ``turning``."""
    study = load_preset("phase2-heldout").resized(seeds=seeds)
    study = study.model_copy(update={"name": "mine", "title": "What carries the effect: kind in mine.csv"})
    study = with_ladder(study.model_copy(update={"lr_factors": (4.0,), "multiverse": None}), ["twin", "linear", "mean"])
    generator, records = np.random.default_rng(0), {}
    members = make_trials(study)
    for m in members:
        faster = m.trial.training.lr > study.training.lr
        score = (turning if turning and faster else scores)[m.arm] + generator.normal(0, 0.004)
        metrics = {"test_accuracy": score, "loss": 1.0 + faster, "parameters": 36.0}
        records[m.trial.hash] = Record(m.trial, metrics, {}, b"", Execution(1.0, 10, 1, "torch", "0", None))
    results = StudyResults.of_records(study, tuple(members), records)
    return results, judge_all([results], ladder_claims(study))


def outcomes(judged):
    return {v.claim.id: v.outcome for v in judged.verdicts}


IDLE = {"quantum": 0.92, "twin": 0.85, "linear": 0.92, "mean": 0.915}


@pytest.fixture(scope="module")
def idle():
    """The quantum router is ahead of its twin at one rate alone, and no better than without routing."""
    return ladder(IDLE, turning=IDLE | {"twin": 0.92})


def test_a_lead_where_routing_is_not_shown_to_matter_is_told_beside_the_verdict_and_on_the_card(idle):
    results, judged = idle
    assert outcomes(judged)["A4"] == "supported"
    notes = [words for ids, words in verdict_notes(judged) if ids == ("A4",)]
    routing = (
        "mine: routing is not shown to matter: switching the router off is not shown to cost more than 0.02. So being "
        "ahead is not shown to come from the router."
    )
    assert routing in notes
    with style():
        card = next(card for card in cards_of(judged, [results]) if card.verdict.claim.id == "A4")
    assert routing in card.caveats
    assert card.rates in notes
    assert card.rates.startswith("It depends on the rate: inconclusive at four times the rate")


def test_a_lead_where_routing_matters_has_no_such_caveat():
    _, judged = ladder(IDLE | {"mean": 0.8})
    assert outcomes(judged)["A4"] == "supported"
    assert verdict_notes(judged) == []
    assert not any("shown to matter" in words for v in judged.verdicts for words in v.caveats)


def test_that_no_router_is_needed_is_said_of_the_study_that_shows_it():
    needless, needed = (ladder(IDLE | {"mean": mean})[0] for mean in (0.92, 0.8))
    said = "quantum router (switched off) is as accurate as the quantum router within 0.02."
    assert routing_sentences([needless], {}) == [f"No router is needed here: {said}"]
    assert routing_sentences([needed], {}) == []
    assert routing_sentences([needless, needless], {"mine": "kind"})[0] == f"No router is needed on kind: {said}"


def test_why_several_claims_are_inconclusive_is_said_once():
    _, judged = ladder(IDLE, seeds=8)
    assert verdict_notes(judged) == [
        (("A1", "A4"), "Inconclusive: there are 8 draws of the data, and the claim asks for 30.")
    ]


def test_an_estimate_of_too_few_draws_is_shown_as_one_that_is_not_judged():
    results, judged = ladder(IDLE, seeds=8)
    last = judged.verdicts[-1]
    assert last.outcome == "inconclusive"
    effect = effect_words(telling(last))
    assert effect.startswith("+0.0")
    assert effect.endswith(", not judged")
    with style():
        card = cards_of(judged, [results])[-1]
    assert card.effect.startswith("So far, and not judged: test accuracy of quantum router 92.")
    assert "the quantum router is 6.8 percentage points ahead, over 8 repeats" in card.effect
    assert card.figures.lines[0].judged


def test_claims_notes_and_verdicts_are_readable_at_80_columns(idle):
    results, judged = idle
    contents = Contents((results,), {}, tuple(v.claim for v in judged.verdicts))
    console = Console(file=io.StringIO(), width=80)
    console.print(_verdicts(judged.verdicts))
    _tell_notes(console, contents)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    assert "It depends on the rate: inconclusive at four times the rate" in flat
    assert "routing is not shown to matter" in flat
    more = n_more_caveats(judged)
    assert f"The report has {more} more caveat" in text if more else "more caveat" not in text


def test_trials_that_are_missing_are_told_at_the_terminal(idle, tmp_path):
    results, _ = idle
    half = StudyResults.of_records(results.study, results.members, dict(list(results.records.items())[::2]))
    console = Console(file=io.StringIO(), width=80)
    contents = Contents((half,), {})
    _tell(console, contents.rows, contents, tmp_path / "report.html", None, 1.0, as_json=False)
    total = len(results.members)
    said = f"{total // 2:,} of {total:,} trials missing: run the same command again."
    assert said in " ".join(console.file.getvalue().split())


def test_a_page_of_a_users_own_study_names_it_and_leaves_out_the_papers_claims(idle):
    results, judged = idle
    assert page_title([results]) == "What carries the effect: kind in mine.csv"
    assert any(claim.id == "C2" for claim in judged.unexamined)
    assert unexamined_sentence(judged) == ""
    assert opening_sentence(judged).startswith("Of 2 claims, 1 held and 1 is inconclusive.")
    both = [results, *(StudyResults.of_records(load_preset("phase2-heldout"), (), {}) for _ in range(1))]
    assert page_title(both) == "Quantum routers for mixtures of experts: what was seen"
