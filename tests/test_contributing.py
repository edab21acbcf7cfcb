"""CONTRIBUTING.md is a map: what it names is where it says."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from test_architecture import FLOORS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "qmoe"
PLACES = (ROOT, SOURCE)
#: Rows of the table of packages for what has no name of its own in the floors.
UNNAMED = {"__init__": "", "__main__": "__main__"}


def missing_paths(text: str) -> list[str]:
    """Paths in backticks that are neither below the repository nor below src/qmoe."""
    named = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+)?|\w+\.(?:py|toml|txt|md))`", text)
    return [path for path in named if not any((place / path).exists() for place in PLACES)]


def misplaced_names(text: str) -> list[str]:
    """Every ``NAME in FILE`` whose file defines no such function, class, method or constant."""
    found = []
    for name, path in re.findall(r"`([\w.]+)`\s+in\s+`([\w./]+\.py)`", text):
        file = next((place / path for place in PLACES if (place / path).exists()), None)
        found += [] if file is not None and name in names_of(file) else [f"{name} in {path}"]
    return found


def names_of(file: Path) -> set[str]:
    """What a module defines or imports; members of classes as ``Class.member``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            found |= {node.name, *(f"{node.name}.{member}" for part in node.body for member in defined_by(part))}
        else:
            found |= defined_by(node)
    return found


def defined_by(node: ast.AST) -> set[str]:
    """The names that one statement gives a meaning to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def unknown_dotted(text: str) -> list[str]:
    """Names such as ``qmoe.claims.judge`` that are neither a module nor in one."""
    return [name for name in re.findall(r"\bqmoe(?:\.[A-Za-z_]\w*)+", text) if not known(name.split(".")[1:])]


def known(parts: list[str]) -> bool:
    """Whether the parts of a dotted name lead to a module, or to a name in one."""
    place = SOURCE
    while parts and ((place / parts[0]).is_dir() or (place / f"{parts[0]}.py").exists()):
        package = place / parts[0]
        # A function may have the name of the module that it is in, and stands for it where a package offers it.
        place, parts = (package if package.is_dir() else package.with_suffix(".py")), parts[1:]
    file = place / "__init__.py" if place.is_dir() else place
    return not parts or parts[0] in names_of(file)


def docstrings() -> Iterator[tuple[str, Path, str]]:
    """The kind of its owner, the file and the text of every docstring of the package."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                yield type(node).__name__, path, ast.get_docstring(node) or ""


def missing_modules(folder: Path, text: str) -> list[str]:
    """What the docstring of a package names as its modules, ``plan/lowering`` or ``layout``, and is not there."""
    named = re.findall(r"(?<!`)`([a-z_]+(?:/[a-z_]+)*)`(?!`)", text)
    here = names_of(folder / "__init__.py")
    return [n for n in named if n not in here and not (folder / f"{n}.py").exists() and not (folder / n).is_dir()]


def test_every_path_it_names_exists() -> None:
    assert TEXT.count("`engines/") > 3
    assert missing_paths(TEXT) == []
    assert missing_paths("`engines/nowhere/plan.py`, `src/`, `nowhere.toml`") == [
        "engines/nowhere/plan.py",
        "nowhere.toml",
    ]


def test_every_function_it_names_is_in_that_file() -> None:
    assert len(re.findall(r"`[\w.]+`\s+in\s+`[\w./]+\.py`", TEXT)) > 15
    assert misplaced_names(TEXT) == []
    assert misplaced_names("`judge` in\n`claims/judge.py`, `NUMERICS` in `studies/trials.py`, `no` in `layers.py`") == [
        "no in layers.py"
    ]


def floors_of(text: str) -> list[set[str]]:
    """The names in the first column of the table of packages, row by row."""
    table = text.split("## Packages and their import order")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [{UNNAMED.get(name, name) for name in re.findall(r"`(\w+)(?:\.py|/)?`", row)} for row in rows]


def test_packages_stand_in_the_order_that_the_test_of_imports_holds() -> None:
    assert floors_of(TEXT) == [set(rooms) for rooms in FLOORS]
    assert floors_of(TEXT.replace("| `moe/` |", "| `moe/`, `data/` |")) != [set(rooms) for rooms in FLOORS]


def test_every_package_has_a_floor_and_so_a_row() -> None:
    names = {path.stem for path in SOURCE.iterdir() if path.suffix in ("", ".py") and not path.name.startswith("__")}
    assert names == {name for rooms in FLOORS for name in rooms} - set(UNNAMED.values())


def test_every_dotted_name_in_docstrings_and_on_pages_is_there() -> None:
    pages = [(page.name, page.read_text(encoding="utf-8")) for page in (ROOT / "docs").glob("*.md")]
    texts = [("CONTRIBUTING.md", TEXT), ("README.md", (ROOT / "README.md").read_text(encoding="utf-8")), *pages]
    texts += [(str(path.relative_to(SOURCE)), text) for _, path, text in docstrings()]
    assert sum(text.count("qmoe.") for _, text in texts) > 100
    assert {place: found for place, text in texts if (found := unknown_dotted(text))} == {}


def test_a_dotted_name_that_leads_nowhere_is_seen() -> None:
    text = "`qmoe.claims.judge`, `qmoe.engines.native.pure`, `qmoe.span`, `qmoe.QuantumRouter.draw`, `qmoe.nothing`"
    assert unknown_dotted(text) == ["qmoe.engines.native.pure", "qmoe.nothing"]


def test_docstrings_of_packages_name_modules_that_are_there() -> None:
    packages = [
        (path.parent, text) for kind, path, text in docstrings() if kind == "Module" and path.stem == "__init__"
    ]
    assert sum(len(re.findall(r"`[a-z_]+/[a-z_]+`", text)) for _, text in packages) > 8
    missing = {str(folder.relative_to(SOURCE)): missing_modules(folder, text) for folder, text in packages}
    assert {folder: names for folder, names in missing.items() if names} == {}
    assert missing_modules(SOURCE / "engines" / "native", "`plan/lowering`, `pure`, `layout`, `kernels/none`") == [
        "pure",
        "kernels/none",
    ]
