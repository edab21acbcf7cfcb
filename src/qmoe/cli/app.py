"""Commands of ``qmoe``."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

import qmoe
from qmoe.cli.audit_command import audit
from qmoe.cli.computing import Computing
from qmoe.cli.console import plain_warnings
from qmoe.cli.hardware.devices_command import devices
from qmoe.cli.overview.command_groups import GroupedCommands
from qmoe.cli.overview.preset_list import described_group, list_of_presets
from qmoe.cli.own_models.explore_command import explore
from qmoe.cli.own_models.noise_command import noise
from qmoe.cli.packages import starting
from qmoe.cli.results_commands import add_to
from qmoe.cli.shared_options import Claims, Json
from qmoe.cli.streams import enduring_output
from qmoe.errors import ConfigError, QMoEError, count, unknown, visible
from qmoe.statistics.conventions import POWER
from qmoe.studies.presets import GROUPS, PHASES, copied_preset, load_preset, refuse_borrowed_name

# Torch takes seconds to import: each command imports what it needs when it runs, and --help needs nothing.

app = typer.Typer(
    name="qmoe",
    cls=GroupedCommands,
    help="Quantum routers for mixtures of experts: the paper (arXiv 2512.22296) reproduced over many seeds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option("--out", help="Folder for the store, the report, pictures and tables.")]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, help="Seeds of every study, in place of its own number.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help="Worker processes; 0: all in this process. Default: one per core.",
        show_default=False,
    ),
]
On = Annotated[
    str,
    typer.Option(
        "--executor",
        help="What computes: local, dask:ADDRESS of a Dask scheduler, dask:local, slurm, mpi.",
    ),
]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Train again what failed.")]
Yes = Annotated[
    bool, typer.Option("--yes", help="Go on with what is predicted to need more memory than is free, or over a year.")
]
Fetch = Annotated[
    bool, typer.Option("--fetch", help="Allow a study to download its data, as those with openml = true do.")
]
Quick = Annotated[bool, typer.Option("--quick", help="A quick check: 3 seeds, short training, no ladder unless named.")]


def _version(show: bool) -> None:
    if show:
        typer.echo(f"qmoe {qmoe.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@app.command()
def reproduce(
    phases: Annotated[
        list[str] | None, typer.Argument(help="phase1, phase2, phase3, ladder; all by default.", show_default=False)
    ] = None,
    seeds: Seeds = None,
    quick: Quick = False,
    out: Out = Path("results"),
    workers: Workers = None,
    executor: On = "local",
    retry: Retry = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Run the paper's phases and the ladder of ablations over many seeds, and write the report.

    You can interrupt it at any time: the same command continues where it stopped.

    Example: qmoe reproduce phase2 --seeds 30 --out results
    """
    with starting():
        from qmoe.cli.jobs import run_job
    chosen = phases or [phase for phase in PHASES if not (quick and phase == "ladder")]
    for phase in chosen:
        if phase not in PHASES:
            raise unknown("phase", phase, PHASES)
    if quick and seeds is None:
        seeds = 3
    names = [name for phase in PHASES if phase in chosen for name in PHASES[phase]]
    run_job(
        [load_preset(name).resized(seeds, quick) for name in names],
        out,
        Computing(executor, workers, retry, yes),
        as_json,
    )


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A TOML file, or the name of a preset.", metavar="STUDY")],
    seeds: Seeds = None,
    quick: Quick = False,
    out: Out = Path("results"),
    workers: Workers = None,
    executor: On = "local",
    retry: Retry = False,
    yes: Yes = False,
    claims: Claims = None,
    registration: Annotated[
        Path | None,
        typer.Option(
            "--registration", help="Run what `qmoe register` registered, from its root seed.", show_default=False
        ),
    ] = None,
    fetch: Fetch = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Another value for an option; several, with commas, make an arm or a study of each.",
            show_default=False,
        ),
    ] = None,
    allow_import: Annotated[
        bool, typer.Option("--allow-import", help='Let the study import routers of your own (kind = "import").')
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one study from a TOML file and write the report.

    Example: qmoe run my-study.toml --set training.epochs=20 --set arms.quantum.model.router.n_layers=1,2,3
    """
    with starting():
        from qmoe.cli.jobs import run_job
        from qmoe.cli.registering import refuse_download, registered, studies_of
    loaded = studies_of(study, overrides or ())
    if registration is not None:
        loaded = [registered(one, registration, claims) for one in loaded]
    for one in loaded:
        refuse_borrowed_name(one)
        refuse_download(one, fetch)
    sized = [one.resized(3 if quick and seeds is None else seeds, quick) for one in loaded]
    run_job(sized, out, Computing(executor, workers, retry, allow_import, yes), as_json, claims)


@app.command()
def ablate(
    data: Annotated[Path, typer.Option("--data", help="A CSV file with a header and numeric features.")],
    target: Annotated[str, typer.Option("--target", help="The label column; its values are classes.")],
    qubits: Annotated[
        int | None,
        typer.Option(
            "--qubits",
            min=1,
            help="Qubits: one for each feature or principal component.",
            show_default="one a feature, at most 4",
        ),
    ] = None,
    layers: Annotated[
        int | None, typer.Option("--layers", min=0, help="Trainable layers.", show_default="3, or the circuit's own")
    ] = None,
    circuit: Annotated[
        str | None,
        typer.Option(
            "--circuit",
            help="A published circuit: data_reuploading, dressed or iqp; by default an encoding and layers.",
            show_default=False,
        ),
    ] = None,
    experts: Annotated[int, typer.Option("--experts", min=2, help="Linear experts.")] = 2,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the data.")] = 50,
    lr: Annotated[
        float, typer.Option("--lr", help="Learning rate; a quarter of it and four times it are tried as well.")
    ] = 0.1,
    rung: Annotated[
        list[str] | None,
        typer.Option("--rung", help="Only this rung of the ladder; may be repeated.", show_default=False),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            help="Keep a column as a feature although it looks like a row number; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", min=1, help="Splits of the table, each with two initialisations; fewer than 30 decide nothing."
        ),
    ] = 30,
    out: Out = Path("ablation"),
    workers: Workers = None,
    executor: On = "local",
    retry: Retry = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Find out on your own table what a quantum router gains, and which of its parts the gain comes from.

    Trains the router and the ladder of ablations, each of which changes one thing, and writes the report. It compares
    classifiers: the target column holds labels, not measurements.

    Example: qmoe ablate --data wine.csv --target class
    """
    with starting():
        from qmoe.claims import ablation_study
        from qmoe.claims.spec import HEADLINE_SEEDS
        from qmoe.cli.jobs import run_job
    if seeds < HEADLINE_SEEDS:
        typer.echo(
            f"With {count(seeds, 'split')} every verdict will be inconclusive: claims ask for {HEADLINE_SEEDS}.",
            err=True,
        )
    study = ablation_study(
        data, target, qubits=qubits, layers=layers, circuit=circuit, experts=experts, epochs=epochs, lr=lr, seeds=seeds,
        rungs=tuple(rung or ()), keep=tuple(keep or ()),
    )  # fmt: skip
    typer.echo(f"{study.about} --qubits, --layers and --experts change this.", err=True)
    run_job([study], out, Computing(executor, workers, retry, yes), as_json, own_names=True)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that reproduce, run or ablate wrote.", metavar="DIR")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to; by default the same folder.", show_default=False)
    ] = None,
    claims: Claims = None,
    as_json: Json = False,
) -> None:
    """Write the report of a results folder again, without training.

    It reads the store in that folder and nothing else: no data file, no network. The folder may be a stranger's.

    Example: qmoe report results --out my-report
    """
    with starting():
        from qmoe.cli.jobs import report_only
    report_only(folder, out or folder, as_json, claims)


