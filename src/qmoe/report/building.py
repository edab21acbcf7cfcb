"""From a store to a folder with the page, its figures and its tables."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

import qmoe
from qmoe.errors import QMoEError
from qmoe.report.closing import accusation_section, cost_section, methods_section
from qmoe.report.comparison import headline
from qmoe.report.figures import FigureBlock, inline, save, style
from qmoe.report.generic import study_section
from qmoe.report.opening import gaps, headline_table, provenance_items, summary
from qmoe.report.paper import is_preset, paper
from qmoe.report.phase1 import phase1_section
from qmoe.report.phase2 import phase2_section
from qmoe.report.phase3 import phase3a_section, phase3b_section
from qmoe.report.reading import Provenance, Times, read_store
from qmoe.report.sections import Context, Picker, Section
from qmoe.report.tables import Table
from qmoe.studies import StudyResults

#: Called with a few words and the share of the work that is done, 0 to 1.
Step = Callable[[str, float], None]


def build_report(store_path: str | Path, out_dir: str | Path, on_step: Step | None = None) -> Path:
    """Writes ``report.html`` with ``figures/`` and ``tables/`` from the results in a store.

    The page needs no network and works for any studies, finished or not.

    Args:
        store_path: the SQLite file that studies ran into.
        out_dir: folder to write to; made where it is missing.
        on_step: called before each piece of work with a few words and the share that is done, 0 to 1.

    Returns:
        Path of the page.

    Raises:
        StoreError: when there is no store, or it is damaged.
        QMoEError: when the folder cannot be written.
    """
    step = on_step or (lambda _words, _share: None)
    step("reading the store", 0.0)
    results, about = read_store(Path(store_path))
    out = Path(out_dir)
    try:
        for folder in (out / "figures", out / "tables"):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QMoEError(f"The folder {out} cannot be made: {error.strerror}; choose another.") from None
    path = out / "report.html"
    try:
        with style():
            page = _page(results, about, out, step)
        step("writing report.html", 1.0)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise QMoEError(
            f"The report cannot be written to {out}: {error.strerror}; the results are safe in the store: make room, or "
            "write the report elsewhere."
        ) from None
    return path


def _page(results: list[StudyResults], about: Provenance, out: Path, step: Step) -> str:
    rows = headline(results)
    builders = [phase1_section, phase2_section, phase3a_section, phase3b_section]
    # A study that borrowed a preset's name for something else is no phase of the paper.
    own = [r for r in results if not is_preset(r.study)]
    phases = {r.study.name: r for r in results if is_preset(r.study)}
    builders += [functools.partial(study_section, results=r) for r in own]
    seen = []
    for done, build in enumerate(builders):
        # Reading takes about a tenth of the time, the sections as long as their pictures.
        share = 0.1 + 0.5 * done / len(builders)
        section = build(Context(phases, tuple(rows), Times(results), functools.partial(_report_at, step, share)))
        seen += [] if section is None else [section]
    everything = {r.study.name: r for r in results}
    context = Context(everything, tuple(rows), Times(results), functools.partial(_report_at, step, 0.6))
    sections = [*seen, accusation_section(context), cost_section(context), methods_section(context)]
    table = headline_table(rows)
    findings = [finding for section in seen for finding in section.findings]
    if table is not None:
        _write(table, out)
    rendered = []
    for done, section in enumerate(sections):
        step(f"drawing {section.title.lower()}", 0.6 + 0.4 * done / len(sections))
        rendered.append(_rendered(section, out))
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title="Quantum routers for mixtures of experts: what was seen",
            style=Markup(_asset("style.css")),
            script=Markup(_asset("page.js")),
            paper=paper(),
            has_paper=table is not None,
            gaps=gaps(results),
            summary=summary(results, rows, findings),
            findings=findings,
            headline=_table(table) if table is not None else None,
            provenance=provenance_items(about),
            sections=rendered,
            version=qmoe.__version__,
        )
    )


def _report_at(step: Step, share: float, words: str) -> None:
    step(words, share)


def _rendered(section: Section, out: Path) -> dict[str, Any]:
    return {
        "id": section.id,
        "title": section.title,
        "findings": section.findings,
        "blocks": [_block(block, out) for block in section.blocks],
    }


def _block(block: object, out: Path) -> dict[str, Any]:
    if isinstance(block, Table):
        _write(block, out)
        return _table(block)
    if isinstance(block, FigureBlock):
        for panel in block.panels:
            save(panel, out / "figures")
        panels = [Markup(inline(panel)) for panel in block.panels]
        return {"kind": "figure", "panels": panels, "caption": block.caption}
    if isinstance(block, Picker):
        choices = [(label, [Markup(svg) for svg in drawings]) for label, drawings in block.choices]
        return {"kind": "picker", "picker": block, "choices": choices}
    return {"kind": "text", "text": block}


def _write(table: Table, out: Path) -> None:
    table.write_csv(out / "tables")
    table.write_tex(out / "tables")


def _table(table: Table) -> dict[str, Any]:
    return {"kind": "table", "table": table, "cells": table.cells()}


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
