"""Imports go downwards only; modules, functions and folders stay small; a name stands once."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import qmoe

SOURCE = Path(qmoe.__file__).parent

#: Rooms from the ground up; those of one row do not import each other. "" is the public door, qmoe/__init__.py.
FLOORS = (
    ("errors", "torch_internals", "lazy"),
    ("seeding", "layers", "part_spec", "safe_files", "plain_console"),
    ("circuits", "compiled", "statistics"),
    ("engines",),
    ("interop",),
    ("quantum_layer",),
    ("compilable",),
    ("routers", "experts"),
    ("moe",),
    ("data",),
    ("training",),
    ("analysis", "saving"),
    ("estimators",),
    ("",),
    ("testing", "studies"),
    ("claims",),
    ("auditing", "devices"),
    ("report",),
    ("explorer",),
    ("notebook",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
#: Packages within a room that stand higher than it, on the floor of another room; the rest of the room does not import them.
RAISED = {"interop.transformers": "estimators"}
FLOOR |= {package: FLOOR[beside] for package, beside in RAISED.items()}
#: Rooms that see less than their floor would allow.
ONLY = {"statistics": {"errors", "seeding", "lazy"}}
#: The most of each: lines of a module, lines of a function, modules of a folder.
MAX_LINES, MAX_FUNCTION, MAX_MODULES = 400, 80, 14
#: Names of modules that may stand more than once, each with the reason.
DOUBLE_MODULES = {
    "base": "what all members of a room share",
    "engine": "the door of each kind of engine",
    "imported": "what comes from elsewhere: circuits of other libraries; routers of a user's own in a study",
    "layout": "where things stand in memory: of a circuit's run, and of a training step",
    "classical": "members without a circuit: of routers, and of experts",
    "quantum": "members with one: of routers, and of experts",
    "parameters": "of a model, which are counted; of a claim about them",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Dotted names within qmoe, such as ``routers.quantum``; packages without their ``__init__``."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(source: str, for_types: bool = True) -> Iterator[str]:
    """Everything that a module imports, in functions too: names of modules, or of what may be one.

    Args:
        source: of the module.
        for_types: whether what is imported for type checkers alone counts.
    """
    tree = ast.parse(source)
    if not for_types:
        tree.body = [
            node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "." * node.level + (node.module or "")
            elif node.module == "qmoe":
                yield from (f"qmoe.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def room_of(module: str) -> str:
    """The room of a module by its dotted name within qmoe, or the package of `RAISED` that it is in."""
    raised = (package for package in RAISED if module == package or module.startswith(f"{package}."))
    return next(raised, module.split(".")[0])


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with the imports of a module of qmoe."""
    room = room_of(module)
    if room not in FLOOR:
        return [f"qmoe.{module}: the room {room!r} has no floor; give it one in FLOORS"]
    found = []
    # The door names everything, and imports what stands above it when it is asked for.
    for name in imports(source, for_types=room != ""):
        top, *rest = name.split(".")
        if top == "":
            found.append(f"qmoe.{module} imports {name!r}: write imports in full")
        if top == "tests":
            found.append(f"qmoe.{module} imports the tests")
        if top != "qmoe":
            continue
        other = room_of(".".join(rest))
        other = other if other in FLOOR else ""
        if other == room:
            continue
        if FLOOR[other] >= FLOOR[room] or other not in ONLY.get(room, {other}):
            found.append(f"qmoe.{module} imports {name}, which is not below it")
    return found


