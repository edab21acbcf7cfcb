"""Imported circuits beside the libraries that they come from."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.cli import app
from benchmarks.contenders import Step
from benchmarks.imported import text
from benchmarks.imported.cases import CASES, CHECKED, QUICK_CASES, OneEpoch, OneStep, right_epoch, right_step
from benchmarks.imported.layers import (
    Connector,
    DefaultQubitLayer,
    Entrant,
    LightningLayer,
    NoCircuit,
    OwnFromPennylane,
    OwnFromQiskit,
    OwnTemplate,
)
from benchmarks.imported.results import CaseTimes, Entry, ImportedTimes
from benchmarks.imported.run import ENTRANTS, run_imported
from benchmarks.imported.sources import FeatureMap, Template
from benchmarks.timing import Plan, Timing
from typer.testing import CliRunner

from benchmarks import page, record, suite
from qmoe.engines import ReferenceEngine

BRIEF = Plan(target=1e-4, rounds=3)
IN_TORCH = (OwnTemplate, OwnFromPennylane, OwnFromQiskit, DefaultQubitLayer, LightningLayer, Connector)
STEP, EPOCH = OneStep(FeatureMap(3, 1, 2), 3), OneEpoch(Template(2, 2), 3, batch=2)


@pytest.mark.parametrize("case", [STEP, OneStep(Template(3, 2), 4), EPOCH], ids=["map", "template", "epoch"])
def test_layers_of_all_libraries_compute_the_same(case):
    (found,) = run_imported([case], BRIEF, entrants=IN_TORCH).cases
    assert found.errors == {}
    assert set(found.timings) == {one.key for one in IN_TORCH if case.kind in one.kinds}
    assert {"qmoe-pennylane", "qmoe-qiskit"} <= found.timings.keys()


def test_programs_on_jax_compute_the_same():
    pytest.importorskip("jax")
    from benchmarks.imported.on_jax import JaxLoop, JaxScan, JaxStep

    cases = [OneStep(FeatureMap(2, 1, 1), 3), OneEpoch(Template(2, 1), 3, batch=2)]
    step, epoch = run_imported(cases, BRIEF, entrants=(JaxStep, JaxLoop, JaxScan)).cases
    assert step.errors == epoch.errors == {}
    assert (set(step.timings), set(epoch.timings)) == ({"jax"}, {"jax-loop", "jax-scan"})


def test_the_right_step_is_that_of_the_reference_engine():
    case = OneStep(Template(3, 2), 4)
    right = right_step(case)
    x, targets = (torch.from_numpy(array).double() for array in case.data)
    weights = torch.from_numpy(case.weights).double().requires_grad_()
    out = ReferenceEngine().evaluate(case.source.circuit, x, weights)
    loss = torch.nn.functional.mse_loss(out, targets)
    loss.backward()
    np.testing.assert_allclose(right.outputs, out.detach(), atol=1e-12)
    np.testing.assert_allclose(right.loss, loss.detach(), atol=1e-12)
    np.testing.assert_allclose(right.gradient, weights.grad.flatten(), atol=1e-12)


def test_the_losses_of_an_epoch_are_those_of_its_batches_in_turn():
    losses = right_epoch(replace(EPOCH, size=5)).outputs
    assert losses.shape == (5,)
    np.testing.assert_array_equal(losses[:3], right_epoch(EPOCH).outputs)
    assert len(set(losses)) == 5


class Changed(OwnFromPennylane):
    """qmoe's layer, with a mistake."""

    key = title = "changed"
    change = staticmethod(lambda out: out)

    def layer(self, source, hybrid):
        inner, change = super().layer(source, hybrid), type(self).change

        class Wrapped(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                return change(self.inner(x))

        return Wrapped()


def changed(function):
    return type("Changed", (Changed,), {"change": staticmethod(function)})


@pytest.mark.parametrize(
    ("case", "change", "words"),
    [
        (STEP, lambda out: 1.01 * out, "outputs: off by"),
        (STEP, lambda out: out.detach() + 0.5 * (out - out.detach()), "gradient: off by"),
        (EPOCH, lambda out: out.detach() + 0.5 * (out - out.detach()), "gradient: off by"),
        (EPOCH, lambda out: 1.01 * out, "outputs: off by"),
        (EPOCH, lambda out: out.detach() - (out - out.detach()), "outputs: off by"),
    ],
)
def test_who_computes_something_else_is_not_timed(case, change, words):
    (found,) = run_imported([case], BRIEF, entrants=[changed(change), OwnFromPennylane]).cases
    assert list(found.timings) == ["qmoe-pennylane"]
    assert found.errors["changed"].startswith(f"DisagreementError: {words}")


def test_a_mistake_inside_of_a_run_does_not_end_it():
    class Failing(Changed):
        def layer(self, source, hybrid):
            raise RuntimeError("out of order\nwith details")

    (found,) = run_imported([STEP], BRIEF, entrants=[Failing, OwnFromPennylane]).cases
    assert found.errors == {"changed": "RuntimeError: out of order"}
    assert list(found.timings) == ["qmoe-pennylane"]


@pytest.mark.parametrize("case", [OneStep(FeatureMap(2), 6), OneEpoch(Template(2, 1), 6, batch=2)])
def test_the_first_parts_are_those_of_the_whole(case):
    part = case.first(2)
    for some, all_of in zip(part.data, case.data, strict=True):
        np.testing.assert_array_equal(some, all_of[: len(some)])
        assert 3 * len(some) == len(all_of)
    np.testing.assert_array_equal(part.weights, case.weights)


class OnTwo(Entrant):
    """Takes no time and two parts, and counts them."""

    key = title = "on-two"
    packages = ("torch",)
    advice = "as it is"
    most = {"samples": 2, "batches": 2}  # noqa: RUF012
    checked = False

    def prepare(self, case):
        assert case.size == 2
        return Step(lambda: None, lambda found: found)


def test_who_takes_long_runs_on_a_few_parts_and_says_so(monkeypatch):
    taken = Timing(1.0, 0.5, 0.02, 3, 1, 7.0, False)
    monkeypatch.setattr("benchmarks.imported.run.measure", lambda steps, *rest: dict.fromkeys(steps, taken))
    step, epoch, small = run_imported(
        [replace(STEP, size=8), replace(EPOCH, size=3), STEP.first(2)], BRIEF, entrants=[OnTwo]
    ).cases
    assert step.scaled == {"on-two": "2 of 8 samples"}
    assert epoch.scaled == {"on-two": "2 of 3 batches"}
    assert small.scaled == {}
    assert step.timings["on-two"] == replace(taken, median=4.0, minimum=2.0)
    assert epoch.timings["on-two"] == replace(taken, median=1.5, minimum=0.75)
    assert small.timings["on-two"] == taken


def test_a_step_that_is_too_long_is_left_out():
    (found,) = run_imported([STEP], replace(BRIEF, too_long=1e-9), entrants=[OwnFromPennylane]).cases
    assert not found.timings
    assert found.left_out == {"qmoe-pennylane": "one step takes 0 s"}


def test_the_epoch_without_a_circuit_is_timed_and_not_checked():
    (found,) = run_imported([EPOCH], BRIEF, entrants=[NoCircuit]).cases
    assert found.errors == {}
    assert list(found.timings) == ["no-circuit"]


def test_an_epoch_of_more_batches_than_are_checked_is_checked():
    (found,) = run_imported([OneEpoch(Template(2, 1), CHECKED + 2, batch=1)], BRIEF, entrants=[OwnFromPennylane]).cases
    assert found.errors == {}


def test_who_is_not_installed_is_named():
    ghost = type("Ghost", (Connector,), {"needs": ("no_such_module",)})
    found = run_imported([STEP], BRIEF, entrants=[OwnFromPennylane, ghost])
    assert found.missing == {"qiskit-connector": "ModuleNotFoundError: No module named 'no_such_module'"}
    assert list(found.cases[0].timings) == ["qmoe-pennylane"]
    assert "| qmoe from PennyLane | TorchConnector |" in text.section(found)
    assert "| not installed |" in text.section(found)
    assert text.lines(found)[-1].startswith("TorchConnector not installed: ModuleNotFoundError")


def test_a_full_run_has_every_kind_of_case_and_a_quick_one_too():
    for cases in (CASES, QUICK_CASES):
        assert {case.kind for case in cases} == {"map", "epoch", "template"}
        assert len({(case.kind, case.title) for case in cases}) == len(cases)
    assert [case.source.n_qubits for case in CASES if case.kind == "map"] == [4, 8]
    assert [case.size * case.batch for case in CASES if case.kind == "epoch"] == [16_384]
    assert len({one.key for one in ENTRANTS}) == len(ENTRANTS)


def timing(median, first=1.0, spread=0.02):
    return Timing(median, median, spread, 11, 100, first, spread > 0.15)


@pytest.fixture
def measured():
    """JAX is ahead in the epoch alone; one peer is left out, one failed, one is scaled and one is not installed."""
    return ImportedTimes(
        versions={"qiskit": "1.2.3"},
        entrants={one.key: Entry(one.title, one.advice, one.ours, one.kinds) for one in ENTRANTS},
        missing={"lightning.qubit": "ModuleNotFoundError: nowhere"},
        cases=(
            CaseTimes(
                "map",
                "4 qubits, batch 32",
                {
                    "qmoe-pennylane": timing(1e-3),
                    "qmoe-qiskit": timing(1.1e-3),
                    "jax": timing(2e-3, 20.0),
                    "qiskit-connector": timing(5.0, spread=0.3),
                },
                scaled={"qiskit-connector": "4 of 32 samples"},
                errors={"default.qubit": "DisagreementError: gradient: off by 1.0e+00"},
            ),
            CaseTimes(
                "epoch",
                "an epoch",
                {
                    "qmoe-pennylane": timing(0.5),
                    "qmoe-qiskit": timing(0.4),
                    "jax-loop": timing(0.2, 5.0),
                    "jax-scan": timing(0.1, 6.0),
                    "no-circuit": timing(0.16),
                },
                left_out={"qiskit-connector": "one step takes 99 s"},
            ),
            CaseTimes(
                "template",
                "2 qubits, 3 layers, batch 32",
                {"qmoe-template": timing(4e-4), "qmoe-pennylane": timing(3.6e-4), "qmoe-qiskit": timing(4.4e-4)},
            ),
        ),
    )


def test_the_page_shows_imports_beside_their_peers(measured):
    shown = text.section(measured)
    assert "| 4 qubits, batch 32 | 1.00 ms | 1.10 ms | 2.0x | failed | not installed | ~5,000x |" in shown
    assert "| an epoch | 500 ms | 400 ms | **0.50x** | **0.25x** |  | not installed | left out |" in shown
    assert "| 2 qubits, 3 layers, batch 32 | 400 us | 0.90x | 1.1x |" in shown
    assert "* Times of TorchConnector are scaled from 4 of 32 samples at 4 qubits, batch 32." in shown
    assert "* Left out: TorchConnector at an epoch (one step takes 99 s)." in shown
    assert "* Failed: TorchLayer, default.qubit at 4 qubits, batch 32 (DisagreementError: gradient: off" in shown
    assert "* Not installed: TorchLayer, lightning.qubit (ModuleNotFoundError: nowhere)." in shown


def test_the_page_says_why_a_compiled_program_is_ahead_where_it_is(measured):
    shown = text.section(measured)
    assert "At an epoch, JAX is ahead once its first run of 6.00 s has paid, after 20 runs" in shown
    assert "take 160 ms, 40% of the epoch of qmoe." in shown
    assert "At 4 qubits" not in shown
    first = measured.cases[0]
    quicker = replace(first, timings={**first.timings, "jax": timing(5e-4, 1.0)})
    assert (
        "At 4 qubits, batch 32, JAX is ahead once its first run of 1.00 s has paid, after 2,000 runs"
        in text.section(replace(measured, cases=(quicker,)))
    )


def test_the_terminal_has_a_line_for_each_measurement(measured):
    lines = text.lines(measured)
    assert len(lines) == 4 + 1 + 5 + 1 + 3 + 1
    assert lines[0] == "4 qubits, batch 32: qmoe from PennyLane 1.00 ms, spread 2%, first 1.00 s"
    assert lines[3] == (
        "4 qubits, batch 32: TorchConnector ~5.00 s, ~5,000x, spread 30%, first 1.00 s, scaled from 4 of 32 samples"
    )


def test_nothing_is_said_where_nothing_was_measured():
    assert text.section(None) == ""


@pytest.fixture
def kept(measured, tmp_path, monkeypatch):
    """A record with imported circuits, in place of the committed one, and what is written of it."""
    made = replace(record.load(), imported=measured, imported_run="commit abc, 2030-01-01")
    monkeypatch.setattr(record, "PATH", tmp_path / "record.json")
    record.save(made, record.PATH)
    return made


def test_imported_circuits_survive_the_file(kept):
    assert record.load(record.PATH).imported == kept.imported
    assert "Measured apart from the rest: commit abc, 2030-01-01." in page.page(record.load(record.PATH))


def test_a_record_from_before_circuits_were_imported_is_read(kept):
    content = json.loads(record.PATH.read_text())
    del content["imported"], content["imported_run"]
    record.PATH.write_text(json.dumps(content))
    found = record.load(record.PATH)
    assert found.imported is None
    assert page.page(found) == page.page(replace(kept, imported=None))
    assert "mported" not in page.page(found)


def test_the_command_puts_them_in_the_record_and_keeps_the_rest(kept, measured, monkeypatch):
    newer = replace(measured, versions={"qiskit": "9.9.9"})
    monkeypatch.setattr("benchmarks.cli.limit_threads", lambda threads: None)
    monkeypatch.setattr("benchmarks.imported.run.run_imported", lambda cases, plan, report: newer)
    rewritten = []
    monkeypatch.setattr("benchmarks.page.write", lambda made: rewritten.append(made) or record.PATH)
    monkeypatch.setattr("benchmarks.plots.write", lambda made: [])
    monkeypatch.setattr("benchmarks.record.load", lambda path=None, load=record.load: load(path or record.PATH))
    before = torch.get_num_threads()
    try:
        done = CliRunner().invoke(app, ["imported", "--write", "--threads", "1"], catch_exceptions=False)
    finally:
        torch.set_num_threads(before)
    assert done.exit_code == 0
    assert "4 qubits, batch 32: qmoe from PennyLane 1.00 ms" in done.output
    (made,) = rewritten
    assert made == record.load(record.PATH)
    assert made.imported == newer
    assert replace(made, imported=None, imported_run="") == replace(kept, imported=None, imported_run="")


def test_a_full_run_times_them_too(measured, monkeypatch):
    monkeypatch.setattr(suite, "assemble", lambda only: ([], {}))
    monkeypatch.setattr(suite, "run_imported", lambda cases, plan, report: measured if cases == CASES else None)
    options = {"sweeps": False, "facts": False}
    threads = torch.get_num_threads()
    assert suite.run_suite([], threads, BRIEF, imports=True, **options).imported == measured
    assert suite.run_suite([], threads, BRIEF, **options).imported is None
    assert suite.n_units([], imports=True, **options) - suite.n_units([], **options) == len(CASES)


def test_a_quick_look_is_not_kept():
    done = CliRunner().invoke(app, ["imported", "--quick", "--write"])
    assert done.exit_code == 2
    assert "leave one of both away" in done.output
