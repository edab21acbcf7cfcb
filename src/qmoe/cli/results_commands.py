"""Commands about results that are there: how far they are, what changed, and what else can be made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qmoe.cli.packages import starting
from qmoe.cli.shared_options import Claims, Json

Folder = Annotated[Path, typer.Argument(help="A folder that reproduce, run or ablate wrote.", metavar="DIR")]

store_app = typer.Typer(
    help="Check the store of a results folder, or merge several.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (status, diff, export):
        app.command()(command)
    app.add_typer(store_app, name="store")


def status(
    folder: Annotated[Path, typer.Argument(help="A folder that reproduce, run or ablate writes to.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """Show how far the studies of a results folder are, also while they run: done, failed, rate, time left.

    Example: qmoe status results
    """
    with starting():
        from qmoe.cli.stores import status_job
    status_job(folder, as_json)


def diff(
    a: Annotated[Path, typer.Argument(help="A results folder.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another one.", metavar="B")],
    claims: Claims = None,
    as_json: Json = False,
) -> None:
    """Show which verdicts differ between two results folders, and what else does: studies, draws, failures, versions.

    Example: qmoe diff results results-of-may
    """
    with starting():
        from qmoe.cli.differing import diff_job
    diff_job(a, b, as_json, claims)


def export(
    folder: Folder,
    to: Annotated[
        str, typer.Option("--to", help="csv, parquet (needs pyarrow), mlflow or tensorboard (need these packages).")
    ] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to; by default DIR/export.", show_default=False)
    ] = None,
) -> None:
    """Write all trials and their histories as tables, with the measurements, or as runs of MLflow or TensorBoard.

    Example: qmoe export results --to parquet
    """
    with starting():
        from qmoe.cli.exporting import export_job
    export_job(folder, to, out or folder / "export")


@store_app.command()
def check(folder: Folder) -> None:
    """Check every row of the store of a results folder against its digest.

    Example: qmoe store check results
    """
    with starting():
        from qmoe.cli.stores import check_job
    check_job(folder)


@store_app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Results folders; they are only read.", metavar="DIR...")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the merged store. What it has already stays.")],
    prefer: Annotated[
        Path | None,
        typer.Option(
            "--prefer",
            help="The folder whose results count where two differ; else that is refused.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Merge the stores of several results folders into one: every trial once.

    Example: qmoe store merge node-1 node-2 --out results
    """
    with starting():
        from qmoe.cli.stores import merge_job
    merge_job(folders, out, prefer)
