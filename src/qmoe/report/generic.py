"""A study that is none of the paper's: tables, curves, distributions, and boundaries where there are two features."""

from __future__ import annotations

from qmoe.report.arms import finished
from qmoe.report.figures import FigureBlock, Panel
from qmoe.report.phase2 import boundaries
from qmoe.report.planes import is_planar, planes_of
from qmoe.report.plots import curve_plot, noise_plot, strip_plot
from qmoe.report.sections import Block, Context, Section, Text, arms_table
from qmoe.studies import StudyResults

MAX_PLANES = 8  # arms whose boundaries are drawn


def study_section(context: Context, results: StudyResults) -> Section | None:
    """The section of one study, or None where no trial is finished."""
    arms = finished(results)
    if not arms:
        return None
    name = results.study.name
    stem = name.replace(".", "-")
    context.step(name)
    blocks: list[Block] = [Text((results.study.about,))] if results.study.about else []
    blocks.append(arms_table(f"{stem}-arms", f"Study {name}, {results.study.protocol} protocol.", arms))
    panels = [Panel(f"{stem}-loss", curve_plot(arms, "loss", "loss summed over batches", log=True), "Loss by epoch.")]
    if any("test_accuracy" in r.history for r in arms[0].records):
        drawing = curve_plot(arms, "test_accuracy", "test accuracy")
        panels.append(Panel(f"{stem}-accuracy", drawing, "Test accuracy by epoch."))
    panels.append(Panel(f"{stem}-seeds", strip_plot(arms), "Final accuracy of every run, by arm."))
    panels += [
        Panel(f"{stem}-noise-{arm.name}", noise_plot(variants, {}), f"Accuracy against noise, {arm.label}.")
        for arm in results.study.arms
        if arm.noise and len(variants := [a for a in arms if a.name == arm.name]) > 1
    ]
    blocks.append(
        FigureBlock(tuple(panels), f"Study {name}: medians with the middle 80% of the runs; every run as a dot.")
    )
    if is_planar(arms):
        context.step(f"{name}, boundaries")
        clean = [arm for arm in arms if not arm.variant][:MAX_PLANES]
        blocks += boundaries(planes_of(clean), stem) if clean else []
    return Section(stem, results.study.title, blocks=blocks)
