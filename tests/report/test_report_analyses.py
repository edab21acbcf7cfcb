"""Claims over several analyses: cards, the table of choices, and specification curves."""

import csv
import json

import numpy as np
import pytest
from invented_results import OWN

from qmoe.claims import SpecificationRow, parse_claims
from qmoe.claims.analyses.over_analyses import join
from qmoe.report import Contents, build_report, judge_all
from qmoe.report.findings.judged import telling
from qmoe.report.findings.other_analyses import analysed, analyses_words, counted_words
from qmoe.report.findings.survival import survival
from qmoe.report.pictures.style import style
from qmoe.report.sections.blocks import Context
from qmoe.report.sections.claim_cards import cards_of, curves_of
from qmoe.report.sections.learning_rates import learning_rates_section
from qmoe.report.sections.summary import gaps, leads, opening_sentence, verdict_table
from qmoe.studies import Record, StudyResults, make_trials, parse_study
from qmoe.studies.specifications import specifications
from qmoe.studies.store import Execution

QUANTUM = {"router": {"kind": "quantum", "n_qubits": 2, "n_layers": 1}, "experts": {"kind": "linear"}}
LINEAR = {"router": {"kind": "linear"}, "experts": {"kind": "linear"}}


def study_of(name, **changes):
    values = {
        **OWN, "name": name, "title": f"Circles {name}", "seeds": {"data": 30, "per_data": 2},
        "arms": [{"name": "quantum", "label": "quantum router", "model": QUANTUM},
                 {"name": "linear", "label": "linear router", "model": LINEAR},
                 {"name": "other", "label": "other router", "model": {**LINEAR, "n_experts": 3}}],
        "multiverse": {"scaling": ["standard", "minmax_pi"], "rotation": ["X", "Z"], "arms": ["quantum", "linear"]},
        **changes,
    }  # fmt: skip
    return parse_study(values)


def results_of(name, ahead, **changes):
    """Invented results: the quantum router is ahead of the others by ``ahead(scaling, rotation)``."""
    study = study_of(name, **changes)
    plain = [study, *(specification.study for specification in specifications(study))]
    generator, records = np.random.default_rng(3), {}
    for m in (member for each in plain for member in make_trials(each)):
        if m.trial.hash in records:
            continue
        rotation = {"rotation": "X"} | m.trial.model.router.model_dump()
        lead = ahead(m.trial.data.scaling, rotation["rotation"]) if m.arm == "quantum" else 0.0
        score = 0.8 + lead + generator.normal(0, 0.01)
        metrics = {"test_accuracy": score, "train_accuracy": score, "loss": 1.0, "parameters": 30.0}
        metrics["router_parameters"] = 6.0
        records[m.trial.hash] = Record(
            m.trial, metrics, {"loss": [1.0] * 3}, b"", Execution(1.0, 10, 1, "torch", "0", None)
        )
    return StudyResults.of_records(study, tuple(make_trials(study)), records)


def claim_on(*studies, **changes):
    test = {
        "kind": "difference",
        "name": "ahead",
        "a": "quantum",
        "b": "linear",
        "direction": "greater",
        "margin": 0.02,
    }
    (claim,) = parse_claims({
        "id": "mine.1", "statement": "It is ahead.", "topic": "is it ahead?", "source": "us", "headline": True,
        "studies": list(studies), "tests": [test], "if_supported": "It leads.", "if_refuted": "It does not lead.", **changes,
    })  # fmt: skip
    return claim


def by_axis(_scaling, rotation):
    return 0.1 if rotation == "X" else -0.1


def everywhere(_scaling, _rotation):
    return 0.1


def drawn(results, claim):
    judged = judge_all(results, [claim])
    with style():
        return judged, cards_of(judged, results)[0]


