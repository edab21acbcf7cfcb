"""What the reference shows of a class, and how its docstrings are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from website.examples import shown
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


def name_pages(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Adds the pages with examples of a public name."""
    pages = [place for place in shown().get(name, ()) if place and ".py:" not in place]
    if pages:
        lines += ["", "Used on: " + ", ".join(f":doc:`/{page}`" for page in pages) + ".", ""]


def escape(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Lets bars and stars of formulas be themselves."""
    lines[:] = [escaped(line) for line in lines]
    if what in ("property", "attribute"):
        lines.insert(0, "")  # the words before a colon are not a type


def escaped(line: str) -> str:
    """A line in which a bar outside of code starts no substitution."""
    parts = re.split(r"(``.*?``|`.*?`)", line)
    return "".join(part if part.startswith("`") else part.replace("|", r"\|") for part in parts)


def pages_of_source(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Makes the pages with source code quick to write, and takes links out of them that lead nowhere.

    The navigation is drawn once for each depth: none of these pages is in it. Links back to the reference are wrong where
    a name is documented under another package than the first of its module; and the list names modules without a page.
    """
    if not page.startswith("_modules/"):
        return
    drawn = app.__dict__.setdefault("navigation_drawn", {})
    draw: Callable[..., str] = context["toctree"]

    def kept(**options: Any) -> str:
        key = (page.count("/"), *sorted(options.items()))
        if key not in drawn:
            drawn[key] = draw(**options)
        return drawn[key]

    context["toctree"] = kept
    context["body"] = re.sub(r'<a class="viewcode-back".*?</a>', "", context["body"])
    if page == "_modules/index":
        there = {name.replace(".", "/") for name, found in app.env._viewcode_modules.items() if found}  # type: ignore[attr-defined]
        context["body"] = re.sub(
            r'<li><a href="(\S+)\.html">.*?</a></li>', lambda item: item[0] if item[1] in there else "", context["body"]
        )


def without_remote_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Puts words in place of pictures from elsewhere: the site needs no network."""
    for image in list(doctree.findall(nodes.image)):
        if "://" in image["uri"]:
            image.replace_self(nodes.Text(image.get("alt", "")))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects them."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-bases", show_bases)
    app.connect("autodoc-process-docstring", escape, priority=400)
    app.connect("doctree-read", without_remote_pictures, priority=100)
    app.connect("autodoc-process-docstring", name_pages, priority=900)
    app.connect("html-page-context", pages_of_source, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
