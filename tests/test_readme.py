"""The README's own claims: its commands exist, its examples run."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from qmoe.claims import registered, shipped_claims

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


def test_its_tables_and_the_number_of_models_are_those_of_the_record():
    assert len(RECORD["accuracies"]) > 20
    assert script.filled(README, RECORD) == README, "run `python scripts/readme_results.py`"
    assert f"{RECORD['trials']:,} models" in README


def test_the_record_is_that_of_the_claims_and_studies_that_ship():
    assert RECORD["digest"] == registered().digest, "run `make reproduce`, then `scripts/readme_results.py results`"
    found = [(row["id"], row["statement"]) for row in RECORD["claims"]]
    assert found == [(claim.id, claim.statement) for claim in shipped_claims()]


def test_a_figure_that_is_not_in_the_record_is_seen():
    other = {**RECORD, "claims": [{**RECORD["claims"][0], "outcome": "supported"}, *RECORD["claims"][1:]]}
    assert script.filled(README, other) != README
    other = json.loads(json.dumps(RECORD))
    other["accuracies"][0]["held_out"]["mean"] += 0.001
    assert script.filled(README, other) != README
