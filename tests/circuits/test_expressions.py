"""Angles read as mathematics: sums and products of features, weights and numbers are polynomials in normal form."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmoe.circuits import Expression, Feature, Gate, Weight, angle_value
from qmoe.circuits.angles.expressions import shifted
from qmoe.errors import ConfigError

x0, x1, w0, w1 = Feature(0), Feature(1), Weight(0), Weight(1)
VALUES = {x0: 0.3, x1: -1.7, w0: 2.2, w1: 0.9}


def combined(parts):
    sign, a, b = parts
    return a + b if sign == "+" else a - b if sign == "-" else a * b


leaves = st.sampled_from([x0, x1, w0, w1]) | st.floats(-3, 3).map(lambda c: c + 0 * x0)
polynomials = st.recursive(
    leaves, lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner).map(combined), max_leaves=6
)


def value(angle):
    return angle_value(angle, lambda i: VALUES[Feature(i)], lambda i: VALUES[Weight(i)], float)


@given(polynomials, polynomials)
def test_values_of_sums_differences_and_products_are_those_of_numbers(a, b):
    close = {"rel": 1e-9, "abs": 1e-9}
    assert value(a + b) == pytest.approx(value(a) + value(b), **close)
    assert value(a - b) == pytest.approx(value(a) - value(b), **close)
    assert value(a * b) == pytest.approx(value(a) * value(b), **close)


@given(st.permutations([2 * w0, x1, x0 * w1, 0.5 + 0 * x0]))
def test_equal_polynomials_are_equal_however_they_are_written(parts):
    total = parts[0] + parts[1] + parts[2] + parts[3]
    expected = 2 * w0 + x1 + w1 * x0 + 0.5
    assert total == expected
    assert hash(total) == hash(expected)
    assert total.terms == ((1.0, (x0, w1)), (1.0, (x1,)), (2.0, (w0,)), (0.5, ()))


def test_what_it_holds_is_known():
    angle = 2 * w0 + x1 * w1 - 0.25
    assert angle.features == {1}
    assert angle.weights == {0, 1}
    assert angle.degree == 2
    assert angle.constant == -0.25


def test_the_feature_map_of_two_features_multiplies_out():
    assert (math.pi - x0) * (math.pi - x1) == x0 * x1 - math.pi * x0 - math.pi * x1 + math.pi**2


def test_powers_and_quotients_are_products():
    assert x0**2 == x0 * x0
    assert (x0**0).simplified() == 1
    assert x0 / 4 == 0.25 * x0
    assert +x0 == 1 * x0
    assert -(x0 - 1) == 1 - x0


def test_numbers_of_numpy_count_as_numbers():
    assert np.float64(2.0) * w0 == 2 * w0
    assert w0 + np.int64(1) == w0 + 1


@pytest.mark.parametrize("other", ["1", None, True, 1j])
def test_nothing_else_is_added_or_multiplied(other):
    for work in (lambda: x0 + other, lambda: other + x0, lambda: x0 * other, lambda: x0 - other, lambda: x0 / other):
        with pytest.raises(TypeError):
            work()


@pytest.mark.parametrize("power", [-1, 0.5, True])
def test_other_powers_are_no_polynomials(power):
    with pytest.raises(TypeError):
        x0**power


def test_powers_of_numbers_are_numbers_however_high():
    assert (x0 - x0 + 1) ** 10**9 == x0**0
    assert (x0 - x0) ** 10**9 == x0 - x0
    assert (x0 - x0) ** 0 == x0**0


@pytest.mark.parametrize(
    "work", [lambda: x0**1_000_000, lambda: (x0 + w0 + x1) ** 65, lambda: (x0 + w0) ** 33 * x1**32]
)
def test_what_grows_beyond_bounds_is_sent_to_a_function(work):
    with pytest.raises(ConfigError, match="compute it by a function"):
        work()


def test_terms_that_are_given_become_those_of_arithmetic():
    made = Expression([[2, [w0, x0]], (1, (x0, w0)), (0.0, (x1,)), (1, ())])
    assert made == 3 * x0 * w0 + 1
    assert hash(made) == hash(3 * x0 * w0 + 1)


@pytest.mark.parametrize("terms", [5, None, ["a"], [(1.0, ("a",))], [("a", (x0,))], [(1.0, x0)], [(1.0,)], [(1j, ())]])
def test_terms_that_are_none_are_refused(terms):
    with pytest.raises(ConfigError, match="of each, such as"):
        Expression(terms)


def test_an_angle_is_as_simple_as_it_can_be():
    gate = Gate("Rot", (0,), (1.0 * x0, w1 + 0.0, x0 - x0))
    assert gate.angles == (x0, w1, 0.0)
    assert gate == Gate("Rot", (0,), (x0, w1, 0))


def test_indices_of_a_gate_come_from_its_expressions_too():
    gate = Gate("Rot", (0,), (x1 * w0, 2 * w1 + w0, x0))
    assert gate.weight_indices == (0, 0, 1)
    assert gate.feature_indices == (1, 0)


def test_weights_of_a_layer_are_numbered_on():
    assert shifted(2 * w1 + x0 * w0, 10) == 2 * Weight(11) + x0 * Weight(10)


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_coefficients_are_finite(number):
    with pytest.raises(ConfigError, match="finite"):
        number * x0


def test_it_prints_as_it_is_written():
    assert str(2 * w0 - x0 * w1 - 1.5) == "-x0*w1+2*w0-1.5"
    assert str(x0 - x0) == "0"


def test_it_pickles():
    angle = 2 * w0 + x0 * w1
    assert pickle.loads(pickle.dumps(angle)) == angle
    assert isinstance(angle, Expression)
