"""Executors: the same numbers on each, and tasks whose process dies take no other with them."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch

from qmoe.errors import ConfigError, QMoEError
from qmoe.studies import InProcess, LocalProcesses, Store, run_studies
from qmoe.studies.measurements import effective_dimensions
from qmoe.studies.run.deaths import memory_error, why_died
from qmoe.studies.run.dispatch import Died, Ended, TaskError, outcomes, results
from qmoe.studies.run.executors import SizedExecutor, open_executor, sparing_children


@pytest.fixture(scope="module")
def pool():
    """Processes for the tasks of this module, which no task brings down."""
    with LocalProcesses(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def doomed():
    """A process that tasks bring down; another starts in its place, which takes seconds."""
    with LocalProcesses(1) as executor:
        yield executor


class Starting(SizedExecutor):
    """An executor whose processes are starting for ever."""

    n, works = 2, False

    def submit(self, fn, /, *args, **kwargs):
        return Future()


def test_an_interruption_does_not_wait_for_processes_that_are_starting():
    stop, taken = threading.Event(), []

    def take():
        stop.set()
        taken.append(len(taken))
        return taken[-1]

    assert list(outcomes(Starting(), where, take, stop)) == []
    assert taken == [0]


def test_processes_are_at_work_once_the_first_has_started():
    with LocalProcesses(1) as executor:
        future = executor.submit(os.getpid)
        assert not executor.works
        future.result()
        assert executor.works


def test_processes_started_here_leave_the_signals_of_a_terminal_to_this_one():
    shown = [sys.executable, "-c", "import signal; print(*map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))"]
    with sparing_children():
        told = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert {int(number) for number in told.split()} >= {signal.SIGINT, signal.SIGHUP}
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGINT, signal.SIGHUP}


def where(number):
    return number, os.getpid(), torch.get_num_threads()


def test_in_process_tasks_run_here_in_their_order():
    found = list(results(InProcess(), where, [3, 1, 2]))
    assert [(number, process) for number, process, _ in found] == [(n, os.getpid()) for n in (3, 1, 2)]


def test_processes_have_one_thread_and_are_shared(pool):
    found = [one for _ in range(2) for one in results(pool, where, range(6))]
    assert sorted(number for number, *_ in found) == sorted([*range(6)] * 2)
    assert os.getpid() not in {process for _, process, _ in found}
    assert len({process for _, process, _ in found}) <= 2
    assert {threads for *_, threads in found} == {1}


def test_a_function_of_a_script_needs_no_main_guard(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from qmoe.studies import LocalProcesses\n"
        "from qmoe.studies.run.dispatch import results\n"
        "def double(n):\n    return 2 * n\n"
        "with LocalProcesses(1) as pool:\n    print(sorted(results(pool, double, [1, 2])))\n"
    )
    done = subprocess.run([sys.executable, "mine.py"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.stdout == "[2, 4]\n", done.stderr


def unlucky(numbers):
    """Sums numbers; 13 is a crash of compiled code."""
    if 13 in numbers:
        os.kill(os.getpid(), signal.SIGSEGV)
    return sum(numbers)


def halves(numbers):
    half = len(numbers) // 2
    return [part for part in (numbers[:half], numbers[half:]) if part]


def test_a_task_that_kills_its_process_is_found_and_all_others_are_done(doomed):
    waiting = [(20, 21), (12, 13), (0, 1)]
    found = list(outcomes(doomed, unlucky, lambda: waiting.pop() if waiting else None, split=halves))
    (lost,) = [one for one in found if isinstance(one, Died)]
    assert lost.task == (13,)
    assert "SIGSEGV" in lost.why
    assert sorted(one.result for one in found if isinstance(one, Ended)) == [1, 12, 41]


def die_once(task):
    """Ends its process by SIGKILL, but for the second time."""
    number, marker = task
    if number == 3 and not os.path.exists(marker):
        with open(marker, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_process_that_somebody_kills_costs_no_task(doomed, tmp_path):
    assert sorted(results(doomed, die_once, [(n, str(tmp_path / "died")) for n in range(6)])) == list(range(6))


def test_a_result_that_all_wait_for_is_an_error_with_the_reason(doomed):
    with pytest.raises(QMoEError, match=r"SIGSEGV: compiled code failed.*qmoe doctor"):
        list(results(doomed, unlucky, [(1,), (13,)]))


class Broken(Executor):
    """Its processes die of any task."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_exception(BrokenExecutor("all of them: EXIT(1)"))
        return future


