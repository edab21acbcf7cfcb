"""Links to the reference: from names in code on pages and in docstrings, and from the places that export a name again."""

from __future__ import annotations

import importlib
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

from website.names import by_last_part, public_names

#: The dotted name of something of the package, perhaps with the arguments of a call.
NAME = re.compile(r"(qmoe\.[\w.]+)(?:\(.*\))?", re.DOTALL)


def code(name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()) -> Any:
    """The role of single backticks in docstrings: code, and a link where it names something."""
    env = inliner.document.settings.env
    xref = pending_xref(
        rawtext,
        nodes.literal(rawtext, text, classes=["xref", "py"]),
        refdomain="py",
        reftype="obj",
        reftarget=text.removesuffix("()"),
        refdoc=env.docname,
        refexplicit=False,
        refwarn=False,
    )
    xref["py:module"] = env.ref_context.get("py:module")
    xref["py:class"] = env.ref_context.get("py:class")
    return [xref], []


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element) -> nodes.Node | None:
    """What a name leads to that Sphinx does not find: a public name without its package, or no link.

    Returns:
        A reference; the text alone for what is in the package and not public; None for what is not there, which is an error.
    """
    if node.get("refdomain") != "py":
        return None
    first, _, rest = node["reftarget"].partition(".")
    name = by_last_part().get(first)
    entry = env.domains.python_domain.objects.get(f"{name}.{rest}" if rest else name) if name else None
    if entry is not None:
        return reference(app, node["refdoc"], entry, contnode)
    return contnode if node["reftype"] != "obj" and is_there(node["reftarget"]) else None


def reference(app: Sphinx, page: str, entry: ObjectEntry, content: nodes.Element) -> nodes.reference:
    """A link from a page to an entry of the reference."""
    uri = app.builder.get_relative_uri(page, entry.docname)
    return nodes.reference("", "", content, internal=True, refuri=f"{uri}#{entry.node_id}")


def is_there(name: str) -> bool:
    """Whether a dotted name of the package leads to something."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


class NamesInCode(SphinxPostTransform):
    """Makes links of inline code that is the dotted name of something public."""

    default_priority = 9

    def run(self, **kwargs: Any) -> None:
        """Replaces them."""
        objects = self.env.domains.python_domain.objects
        for literal in list(self.document.findall(nodes.literal)):
            match = NAME.fullmatch(literal.astext())
            entry = objects.get(match[1]) if match else None
            if entry is not None and not within(literal, nodes.reference, nodes.title, pending_xref):
                literal.replace_self(reference(self.app, self.env.docname, entry, literal.deepcopy()))


def within(node: nodes.Node, *kinds: type) -> bool:
    """Whether a node stands in one of some kinds."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def note_aliases(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Lets every place that exports a name lead to its entry."""
    objects = env.domains.python_domain.objects
    for name in public_names():
        entry = objects.get(name.name)
        if entry is not None:
            for alias in name.aliases:
                objects[alias] = ObjectEntry(entry.docname, entry.node_id, entry.objtype, True)
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the role, the transform and the links of aliases."""
    app.add_role("qmoe-code", code)
    app.add_post_transform(NamesInCode)
    app.connect("env-updated", note_aliases)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
