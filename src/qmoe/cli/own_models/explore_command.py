"""`qmoe explore`: a page to play with a trained two-qubit router."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from qmoe.cli.console import make_console, say
from qmoe.cli.packages import starting
from qmoe.errors import ConfigError


def explore(
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("explorer.html"),
    data: Annotated[
        str, typer.Option("--data", help="A data set with two features and two classes, or a CSV file of such rows.")
    ] = "moons",
    target: Annotated[
        str | None, typer.Option("--target", help="Of a CSV file: the label column.", show_default=False)
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the data and of the training.")
    ] = 0,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="A quantum router in a mixture that qmoe.save wrote.", show_default=False),
    ] = None,
    scaling: Annotated[
        str,
        typer.Option("--scaling", help="minmax_pi, minmax_centred, standard or none; also that of a saved model."),
    ] = "minmax_pi",
    no_open: Annotated[bool, typer.Option("--no-open", help="Write the page without opening a browser.")] = False,
) -> None:
    """Play with a trained two-qubit router in your browser, beside its classical twin and a linear router.

    Writes one file that needs no network, and opens it. Noise, shots, entangler, dephasing, scaling and all weights are
    controls; maps, boundary and accuracy follow at once.

    Example: qmoe explore --data table.csv --target label --out table.html
    """
    with starting():
        from qmoe.explorer import build_explorer
    console = make_console()
    path = build_explorer(out, data=data, target=target, seed=seed, model=_loaded(model), scaling=scaling)
    say(console, f"Written: {path}")
    if not no_open and not webbrowser.open(path.resolve().as_uri()):
        say(console, "No browser was found here; open the file in one.")


def _loaded(path: Path | None) -> Any:
    """The module of a file, or None."""
    if path is None:
        return None
    from qmoe.saving import load

    try:
        return load(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