def test_where_every_process_dies_no_task_is_to_blame():
    with pytest.raises(QMoEError, match="exit code 1"):
        list(results(Broken(), unlucky, [(1,), (2,)]))


class Cancelling(Executor):
    """Lost its scheduler, and with it all tasks."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future


def test_an_executor_that_cancels_all_tasks_is_given_up():
    with pytest.raises(QMoEError, match="cancelled it"):
        list(results(Cancelling(), unlucky, [(1,), (2,)]))


def test_an_executor_that_was_shut_down_says_so():
    gone = ThreadPoolExecutor(1)
    gone.shutdown()
    with pytest.raises(QMoEError, match="takes no more tasks"):
        list(results(gone, where, [1]))


def test_any_executor_will_do():
    with ThreadPoolExecutor(2) as threads:
        assert sorted(number for number, *_ in results(threads, where, range(9))) == list(range(9))


def fail_on(number):
    if number == 2:
        raise ValueError(f"not {number}")
    return number


class TwoArgumentsError(Exception):
    """Of those that pickle cannot make again."""

    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


def raise_unreadable(_):
    raise TwoArgumentsError("a", "b")


def test_an_error_of_a_task_comes_out_with_where_it_was_raised(pool):
    with pytest.raises(ValueError, match="not 2") as told:
        list(results(pool, fail_on, [1, 2]))
    assert "in fail_on" in "".join(told.value.__notes__)
    with pytest.raises(TaskError, match=r"in raise_unreadable"):
        list(results(pool, raise_unreadable, [1]))


def ask_for_memory(how):
    if how == "python":
        raise MemoryError
    return np.empty(10**15) if how == "numpy" else torch.empty(10**15)


@pytest.mark.parametrize("how", ["python", "numpy", "torch"])
def test_memory_that_a_task_does_not_get(how, pool):
    with pytest.raises(QMoEError, match=r"ran out of memory.*fewer workers"):
        list(results(pool, ask_for_memory, [how]))


def test_other_errors_are_none_of_memory():
    assert memory_error(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
    assert memory_error(ValueError("memory")) is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("The exit codes of the workers are {SIGKILL(-9)}", "SIGKILL: a system that runs out of memory"),
        ("The exit codes of the workers are {SIGTERM(-15), SIGSEGV(-11)}", "SIGSEGV: compiled code failed"),
        ("The exit codes of the workers are {SIGTERM(-15)}", "told to end from outside"),
        ("The exit codes of the workers are {SIGBUS(-7)}", "/dev/shm"),
        ("The exit codes of the workers are {SIGXCPU(-24)}", "ulimit -t"),
        ("The exit codes of the workers are {SIGUSR1(-10)}", "SIGUSR1: nothing more is known"),
        ("The exit codes of the workers are {EXIT(2)}", "exit code 2"),
        ("Attempted to run task on 4 workers", "Attempted to run task on 4 workers"),
        ("", "BrokenExecutor"),
    ],
)
def test_why_a_process_died_is_told_as_far_as_is_known(told, words):
    assert words in why_died(BrokenExecutor(told))


def test_nothing_begins_after_a_stop_and_what_runs_is_kept(pool):
    stop, begun = threading.Event(), []

    def take():
        if len(begun) == 3:
            stop.set()
        begun.append(len(begun))
        return begun[-1]

    found = [one.result[0] for one in outcomes(pool, where, take, stop)]
    assert set(found) <= set(begun)
    assert len(begun) == 4


class Growing(SizedExecutor):
    """Has one worker more at each task, as a cluster whose jobs start one by one."""

    def __init__(self):
        self.tasks = []

    @property
    def n(self):
        return len(self.tasks)

    def submit(self, fn, /, *args, **kwargs):
        self.tasks.append(Future())
        if len(self.tasks) == 5:
            for future in self.tasks:
                future.set_result(fn(*args, **kwargs))
        return self.tasks[-1]


def test_workers_that_come_later_get_tasks():
    growing, waiting = Growing(), [1, 2, 3, 4, 5]
    stop = threading.Timer(10, lambda: [future.cancel() for future in growing.tasks])
    stop.start()
    assert len(list(results(growing, abs, waiting))) == 5
    stop.cancel()


def test_an_unknown_executor_is_refused():
    with pytest.raises(ConfigError, match=r"'dsk'.*dask:ADDRESS"):
        open_executor("dsk")
    with pytest.raises(ConfigError, match="at least 1 process"):
        LocalProcesses(0)
    with pytest.raises(ConfigError, match=r"'mpi:there'"):
        open_executor("mpi:there")
    with pytest.raises(ConfigError, match=r"workers is 0, expected at least 1"):
        open_executor("dask:local", 0)
    for name in ("mpi", "dask:tcp://127.0.0.1:8786"):
        with pytest.raises(ConfigError, match=r"workers of its own; drop --workers"):
            open_executor(name, 2)
    assert isinstance(open_executor("local", 0), InProcess)
    assert open_executor("local", 3).n == 3


def figures(path):
    with Store(path) as store:
        found = store.load("tiny").records
    return {digest: (record.metrics, record.history, record.state) for digest, record in found.items()}


def test_a_study_gives_the_same_numbers_on_each(tiny, pool, tmp_path):
    with Store(tmp_path / "here.sqlite") as here, Store(tmp_path / "there.sqlite") as there:
        assert run_studies([tiny], here).ran == run_studies([tiny], there, pool).ran == 12
    assert figures(tmp_path / "here.sqlite") == figures(tmp_path / "there.sqlite")


def test_effective_dimensions_are_the_same_from_processes(tiny, pool):
    arms = ["quantum", "linear"]
    shared = effective_dimensions(tiny, arms, repeats=3, n_draws=5, executor=pool)
    alone = effective_dimensions(tiny, arms, repeats=3, n_draws=5)
    for arm in arms:
        assert shared[arm] == pytest.approx(alone[arm], rel=1e-12)


def test_processes_end_with_the_block():
    with LocalProcesses(1) as executor:
        (worker,) = results(executor, lambda _: os.getpid(), [0])
        assert executor.has_started
    assert_ends(worker)
    assert not executor.has_started


def assert_ends(process):
    deadline = time.monotonic() + 60
    while os.path.exists(f"/proc/{process}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{process}")


def test_processes_end_with_the_one_that_started_them():
    program = (
        "import os, signal\n"
        "from qmoe.studies import LocalProcesses\n"
        "from qmoe.studies.run.dispatch import results\n"
        "pool = LocalProcesses(1)\n"
        "print(*results(pool, os.getpgid, [0]), *results(pool, lambda _: os.getpid(), [0]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert_ends(int(done.stdout.split()[1]))


def test_what_cleans_up_after_the_workers_outlives_a_terminal_that_is_closed():
    program = """
import signal
from loky.backend.resource_tracker import _resource_tracker
from qmoe.studies.run.executors import sparing_children
with sparing_children():
    pass
ignored = int(open(f"/proc/{_resource_tracker._pid}/status").read().partition("SigIgn:")[2].split()[0], 16)
print(bool(ignored >> (signal.SIGHUP - 1) & 1), signal.getsignal(signal.SIGHUP) is signal.SIG_DFL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "True"], done.stderr
