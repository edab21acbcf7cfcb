"""A study with other analyses and learning rates that no claim asks for: the page tells of them all the same."""

import csv

import pytest
from test_report_analyses import claim_on, results_of

from qmoe.report import Contents, build_report


def lead(scaling, rotation):
    return {"X": 0.05, "Z": -0.05}[rotation] if scaling == "standard" else 0.0


@pytest.fixture(scope="module")
def study():
    return results_of("mine", lead, lr_factors=[0.5])


def built(study, out, *claims):
    contents = Contents((study,), {}, claims)
    return build_report(contents, out).read_text(encoding="utf-8")


def rows_of(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_study_without_a_claim_shows_every_analysis_and_every_learning_rate(study, tmp_path):
    page = built(study, tmp_path)
    rows = rows_of(tmp_path / "tables" / "mine-analyses.csv")
    assert [(row["scaling"], row["encoding axis"]) for row in rows] == [
        ("standardised", "X"), ("standardised", "Z"), ("[0, π]", "X"), ("[0, π]", "Z")
    ]  # fmt: skip
    leads = [float(row["linear_difference"]) for row in rows]
    assert leads == pytest.approx([-0.05, 0.05, 0.0, 0.0], abs=0.01)
    assert [float(row["quantum"]) - float(row["linear"]) for row in rows] == pytest.approx(
        [-x for x in leads], abs=0.001
    )
    assert (rows[0]["other"], rows[1]["other"]) == (
        rows[0]["other"],
        "",
    )  # it is tried in the study's own analysis alone
    assert [row["lr"] for row in rows_of(tmp_path / "tables" / "mine-rates.csv")] == ["0.1", "0.05"]
    assert "All 4 have results." in page
    assert "linear router − quantum router: from -0.0" in page
    assert (tmp_path / "figures" / "mine-analyses.svg").is_file()


@pytest.mark.usefixtures("undrawn")
def test_what_a_claim_tells_of_is_not_told_twice(study, tmp_path):
    built(study, tmp_path, claim_on("mine"))
    assert not (tmp_path / "tables" / "mine-analyses.csv").exists()
    assert not (tmp_path / "tables" / "mine-rates.csv").exists()
