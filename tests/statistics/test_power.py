"""Power: published values, the noncentral t distribution of scipy, and the tests themselves on simulated draws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError
from qmoe.statistics import draws_needed, equivalence_draws, equivalence_power, smallest_effect, t_test_power


@pytest.mark.parametrize(
    ("n", "effect", "expected"),
    # R, pwr.t.test(type = "one.sample"), as in the tests of statsmodels; the last two are those of G*Power 3.1.
    [(30, 1.0, 0.9995636009612725), (20, 0.2, 0.1359562887679666), (34, 0.5, 0.8077775), (15, 0.8, 0.8213105)],
)
def test_published_powers(n, effect, expected):
    assert t_test_power(1.0, n, effect) == pytest.approx(expected, abs=5e-8)
    assert t_test_power(2.5, n, -2.5 * effect) == pytest.approx(expected, abs=5e-8)


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_published_numbers_of_pairs_for_cohens_small_medium_and_large_effects(effect, n):
    assert draws_needed(1.0, effect) == n
    assert t_test_power(1.0, n - 1, effect) < 0.8 <= t_test_power(1.0, n, effect)


@pytest.mark.parametrize("n", [3, 5, 30, 500])
@pytest.mark.parametrize("effect", [0.0, 0.1, 0.7, 3.0])
@pytest.mark.parametrize("n_comparisons", [1, 18])
def test_it_is_the_noncentral_t_distribution(n, effect, n_comparisons):
    critical, shift = stats.t.isf(0.025 / n_comparisons, n - 1), effect * math.sqrt(n)
    # Far in the other tail scipy gives NaN in place of nothing.
    expected = stats.nct.sf(critical, n - 1, shift) + np.nan_to_num(stats.nct.cdf(-critical, n - 1, shift))
    assert t_test_power(1.0, n, effect, n_comparisons=n_comparisons) == pytest.approx(expected, abs=1e-11)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sd=st.floats(1e-4, 10),
    n=st.integers(2, 2000),
    power=st.floats(0.1, 0.99),
    alpha=st.floats(0.001, 0.09),
    n_comparisons=st.integers(1, 100),
)
def test_the_smallest_effect_is_found_with_its_power_on_as_many_draws(sd, n, power, alpha, n_comparisons):
    effect = smallest_effect(sd, n, power, alpha, n_comparisons=n_comparisons)
    assert t_test_power(sd, n, effect, alpha, n_comparisons=n_comparisons) == pytest.approx(power, abs=1e-8)
    assert draws_needed(sd, 1.001 * effect, power, alpha, n_comparisons=n_comparisons) <= n
    if n > 2:
        assert draws_needed(sd, 0.999 * effect, power, alpha, n_comparisons=n_comparisons) >= n


def test_a_level_is_the_power_where_there_is_no_effect_and_shared_by_comparisons():
    assert t_test_power(0.1, 12, 0.0, alpha=0.04) == pytest.approx(0.04, rel=1e-9)
    assert t_test_power(0.1, 12, 0.0, alpha=0.04, n_comparisons=8) == pytest.approx(0.005, rel=1e-9)
    assert smallest_effect(0.1, 12, alpha=0.04, n_comparisons=8) == smallest_effect(0.1, 12, alpha=0.005)


def test_power_is_how_often_the_test_finds_the_effect():
    draws = np.random.default_rng(3).normal(0.03, 0.06, (20_000, 25))
    found = (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean()
    assert t_test_power(0.06, 25, 0.03) == pytest.approx(found, abs=4 * 0.5 / math.sqrt(20_000))


@pytest.mark.parametrize(
    ("sd", "n", "margin", "effect"),
    [(0.05, 30, 0.02, 0.0), (0.05, 60, 0.02, 0.005), (0.02, 8, 0.02, -0.004), (0.01, 3, 0.02, 0.0)],
)
def test_equivalence_is_found_as_often_as_two_one_sided_tests_find_it(sd, n, margin, effect):
    draws = np.random.default_rng(4).normal(effect, sd, (20_000, n))
    reach = stats.t.ppf(0.95, n - 1) * draws.std(axis=1, ddof=1) / math.sqrt(n)
    inside = (draws.mean(axis=1) - reach > -margin) & (draws.mean(axis=1) + reach < margin)
    assert equivalence_power(sd, n, margin, effect) == pytest.approx(inside.mean(), abs=4 * 0.5 / math.sqrt(20_000))


def test_equivalence_with_many_draws_is_that_of_normal_tests():
    n, root = 20_000, math.sqrt(20_000)
    z = stats.norm.isf(0.05)
    expected = stats.norm.cdf(0.02 * root - z) - stats.norm.cdf(z - 0.02 * root)
    assert equivalence_power(1.0, n, 0.02) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(sd=st.floats(1e-3, 1), ratio=st.floats(0.1, 2), effect=st.floats(-0.8, 0.8), power=st.floats(0.2, 0.95))
def test_equivalence_draws_are_the_fewest(sd, ratio, effect, power):
    margin = ratio * sd
    n = equivalence_draws(sd, margin, effect * margin, power)
    assert equivalence_power(sd, n, margin, effect * margin) >= power
    assert n == 2 or equivalence_power(sd, n - 1, margin, effect * margin) < power
    assert equivalence_draws(sd, margin, -effect * margin, power) == n


def test_at_the_margin_the_level_is_the_power():
    assert equivalence_power(0.01, 200, 0.05, 0.05) == pytest.approx(0.05, abs=1e-9)
    assert equivalence_power(0.01, 200, 0.05, 0.05, n_comparisons=5) == pytest.approx(0.01, abs=1e-9)


def test_differences_without_spread_are_found_with_certainty():
    assert (t_test_power(0.0, 5, 0.01), t_test_power(0.0, 5, 0.0)) == (1.0, 0.05)
    assert smallest_effect(0.0, 5) == 0.0
    assert draws_needed(0.0, 0.01) == 2
    assert (equivalence_power(0.0, 5, 0.02, 0.01), equivalence_power(0.0, 5, 0.02, 0.02)) == (1.0, 0.0)
    assert equivalence_draws(0.0, 0.02) == 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: smallest_effect(-1.0, 5), "sd is -1.0, expected a standard deviation"),
        (lambda: smallest_effect(math.nan, 5), "sd is nan"),
        (lambda: smallest_effect(1.0, 1), "n is 1, expected at least 2 draws"),
        (lambda: smallest_effect(1.0, 5, power=1.0), "power is 1.0, expected a number between alpha and 1"),
        (lambda: smallest_effect(1.0, 5, power=0.01), "power is 0.01"),
        (lambda: smallest_effect(1.0, 5, alpha=5), "alpha is 5, expected a number between 0 and 0.5"),
        (lambda: smallest_effect(1.0, 5, n_comparisons=0), "n_comparisons is 0, expected at least 1"),
        (lambda: draws_needed(1.0, 0.0), "effect is 0.0, expected a number other than 0"),
        (
            lambda: draws_needed(1.0, 1e-9),
            "More than 1,000,000 draws are needed for an effect of 1e-09 with sd = 1.0; ask",
        ),
        (lambda: t_test_power(1.0, 5, math.inf), "effect is inf, expected a finite number"),
        (lambda: equivalence_draws(1.0, 0.0), "margin is 0.0, expected a positive number"),
        (lambda: equivalence_draws(1.0, 0.02, 0.02), "effect is 0.02, expected less than the margin 0.02"),
        (lambda: equivalence_power(1.0, 5, 0.02, math.nan), "effect is nan, expected a finite number"),
    ],
)
def test_bad_values_are_refused(call, words):
    with pytest.raises(ConfigError, match=words):
        call()
