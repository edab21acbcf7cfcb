"""llms.txt: the pages with their links and one sentence about each, for programs that read documentation."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from website.sections import FIRST, navigation


def write(app: Sphinx, exception: Exception | None) -> None:
    """Writes the file beside the pages."""
    if exception is None and app.builder.format == "html":
        Path(app.outdir, "llms.txt").write_text(text(app), encoding="utf-8")


def text(app: Sphinx) -> str:
    """The file: a title, a summary, and a list for each section."""
    lines = ["# qmoe", "", f"> {summary(app, FIRST)}", ""]
    lines += ["The source of page.html is _sources/page.md.txt, page.rst.txt or page.ipynb.txt.", ""]
    for title, pages in navigation():
        lines += [f"## {title}", "", *(entry(app, page) for page in with_parts(app, pages)), ""]
    return "\n".join(lines)


def with_parts(app: Sphinx, pages: list[str]) -> list[str]:
    """The pages, each followed by those that it lists itself."""
    return [part for page in pages for part in (page, *app.env.toctree_includes.get(page, ()))]


def entry(app: Sphinx, page: str) -> str:
    """A line about a page."""
    return f"- [{app.env.titles[page].astext()}]({app.builder.get_target_uri(page)}): {summary(app, page)}"


def summary(app: Sphinx, page: str) -> str:
    """The first sentence of a page."""
    return app.env.metadata[page].get("summary", "")


def note_summary(app: Sphinx, doctree: nodes.document) -> None:
    """Keeps the first sentence of the page that was read, outside of pictures and code.

    Notebooks first say how to run them, so there it is that of the second paragraph.
    """
    paragraphs = (
        paragraph
        for section in doctree.findall(nodes.section)
        for paragraph in section.children
        if isinstance(paragraph, nodes.paragraph)
        and not all(isinstance(child, nodes.reference | nodes.image) for child in paragraph.children)
    )
    position = 1 if app.env.docname.startswith("notebooks/") else 0
    first = " ".join(next((words.astext() for words in islice(paragraphs, position, None)), "").split())
    app.env.metadata[app.env.docname]["summary"] = re.split(r"(?<=\.)(?<!al\.) (?=[A-Z])", first)[0].rstrip(":")


def setup(app: Sphinx) -> dict[str, Any]:
    """Writes the file after the pages."""
    app.connect("doctree-read", note_summary)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
