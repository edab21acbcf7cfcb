"""One poisoned trial among 500 on each executor; and the same study on each without poison."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from endurance.kills import STUDY, table
from endurance.places import FRAGILE, PLACES, run
from endurance.sample import STORE
from qmoe.studies import Store, load_study, make_trials

TRIALS = 500
#: What happens to the trial, and how the store is to call it.
POISONS = {"crash": "died", "killed": "died", "memory": "memory", "exception": "error", "nan": "diverged"}
#: Those that end the process.
_DEADLY = ("crash", "killed")


@dataclass(frozen=True)
class Poisoned:
    """A study with one poisoned trial, or with none.

    Attributes:
        place: where it ran, see `qmoe`'s executors.
        poison: what happened to the trial; "" for no poison.
        status: exit status.
        done: trials done, by ``qmoe status``.
        failed: trials failed, by ``qmoe status``.
        told: trials failed, by ``qmoe run --json``.
        failure: how the store calls it.
        reason: the first words of the reason.
        equal: whether all other trials equal, bit for bit, those of the study that ran in one process without poison.
    """

    place: str
    poison: str
    status: int
    done: int
    failed: int
    told: int
    failure: str | None
    reason: str
    equal: bool

    @property
    def is_well(self) -> bool:
        """Whether one trial failed as it should, all others are done, and everybody says so."""
        bad = int(bool(self.poison))
        counts = self.failed == self.told == bad and self.done == TRIALS - bad
        return counts and self.equal and self.status == 3 * bad and self.failure == POISONS.get(self.poison)


def campaign(
    folder: Path, report: Callable[[str], None] = print, places: Sequence[str] | None = None
) -> dict[str, Any]:
    """Runs the study in every place, without poison and with each; what was done already is kept in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    study = folder / "killed.toml"
    study.write_text(STUDY.replace("DRAWS", str(TRIALS // 4)).replace("EPOCHS", "20"))
    log = folder / "poison.jsonl"
    found = [Poisoned(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    for place in places or PLACES:
        for poison in ("", *POISONS):
            if place in FRAGILE and poison in _DEADLY:
                continue
            if any((one.place, one.poison) == (place, poison) for one in found):
                continue
            found.append(_one(study, place, poison, folder))
            with log.open("a") as file:
                file.write(json.dumps(asdict(found[-1])) + "\n")
            report(str(found[-1]))
    return {"trials": TRIALS, "runs": [asdict(one) for one in found]}


def _one(study: Path, place: str, poison: str, folder: Path) -> Poisoned:
    name = f"{place}-{poison or 'calm'}".translate(str.maketrans(": ,", "---"))
    out = folder / name
    hashes = [member.trial.hash for member in make_trials(load_study(study))]
    chosen = hashes[len(hashes) // 3]
    environment = {}
    if poison:
        path = [str(Path(__file__).parent / "poisoned"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"QMOE_POISON": f"{chosen}:{poison}", "PYTHONPATH": os.pathsep.join(path)}
    done = run(place, study, out, environment, ["--json"])
    (out / "out.txt").write_text(f"{done.stdout}\n{done.stderr}")
    told = json.loads(done.stdout[done.stdout.index("{") :])["trials_failed"] if "{" in done.stdout else -1
    asked = [sys.executable, "-m", "qmoe", "status", str(out), "--json"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout
    (progress,) = json.loads(said)["studies"]
    with Store(out / STORE, create=False) as store:
        bad = [record for _, record in store.load("killed").failed]
    one = table(out / STORE)
    calm = table(folder / "in-process-calm" / STORE)
    equal = {k: v for k, v in one.items() if not (poison and k == chosen)} == {
        k: v for k, v in calm.items() if not (poison and k == chosen)
    }
    failure, reason = (bad[0].failure, str(bad[0].error)[:160]) if bad else (None, "")
    return Poisoned(place, poison, done.returncode, progress["done"], progress["failed"], told, failure, reason, equal)
