"""The caveats of the page as a whole; those of single verdicts stand on their cards."""

from __future__ import annotations

from qmoe.report.findings.doubts import page_caveats
from qmoe.report.sections.blocks import Context, Section, Text


def caveats_section(context: Context) -> list[Section]:
    """What a careful reader should hold against the figures."""
    lines = tuple(page_caveats(context.results, context.contents.judged.covered))
    block = Text(lines or ("Nothing that the rules of this page look for.",), points=bool(lines))
    return [Section("caveats", "Caveats", "Caveats", [block], boxed=True)]
