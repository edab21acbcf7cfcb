"""`qmoe noise`: how a trained router bears noise and few shots, and where it stops being worth it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qmoe.cli.console import make_console, make_progress, say
from qmoe.cli.packages import starting
from qmoe.cli.shared_options import Json
from qmoe.errors import ConfigError, QMoEError
from qmoe.safe_files import write_whole

if TYPE_CHECKING:
    from qmoe.analysis.robustness import NoiseSurface
    from qmoe.cli.own_models.noise_inputs import NoiseInput

_STUDY, _ARM = "phase3b-heldout", "quantum"
_STRENGTHS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
_SHOTS = (64, 256, 1024, 4096)
#: Those that train nothing anew.
_PROTOCOLS = ("evaluated", "recalibrated", "mitigated")

_Data = Annotated[
    Path | None,
    typer.Option("--data", help="Of a saved model: a CSV file with held-out rows.", show_default=False),
]
_Target = Annotated[
    str | None, typer.Option("--target", help="Of a saved model: the label column.", show_default=False)
]
_Train = Annotated[
    Path | None,
    typer.Option("--train", help="Of a saved model: a CSV file with training rows.", show_default=False),
]
_StudyName = Annotated[str | None, typer.Option("--study", help="Of a results folder: the study.", show_default=_STUDY)]
_ArmName = Annotated[str | None, typer.Option("--arm", help="Of a results folder: the arm.", show_default=_ARM)]
_Draw = Annotated[
    int | None,
    typer.Option(
        "--draw", min=0, help="Of a results folder: one draw of the data; all by default.", show_default=False
    ),
]
_Against = Annotated[
    str | None,
    typer.Option("--against", help="Of a results folder: the arm to beat; by default the study's.", show_default=False),
]


def noise(
    source: Annotated[
        str,
        typer.Argument(
            help="A results folder; a model that qmoe.save wrote; or your function, FILE.py:NAME or MODULE:NAME, that "
            "returns a trained model, X and y.",
            metavar="SOURCE",
        ),
    ],
    allow_import: Annotated[
        bool, typer.Option("--allow-import", help="Let qmoe run that code; without it nothing is imported.")
    ] = False,
    data: _Data = None,
    target: _Target = None,
    train: _Train = None,
    study: _StudyName = None,
    arm: _ArmName = None,
    draw: _Draw = None,
    against: _Against = None,
    strength: Annotated[
        list[float] | None,
        typer.Option("--strength", help="Depolarizing probability; may be repeated.", show_default="0 to 0.3"),
    ] = None,
    shots: Annotated[
        list[int] | None,
        typer.Option("--shots", min=1, help="Number of shots; may be repeated.", show_default="64 to 4096"),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", help=f"{', '.join(_PROTOCOLS)}; may be repeated.", show_default="all that apply"),
    ] = None,
    placement: Annotated[
        str | None,
        typer.Option(
            "--placement", help="Where noise strikes in a circuit without any: block or gate.", show_default="block"
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the shots.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for table, figures and pictures.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Find out how much noise and how few shots a trained router bears, without training it again.

    Exact expectation values are always measured beside the numbers of shots.

    Example: qmoe noise results --study phase3b-heldout --arm quantum --out noise
    """
    strengths = sorted({0.0, *(strength or _STRENGTHS)})
    if not all(0 <= p <= 1 for p in strengths):
        raise ConfigError(f"--strength lists {strengths}, expected probabilities from 0 to 1.")
    of_folder = {"--study": study, "--arm": arm, "--draw": draw, "--against": against}
    of_file = {"--data": data, "--target": target, "--train": train}
    given = _given(source, allow_import, placement, of_folder, of_file)
    console = make_console(stderr=as_json)
    chosen, left_out = _applicable(protocol, given)
    for name, why in left_out.items():
        say(console, f"{name} is left out: {why}.")
    surfaces = _measured(given, chosen, strengths, shots or _SHOTS, seed, as_json)
    plain = _plain(given, surfaces, left_out)
    if as_json:
        typer.echo(json.dumps(plain, indent=2))
    else:
        _print(console, plain)
    if out is not None:
        _write(out, plain, surfaces, given.rival)
        say(console, f"Written: {out}/noise.csv, breakdown.csv, noise.json, and a picture of each protocol")


def _given(
    source: str, allow_import: bool, placement: str | None, of_folder: dict[str, Any], of_file: dict[str, Any]
) -> NoiseInput:
    """The models and rows of a source, with the options that are of its kind; others are refused."""
    with starting():
        from qmoe.cli.own_models.noise_inputs import from_file, from_function, from_store
    if Path(source).is_dir():
        _refuse("a results folder", of_file)
        study, arm, draw, against = of_folder.values()
        return from_store(Path(source), study or _STUDY, arm or _ARM, draw, against, placement)
    if Path(source).is_file():
        _refuse("a saved model", of_folder)
        data, target, train = of_file.values()
        return from_file(Path(source), data, target, train, placement)
    _refuse("your function", of_folder | of_file)
    return from_function(source, allow_import, placement)


