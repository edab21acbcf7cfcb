"""Noise and shots on the page: surfaces, curves, sentences and points of breakdown."""

import re

import numpy as np
import pytest

from qmoe.analysis import NoiseSurface
from qmoe.report import build_report
from qmoe.report.findings.judged import judge_all
from qmoe.report.findings.noise_findings import card_table, noise_findings
from qmoe.report.pictures.noise_pictures import surface_plot
from qmoe.report.pictures.style import Panel, inline, style
from qmoe.report.sections.claim_cards import cards_of
from qmoe.studies import Store, load_preset, run_studies
from qmoe.studies.noise_measures import measure_noise, missing_noise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of the preset with few seeds and short training."""
    study = load_preset("phase3b-heldout").resized(seeds=6)
    changes = {"training": study.training.model_copy(update={"epochs": 4}), "lr_factors": ()}
    changes["noise"] = study.noise.model_copy(update={"shots": (16, 256)})
    arms = (study.arms[0].model_copy(update={"noise": (0.0, 0.1, 0.5)}), study.arms[1])
    study = study.model_copy(update=changes | {"arms": arms, "name": "noisy"})
    out = tmp_path_factory.mktemp("noise")
    with Store(out / "store.sqlite") as store:
        run_studies([study], store)
        ((results, cells),) = missing_noise([study], store)
        measure_noise(results, cells, store)
    build_report(out / "store.sqlite", out)
    return out


@pytest.fixture(scope="module")
def found(folder):
    with Store(folder / "store.sqlite", create=False) as store:
        return noise_findings(store.load("noisy"), store.measurements())


def test_the_page_has_a_picture_of_each_protocol_and_the_points_as_a_table(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Noise and shots, by protocol" in page
    for name in ("retrained", "evaluated", "recalibrated", "mitigated", "protocols-exact", "protocols-256"):
        assert (folder / "figures" / f"noisy-quantum-{name}.svg").stat().st_size > 1000
    table = (folder / "tables" / "noisy-quantum-breakdown.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 4 * 3
    assert table[0].startswith("protocol,words,shots,advantage_words,advantage,")


def test_every_protocol_has_one_sentence_on_all_three_criteria(found):
    assert [finding.surface.protocol for finding in found] == ["retrained", "evaluated", "recalibrated", "mitigated"]
    for finding in found:
        assert re.fullmatch(
            r"Trained .*: 2 points of accuracy are .*; the lead over the linear router is .*; half of the gain over chance "
            r"is .*\.",
            finding.sentence,
        )


def test_the_card_of_a_claim_about_noise_has_its_points_and_others_have_not(found):
    table = card_table(found)
    assert table.heads == ("noise protocol", "read-out", "no better than the linear router", "2 points lost",
                           "half of the gain lost")  # fmt: skip
    assert [row[:2] for row in table.rows[:4]] == [
        ("retrained", "exact"), ("retrained", "256 shots"), ("trained clean", "exact"), ("trained clean", "256 shots")
    ]  # fmt: skip
    assert card_table([]) is None


def test_what_a_verdict_over_noise_protocols_means_is_said_by_protocol(folder):
    from qmoe.claims import parse_claims

    test = {"kind": "breakdown", "name": "t", "arm": "quantum", "robust_to": 0.1, "breaks_by": 0.5, "margin": 0.02}
    claim = {"id": "N1", "statement": "It breaks.", "source": "a test", "studies": ["noisy"], "min_seeds": 6}
    with Store(folder / "store.sqlite", create=False) as store:
        results, measured = store.load("noisy"), store.measurements()
    with style():
        judged = judge_all([results], parse_claims(claim | {"tests": [test]}), measured)
        (card,) = cards_of(judged, [results], measured)
    assert card.verdict.multiverse.rows[0].choices == {"noise_protocol": "retrained"}
    assert len(card.verdict.multiverse.rows) == 4
    assert len(card.noise) == 1


def test_cells_have_their_number_and_lines_surround_what_is_left():
    accuracy = np.stack([np.array([[0.9, 0.98], [0.8, 0.97], [0.7, 0.75]])] * 2)
    with style():
        figure = surface_plot(NoiseSurface("evaluated", (0.0, 0.1, 0.2), (64, None), accuracy), 0.85, (0.7, 0.98))
        drawn = inline(Panel("x", figure, "a surface"))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["90", "80", "70", "98", "97", "75"]
    solid = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(solid) == 6  # around two cells of the upper row
    assert len(axes.lines) == 6 + 8  # those and one below them beat the linear router
    assert "<image" not in drawn
