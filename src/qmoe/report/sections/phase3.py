"""Phase 3: parameters (A) and depolarizing noise (B)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from qmoe.report.findings.arms import Arm, finished, metric_name
from qmoe.report.findings.paper import paper
from qmoe.report.pictures.distributions import efficiency_plot, noise_plot
from qmoe.report.pictures.style import FigureBlock, Panel
from qmoe.report.sections.blocks import Context, Section, Text, comparison_table, outside_notes
from qmoe.report.sections.blocks import arms_table as _arms_table


def phase3a_section(context: Context) -> Section | None:
    """Accuracy against router parameters, or None where no trial is finished."""
    counts = {f.arm: f.value for f in paper().of("phase3a-published", "router_parameters")}
    points = {f.arm: (counts[f.arm], f.value) for f in paper().of("phase3a-published", "train_accuracy")}
    section = _section(
        context,
        "phase3a",
        "Phase 3A: accuracy against router parameters",
        efficiency_plot,
        points,
    )
    if section is not None:
        section.blocks.append(
            Text(
                (
                    "The classical routers here are the paper's: networks with one hidden ReLU layer. What is seen holds "
                    "against these; classical routers of another kind may need fewer parameters.",
                )
            )
        )
    return section


def phase3b_section(context: Context) -> Section | None:
    """Accuracy against noise strength, or None where no trial is finished."""
    points = {f.variant: f.value for f in paper().of("phase3b-published", "train_accuracy")}
    section = _section(context, "phase3b", "Phase 3B: accuracy under depolarizing noise", noise_plot, points)
    if section is not None:
        section.blocks.append(
            Text(
                (
                    "Each model is trained anew at its noise strength, and expectation values are exact (no shots). At "
                    "p = 3/4 (dotted line) the channel mixes every state fully: the circuit's output no longer depends "
                    "on the input, so the router is constant and the mixture is a linear classifier.",
                )
            )
        )
    return section


def _section(
    context: Context,
    stem: str,
    title: str,
    plot: Callable[[list[Arm], Any], Figure],
    points: dict[Any, Any],
) -> Section | None:
    published, heldout = context.pair(stem)
    studies = [arms for arms in (finished(published), finished(heldout)) if arms]
    if not studies:
        return None
    context.step(title)
    section = Section(stem, title, studies=(f"{stem}-heldout",))
    panels = []
    for arms in studies:
        kind = "published" if arms[0].study.endswith("published") else "heldout"
        drawing = plot(arms, points if kind == "published" else {})
        panels.append(Panel(f"{stem}-{kind}", drawing, f"{title}, {metric_name(arms[0].metric)}, {kind} protocol."))
    which = "Left: the published protocol, with the paper's points as diamonds; right: held-out accuracy. "
    section.blocks.append(
        FigureBlock(
            tuple(panels),
            (which if len(panels) == 2 else f"Study {studies[0][0].study}. ")
            + "Small dots are single runs, large marks are means, bars their 95% intervals.",
        )
    )
    rows = [row for row in context.rows if row.study == f"{stem}-published"]
    held = finished(heldout)
    if rows:
        caption = "Accuracy on the training set, as published, and on held-out data."
        section.blocks.append(comparison_table(f"{stem}-comparison", caption, rows, held, 3))
    section.blocks += outside_notes(rows)
    if held:
        section.blocks.append(_arms_table(f"{stem}-heldout-arms", "Accuracy on held-out data.", held))
    return section
