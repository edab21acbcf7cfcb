"""Links to the reference: from names in code on pages and in docstrings, and from the places that export a name again."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry
from sphinx.transforms.post_transforms import SphinxPostTransform

from website.names import public_names

#: A name, perhaps with the arguments of a call.
NAME = re.compile(r"(?:qmoe\.)?([A-Za-z_][\w.]*)(?:\(.*\))?")


def code(name: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = ()) -> Any:
    """The role of single backticks in docstrings: code, and a link where it names something."""
    env = inliner.document.settings.env
    xref = pending_xref(
        rawtext,
        nodes.literal(rawtext, text, classes=["xref", "py"]),
        refdomain="py",
        reftype="obj",
        reftarget=text.removesuffix("()").lstrip("~"),
        refspecific=True,
        refdoc=env.docname,
        refexplicit=False,
        refwarn=False,
    )
    xref["py:module"] = env.ref_context.get("py:module")
    xref["py:class"] = env.ref_context.get("py:class")
    return [xref], []


class NamesInCode(SphinxPostTransform):
    """Makes links of inline code that is the dotted name of something public."""

    default_priority = 9

    def run(self, **kwargs: Any) -> None:
        """Replaces them."""
        objects = self.env.domains.python_domain.objects
        for literal in list(self.document.findall(nodes.literal)):
            match = re.fullmatch(r"(qmoe\.[\w.]+)(?:\(.*\))?", literal.astext(), re.DOTALL)
            entry = objects.get(match[1]) if match else None
            if entry is None or any(isinstance(above, nodes.reference) for above in ancestors(literal)):
                continue
            uri = self.app.builder.get_relative_uri(self.env.docname, entry.docname)
            link = nodes.reference("", "", internal=True, refuri=f"{uri}#{entry.node_id}")
            literal.replace_self(link)
            link += literal


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    """The nodes around a node."""
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def note_aliases(app: Sphinx, env: Any) -> list[str]:
    """Lets every place that exports a name lead to its entry."""
    objects = env.domains.python_domain.objects
    for name in public_names():
        entry = objects.get(name.name)
        for alias in name.aliases if entry else ():
            objects[alias] = ObjectEntry(entry.docname, entry.node_id, entry.objtype, True)
    return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Adds the role and the transform."""
    app.add_role("qmoe-code", code)
    app.add_post_transform(NamesInCode)
    app.connect("env-updated", note_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
