"""Whole trainings: what is trained, what counts as the same, the processes, and what is shown."""

import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.record import Profile, Record, Result
from benchmarks.sizes import Size
from benchmarks.timing import Timing
from benchmarks.trainings import run, text
from benchmarks.trainings.classifiers import CLASSIFIERS
from benchmarks.trainings.neighbour import busy_neighbour
from benchmarks.trainings.own import Own
from benchmarks.trainings.results import OWN, Fit, Threads, Trainer, Training, Trainings
from benchmarks.trainings.task import CONFIG, N_POINTS, Task
from benchmarks.trainings.workers import Worker, WorkerError

from benchmarks import page, record

TASK = Task(2, 2)
EFFORT = run.Effort(processes=2, rounds=5, turn=0.1, most=3, fits=2, step_rounds=2, pause=0.0)
ANSWER = {
    "first": 2.0, "compiling": None, "scale": 1.0, "seconds": 0.05, "first_loss": [4.0, 5.0], "accuracy": 0.98,
    "short_accuracy": 0.9,
}  # fmt: skip


def timing(median, spread=0.02):
    median = float(f"{median:.4g}")
    return Timing(median, median, spread, 6, 5, float(f"{10 * median:.4g}"), spread > 0.15)


def quiet(text, done):
    del text, done


@pytest.fixture
def trainings():
    return Trainings(
        threads=2,
        processes=2,
        trainers={
            OWN: Trainer("qmoe", "as it is"),
            "qmoe-1": Trainer("qmoe, one thread", "with one"),
            "jax": Trainer("PennyLane on JAX", "compiled"),
            "eager": Trainer("PennyLane in torch", "step by step"),
        },
        tasks=(
            Training(
                2,
                60,
                alone={OWN: timing(0.4), "qmoe-1": timing(0.3), "jax": timing(1.0, 0.3), "eager": timing(10.0)},
                busy={OWN: timing(0.6), "jax": timing(1.5)},
                compiling={"jax": 6.0},
                accuracy={OWN: 0.975, "jax": 0.97, "eager": 0.91},
                loss_gap={OWN: 0.0, "jax": 2e-6, "eager": 1e-6},
                scaled={"eager": 10.0},
                errors={"qmoe-2": "WorkerError: exit status 1"},
            ),
        ),
        fits=(Fit("A()", timing(0.1), 0.99, 0.98), Fit("B()", timing(0.05), 0.97, 0.9)),
        steps=(
            Threads(
                Size(2, 3, 32),
                {"default": timing(1e-4), "one": timing(1e-4)},
                {"default": timing(3e-4), "one": timing(2e-4)},
            ),
        ),
        errors={"Something": "no answer in 5 s"},
    )


@pytest.fixture
def made(trainings):
    return Record(
        date="2030-01-01",
        commit="0123456789ab",
        machine={"cpu": "A processor", "cores": 2, "memory_gib": 15.6, "os": "Linux x86_64", "python": "3.12.1"},
        load=0.1,
        threads=2,
        versions={},
        contenders={
            "qmoe-native": Profile("qmoe native", "as it is", True, True),
            "tensorcircuit": Profile("TensorCircuit-NG", "compiled", False, True),
            "jax-default.qubit": Profile("PennyLane on JAX", "compiled", False, True),
        },
        results=(
            Result(
                Size(2, 3, 1),
                {"qmoe-native": timing(1e-4), "tensorcircuit": timing(9e-5), "jax-default.qubit": timing(8e-5)},
            ),
            Result(Size(2, 3, 32), {"qmoe-native": timing(1e-4), "tensorcircuit": timing(2e-4)}),
        ),
        trainings=trainings,
    )


