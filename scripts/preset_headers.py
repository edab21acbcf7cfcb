"""Writes the opening comment of every preset: expected result, machine and wall time, as measured.

Usage: python scripts/preset_headers.py (--work DIR | --results DIR) [--machine TEXT] [NAME...]

With --work runs each preset on its own with `qmoe run`, one after the other, into DIR, and puts what came out on top of its
file.
With --results takes figures and times from the store that `qmoe reproduce` wrote into DIR, all presets side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from qmoe.studies import Store, preset_names
from qmoe.studies import presets as presets_package

FOLDER = Path(presets_package.__file__).parent


def measure(name: str, work: Path) -> list[str]:
    """Lines that say what preset ``name`` gave, and how long it took."""
    begin = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("qmoe"), "run", name, "--out", str(work / name), "--json"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - begin
    return [*expected(name, work / name), f"# Wall time: {seconds:.0f} s with the report."]


def expected(name: str, folder: Path) -> list[str]:
    """Lines that say what preset ``name`` gave in the store of a folder."""
    with Store(folder / "store.sqlite", create=False) as store:
        results = store.load(name)
    lines = []
    for arm in results.study.arms:
        for strength in arm.noise or (None,):
            records = results.of(arm.name, strength)
            metric = "test_accuracy" if "test_accuracy" in records[0].metrics else "train_accuracy"
            values = np.array([record.metrics[metric] for record in records])
            label = arm.name if strength is None else f"{arm.name} at p = {strength:g}"
            lines.append(f"#   {label:22} {values.mean():.3f} +- {values.std(ddof=1):.3f}  (n = {len(values)})")
    what = metric.replace("_", " ")
    return [f"# Expected {what}, mean +- standard deviation over trials:", *lines]


def training_time(name: str, folder: Path) -> str:
    """The line that says how long training took in a run of all presets."""
    with Store(folder / "store.sqlite", create=False) as store:
        results = store.load(name)
        parts = [results, *results.specifications]
    shares = {
        trial.hash: share
        for part in parts
        for trial, share in zip(part.columns.trials, part.columns.shares, strict=True)
        if np.isfinite(share)
    }
    seconds = sum(shares.values())
    return f"# Wall time: {seconds:.0f} s of training on one core, in a run of all presets."


def main() -> None:
    """Measures all presets and rewrites their openings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--work", type=Path, help="an empty folder for the stores")
    source.add_argument("--results", type=Path, help="what `qmoe reproduce` wrote")
    parser.add_argument("--machine", default=f"{os.cpu_count()} cores, {platform.machine()}, no GPU")
    parser.add_argument("names", nargs="*", help="presets; all by default")
    arguments = parser.parse_args()
    for name in arguments.names or preset_names():
        path = FOLDER / f"{name}.toml"
        body = path.read_text(encoding="utf-8").split("\nname =", 1)[1]
        if arguments.results is not None:
            lines = [*expected(name, arguments.results), training_time(name, arguments.results)]
        else:
            lines = measure(name, arguments.work)
        opening = "\n".join([*lines, f"# Machine: {arguments.machine}."])
        path.write_text(f"{opening}\n\nname ={body}", encoding="utf-8")
        print(json.dumps({"preset": name, "last": lines[-1]}), file=sys.stderr)


if __name__ == "__main__":
    main()
