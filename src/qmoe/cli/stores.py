"""How far a store is, whether it is whole, and several made one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich import box
from rich.table import Table

from qmoe.cli.console import make_console, say
from qmoe.cli.jobs import STORE
from qmoe.errors import count
from qmoe.studies.store import Store, StoreStatus, merge_stores, status_of


def status_job(folder: Path, as_json: bool) -> None:
    """Shows how far the studies in ``folder`` are."""
    found = status_of(folder / STORE)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found) | {"seconds_left": found.seconds_left}, indent=2))
        return
    console = make_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("study")
    for column in ("done", "failed", "of"):
        table.add_column(column, justify="right")
    for one in found.studies:
        table.add_row(one.study, f"{one.done:,}", f"{one.failed:,}", f"{one.n_trials:,}")
    console.print(table)
    say(console, _in_words(found))


def _in_words(found: StoreStatus) -> str:
    if not found.missing:
        return "All trials have run."
    missing = f"{count(found.missing, 'trial')} {'is' if found.missing == 1 else 'are'}"
    if found.writer is None:
        return f"{missing} missing, and nothing is running. The same command continues from there."
    left = found.seconds_left
    when = "" if left is None else f", {found.per_second:.1f} a second, about {_duration(left)} left"
    return f"{missing} missing; {found.writer} is running them{when}."


def _duration(seconds: float) -> str:
    for name, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def check_job(folder: Path) -> None:
    """Names the damaged rows of the store in ``folder``; ends with status 1 if there are any."""
    with Store(folder / STORE, create=False) as store:
        damaged, n = store.damaged(), len(store.hashes() | store.failures())
    console = make_console()
    if not damaged:
        say(console, f"All {n:,} rows are as they were written.")
        return
    for digest, reason in damaged.items():
        say(console, f"trial {digest}: {reason}")
    say(console, f"{len(damaged):,} of {n:,} rows are damaged. `qmoe run` or `qmoe reproduce` trains them again.")
    raise typer.Exit(1)


def merge_job(folders: Sequence[Path], out: Path, prefer: Path | None) -> None:
    """Merges the stores of ``folders`` into that of ``out``."""
    done = merge_stores([folder / STORE for folder in folders], out / STORE, prefer and prefer / STORE)
    console = make_console()
    for path, n in done.taken.items():
        say(console, f"{count(n, 'trial')} from {path}")
    for path, damaged in done.damaged.items():
        say(console, f"{len(damaged):,} damaged rows of {path} are left out; `qmoe store check` names them.")
    say(
        console,
        f"{out / STORE}: {count(done.trials, 'trial')} of {count(len(done.studies), 'study', 'studies')}. "
        f"`qmoe report {out}` shows them.",
    )
