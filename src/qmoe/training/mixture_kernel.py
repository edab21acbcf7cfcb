"""Loss and gradients of a stack of mixtures in one compiled pass: what comes after the circuits and hidden layers.

Inside it a row is a quantity and a column a sample, so that inner loops run over the samples of a batch and become vector
instructions. A model's numbers depend on nothing but its own arrays: no sum crosses models, and all take the same path.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from qmoe.compiled.addresses import double, inner, integer, itemsize, pointer_integer, pointer_like

carray = numba.carray


@numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath={"reassoc", "contract"})
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of products, in the order that suits the vector unit."""
    total = a[0] * b[0]
    for i in range(1, len(a)):
        total += a[i] * b[i]
    return total


@numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, fastmath={"reassoc"})
def _sum(a: np.ndarray) -> float:
    total = a[0]
    for i in range(1, len(a)):
        total += a[i]
    return total


@inner
def _affine(out, weight, bias, x):
    """``out = weight x + bias``: ``(O, B)``, ``(O, F)``, ``(O,)``, ``(F, B)``."""
    n_samples = out.shape[1]
    for o in range(out.shape[0]):
        for b in range(n_samples):
            out[o, b] = bias[o]
        for f in range(weight.shape[1]):
            for b in range(n_samples):
                out[o, b] += weight[o, f] * x[f, b]


@inner
def _parameter_gradients(weight_gradient, bias_gradient, given, x):
    """Gradients of `_affine` for its parameters, from those of its result, ``given`` ``(O, B)``."""
    for o in range(given.shape[0]):
        bias_gradient[o] = _sum(given[o])
        for f in range(x.shape[0]):
            weight_gradient[o, f] = _dot(given[o], x[f])


@inner
def _input_gradient(gradient, weight, given):
    """Gradient of `_affine` for its input ``(F, B)``, from that of its result, ``given`` ``(O, B)``."""
    n_samples = given.shape[1]
    for f in range(weight.shape[1]):
        for b in range(n_samples):
            gradient[f, b] = weight[0, f] * given[0, b]
        for o in range(1, weight.shape[0]):
            for b in range(n_samples):
                gradient[f, b] += weight[o, f] * given[o, b]


@inner
def _softmax(out, x, largest, total):
    """``out = softmax(x)`` over the rows; leaves their maximum and the sum of exponentials behind."""
    n_samples = x.shape[1]
    for b in range(n_samples):
        largest[b] = x[0, b]
        total[b] = 0
    for k in range(1, x.shape[0]):
        for b in range(n_samples):
            largest[b] = max(largest[b], x[k, b])
    for k in range(x.shape[0]):
        for b in range(n_samples):
            out[k, b] = math.exp(x[k, b] - largest[b])
            total[b] += out[k, b]
    for k in range(x.shape[0]):
        for b in range(n_samples):
            out[k, b] /= total[b]


@inner
def _load(out, source, start, sample, feature):
    """Copies samples, ``sample`` numbers apart, into columns: ``out`` is ``(F, B)``."""
    for b in range(out.shape[1]):
        for f in range(out.shape[0]):
            out[f, b] = source[start + b * sample + f * feature]


@inner
def _mix(mixed, gate, wide):
    """``mixed[o] = sum_e gate[e] wide[e, o]``: ``(O, B)``, ``(E, B)``, ``(E O, B)``."""
    n_out, n_samples = mixed.shape
    for o in range(n_out):
        for b in range(n_samples):
            mixed[o, b] = gate[0, b] * wide[o, b]
        for e in range(1, gate.shape[0]):
            for b in range(n_samples):
                mixed[o, b] += gate[e, b] * wide[e * n_out + o, b]


@inner
def _unmix(gate_gradient, gate, wide, mixed, given):
    """Gradient for the logits of the gate, from that of ``mixed``; ``wide`` becomes the gradient of itself."""
    n_out, n_samples = mixed.shape
    for e in range(gate.shape[0]):
        for b in range(n_samples):
            gate_gradient[e, b] = 0
        for o in range(n_out):
            # The derivative of a softmax takes off the mean of what is given, which here is the mixture itself.
            for b in range(n_samples):
                gate_gradient[e, b] += given[o, b] * (wide[e * n_out + o, b] - mixed[o, b])
                wide[e * n_out + o, b] = gate[e, b] * given[o, b]
        for b in range(n_samples):
            gate_gradient[e, b] *= gate[e, b]