def test_orders_and_first_weights_are_those_of_a_training():
    # By hand, in float64: the first epoch of one model, whose losses no other order of batches gives.
    model, (x, y) = TASK.models()[1].double(), map(torch.from_numpy, TASK.data)
    optimizer = torch.optim.Adam(model.parameters(), lr=CONFIG.lr)
    total = 0.0
    for rows in torch.from_numpy(TASK.orders(1)[1, 0]).split(CONFIG.batch_size):
        loss = torch.nn.functional.cross_entropy(model(x[1, rows].double()), y[1, rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += float(loss.detach())
    _, outcome = Own(TASK).train(1)
    assert outcome.first_loss[1] == pytest.approx(total, rel=1e-4)
    assert outcome.accuracy.shape == (2,)


def test_the_task_is_as_it_is_described():
    x, y = Task(4, 2).data
    assert x.shape == (2, N_POINTS, 4)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0, pytest.approx(np.pi))
    np.testing.assert_array_equal(x[..., :2], x[..., 2:])
    assert not np.array_equal(x[0], x[1])
    assert sorted(set(y.flatten())) == [0, 1]
    assert {name: value.shape for name, value in TASK.first_weights.items()} == {
        "circuit": (2, 3, 2, 3), "adapter": (2, 2, 2), "adapter_bias": (2, 2), "experts": (2, 2, 2, 2),
        "experts_bias": (2, 2, 2),
    }  # fmt: skip
    np.testing.assert_array_equal(np.sort(TASK.orders(3), -1), np.tile(np.arange(N_POINTS), (2, 3, 1)))


def test_who_trained_something_else_is_told():
    run.check({**ANSWER, "first_loss": [4.0004, 5.0], "accuracy": 0.96}, ANSWER)
    run.check({**ANSWER, "scale": 10.0, "accuracy": 0.91}, ANSWER)
    run.check({**ANSWER, "accuracy": 0.1}, None)
    for wrong in ({"first_loss": [4.0, 5.1]}, {"first_loss": [float("nan"), 5.0]}, {"first_loss": [4.0]}):
        with pytest.raises(run.DisagreementError, match="first epoch"):
            run.check({**ANSWER, **wrong}, ANSWER)
    for wrong in ({"accuracy": 0.9}, {"accuracy": 0.98, "scale": 10.0}):
        with pytest.raises(run.DisagreementError, match="accuracy"):
            run.check({**ANSWER, **wrong}, ANSWER)


class Simple:
    """A worker without a process, which writes down what it is asked."""

    log: list
    answers: dict

    def __init__(self, arguments):
        self.key = arguments[1]
        self.ready = {**ANSWER, **self.answers.get(self.key, {})}
        if "error" in self.ready:
            raise WorkerError(self.ready["error"])

    def ask(self, repeats):
        self.log.append((self.key, repeats))
        if self.ready.get("fails"):
            raise WorkerError("exit status 1")
        return {"seconds": [self.ready["seconds"]] * repeats}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.log.append((self.key, "closed"))


@pytest.fixture
def simple(monkeypatch):
    Simple.log, Simple.answers = [], {}
    monkeypatch.setattr(run, "Worker", Simple)
    return Simple


def test_contenders_take_turns(simple):
    simple.answers = {"jax": {"seconds": 0.2, "compiling": 7.0}, "eager": {"scale": 10.0, "accuracy": 0.9}}
    found = run.run_task(2, 1, EFFORT, quiet)
    assert not found.errors
    assert found.alone["jax"].median == 0.2
    assert found.alone["jax"].rounds == EFFORT.rounds
    assert found.compiling == {"jax": 7.0}
    assert found.scaled == {"eager": 10.0}
    assert set(found.busy) == {"qmoe", "qmoe-1", "jax"}
    asked = [key for key, what in simple.log if what != "closed"]
    assert asked[:8] == ["qmoe", "qmoe-1", "jax", "eager"] * 2
    assert ("qmoe", 2) in simple.log  # as many trainings as fill a turn
    assert ("jax", 1) in simple.log
    assert sum(what == "closed" for _, what in simple.log) == 4 * EFFORT.processes


def test_one_that_fails_is_named_and_the_others_go_on(simple):
    simple.answers = {"jax": {"error": "ModuleNotFoundError: No module named 'jax'"}, "qmoe-1": {"fails": True}}
    simple.answers["eager"] = {"first_loss": [9.0, 5.0]}
    found = run.run_task(2, 60, EFFORT, quiet)
    assert set(found.alone) == {"qmoe", "jax-split"}
    assert set(found.busy) == {"qmoe", "jax-split"}
    assert found.errors["jax"] == "WorkerError: ModuleNotFoundError: No module named 'jax'"
    assert found.errors["qmoe-1"] == "WorkerError: exit status 1"
    assert found.errors["eager"].startswith("DisagreementError: a loss of the first epoch")


def test_the_units_are_those_that_are_reported(monkeypatch):
    monkeypatch.setattr(run, "run_task", lambda n_qubits, n_models, effort, report: report("", True))

    def fail(*arguments):
        raise WorkerError("no answer in 5 s")

    monkeypatch.setattr(run, "run_fits", fail)
    monkeypatch.setattr(run, "_take_turns", lambda workers, size, effort: {})
    monkeypatch.setattr(run, "busy_neighbour", lambda: __import__("contextlib").nullcontext())

    class Ready(Simple):
        answers = {"0": {"threads": 2}}  # noqa: RUF012
        log = []  # noqa: RUF012

    monkeypatch.setattr(run, "Worker", Ready)
    heard = []
    sizes = [Size(2, 1, 1), Size(2, 1, 2)]
    made = run.run_trainings(lambda text, done: heard.append(done), EFFORT, sizes)
    assert sum(heard) == run.n_units(sizes)
    assert made.threads == 2
    assert made.errors == {"The fits": "no answer in 5 s"}


#: How a process ends that is asked to: by the signal that asks it, or by the one that does not ask.
ENDED = (-signal.SIGTERM, -signal.SIGKILL)


def test_the_neighbour_is_busy_and_ends():
    with busy_neighbour() as process:
        assert process.poll() is None
    assert process.poll() in ENDED


def test_the_neighbour_ends_with_a_block_that_fails():
    started = []

    def fail():
        with busy_neighbour() as process:
            started.append(process)
            raise RuntimeError("in the block")

    with pytest.raises(RuntimeError, match="in the block"):
        fail()
    assert started[0].poll() in ENDED


def test_the_neighbour_does_not_outlive_whoever_started_it():
    program = (
        "import os\n"
        "from benchmarks.trainings.neighbour import busy_neighbour\n"
        "with busy_neighbour() as process:\n"
        "    print(process.pid, flush=True)\n"
        "    os._exit(0)\n"
    )
    # Its standard output is closed when the neighbour, which inherits it, is gone too.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
        cwd=page.PAGE.parents[1],
    )  # fmt: skip
    assert int(done.stdout) > 0


