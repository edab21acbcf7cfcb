"""Phase 2: linear against quantum router on two moons."""

from __future__ import annotations

from qmoe.report.findings.arms import Arm, finished, metric_name
from qmoe.report.findings.paper import paper
from qmoe.report.pictures.boundary_pictures import Planes, mean_plot, planes_of, single_plot
from qmoe.report.pictures.distributions import curve_plot, strip_plot
from qmoe.report.pictures.style import Colours, FigureBlock, Panel, count
from qmoe.report.sections.blocks import (
    Block,
    Context,
    Picker,
    Section,
    Text,
    arms_table,
    comparison_table,
    outside_notes,
)
from qmoe.studies import StudyResults

PAGES = 12  # seeds that the reader can page through


def phase2_section(context: Context) -> Section | None:
    """The section, or None where none of its studies has a finished trial."""
    published, heldout = context.pair("phase2")
    shown = finished(published) or finished(heldout)
    if not shown:
        return None
    section = Section("phase2", "Phase 2: two moons, linear against quantum router", studies=("phase2-heldout",))
    context.step("phase 2, boundaries")
    planes = planes_of(shown)
    by_name = {p.arm.name: p for p in planes}
    if {"linear", "quantum"} <= set(by_name):
        linear, quantum = by_name["linear"], by_name["quantum"]
        words = straightness(linear.n_straight(), linear.arm.n, quantum.n_straight(), quantum.arm.n)
        section.blocks.append(Text((words,)))
    section.blocks += boundaries(planes, "phase2")
    if finished(heldout) and shown[0].study != "phase2-heldout":
        section.blocks.append(over_seeds(planes_of(finished(heldout)), "phase2-heldout"))
    context.step("phase 2, seeds")
    section.blocks.append(picker(planes, "phase2-picker"))
    section.blocks += _losses(context, shown, heldout)
    return section


def straightness(n_straight: int, n: int, n_straight_quantum: int, n_quantum: int) -> str:
    """Whether the linear router's boundary is a straight line and the quantum router's bends, as the paper states.

    Args:
        n_straight: linear-router runs whose boundary is straight.
        n: linear-router runs.
        n_straight_quantum: quantum-router runs whose boundary is straight.
        n_quantum: quantum-router runs.
    """
    words = (
        "The paper states that the linear router draws straight lines and the quantum router wraps the data. Here the "
        f"linear router's boundary is a straight line in {n_straight} of {n} runs, the quantum router's in "
        f"{n_straight_quantum} of {n_quantum}. Straight means: one line predicts 99% of the plane alike."
    )
    if n_straight < n:
        words += " A soft linear gate between two linear experts can bend a boundary too: the mixture is not linear."
    return words


def boundaries(planes: list[Planes], stem: str, colours: Colours | None = None) -> list[Block]:
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


def over_seeds(planes: list[Planes], stem: str, colours: Colours | None = None) -> FigureBlock:
    """Mean boundary and the band of disagreement."""
    panels = tuple(
        Panel(
            f"{stem}-{p.arm.name}",
            mean_plot(p, _colour(p, colours)),
            f"Mean decision boundary of the {p.arm.title}, {count(p.arm.n, 'run')}.",
        )
        for p in planes
    )
    n_draws = max(len({r.trial.draw for r in p.arm.records}) for p in planes)
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


def picker(planes: list[Planes], name: str) -> Picker:
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


def _losses(context: Context, shown: list[Arm], heldout: StudyResults | None) -> list[Block]:
    study = shown[0].study
    points = paper().of(study, "loss")
    rows = [row for row in context.rows if row.study == "phase2-published"]
    panels = [
        Panel("phase2-loss", curve_plot(shown, "loss", "loss summed over batches", points, log=True),
              "Training loss against epoch for both routers."),
        Panel("phase2-seeds", strip_plot(shown), "Accuracy of every run on two moons, by router."),
    ]  # fmt: skip
    if (held := finished(heldout)) and study != held[0].study:
        panels.append(Panel("phase2-heldout-seeds", strip_plot(held), "Held-out accuracy of every run, by router."))
    figure = FigureBlock(
        tuple(panels),
        f"Training loss (study {study}), medians and middle 80% over {shown[0].n} runs"
        + (", with the five losses that the paper printed for each router. " if points else ". ")
        + f"Then the final {metric_name(shown[0].metric)} of every run"
        + (", and on held-out data. " if len(panels) > 2 else ". ")
        + "Bars are means with 95% intervals.",
    )
    blocks: list[Block] = [figure]
    if losses := [row for row in rows if row.quantity == "loss"]:
        caption = "Summed training loss at the epochs that the paper prints."
        blocks.append(comparison_table("phase2-comparison", caption, losses, (), 2))
    blocks += outside_notes(rows)
    if shown[0].study != "phase2-heldout":
        blocks.append(arms_table("phase2-published-arms", "Accuracy under the published protocol.", shown))
    if held:
        blocks.append(arms_table("phase2-heldout-arms", "Accuracy on held-out data.", held))
    return blocks
