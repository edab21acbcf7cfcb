"""Phase 3: parameters (A) and depolarizing noise (B)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.figure import Figure

from qmoe.claims import ArmRuns
from qmoe.claims.sentences import metric_words
from qmoe.report.findings.arms import finished
from qmoe.report.findings.paper import paper
from qmoe.report.pictures.distributions import efficiency_plot, noise_plot
from qmoe.report.pictures.style import Panel
from qmoe.report.sections.blocks import Context, FigureBlock, Section, Text, arms_table, comparison_blocks
from qmoe.report.sections.noise_blocks import noise_blocks


def phase3a_section(context: Context) -> list[Section]:
    """Accuracy against router parameters; none where no trial is finished."""
    counts = {f.arm: f.value for f in paper().of("phase3a-published", "router_parameters")}
    points = {f.arm: (counts[f.arm], f.value) for f in paper().of("phase3a-published", "train_accuracy")}
    words = (
        "The classical routers here are the paper's: networks with one hidden ReLU layer. What is seen holds against "
        "these; classical routers of another kind may need fewer parameters."
    )
    title = "Phase 3A: accuracy against router parameters"
    return _section(context, "phase3a", title, "Phase 3A", efficiency_plot, points, words)


def phase3b_section(context: Context) -> list[Section]:
    """Accuracy against noise strength; none where no trial is finished."""
    points = {f.strength: f.value for f in paper().of("phase3b-published", "train_accuracy")}
    words = (
        "In the plot of accuracy against strength each model is trained anew at its noise strength, and expectation values "
        "are exact (no shots). At p = 3/4 "
        "(dotted line) the channel mixes every state fully: the circuit's output no longer depends on the input, so the "
        "router is constant and the mixture is a linear classifier."
    )
    title = "Phase 3B: accuracy under depolarizing noise"
    found = _section(context, "phase3b", title, "Phase 3B", noise_plot, points, words)
    for section in found:
        section.blocks += noise_blocks(context, context.pair("phase3b")[1])
    return found


def _section(
    context: Context,
    stem: str,
    title: str,
    short_title: str,
    plot: Callable[[list[ArmRuns], Any], Figure],
    points: Mapping[Any, Any],
    words: str,
) -> list[Section]:
    published, heldout = (finished(study) for study in context.pair(stem))
    if not published and not heldout:
        return []
    context.on_step(title)
    section = Section(stem, title, short_title, studies=(f"{stem}-heldout",))
    panels = [
        Panel(f"{stem}-{kind}", plot(arms, marks), f"{title}, {metric_words(arms[0].metric)}, {kind} protocol.")
        for kind, arms, marks in (("published", published, points), ("heldout", heldout, {}))
        if arms
    ]
    if len(panels) == 2:
        which = "Left: the published protocol, with the paper's points as diamonds; right: accuracy on held-out data."
    else:
        which = f"Study {(published or heldout)[0].study}."
    caption = f"{which} Small dots are single runs, large marks are means, bars their 95% intervals."
    section.blocks.append(FigureBlock(tuple(panels), caption))
    caption = "Accuracy on the training set, as published, and on held-out data."
    section.blocks += comparison_blocks(f"{stem}-comparison", caption, context.rows_of(stem), heldout, 3)
    if heldout:
        section.blocks.append(arms_table(f"{stem}-heldout-arms", "Accuracy on held-out data.", heldout))
    section.blocks.append(Text((words,)))
    return [section]
