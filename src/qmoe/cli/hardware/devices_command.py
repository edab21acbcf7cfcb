"""`qmoe devices`: whether a router trained without noise keeps its accuracy on IBM's devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from qmoe.cli.console import make_console, make_progress, say
from qmoe.cli.packages import starting
from qmoe.cli.shared_options import Json
from qmoe.errors import ConfigError, QMoEError, count
from qmoe.safe_files import write_whole
from qmoe.statistics.conventions import MARGIN


def devices(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Snapshots, such as fake_manila; by default eight.", metavar="SNAPSHOT...", show_default=False
        ),
    ] = None,
    study: Annotated[
        str, typer.Option("--study", help="The preset or TOML file whose arm is trained.")
    ] = "ladder-moons",
    arm: Annotated[str, typer.Option("--arm", help="The arm, with a quantum router.")] = "quantum",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Draws of the data, each with a model.")] = 30,
    margin: Annotated[float, typer.Option("--margin", help="The loss of accuracy that does not matter.")] = MARGIN,
    quick: Annotated[bool, typer.Option("--quick", help="A quick check: short training.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="A CSV file for the table.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Find out whether a router trained without noise keeps its accuracy on IBM's devices.

    Their noise comes from snapshots that are installed with qmoe[ibm]; nothing is downloaded.

    Example: qmoe devices fake_manila fake_sherbrooke --out devices.csv
    """
    with starting():
        from qmoe.cli.registering import study_of
        from qmoe.devices import DEVICES, check_asked, device_table, trained_models
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out is {out}, and there is no folder {out.parent}; make it first.")
    chosen = tuple(names or DEVICES)
    check_asked(chosen, margin)
    console = make_console(stderr=as_json)
    with make_progress(console) as progress:
        training, running = (progress.add_task(name, total=None) for name in ("training", "devices"))
        models = trained_models(
            study_of(study).resized(seeds, quick),
            arm,
            lambda done, total: progress.update(training, completed=done, total=total),
        )
        table = device_table(
            models,
            chosen,
            margin=margin,
            on_progress=lambda done, total: progress.update(running, completed=done, total=total),
        )
    if as_json:
        typer.echo(json.dumps(table.as_dict(), indent=2))
    else:
        for line in str(table).splitlines():
            say(console, line)
        say(
            console,
            f"{count(table.n_draws, 'draw')}; a loss below {table.margin:g} does not matter; exact expectation values.",
        )
    if out is not None:
        try:
            write_whole(out, table.to_frame().to_csv(index=False))
        except OSError as error:
            raise QMoEError(f"{out} cannot be written: {error.strerror}; choose another file with --out.") from None
        say(console, f"Table: {out}")
