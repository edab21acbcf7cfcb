"""Which public names have an example that runs: on a page, in a notebook or in a docstring."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from website.names import by_last_part, public_names
from website.sections import ROOT

#: Where properties, cached ones and class methods keep their function.
WRAPPED = ("fget", "func", "__func__")


@dataclass
class Example:
    """Code that runs as one, and what it uses.

    Attributes:
        where: the page, notebook or module.
        code: all its blocks.
        known: names that it need not import -> what of `qmoe` they are.
        used: dotted names of `qmoe` that it uses.
        attributes: names of all attributes that it reads.
    """

    where: str
    code: str
    known: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Reads the code."""
        tree = ast.parse(self.code)
        bound = self.known | imports(tree)
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
            bound |= {
                alias.asname: alias.name for alias in node.names if alias.asname and alias.name.startswith("qmoe")
            }
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
            tree = ast.parse(text)
            own = {getattr(node, "name", "") for node in tree.body}
            known = {last: name for last, name in by_last_part().items() if last in own}
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    found = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
                    code = "".join(example.source for example in found)
                    yield Example(
                        f"{path.relative_to(ROOT / 'src').as_posix()}:{getattr(node, 'name', '')}", code, known
                    )


@cache
def shown() -> dict[str, list[str]]:
    """Public name -> where its examples are.

    A name has an example where one uses it, or gets it from what it uses: as the result of a function or method, or as an
    attribute that it reads.
    """
    places: dict[str, list[str]] = {name.name: [] for name in public_names()}
    for example in examples():
        found, new = set[str](), used_names(example)
        while new:
            found |= new
            new = {made for name in new for made in results(name, example.attributes)} - found
        for name in found:
            places[name].append(example.where)
    return places


def without_example() -> list[str]:
    """The public names that no example uses."""
    return sorted(name for name, places in shown().items() if not places)


def used_names(example: Example) -> set[str]:
    """The public names that an example uses, wherever they are exported, or attributes of them."""
    known = {exported: name.name for name in public_names() for exported in (name.name, *name.aliases)}
    prefixes = {
        ".".join(parts[:n]) for parts in (used.split(".") for used in example.used) for n in range(2, len(parts) + 1)
    }
    return {known[prefix] for prefix in prefixes & known.keys()}


def results(name: str, attributes: set[str]) -> set[str]:
    """The public names that come from another: results of the function, or members of the class with these names."""
    return {made for member, names in types_of(name) if not member or member in attributes for made in names}


@cache
def types_of(name: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """Members of a public class, or "" for a function, with the public names in their types."""
    known = by_last_part()
    value = next(public.value for public in public_names() if public.name == name)
    return tuple(
        (member, frozenset(known[w] for w in known.keys() & set(re.findall(r"\w+", text))))
        for member, text in typed(value)
    )


def typed(value: Any) -> Iterator[tuple[str, str]]:
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
                function = next((getattr(function, kind) for kind in WRAPPED if hasattr(function, kind)), function)
                if inspect.isfunction(function):
                    yield member, str(function.__annotations__.get("return", ""))
