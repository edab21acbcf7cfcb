"""Stacks are cut into portions of seconds, and their end is shared out."""

import heapq

import pytest

from qmoe.studies import make_trials, parse_study
from qmoe.studies.run.portions import SECONDS, Portions
from qmoe.studies.run.stacks import SECONDS_OF_COST, cost
from tiny_study import tiny_values


def simulated(n_trials, n_workers, per_trial, slower=1.0):
    """Sizes of portions, and when each worker is done, where every trial takes the same time, but on the first worker."""
    study = parse_study(tiny_values(arms=tiny_values()["arms"][:1], seeds={"data": 1, "per_data": n_trials}))
    stack = tuple(member.trial for member in make_trials(study))
    portions = Portions([stack], n_workers)
    running, sizes, now = [], [], 0.0
    ends = [0.0] * n_workers
    free = list(range(n_workers))
    while True:
        while free and (portion := portions.take()) is not None:
            sizes.append(len(portion))
            worker = free.pop()
            seconds = per_trial * len(portion) * (1.0 if worker else slower)
            heapq.heappush(running, (now + seconds, worker, seconds, portion))
        if not running:
            return sizes, ends
        now, worker, seconds, portion = heapq.heappop(running)
        portions.took(portion, seconds)
        ends[worker] = now
        free.append(worker)


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_workers_are_done_at_about_one_time(n_workers):
    sizes, ends = simulated(3000, n_workers, 0.01)
    assert sum(sizes) == 3000
    assert max(ends) <= 1.03 * 3000 * 0.01 / n_workers


def test_a_slower_worker_does_not_keep_the_others_waiting():
    _, ends = simulated(500, 2, 0.01, slower=2.0)
    assert max(ends) - min(ends) < 0.5


def test_no_portion_takes_much_longer_than_it_should():
    sizes, _ = simulated(3000, 2, 0.01)
    assert max(sizes) * 0.01 <= SECONDS
    assert len(sizes) < 60  # handing over takes time as well


def test_one_trial_at_a_time_where_each_takes_longer():
    sizes, _ = simulated(12, 2, 5.0)
    assert sizes == [3, 3, 1, 1, 1, 1, 1, 1]  # of the first nothing is known yet


def test_the_time_left_follows_what_was_measured():
    members = make_trials(parse_study(tiny_values(seeds={"data": 1, "per_data": 20})))
    stack, other = (tuple(m.trial for m in members if m.arm == arm) for arm in ("linear", "quantum"))
    portions = Portions([stack, other], 1)
    predicted = portions.seconds_left()
    first = portions.take()
    assert first is not None
    portions.over(first)
    portions.took(first, 100 * len(first))
    each = (predicted - SECONDS_OF_COST * cost(stack)) / len(other)  # of the other arm
    ratio = 100 / (SECONDS_OF_COST * cost(stack[:1]))
    assert portions.seconds_left() == pytest.approx(100 * (len(stack) - len(first)) + ratio * each * len(other))
