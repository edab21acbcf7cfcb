"""Why workers cannot start, and why they died, told apart as far as can be known."""

import errno
import os
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from qmoe.errors import ConfigError, QMoEError
from qmoe.studies import Workers
from qmoe.studies.run import deaths
from qmoe.studies.run.deaths import UNGUARDED, check_startable, explained_start, why_died

GUARD = 'if __name__ == "__main__":'
USE = "from qmoe.studies import Workers\n"
AT_THE_TOP = f"{USE}with Workers(1) as workers:\n    print(sorted(workers.run(abs, [-1, 2])))\n"
IN_A_FUNCTION = (
    f"{USE}def main():\n    with Workers(1) as workers:\n        print(list(workers.run(abs, [-1])))\nmain()\n"
)
A_STUDY = """
import sys
sys.path.insert(0, {tests!r})
from tiny_study import tiny_values
from qmoe.studies import Store, parse_study, run_studies
try:
    with Store("store.sqlite") as store:
        run_studies([parse_study(tiny_values())], store, workers=2)
except Exception as error:
    raise SystemExit(f"caught: {{error}}")
"""


def python(*arguments, cwd, stdin=None):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize(
    "program",
    [IN_A_FUNCTION, A_STUDY.format(tests=os.path.dirname(os.path.dirname(__file__)))],
    ids=["function", "study"],
)
def test_a_program_without_a_main_guard_is_told_of_it(program, tmp_path):
    (tmp_path / "mine.py").write_text(program)
    done = python("mine.py", cwd=tmp_path)
    assert done.returncode == 1
    assert GUARD in done.stderr
    assert f"{tmp_path / 'mine.py'} starts worker processes as soon as it is imported" in done.stderr
    assert "memory" not in done.stderr
    assert "bootstrapping" not in done.stderr  # Python's own page of advice, once for each worker


def test_a_module_without_a_main_guard_is_told_of_it_by_name(tmp_path):
    (tmp_path / "mine.py").write_text(AT_THE_TOP)
    done = python("-m", "mine", cwd=tmp_path)
    assert done.returncode == 1
    assert "mine starts worker processes as soon as it is imported" in done.stderr


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (IN_A_FUNCTION, ("-",)),
        (f"{USE}{GUARD}\n    list(Workers(1).run(abs, [1]))\n", ()),
    ],
    ids=["dash", "guarded"],
)
def test_a_program_from_standard_input_is_told_to_be_a_file(program, arguments, tmp_path):
    done = python(*arguments, cwd=tmp_path, stdin=program)
    assert done.returncode == 1
    told = done.stderr.splitlines()[-1]
    assert "there is no file" in told
    assert "standard input" in told
    assert "workers=0" in told
    assert "memory" not in told


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (AT_THE_TOP.replace("with", f"{GUARD}\n  with"), ("mine.py",)),
        (IN_A_FUNCTION.replace("\nmain()", f"\n{GUARD}\n    main()"), ("-m", "mine")),
        (AT_THE_TOP, ("-c", AT_THE_TOP)),  # what is no file is imported by nobody
    ],
    ids=["file", "module", "command"],
)
def test_a_program_with_a_guard_runs(program, arguments, tmp_path):
    (tmp_path / "mine.py").write_text(program)
    done = python(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1")


def test_an_error_at_the_top_of_a_program_is_told_as_one_of_importing_it(tmp_path):
    top = "if __name__ == '__mp_main__':\n    raise ValueError('no such port')\n"
    guarded = AT_THE_TOP.replace("with", f"{GUARD}\n  with")
    (tmp_path / "mine.py").write_text(top + guarded)
    done = python("mine.py", cwd=tmp_path)
    assert "no such port" in done.stderr
    told = done.stderr.splitlines()[-1]
    assert "exit code 1 before its first task" in told
    assert str(tmp_path / "mine.py") in told
    assert "memory" not in told


def end_by(number):
    os.kill(os.getpid(), number)
    signal.pause()


@pytest.mark.parametrize(
    ("number", "n", "words"),
    [
        (signal.SIGKILL, 2, ["SIGKILL", "runs out of memory", "fewer workers", "--workers"]),
        (signal.SIGTERM, 1, ["SIGTERM", "from outside", "time limit"]),
    ],
)
def test_a_worker_that_a_signal_ended(number, n, words):
    with Workers(n) as workers, pytest.raises(QMoEError) as told:
        list(workers.run(end_by, [int(number)]))
    for word in [*words, "goes on from there"]:
        assert word in str(told.value)
    assert ("memory" in str(told.value)) == (number == signal.SIGKILL)


def test_a_worker_that_ended_itself_in_a_task():
    with Workers(1) as workers, pytest.raises(QMoEError, match=f"exit code {UNGUARDED} in the middle of a task"):
        list(workers.run(os._exit, [UNGUARDED]))


@pytest.mark.parametrize(
    ("codes", "began", "words"),
    [
        ([-15, -9], True, "SIGKILL"),
        ([-15, -11, -15], True, "compiled code failed"),
        ([-15, -15], True, "told to end from outside"),
        ([], True, "how they ended is not known"),
        ([-7], True, "/dev/shm"),
        ([-24], True, "SIGXCPU: .*ulimit -t"),
        ([-10, -15], True, "SIGUSR1: nothing more is known"),
        ([-64], False, "signal 64|SIGRTMAX"),
        ([UNGUARDED, -15], False, "starts worker processes as soon as it is imported"),
        ([0], True, "exit code 0 in the middle"),
        ([0], False, "exit code 0 before its first task"),
        ([-15, 2], True, "exit code 2 in the middle"),
    ],
)
def test_the_one_that_died_by_itself_is_told_of(codes, began, words):
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(why_died(codes, began))


class TwoArgumentsError(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def raise_unreadable(_):
    raise TwoArgumentsError("a", "b")


def test_an_answer_that_cannot_be_read_is_no_death():
    with Workers(1) as workers, pytest.raises(QMoEError, match=r"cannot be read: TypeError: .*missing 1 required"):
        list(workers.run(raise_unreadable, [1]))


@pytest.fixture(scope="module")
def one():
    """A worker that no task brings down."""
    with Workers(1) as workers:
        yield workers


def of_nowhere(_):
    """What is pickled by a name that no worker can import."""


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("made_up_by_a_test", "f", "No module named 'made_up_by_a_test'"),
        ("qmoe.errors", "made_up", "made_up"),
        ("qmoe.made_up.deeper", "f", r"No module named 'qmoe\.made_up"),
    ],
)
def test_a_task_that_workers_cannot_import(module, name, words, monkeypatch, one):
    function = types.FunctionType(of_nowhere.__code__, {}, name)
    function.__module__, function.__qualname__ = module, name
    if module not in sys.modules:
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setattr(sys.modules[module], name, function, raising=False)
    with pytest.raises(QMoEError, match=f"cannot import what a task needs: .*{words}"):
        list(one.run(function, [1]))


