"""Commands about what is asked, before and after it is run: register, verify, power."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich import box
from rich.table import Table

import qmoe
from qmoe.claims import Claim, Registration, load_claims, plan, register, runs_of, shipped_claims, verify
from qmoe.claims.registration import older_runs, seeded
from qmoe.cli.console import make_console
from qmoe.errors import ConfigError, count, unknown, visible
from qmoe.studies import Store, Study, parse_study, preset_names
from qmoe.studies.boundary_measures import agreement_on, straightness_on
from qmoe.studies.files import read_study
from qmoe.studies.measurements import effective_dimension_on
from qmoe.studies.overrides import parse_override, with_overrides
from qmoe.studies.presets import GROUPS, further_presets, preset_values

STORE = "store.sqlite"


def study_of(name: str) -> Study:
    """A study by the name of its preset, or from a TOML file.

    Raises:
        ConfigError: for the name of a group of studies.
    """
    found = studies_of(name, ())
    if len(found) > 1:
        raise ConfigError(f"{name!r} names {len(found)} studies; name one of them, such as {found[0].name!r}.")
    return found[0]


def studies_of(name: str, overrides: Sequence[str]) -> list[Study]:
    """A preset, all presets of a group, or the study of a TOML file; of other options, each combination of a grid."""
    shipped = [*preset_names(), *further_presets()]
    if name not in (*shipped, *GROUPS) and not Path(name).suffix and not Path(name).exists():
        raise unknown("preset", name, [*shipped, *GROUPS], listed_by="qmoe presets")
    changes = [parse_override(text) for text in overrides]
    if name in GROUPS:
        members = further_presets(name)
        return [parse_study(one, f"{m}.toml") for m in members for one in with_overrides(preset_values(m), changes)]
    values = preset_values(name) if name in shipped else read_study(Path(name))
    source = f"{name}.toml" if name in shipped else Path(name).name
    return [parse_study(one, source) for one in with_overrides(values, changes)]


def refuse_download(study: Study, allowed: bool) -> None:
    """Refuses a study that asks the network for its data, unless whoever runs it allows that.

    Raises:
        ConfigError: naming the option that allows it.
    """
    if study.data.options.get("openml") and not allowed:
        raise ConfigError(
            f"The study {study.name} downloads its data from openml.org; allow it with --fetch, or name a folder with the "
            "files of MNIST in data.options.folder."
        )


def register_job(names: Sequence[str], claims: Path | None, out: Path) -> None:
    """Registers studies, with the claims on them, in a file."""
    studies = [study_of(name) for name in names]
    made = register(_claims_on(studies, claims), studies, qmoe.__version__)
    made.write(out)
    typer.echo(f"{count(len(made.claims), 'claim')} on {count(len(made.studies), 'study', 'studies')}: {made.digest}")
    typer.echo(f"Root seed {made.root_seed}; written to {out}. Run with --registration {out}.")


def registered(study: Study, path: Path, claims: Path | None) -> Study:
    """The study with the root seed of a registration; refused where it is not what was registered.

    Raises:
        ConfigError: naming what differs.
    """
    made = Registration.read(path)
    study = seeded(study, made)
    asked = [c for c in _all_claims(claims) if c.id in made.claims]
    departures = [d for d in verify(made, asked, [study]) if d.kind == "claim" or d.name == study.name]
    if departures:
        told = " ".join(d.words for d in departures)
        raise ConfigError(
            f"The study is not as registered in {path}. {told} Register it again, or run without --registration."
        )
    return study


def verify_job(path: Path, names: Sequence[str], claims: Path | None, results: Path | None) -> None:
    """Prints what differs from a registration; any difference ends with status 1."""
    made = Registration.read(path)
    studies = [seeded(study_of(name), made) for name in names or made.studies]
    asked = [c for c in _all_claims(claims) if c.id in made.claims]
    found = [d.words for d in verify(made, asked, studies)]
    typer.echo(visible(f"Registered {made.date} with qmoe {made.version}: {made.digest}"))
    if results is not None:
        with Store(results / STORE, create=False) as store:
            loaded = [store.load(name) for name in store.study_names() if name in made.studies]
        found += [d.words for d in verify(made, asked, [r.study for r in loaded]) if d.what == "seed"]
        older = older_runs(made.date, loaded)
        said = f"{count(older, 'run')} {'is' if older == 1 else 'are'} older than the registration." if older else ""
        typer.echo(said or "No run is older than the registration.")
        found += [said] if said else []
    for words in found:
        typer.echo(visible(words))
    if found:
        raise typer.Exit(1)
    typer.echo("Everything is as registered.")


def power_job(name: str, pilot: Path, claims: Path | None, power: float, as_json: bool) -> None:
    """Prints the draws of the data that each test of the claims on a study needs, by a pilot."""
    study = study_of(name)
    with Store(pilot / STORE, create=False) as store:
        if study.name not in store.study_names():
            raise ConfigError(
                f"{pilot} has no runs of {study.name}; it has {', '.join(store.study_names()) or 'none'}."
            )
        results, measured = store.load(study.name), store.measurements()
    if results.study.seeds.root == study.seeds.root:
        raise ConfigError(
            f"The pilot in {pilot} has the root seed {study.seeds.root} of the study itself, so its runs would be judged "
            "again; run it with another root under [seeds]."
        )
    runs = runs_of(results).at(results.study.training.lr)
    about = [c for c in _all_claims(claims) if _asks(c, study)]
    found = [p for p in plan(about, {study.name: runs}, measured, power=power) if p.study == study.name]
    if as_json:
        typer.echo(json.dumps([{"claim": each.claim} | vars(each) for each in found], indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("claim", "test", "against", "margin", "sd", "pilot draws", "smallest effect", "draws needed"):
        table.add_column(column)
    for p in found:
        figures = [_figure(p.sd), str(p.pilot_draws), _figure(p.smallest_effect), str(p.draws_needed or "")]
        table.add_row(p.claim, p.test, p.b, f"{p.margin:g}", *([p.obstacle, "", "", ""] if p.obstacle else figures))
    make_console().print(table)


def _all_claims(path: Path | None) -> list[Claim]:
    return [*shipped_claims(), *([] if path is None else load_claims(path))]


def _claims_on(studies: Sequence[Study], path: Path | None) -> list[Claim]:
    """The claims of which all studies and quantities are those of these studies; your own whatever they are on."""
    names = {study.name for study in studies}
    measured = {quantity for study in studies for quantity in quantities_of(study)}
    shipped = [c for c in shipped_claims() if c.named_studies <= names and c.quantities <= measured]
    return shipped + ([] if path is None else load_claims(path))


def _asks(claim: Claim, study: Study) -> bool:
    """Whether a claim says anything of a study."""
    return study.name in claim.named_studies or not claim.quantities.isdisjoint(quantities_of(study))


def quantities_of(study: Study) -> set[str]:
    """The names of all quantities that are measured beside the trials of a study."""
    return {effective_dimension_on(study), straightness_on(study), agreement_on(study)}


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
