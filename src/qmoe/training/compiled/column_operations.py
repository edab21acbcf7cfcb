"""Inside the kernel: the layers of a mixture. A row is a quantity and a column a sample.

So inner loops run over the samples of a batch and become vector instructions.
"""

from __future__ import annotations

import math

import numba
import numpy as np

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import OPTIONS, fused, inner
from qmoe.compiled.exponentials import own_exponential, sigmoid, tangent

#: Totals that are at least 1 each and at most the number of classes; so many of them multiplied stay in range.
_PRODUCT = 32


@numba.njit(**OPTIONS, fastmath={"reassoc", "contract"})
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of products, in the order that suits the vector unit."""
    total = a.dtype.type(0)  # and from there on whole vectors, as a batch has
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@numba.njit(**OPTIONS, fastmath={"reassoc", "contract"})
def _four_dots(out: np.ndarray, a: np.ndarray, x: np.ndarray, k: int) -> None:
    """Sums of products of ``a`` and four rows of ``x`` from row ``k`` on; ``a`` is fetched once for all."""
    x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
    t0 = t1 = t2 = t3 = a.dtype.type(0)
    for i in range(len(a)):
        t0 += a[i] * x0[i]
        t1 += a[i] * x1[i]
        t2 += a[i] * x2[i]
        t3 += a[i] * x3[i]
    out[k], out[k + 1], out[k + 2], out[k + 3] = t0, t1, t2, t3


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _sum(a: np.ndarray) -> float:
    total = a.dtype.type(0)
    for i in range(len(a)):
        total += a[i]
    return total


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _sum_of_zeros(a: np.ndarray) -> float:
    """0, or NaN where a number is not finite."""
    total = a[0] * 0
    for i in range(1, len(a)):
        total += a[i] * 0
    return total


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _sum_of_differences(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of ``a - b``, in doubles."""
    total = 0.0
    for i in range(len(a)):
        total += np.float64(a[i]) - np.float64(b[i])
    return total


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _sum_of_squares(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of ``(a - b)**2``, in doubles."""
    total = 0.0
    for i in range(len(a)):
        difference = np.float64(a[i]) - np.float64(b[i])
        total += difference * difference
    return total


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _product(a: np.ndarray) -> float:
    """In doubles."""
    product = 1.0
    for i in range(len(a)):
        product *= np.float64(a[i])
    return product


@numba.njit(**OPTIONS, fastmath={"reassoc"})
def _count_equal(a: np.ndarray, b: np.ndarray) -> float:
    """At how many places both are the same; a number of their type, exact below 2**24."""
    total = a[0] * 0
    for i in range(len(a)):
        total += 1 if a[i] == b[i] else 0
    return total


@fused
def add_rows(out, weight, x, first):
    """Adds ``weight[k] x[k]`` to ``out`` for all k from ``first`` on, in their order.

    Four at a time, so that what is added to stays in registers.
    """
    n_rows, n_samples = x.shape
    k = first
    while k + 4 <= n_rows:
        w0, w1, w2, w3 = weight[k], weight[k + 1], weight[k + 2], weight[k + 3]
        x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
        for b in range(n_samples):
            out[b] = out[b] + w0 * x0[b] + w1 * x1[b] + w2 * x2[b] + w3 * x3[b]
        k += 4
    if k + 2 <= n_rows:
        w0, w1, x0, x1 = weight[k], weight[k + 1], x[k], x[k + 1]
        for b in range(n_samples):
            out[b] = out[b] + w0 * x0[b] + w1 * x1[b]
        k += 2
    if k < n_rows:
        for b in range(n_samples):
            out[b] += weight[k] * x[k, b]


@inner
def affine(out, weight, bias, x):
    """``out = weight x + bias``: ``(O, B)``, ``(O, F)``, ``(O,)``, ``(F, B)``."""
    n_samples = out.shape[1]
    for o in range(out.shape[0]):
        for b in range(n_samples):
            out[o, b] = bias[o]
        add_rows(out[o], weight[o], x, 0)


@inner
def weight_gradients(weight_gradient, given, x):
    """Sums over samples of products: ``(O, F)`` of ``given`` ``(O, B)`` and ``x`` ``(F, B)``."""
    for o in range(given.shape[0]):
        f = 0
        while f + 4 <= x.shape[0]:
            _four_dots(weight_gradient[o], given[o], x, f)
            f += 4
        while f < x.shape[0]:
            weight_gradient[o, f] = _dot(given[o], x[f])
            f += 1


@inner
def parameter_gradients(weight_gradient, bias_gradient, given, x):
    """Gradients of `affine` for its parameters, from those of its result, ``given`` ``(O, B)``."""
    for o in range(given.shape[0]):
        bias_gradient[o] = _sum(given[o])
    weight_gradients(weight_gradient, given, x)


@fused
def input_gradient(gradient, weight, given):
    """Gradient of `affine` for its input ``(F, B)``, from that of its result, ``given`` ``(O, B)``."""
    n_samples = given.shape[1]
    for f in range(weight.shape[1]):
        for b in range(n_samples):
            gradient[f, b] = weight[0, f] * given[0, b]
        add_rows(gradient[f], weight[:, f], given, 1)


@inner
def activate(kind, x, slope):
    """An activation in place, and its derivative; NaN stays."""
    for k in range(x.shape[0]):
        if kind == at.RELU:
            for b in range(x.shape[1]):
                slope[k, b] = 0 if x[k, b] <= 0 else 1
                if x[k, b] <= 0:
                    x[k, b] = 0
        elif kind == at.TANH:
            for b in range(x.shape[1]):
                value = tangent(np.float64(x[k, b]))
                slope[k, b] = 1.0 - value * value
                x[k, b] = value
        else:
            for b in range(x.shape[1]):
                value = np.float64(x[k, b])
                share = sigmoid(value)
                slope[k, b] = share * (1.0 + value * (1.0 - share))
                x[k, b] = value * share


@inner
def times(gradient, slope):
    """``gradient`` times ``slope``, in place."""
    for k in range(gradient.shape[0]):
        for b in range(gradient.shape[1]):
            gradient[k, b] *= slope[k, b]


@fused
def softmax(x, largest, total):
    """Softmax over the rows of ``x``, in place; leaves their maximum and the sum of exponentials behind.

    One array: where two might be the same memory, LLVM checks that they are not, and else takes one number at a time.
    """
    n_samples = x.shape[1]
    second = min(1, x.shape[0] - 1)
    for b in range(n_samples):
        # Two rows at once: to write only where a number is larger is slow.
        largest[b] = max(x[0, b], x[second, b])
        total[b] = 0
    for k in range(2, x.shape[0]):
        for b in range(n_samples):
            largest[b] = max(largest[b], x[k, b])
    for k in range(x.shape[0]):
        for b in range(n_samples):
            x[k, b] = own_exponential(x[k, b] - largest[b])
            total[b] += x[k, b]
    for k in range(x.shape[0]):
        for b in range(n_samples):
            x[k, b] /= total[b]


@inner
def average(out, x):
    """``out[k] = mean of x[k]``, the same for every sample."""
    n_samples = x.shape[1]
    for k in range(x.shape[0]):
        mean = _sum(x[k]) / x.dtype.type(n_samples)
        for b in range(n_samples):
            out[k, b] = mean


@inner
def name_outcomes(out, probabilities):
    """Weights ``(E, B)`` from probabilities ``(D, B)``: one that names no expert counts for all alike; none is below 0."""
    n_named, n_samples = out.shape
    share = out.dtype.type(1 / n_named)
    for b in range(n_samples):
        rest = probabilities[0, b] * 0
        for k in range(n_named, probabilities.shape[0]):
            rest += max(probabilities[k, b], 0)
        for k in range(n_named):
            out[k, b] = max(probabilities[k, b], 0) + rest * share


@inner
def unname_outcomes(gradient, given, probabilities):
    """Gradient of `name_outcomes` for the probabilities ``(D, B)``, from that of the weights, ``given`` ``(E, B)``."""
    n_named, n_samples = given.shape
    share = given.dtype.type(1 / n_named)
    for b in range(n_samples):
        rest = given[0, b] * 0
        for k in range(n_named):
            rest += given[k, b]
        for k in range(probabilities.shape[0]):
            value = given[k, b] if k < n_named else rest * share
            gradient[k, b] = value if probabilities[k, b] >= 0 else 0


@fused
def mix(mixed, gate, wide):
    """``mixed[o] = sum_e gate[e] wide[e, o]``: ``(O, B)``, ``(E, B)``, ``(E O, B)``."""
    n_out, n_samples = mixed.shape
    for o in range(n_out):
        for b in range(n_samples):
            mixed[o, b] = gate[0, b] * wide[o, b]
        for e in range(1, gate.shape[0]):
            for b in range(n_samples):
                mixed[o, b] += gate[e, b] * wide[e * n_out + o, b]


@fused
def unmix_softmax(logit_gradient, gate, wide, mixed, given):
    """Gradient for the logits behind the gate, from that of ``mixed``."""
    n_out, n_samples = mixed.shape
    for e in range(gate.shape[0]):
        for b in range(n_samples):
            logit_gradient[e, b] = 0
        for o in range(n_out):
            # The derivative of a softmax takes off the mean of what is given, which here is the mixture itself.
            for b in range(n_samples):
                logit_gradient[e, b] += given[o, b] * (wide[e * n_out + o, b] - mixed[o, b])
        for b in range(n_samples):
            logit_gradient[e, b] *= gate[e, b]


@fused
def unmix(gate_gradient, wide, given):
    """Gradient for the gate, from that of ``mixed``."""
    n_out, n_samples = given.shape
    for e in range(gate_gradient.shape[0]):
        for b in range(n_samples):
            gate_gradient[e, b] = given[0, b] * wide[e * n_out, b]
        for o in range(1, n_out):
            for b in range(n_samples):
                gate_gradient[e, b] += given[o, b] * wide[e * n_out + o, b]


@inner
def unmix_experts(wide, gate, given):
    """Puts the gradient of the experts' outputs in their place."""
    n_out, n_samples = given.shape
    for e in range(gate.shape[0]):
        for o in range(n_out):
            for b in range(n_samples):
                wide[e * n_out + o, b] = gate[e, b] * given[o, b]


@fused
def unsoftmax(gradient, weights):
    """Gradient for the logits in place of that of their softmax, ``weights``; both ``(E, B)``."""
    n_samples = weights.shape[1]
    for b in range(n_samples):
        mean = weights[0, b] * gradient[0, b]
        for e in range(1, weights.shape[0]):
            mean += weights[e, b] * gradient[e, b]
        for e in range(weights.shape[0]):
            gradient[e, b] = weights[e, b] * (gradient[e, b] - mean)


@inner
def cross_entropy(gradient, logits, labels, own, largest, total):
    """Mean cross-entropy of ``logits`` ``(C, B)``, as a double, and its gradient; the labels' logits stay in ``own``."""
    n_samples = len(labels)
    for c in range(logits.shape[0]):
        for b in range(n_samples):
            gradient[c, b] = logits[c, b]
    softmax(gradient, largest, total)
    share, whole, none = total.dtype.type(1 / n_samples), total.dtype.type(1), total.dtype.type(0)
    for c in range(logits.shape[0]):
        for b in range(n_samples):
            own[b] = logits[c, b] if labels[b] == c or c == 0 else own[b]
        for b in range(n_samples):
            gradient[c, b] = (gradient[c, b] - (whole if labels[b] == c else none)) * share
    loss = _sum_of_differences(largest, own)
    for first in range(0, n_samples, _PRODUCT):
        loss += math.log(_product(total[first : first + _PRODUCT]))
    return loss / n_samples


@inner
def squared_error(outputs, targets):
    """Mean squared error of ``(O, B)`` outputs, as a double."""
    total = 0.0
    for c in range(outputs.shape[0]):
        total += _sum_of_squares(outputs[c], targets[c])
    return total / (outputs.shape[0] * outputs.shape[1])


@inner
def differentiate_squared_error(gradient, outputs):
    """Puts the gradient of the mean squared error in the place of the targets, which ``gradient`` ``(O, B)`` holds."""
    share = gradient.dtype.type(2 / (outputs.shape[0] * outputs.shape[1]))
    for c in range(outputs.shape[0]):
        for b in range(outputs.shape[1]):
            gradient[c, b] = (outputs[c, b] - gradient[c, b]) * share


@inner
def count_right(logits, labels, first, largest):
    """How many columns of ``logits`` ``(C, B)`` are largest, and first so, at their label; works in the other two."""
    n_samples = len(labels)
    for b in range(n_samples):
        first[b] = 0
        largest[b] = logits[0, b]
    for c in range(1, logits.shape[0]):
        for b in range(n_samples):
            is_larger = logits[c, b] > largest[b]
            first[b] = c if is_larger else first[b]
            largest[b] = logits[c, b] if is_larger else largest[b]
    return int(_count_equal(first, labels))


@inner
def all_finite(x):
    """Whether no number is NaN or infinite."""
    total = 0.0
    for k in range(x.shape[0]):
        total += _sum_of_zeros(x[k])
    return total == 0.0
