"""Phase 1: the baseline on simple data."""

from __future__ import annotations

from qmoe.report.arms import finished
from qmoe.report.figures import FigureBlock, Panel
from qmoe.report.findings import preferred, speed_and_convergence
from qmoe.report.paper import paper
from qmoe.report.plots import curve_plot, strip_plot
from qmoe.report.sections import Block, Context, Section, comparison_table, outside_notes, times_table

_DATA = (("phase1-synthetic", "synthetic data", 3), ("phase1-mnist", "MNIST 0/1 at 4×4", 4))


def phase1_section(context: Context) -> Section | None:
    """The section, or None where none of its studies has a finished trial."""
    section = Section("phase1", "Phase 1: baseline on simple data")
    for stem, words, digits in _DATA:
        published, heldout = context.pair(stem)
        if not (finished(published) or finished(heldout)):
            continue
        context.step(f"phase 1, {words}")
        arms = preferred(published, heldout)
        alone = {arm.name: s for arm in arms if (s := context.times.alone(arm)) is not None}
        finding = speed_and_convergence(words, arms, alone)
        section.findings += [finding] if finding else []
        section.blocks += _blocks(context, stem, words, digits)
    return section if section.blocks else None


def _blocks(context: Context, stem: str, words: str, digits: int) -> list[Block]:
    published, heldout = context.pair(stem)
    shown = finished(published) or finished(heldout)
    study = shown[0].study
    rows = [row for row in context.rows if row.study == f"{stem}-published"]
    marks = {f.arm: f.value for f in paper().of(study, "test_accuracy")}
    blocks: list[Block] = []
    if rows:
        held = finished(heldout) if stem != "phase1-mnist" else []
        caption = f"{words.capitalize() if words[0].islower() else words}: test accuracy after epoch 7 (the eighth)."
        if stem == "phase1-mnist":
            caption += " The set has one official test part, so this is held-out accuracy already."
        blocks.append(comparison_table(f"{stem}-comparison", caption, rows, held, digits))
    seconds = {f.arm: f.value for f in paper().of(f"{stem}-published", "seconds")}
    blocks += outside_notes(rows)
    labels = ", ".join(arm.label for arm in shown)
    panels = [
        Panel(f"{stem}-accuracy", curve_plot(shown, "test_accuracy", "test accuracy"),
              f"Test accuracy against epoch on {words} for {labels}."),
        Panel(f"{stem}-loss", curve_plot(shown, "loss", "loss summed over batches", log=True),
              f"Training loss against epoch on {words} for {labels}."),
        Panel(f"{stem}-seeds", strip_plot(shown, marks), f"Final test accuracy of every run on {words}, by arm."),
    ]  # fmt: skip
    blocks.append(
        FigureBlock(
            tuple(panels),
            f"{words.capitalize() if words[0].islower() else words}, study {study}. Lines are medians over "
            f"{shown[0].n} runs, bands hold the middle 80%. Each dot is one run; bars are means with 95% intervals; "
            "diamonds are the paper's figures.",
        )
    )
    blocks.append(
        times_table(
            f"{stem}-times",
            "Seconds of training. Theirs are from Colab, ours from one thread of another machine, so the ratio compares "
            "machines as well as programs.",
            shown,
            context.times,
            seconds,
        )
    )
    return blocks
