import math

import pytest
from benchmarks.timing import WIDE, Plan, measure, summarise

from benchmarks import timing


class Clock:
    """A clock that steps move forward, so that no test depends on the machine."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def step(self, seconds, log=None, name=""):
        def run():
            self.now += seconds
            if log is not None:
                log.append(name)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock.perf_counter)
    return clock


def test_median_minimum_and_spread():
    result = summarise([1.0, 2.0, 3.0, 4.0, 5.0], loops=10, first=9.0)
    assert (result.median, result.minimum, result.rounds, result.loops, result.first) == (3.0, 1.0, 5, 10, 9.0)
    assert result.spread == pytest.approx(2 / 3)


@pytest.mark.parametrize(("scale", "wide"), [(0.9, False), (1.1, True)])
def test_a_wide_spread_is_marked(scale, wide):
    half = scale * WIDE  # quartiles lie half of the range from the median
    assert summarise([1 - half, 1.0, 1 + half], 1, 0.0).wide is wide


def test_one_round_has_no_spread():
    assert summarise([2.0], 1, 0.0).spread == 0


def test_rounds_are_as_long_as_planned(clock):
    result = measure(
        {"quick": clock.step(1e-5), "slow": clock.step(1e-2)}, {"quick": 0.5, "slow": 0.7}, Plan(target=0.03)
    )
    assert result["quick"].loops * 1e-5 == pytest.approx(0.03, rel=0.1)
    assert result["slow"].loops == 3
    assert result["quick"].median == pytest.approx(1e-5)
    assert (result["quick"].first, result["slow"].first) == (0.5, 0.7)
    assert result["quick"].rounds == Plan().rounds


def test_contenders_take_turns(clock):
    log = []
    measure({n: clock.step(1.0, log, n) for n in "ab"}, {"a": 0, "b": 0}, Plan(rounds=7, cap=100))
    assert "".join(log[-14:]) == "ab" * 7


def test_slow_steps_get_few_rounds_and_a_cap_holds(clock):
    plan = Plan(rounds=11, few=3, slow=2.0, cap=8.0)
    steps = {"quick": clock.step(0.1), "middling": clock.step(1.6), "slow": clock.step(5.0)}
    result = measure(steps, dict.fromkeys(steps, 0.0), plan)
    assert {name: result[name].rounds for name in steps} == {"quick": 11, "middling": 5, "slow": 3}


def test_a_step_that_takes_next_to_no_time_is_timed_all_the_same(clock):
    result = measure({"none": clock.step(1e-6)}, {"none": 0.0}, Plan())
    assert math.isclose(result["none"].median, 1e-6, rel_tol=1e-3)
