"""Output that cannot be written does not end the work, and the exit status says that it was lost."""

import errno
import io
import sys
from pathlib import Path

import pytest

import qmoe.cli
from qmoe.cli.streams import LOST_OUTPUT, EnduringStream, enduring_output
from qmoe.studies import Store
from tiny_study import TINY_TOML

FULL = Path("/dev/full")


class Broken(io.StringIO):
    """A stream that takes two texts and then none."""

    def __init__(self, number):
        super().__init__()
        self.number, self.left = number, 2

    def write(self, text):
        if not self.left:
            raise OSError(self.number, "gone")
        self.left -= 1
        return super().write(text)


def test_what_can_be_written_is_and_the_rest_is_dropped():
    below = Broken(errno.ENOSPC)
    stream = EnduringStream(below)
    assert [stream.write(text) for text in ("one", "two", "three", "four")] == [3, 3, 5, 4]
    stream.flush()
    assert below.getvalue() == "onetwo"
    assert stream.lost.errno == errno.ENOSPC
    assert stream.isatty() is False


def ending(code):
    """Ends as a command does, after three lines."""
    with enduring_output():
        for _ in range(3):
            sys.stdout.write("line\n")
        sys.exit(code)


@pytest.mark.parametrize(("before", "after"), [(0, LOST_OUTPUT), (None, LOST_OUTPUT), (1, 1), (3, 3)])
def test_only_the_status_of_success_is_changed(before, after, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(errno.ENOSPC))
    with pytest.raises(SystemExit) as end:
        ending(before)
    assert end.value.code == after


@pytest.mark.parametrize(("number", "told"), [(errno.ENOSPC, True), (errno.EPIPE, False)])
def test_a_full_disk_is_told_and_a_reader_that_left_is_not(number, told, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Broken(number))
    with pytest.raises(SystemExit) as end:
        ending(0)
    assert end.value.code == LOST_OUTPUT
    assert ("standard output could not be written: gone." in capsys.readouterr().err) == told


def test_where_all_was_written_nothing_is_changed(capsys):
    before = sys.stdout, sys.stderr
    with enduring_output():
        sys.stdout.write("line\n")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "line\n"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.usefixtures("undrawn")
def test_training_goes_on_with_a_full_disk_under_its_output(tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    arguments = ["run", str(tmp_path / "tiny.toml"), "--workers", "0", "--out", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["qmoe", *arguments])
    with FULL.open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            qmoe.cli.main()
    assert end.value.code == LOST_OUTPUT
    assert "No space left on device" in capsys.readouterr().err
    with Store(tmp_path / "results" / "store.sqlite") as store:
        assert store.load("tiny").n_missing == 0
    assert (tmp_path / "results" / "report.html").is_file()
