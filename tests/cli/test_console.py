"""What people wrote is printed as they wrote it."""

import re
from pathlib import Path

import pytest
from rich.table import Table
from test_cli import TINY

import qmoe as package
from helpers import qmoe_command as qmoe
from qmoe.cli.console import make_console, make_progress, say

SOURCE = Path(package.__file__).parent
ROOT = Path(__file__).parents[2]
#: Each means something to rich: a closing tag that closes nothing, a style, a link, an emoji, an escaped bracket.
WORDS = ["[/]", "[/bold]x", "[red]run[1]", "[link=file:///]a", ":wave:", r"back\[slash]", "[@click=exit]z", "a[b"]


@pytest.mark.parametrize("words", WORDS)
def test_a_line_a_table_and_a_bar_show_the_words_as_they_are(words, capsys, monkeypatch):
    console = make_console()
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    terminal = make_console()
    say(console, f"to {words}/")
    table = Table(title=f"title {words}", show_header=True)
    table.add_column(f"head {words}")
    table.add_row(f"cell {words}")
    console.print(table)
    with make_progress(console) as progress:
        progress.advance(progress.add_task(f"task {words}", total=1))
    with make_progress(terminal) as progress:
        progress.add_task(f"bar {words}", total=1)
    shown = capsys.readouterr().out
    for place in ("to", "title", "head", "cell", "task", "bar"):
        assert f"{place} {words}" in shown


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(capsys):
    clock = Clock()
    with make_progress(make_console(), clock) as progress:
        task = progress.add_task("training", total=None)
        progress.advance(task)  # nothing is known of the whole
        progress.update(task, total=2000)
        for clock.now in range(1, 2001):
            progress.update(task, completed=clock.now)
        progress.update(task, completed=2000)
    first, second, *others, last = capsys.readouterr().out.splitlines()
    assert first == "training: 2% after 0:00:30, about 0:32:50 left"
    assert second == "training: 3% after 0:01:00, about 0:32:20 left"
    assert 20 < len(others) < 40
    assert last == "training: done after 0:33:20"


def test_a_bar_names_what_has_passed_and_what_is_left(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    clock = Clock()
    with make_progress(make_console(), clock) as progress:
        task = progress.add_task("training", total=1_216, unit="trials", left=None)
        clock.now = 26.0
        progress.update(task, completed=1_200, left=8.0, told=26.0)
        clock.now = 29.0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.endswith("1,200 of 1,216 trials elapsed 0:29 left 0:05")


def test_what_is_left_is_what_was_told_and_not_what_the_share_says(capsys):
    clock = Clock()
    with make_progress(make_console(), clock) as progress:
        task = progress.add_task("training", total=1620, completed=880, unit="trials", left=None)
        clock.now = 40.0
        progress.update(task, completed=881, left=120.0, told=40.0)  # most was there when it began
    assert capsys.readouterr().out == "training: 54% after 0:00:40, about 0:02:00 left\n"


def test_where_there_is_nothing_to_do_a_log_says_that_it_is_done(capsys):
    with make_progress(make_console(), Clock()) as progress:
        progress.update(progress.add_task("training", total=None), total=0)
    assert capsys.readouterr().out == "training: done after 0:00:00\n"


def test_a_long_path_stays_on_one_line(capsys):
    path = "/".join(["folder"] * 60)
    say(make_console(), f"Report: {path}")
    assert f"Report: {path}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_the_folder_that_is_shown_is_the_one_that_is_there(tmp_path):
    name = "runs[1]/[bold]/:tada:/[/done]"
    (tmp_path / "tiny.toml").write_text(TINY.replace("data = 2", "data = 1"))
    done = qmoe("run", "tiny.toml", "--out", name, "--workers", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"results go to {name}/\n" in done.stdout
    shown = re.search(r"Report: (.*report\.html)", done.stdout).group(1)
    assert (tmp_path / shown).is_file()


@pytest.mark.usefixtures("undrawn")
def test_names_of_arms_and_studies_with_brackets_reach_the_table(tmp_path):
    claims = (
        'id = "mine"\nstatement = "It [/] does."\ntopic = "[b]mine[/b] :smile:"\nsource = "me"\nstudies = ["tiny"]\n'
    )
    test = '[[tests]]\nkind = "difference"\nname = "t"\na = "quantum"\nb = "linear"\nmargin = 0.02\n'
    (tmp_path / "claims.toml").write_text(claims + test)
    (tmp_path / "tiny.toml").write_text(TINY.replace("linear router", "[/linear] router"))
    done = qmoe("run", "tiny.toml", "--claims", "claims.toml", "--workers", 0, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[b]mine[/b] :smile:" in done.stdout


def test_the_benchmarks_print_without_markup_too():
    lines = [line for path in (ROOT / "benchmarks").rglob("*.py") for line in path.read_text("utf-8").splitlines()]
    made = [line for line in lines if re.search(r"\bConsole\(", line)]
    assert made
    assert all("markup=False, emoji=False" in line for line in made)
    assert not [line for line in lines if re.search(r"\[(bold|dim|red|green|yellow)\b|\[/", line)]


def test_no_other_module_makes_a_console_or_reads_markup():
    forbidden = r"\bConsole\(|rich\.print\b|from rich import .*\bprint\b|from_markup|rich\.markup|markup=True"
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path != SOURCE / "cli" / "console.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(forbidden, line)
    ]
    assert found == []
