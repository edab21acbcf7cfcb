"""The public names of the package, and the examples that run."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

#: Page of the reference -> its title and the packages whose public names it has. A name that several export stands on the
#: first page; names of `qmoe` itself stand where their package is.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "circuits": ("Circuits", ("qmoe.circuits",)),
    "engines": ("Engines", ("qmoe.engines", "qmoe.engines.shots", "qmoe.engines.mitigation")),
    "routers": ("Routers", ("qmoe.routers",)),
    "experts": ("Experts", ("qmoe.experts",)),
    "moe": ("Mixtures of experts", ("qmoe.moe",)),
    "training": ("Training", ("qmoe.training",)),
    "saving": ("Saving and loading", ("qmoe.saving",)),
    "interop": ("PennyLane, Qiskit and OpenQASM", ("qmoe.interop",)),
    "transformers": ("Gates of language models", ("qmoe.interop.transformers",)),
    "data": ("Data sets", ("qmoe.data",)),
    "analysis": ("Analysis of models", ("qmoe.analysis",)),
    "statistics": ("Statistics", ("qmoe.statistics",)),
    "auditing": ("Audits", ("qmoe.auditing",)),
    "studies": ("Studies", ("qmoe.studies", "qmoe.studies.store", "qmoe.studies.export")),
    "claims": ("Claims and verdicts", ("qmoe.claims",)),
    "report": ("Reports", ("qmoe.report",)),
    "explorer": ("The page to play with", ("qmoe.explorer",)),
    "devices": ("Devices", ("qmoe.devices",)),
    "testing": ("Conformance tests", ("qmoe.testing",)),
    "top": ("Layers, estimators and errors", ("qmoe", "qmoe.estimators")),
}


@dataclass(frozen=True)
class PublicName:
    """A public name, where it stands in the reference.

    Attributes:
        name: as users write it, such as ``qmoe.Gate``.
        aliases: further places that export the same thing.
        page: of the reference.
    """

    name: str
    aliases: tuple[str, ...]
    page: str

    @property
    def value(self) -> Any:
        """What it names."""
        package, _, last = self.name.rpartition(".")
        return getattr(importlib.import_module(package), last)

    @property
    def directive(self) -> str:
        """How Sphinx documents it."""
        if inspect.isclass(self.value):
            return "autoclass"
        return "autofunction" if inspect.isroutine(self.value) else "autodata"


@cache
def public_names() -> tuple[PublicName, ...]:
    """All public names, by page and in the order of their ``__all__``."""
    exported: dict[tuple[int, str], list[str]] = {}
    page_of: dict[tuple[int, str], str] = {}
    for page, (_, packages) in GROUPS.items():
        for package in packages:
            module = importlib.import_module(package)
            for last in module.__all__:
                key = (id(getattr(module, last)), last)
                exported.setdefault(key, []).append(f"{package}.{last}")
                page_of.setdefault(key, page)
    found = []
    for key, names in exported.items():
        first, *aliases = sorted(names, key=lambda name: (name.count("."), names.index(name)))
        found.append(PublicName(first, tuple(aliases), page_of[key]))
    return tuple(found)


@cache
def by_last_part() -> dict[str, str]:
    """Public names by their last part, those of which there is one."""
    found: dict[str, list[str]] = {}
    for name in public_names():
        found.setdefault(name.name.rpartition(".")[2], []).append(name.name)
    return {last: names[0] for last, names in found.items() if len(names) == 1}
