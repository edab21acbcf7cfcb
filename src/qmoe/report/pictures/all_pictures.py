"""All pictures of a page, drawn side by side where there are processes for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qmoe.report.pictures.style import FigureBlock, Panel, inline, save
from qmoe.report.sections.blocks import Picker, Section
from qmoe.report.sections.claim_cards import Card
from qmoe.studies import Workers


@dataclass(frozen=True)
class Picture:
    """A panel that is to be drawn.

    Attributes:
        panel: the panel.
        folder: where its files go; None for one that is on the page alone.
    """

    panel: Panel
    folder: Path | None


def pictures(cards: Iterable[Card], sections: Iterable[Section], folder: Path) -> Iterator[Picture]:
    """Every panel of a page, in its order."""
    for card in cards:
        for panel in (*([] if card.panel is None else [card.panel]), *card.curves):
            yield Picture(panel, folder)
    for section in sections:
        for block in section.blocks:
            if isinstance(block, FigureBlock):
                yield from (Picture(panel, folder) for panel in block.panels)
            elif isinstance(block, Picker):
                yield from (Picture(panel, None) for _, panels in block.choices for panel in panels)


def draw_all(found: Sequence[Picture], workers: Workers, on_drawn: Callable[[], None]) -> dict[str, str]:
    """Writes the files of all pictures, and returns by name the SVG elements for the page.

    Args:
        found: the pictures; no two of one name.
        workers: processes to share them, if they have started; a few pictures are not worth starting them.
        on_drawn: called after each.
    """
    drawn = {}
    for name, svg in workers.run(_draw, found, start=False):
        drawn[name] = svg
        on_drawn()
    return drawn


def _draw(picture: Picture) -> tuple[str, str]:
    if picture.folder is not None:
        save(picture.panel, picture.folder)
    return picture.panel.name, inline(picture.panel)
