"""Readers are not native speakers: README.md, CONTRIBUTING.md and the pages for users have short sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_WORDS = 30
#: Pages that people read through; the others are references and benchmarks.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/analysis.md", "docs/deploy.md", "docs/modules.md")


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page outside of code and tables; an item of a list ends one."""
    text = re.sub(r"```[\s\S]*?```|^[|#].*$|!\[.*\]\(.*\)|<!--.*-->", "\n\n", text, flags=re.MULTILINE)
    for paragraph in re.split(r"\n\s*\n|\n\* ", re.sub(r"\]\(.*?\)", "]", text)):
        yield from re.split(r"(?<=[.:?])\s+(?=[A-Z`*\[])", " ".join(paragraph.split()))


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_too_long(page: str) -> None:
    found = list(sentences((ROOT / page).read_text(encoding="utf-8")))
    assert len(found) > 10
    assert [s for s in found if len(s.split()) > MAX_WORDS] == []


def test_sentences_are_told_apart() -> None:
    text = "# Title\n\nOne is\nhere. `two` is there: Three.\n* four\n* five [six](seven.md)\n\n| no | no |\n\n```\nno\n```\n"
    assert list(filter(None, sentences(text))) == ["One is here.", "`two` is there:", "Three.", "four", "five [six]"]