def test_a_claim_that_one_choice_turns_round_depends_on_it():
    results = [results_of("a", by_axis)]
    judged, card = drawn(results, claim_on("a"))
    assert (card.verdict.outcome, card.verdict.own) == ("depends", "supported")
    assert card.meaning == "Equally sound analyses give opposite verdicts, so none can be called right."
    assert card.analyses == (
        "Supported at 2 of 4 analyses, refuted at 2.",
        "The outcome depends most on the encoding axis (rotation X: supported at all 2; rotation Z: refuted at all 2).",
        "At the study's own choices alone it would be supported.",
    )
    assert card.effect.startswith("At the study's own choices. Test accuracy (Circles a): quantum router 9")
    assert opening_sentence(judged) == ("Of 1 claim, 1 depends on the analysis. It was judged at up to 4 analyses.")
    assert [lead.label for lead in leads(judged)] == ["What depends on the analysis"]
    assert verdict_table(judged).cells()[0][2] == "depends on the analysis"
    assert learning_rates_section(Context(Contents(tuple(results), {}, (claim_on("a"),)), lambda _words: None)) == []
    plain = judged.verdicts[0].as_dict()
    assert plain["outcome"] == "depends"
    json.dumps(plain, allow_nan=False)


def test_a_claim_that_holds_at_all_analyses_says_so():
    _, card = drawn([results_of("a", everywhere)], claim_on("a"))
    assert (card.verdict.outcome, card.meaning) == ("supported", "It leads.")
    assert card.analyses == ("Supported at all 4 analyses.",)


def test_the_table_of_choices_counts_by_alternative():
    results = [results_of("a", by_axis), results_of("b", everywhere)]
    judged = judge_all(results, [claim_on("a", "b", per_study=True)])
    found = survival(judged, {"a": "set A", "b": "set B"})
    assert found.choices == [("scaling", ["standardised", "[0, π]"]), ("encoding axis", ["X", "Z"])]
    whole, first, second = found.rows
    assert [(row.about, row.outcome, row.part) for row in found.rows] == [
        ("is it ahead?", judged.verdicts[0].outcome, False), ("set A", "depends", True), ("set B", "supported", True),
    ]  # fmt: skip
    assert [cell.words for cell in first.cells] == ["split", "split", "supported 2/2", "refuted 2/2"]
    assert [cell.words for cell in second.cells] == ["supported 2/2"] * 4
    # All studies must hold, so the claim falls wherever one of them does.
    assert [cell.words for cell in whole.cells] == ["split", "split", "supported 2/2", "refuted 2/2"]
    assert found.single == ()
    assert found.table().cells()[1][3:] == ["split", "split", "supported 2/2", "refuted 2/2"]


def test_a_claim_on_several_data_sets_has_a_row_and_a_panel_for_each():
    results = [results_of("a", by_axis), results_of("b", everywhere)]
    _, card = drawn(results, claim_on("a", "b", per_study=True))
    assert [(part.study, part.outcome) for part in card.by_study] == [
        ("Circles a", "depends"),
        ("Circles b", "supported"),
    ]
    assert card.by_study[1].analyses == "supported at all 4 analyses"
    assert "By data set: depends on the analysis on Circles a; supported on Circles b." in card.meaning
    (curve,) = card.curves
    assert curve.name == "claim-mine-1-analyses"
    assert curve.alt.startswith("Specification curve, quantum router minus linear router. Circles a: from -0.1")
    assert [axes.get_title(loc="left") for axes in curve.figure.axes[:2]] == ["Circles a", "Circles b"]
    labels = [label.get_text() for label in curve.figure.axes[2].get_yticklabels()]
    assert labels == ["scaling: standardised", "[0, π]", "encoding axis: X", "Z"]


def test_what_was_compared_at_the_studys_own_choices_alone_is_no_analysis():
    results = [results_of("a", everywhere)]
    tests = [{"kind": "difference", "name": "t", "a": "quantum", "b": "other", "direction": "greater", "margin": 0.02}]
    judged, card = drawn(results, claim_on("a", tests=tests))
    assert analysed(judged.verdicts[0]) == []
    assert (card.analyses, card.curves) == ((), ())
    assert survival(judged, {}) is None
    tests.append({**tests[0], "name": "u", "b": "linear"})
    judged, card = drawn(results, claim_on("a", tests=tests))
    assert len(analysed(judged.verdicts[0])) == 1
    assert card.caveats[0] == "Analysed in one way only: quantum router against other router."


