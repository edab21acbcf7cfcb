"""What results say is found without drawing: the rooms of the report import downwards only."""

import ast
from pathlib import Path

import pytest

from qmoe.report import build_report, findings, pictures, sections
from qmoe.report.sections.blocks import Section, Text

FINDINGS, PICTURES, SECTIONS = (Path(room.__file__).parent for room in (findings, pictures, sections))
REPORT = FINDINGS.parent
#: Modules of the report that know neither pictures nor pages, beside the findings.
PLAIN = [REPORT / "tables.py", REPORT / "words.py"]
DRAWING = ("matplotlib", "jinja2", "markupsafe", "qmoe.report.pictures", "qmoe.report.sections", "qmoe.report.build")
PAGES = ("jinja2", "markupsafe", "qmoe.report.sections", "qmoe.report.build")


def imported(source):
    """Names of all modules that a source imports, and of what it imports from them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def forbidden(source, rooms):
    return [name for name in imported(source) if any(name == room or name.startswith(f"{room}.") for room in rooms)]


@pytest.mark.parametrize("path", [*sorted(FINDINGS.glob("*.py")), *PLAIN], ids=lambda path: path.stem)
def test_findings_import_nothing_that_draws(path):
    assert forbidden(path.read_text(encoding="utf-8"), DRAWING) == []


@pytest.mark.parametrize("path", sorted(PICTURES.glob("*.py")), ids=lambda path: path.stem)
def test_pictures_import_no_sections(path):
    assert forbidden(path.read_text(encoding="utf-8"), PAGES) == []


@pytest.mark.parametrize(
    "source",
    [
        "import matplotlib.pyplot as plt",
        "def f():\n    from matplotlib.figure import Figure",
        "from qmoe.report import pictures",
        "from qmoe.report.pictures.style import Panel",
        "from qmoe.report.sections.blocks import Text",
        "import jinja2",
    ],
)
def test_a_finding_that_draws_is_seen(source):
    assert len(forbidden(source, DRAWING)) == 1


def test_the_sections_are_listed_in_the_order_of_the_page():
    names = [build.__name__ for build in sections.SECTIONS]
    assert names[:4] == ["phase1_section", "phase2_section", "phase3a_section", "phase3b_section"]
    assert names[-1] == "methods_section"
    assert len(set(names)) == len(names)


@pytest.mark.usefixtures("undrawn")
def test_a_section_is_a_function_and_a_line_in_the_list(one_study, tmp_path, monkeypatch):
    def mine(context):
        return [Section("mine", "A section of my own", "Mine", [Text((f"{len(context.results)} study",))])]

    monkeypatch.setattr("qmoe.report.build.SECTIONS", (mine,))
    text = build_report(one_study("my.own-study"), tmp_path).read_text(encoding="utf-8")
    assert '<a href="#mine">Mine</a>' in text
    assert "<h2>A section of my own</h2>\n<p>1 study</p>" in text
