"""All pictures of a page, drawn side by side where there are processes for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qmoe.report.pictures.style import Panel, inline, save
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