def test_imports_go_downwards() -> None:
    assert [line for module, path in modules() for line in complaints(module, path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "import qmoe.layers"),
        ("circuits.circuit", "from qmoe.engines import TorchEngine"),
        ("engines.native", "from qmoe.layers import Linear\nfrom qmoe.routers import Router"),
        ("routers.quantum", "from qmoe.experts import LinearExperts"),
        ("data.base", "def f():\n    from qmoe.training.loop import train_stack"),
        ("moe.mixture", "from qmoe import QuantumRouter"),
        ("training.loop", "import qmoe"),
        ("analysis.dimension", "import torch, qmoe.studies.store"),
        ("estimators.base", "from qmoe.studies.specs.study import Study"),
        ("statistics.tests", "from qmoe.circuits import Circuit"),
        ("data.base", "from qmoe.training import train_stack"),
        ("studies.running", "from qmoe.testing import random_circuit"),
        ("studies.running", "from qmoe import cli"),
        ("report.page", "from qmoe.cli.app import main"),
        ("", "from qmoe.studies import Study"),
        ("moe.mixture", "from tests.moe import test_mixture"),
        ("moe.losses", "from .mixture import MixtureOfExperts"),
        ("attic", "import torch"),
        ("interop.layers_in", "from qmoe.interop.transformers import swap_gates"),
        ("interop.layers_in", "from qmoe.saving import save"),
        ("interop.transformers.swapping", "from qmoe.studies import Study"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert len(complaints(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("layers", "from qmoe.errors import ConfigError"),
        ("engines.native", "from qmoe.engines.protocol import Engine\nfrom qmoe.circuits import Circuit"),
        ("estimators.base", "from qmoe.training import train_stack\nimport sklearn"),
        ("statistics.tests", "from qmoe.errors import ShapeError"),
        ("testing.routers", "from qmoe.routers import Router"),
        ("studies.running", "import qmoe\nfrom qmoe import __version__"),
        ("cli", "from qmoe.report import build_report"),
        ("", "from qmoe.estimators import QMoEClassifier"),
        ("interop.transformers.swapping", "from qmoe.interop.optional import refuse\nfrom qmoe.saving import save"),
        ("", "if TYPE_CHECKING:\n    from qmoe.auditing import audit"),
    ],
)
def test_an_import_from_below_is_allowed(module: str, source: str) -> None:
    assert complaints(module, source) == []


def test_every_module_is_found() -> None:
    found = [name for name, _ in modules()]
    assert {"", "errors", "routers", "routers.quantum", "engines.batched.engine", "estimators.base"} <= set(found)


def large_folders(paths: Iterable[Path]) -> list[str]:
    """Folders that hold too many modules of their own."""
    sizes = Counter(path.parent for path in paths if path.name != "__init__.py")
    return [f"{folder} has {n} modules, at most {MAX_MODULES}" for folder, n in sizes.items() if n > MAX_MODULES]


def doubles(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names that stand at several places, with the places; of pairs of name and place."""
    found: dict[str, list[str]] = {}
    for name, place in names:
        found.setdefault(name, []).append(place)
    return {name: places for name, places in found.items() if len(places) > 1}


def classes(source: str) -> list[str]:
    """Names of all classes in a module."""
    return [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def long_functions(source: str) -> list[str]:
    """Names of the functions that are too long, decorators not counted."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > MAX_FUNCTION]


def test_modules_are_small() -> None:
    lengths = {module: len(path.read_text("utf-8").splitlines()) for module, path in modules()}
    assert {module: n for module, n in lengths.items() if n > MAX_LINES} == {}


def test_functions_are_small() -> None:
    assert [f"{module}.{name}" for module, path in modules() for name in long_functions(path.read_text("utf-8"))] == []


def test_folders_are_small() -> None:
    assert large_folders(path for _, path in modules()) == []


def test_the_name_of_a_module_stands_once() -> None:
    named = [(path.stem, module) for module, path in modules() if path.name not in ("__init__.py", "__main__.py")]
    assert {name: places for name, places in doubles(named).items() if name not in DOUBLE_MODULES} == {}


def test_the_name_of_a_class_stands_once() -> None:
    named = [(name, module) for module, path in modules() for name in classes(path.read_text("utf-8"))]
    assert doubles(named) == {}


def test_a_long_function_a_large_folder_and_a_double_are_seen() -> None:
    body = "    x = 1\n"
    assert long_functions(f"class A:\n  def f():\n{body * MAX_FUNCTION}") == ["f"]
    assert long_functions(f"def f():\n{body * (MAX_FUNCTION - 1)}") == []
    assert long_functions(f"async def f():\n{body * MAX_FUNCTION}") == ["f"]
    paths = [Path("qmoe", "room", f"m{i}.py") for i in range(MAX_MODULES)]
    assert large_folders([*paths, Path("qmoe", "room", "__init__.py"), Path("qmoe", "room", "deeper", "m.py")]) == []
    assert large_folders([*paths, Path("qmoe", "room", "one_more.py")]) == ["qmoe/room has 15 modules, at most 14"]
    assert classes("class A: ...\ndef f():\n    class B: ...") == ["A", "B"]
    assert doubles([("Plan", "a"), ("Rule", "a"), ("Plan", "b")]) == {"Plan": ["a", "b"]}
