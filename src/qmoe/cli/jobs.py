"""Running studies with a progress bar, and telling what came out."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from qmoe.report import HeadlineRow, build_report, headline
from qmoe.studies import Store, Study, default_workers, run_studies
from qmoe.studies.running import Stack, cost

STORE = "store.sqlite"


def run_job(studies: Sequence[Study], out: Path, workers: int | None, as_json: bool) -> None:
    """Runs ``studies`` into ``out`` and writes the report there.

    Raises:
        QMoEError: for anything that stops the job; what was finished is in the store.
    """
    console = Console(stderr=as_json)
    begin = time.perf_counter()
    with Store(out / STORE) as store, _progress(console) as progress:
        task = progress.add_task("training", total=None)

        def on_plan(stacks: Sequence[Stack]) -> None:
            trials = sum(map(len, stacks))
            progress.console.print(f"{trials} trials to train in {len(stacks)} stacks; results go to {out}/")
            progress.update(task, total=sum(map(cost, stacks)))

        try:
            trained = run_studies(
                studies,
                store,
                default_workers() if workers is None else workers,
                on_plan,
                lambda part: progress.advance(task, part),
            )
        except KeyboardInterrupt:
            progress.stop()
            typer.echo(
                f"\nStopped. What was finished is in {out / STORE}; the same command goes on from there.", err=True
            )
            raise typer.Exit(130) from None
        progress.update(task, completed=progress.tasks[task].total or 0)
        page = _write_report(store.path, out, progress)
        rows = headline([store.load(study.name) for study in studies])
    _tell(console, rows, page, trained, time.perf_counter() - begin, as_json)


def report_only(folder: Path, as_json: bool) -> None:
    """Writes the report of ``folder`` from its store."""
    console = Console(stderr=as_json)
    begin = time.perf_counter()
    with Store(folder / STORE, create=False) as store, _progress(console) as progress:
        page = _write_report(store.path, folder, progress)
        rows = headline([store.load(name) for name in store.study_names()])
    _tell(console, rows, page, 0, time.perf_counter() - begin, as_json)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:9}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _write_report(store: Path, out: Path, progress: Progress) -> Path:
    task = progress.add_task("report", total=None)

    def on_step(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    return build_report(store, out, on_step)


def _tell(
    console: Console, rows: Sequence[HeadlineRow], page: Path, trained: int, seconds: float, as_json: bool
) -> None:
    if as_json:
        summary = {
            "report": str(page),
            "trials_trained": trained,
            "seconds": round(seconds, 2),
            "headline": [row.to_dict() for row in rows],
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    table = Table(title="The paper's figures, and ours", title_justify="left")
    for column in ("phase", "what", "paper", "ours", "note"):
        table.add_column(column, justify="right" if column in ("paper", "ours") else "left")
    for row in rows:
        table.add_row(*row.cells())
    console.print(table)
    console.print(f"Report: {page}  ({seconds:.0f} s)", soft_wrap=True)
