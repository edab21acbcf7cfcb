"""All pictures of a page, drawn side by side where there are processes for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from qmoe.report.pictures.style import Panel, inline, save
from qmoe.studies import InProcess, LocalProcesses
from qmoe.studies.run.dispatch import results


@dataclass(frozen=True)
class Picture:
    """A panel that is to be drawn.

    Attributes:
        panel: the panel.
        folder: where its files go; None for one that is on the page alone.
    """

    panel: Panel
    folder: Path | None


def draw_all(found: Sequence[Picture], executor: Executor, on_drawn: Callable[[], None]) -> dict[str, str]:
    """Writes the files of all pictures, and returns by name the SVG elements for the page.

    Args:
        found: the pictures; no two of one name.
        executor: what draws them, if it is processes of this machine that have started; a few pictures are not worth
            starting them, and processes elsewhere do not have the folder.
        on_drawn: called after each.
    """
    drawn = {}
    is_ready = isinstance(executor, LocalProcesses) and executor.has_started
    for name, svg in results(executor if is_ready else InProcess(), _draw, found):
        drawn[name] = svg
        on_drawn()
    return drawn


def _draw(picture: Picture) -> tuple[str, str]:
    if picture.folder is not None:
        save(picture.panel, picture.folder)
    return picture.panel.name, inline(picture.panel)
