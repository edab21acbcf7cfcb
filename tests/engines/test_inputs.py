import math
import warnings

import pytest
import torch

from qmoe.circuits import AmplitudeEncoding, AngleEncoding, Encoding
from qmoe.engines import check_encodable, check_values
from qmoe.errors import EncodingRangeWarning, ShapeError

ANGLE, AMPLITUDE = AngleEncoding(), AmplitudeEncoding()


def test_check_values_returns_the_range() -> None:
    assert check_values(torch.tensor([[0.5, -1.0], [2.0, 0.0]]), 2) == (-1.0, 2.0)


def test_check_values_of_an_empty_batch_returns_none() -> None:
    assert check_values(torch.zeros(0, 2), 2) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused_with_their_place(bad: float) -> None:
    x = torch.zeros(3, 2)
    x[1, 0] = bad
    with pytest.raises(ShapeError, match=r"holds 1 value\(s\) that are not finite, the first is .* at index \(1, 0\)"):
        check_encodable(x, 2, ANGLE)


def test_wrong_feature_count_names_both_numbers() -> None:
    with pytest.raises(ShapeError, match=r"shape \(4, 3\), expected \(\.\.\., 2\)"):
        check_values(torch.zeros(4, 3), 2)
    with pytest.raises(ShapeError, match="one column per feature"):
        check_values(torch.tensor(1.0), 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16, torch.complex64, torch.bool])
def test_dtypes_that_are_not_float32_or_float64_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ShapeError, match=r"call (x)?\.float\(\) (or x\.double\(\)|on x)"):
        check_values(torch.zeros(1, 2, dtype=dtype), 2)


def test_zero_row_is_refused_in_amplitude_encoding() -> None:
    x = torch.ones(3, 4)
    x[2] = 0
    with pytest.raises(ShapeError, match="Row 2 of x is all zeros"):
        check_encodable(x, 4, AMPLITUDE)
    with pytest.raises(ShapeError, match=r"Row \(1, 0\) of x is all zeros"):
        check_encodable(torch.stack([torch.ones(1, 2), torch.zeros(1, 2)]), 2, AMPLITUDE)


def warned_of(x: torch.Tensor, n_features: int, encoding: Encoding) -> list[str]:
    """The warnings of inputs that are not refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_encodable(x, n_features, encoding)
    return [str(warning.message) for warning in caught]


def test_zero_row_is_fine_in_angle_encoding() -> None:
    assert warned_of(torch.zeros(3, 2), 2, ANGLE) == []


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, math.pi), (-math.pi, math.pi), (0.0, 2 * math.pi), (-2 * math.pi, 0.0), (1.0, 1.0)]
)
def test_angles_within_one_period_do_not_warn(low: float, high: float) -> None:
    assert warned_of(torch.tensor([[low, high]]), 2, ANGLE) == []


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.3), (-6.3, 0.0), (-3.2, 3.2), (100.0, 100.0)])
def test_angles_beyond_one_period_warn_with_the_range(low: float, high: float) -> None:
    with pytest.warns(EncodingRangeWarning, match=rf"Angles run from {low:.4g} to {high:.4g} radians"):
        check_encodable(torch.tensor([[low, high]]), 2, ANGLE)


def test_large_amplitudes_do_not_warn() -> None:
    assert warned_of(torch.full((2, 4), 1e3), 4, AMPLITUDE) == []


def test_warning_points_at_the_caller() -> None:
    def caller() -> None:
        check_encodable(torch.tensor([[0.0, 100.0]]), 2, ANGLE)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        caller()
    assert caught[0].filename == __file__


def test_values_are_not_looked_at_inside_vmap() -> None:
    def run(row: torch.Tensor) -> torch.Tensor:
        check_encodable(row, 2, ANGLE)
        return row.sum()

    x = torch.tensor([[0.0, 1.0], [math.nan, 100.0]])
    assert torch.isnan(torch.func.vmap(run)(x)[1])


def test_shape_is_checked_inside_vmap() -> None:
    with pytest.raises(ShapeError, match="one column per feature"):
        torch.func.vmap(lambda row: check_values(row, 3) or row)(torch.zeros(4, 2))


def test_checks_do_not_touch_the_graph() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    check_encodable(x * 1, 2, AMPLITUDE)
    check_values(x, 2)
    assert x.grad is None
