"""Two workers against one: how much sooner one arm of one shape is done, and how much of the time workers train."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from endurance.kills import STUDY
from qmoe.studies import LocalProcesses, Store, load_study, run_studies
from qmoe.studies.run.portions import Portions
from qmoe.studies.run.stacks import Stack

#: Trials of the one arm, and epochs of each.
TRIALS, EPOCHS = 1920, 300
REPEATS = 3


@dataclass(frozen=True)
class Timed:
    """One study from its first task to its last row.

    Attributes:
        workers: how many processes.
        wall: seconds.
        work: seconds that workers took for what they were given, together.
    """

    workers: int
    wall: float
    work: float

    @property
    def overhead(self) -> float:
        """The share of the workers' time in which they had nothing to do: planning, handing over, storing, the end."""
        return 1 - self.work / (self.wall * self.workers)


def campaign(folder: Path, trials: int = TRIALS, repeats: int = REPEATS) -> dict[str, Any]:
    """Times the study with one worker and with two in turn; the machine should do nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    toml = folder / "timed.toml"
    text = STUDY.replace("DRAWS", str(trials // 2)).replace("EPOCHS", str(EPOCHS)).replace('"killed"', '"timed"')
    toml.write_text(text[: text.rindex("[[arms]]")])  # the first arm alone
    found = [_one(toml, folder, workers) for _ in range(repeats) for workers in (1, 2)]
    walls = {n: statistics.median(one.wall for one in found if one.workers == n) for n in (1, 2)}
    return {
        "trials": trials,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[2], 2),
        "speedup": round(walls[1] / walls[2], 3),
        "overhead": round(statistics.median(one.overhead for one in found if one.workers == 2), 4),
        "runs": [{key: round(value, 3) for key, value in asdict(one).items()} for one in found],
    }


def _one(toml: Path, folder: Path, workers: int) -> Timed:
    study = load_study(toml)
    for name in ("warm.sqlite", "timed.sqlite"):
        (folder / name).unlink(missing_ok=True)
    with LocalProcesses(workers) as pool:
        # Processes that have imported all they need, and kernels that are there: what is timed is the work.
        with Store(folder / "warm.sqlite") as store:
            run_studies([study.resized(8 * workers)], store, pool)
        with Store(folder / "timed.sqlite") as store:
            work: list[float] = []
            took = Portions.took

            def noted(portions: Portions, portion: Stack, seconds: float) -> None:
                work.append(seconds)
                took(portions, portion, seconds)

            with mock.patch.object(Portions, "took", noted):
                begin = time.perf_counter()
                run_studies([study], store, pool)
                wall = time.perf_counter() - begin
    return Timed(workers, wall, sum(work))
