"""The run as a whole, with contenders that are easy to see through."""

import os
import subprocess
from dataclasses import replace

import pytest
import torch
from benchmarks.cli import app
from benchmarks.contenders import PEERS, assemble, on_gpu
from benchmarks.contenders.base import Contender, torch_step
from benchmarks.contenders.own import Torch
from benchmarks.gpu import run_gpu
from benchmarks.sizes import SWEEPS, Size
from benchmarks.suite import n_units, run_size, run_sweep
from benchmarks.timing import Plan
from typer.testing import CliRunner

from benchmarks import machine, suite
from qmoe.engines import TorchEngine

SMALL = Size(2, 1, 4)
BRIEF = Plan(target=1e-4, rounds=3)


@pytest.fixture(autouse=True)
def _small_matrix_product(monkeypatch):
    monkeypatch.setattr("benchmarks.operations.GEMM_EDGE", 32)


class Simple(Contender):
    """The torch engine under another name."""

    packages = ("torch",)
    advice = "as it is"

    def __init__(self, key="simple", change=lambda out: out, applies=True, need=0.0):
        self.key = self.title = key
        self.change, self.applicable, self.need = change, applies, need

    def applies(self, size):
        return self.applicable

    def memory(self, size):
        return self.need

    def prepare(self, problem):
        engine, circuit = TorchEngine(), problem.circuit
        return torch_step(problem, lambda x, weights: self.change(engine.evaluate(circuit, x, weights)))


def broken(out):
    raise RuntimeError("out of order\nwith details")


def quiet(text, done):
    del text, done


def test_only_those_who_agree_are_timed():
    contenders = [
        Simple("right"),
        Simple("wrong", lambda out: 1.01 * out),
        Simple("broken", broken),
        Simple("foreign", applies=False),
        Simple("huge", need=1e18),
    ]
    result = run_size(SMALL, contenders, BRIEF, quiet)
    assert list(result.timings) == ["right"]
    assert result.errors["wrong"].startswith("DisagreementError: outputs: off by")
    assert result.errors["broken"] == "RuntimeError: out of order"
    assert list(result.left_out) == ["huge"]
    assert "GiB" in result.left_out["huge"]
    assert 0 < result.gemm.minimum <= result.gemm.median


def test_the_wrong_gradient_of_a_right_output_is_seen():
    detached = Simple("detached", lambda out: out.detach() + 0.5 * (out - out.detach()))
    result = run_size(SMALL, [detached], BRIEF, quiet)
    assert result.errors["detached"].startswith("DisagreementError: gradient")


def test_a_step_that_is_too_long_is_left_out():
    result = run_size(SMALL, [Simple()], Plan(target=1e-4, rounds=3, too_long=1e-9), quiet)
    assert not result.timings
    assert result.left_out["simple"] == "one step takes 0 s"


def test_time_is_extrapolated_from_a_few_samples():
    class Looping(Simple):
        loops_over_samples = True

    result = run_size(Size(2, 1, 64), [Looping()], Plan(target=1e-4, rounds=3, too_long=1e-9), quiet)
    assert "estimated from 2 samples" in result.left_out["simple"]


def test_a_contender_leaves_a_sweep_when_it_becomes_too_long(monkeypatch):
    monkeypatch.setitem(SWEEPS, "batch", tuple(Size(2, 1, b) for b in (1, 2, 4)))
    failing = Simple("failing", lambda out: broken(out) if out.shape[0] > 1 else out)
    first, second, third = run_sweep("batch", [Simple(), failing], BRIEF, quiet)
    assert set(first.timings) == {"simple", "failing"}
    assert set(second.errors) == {"failing"}
    assert set(third.timings) == {"simple"}
    assert not third.errors


def test_a_run_makes_a_record(monkeypatch):
    monkeypatch.setattr(suite, "assemble", lambda only: ([Torch()], {"pyqtorch": "not there"}))
    heard = []
    threads = torch.get_num_threads()
    try:
        made = suite.run_suite(
            [SMALL], 1, BRIEF, sweeps=False, facts=False, report=lambda text, done: heard.append(done)
        )
    finally:
        torch.set_num_threads(threads)
    assert sum(heard) == n_units([SMALL], sweeps=False, facts=False)
    assert made.threads == 1
    assert list(made.results[0].timings) == ["qmoe-torch"]
    assert made.missing == {"pyqtorch": "not there"}
    assert made.versions["torch"] == torch.__version__
    assert {"cpu", "cores", "memory_gib", "os", "python"} == set(made.machine)
    assert made.machine["memory_gib"] * 2**30 >= machine.free_memory()


def test_a_peer_that_cannot_be_imported_is_named(monkeypatch):
    monkeypatch.setitem(PEERS, "ghost", ("ghost", "Ghost"))
    found, missing = assemble(["ghost", "qmoe-torch"])
    assert [contender.key for contender in found] == ["qmoe-torch"]
    assert missing["ghost"].startswith("ModuleNotFoundError")


def test_an_unknown_contender_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'qmoe'; there are .*qmoe-torch, tensorcircuit"):
        assemble(["qmoe"])


def test_a_wrong_size_on_the_command_line_leaves_the_process_as_it_was():
    before = dict(os.environ)
    done = CliRunner().invoke(app, ["--sizes", "2,3"])
    assert done.exit_code == 2
    assert "--sizes" in done.output
    assert dict(os.environ) == before


def test_a_failing_process_does_not_lose_the_timings(monkeypatch):
    def fail(engine, size):
        raise subprocess.CalledProcessError(1, ["python", engine, str(size)])

    monkeypatch.setattr(suite, "assemble", lambda only: ([Torch()], {}))
    monkeypatch.setattr(suite, "measure_memory", fail)
    made = suite.run_suite([SMALL], torch.get_num_threads(), BRIEF, sweeps=False)
    assert list(made.results[0].timings) == ["qmoe-torch"]
    assert made.memory == ()
    assert "exit status 1" in made.missing["A process of qmoe torch"]


def test_a_trial_of_the_gpu_run_on_the_cpu_times_and_checks_all_who_can(monkeypatch):
    monkeypatch.setattr(on_gpu, "GpuTensorCircuit", Absent)
    monkeypatch.setattr(on_gpu, "GpuPennyLaneJax", Absent)
    found = run_gpu([SMALL, replace(SMALL, n_models=2)], 1, BRIEF, device="cpu")
    for result in found.results:
        assert set(result.timings) == {"gpu-qmoe-torch", "cpu-qmoe-native", "gpu-default.qubit"}
        assert not result.errors
        assert result.gemm is None
    # Without the peers' own packages that is what it says.
    assert found.missing.keys() == {"An absent peer"}
    assert (
        found.missing["An absent peer"] == "RuntimeError: not here"
        or "No module named" in found.missing["An absent peer"]
    )
    assert found.machine["threads"] == 1


class Absent:
    title = "An absent peer"

    def __init__(self, device):
        raise RuntimeError("not here\nat all")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_without_a_gpu_the_command_says_so(tmp_path):
    done = CliRunner().invoke(app, ["--gpu", "--out", str(tmp_path / "record.json")])
    assert done.exit_code == 2
    assert "Torch sees no CUDA GPU" in done.output
    assert not (tmp_path / "record.json").exists()
