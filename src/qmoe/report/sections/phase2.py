"""Phase 2: linear against quantum router on two moons."""

from __future__ import annotations

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import finished
from qmoe.report.findings.paper import paper
from qmoe.report.pictures.distributions import curve_plot, strip_plot
from qmoe.report.pictures.style import Panel
from qmoe.report.sections.blocks import (
    Block,
    Context,
    FigureBlock,
    Section,
    Text,
    arms_table,
    comparison_table,
    outside_notes,
)
from qmoe.report.sections.boundary_figures import boundaries, over_seeds, picker, planes_or_why
from qmoe.studies import StudyResults


def phase2_section(context: Context) -> list[Section]:
    """The section; none where none of its studies has a finished trial."""
    published, heldout = context.pair("phase2")
    shown = finished(published) or finished(heldout)
    if not shown:
        return []
    section = Section("phase2", "Phase 2: two moons, linear against quantum router", "Phase 2")
    section.studies = ("phase2-heldout",)
    context.on_step("phase 2, boundaries")
    planes, why = planes_or_why(shown)
    by_name = {p.arm.name: p for p in planes}
    if {"linear", "quantum"} <= set(by_name):
        linear, quantum = by_name["linear"], by_name["quantum"]
        words = straightness(linear.n_straight(), linear.arm.n, quantum.n_straight(), quantum.arm.n)
        section.blocks.append(Text((words,)))
    section.blocks += boundaries(planes, "phase2") if planes else why
    if finished(published) and finished(heldout):
        others, why = planes_or_why(finished(heldout))
        section.blocks += [over_seeds(others, "phase2-heldout")] if others else why
    context.on_step("phase 2, seeds")
    section.blocks += [picker(planes, "phase2-picker")] if planes else []
    section.blocks += _losses(context, shown, heldout)
    return [section]


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
        f"{n_straight_quantum} of {n_quantum}. Straight means that a straight line gives the same class on 99% of the plane."
    )
    if n_straight < n:
        words += " A soft linear gate between two linear experts can bend a boundary too: the mixture is not linear."
    return words


def _losses(context: Context, shown: list[ArmRuns], heldout: StudyResults | None) -> list[Block]:
    study = shown[0].study
    points = paper().of(study, "loss")
    rows = context.rows_of("phase2")
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
        + f"Then the final {metric_words(shown[0].metric)} of every run"
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
