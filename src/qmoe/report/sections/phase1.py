"""Phase 1: the baseline on simple data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from qmoe.claims import ArmRuns
from qmoe.report.findings.arms import finished
from qmoe.report.findings.paper import departures, paper
from qmoe.report.pictures.distributions import curve_plot, strip_plot
from qmoe.report.pictures.style import Panel
from qmoe.report.sections.blocks import Block, Context, FigureBlock, Section, Text, comparison_blocks, times_table
from qmoe.report.words import capital

_DATA = (("phase1-synthetic", "synthetic data", 3), ("phase1-mnist", "MNIST 0/1 at 4×4", 4))
MNIST_TEST = 2115  # official test images of the digits 0 and 1


def phase1_section(context: Context) -> list[Section]:
    """The section; none where none of its studies has a finished trial."""
    section = Section("phase1", "Phase 1: baseline on simple data", "Phase 1")
    section.studies = tuple(f"{stem}-heldout" for stem, _, _ in _DATA)
    for stem, words, digits in _DATA:
        published, heldout = context.pair(stem)
        if not (finished(published) or finished(heldout)):
            continue
        context.on_step(f"phase 1, {words}")
        section.blocks += _blocks(context, stem, words, digits)
    return [section] if section.blocks else []


def _blocks(context: Context, stem: str, words: str, digits: int) -> list[Block]:
    published, heldout = context.pair(stem)
    shown = finished(published) or finished(heldout)
    study = shown[0].study
    rows = context.rows_of(stem)
    # Shortened training stands beside nothing that was published.
    same = not any(departures(r.study) for r in (published, heldout) if r is not None)
    marks = {f.arm: f.value for f in paper().of(study, "test_accuracy")} if same else {}
    blocks: list[Block] = []
    if stem == "phase1-mnist":
        blocks.append(Text(tuple(_one_test_set(shown))))
    if rows:
        held = finished(heldout) if stem != "phase1-mnist" else []
        when = "after epoch 7 (the eighth)"
        if not same:
            when = "after shortened training, so no published number is comparable"
        caption = f"{capital(words)}: test accuracy {when}."
        if stem == "phase1-mnist":
            caption += " The test set is the official one, so this is held-out accuracy already."
        blocks += comparison_blocks(f"{stem}-comparison", caption, rows, held, digits)
    seconds = {f.arm: f.value for f in paper().of(f"{stem}-published", "seconds")} if same else {}
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
            f"{capital(words)}, study {study}. Lines are medians over "
            f"{shown[0].n} runs, bands hold the middle 80%. Each dot is one run; bars are means with 95% intervals; "
            "diamonds are the paper's numbers.",
        )
    )
    blocks.append(
        times_table(
            f"{stem}-times",
            "Seconds of training. Theirs are from Colab, ours from one thread of another machine, so the ratio compares "
            "machines as well as programs.",
            shown,
            context.contents.times,
            seconds,
        )
    )
    return blocks


def _one_test_set(arms: Sequence[ArmRuns]) -> list[str]:
    """What varies between runs on MNIST, and differences of the means that come to less than two test images."""
    lines = [
        "All runs share one training set and one test set, the official ones; only the initialisation and the order of "
        "the batches vary between them. So the intervals tell how training varies, not how another test set would come "
        "out."
    ]
    if any(not np.allclose(arm.scores * MNIST_TEST, np.round(arm.scores * MNIST_TEST), atol=0.01) for arm in arms):
        return lines  # another test set than the official one
    small = []
    for one, other in itertools.combinations(arms, 2):
        difference = one.minus(other, "test_accuracy")
        if difference is not None and abs(images := difference.mean * MNIST_TEST) < 2:
            side = "above" if images > 0 else "below"
            small.append(f"the {one.label} is {abs(images):.1f} images {side} the {other.label}")
    if small:
        lines.append(
            f"Some means differ by less than two of the {MNIST_TEST:,} test images, whatever an interval says: "
            f"{'; '.join(small)}."
        )
    return lines
