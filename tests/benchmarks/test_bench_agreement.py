from dataclasses import replace

import numpy as np
import pytest
from benchmarks.agreement import DisagreementError, check_agreement
from benchmarks.contenders.own import Torch
from benchmarks.problem import make_problem, oracle
from benchmarks.sizes import Size

SMALL = [
    Size(2, 1, 3),
    Size(2, 2, 3, 4),
    Size(3, 1, 2, noisy=True),
    Size(2, 1, 2, 3, noisy=True),
    Size(2, 1, 3, damped=True),
]


@pytest.mark.parametrize("size", SMALL, ids=str)
def test_the_torch_engine_agrees(size):
    problem = make_problem(size)
    step = Torch().prepare(problem)
    answer, right = step.read(step.run()), oracle(problem)
    check_agreement(answer, right)
    np.testing.assert_allclose(answer.outputs, right.outputs, rtol=0, atol=1e-4)


def test_the_oracle_is_the_same_in_pieces(monkeypatch):
    problem = make_problem(Size(2, 2, 5, 2))
    whole = oracle(problem)
    monkeypatch.setattr("benchmarks.problem._PIECE", 16)
    pieces = oracle(problem)
    np.testing.assert_allclose(pieces.outputs, whole.outputs, atol=1e-14)
    np.testing.assert_allclose(pieces.gradient, whole.gradient, atol=1e-14)
    assert pieces.loss == pytest.approx(whole.loss)


def test_the_loss_is_that_of_the_docstring():
    problem = make_problem(Size(2, 1, 3, 2))
    right = oracle(problem)
    assert right.loss == pytest.approx(((right.outputs - problem.targets) ** 2).mean((1, 2)).sum())


def test_the_first_samples_are_those_of_the_problem():
    problem = make_problem(Size(2, 1, 5, 2))
    first = problem.first(2)
    np.testing.assert_array_equal(oracle(first).outputs, oracle(problem).outputs[:, :2])
    assert first.size == Size(2, 1, 2, 2)


def test_problems_are_the_same_every_time_and_differ_between_sizes():
    one, again, other = make_problem(SMALL[0]), make_problem(SMALL[0]), make_problem(Size(2, 1, 3, noisy=True))
    np.testing.assert_array_equal(one.weights, again.weights)
    assert not np.array_equal(one.weights, other.weights)


@pytest.mark.parametrize("part", ["outputs", "loss", "gradient"])
def test_a_wrong_answer_is_seen(part):
    right = oracle(make_problem(SMALL[0]))
    wrong = replace(right, **{part: getattr(right, part) * 1.001 + 3e-4 * (part != "gradient")})
    with pytest.raises(DisagreementError, match=part):
        check_agreement(wrong, right)


def test_a_small_gradient_is_held_to_its_own_size():
    right = oracle(make_problem(SMALL[0]))
    small = replace(right, gradient=right.gradient * 1e-6)
    with pytest.raises(DisagreementError, match="gradient"):
        check_agreement(replace(small, gradient=np.zeros_like(small.gradient)), small)


def test_nan_disagrees():
    right = oracle(make_problem(SMALL[0]))
    with pytest.raises(DisagreementError, match="loss"):
        check_agreement(replace(right, loss=float("nan")), right)


def test_a_step_starts_from_a_clean_gradient():
    step = Torch().prepare(make_problem(SMALL[0]))
    once, twice = (step.read(step.run()).gradient.copy() for _ in range(2))
    np.testing.assert_array_equal(once, twice)
