"""Random effects: published examples, closed forms, and coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qmoe.errors import ConfigError, ShapeError
from qmoe.statistics import random_effects

#: Kacker (2004), Metrologia 41, 132, table 1: nine laboratories.
KACKER = np.array([61.00, 61.40, 62.21, 62.30, 62.34, 62.60, 62.70, 62.84, 65.90])
KACKER_VARIANCES = np.array([0.2025, 1.2100, 0.0900, 0.2025, 0.3844, 0.5625, 0.0676, 0.0225, 1.8225])
#: Colditz et al. (1994): tuberculosis with and without the BCG vaccine; cases and others, vaccinated and not.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232), (17, 1699, 65, 1600),
        (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype=np.float64,
)  # fmt: skip


def log_risk_ratios():
    a, b, c, d = BCG.T
    return np.log(a / (a + b)) - np.log(c / (c + d)), np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def log_odds_ratios():
    return np.log(BCG[:, 0] * BCG[:, 3] / BCG[:, 1] / BCG[:, 2]), np.sqrt((1 / BCG).sum(axis=1))


def test_kackers_laboratories():
    # R metafor, rma(method = "PM"), to the digits that statsmodels keeps of it; tau is in the paper as well.
    found = random_effects(KACKER, np.sqrt(KACKER_VARIANCES))
    assert found.tau == pytest.approx(0.8399, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.705395309224248, rel=1e-10)
    assert found.mean == pytest.approx(62.4076199113286, rel=1e-13)
    assert found.standard_error == pytest.approx(0.338030602684471, rel=1e-10)
    assert found.q == pytest.approx(24.801897741835, rel=1e-10)
    assert found.q_p_value == pytest.approx(0.00167935146372742, rel=1e-9)
    assert found.i_squared == pytest.approx(0.837218626490482, rel=1e-10)
    assert found.n_effects == 9


def test_the_bcg_trials():
    # R metafor: Paule-Mandel's tau^2, and the Q-profile intervals of tau^2 and I^2, which no estimate of tau^2 enters.
    found = random_effects(*log_risk_ratios())
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.3181, abs=5e-5)
    assert (found.tau_low**2, found.tau_high**2) == pytest.approx((0.1197, 1.1115), abs=5e-5)
    assert (found.i_squared_low, found.i_squared_high) == pytest.approx((0.8192, 0.9768), abs=5e-5)
    odds = random_effects(*log_odds_ratios())
    assert (odds.tau_low**2, odds.tau_high**2) == pytest.approx((0.1302, 1.1812), abs=1e-4)


def test_its_intervals_are_t_intervals():
    y, errors = log_risk_ratios()
    found = random_effects(y, errors, level=0.9)
    weights = 1 / (errors**2 + found.tau**2)
    assert found.weights == pytest.approx(weights / weights.sum(), rel=1e-12)
    assert found.mean == pytest.approx(np.average(y, weights=weights), rel=1e-12)
    error = math.sqrt((weights * (y - found.mean) ** 2).sum() / 12 / weights.sum())  # Hartung and Knapp (2001)
    assert found.standard_error == pytest.approx(error, rel=1e-10)
    reach = stats.t.ppf(0.95, 12) * error
    assert (found.low, found.high) == pytest.approx((found.mean - reach, found.mean + reach))
    beyond = stats.t.ppf(0.95, 11) * math.sqrt(found.tau**2 + error**2)  # Higgins et al. (2009), equation 12
    assert (found.prediction_low, found.prediction_high) == pytest.approx((found.mean - beyond, found.mean + beyond))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.mean) / error, 12))


def test_equal_standard_errors_give_the_t_test_of_the_effects():
    y = np.array([0.3, -0.2, 0.9, 0.4, 0.1])
    found = random_effects(y, np.full(5, 0.1))
    assert found.tau**2 == pytest.approx(y.var(ddof=1) - 0.01, rel=1e-11)
    assert found.q == pytest.approx(4 * y.var(ddof=1) / 0.01, rel=1e-12)
    assert found.i_squared == pytest.approx(1 - 0.01 / y.var(ddof=1), rel=1e-11)
    test = stats.ttest_1samp(y, 0)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-10)
    assert found.p_value == pytest.approx(test.pvalue, rel=1e-9)


def test_equal_effects_have_no_spread_and_no_interval_narrower_than_the_errors_allow():
    errors = np.array([0.1, 0.2, 0.4])
    found = random_effects([0.5, 0.5, 0.5], errors)
    assert (found.tau, found.tau_low, found.tau_high, found.q, found.i_squared) == (0, 0, 0, 0, 0)
    assert (found.mean, found.q_p_value) == (pytest.approx(0.5), 1)
    assert found.standard_error == pytest.approx((1 / errors**2).sum() ** -0.5)
    assert found.prediction_low < found.low < 0.5 < found.high < found.prediction_high


def test_two_effects_tell_nothing_of_a_third():
    found = random_effects([0.0, 1.0], [0.1, 0.1])
    assert (found.prediction_low, found.prediction_high) == (-math.inf, math.inf)
    assert math.isfinite(found.low)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 15), unit=st.sampled_from([1e-6, 1.0, 1e5]), shift=st.floats(-3, 3))
def test_a_unit_or_a_shift_changes_nothing_else(seed, k, unit, shift):
    generator = np.random.default_rng(seed)
    errors = generator.uniform(0.1, 1, k)
    y = generator.normal(0, errors + 0.3)
    one, other = random_effects(y, errors), random_effects(unit * (y + shift), unit * errors)
    assert other.tau == pytest.approx(unit * one.tau, abs=unit * 1e-6)
    assert other.tau_high == pytest.approx(unit * one.tau_high, abs=unit * 1e-6)
    assert other.mean == pytest.approx(unit * (one.mean + shift), abs=unit * 1e-8)
    assert other.high - other.low == pytest.approx(unit * (one.high - one.low), rel=1e-6)
    assert other.q == pytest.approx(one.q, rel=1e-6, abs=1e-10)
    assert 0 <= one.tau_low <= one.tau_high
    assert 0 <= one.i_squared_low <= one.i_squared <= one.i_squared_high < 1
    assert one.prediction_low <= one.low <= one.mean <= one.high <= one.prediction_high


def test_intervals_cover_and_the_prediction_interval_a_little_less():
    generator = np.random.default_rng(5)
    n, k, mean, tau = 1000, 10, 0.02, 0.03
    hits = np.zeros(3)
    for _ in range(n):
        errors = generator.uniform(0.005, 0.03, k)
        true = generator.normal(mean, tau, k + 1)
        found = random_effects(generator.normal(true[:k], errors), errors)
        hits += (
            found.low < mean < found.high,
            found.prediction_low < true[k] < found.prediction_high,
            found.tau_low < tau < found.tau_high,
        )
    assert hits / n == pytest.approx([0.95, 0.92, 0.95], abs=0.025)


@pytest.mark.parametrize(
    ("effects", "errors", "level", "error", "words"),
    [
        ([1.0], [1.0], 0.95, ShapeError, "at least 2 data sets"),
        ([1.0, 2.0], [1.0], 0.95, ShapeError, r"shape \(2,\) and standard errors of shape \(1,\)"),
        ([1.0, math.nan], [1.0, 1.0], 0.95, ShapeError, "Effect 1 is not finite; leave"),
        (
            [1.0, 2.0],
            [1.0, 0.0],
            0.95,
            ConfigError,
            "standard error of effect 1 is 0.0, expected a positive number; where",
        ),
        ([1.0, 2.0], [-1.0, 1.0], 0.95, ConfigError, "standard error of effect 0 is -1.0"),
        ([1.0, 2.0], [1.0, math.inf], 0.95, ConfigError, "standard error of effect 1 is inf"),
        ([1.0, 2.0], [1.0, 1.0], 95, ConfigError, "level is 95, expected a number between 0 and 1"),
    ],
)
def test_bad_values_are_refused(effects, errors, level, error, words):
    with pytest.raises(error, match=words):
        random_effects(effects, errors, level)