def ask_for_memory(how):
    if how == "python":
        raise MemoryError
    return np.empty(10**15) if how == "numpy" else torch.empty(10**15)


@pytest.mark.parametrize("how", ["python", "numpy", "torch"])
def test_memory_that_a_task_does_not_get(how, one):
    with pytest.raises(QMoEError, match=r"ran out of memory.*fewer workers"):
        list(one.run(ask_for_memory, [how]))


def test_an_error_of_a_task_comes_out(one):
    with pytest.raises(ValueError, match="invalid literal"):
        list(one.run(int, ["x"]))


def fail_otherwise(words):
    raise RuntimeError(words)


@pytest.mark.parametrize("words", ["mat1 and mat2 shapes cannot be multiplied", "memory format", ""])
def test_other_errors_of_tasks_stay_what_they_are(words, one):
    with pytest.raises(RuntimeError) as told:
        list(one.run(fail_otherwise, [words]))
    assert str(told.value) == words
    assert not isinstance(told.value, QMoEError)


@pytest.mark.parametrize(
    "error",
    [
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("This platform lacks a functioning sem_open implementation"),
    ],
)
def test_what_keeps_processes_from_starting_is_told(error):
    with (
        pytest.raises(QMoEError, match=r"cannot be started: .*(unavailable|allocate|sem_open).*0 runs everything"),
        explained_start(),
    ):
        raise error


def test_a_daemonic_process_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(deaths.multiprocessing, "current_process", lambda: types.SimpleNamespace(daemon=True))
    with pytest.raises(ConfigError, match=r"multiprocessing\.Pool.*workers=0"):
        check_startable()


def _importing():
    raise RuntimeError("bootstrapping")


def test_a_process_that_imports_its_parents_program_ends_with_the_code_that_says_so(monkeypatch):
    monkeypatch.setattr(deaths, "imported_program", _importing)
    with pytest.raises(SystemExit) as ended:
        check_startable()
    assert ended.value.code == UNGUARDED