app.command()(audit)
app.command()(devices)
app.command()(noise)
app.command()(explore)
add_to(app)


@app.command()
def register(
    studies: Annotated[list[str], typer.Argument(help="TOML files, or names of presets.", metavar="STUDY...")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, JSON.")] = Path("registration.json"),
    claims: Claims = None,
) -> None:
    """Register studies and the claims on them before they are run: as a hash, from which their root seed comes.

    Example: qmoe register ladder-moons phase2-heldout --out registration.json
    """
    with starting():
        from qmoe.cli.registering import register_job
    register_job(studies, claims, out)


@app.command()
def verify(
    registration: Annotated[Path, typer.Argument(help="A file that register wrote.", metavar="FILE")],
    studies: Annotated[
        list[str] | None, typer.Argument(help="The studies; by default the presets of the registered names.")
    ] = None,
    claims: Claims = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help="A results folder, to check for older runs.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check that claims, studies and runs are as registered.

    Example: qmoe verify registration.json --results results
    """
    with starting():
        from qmoe.cli.registering import verify_job
    verify_job(registration, studies or (), claims, results)


@app.command()
def power(
    study: Annotated[str, typer.Argument(help="A TOML file, or the name of a preset.", metavar="STUDY")],
    pilot: Annotated[Path, typer.Option("--pilot", help="The results of a pilot: the study from another root seed.")],
    claims: Claims = None,
    chance: Annotated[
        float, typer.Option("--power", help="Chance to find a difference as large as the margin.")
    ] = POWER,
    as_json: Json = False,
) -> None:
    """Estimate from a pilot how many draws of the data each test of the claims on a study needs.

    Example: qmoe power ladder-moons --pilot pilot-results
    """
    with starting():
        from qmoe.cli.registering import power_job
    power_job(study, pilot, claims, chance, as_json)


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's TOML.", show_default=False)] = None,
) -> None:
    """List the studies that ship with qmoe, or print one to start your own from.

    Example: qmoe presets phase2-heldout > my-study.toml
    """
    if name is not None:
        typer.echo(described_group(name) if name in GROUPS else copied_preset(name), nl=False)
        return
    typer.echo(list_of_presets(), nl=False)


@app.command()
def datasets() -> None:
    """List the data sets that a study can name, with their options and defaults.

    Example: qmoe datasets
    """
    with starting():
        from qmoe.data import DATASETS
    for name, kind in DATASETS.items():
        options = ", ".join(f"{field.name} = {field.default!r}" for field in dataclasses.fields(kind))
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        knob = f" Difficulty: {kind.difficulty}." if kind.difficulty else ""
        typer.echo(f"{name}: {summary}{knob}\n    {options}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show what is installed, which engine runs and why, what is missing and how to get it.

    Example: qmoe doctor --json
    """
    with starting():
        from qmoe.cli.doctor import examine, print_examination

        found = examine()  # which imports engines and their packages
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        print_examination(found)
    if not found["ok"]:
        raise typer.Exit(1)


def main() -> None:
    """Runs the command line; errors that qmoe explains are a line on standard error, not a traceback."""
    with enduring_output():
        try:
            with plain_warnings():
                app()
        except QMoEError as error:
            typer.echo(f"qmoe: {visible(str(error))}", err=True)
            sys.exit(2 if isinstance(error, ConfigError) else 1)
