"""The pictures of docs/analysis.md: one for each section with code, drawn by a script from that code."""

import re
import runpy
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "analysis_pictures.py"))
PAGE = SCRIPT["PAGE"].read_text(encoding="utf-8")


def test_every_section_with_code_shows_one_picture_that_the_script_draws() -> None:
    sections = [part for part in PAGE.split("\n## ") if "```python" in part]
    shown = [re.findall(r"!\[[^\]]{40,}\]\(images/([\w-]+)\.svg\)", part) for part in sections]
    assert shown == [[name] for name in SCRIPT["PICTURES"]]
    for name in SCRIPT["PICTURES"]:
        assert (ROOT / "docs" / "images" / f"{name}.svg").stat().st_size < 200_000


def test_the_variables_of_a_page_are_those_of_its_python_blocks_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\na = 1\n```\n\n```text\na = 5\n```\n\n```python\nb = a + 1\n```\n", encoding="utf-8")
    values = SCRIPT["values_of"](page)
    assert (values["a"], values["b"]) == (1, 2)


def test_a_picture_shows_the_values_it_is_given() -> None:
    alignments = {
        "moons": {"linear": 0.5, "RBF": 0.25, "angle": 0.125},
        "xor": {"linear": 0.0, "RBF": 0.4, "angle": 0.2},
    }
    with SCRIPT["style"]():
        (axis,) = SCRIPT["kernels"]({"alignments": alignments}).axes
    shown = {line.get_label(): list(np.asarray(line.get_xdata())) for line in axis.lines}
    assert shown == {
        "linear (classical)": [0.5, 0.0],
        "RBF (classical)": [0.25, 0.4],
        "angle encoding (quantum)": [0.125, 0.2],
    }
    assert [label.get_text() for label in axis.get_yticklabels()] == ["moons", "xor"]
