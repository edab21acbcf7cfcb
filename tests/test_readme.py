"""The README's own claims: its commands exist, its examples run."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from qmoe.claims import registered, shipped_claims
from qmoe.statistics.conventions import MARGIN
from qmoe.studies import load_preset, specifications

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
RECORD = json.loads((ROOT / "docs" / "results.json").read_text(encoding="utf-8"))
_spec = importlib.util.spec_from_file_location("readme_results", ROOT / "scripts" / "readme_results.py")
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_every_python_example_runs(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_every_make_target_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^)make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_relative_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_first_screen_says_what_it_is_what_to_type_and_what_it_found():
    screen = "\n".join(README.splitlines()[:45])
    for part in (
        "in one line of PyTorch",
        "It is for",
        "```python",
        ".png)",
        "make reproduce",
        "make test",
        "**Finding**",
    ):
        assert part in screen, part


def test_the_first_example_prints_what_the_page_shows(capsys):
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL).groups()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_numbers_in_its_sentences_are_those_of_the_claims_and_of_the_calibration():
    others = {claim.id[:2] for claim in shipped_claims() for test in claim.tests if test.margin != MARGIN}
    assert f"differences of accuracy below {MARGIN:g} are treated as negligible" in RESULTS
    assert f"{', '.join(sorted(others)[:-1])} and {max(others)} have margins of their own" in RESULTS
    assert len(specifications(load_preset("ladder-moons"))) == 18
    answers = json.loads((ROOT / "calibration" / "record.json").read_text(encoding="utf-8"))["answers"]
    worst = max(answer["share"] for answer in answers if answer["limit"] is not None and answer["at_most"])
    assert f"at most {worst:.1%} of the cases" in " ".join(RESULTS.split())


def test_a_run_of_the_same_registration_has_the_same_run_before_it():
    assert script.earlier(RECORD, RECORD["digest"]) == RECORD["earlier"]
    assert script.earlier(RECORD, "another")["digest"] == RECORD["digest"]
    assert RECORD["earlier"]["digest"] != RECORD["digest"]


def test_tables_and_the_number_of_models_are_those_of_the_record():
    assert len(RECORD["accuracies"]) > 20
    for page in (README, RESULTS):
        assert script.filled(page, RECORD) == page, "run `python scripts/readme_results.py`"
    assert f"{RECORD['trials']:,} models" in README


def test_the_record_is_that_of_the_claims_and_studies_that_ship():
    assert RECORD["digest"] == registered().digest, "run `make reproduce`, then `scripts/readme_results.py results`"
    found = [(row["id"], row["statement"]) for row in RECORD["claims"]]
    assert found == [(claim.id, claim.statement) for claim in shipped_claims()]


def changed(change):
    """The record after a change."""
    other = json.loads(json.dumps(RECORD))
    change(other)
    return other


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["claims"][0].update(outcome="supported"),
        lambda record: record["accuracies"][0]["held_out"].update(mean=0.5),
        lambda record: record["leads"]["ladder-checkerboard"]["no-entangler"].update({"minmax_pi, X, lbfgs-best": 0.9}),
    ],
)
def test_a_number_that_is_not_in_the_record_is_seen(change):
    assert script.filled(RESULTS, changed(change)) != RESULTS


def test_a_verdict_that_is_not_in_the_record_is_seen_in_the_short_table():
    assert script.filled(README, changed(lambda record: record["claims"][0].update(outcome="supported"))) != README
    claim = next(row for row in RECORD["claims"] if row["id"] == "C6b")
    assert "supported on checkerboard" in script.by_data_set(claim["parts"])
    turned = [{**part, "outcome": "refuted"} for part in claim["parts"]]
    assert script.by_data_set(turned) == "refuted on two moons, circle in a circle, two spirals, checkerboard"


def test_what_its_sentences_say_of_claims_is_in_the_record():
    outcomes = {row["id"]: row["outcome"] for row in RECORD["claims"]}
    assert (outcomes["C2"], outcomes["C6a"], outcomes["C6b"]) == ("inconclusive", "refuted", "refuted")
    parts = {row["id"]: row["parts"] for row in RECORD["claims"]}
    assert [len(parts[name]) for name in ("C6a", "C6b")] == [4, 4]
    refuted = [part["data_set"] for part in parts["C6b"] if part["outcome"] == "refuted"]
    assert len(refuted) == 2
    assert "C6b is refuted on two" in " ".join(RESULTS.split())
    assert [row["id"] for row in RECORD["claims"] if len(row["parts"]) > 1] == ["C6a", "C6b"]
