"""CONTRIBUTING.md is a map: what it names is where it says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = (ROOT, ROOT / "src" / "qmoe")


def missing_paths(text: str) -> list[str]:
    """Paths in backticks that are neither below the repository nor below src/qmoe."""
    named = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+)?|\w+\.(?:py|toml|txt|md))`", text)
    return [path for path in named if not any((place / path).exists() for place in PLACES)]


def misplaced_names(text: str) -> list[str]:
    """Every ``NAME in FILE`` whose file defines no such function, class or constant."""
    found = []
    for name, path in re.findall(r"`(\w+)`\s+in\s+`([\w./]+\.py)`", text):
        file = next((place / path for place in PLACES if (place / path).exists()), None)
        body = [] if file is None else ast.parse(file.read_text(encoding="utf-8")).body
        defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        defined |= {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        defined |= {n.target.id for n in body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
        found += [] if name in defined else [f"{name} in {path}"]
    return found


def test_every_path_it_names_exists() -> None:
    assert TEXT.count("`engines/") > 3
    assert missing_paths(TEXT) == []
    assert missing_paths("`engines/nowhere/plan.py`, `src/`, `nowhere.toml`") == [
        "engines/nowhere/plan.py",
        "nowhere.toml",
    ]


def test_every_function_it_names_is_in_that_file() -> None:
    assert len(re.findall(r"`\w+`\s+in\s+`[\w./]+\.py`", TEXT)) > 15
    assert misplaced_names(TEXT) == []
    assert misplaced_names("`judge` in\n`claims/judge.py`, `NUMERICS` in `studies/trials.py`, `no` in `layers.py`") == [
        "no in layers.py"
    ]


def test_every_room_of_the_package_has_a_line() -> None:
    rooms = TEXT.split("## The rooms")[1].split("## ")[0]
    for path in (ROOT / "src" / "qmoe").iterdir():
        if path.suffix in ("", ".py") and not path.name.startswith("__"):
            assert re.search(rf"`(qmoe\.)?{path.stem}(\.py|/)?`", rooms), path.name
