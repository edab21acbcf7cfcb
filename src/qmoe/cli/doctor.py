"""What this installation can do."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
from rich.table import Table

import qmoe
from qmoe.circuits import Circuit
from qmoe.cli.console import make_console, say
from qmoe.cli.packages import PACKAGES, broken, first_line, remedies, version
from qmoe.engines import ReferenceEngine, choose_engine, get_engine
from qmoe.studies.run.stack_run import commit

#: Largest difference of an engine from the dense reference that passes, in float64.
TOLERANCE = 1e-10
#: Engine -> the strength of the noise it is tried with (lightning has none), and the package it needs beside torch.
ENGINES: dict[str, tuple[float | None, str]] = {
    "native": (0.1, "numba"),
    "torch": (0.1, "torch"),
    "pennylane": (0.1, "pennylane"),
    "pennylane:lightning.qubit": (None, "pennylane-lightning"),
}


def examine() -> dict[str, Any]:
    """Collects versions, what does not import, hardware, the choice of engine and what each engine computes."""
    packages = {name: version(name) for name in PACKAGES}
    missing = [name for name, found in packages.items() if found is None]
    damaged = broken()
    engine, why = choose_engine(Circuit(2, 3), torch.device("cpu"))
    tried = {name: self_test(name) for name, (_, package) in ENGINES.items() if package not in missing}
    errors = [result for result in tried.values() if isinstance(result, float)]
    states = {name: _state(tried.get(name), package) for name, (_, package) in ENGINES.items()}
    return {
        "qmoe": qmoe.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "packages": packages,
        "missing": missing,
        "broken": damaged,
        "remedy": "; ".join(remedies(missing, list(damaged))) or None,
        "engines": {"auto": f"{engine.name}: {why}", **states, "reference": "available (slow, for tests)"},
        "self_test_error": max(errors, default=None),
        "ok": not missing and not damaged and all(state == "available" for state in states.values()),
    }


def self_test(name: str) -> float | str:
    """Largest difference of an engine from the dense reference on one circuit in float64, or why it does not run."""
    strength, _ = ENGINES[name]
    circuit = Circuit(2, 3) if strength is None else Circuit(2, 3, noise=strength)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(*circuit.weight_shape, generator=generator, dtype=torch.float64)
    truth = ReferenceEngine().evaluate(circuit, x, weights)
    try:
        engine = get_engine(name)
        assert engine is not None  # that would be "auto"
        return float((engine.evaluate(circuit, x, weights) - truth).abs().max())
    except Exception as error:  # whatever an engine's packages raise: it is what the user wants to know
        return first_line(error)


def _state(tried: float | str | None, package: str) -> str:
    """An engine in words: what its trial gave, or the package that it lacks."""
    if tried is None:
        return f"missing: pip install {package}"
    if isinstance(tried, str):
        return f"does not run: {tried}"
    return "available" if tried < TOLERANCE else f"wrong: differs from the reference by {tried:.1e}"


def print_examination(found: dict[str, Any]) -> None:
    """Prints what `examine` found, for people."""
    console = make_console()
    table = Table(show_header=False, title="qmoe doctor", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("qmoe", f"{found['qmoe']} ({found['commit'] or 'installed'})")
    table.add_row("python", f"{found['python']} on {found['system']}")
    table.add_row(
        "hardware", f"{found['cores']} cores, {found['torch_threads']} torch threads, GPU: {found['cuda'] or 'none'}"
    )
    for name, installed in found["packages"].items():
        state = f"{installed} DOES NOT IMPORT" if name in found["broken"] else installed or "MISSING"
        table.add_row(name, f"{state}  ({found['broken'].get(name, PACKAGES[name].purpose)})")
    for name, state in found["engines"].items():
        table.add_row(f"engine {name}", state)
    states = [state for name, state in found["engines"].items() if name in ENGINES]
    verdict = "passed" if all(state == "available" for state in states) else "FAILED"
    error = found["self_test_error"]
    told = "no engine runs" if error is None else f"engines that run differ from the reference by at most {error:.1e}"
    table.add_row("self-test", f"{verdict}: {told}")
    console.print(table)
    if found["missing"]:
        say(console, f"Missing: {', '.join(found['missing'])}.")
    if found["broken"]:
        say(console, f"Installed, but not to be imported: {', '.join(found['broken'])}.")
    if found["remedy"]:
        say(console, f"Try: {found['remedy']}")
