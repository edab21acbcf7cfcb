"""Whether data fit the models that shall train on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.moe import MixtureOfExperts
from qmoe.training.loss import CROSS_ENTROPY, Loss
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import Part


def checked_parts(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    x_test: Tensor | None,
    y_test: Tensor | None,
    loss: Loss = CROSS_ENTROPY,
) -> tuple[ModelStack, Part, Part | None]:
    """The models as a stack, the training part, and the test part where there are rows in it.

    Raises:
        ShapeError: when the data do not fit the models, or hold values that are not finite.
        ConfigError: under `torch.inference_mode`, or when nothing is trainable.
        UnsupportedError: for a mixture of experts whose routing has more to train than the loss of the labels.
    """
    if torch.is_inference_mode_enabled():
        raise ConfigError("Training needs gradients, which torch.inference_mode() rules out; call this outside of it.")
    # Compiled code reads memory, where the view of a negative holds the opposite.
    x, x_test = x.resolve_neg(), None if x_test is None else x_test.resolve_neg()
    stack = ModelStack(models)
    _check_routing(stack.models[0])
    if (x_test is None) != (y_test is None):
        raise ShapeError("Got one of x_test and y_test; pass both, or neither.")
    _check_data(stack, "x", x, "y", y, loss)
    test: Part | None = None
    if x_test is not None and y_test is not None and x_test.shape[1] > 0:
        _check_data(stack, "x_test", x_test, "y_test", y_test, loss)
        test = Part(x_test.detach(), y_test)
    if not any(value.requires_grad for value in stack.parameters.values()):
        raise ConfigError("Every parameter of the models is frozen, so there is nothing to train; unfreeze some.")
    return stack, Part(x.detach(), y), test


def check_weights(train: Part, sample_weight: Tensor | None) -> Part:
    """The training part with factors of its rows' losses, as far as there are any.

    Raises:
        ShapeError: for factors of another shape or dtype, below 0 or not finite, or all 0 for a model.
    """
    if sample_weight is None:
        return train
    if sample_weight.shape != train.y.shape[:2] or sample_weight.dtype != train.x.dtype:
        raise ShapeError(
            f"sample_weight is {sample_weight.dtype} of shape {tuple(sample_weight.shape)}, expected {train.x.dtype} of "
            f"{tuple(train.y.shape[:2])}: a number for each row."
        )
    values = sample_weight.detach()
    if not bool((values.isfinite() & (values >= 0)).all()) or not bool((values > 0).any(1).all()):
        raise ShapeError("sample_weight must hold finite numbers of at least 0, and one above 0 for each model.")
    return Part(train.x, train.y, values)


def _check_routing(model: nn.Module) -> None:
    """Refuses options of routing that only a loop of the user's own can serve."""
    for module in model.modules():
        if isinstance(module, MixtureOfExperts) and module.gating is not None and not module.gating.only_routes:
            raise UnsupportedError(
                f"This mixture routes with {module.gating}, and training here adds no auxiliary loss, updates no bias, and "
                "knows neither noise nor capacity; train it in a loop of your own, as in docs/mixtures.md."
            )


@torch.no_grad()
def _check_data(stack: ModelStack, x_name: str, x: Tensor, y_name: str, y: Tensor, loss: Loss) -> None:
    n_models = len(stack)
    if x.dim() != 3 or x.shape[0] != n_models or x.shape[1] < 1:
        raise ShapeError(f"{x_name} has shape {tuple(x.shape)}, expected ({n_models}, N, F) with N of at least 1.")
    for name, parameter in stack.parameters.items():
        if parameter.dtype != x.dtype:
            raise ShapeError(
                f"{x_name} is {x.dtype}, the parameter {name} is {parameter.dtype}; cast one of them (nothing is "
                "converted silently)."
            )
    # Inside a stack the models cannot look at values. NumPy looks on one thread, whatever torch is set to.
    finite = np.isfinite(x.detach().cpu().numpy())
    if not finite.all():
        bad = np.argwhere(~finite)
        at = tuple(bad[0].tolist())
        raise ShapeError(
            f"{x_name} holds {len(bad)} value(s) that are not finite, the first is {float(x[at])} at index {at}; "
            "drop or impute such rows first."
        )
    first = stack.models[0]
    if isinstance(first, MixtureOfExperts):
        # Rows that cannot be encoded, in any of the models' data: inside the stack nobody looks at values.
        first.router.validate_input(x)
        first.experts.validate_input(x)
    loss.check(x_name, x, y_name, y, first(x[0, :1]).shape[-1])
