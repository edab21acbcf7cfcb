"""Formulas as MathML, which browsers draw themselves: no script, no font and no network is needed."""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def inline(writer: Any, node: nodes.Element) -> None:
    """Writes a formula inside a line."""
    writer.body.append(f'<span class="formula">{drawn(node, inline=True)}</span>')
    raise nodes.SkipNode


def block(writer: Any, node: nodes.Element) -> None:
    """Writes a formula on lines of its own; a wide one scrolls."""
    writer.body.append(f'<div class="formula" tabindex="0">{drawn(node, inline=False)}</div>')
    raise nodes.SkipNode


def drawn(node: nodes.Element, inline: bool) -> str:
    """The MathML of a formula, or its text with a warning where that cannot be read; warnings fail the build."""
    try:
        return without_gaps(latex2mathml.tex2mathml(node.astext(), as_block=not inline))
    except MathError as fault:
        logger.warning("%s In the formula: %s", fault, node.astext(), location=node)
        return html.escape(node.astext())


def without_gaps(drawn: str) -> str:
    """The MathML with bars close to what they enclose: those of kets and absolute values are no operators."""
    return drawn.replace('<mo stretchy="false">|</mo>', '<mo stretchy="false" lspace="0em" rspace="0em">|</mo>')


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the renderer."""
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
