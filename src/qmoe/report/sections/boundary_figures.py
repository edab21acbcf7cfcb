"""Decision boundaries on the page: of one seed, of several to choose from, and the mean over all."""

from __future__ import annotations

from collections.abc import Sequence

from qmoe.claims import ArmRuns
from qmoe.errors import QMoEError, count
from qmoe.report.findings.planes import Planes, planes_of
from qmoe.report.pictures.boundary_pictures import mean_plot, single_plot
from qmoe.report.pictures.style import Colours, Panel
from qmoe.report.sections.blocks import Block, FigureBlock, Picker, Text

PAGES = 12  # seeds that the reader can page through


def planes_or_why(arms: Sequence[ArmRuns]) -> tuple[list[Planes], list[Block]]:
    """What the models of some arms predict, or none of it and the reason: data or weights that the store does not have."""
    try:
        return planes_of(arms), []
    except QMoEError as error:
        return [], [Text((f"Decision boundaries are left out. {error}",))]


def boundaries(planes: Sequence[Planes], stem: str, colours: Colours | None = None) -> list[Block]:
    """The first seed side by side, then the mean over the runs.

    Args:
        planes: what is drawn, an arm each.
        stem: start of the file names.
        colours: of the arms of a study that is none of the paper's; None for the paper's.
    """
    first = tuple(
        Panel(
            f"{stem}-first-{p.arm.name}",
            single_plot(p, colour=_colour(p, colours)),
            f"Decision boundary of the {p.arm.title} for the first seed; accuracy {p.arm.scores[0]:.3f}.",
        )
        for p in planes
    )
    accuracies = ", ".join(f"{p.arm.title} {p.arm.scores[0]:.3f}" for p in planes)
    caption = (
        f"Decision boundaries of one seed, side by side{' as in the paper' if colours is None else ''}. It is the first "
        "seed of the study, whatever it shows; none was chosen for its result. "
        f"Its accuracies: {accuracies}. Round dots are class 0, square dots class 1; the background is the predicted "
        "class."
    )
    return [FigureBlock(first, caption), over_seeds(planes, f"{stem}-mean", colours)]


def over_seeds(planes: Sequence[Planes], stem: str, colours: Colours | None = None) -> FigureBlock:
    """Mean boundary and the band of disagreement."""
    panels = tuple(
        Panel(
            f"{stem}-{p.arm.name}",
            mean_plot(p, _colour(p, colours)),
            f"Mean decision boundary of the {p.arm.title}, {count(p.arm.n, 'run')}.",
        )
        for p in planes
    )
    n_draws = max(len({t.draw for t in p.arm.trials}) for p in planes)
    n_runs = max(p.arm.n for p in planes)
    one = "one draw of the data, whose points are shown"
    data = one if n_draws == 1 else f"{count(n_draws, 'draw')} of the data; the points of the first run are shown"
    caption = (
        f"Mean over the runs of study {planes[0].arm.study}: {count(n_runs, 'run')} of each arm on {data}. "
        "The solid line is where the mean predicted probability is one half. In the band between the dashed lines at "
        "least 10% of the runs disagree with the others."
    )
    return FigureBlock(panels, caption)


def _colour(planes: Planes, colours: Colours | None) -> str | None:
    return None if colours is None else colours[planes.arm.key]


def picker(planes: Sequence[Planes], name: str) -> Picker:
    """The boundaries of the first seeds, one page each."""
    choices = []
    for index in range(min(PAGES, *(p.arm.n for p in planes))):
        panels = []
        for p in planes:
            score = f"{p.arm.title}: {p.arm.scores[index]:.3f}"
            panels.append(Panel(f"{name}-{index}-{p.arm.name}", single_plot(p, index, score), f"Boundary, {score}"))
        choices.append((str(index + 1), tuple(panels)))
    caption = "Boundaries of the first runs, in the order of their seeds; above each its accuracy."
    return Picker(name, "Run", tuple(choices), caption)
