"""Which public names have an example that runs: on a page, in a notebook or in a docstring."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from website.names import PublicName, public_names
from website.sections import ROOT


@dataclass
class Example:
    """Code that runs as one, and what it uses.

    Attributes:
        where: the page, notebook or module.
        code: all its blocks.
        used: dotted names of `qmoe` that it uses.
        attributes: names of all attributes that it reads.
    """

    where: str
    code: str
    used: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Reads the code."""
        tree = ast.parse(self.code)
        bound = imports(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
            if isinstance(node, ast.Attribute | ast.Name):
                first, *rest = dotted(node) or [""]
                if first in bound:
                    self.used.add(".".join([bound[first], *rest]))


def imports(tree: ast.AST) -> dict[str, str]:
    """Name in the code -> dotted name of what of `qmoe` it is."""
    bound = {"qmoe": "qmoe"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qmoe":
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            bound |= {alias.asname: alias.name for alias in node.names if alias.asname and alias.name.startswith("qmoe")}
    return bound


def dotted(node: ast.AST) -> list[str] | None:
    """The parts of ``a.b.c``; None for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return [*before, node.attr]
    return None


@cache
def examples() -> tuple[Example, ...]:
    """All examples that tests run."""
    return (*of_pages(), *of_notebooks(), *of_docstrings())


def of_pages() -> Iterator[Example]:
    """Those of README.md and of the pages, whose blocks tests/test_docs.py and tests/test_readme.py run."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        blocks = re.findall(r"^```python\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        yield Example(path.stem if path.parent.name == "docs" else "", "\n".join(blocks))


def of_notebooks() -> Iterator[Example]:
    """Those of the notebooks, which tests/test_notebooks.py runs."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        lines = "".join(line for cell in cells if cell["cell_type"] == "code" for line in (*cell["source"], "\n"))
        yield Example(f"notebooks/{path.stem}", re.sub(r"^(\s*)[%!].*$", r"\1pass", lines, flags=re.MULTILINE))


def of_docstrings() -> Iterator[Example]:
    """Those of docstrings, which tests/website/test_examples.py runs."""
    for path in sorted((ROOT / "src" / "qmoe").rglob("*.py")):
        text = path.read_text("utf-8")
        if ">>> " in text:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    found = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
                    code = "".join(example.source for example in found)
                    yield Example(f"{path.relative_to(ROOT / 'src').as_posix()}:{getattr(node, 'name', '')}", code)


@cache
def shown() -> dict[str, list[str]]:
    """Public name -> where its examples are.

    A name has an example where one uses it, or where one calls what returns it: the result of a function, a method or an
    attribute that the example reads.
    """
    names = public_names()
    places = {name.name: [example.where for example in examples() if uses(example, name)] for name in names}
    while True:
        more = [(made, place) for name in names for made, place in results(name, places) if not places[made]]
        if not more:
            return places
        for made, place in more:
            places[made] = [*dict.fromkeys((*places[made], place))]


def without_example() -> list[str]:
    """The public names that no example uses."""
    return sorted(name for name, places in shown().items() if not places)


def uses(example: Example, name: PublicName) -> bool:
    """Whether an example uses a name, wherever it is exported, or an attribute of it."""
    return any(used == own or used.startswith(own + ".") for own in (name.name, *name.aliases) for used in example.used)


def results(name: PublicName, places: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Public names that the examples of a name get from it, and where."""
    known = {other.name.rpartition(".")[2]: other.name for other in public_names()}
    for member, annotation in annotations(name.value):
        for word in re.findall(r"\w+", annotation):
            for example in examples():
                if word in known and example.where in places[name.name] and (not member or member in example.attributes):
                    yield known[word], example.where


def annotations(value: Any) -> Iterator[tuple[str, str]]:
    """What a function returns, or the members of a class return and are: name of the member, and the type as text."""
    if not inspect.isclass(value):
        if inspect.isfunction(value):
            yield "", str(value.__annotations__.get("return", ""))
        return
    for base in value.__mro__:
        if base.__module__.startswith("qmoe"):
            for member, annotation in vars(base).get("__annotations__", {}).items():
                yield member, str(annotation)
            for member, function in vars(base).items():
                function = getattr(function, "fget", None) or getattr(function, "__func__", function)
                if inspect.isfunction(function):
                    yield member, str(function.__annotations__.get("return", ""))
