"""Imports go downwards only, modules stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import qmoe

SOURCE = Path(qmoe.__file__).parent

#: Rooms from the ground up; those of one row do not import each other. "" is the public door, qmoe/__init__.py.
FLOORS = (
    ("errors", "torch_internals"),
    ("seeding", "layers"),
    ("circuits", "compiled", "statistics"),
    ("engines",),
    ("routers", "experts", "interop"),
    ("moe",),
    ("data",),
    ("training",),
    ("analysis",),
    ("estimator",),
    ("",),
    ("testing", "studies"),
    ("claims",),
    ("report",),
    ("notebook",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
#: Rooms that see less than their floor would allow.
ONLY = {"interop": {"errors", "seeding", "layers", "circuits", "engines"}, "statistics": {"errors", "seeding"}}
MAX_LINES = 400


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted names within qmoe, such as ``routers.quantum``; packages without their ``__init__``."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(source: str) -> Iterator[str]:
    """Everything that a module imports, in functions too: names of modules, or of what may be one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or "")
            elif node.module == "qmoe":
                yield from (f"qmoe.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module of qmoe."""
    room = module.split(".")[0]
    if room not in FLOOR:
        return [f"qmoe.{module}: the room {room!r} has no floor; give it one in FLOORS"]
    found = []
    for name in imports(source):
        top, *rest = name.split(".")
        if top == "":
            found.append(f"qmoe.{module} imports {name!r}: write imports in full")
        if top == "tests":
            found.append(f"qmoe.{module} imports the tests")
        if top != "qmoe":
            continue
        other = rest[0] if rest and rest[0] in FLOOR else ""
        if other == room:
            continue
        if FLOOR[other] >= FLOOR[room] or other not in ONLY.get(room, {other}):
            found.append(f"qmoe.{module} imports {name}, which is not below it")
    return found


@pytest.mark.parametrize(("module", "path"), [pytest.param(*m, id=m[0] or "qmoe") for m in modules()])
def test_imports_go_downwards(module: str, path: Path) -> None:
    assert complaints(module, path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "import qmoe.layers"),
        ("circuits.circuit", "from qmoe.engines import TorchEngine"),
        ("engines.native", "from qmoe.layers import LinearHead\nfrom qmoe.routers import Router"),
        ("routers.quantum", "from qmoe.experts import LinearExperts"),
        ("data.base", "def f():\n    from qmoe.training.loop import train_stack"),
        ("moe.mixture", "from qmoe import QuantumRouter"),
        ("training.loop", "import qmoe"),
        ("analysis.dimension", "import torch, qmoe.studies.store"),
        ("estimator", "from qmoe.studies.specs.study import Study"),
        ("interop.openqasm", "from qmoe.routers import QuantumRouter"),
        ("interop.openqasm", "from qmoe.training import train_stack"),
        ("studies.running", "from qmoe.testing import random_circuit"),
        ("studies.running", "from qmoe import cli"),
        ("report.page", "from qmoe.cli.app import main"),
        ("", "from qmoe.studies import Study"),
        ("moe.mixture", "from tests.moe import test_mixture"),
        ("moe.losses", "from .mixture import MixtureOfExperts"),
        ("attic", "import torch"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert len(complaints(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("layers", "from qmoe.errors import ConfigError"),
        ("engines.native", "from qmoe.engines.protocol import Engine\nfrom qmoe.circuits import Circuit"),
        ("estimator", "from qmoe.training import train_stack\nimport sklearn"),
        ("interop.openqasm", "from qmoe.circuits import Circuit"),
        ("testing.routers", "from qmoe.routers import Router"),
        ("studies.running", "import qmoe\nfrom qmoe import __version__"),
        ("cli", "from qmoe.report import build_report"),
        ("", "from qmoe.estimator import QMoEClassifier"),
    ],
)
def test_an_import_from_below_is_allowed(module: str, source: str) -> None:
    assert complaints(module, source) == []


def test_every_module_is_found() -> None:
    found = [name for name, _ in modules()]
    assert {"", "errors", "routers", "routers.quantum", "engines.batched.engine", "estimator"} <= set(found)


@pytest.mark.parametrize(("module", "path"), [pytest.param(*m, id=m[0] or "qmoe") for m in modules()])
def test_modules_are_small(module: str, path: Path) -> None:
    n_lines = len(path.read_text().splitlines())
    assert n_lines <= MAX_LINES, f"qmoe.{module} has {n_lines} lines, at most {MAX_LINES}: split it"
