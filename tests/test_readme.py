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
    for part in ("in one line of PyTorch", "```python", ".png)", "make reproduce", "make test", "**Finding**"):
        assert part in screen, part


def test_the_first_example_prints_what_the_page_shows(capsys):
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL).groups()
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_numbers_in_its_sentences_are_those_of_the_claims_and_of_the_calibration():
    others = {claim.id[:2] for claim in shipped_claims() for test in claim.tests if test.margin != MARGIN}
    assert f"differences of accuracy below {MARGIN:g} are treated as negligible" in README
    assert f"{', '.join(sorted(others)[:-1])} and {max(others)} have margins of their own" in README
    assert len(specifications(load_preset("ladder-moons"))) == 18
    answers = json.loads((ROOT / "calibration" / "record.json").read_text(encoding="utf-8"))["answers"]
    worst = max(answer["share"] for answer in answers if answer["limit"] is not None and answer["at_most"])
    assert f"at most {worst:.1%} of the cases" in " ".join(README.split())


def test_a_run_of_the_same_registration_has_the_same_run_before_it():
    assert script.earlier(RECORD, RECORD["digest"]) == RECORD["earlier"]
    assert script.earlier(RECORD, "another")["digest"] == RECORD["digest"]
    assert RECORD["earlier"]["digest"] != RECORD["digest"]


def test_its_tables_and_the_number_of_models_are_those_of_the_record():
    assert len(RECORD["accuracies"]) > 20
    assert script.filled(README, RECORD) == README, "run `python scripts/readme_results.py`"
    assert f"{RECORD['trials']:,} models" in README


def test_the_record_is_that_of_the_claims_and_studies_that_ship():
    assert RECORD["digest"] == registered().digest, "run `make reproduce`, then `scripts/readme_results.py results`"
    found = [(row["id"], row["statement"]) for row in RECORD["claims"]]
    assert found == [(claim.id, claim.statement) for claim in shipped_claims()]


def test_a_number_that_is_not_in_the_record_is_seen():
    other = {**RECORD, "claims": [{**RECORD["claims"][0], "outcome": "supported"}, *RECORD["claims"][1:]]}
    assert script.filled(README, other) != README
    other = json.loads(json.dumps(RECORD))
    other["accuracies"][0]["held_out"]["mean"] += 0.001
    assert script.filled(README, other) != README
    other = json.loads(json.dumps(RECORD))
    other["leads"]["ladder-checkerboard"]["no-entangler"]["minmax_pi, X, lbfgs-best"] += 0.1
    assert script.filled(README, other) != README
