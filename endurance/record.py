"""What came of all campaigns, and the committed record of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from endurance import scale
from endurance.damages import Damaged, damage_at_random, damage_deliberately
from endurance.deliberate_damages import DELIBERATE
from endurance.fuzzing import fuzz
from endurance.kills import KILLS, Campaign, Round
from endurance.poison import Poisoned
from endurance.poison import campaign as poison
from endurance.sample import Sample
from endurance.workers import campaign as time_workers

DAMAGES = 1000
#: What the time of two workers is to be, compared with one; and the share of it that may go to anything but training.
SPEEDUP, OVERHEAD = 1.8, 0.05
#: Bytes and seconds that a million trials may take, and what is done with them.
MOST_BYTES, MOST_SECONDS = 2_000_000_000, 120.0
STEPS = ("plan", "store", "ask", "report")
PATH = Path(__file__).with_name("record.json")


def kills(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Kills at random instants."""
    return Campaign(folder, 80 if quick else 2000, report).run(6 if quick else KILLS)


def damages(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Damage, at random and deliberate; what was done is kept and goes on."""
    torch.set_num_threads(1)
    sample = Sample(folder / "sample")
    log = folder / "damages.jsonl"
    found = [Damaged(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    wanted = 40 if quick else DAMAGES
    with log.open("a") as file:
        if len(found) < len(DELIBERATE):
            found = []
            file.truncate(0)
            found += _noted(damage_deliberately(sample), file, report)
        done = len(found) - len(DELIBERATE)
        if done < wanted:
            found += _noted(damage_at_random(sample, wanted, first=done), file, report)
    split = len(DELIBERATE)
    return {"deliberate": _summed(found[:split]), "random": _summed(found[split:])}


def _noted(damaged: Any, file: Any, report: Callable[[str], None]) -> list[Damaged]:
    found = []
    for one in damaged:
        file.write(json.dumps(asdict(one)) + "\n")
        file.flush()
        found.append(one)
        if not one.is_well:
            report(f"{one.kind}: {one.what}: {one.read}, then {one.run}: {one.words[:200]}")
    return found


def _summed(found: list[Damaged]) -> dict[str, Any]:
    return {
        "damages": len(found),
        "read": dict(sorted(Counter(one.read for one in found).items())),
        "run": dict(sorted(Counter(one.run for one in found).items())),
        "unwell": sorted({f"{one.kind}: {one.read}, then {one.run}" for one in found if not one.is_well}),
    }


def poisoned(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """One poisoned trial among many, and the same study everywhere."""
    return poison(folder, report, ("in process", "local") if quick else None)


def workers(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Two workers against one."""
    found = time_workers(folder, *((32, 1) if quick else ()))
    report(f"{found['speedup']} times as fast, overhead {found['overhead']:.1%}, load {found['load']}")
    return found


def fuzzed(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """Files that nobody would write, and asks for what no machine has."""
    del folder
    found = fuzz(*((60, 10) if quick else ()))
    for kind in ("files", "tables", "asks"):
        report(f"{kind}: {found[kind]['results']} results, {found[kind]['errors']} errors that are explained")
    return found


def many(folder: Path, quick: bool, report: Callable[[str], None]) -> dict[str, Any]:
    """A million trials."""
    return scale.campaign(folder, 4000 if quick else scale.TRIALS, report)


#: Each campaign by its name on the command line.
CAMPAIGNS = {"kills": kills, "damages": damages, "poison": poisoned, "workers": workers, "fuzz": fuzzed, "scale": many}


def load_record() -> dict[str, Any]:
    """The committed record: what each campaign returned, by its name."""
    return json.loads(resources.files(__package__).joinpath("record.json").read_text(encoding="utf-8"))


def faults(record: dict[str, Any]) -> list[str]:
    """All that is not as it should be, in words."""
    found = []
    for one in record.get("kills", {}).get("rounds", []):
        if not Round(**one).is_well:
            found.append(f"kills with {one['executor']}: {one}")
    if record.get("kills", {}).get("worker_kills_that_ended_a_run"):
        found.append(f"{record['kills']['worker_kills_that_ended_a_run']} kills of workers ended a run")
    for kind in ("random", "deliberate"):
        found += [f"{kind} damage, {text}" for text in record.get("damages", {}).get(kind, {}).get("unwell", [])]
    for one in record.get("poison", {}).get("runs", []):
        if not Poisoned(**one).is_well:
            found.append(f"poison {one['poison'] or 'none'} with {one['place']}: {one}")
    for kind in ("files", "tables", "asks"):
        found += [f"fuzzing {kind}: {text}" for text in record.get("fuzz", {}).get(kind, {}).get("faults", [])]
    found += [
        f"{step} of {record['scale']['trials']:,} trials took {record['scale'][step]['bytes'] / 1e9:.1f} GB"
        for step in STEPS
        if record.get("scale", {}).get(step, {}).get("bytes", 0) > MOST_BYTES
    ]
    if record.get("scale", {}).get("report", {}).get("seconds", 0) > MOST_SECONDS:
        found.append(
            f"the report of {record['scale']['trials']:,} trials took {record['scale']['report']['seconds']} s"
        )
    times = record.get("workers")
    if times is not None and (times["speedup"] < SPEEDUP or times["overhead"] > OVERHEAD):
        found.append(f"two workers are {times['speedup']} times as fast as one, overhead {times['overhead']:.1%}")
    return found


def table(record: dict[str, Any]) -> str:
    """The record as a Markdown table."""
    rows = ["| what was done | how often | what came of it |", "|---|---|---|"]
    if "kills" in record:
        one = record["kills"]
        n = sum(sum(by.values()) for by in one["kills"].values())
        well = sum(Round(**r).is_well for r in one["rounds"])
        rows.append(
            f"| SIGKILL at a random instant of a study of {one['trials']:,} trials, to coordinator, workers or both, on "
            f"{' and '.join(f'`{name}`' for name in one['kills'])} | {n} | after {well} of {len(one['rounds'])} rounds the "
            f"table equals that of an undisturbed run, bit for bit; {one['worker_kills_that_ended_a_run']} kills of workers "
            "ended a run |"
        )
    for kind, about in (("random", "random damage to a store"), ("deliberate", "deliberate damage")):
        if kind in record.get("damages", {}):
            one = record["damages"][kind]
            healed, refused = one["run"].get("same", 0), one["run"].get("refused", 0)
            rows.append(
                f"| {about} | {one['damages']:,} | {healed:,} healed or without effect, {refused:,} refused, "
                f"{one['damages'] - healed - refused:,} anything else |"
            )
    if "poison" in record:
        one = record["poison"]
        calm = [r for r in one["runs"] if not r["poison"]]
        bad = [Poisoned(**r) for r in one["runs"] if r["poison"]]
        rows.append(
            f"| one study of {one['trials']} trials on each executor: {', '.join(r['place'] for r in calm)} | {len(calm)} | "
            f"{sum(r['equal'] for r in calm)} tables equal, bit for bit |"
        )
        rows.append(
            f"| one poisoned trial among {one['trials']}: crash, SIGKILL, memory, exception, NaN | {len(bad)} | "
            f"{sum(r.is_well for r in bad)} times {one['trials'] - 1} done and 1 failed with its reason |"
        )
    if "workers" in record:
        one = record["workers"]
        rows.append(
            f"| {one['trials']} trials of one arm, two workers against one on {one['cores']} cores | "
            f"{len(one['runs']) // 2} | {one['speedup']:.2f} times as fast; {one['overhead']:.1%} of the workers' time is "
            "without work |"
        )
    if "scale" in record:
        one = record["scale"]
        steps = "; ".join(f"{s} {one[s]['seconds']:.0f} s, {one[s]['bytes'] / 1e9:.1f} GB" for s in STEPS)
        rows.append(
            f"| {one['trials']:,} trials with invented results, a store of {one['size'] / 1e6:.0f} MB | 1 | {steps} |"
        )
    for kind, about in (
        ("files", "study and claims files with faults"),
        ("tables", "tables with faults"),
        ("asks", "impossible asks"),
    ):
        if kind in record.get("fuzz", {}):
            one = record["fuzz"][kind]
            n = one["results"] + one["errors"] + len(one["faults"])
            rows.append(
                f"| {about} | {n:,} | {one['results']:,} results, {one['errors']:,} errors in a line, {len(one['faults'])} "
                "anything else |"
            )
    return "\n".join(rows)
