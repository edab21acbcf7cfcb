"""How far a store is, whether it is whole, and its tables for other programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import typer
from rich import box
from rich.table import Table

from qmoe.cli.console import make_console, say
from qmoe.cli.jobs import STORE
from qmoe.data.tables.text import for_spreadsheet
from qmoe.errors import QMoEError, unknown
from qmoe.safe_files import own_folder, write_whole
from qmoe.studies.store import Store, StoreStatus, status_of


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
    if found.writer is None:
        return f"{found.missing:,} trials are missing, and nothing is running. The same command continues from there."
    left = found.seconds_left
    when = "" if left is None else f", {found.per_second:.1f} a second, about {_duration(left)} left"
    return f"{found.missing:,} trials are missing; {found.writer} is running them{when}."


def _duration(seconds: float) -> str:
    for name, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def export_job(folder: Path, to: str, out: Path) -> None:
    """Writes ``trials``, ``history`` and ``measurements`` of the store in ``folder`` to files in ``out``."""
    if to not in ("csv", "parquet"):
        raise unknown("format", to, ("csv", "parquet"))
    import pandas

    with Store(folder / STORE, create=False) as store:
        measured = [
            {"quantity": quantity, "name": name, "draw": draw, "value": value}
            for quantity, named in store.measurements().items()
            for name, values in named.items()
            for draw, value in enumerate(values.tolist())
        ]
        frames = {
            "trials": store.frame(),
            "history": store.frame(history=True),
            "measurements": pandas.DataFrame(measured),
        }
    try:
        own_folder(out)
    except OSError as error:
        raise QMoEError(f"The folder {out} cannot be made: {error.strerror}; choose another with --out.") from None
    console = make_console()
    for name, frame in frames.items():
        path = out / f"{name}.{to}"
        try:
            if to == "csv":
                write_whole(path, frame.rename(columns=for_spreadsheet).map(for_spreadsheet).to_csv(index=False))
            else:
                write_whole(path, frame.to_parquet(index=False))
        except ImportError as error:
            raise QMoEError(f"Parquet needs pyarrow: pip install pyarrow ({error}).") from None
        except OSError as error:
            raise QMoEError(f"{path} cannot be written: {error.strerror}; choose another folder with --out.") from None
        say(console, f"{path}: {len(frame):,} rows")


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
