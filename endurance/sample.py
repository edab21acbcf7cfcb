"""A folder of results that is damaged: two studies with all that a store keeps, their numbers, and running them again."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qmoe.claims import Claim, parse_claims
from qmoe.report import read_store
from qmoe.studies import InProcess, Store, Study, load_study, run_studies
from qmoe.studies.boundary_measures import measure_boundaries, missing_boundaries
from qmoe.studies.measurements import measure, missing_measurements
from qmoe.studies.store import SpecificationResults, status_of

STORE = "store.sqlite"
#: How a trial is told of whose weights are not kept.
NO_WEIGHTS = hashlib.sha256(b"").hexdigest()

_ARMS = """
[[arms]]
name = "quantum"
label = "quantum router"
model = { router = { kind = "quantum", n_layers = 1 }, experts = { kind = "linear" } }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
"""
MOONS = f"""
name = "my-moons"
title = "My moons"
phase = "mine"
protocol = "heldout"
data = {{ name = "moons", options = {{ n_samples = 60, noise = 0.1 }}, scaling = "minmax_pi" }}
seeds = {{ data = 6, per_data = 1 }}
training = {{ epochs = 3, batch_size = 16, lr = 0.1 }}
effective_dimension = ["quantum"]
boundaries = ["quantum", "linear"]
multiverse = {{ scaling = ["minmax_pi", "standard"] }}
{_ARMS}"""
TABLE = f"""
name = "my-table"
title = "My table"
phase = "mine"
protocol = "heldout"
data = {{ name = "table", options = {{ path = "points.csv", target = "side" }}, scaling = "minmax_pi" }}
seeds = {{ data = 3, per_data = 1 }}
training = {{ epochs = 2, batch_size = 16, lr = 0.1 }}
{_ARMS}"""
CLAIM: dict[str, Any] = {
    "id": "mine", "statement": "The quantum router beats the linear one.", "source": "us", "studies": ["my-moons"],
    "min_seeds": 6,
    "tests": [
        {"kind": "difference", "name": "beats", "a": "quantum", "b": "linear", "direction": "greater", "margin": 0.02}
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What a reader is shown, and what was said beside it.

    Attributes:
        numbers: all numbers by what they are of.
        words: warnings, studies left out with their reason, trials that are missing.
    """

    numbers: dict[str, Any]
    words: tuple[str, ...]


class Sample:
    """Two small studies in a folder, run to the end.

    Args:
        folder: where to make them; a fresh one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "moons.toml").write_text(MOONS)
        (folder / "table.toml").write_text(TABLE.replace("points.csv", str(folder / "points.csv")))
        points = np.random.default_rng(0).normal(size=(40, 2)).round(3)
        lines = [f"{x},{y},{'left' if x < 0.1 * y else 'right'}" for x, y in points]
        (folder / "points.csv").write_text("\n".join(["x,y,side", *lines]) + "\n")
        self.studies = [load_study(folder / name) for name in ("moons.toml", "table.toml")]
        self.store = folder / STORE
        run_again(self.studies, self.store)
        self.told = tell(self.store)

    def copy(self, folder: Path) -> Path:
        """A store of the same content in another folder, which is made anew."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return Path(shutil.copy(self.store, folder / STORE))


def claims() -> list[Claim]:
    """What is claimed of the studies."""
    return parse_claims(CLAIM)


def run_again(studies: list[Study], store: Path) -> None:
    """What ``qmoe run`` does, but for the page."""
    with Store(store) as open_store, open_store.alone():
        run_studies(studies, open_store)
        for study, arms in missing_boundaries(studies, open_store):
            measure_boundaries(study, arms, open_store)
        for study, arms in missing_measurements(studies, open_store):
            measure(study, arms, open_store, InProcess())


def tell(store: Path) -> Told:
    """All that the report, ``qmoe status``, ``check`` and ``export`` make of a store.

    Raises:
        QMoEError: when it is refused.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        contents = read_store(store, claims())
        numbers: dict[str, Any] = {
            # The order of studies is no number.
            "headline": sorted((row.to_dict() for row in contents.rows), key=lambda row: (row["study"], row["arm"])),
            "verdicts": [verdict.as_dict() for verdict in contents.judged.verdicts],
            "measurements": {
                quantity: {name: values.tolist() for name, values in named.items()}
                for quantity, named in contents.measurements.items()
            },
            "status": sorted(astuple(one) for one in status_of(store).studies),
        }
        words = [f"{name}: {reason}" for name, reason in contents.unreadable]
        for results in contents.results:
            for one in (results, *results.specifications):
                words += [f"{one.n_missing} trials of {one.study.name} are missing"] if one.n_missing else []
                at = one.specification.label if isinstance(one, SpecificationResults) else "its own"
                numbers[f"trials of {one.study.name} at {at}"] = {
                    digest: asdict(replace(record, trial=None, state=b""))  # type: ignore[arg-type]
                    | {"state": hashlib.sha256(record.state).hexdigest()}
                    for digest, record in one.records.items()
                }
            numbers[f"frame of {results.study.name}"] = results.frame().to_dict("records")
        with Store(store, create=False) as opened:
            damaged = opened.damaged()
            numbers["frame"] = len(opened.frame(history=True))
    words += [f"trial {digest}: {reason}" for digest, reason in damaged.items()]
    words += [str(one.message) for one in caught]
    return Told(numbers, tuple(words))


def settled(told: Told) -> dict[str, Any]:
    """The numbers that training again gives again: all but times."""
    kept = {"headline", "verdicts", "measurements", "status"}
    found = {name: value for name, value in told.numbers.items() if name in kept}
    for name, trials in told.numbers.items():
        if name.startswith("trials of"):
            found[name] = {
                digest: {key: record[key] for key in ("metrics", "history", "state", "error", "failure")}
                for digest, record in trials.items()
            }
    return found


def times(told: Told) -> dict[str, tuple[float, str]]:
    """Seconds of each trial, with when it ended."""
    found = {}
    for name, trials in told.numbers.items():
        if name.startswith("trials of"):
            for digest, record in trials.items():
                found[digest] = record["execution"]["seconds"], record["execution"]["finished_at"]
    return found


#: Kept so that damage to a table is seen: readers hold what they read of a store.
def forget() -> None:
    """Forgets tables read from stores, as a new process would have."""
    from qmoe.data.tables.kept import kept_table

    kept_table.cache_clear()
