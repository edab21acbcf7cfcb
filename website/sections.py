"""Which page stands where: the sections of the site, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Section:
    """Pages that stand together in the navigation.

    Attributes:
        title: what the navigation calls them.
        pages: names below ``docs/``, without ``.md``, or of generated pages; in order.
        guides: whether they are how-to guides, which the page ``how-to`` lists by question.
        takes_others: whether pages of ``docs/`` that no section names stand at its end.
        notebooks: whether the notebooks stand at its end.
    """

    title: str
    pages: tuple[str, ...]
    guides: bool = False
    takes_others: bool = False
    notebooks: bool = False


SECTIONS = (
    Section("Start", ("quick-start", "how-to", "results")),
    Section("Tutorials", (), notebooks=True),
    Section(
        "Models in your code",
        ("which-router", "scikit-learn", "pytorch", "modules", "mixtures", "ten-models", "transformers", "deploy"),
        guides=True,
    ),
    Section(
        "Circuits, noise and devices",
        ("circuits", "interop", "shots", "noise", "trajectories", "robustness", "devices"),
        guides=True,
    ),
    Section("Is the circuit needed?", ("audit", "analysis", "explore", "qml-benchmarks"), guides=True),
    Section("Studies and claims", ("claim-card", "studies-in-python", "clusters"), guides=True, takes_others=True),
    Section(
        "Explanation",
        ("twins", "derivations", "controls", "effective-dimension", "claims", "statistics", "engines", "training"),
    ),
    Section(
        "Reference",
        ("reference/index", "command-line", "study-file", "data", "store", "benchmarks", "bibliography"),
    ),
    Section("Extend and contribute", ("extending", "contributing", "changelog")),
)
#: Pages that are not in ``docs/``, and where they come from.
ELSEWHERE = {"contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
#: Pages that the build makes.
GENERATED = ("reference/index", "command-line")
#: The start page.
FIRST = "index"


def written_pages() -> list[str]:
    """The pages of ``docs/``, without the start page."""
    return [path.stem for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != FIRST]


def notebooks() -> list[str]:
    """The notebooks, as pages: tutorials first, then the phases of the paper."""
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    return [f"notebooks/{name}" for name in sorted(names, key=lambda name: not name.startswith("tutorial"))]


def navigation() -> list[tuple[str, list[str]]]:
    """Title and pages of each section that has any: those that are there, each once."""
    there = {*written_pages(), *ELSEWHERE, *GENERATED}
    named = {page for section in SECTIONS for page in section.pages}
    found = []
    for section in SECTIONS:
        pages = [page for page in section.pages if page in there]
        pages += [page for page in written_pages() if page not in named] if section.takes_others else []
        pages += notebooks() if section.notebooks else []
        found += [(section.title, pages)] if pages else []
    return found