def test_a_claim_refuted_by_what_was_compared_once_says_so():
    results = [results_of("a", lambda scaling, _r: 0.0 if scaling == "standard" else 0.1)]
    tests = [{"kind": "difference", "name": b, "a": "quantum", "b": b, "direction": "greater", "margin": 0.02}
             for b in ("linear", "other")]  # fmt: skip
    judged, card = drawn(results, claim_on("a", tests=tests))
    assert [card.verdict.outcome, card.analyses[0]] == ["refuted", "Refuted at all 4 analyses."]
    assert "What refutes it was compared at the study's own choices alone" in card.analyses[-1]
    assert survival(judged, {}).note == "mine.1: refuted by what was compared at the study's own choices alone."
    # The curve is that of what was tried at all of them.
    assert "quantum router minus linear router" in card.curves[0].alt
    _, card = drawn(results, claim_on("a"))
    assert not any("could not change this" in line for line in card.analyses)


def test_a_card_gives_every_estimand_and_what_could_have_been_found():
    _, card = drawn([results_of("a", lambda _s, _r: 0.0195)], claim_on("a"))
    assert card.verdict.outcome == "inconclusive"
    assert [line.what for line in card.figures.lines] == [
        "mean of all runs",
        "share of runs that reach 95%, which counts as success",
        "best of 2 starts, by training loss",
    ]
    assert [line.judged for line in card.figures.lines] == [True, False, False]
    assert card.figures.lines[0].difference.startswith("+0.020 [")
    evidence = telling(card.verdict).evidence
    assert card.power == (
        f"With 30 draws of the data, a difference of {evidence.smallest_effect:.2g} would be found with a chance of 80%. "
        f"The smallest difference that matters, 0.02, needs {evidence.draws_needed} draws of the data. "
        "That many are here, but the effect lies too near 0.02 to be told from it."
    )


def test_missing_trials_of_other_analyses_are_told():
    whole = results_of("a", everywhere)
    own = {m.trial.hash for m in whole.members}
    records = {key: record for one in (whole, *whole.specifications) for key, record in one.records.items()}
    del records[next(key for key in records if key not in own)]
    assert gaps([whole]) == []
    (line,) = gaps([StudyResults.of_records(whole.study, whole.members, records)])
    assert line == "Trials of other analyses are missing: run the same command again. (a 1)"


def test_the_page_shows_the_choices(tmp_path, monkeypatch):
    # Invented models have no boundaries.
    monkeypatch.setattr("qmoe.report.sections.own_study.is_planar", lambda _arms: False)
    results = (results_of("a", by_axis), results_of("b", everywhere))
    page = build_report(Contents(results, {}, (claim_on("a", "b", per_study=True),)), tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "Which claims survive which choices" in text
    assert "depends on the analysis" in text
    assert text.count('aria-label="Specification curve"') == 1
    with (tmp_path / "tables" / "analyses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows][1:] == ["depends", "supported"]
    assert rows[1]["rotation: Z"] == "refuted 2/2"
    assert (tmp_path / "figures" / "claim-mine-1-analyses.svg").exists()


@pytest.mark.parametrize(
    ("outcomes", "words"),
    [
        ("rrrr", "refuted at all 4 analyses"),
        ("rrri", "refuted at 3 of 4 analyses, inconclusive at 1"),
        ("iisr", "inconclusive at 2 of 4 analyses, supported at 1, refuted at 1"),
    ],
)
def test_outcomes_are_counted_the_commonest_first(outcomes, words):
    names = {"s": "supported", "r": "refuted", "i": "inconclusive"}
    rows = [SpecificationRow({}, False, names[o], names[o], names[o], ()) for o in outcomes]
    assert counted_words(join(rows)) == words


def test_nothing_is_drawn_or_said_of_one_analysis():
    results = [results_of("a", everywhere, multiverse=None)]
    judged, card = drawn(results, claim_on("a"))
    assert curves_of(judged.verdicts[0], {}, 0) == []
    assert analyses_words(judged.verdicts[0], 0, {}) == []
    assert card.effect.startswith("Test accuracy")
