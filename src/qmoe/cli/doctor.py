"""What this installation can do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

import qmoe
from qmoe.circuits import Circuit
from qmoe.engines import NativeEngine, ReferenceEngine, TorchEngine, choose_engine
from qmoe.studies.running import commit

#: distribution -> what it is for; all of them come with ``pip install qmoe``.
PACKAGES = {
    "torch": "models and the torch engine",
    "numpy": "arrays",
    "pandas": "tables of your own",
    "scipy": "statistics",
    "scikit-learn": "data sets and the estimator",
    "pydantic": "study files",
    "matplotlib": "figures",
    "jinja2": "the report",
    "numba": "the native engine",
    "safetensors": "trained models in the store",
    "pennylane": "engine 'pennylane': any PennyLane device",
    "pennylane-lightning": "lightning.qubit, the paper's device",
}
#: Largest difference of an engine from the dense reference that passes, in float64.
TOLERANCE = 1e-10


def examine() -> dict[str, Any]:
    """Collects versions, hardware, the choice of engine and a self-test."""
    packages = {name: _version(name) for name in PACKAGES}
    circuit = Circuit(2, 3)
    device = torch.device("cpu")
    engine, why = choose_engine(circuit, device)
    error = self_test()
    missing = [name for name, version in packages.items() if version is None]
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
        "remedy": f"pip install {' '.join(missing)}" if missing else None,
        "engines": {
            "auto": f"{engine.name}: {why}",
            "native": "available" if packages["numba"] else "missing: pip install numba",
            "torch": "available",
            "reference": "available (slow, for tests)",
            "pennylane": "missing: pip install pennylane" if packages["pennylane"] is None else "available",
        },
        "self_test_error": error,
        "ok": not missing and error < TOLERANCE,
    }


def self_test() -> float:
    """Largest difference of the native and torch engines from the dense reference, on one noisy circuit in float64."""
    circuit = Circuit(2, 3, noise=0.1)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 2, generator=generator, dtype=torch.float64)
    weights = torch.rand(*circuit.weight_shape, generator=generator, dtype=torch.float64)
    truth = ReferenceEngine().evaluate(circuit, x, weights)
    return max(
        float((engine.evaluate(circuit, x, weights) - truth).abs().max()) for engine in (NativeEngine(), TorchEngine())
    )


def print_examination(found: dict[str, Any]) -> None:
    """Prints what `examine` found, for people."""
    console = Console()
    table = Table(show_header=False, title="qmoe doctor", title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("qmoe", f"{found['qmoe']} ({found['commit'] or 'installed'})")
    table.add_row("python", f"{found['python']} on {found['system']}")
    table.add_row(
        "hardware", f"{found['cores']} cores, {found['torch_threads']} torch threads, GPU: {found['cuda'] or 'none'}"
    )
    for name, version in found["packages"].items():
        table.add_row(name, f"{version or 'MISSING'}  ({PACKAGES[name]})")
    for name, state in found["engines"].items():
        table.add_row(f"engine {name}", state)
    verdict = "passed" if found["self_test_error"] < TOLERANCE else "FAILED"
    table.add_row(
        "self-test",
        f"{verdict}: native and torch engines against the reference differ by {found['self_test_error']:.1e}",
    )
    console.print(table)
    if found["remedy"]:
        console.print(f"Missing: {', '.join(found['missing'])}. Get them with: {found['remedy']}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
