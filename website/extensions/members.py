"""What the reference shows of a class, and how its docstrings are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from sphinx.application import Sphinx

from website.names import public_names

#: Members that a base class of another library brings, with documentation that leads nowhere here.
FOREIGN = re.compile(r"set_\w+_request|model_\w+")


def skip(app: Sphinx, what: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Leaves out members that another library made."""
    return True if FOREIGN.fullmatch(name) else None


@cache
def _public() -> set[int]:
    return {id(name.value) for name in public_names()}


def show_bases(app: Sphinx, name: str, value: Any, options: Any, bases: list[type]) -> None:
    """Leaves out base classes that are not public."""
    bases[:] = [base for base in bases if not base.__module__.startswith("qmoe") or id(base) in _public()] or [object]


def escape(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Lets bars and stars of formulas be themselves."""
    lines[:] = [escaped(line) for line in lines]


def escaped(line: str) -> str:
    """A line in which a bar outside of code starts no substitution."""
    parts = re.split(r"(``.*?``|`.*?`)", line)
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def navigation_once(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Draws the navigation of the pages with source code once for each depth: none of them is in it."""
    if page.startswith("_modules/"):
        drawn = app.__dict__.setdefault("navigation_drawn", {})
        draw: Callable[..., str] = context["toctree"]

        def kept(**options: Any) -> str:
            key = (page.count("/"), *sorted(options.items()))
            if key not in drawn:
                drawn[key] = draw(**options)
            return drawn[key]

        context["toctree"] = kept


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects them."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-bases", show_bases)
    app.connect("autodoc-process-docstring", escape, priority=400)
    app.connect("html-page-context", navigation_once, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
