"""Readers are not native speakers: pages have short sentences, and plain words of the field."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_WORDS = 30
#: Pages that people read through; the others are references and benchmarks.
PAGES = ("README.md", "CONTRIBUTING.md", "docs/analysis.md", "docs/deploy.md", "docs/modules.md", "docs/results.md")
ALL_PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

#: Words that readers stumbled over -> the plain one.
ODD = {
    r"mend(s|ed|ing)?": "fix, reformat",
    r"foretold|foretell": "extrapolated",
    r"in earnest": "in the shipped claims, in full",
    r"crippled": "reduced",
    r"as (it|they) (is|are) (is|are)": "called directly",
    r"can be, the \*span\*|functions (that )?(it|a router|the circuit|a circuit) can be": "can represent",
    r"to a minimum": "to convergence",
    r"is no (superset|softmax)": "is not a",
    r"the judge on trial|busy neighbour": "calibration, loaded by another process",
    r"(paper's|published|all|every|these) figures?": "number; a figure is a picture",
    r"one (row|start|layer|run) a \w+": "one ... per ...",
}


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


def odd_words(text: str) -> list[str]:
    """What a page says in words of `ODD`."""
    return [match.group() for word in ODD for match in re.finditer(rf"\b(?:{word})\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_no_page_has_an_odd_word(page: Path) -> None:
    assert odd_words(" ".join(page.read_text(encoding="utf-8").split())) == []


def test_odd_words_are_seen() -> None:
    assert odd_words("The paper's figures, mended; a sample is no superset.") == [
        "mended",
        "is no superset",
        "paper's figures",
    ]
    assert odd_words("The figure shows numbers of the commended router.") == []


def test_sentences_are_told_apart() -> None:
    text = "# Title\n\nOne is\nhere. `two` is there: Three.\n* four\n* five [six](seven.md)\n\n| no | no |\n\n```\nno\n```\n"
    assert list(filter(None, sentences(text))) == ["One is here.", "`two` is there:", "Three.", "four", "five [six]"]
