"""The examples of docs/twins.md run and print what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "twins.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def without_rounding(text: str) -> str:
    """The text with what differs between machines taken out: residuals of the size of rounding."""
    return re.sub(r"\d\.\de-1\d", "rounding", text)


def test_examples_print_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(EXAMPLES) == TEXT.count("```python") >= 7
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code, expected in EXAMPLES:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/twins.md", "exec"), names)
        assert without_rounding(printed.getvalue()) == without_rounding(expected)
