"""A name of its own for every file and every anchor of a page: two studies ``a.b`` and ``a-b`` share none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from qmoe.report.pictures.style import Panel
from qmoe.report.sections.blocks import Block, FigureBlock, Picker, Section
from qmoe.report.sections.claim_cards import Card
from qmoe.report.tables import Table

#: Anchors of the page, and files in ``tables/``, that belong to no study.
_ANCHORS, _TABLES = ("summary", "theme"), ("headline", "verdicts", "analyses")


@dataclass
class Names:
    """Names that are taken, in small letters, as some file systems take no others."""

    anchors: set[str] = field(default_factory=lambda: set(_ANCHORS))
    pictures: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=lambda: set(_TABLES))

    def of_card(self, card: Card) -> Card:
        """The card, whose pictures have names that no other has."""
        anchor = f"claim-{card.verdict.claim.id}".lower()
        self.anchors |= {anchor, f"{anchor}-says"}
        panel = None if card.panel is None else self._panel(card.panel)
        return replace(card, panel=panel, curves=tuple(map(self._panel, card.curves)))

    def of_section(self, section: Section) -> Section:
        """The section, whose anchor, pictures and tables have names that no other has."""
        blocks = [self._block(block) for block in section.blocks]
        return replace(section, id=_free(section.id, self.anchors), blocks=blocks)

    def _block(self, block: Block) -> Block:
        if isinstance(block, Table):
            return replace(block, name=_free(block.name, self.tables))
        if isinstance(block, FigureBlock):
            return replace(block, panels=tuple(map(self._panel, block.panels)))
        if isinstance(block, Picker):
            choices = tuple((label, tuple(map(self._panel, panels))) for label, panels in block.choices)
            return replace(block, choices=choices)
        return block

    def _panel(self, panel: Panel) -> Panel:
        return replace(panel, name=_free(panel.name, self.pictures))


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered if it is taken; from then on it is."""
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found.lower())
    return found
