"""The examples of the pages in docs/ run and print what the pages say."""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def without_rounding(text: str) -> str:
    """The text with what differs between machines taken out: residuals of the size of rounding."""
    return re.sub(r"\d\.\de-1\d", "rounding", text)


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("twins.md", 7),
        ("effective-dimension.md", 2),
        ("training.md", 2),
        ("deploy.md", 3),
        ("modules.md", 4),
        ("controls.md", 2),
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
