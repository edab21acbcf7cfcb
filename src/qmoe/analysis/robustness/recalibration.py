"""The adapter of a trained router fitted again to what the noisy circuit measures, all else frozen."""

from __future__ import annotations

import functools

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from qmoe.analysis.robustness.noisy_models import Noisy, recalibration_obstacle
from qmoe.errors import UnsupportedError
from qmoe.moe import MixtureOfExperts
from qmoe.routers import QuantumRouter
from qmoe.training.scipy_lbfgs import Limits, minimum

#: The fit ends after so many iterations, or once no component of the gradient is larger.
_LIMITS = Limits(100, 1e-4, 10)
#: Least probability whose logarithm is taken.
_LEAST = 1e-300


def recalibrate(noisy: Noisy, x: Tensor, y: Tensor) -> None:
    """Fits the adapters of models in place, by L-BFGS on the cross-entropy of the mixture, from those they were trained to.

    Circuit, experts and head stay as they are. The loss has few numbers to fit, but is not convex, since experts stay
    mixed; the minimum is the one that is reached from the trained adapter.

    Args:
        noisy: M models as they run on the device; what they measure on ``x`` is measured once.
        x: ``(M, N, F)`` features.
        y: ``(M, N)`` class labels.

    Raises:
        UnsupportedError: for models that have no adapter to fit by itself.
    """
    for module, at in noisy.parts():
        if obstacle := recalibration_obstacle(module):
            raise UnsupportedError(f"The adapter cannot be recalibrated: {obstacle}.")
        assert isinstance(module, MixtureOfExperts)
        assert isinstance(module.router, QuantumRouter)
        adapter = module.router.adapter
        assert adapter is not None
        with torch.no_grad():
            measured = module.router.measure(x[at])
            values = module.experts(x[at])
            if module.head is not None:
                # The weights of a mixture sum to 1, so that a linear head may stand behind each expert.
                values = module.head(values.flatten(-3, -2)).unflatten(-2, values.shape[-3:-1])
            n_models = 1 if isinstance(at, int) else len(y)
            given = (adapter.weight, adapter.bias, measured, values, y[at])
            stacked = [tensor.reshape(n_models, *tensor.shape[isinstance(at, slice) :]) for tensor in given]
            weight, bias = _fitted(*stacked)
            adapter.weight.copy_(weight.reshape(adapter.weight.shape))
            adapter.bias.copy_(bias.reshape(adapter.bias.shape))


def _fitted(weight: Tensor, bias: Tensor, measured: Tensor, values: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The adapters of M models.

    Args:
        weight: ``(M, E, O)`` as they are.
        bias: ``(M, E)`` as they are.
        measured: ``(M, N, O)`` read-outs.
        values: ``(M, N, E, C)`` outputs of the experts.
        y: ``(M, N)`` labels.
    """
    ones = torch.cat([measured, measured.new_ones(*measured.shape[:-1], 1)], -1)
    starts = torch.cat([weight, bias.unsqueeze(-1)], -1).double().cpu().numpy()
    # Rows last: sums over the few experts and classes are then sums of long vectors.
    rows, outputs = (
        np.ascontiguousarray(tensor.double().cpu().numpy()) for tensor in (ones.mT, values.permute(0, 2, 3, 1))
    )
    found = np.zeros(starts.shape)
    # The products are small: threads would only wait for each other.
    with threadpool_limits(1):
        for m, labels in enumerate(y.cpu().numpy()):
            loss = functools.partial(_loss, rows[m], outputs[m], labels)
            found[m] = minimum(loss, starts[m].ravel(), _LIMITS)[0].reshape(starts[m].shape)
    fitted = torch.from_numpy(found).to(weight.device, weight.dtype)
    return fitted[..., :-1], fitted[..., -1]


def _loss(measured: np.ndarray, values: np.ndarray, y: np.ndarray, numbers: np.ndarray, gradient: np.ndarray) -> float:
    """Mean cross-entropy of the mixture with an adapter of these numbers; writes its gradient.

    Args:
        measured: ``(O + 1, N)`` read-outs, and ones.
        values: ``(E, C, N)`` outputs of the experts.
        y: ``(N,)`` labels.
        numbers: ``(E * (O + 1),)``.
        gradient: as many.
    """
    n, rows = len(y), np.arange(len(y))
    weights = _softmax(numbers.reshape(len(values), -1) @ measured)
    logits = (weights[:, None] * values).sum(0)
    error = _softmax(logits)
    loss = -float(np.log(np.maximum(error[y, rows], _LEAST)).mean())
    error[y, rows] -= 1
    by_weight = (error * values).sum(1)
    by_logit = weights * (by_weight - (weights * by_weight).sum(0))
    gradient[:] = (by_logit @ measured.T / n).ravel()
    return loss


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis."""
    raised = np.exp(logits - logits.max(0))
    raised /= raised.sum(0)
    return np.asarray(raised)