@inner
def _cross_entropy(entropy, gradient, out, labels, largest, total):
    """Entropies ``(B,)`` of the logits ``out`` ``(C, B)``, and the gradient of their mean."""
    _softmax(gradient, out, largest, total)
    n_samples = len(labels)
    for b in range(n_samples):
        entropy[b] = math.log(total[b]) - (out[labels[b], b] - largest[b])
        gradient[labels[b], b] -= 1
    share = total.dtype.type(1 / n_samples)
    for c in range(out.shape[0]):
        for b in range(n_samples):
            gradient[c, b] *= share


@inner
def _relu(x):
    """In place; NaN stays."""
    for k in range(x.shape[0]):
        for b in range(x.shape[1]):
            if x[k, b] <= 0:
                x[k, b] = 0


@inner
def _unrelu(gradient, activated):
    """Gradient of the input of `_relu` in place of that of its output."""
    for k in range(gradient.shape[0]):
        for b in range(gradient.shape[1]):
            if activated[k, b] <= 0:
                gradient[k, b] = 0


@inner
def _matrix(one, address, first, n_rows, n_columns):
    """Scratch memory from row ``first`` on, as a matrix."""
    place = address + first * n_columns * itemsize(one)
    return carray(pointer_like(place, one), (n_rows, n_columns))


