"""Processes that a job shares."""

import os
import time

import pytest
import torch

from qmoe.studies import Workers, load_preset, make_trials
from qmoe.studies.assembly import build_model, build_router
from qmoe.studies.measurements import effective_dimensions
from qmoe.studies.run.workers import tick


def where(number):
    tick(0.5)
    return number, os.getpid(), torch.get_num_threads()


def test_without_processes_tasks_run_here_in_their_order():
    ticks = []
    found = list(Workers().run(where, [3, 1, 2], ticks.append))
    assert [(number, process) for number, process, _ in found] == [(n, os.getpid()) for n in (3, 1, 2)]
    assert ticks == [0.5] * 3


@pytest.fixture(scope="module")
def two():
    """Two processes for the tests that leave them as they are: each takes seconds to import torch."""
    with Workers(2) as workers:
        yield workers


def test_tasks_share_processes_of_one_thread(two):
    ticks = []
    found = list(two.run(where, range(6), ticks.append))
    again = list(two.run(where, range(6)))
    processes = list(two._pool._processes.values())
    assert len(processes) == 2
    assert sorted(number for number, *_ in found) == list(range(6))
    assert {p for _, p, _ in (*found, *again)} <= {process.pid for process in processes}
    assert {threads for *_, threads in found} == {1}
    assert set(ticks) <= {0.5}  # the last may come too late to be told


def test_what_is_not_worth_starting_processes_for_uses_those_that_run_and_they_end_with_the_block():
    with Workers(1) as workers:
        assert list(workers.run(where, [])) == []
        assert [process for _, process, _ in workers.run(where, [1], start=False)] == [os.getpid()]
        list(workers.run(where, [1]))
        (process,) = workers._pool._processes.values()
        assert [pid for _, pid, _ in workers.run(where, [1], start=False)] == [process.pid] != [os.getpid()]
    deadline = time.monotonic() + 60
    while process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_alive()


def test_effective_dimensions_are_the_same_from_processes(tiny, two):
    arms = ["quantum", "linear"]
    shared = effective_dimensions(tiny, arms, repeats=3, n_draws=5, workers=two)
    alone = effective_dimensions(tiny, arms, repeats=3, n_draws=5)
    for arm in arms:
        assert shared[arm] == pytest.approx(alone[arm], rel=1e-12)


def test_a_router_alone_has_the_weights_that_it_has_in_its_mixture():
    for trial in {m.arm: m.trial for m in make_trials(load_preset("ladder-hyperplanes"))}.values():
        alone, within = build_router(trial), build_model(trial).router
        assert type(alone) is type(within)
        ours, theirs = alone.state_dict(), within.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