def _refuse(source: str, options: dict[str, Any]) -> None:
    """Raises `ConfigError` for options that say nothing of such a source."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} decides nothing where SOURCE is {source}; leave it out.")


def _measured(
    given: NoiseInput, chosen: Sequence[str], strengths: Sequence[float], shots: Sequence[int], seed: int, as_json: bool
) -> list[NoiseSurface]:
    from qmoe.analysis.robustness import noise_surface

    found = []
    with make_progress(make_console(stderr=as_json)) as progress:
        task = progress.add_task("measuring", total=len(chosen))
        for name in chosen:
            surface = noise_surface(
                given.models, given.x, given.y, strengths, shots, name, calibration=given.calibration,
                clusters=given.clusters, by_rows=given.clusters is None, seed=seed,
            )  # fmt: skip
            found.append(surface)
            progress.advance(task)
    return found


def _applicable(asked: Sequence[str] | None, given: NoiseInput) -> tuple[list[str], dict[str, str]]:
    """Protocols that go with the models, and why others do not.

    Raises:
        ConfigError: for one that was asked for and does not, or is unknown.
    """
    from qmoe.analysis.robustness import recalibration_obstacle
    from qmoe.errors import unknown

    for name in asked or ():
        if name == "retrained":
            raise ConfigError(
                "'retrained' trains at every strength: give a study [noise] and arms with noise, and run it."
            )
        if name not in _PROTOCOLS:
            raise unknown("protocol", name, _PROTOCOLS)
    obstacle = recalibration_obstacle(given.models[0])
    if not obstacle and given.calibration is None:
        obstacle = "there are no training rows; let the function return a dict with X_train and y_train"
    left_out = {"recalibrated": obstacle} if obstacle else {}
    for name, why in left_out.items():
        if name in (asked or ()):
            raise ConfigError(f"--protocol {name} cannot be: {why}.")
    return [name for name in dict.fromkeys(asked or _PROTOCOLS) if name not in left_out], {} if asked else left_out


def _plain(given: NoiseInput, surfaces: Sequence[NoiseSurface], left_out: dict[str, str]) -> dict[str, Any]:
    """All of it as plain data for JSON; a bound beyond the grid is null."""
    from qmoe.analysis.robustness import breakdowns

    points = [list(breakdowns(surface, given.chance, given.rival).values()) for surface in surfaces]
    cells = [
        {"protocol": surface.protocol, "strength": p, "shots": n, "accuracy": float(surface.mean[i, k]),
         **dict(zip(("low", "high"), map(_finite, surface.interval(i, k)), strict=True))}
        for surface in surfaces
        for i, p in enumerate(surface.strengths)
        for k, n in enumerate(surface.shots)
    ]  # fmt: skip
    broken = [
        {"protocol": surface.protocol, "criterion": point.criterion, "shots": point.shots,
         "strength": _finite(point.strength.at), "low": _finite(point.strength.low), "high": _finite(point.strength.high),
         "reached": point.strength.reached, "words": point.words}
        for surface, each in zip(surfaces, points, strict=True)
        for point in each
    ]  # fmt: skip
    return {
        "intervals_over": "held-out rows" if given.clusters is None else "draws of the data",
        "left_out": left_out,
        "breakdown": broken,
        "accuracy": cells,
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _print(console: Any, plain: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(
        title="Breakdown: the noise strength from which on it holds", title_justify="left", box=box.SIMPLE_HEAD
    )
    criteria = list(dict.fromkeys(point["criterion"] for point in plain["breakdown"]))
    heads = {"advantage": "no better than the rival", "margin": "2 points lost", "half": "half of the gain lost"}
    for name in ("protocol", "shots", *(heads[criterion] for criterion in criteria)):
        table.add_column(name, justify="right" if name == "shots" else "left")
    rows: dict[tuple[str, str], list[str]] = {}
    for point in plain["breakdown"]:
        shots = "exact" if point["shots"] is None else f"{point['shots']:,}"
        rows.setdefault((point["protocol"], shots), []).append(point["words"])
    for key, words in rows.items():
        table.add_row(*key, *words)
    console.print(table)
    say(console, f"Intervals are 95% bootstrap intervals over {plain['intervals_over']}.")


def _write(out: Path, plain: dict[str, Any], surfaces: Sequence[NoiseSurface], rival: Any) -> None:
    from qmoe.report.pictures.noise_pictures import surface_plot
    from qmoe.report.pictures.style import Panel, save, style

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "noise.json", json.dumps(plain, indent=2) + "\n")
        for name, rows in (("noise", plain["accuracy"]), ("breakdown", plain["breakdown"])):
            text = io.StringIO()
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            write_whole(out / f"{name}.csv", text.getvalue())
        means = [surface.mean for surface in surfaces]
        bounds = float(min(mean.min() for mean in means)), float(max(mean.max() for mean in means))
        linear = None if rival is None else float(rival.mean())
        for surface in surfaces:
            with style():
                panel = Panel(f"noise-{surface.protocol}", surface_plot(surface, linear, bounds), "")
            save(panel, out)
    except OSError as error:
        raise QMoEError(f"{out} cannot be written: {error.strerror}; choose another folder with --out.") from None