def mixture_loss(one, call, scratch):
    """Runs ``M`` mixtures forward and, given labels, backward.

    Args:
        one: 1 in the precision of all arrays.
        call: address of the integers below, in this order; arrays are given as addresses, 0 for what is not there.
        scratch: address of the rows of B numbers that `mixture_step` counts, and of B integers behind them.

    The integers are

    * sizes: M, B, features F, experts E, expert outputs O, classes C, router inputs Z, width of the router's hidden layer
      and of the experts' (0 for none);
    * strides: 3 of the features, 2 of the labels, 3 of the router's inputs, 4 of the experts' outputs; then those of the
      gradients of the latter two;
    * parameters: weights and biases, stacked over M. Gate ``(E, Z or its hidden width)``, its hidden layer ``(width, Z)``,
      experts ``(E, O, F or their hidden width)``, their hidden layer ``(E, width, F)``, head ``(C, O)``; without experts
      their outputs are given;
    * gradients: where to write the gradients of these;
    * inputs: features ``(M, B, F)``, labels ``(M, B)`` or 0, router inputs ``(M, B, Z)``, expert outputs ``(M, B, E, O)`` or
      0;
    * outputs: logits ``(M, B, C)``, entropies ``(M, B)``, gradients of the router's inputs and of the experts' outputs (0
      where not wanted).
    """
    n_models, n_samples, n_features = integer(call, 0), integer(call, 1), integer(call, 2)
    n_experts, n_out, n_classes = integer(call, 3), integer(call, 4), integer(call, 5)
    n_inputs, router_width, expert_width = integer(call, 6), integer(call, 7), integer(call, 8)
    x_m, x_b, x_f, y_m, y_b = (
        integer(call, 9), integer(call, 10), integer(call, 11), integer(call, 12), integer(call, 13)
    )  # fmt: skip
    z_m, z_b, z_h = integer(call, 14), integer(call, 15), integer(call, 16)
    f_m, f_b, f_e, f_o = integer(call, 17), integer(call, 18), integer(call, 19), integer(call, 20)
    gz_m, gz_b, gz_h = integer(call, 21), integer(call, 22), integer(call, 23)
    gf_m, gf_b, gf_e, gf_o = integer(call, 24), integer(call, 25), integer(call, 26), integer(call, 27)
    parameters, gradients, inputs, outputs = call + 8 * 28, call + 8 * 38, call + 8 * 48, call + 8 * 52
    n_wide, n_deep = n_experts * n_out, n_experts * expert_width
    has_experts, has_head = integer(parameters, 4) != 0, integer(parameters, 8) != 0
    n_gate = router_width if router_width > 0 else n_inputs
    n_last = expert_width if expert_width > 0 else n_features
    gate_w = carray(pointer_like(integer(parameters, 0), one), (n_models, n_experts, n_gate))
    gate_b = carray(pointer_like(integer(parameters, 1), one), (n_models, n_experts))
    gate_gw = carray(pointer_like(integer(gradients, 0), one), (n_models, n_experts, n_gate))
    gate_gb = carray(pointer_like(integer(gradients, 1), one), (n_models, n_experts))
    router_w = carray(pointer_like(integer(parameters, 2), one), (n_models, router_width, n_inputs))
    router_b = carray(pointer_like(integer(parameters, 3), one), (n_models, router_width))
    router_gw = carray(pointer_like(integer(gradients, 2), one), (n_models, router_width, n_inputs))
    router_gb = carray(pointer_like(integer(gradients, 3), one), (n_models, router_width))
    expert_w = carray(pointer_like(integer(parameters, 4), one), (n_models, n_wide, n_last))
    expert_b = carray(pointer_like(integer(parameters, 5), one), (n_models, n_wide))
    expert_gw = carray(pointer_like(integer(gradients, 4), one), (n_models, n_wide, n_last))
    expert_gb = carray(pointer_like(integer(gradients, 5), one), (n_models, n_wide))
    deep_w = carray(pointer_like(integer(parameters, 6), one), (n_models, n_deep, n_features))
    deep_b = carray(pointer_like(integer(parameters, 7), one), (n_models, n_deep))
    deep_gw = carray(pointer_like(integer(gradients, 6), one), (n_models, n_deep, n_features))
    deep_gb = carray(pointer_like(integer(gradients, 7), one), (n_models, n_deep))
    head_w = carray(pointer_like(integer(parameters, 8), one), (n_models, n_classes, n_out))
    head_b = carray(pointer_like(integer(parameters, 9), one), (n_models, n_classes))
    head_gw = carray(pointer_like(integer(gradients, 8), one), (n_models, n_classes, n_out))
    head_gb = carray(pointer_like(integer(gradients, 9), one), (n_models, n_classes))
    # Read by strides, so the length given here stands for nothing.
    x_in = carray(pointer_like(integer(inputs, 0), one), 1)
    y_in = carray(pointer_integer(integer(inputs, 1), one), 1)
    z_in = carray(pointer_like(integer(inputs, 2), one), 1)
    f_in = carray(pointer_like(integer(inputs, 3), one), 1)
    logits = carray(pointer_like(integer(outputs, 0), one), (n_models, n_samples, n_classes))
    entropy = carray(pointer_like(integer(outputs, 1), one), (n_models, n_samples))
    z_out = carray(pointer_like(integer(outputs, 2), one), 1)
    f_out = carray(pointer_like(integer(outputs, 3), one), 1)

    # Rows of the scratch memory, in the order in which `mixture_step` counts them.
    row = 0
    x = _matrix(one, scratch, row, n_features, n_samples)
    row += n_features
    inputs_of_router = _matrix(one, scratch, row, n_inputs, n_samples)
    row += n_inputs
    z = _matrix(one, scratch, row, n_gate, n_samples) if router_width > 0 else inputs_of_router
    row += n_gate
    gz = _matrix(one, scratch, row, n_gate, n_samples)
    row += n_gate
    gate = _matrix(one, scratch, row, n_experts, n_samples)
    row += n_experts
    ggate = _matrix(one, scratch, row, n_experts, n_samples)
    row += n_experts
    deep = _matrix(one, scratch, row, n_deep, n_samples)
    row += n_deep
    gdeep = _matrix(one, scratch, row, n_deep, n_samples)
    row += n_deep
    # Linear experts all see the features, so they are one wide layer; others see a hidden layer each.
    last = deep if expert_width > 0 else x
    n_groups = n_experts if expert_width > 0 else 1
    n_own = n_wide // n_groups
    wide = _matrix(one, scratch, row, n_wide, n_samples)
    row += n_wide
    out = _matrix(one, scratch, row, n_classes, n_samples)
    row += n_classes
    gout = _matrix(one, scratch, row, n_classes, n_samples)
    row += n_classes
    # Without a head, what is mixed is the result.
    mixed = _matrix(one, scratch, row, n_out, n_samples) if has_head else out
    row += n_out
    gmixed = _matrix(one, scratch, row, n_out, n_samples) if has_head else gout
    row += n_out
    largest = _matrix(one, scratch, row, 1, n_samples)[0]
    total = _matrix(one, scratch, row + 1, 1, n_samples)[0]
    row += 2
    labels = carray(pointer_integer(scratch + (row * n_samples * itemsize(one) + 7) // 8 * 8, one), (n_samples,))

    for m in range(n_models):
        _load(inputs_of_router, z_in, m * z_m, z_b, z_h)
        if router_width > 0:
            _affine(z, router_w[m], router_b[m], inputs_of_router)
            _relu(z)
        _affine(gate, gate_w[m], gate_b[m], z)
        _softmax(gate, gate, largest, total)
        if has_experts:
            _load(x, x_in, m * x_m, x_b, x_f)
            if expert_width > 0:
                _affine(deep, deep_w[m], deep_b[m], x)
                _relu(deep)
            for k in range(n_groups):
                own, seen = slice(k * n_own, (k + 1) * n_own), slice(k * n_last, (k + 1) * n_last)
                _affine(wide[own], expert_w[m, own], expert_b[m, own], last[seen])
        else:
            for k in range(n_wide):
                start = m * f_m + (k // n_out) * f_e + (k % n_out) * f_o
                for b in range(n_samples):
                    wide[k, b] = f_in[start + b * f_b]
        _mix(mixed, gate, wide)
        if has_head:
            _affine(out, head_w[m], head_b[m], mixed)
        for b in range(n_samples):
            for c in range(n_classes):
                logits[m, b, c] = out[c, b]
        if integer(inputs, 1) == 0:
            continue

        for b in range(n_samples):
            labels[b] = y_in[m * y_m + b * y_b]
        _cross_entropy(entropy[m], gout, out, labels, largest, total)
        if has_head:
            _parameter_gradients(head_gw[m], head_gb[m], gout, mixed)
            _input_gradient(gmixed, head_w[m], gout)
        _unmix(ggate, gate, wide, mixed, gmixed)
        _parameter_gradients(gate_gw[m], gate_gb[m], ggate, z)
        if has_experts:
            for k in range(n_groups):
                own, seen = slice(k * n_own, (k + 1) * n_own), slice(k * n_last, (k + 1) * n_last)
                _parameter_gradients(expert_gw[m, own], expert_gb[m, own], wide[own], last[seen])
                if expert_width > 0:
                    _input_gradient(gdeep[seen], expert_w[m, own], wide[own])
            if expert_width > 0:
                _unrelu(gdeep, deep)
                _parameter_gradients(deep_gw[m], deep_gb[m], gdeep, x)
        elif integer(outputs, 3) != 0:
            for k in range(n_wide):
                start = m * gf_m + (k // n_out) * gf_e + (k % n_out) * gf_o
                for b in range(n_samples):
                    f_out[start + b * gf_b] = wide[k, b]
        if router_width > 0 or integer(outputs, 2) != 0:
            _input_gradient(gz, gate_w[m], ggate)
        if router_width > 0:
            _unrelu(gz, z)
            _parameter_gradients(router_gw[m], router_gb[m], gz, inputs_of_router)
        elif integer(outputs, 2) != 0:
            for b in range(n_samples):
                for h in range(n_inputs):
                    z_out[m * gz_m + b * gz_b + h * gz_h] = gz[h, b]


def adam(one, n, addresses, factors):
    """One step of Adam (Kingma and Ba 2015) on ``n`` numbers, with the operations of `torch.optim.Adam` in their order.

    Args:
        one: 1 in the precision of all arrays.
        n: how many.
        addresses: address of the addresses of parameters, gradients, first and second moments.
        factors: address of ``1 - beta1``, ``beta2``, ``1 - beta2``, ``lr / (1 - beta1**t)``, ``sqrt(1 - beta2**t)`` and
            epsilon, in double precision.
    """
    value = carray(pointer_like(integer(addresses, 0), one), n)
    gradient = carray(pointer_like(integer(addresses, 1), one), n)
    first = carray(pointer_like(integer(addresses, 2), one), n)
    second = carray(pointer_like(integer(addresses, 3), one), n)
    # In the precision of the arrays, as torch has them.
    real = value.dtype.type
    fresh, decay, rest = real(double(factors, 0)), real(double(factors, 1)), real(double(factors, 2))
    rate, correction, epsilon = real(double(factors, 3)), real(double(factors, 4)), real(double(factors, 5))
    for i in range(n):
        first[i] += fresh * (gradient[i] - first[i])
        second[i] = second[i] * decay + rest * gradient[i] * gradient[i]
        value[i] -= rate * first[i] / (math.sqrt(second[i]) / correction + epsilon)
