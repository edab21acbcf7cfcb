"""Labels that look like markup of HTML, SVG, LaTeX or matplotlib are shown as they are."""

import html
import re
import warnings

import pytest
from invented_results import OWN

from qmoe.report import build_report
from qmoe.report.pictures.style import Panel, adapt, inline, new_axes, style
from qmoe.report.tables import Column, Table
from qmoe.studies import Store, parse_study, run_studies

#: An underscore hides a line from matplotlib's legends, dollars are mathematics, a star marks figures of the paper.
LABELS = [
    "_hidden", "$x^2$", "<script>alert(1)</script>", "{{ 7 * 7 }}", "#0072b2", 'id="a" url(#b)', "best *", "[0.9] cm", "**",
    "DejaVu Sans 'DejaVu Sans'", "0.123456",
]  # fmt: skip


@pytest.fixture(scope="module")
def own_page(tmp_path_factory):
    """Folder of the report of a study whose arms bear such labels."""
    folder = tmp_path_factory.mktemp("words")
    model = {"router": {"kind": "linear"}, "experts": {"kind": "linear"}}
    arms = [{"name": f"arm{i}", "label": label, "model": model} for i, label in enumerate(LABELS)]
    changes = {"arms": arms, "training": {"epochs": 1}, "seeds": {"data": 2, "per_data": 1}, "title": "A\n<b>study</b>"}
    with Store(folder / "store.sqlite") as store:
        run_studies([parse_study({**OWN, **changes})], store)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_report(folder / "store.sqlite", folder / "out")
    return folder / "out"


def test_the_page_shows_every_label_as_text(own_page):
    page = (own_page / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<b>study" not in page
    assert ">49<" not in page
    shown = html.unescape(re.sub(r"<[^>]*>", "", page))
    for label in LABELS:
        assert label in shown


@pytest.mark.parametrize("label", LABELS)
def test_a_label_in_a_drawing_stays_as_it_is(label):
    with style():
        figure, axes = new_axes()
        axes.set_title(label)
        drawn = inline(Panel("name", figure, label))
    assert label in html.unescape(re.sub(r"<[^>]*>", "", drawn))


def test_a_label_with_an_underscore_is_in_the_legend(own_page):
    page = (own_page / "report.html").read_text(encoding="utf-8")
    legends = re.findall(r"<text[^>]*>([^<]*_hidden[^<]*)</text>", page)
    assert len(legends) >= 2


def test_tags_of_a_drawing_are_adapted_all_the_same():
    svg = (
        '<svg viewBox="0 0 1 1"><g id="g"><path id="p" style="fill: #0072b2"/>'
        '<use xlink:href="#p"/><text>id="p" #0072b2</text></g></svg>'
    )
    assert adapt(svg, "n", "alt").endswith(
        '><g><path id="n-p" style="fill: var(--quantum)"/><use href="#n-p"/><text>id="p" #0072b2</text></g></svg>'
    )


@pytest.mark.parametrize("first", ["[0.9] cm", "*starred", "[", "plain"])
def test_no_cell_is_read_as_an_option_of_the_row_before(first, tmp_path):
    column = Column("arm", ("label",), number=False)
    Table("t", "One\nof\n\ntwo lines.", (column,), ({"label": "a"}, {"label": first})).write_tex(tmp_path)
    lines = (tmp_path / "t.tex").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "% One of two lines."
    assert lines[1].startswith(r"\begin{tabular}")
    row = lines[-3]
    assert first in row
    assert not row.startswith(("[", "*"))


def test_a_star_marks_numbers_alone(own_page):
    page = (own_page / "report.html").read_text(encoding="utf-8")
    assert "best *" in page
    assert '<span class="outside">best *' not in page
    assert '<span class="outside">**' not in page
