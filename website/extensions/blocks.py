"""Blocks of code and of output: long lines of what is printed go on in the next line instead of out of sight."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

#: How many characters of code fit into the column where the screen is wide.
WIDTH = 100


def mark_long_lines(app: Sphinx, doctree: nodes.document) -> None:
    """Gives blocks whose lines do not fit a class of their own."""
    for block in doctree.findall(nodes.literal_block):
        if max(map(len, block.astext().splitlines()), default=0) > WIDTH:
            block["classes"].append("long-lines")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects it."""
    app.connect("doctree-read", mark_long_lines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
