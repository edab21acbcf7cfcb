"""Tries an installed qmoe in a minute: imports, a training, every engine, and a command with its worker processes.

Usage: python scripts/smoke_test.py [PACKAGE...]

Run it with the Python of the environment that is to be tried. It needs nothing but qmoe. Packages that are named, by the
name that pip knows, are imported as well.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: Modules that need what only some extra brings -> what that is.
OPTIONAL = {"qmoe.testing.": "pytest", "qmoe.notebook": "IPython"}
STUDY = """
name = "smoke"
title = "Smoke test"
phase = "own"
protocol = "heldout"
data = { name = "moons", options = { n_samples = 60 }, scaling = "minmax_pi" }
seeds = { data = 2, per_data = 1 }
training = { epochs = 2 }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
[[arms]]
name = "quantum"
label = "quantum router"
model = { router = { kind = "quantum" }, experts = { kind = "linear" } }
"""


def import_all() -> int:
    """Imports every module of qmoe and returns how many there are; those of extras that are not installed are left out."""
    import qmoe

    names = [module.name for module in pkgutil.walk_packages(qmoe.__path__, "qmoe.")]
    absent = tuple(start for start, package in OPTIONAL.items() if importlib.util.find_spec(package) is None)
    names = [name for name in names if not name.startswith(absent)]
    for name in names:
        importlib.import_module(name)
    return len(names)


def import_packages(names: list[str]) -> None:
    """Imports what the packages of these names install."""
    for module, owners in importlib.metadata.packages_distributions().items():
        wanted = {owner.lower().replace("_", "-") for owner in owners} & set(names)
        # Some list what is no module, such as a library beside them.
        if wanted and not module.startswith("_") and importlib.util.find_spec(module) is not None:
            importlib.import_module(module)


def train() -> float:
    """Accuracy of the estimator on data that a linear classifier separates."""
    import numpy as np

    import qmoe

    x = np.random.default_rng(0).uniform(size=(60, 2))
    y = (x.sum(1) > 1).astype(int)
    classifier = qmoe.QMoEClassifier(router="quantum", n_experts=2, random_state=0).fit(x, y)
    accuracy = float(classifier.score(x, y))
    if accuracy < 0.7:
        raise SystemExit(
            f"The estimator learnt nothing: accuracy {accuracy:.2f} on separable data, expected 0.7 or more."
        )
    return accuracy


def differentiate() -> float:
    """Largest difference between the native engine's gradient and those that PennyLane's devices give, in float64."""
    import torch

    import qmoe

    gradients = []
    for engine in ("native", "pennylane", "pennylane:lightning.qubit"):
        torch.manual_seed(0)
        router = qmoe.QuantumRouter(in_features=2, n_experts=2, engine=engine).double()
        router(torch.rand(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[:, 0].sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in router.parameters() if p.grad is not None]))
    difference = max(float((gradient - gradients[0]).abs().max()) for gradient in gradients[1:])
    if not difference < 1e-8:
        raise SystemExit(
            f"Gradients of PennyLane and of the native engine differ by {difference:.1e}, expected rounding."
        )
    return difference


def ask_for_help() -> int:
    """Prints the help of every command, which is where versions of typer and click fall out; returns how many."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from qmoe.cli.app import app

    names = sorted(get_command(app).commands)
    for name in names:
        done = CliRunner().invoke(app, [name, "--help"])
        if done.exit_code:
            raise SystemExit(f"qmoe {name} --help failed: {done.exception!r}")
    return len(names)


def command(*arguments: str) -> dict[str, object]:
    """What a command of qmoe answers in JSON."""
    done = subprocess.run([sys.executable, "-m", "qmoe", *arguments, "--json"], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"qmoe {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def main() -> None:
    """Tries everything, and stops at the first failure."""
    import_packages(sys.argv[1:])
    print(f"{import_all()} modules import")
    print(f"{ask_for_help()} commands have a help")
    print(f"the estimator reaches accuracy {train():.2f}")
    print(f"gradients agree to {differentiate():.1e}")
    print(f"engines: {command('doctor')['engines']}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "smoke.toml").write_text(STUDY, encoding="utf-8")
        out = command("run", f"{folder}/smoke.toml", "--out", f"{folder}/results", "--workers", "2")
    print(f"a study of {out['trials_trained']} trials runs and is reported")


if __name__ == "__main__":
    main()
