"""P-values of claims from those of their comparisons, and the corrections that lead back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from qmoe.claims.deciding.correction import Correction, conjunction, over, step_up, stepwise
from qmoe.claims.deciding.evidence import draws_for
from qmoe.statistics.ranking import holm

P_VALUES = st.lists(st.floats(1e-6, 1) | st.none(), min_size=1, max_size=8)


def test_all_take_the_largest_any_takes_n_times_the_smallest():
    p = [0.01, 0.03, 0.02]
    assert conjunction(p, 3) == 0.03
    assert conjunction(p, 1) == pytest.approx(0.03)
    assert conjunction(p, 2) == pytest.approx(2 * 0.02)
    assert conjunction([0.01, None], 2) == 1.0
    assert conjunction([0.01, None], 1) == 0.01
    assert conjunction([None, None], 1) is None


@settings(deadline=None)
@given(P_VALUES, st.data(), st.floats(1, 5), st.floats(0, 0.1))
def test_the_lines_of_a_group_agree_with_the_group(p_values, data, factor, floor):
    needed = data.draw(st.integers(1, len(p_values)))
    outer = Correction(factor, floor)
    group = conjunction(p_values, needed)
    lines = [c(p) for p, c in zip(p_values, stepwise(p_values, needed, outer), strict=True) if p is not None]
    for alpha in (0.01, 0.05, 0.3):
        passing = sum(p < alpha for p in lines) >= needed
        assert passing == (group is not None and outer(group) < alpha - 0.0)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_over_a_family_it_is_holms_correction(p_values):
    np.testing.assert_allclose([c(p) for p, c in zip(p_values, over(p_values), strict=True)], holm(p_values))


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_whether_any_holds_is_the_test_of_simes(p_values):
    adjusted = [c(p) for p, c in zip(p_values, step_up(p_values), strict=True)]
    np.testing.assert_allclose(adjusted, false_discovery_control(p_values))
    simes = min(len(p_values) * p / rank for rank, p in enumerate(sorted(p_values), 1))
    assert min(adjusted) == pytest.approx(simes)


def test_no_number_of_draws_is_named_where_none_would_do():
    assert draws_for(1.0, 0.5) == 34
    assert draws_for(0.0, 0.5) == 2
    assert draws_for(1.0, 1e-6) is None
