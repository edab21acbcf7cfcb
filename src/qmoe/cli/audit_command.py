"""`qmoe audit`: a layer of the user's own model, which their own Python builds."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qmoe.cli.computing import typed_command
from qmoe.cli.console import make_console, make_progress, say
from qmoe.cli.own_models.user_function import returned_by
from qmoe.cli.packages import starting
from qmoe.cli.shared_options import Json
from qmoe.errors import ConfigError, QMoEError, unknown
from qmoe.safe_files import write_whole
from qmoe.statistics.conventions import MARGIN

if TYPE_CHECKING:
    from qmoe.auditing import AuditResult

#: What a function for `qmoe audit` returns, where it returns no dict.
_POSITIONS = ("model", "path", "X", "y")


def audit(
    source: Annotated[
        str,
        typer.Argument(
            help="Your function: FILE.py:NAME or MODULE:NAME. It returns model, path of the layer, X and y.",
            metavar="SOURCE",
        ),
    ],
    allow_import: Annotated[
        bool, typer.Option("--allow-import", help="Let qmoe run that code; without it nothing is imported.")
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            help="Splits of the rows; 20 by default, 6 at least to decide anything.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the rows; 60 by default.", show_default=False)
    ] = None,
    lr: Annotated[
        list[float] | None,
        typer.Option(
            "--lr", help="Learning rate; repeat it to see whether the verdict holds over several.", show_default=False
        ),
    ] = None,
    first_weights: Annotated[
        str | None,
        typer.Option(
            "--first-weights",
            help="drawn: each run draws its own (default); given: all begin with those of your model.",
            show_default=False,
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option("--margin", help=f"Smallest difference that matters; {MARGIN:g} by default.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A CSV file for all runs.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Find out whether a layer of your own torch model does anything, and whether a circuit is needed for it.

    The layer is replaced by a constant, an MLP, its classical twin and others; everything is retrained and compared.

    Example: qmoe audit my_model.py:hybrid --allow-import --seeds 30
    """
    with starting():
        from qmoe.auditing import audit as run
    given: dict[str, Any] = {"seeds": seeds, "epochs": epochs, "lr": tuple(lr) if lr else None, "margin": margin}
    given["first_weights"] = first_weights
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"--out is {out}, and there is no folder {out.parent}; make it first.")
    arguments = _arguments(source, allow_import) | {name: value for name, value in given.items() if value is not None}
    _check_arguments(source, arguments, inspect.signature(run))
    result = _with_progress(run, arguments, as_json)
    console = make_console(stderr=as_json)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        for line in str(result).splitlines():
            say(console, line)
    if out is not None:
        try:
            write_whole(out, result.to_frame().to_csv(index=False))
        except OSError as error:
            raise QMoEError(f"{out} cannot be written: {error.strerror}; choose another file with --out.") from None
        say(console, f"All runs: {out}")


def _with_progress(run: Callable[..., AuditResult], arguments: dict[str, Any], as_json: bool) -> AuditResult:
    trained, of_all = 0, 0

    def tell(done: int, total: int) -> None:
        nonlocal trained, of_all
        trained, of_all = done, total
        progress.update(task, completed=done, total=total)

    try:
        with make_progress(make_console(stderr=as_json)) as progress:
            task = progress.add_task("training", total=None)
            return run(**arguments, on_progress=tell)
    except KeyboardInterrupt:
        at = f"after {trained} of {of_all} models" if of_all else "before any arm was trained"
        typer.echo(f"Stopped {at}; an audit keeps nothing before its end. To start again: {typed_command()}", err=True)
        raise typer.Exit(130) from None


def _arguments(source: str, allowed: bool) -> dict[str, Any]:
    """The arguments of `qmoe.audit` that the user's function gives."""
    returned = returned_by(source, allowed)
    if isinstance(returned, Mapping):
        return dict(returned)
    if isinstance(returned, tuple) and len(returned) == len(_POSITIONS):
        return dict(zip(_POSITIONS, returned, strict=True))
    raise ConfigError(
        f"{source} returned a {type(returned).__name__}, expected (model, path, X, y), or a dict of arguments of qmoe.audit."
    )


def _check_arguments(source: str, arguments: Mapping[str, Any], signature: inspect.Signature) -> None:
    known = [name for name in signature.parameters if name != "on_progress"]
    for name in arguments:
        if name not in known:
            raise unknown(f"argument in the dict of {source}:", name, known)
    missing = [name for name in _POSITIONS if name not in arguments]
    if missing:
        raise ConfigError(f"The dict of {source} lacks {', '.join(missing)}; qmoe.audit takes {', '.join(_POSITIONS)}.")