SERVER = """
import os, sys
from benchmarks.trainings.workers import serve
def handle(number):
    print("a library's chatter")
    if number == 3:
        os._exit(3)
    if number == 4:
        import time
        time.sleep(60)
    return {"inverse": 1 / number, "threads": os.environ.get("OMP_NUM_THREADS")}
serve(lambda: ({"name": sys.argv[1]}, handle))
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    (tmp_path / "a_server_of_tests.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return lambda timeout=60.0: Worker(["one"], timeout, "a_server_of_tests")


def test_a_worker_answers_with_the_defaults_of_its_libraries(server):
    with server() as worker:
        assert worker.ready == {"name": "one"}
        assert [worker.ask(number=n)["inverse"] for n in (1, 2)] == [1.0, 0.5]
        assert worker.ask(number=1)["threads"] is None
        with pytest.raises(WorkerError, match="ZeroDivisionError"):
            worker.ask(number=0)
        with pytest.raises(WorkerError, match=r"ended|status"):
            worker.ask(number=1)


def test_a_worker_that_ends_or_is_late(server):
    with server() as worker, pytest.raises(WorkerError, match="exit status 3"):
        worker.ask(number=3)
    with server() as worker:
        worker._timeout = 0.2
        with pytest.raises(WorkerError, match="no answer in 0 s"):
            worker.ask(number=4)


def test_the_classifiers_are_those_that_are_named():
    assert next(iter(CLASSIFIERS)).startswith("QMoE")
    for title, make in CLASSIFIERS.items():
        assert type(make(3)).__name__ == title.split("(")[0]
        assert make(3).random_state == 3


def test_trainings_survive_the_file(made, tmp_path):
    record.save(made, tmp_path / "record.json")
    assert record.load(tmp_path / "record.json") == made
    assert "ratio" not in (tmp_path / "record.json").read_text()


def test_a_record_without_trainings_has_no_such_section(made, tmp_path):
    path = tmp_path / "record.json"
    record.save(replace(made, trainings=None), path)
    assert record.load(path).trainings is None
    content = path.read_text().replace('"trainings": null,\n', "").replace(',\n   "compiles": true', "")
    path.write_text(content)
    old = record.load(path)
    assert old.trainings is None
    assert old.contenders["tensorcircuit"].compiles
    assert not old.contenders["jax-default.qubit"].compiles
    assert "Whole trainings" not in page.page(old)
    assert "loaded by another process" not in page.page(old)


def test_the_page_says_what_was_trained(made):
    found = page.page(made)
    assert "| 2 | 60 | 400 ms | **0.75x** | ~2.5x | 25x |" in found
    assert "| 2 | 60 | 600 ms | 2.5x |" in found
    assert "| 2 | 60 | 6.00 s (15) |" in found
    assert "Times of PennyLane in torch are extrapolated: measured for 10% of the epochs, times 10" in found
    assert (
        "qmoe 97.5%, PennyLane on JAX 97.0%, PennyLane in torch 91.0%. The losses of the first epoch differ by 2e-06"
        in found
    )
    assert "Failed: qmoe-2 at Q = 2, M = 60 (WorkerError: exit status 1)." in found
    assert "| `B().fit` | 50.0 ms | **0.50x** | 97.0% | 90.0% |" in found
    assert "Times longer than alone: qmoe 1.5 to 1.5, PennyLane on JAX 1.5 to 1.5." in found
    assert "| (2, 3, 32, 1) | 100 us | 1.0x | 300 us | 1.5x |" in found
    assert "longer at 1 of 1 sizes" in found
    assert "Something failed: no answer in 5 s." in found


def test_the_terminal_says_the_same(trainings):
    found = text.lines(trainings)
    assert "training Q=2 M=60: PennyLane on JAX ~1.00 s, ~2.5x, spread 30%" in found
    assert "training Q=2 M=60: qmoe-2 FAILED, WorkerError: exit status 1" in found
    assert "A(): 100 ms, accuracy 99.0% (lowest 98.0%)" in found
    assert any("1.5x beside a busy process" in line for line in found)


def test_parts_that_were_not_measured_are_left_out(trainings):
    bare = replace(trainings, tasks=(), fits=(), steps=(), errors={})
    assert not any(text.sections(bare))
    assert text.lines(bare) == []


def test_the_quickest_peer_is_computed(made):
    found = page.page(made)
    assert "The fastest peer: TensorCircuit-NG at (2, 3, 32, 1). PennyLane on JAX at (2, 3, 1, 1)." in found or (
        "The fastest peer: PennyLane on JAX at (2, 3, 1, 1). TensorCircuit-NG at (2, 3, 32, 1)." in found
    )
    alone = replace(made, results=made.results[1:])
    assert "The fastest peer: TensorCircuit-NG at all sizes." in page.page(alone)


def test_what_several_peers_compile_stands_beside(made):
    found = page.page(made)
    assert "| (2, 3, 1, 1) | 900 us | 800 us |" in found
    assert "| (2, 3, 32, 1) | 2.00 ms |  |" in found
    assert "PennyLane on JAX compiles for every new shape: 800 us to 800 us here." in found
    assert "## Compiled before" not in page.page(replace(made, results=made.results[1:]))


def test_every_trainer_has_a_row_of_its_own():
    titles = [trainer.title for trainer in run.TRAINERS.values()]
    assert len(set(titles)) == len(titles)
    assert all(a != b for a, b in itertools.pairwise(run.TASKS))
