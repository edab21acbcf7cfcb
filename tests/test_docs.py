"""The examples of the pages in docs/ run and print what the pages say."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from qmoe.data import DATASETS, make_dataset

DOCS = Path(__file__).parents[1] / "docs"


def without_rounding(text: str) -> str:
    """The text with what differs between machines taken out: residuals of the size of rounding."""
    return re.sub(r"\d\.\de-1\d", "rounding", text)


@pytest.mark.parametrize(
    ("page", "least"),
    [
        *[("twins.md", 7), ("effective-dimension.md", 2), ("training.md", 2), ("deploy.md", 3), ("modules.md", 4)],
        *[("data.md", 1), ("statistics.md", 2), ("controls.md", 2), ("analysis.md", 5)],
    ],
)
def test_examples_print_what_the_page_says(
    page: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert len(examples) == text.count("```python") >= least
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"docs/{page}", "exec"), names)
        assert without_rounding(printed.getvalue()) == without_rounding(expected)


def test_every_data_set_has_a_row_with_its_difficulty_and_whether_its_truth_is_known() -> None:
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert list(listed) == list(DATASETS)
    for name, row in listed.items():
        assert row[2].strip(" `") == DATASETS[name].difficulty
        if name not in ("mnist", "table"):
            assert (row[3].strip() == "not known") == (make_dataset(name).bayes_error() is None)
