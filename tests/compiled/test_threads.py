"""Sharing work among threads."""

import threading
import time

import pytest

from qmoe.compiled.threads import run_in_parts, run_in_turns


@pytest.mark.parametrize(("n_items", "n_threads", "group"), [(1, 1, 1), (10, 3, 1), (10, 3, 4), (3, 8, 1), (100, 2, 7)])
def test_every_item_is_taken_once(n_items: int, n_threads: int, group: int) -> None:
    taken: list[int] = []
    run_in_turns(lambda thread, item: taken.extend(range(item, min(item + group, n_items))), n_items, n_threads, group)
    assert sorted(taken) == list(range(n_items))


def test_a_thread_that_is_held_up_leaves_its_share_to_the_others() -> None:
    took: dict[int, int] = {0: 0, 1: 0}
    all_but_one = threading.Event()

    def call(thread: int, item: int) -> None:
        if thread == 1:
            assert all_but_one.wait(30)
        took[thread] += 1
        if sum(took.values()) == 19:
            all_but_one.set()
        time.sleep(0.001)

    run_in_turns(call, 20, 2)
    assert took in ({0: 19, 1: 1}, {0: 20, 1: 0})


def test_the_error_of_a_thread_is_raised_after_all_have_ended() -> None:
    ended = []

    def call(thread: int, item: int) -> None:
        if item == 3:
            raise ValueError("item 3")
        time.sleep(0.01)
        ended.append(item)

    before = set(threading.enumerate())  # those of other libraries live on
    with pytest.raises(ValueError, match="item 3"):
        run_in_turns(call, 6, 2)
    assert set(threading.enumerate()) <= before
    assert len(ended) == len(set(ended))


def test_stages_follow_each_other_whoever_takes_their_parts() -> None:
    order: list[tuple[int, int]] = []

    def stage(number: int) -> None:
        run = lambda part: (time.sleep(0.002 * (part == 0)), order.append((number, part)))  # noqa: E731
        stages.append(run)

    stages: list = []
    for number in range(3):
        stage(number)
    run_in_parts(stages, 5, 3)
    assert [number for number, _ in order] == [0] * 5 + [1] * 5 + [2] * 5
    assert all(sorted(part for number, part in order if number == n) == list(range(5)) for n in range(3))
