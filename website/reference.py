"""The pages about the public names: one for each group of packages, generated from their ``__all__``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys

from qmoe.errors import ConfigError
from website.extensions.members import escaped
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
        lines += (
            data(name) if name.directive == "autodata" else [f".. {name.directive}:: {name.name}", *options(name), ""]
        )
    return "\n".join(lines)


def introduction(packages: tuple[str, ...]) -> list[str]:
    """What a group of packages is, in the first sentence of the first one's docstring."""
    text = (inspect.getdoc(importlib.import_module(packages[0])) or "").split("\n\n")[0]
    return [" ".join(text.split()), "", "Import from " + " or ".join(f"``{package}``" for package in packages) + "."]


def options(name: PublicName) -> list[str]:
    """What Sphinx is to show of a name."""
    if name.directive == "autoclass":
        return ["   :members:", "   :show-inheritance:"]
    return []


def data(name: PublicName) -> list[str]:
    """A name that is neither a class nor a function: what it is, and its keys or values."""
    lines = [f".. py:data:: {name.name}", "", f"   {summary(name)}", ""]
    if isinstance(name.value, dict | tuple | list | frozenset):
        lines += ["   " + ("Keys: " if isinstance(name.value, dict) else "Values: "), ""]
        lines[-2] += ", ".join(f"``{value!r}``" for value in name.value) + "."
    return lines


def table(names: list[PublicName]) -> list[str]:
    """A table of names with the first sentence about each."""
    lines = [".. list-table::", "   :widths: 1 2", "   :class: names", ""]
    for name in sorted(names, key=lambda name: name.name.lower()):
        lines += [f"   * - :py:obj:`~{name.name}`", f"     - {summary(name)}"]
    return lines


def summary(name: PublicName) -> str:
    """The first paragraph about a name."""
    text = comment(name) if name.directive == "autodata" else inspect.getdoc(name.value) or ""
    return escaped(" ".join(text.split("\n\n")[0].split()))


def comment(name: PublicName) -> str:
    """The comment above a name in the module that defines it."""
    last = name.name.rpartition(".")[2]
    pattern = re.compile(rf"((?:^#:.*\n)+){last}\b", re.MULTILINE)
    for module in [module for key, module in sorted(sys.modules.items()) if key.startswith("qmoe")]:
        if vars(module).get(last) is name.value and (match := pattern.search(inspect.getsource(module))):
            return match[1].replace("#:", "")
    raise ConfigError(f"{name.name} has no comment. Write `#: what it is` in the line above it.")


def heading(text: str, underline: str) -> list[str]:
    """A title of reStructuredText."""
    return [text, underline * len(text)]
