"""Input values: checks, for the modules that meet users' data, and the norm that amplitude encoding asks for."""

from __future__ import annotations

import torch
from torch import Tensor

from qmoe.circuits import AmplitudeEncoding, Encoding
from qmoe.engines.protocol import check_features
from qmoe.engines.tracing import traced
from qmoe.errors import EncodingRangeWarning, ShapeError, warn_caller
from qmoe.layers import Stackable, check_same, own_tensor
from qmoe.torch_internals import is_transformed, is_wrapped


def check_values(x: Tensor, in_features: int, module: Stackable | None = None) -> tuple[float, float] | None:
    """Raises `ShapeError` for a wrong feature count, dtype, or a value that is not finite.

    Inside `torch.func` transforms, `torch.compile` and other tracers, and on the meta device, where there are no values to
    look at, only the shape is checked.

    Args:
        x: the input.
        in_features: how many features it must have.
        module: what it is the input of, whose dtype and device it must have; None for any.

    Returns:
        The smallest and largest value of ``x``; None where there are none to look at.

    Example:
        >>> from qmoe.engines import check_values
        >>> check_values(torch.tensor([[0.0, 2.0]]), 2)
        (0.0, 2.0)
    """
    check_features(x, in_features)
    own = None if module is None else own_tensor(module)
    if own is not None:
        check_same(x.dtype, x.device, own.dtype, own.device)
    if traced() or x.is_meta or is_wrapped(x) or x.numel() == 0:
        return None
    if x.layout is not torch.strided:
        raise ShapeError(f"x has the layout {x.layout}, expected a dense tensor; call x.to_dense().")
    low, high = _bounds(x.detach())
    # NaN propagates through both, so two numbers tell of the whole tensor.
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        bad = (~torch.isfinite(x)).nonzero()
        at = tuple(int(i) for i in bad[0])
        raise ShapeError(
            f"x holds {len(bad)} value(s) that are not finite, the first is {float(x[at])} at index {at}; "
            "drop or impute such rows first."
        )
    return low, high


def _bounds(x: Tensor) -> tuple[float, float]:
    """The smallest and largest value."""
    has_memory = type(x) is Tensor and not is_transformed()
    if has_memory and x.device.type == "cpu":
        # On one thread, whatever torch is set to: threads that wait for each other cost more than they save.
        array = x.resolve_neg().numpy()
        return float(array.min()), float(array.max())
    low, high = torch.stack(x.aminmax()).tolist()  # at once: a GPU is waited for only one time
    return low, high


def check_encodable(
    x: Tensor, in_features: int, encoding: Encoding | None, module: Stackable | None = None, prepares: bool = False
) -> None:
    """Checks that ``x`` ``(..., in_features)`` can be encoded as it is.

    Args:
        x: the input.
        in_features: how many features it must have.
        encoding: what encodes it; None for a circuit made of operations, of whose angles nothing is known.
        module: what it is the input of, whose dtype and device it must have, and which warns once; None for any.
        prepares: whether features are amplitudes without an `AmplitudeEncoding`: `qmoe.circuits.Circuit.prepares`.

    Raises:
        ShapeError: as `check_values` does, and for an all-zero row where features are amplitudes.

    Warns:
        EncodingRangeWarning: when angles reach beyond two pi, or span more than one period within the batch: inputs that
            differ by a period give the same state.

    Example:
        >>> from qmoe.engines import check_encodable
        >>> check_encodable(torch.rand(3, 2), 2, qmoe.AngleEncoding())
    """
    bounds = check_values(x, in_features, module)
    if bounds is None:
        return
    if prepares or isinstance(encoding, AmplitudeEncoding):
        zero = (x.detach() == 0).all(-1)
        if bool(zero.any()):
            at = tuple(int(i) for i in zero.nonzero()[0])
            raise ShapeError(
                f"Row {at if len(at) != 1 else at[0]} of x is all zeros, which amplitude encoding cannot normalise; "
                "drop such rows or use angle encoding."
            )
    if encoding is None:
        return
    period = encoding.period
    low, high = bounds
    if period is None or (module is not None and module.warned_of_range):
        return
    if max(-low, high) > period * (1 + 1e-6) or high - low > period * (1 + 1e-6):
        warn_caller(
            f"Angles run from {low:.4g} to {high:.4g} radians, but the encoding repeats every {period:.4g}: different "
            "inputs give the same state. Scale the features, to [0, pi] for example.",
            EncodingRangeWarning,
        )
        if module is not None:
            # The numbers in the text make it another one at every step, so Python's own filter would let it pass.
            module.warned_of_range = True


def normalised(x: Tensor) -> Tensor:
    """Rows of ``(..., F)`` divided by their norm.

    The largest entry divides first, so that the squares of very small and very large rows stay in range. It counts as a
    constant: the result is the same for every factor, and so are all its derivatives.
    """
    rows = x / x.detach().abs().amax(-1, keepdim=True)
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
