"""The pages about the public names: one for each group of packages, generated from their ``__all__``."""

from __future__ import annotations

import importlib
import inspect

from website.names import GROUPS, PublicName, public_names


def pages() -> dict[str, str]:
    """Name -> reStructuredText of each page of the reference."""
    found = {f"reference/{page}": page_of(page) for page in GROUPS}
    found["reference/index"] = index()
    return found


def index() -> str:
    """The list of all pages, with what the top of the package exports."""
    lines = [*heading("Python API", "="), "", "Every public name, by what it is for.", ""]
    lines += [".. toctree::", "   :maxdepth: 1", "", *(f"   {page}" for page in GROUPS), ""]
    lines += [*heading("Names of the package itself", "-"), "", "These are attributes of ``qmoe``:", ""]
    lines += table([name for name in public_names() if name.name.count(".") == 1])
    return "\n".join(lines)


def page_of(page: str) -> str:
    """A page: what its packages are, a table of their names, then each name."""
    title, packages = GROUPS[page]
    names = [name for name in public_names() if name.page == page]
    lines = [*heading(title, "="), "", *introduction(packages), "", *table(names), ""]
    for name in names:
        lines += [f".. {name.directive}:: {name.name}", *options(name), ""]
    return "\n".join(lines)


def introduction(packages: tuple[str, ...]) -> list[str]:
    """What a group of packages is, in the first sentence of the first one's docstring."""
    text = (inspect.getdoc(importlib.import_module(packages[0])) or "").split("\n\n")[0]
    return [" ".join(text.split()), "", "Import from " + " or ".join(f"``{package}``" for package in packages) + "."]


def options(name: PublicName) -> list[str]:
    """What Sphinx is to show of a name."""
    if name.directive == "autoclass":
        return ["   :members:", "   :show-inheritance:"]
    return ["   :no-value:"] if name.directive == "autodata" else []


def table(names: list[PublicName]) -> list[str]:
    """A table of names with the first sentence about each."""
    lines = [".. list-table::", "   :widths: 1 2", "   :class: names", ""]
    for name in sorted(names, key=lambda name: name.name.lower()):
        lines += [f"   * - :py:obj:`{name.name}`", f"     - {summary(name)}"]
    return lines


def summary(name: PublicName) -> str:
    """The first sentence about a name."""
    if name.directive == "autodata":
        return f"A {type(name.value).__name__}."
    text = " ".join((inspect.getdoc(name.value) or "").split("\n\n")[0].split())
    return text


def heading(text: str, underline: str) -> list[str]:
    """A title of reStructuredText."""
    return [text, underline * len(text)]
