"""Words of users and strangers at each border: terminal, spreadsheet, TeX, HTML and pictures take them for words."""

import csv
import html
import io
import re
import subprocess
import sys
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table as RichTable

from qmoe.cli.console import plain_warnings, say
from qmoe.data.tables.text import for_spreadsheet
from qmoe.errors import QMoEError, visible
from qmoe.plain_console import PlainConsole
from qmoe.report.build import _environment
from qmoe.report.pictures.style import Panel, inline, new_axes, style
from qmoe.report.tables import Column, Table, tex
from qmoe.studies import parse_study
from tiny_study import tiny_values

#: Pieces that some reader takes for a command, between any characters at all.
PIECES = [
    "\x1b[2J", "\x9b31m", "\x07", "\r", "\n", "\u202e", "\u2066", "\u200b", "\u2028", "\x85", "\0", "[/]", "[red]", ":wave:",
    "=1+1", "@SUM(A1)", "-2", "+3", "\t=4", "\uff1d5", "\\input{x}", "\\\\", "%", "&", "$x^2$", "^^M", "{", "}", "~", "#",
    "_a", "<script>", "</script>", "<!--", "-->", "]]>", "&lt;", '"', "'", "{{ 7 * 7 }}", "{% raw %}", "\ud800",
]  # fmt: skip
WORDS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=5).map("".join)
#: What a terminal acts upon, or turns round for the eye.
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
many = settings(max_examples=150, deadline=None)


@given(WORDS)
@many
def test_visible_text_has_nothing_unseen_and_keeps_what_is_seen(words):
    shown = visible(words)
    assert not ACTS.search(shown)
    shown.encode()
    assert visible(shown) == shown
    assert [c for c in words if c.isascii() and c.isprintable()] == [
        c for c in re.sub(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|r|U[0-9a-f]{8})", "", shown) if c.isascii() and c.isprintable()
    ] or "\\" in words


@given(WORDS)
@many
def test_a_terminal_gets_one_line_of_plain_characters(words):
    console = PlainConsole(file=io.StringIO(), width=10_000, force_terminal=False)
    say(console, f"begin {words} end")
    table = RichTable(show_header=False, box=None)
    table.add_row(f"begin {words} end", "other")
    console.print(table)
    said, row = console.file.getvalue().removesuffix("\n").split("\n")
    for line in (said, row):
        assert not ACTS.search(line)
        assert line.strip().startswith("begin")
    assert "[red]" in said or "[red]" not in words


@given(WORDS)
@many
def test_an_error_and_a_warning_that_quote_words_steer_no_terminal(words):
    assert not ACTS.search(str(QMoEError(words)))
    with plain_warnings():
        assert not ACTS.search(warnings.formatwarning(words, UserWarning, "file.py", 1, ""))


@given(WORDS)
@many
def test_no_cell_of_a_csv_file_is_a_formula(tmp_path_factory, words):
    folder = tmp_path_factory.getbasetemp()
    Table("cells", "caption", (Column("a", ("a",)),), ({"a": words, "b": 1.5},)).write_csv(folder)
    with (folder / "cells.csv").open(encoding="utf-8", newline="") as file:
        _, (cell, number) = list(csv.reader(file))
    assert not re.match(r"[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]", cell)
    assert number == "1.5"


def test_numbers_and_plain_words_of_a_csv_file_stay_as_they_are():
    assert [for_spreadsheet(value) for value in (-1.5, "linear", "a=b", "", None, True)] == [
        -1.5, "linear", "a=b", "", None, True,
    ]  # fmt: skip


@given(WORDS, WORDS)
@many
def test_tex_gets_one_line_without_commands_for_a_caption_and_a_row(tmp_path_factory, caption, label):
    folder = tmp_path_factory.getbasetemp()
    Table("cells", caption, (Column("a", ("a",), number=False),), ({"a": label},)).write_tex(folder)
    lines = (folder / "cells.tex").read_bytes().decode().split("\n")
    assert len(lines) == 9
    assert lines[0].startswith("% ")
    assert not any(ACTS.search(line) for line in lines)
    row = lines[5].removesuffix(r" \\")
    words = r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|ldots)\{\}"
    own = words + r"|\\[&%$#_{}]|\$(\\times|-|\\downarrow|\\uparrow|\\approx)\$"
    rest = re.sub(own, "", row.removeprefix("{}"))
    assert not re.search(r"[\\&%$#_{}~^<>]", rest)
    assert not row.lstrip().startswith(("[", "*"))


def test_tex_escapes_are_those_of_latex():
    assert tex("a_b & 50% \\input{x}\n\n^^M <y>") == (
        r"a\_b \& 50\% \textbackslash{}input\{x\} \textasciicircum{}\textasciicircum{}M \textless{}y\textgreater{}"
    )


@given(WORDS)
@many
def test_html_takes_words_for_words_in_text_and_in_attributes(words):
    page = _environment().from_string('<p title="{{ w }}">{{ w }}</p>').render(w=words)
    title, text = re.fullmatch(r'<p title="([^"]*)">([^<]*)</p>', page).groups()
    assert html.unescape(title) == html.unescape(text) == visible(words)
    assert not ACTS.search(page)


@given(WORDS)
@settings(max_examples=25, deadline=None)
def test_a_picture_shows_any_label_of_a_study_as_text(words):
    values = tiny_values()
    values["arms"][0]["label"] = words.encode(errors="replace").decode()
    label = parse_study(values).arms[0].label
    assert not ACTS.search(label)
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        figure, axes = new_axes()
        axes.set_title(label)
        axes.set_yticks([0], [label])
        drawn = inline(Panel("name", figure, label))
    shown = html.unescape(re.sub(r"<[^>]*>", "\n", drawn))
    assert "<script" not in drawn
    for line in filter(str.strip, label.split("\n")):
        assert " ".join(line.split()) in " ".join(shown.split())


@pytest.mark.parametrize("module", ["qmoe.errors", "qmoe.safe_files"])
def test_what_every_reader_needs_imports_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'numpy', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
