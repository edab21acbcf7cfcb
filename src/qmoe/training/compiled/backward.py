"""Inside the kernel: a batch of one model, from the gradient of its logits to those of its parameters.

The gradients of a model stand in a row as its values do. Those of layers that are not trained are written like the others,
and read by nobody.
"""

from __future__ import annotations

import qmoe.training.compiled.layout as at
import qmoe.training.compiled.views as views
from qmoe.compiled.addresses import inner, integer, itemsize
from qmoe.training.compiled.chain import unfollow_chain
from qmoe.training.compiled.circuit_calls import (
    clear_numbers,
    columns_to_rows,
    expert_workplace,
    place_of,
    router_workplace,
    rows_to_columns,
    run_backward,
)
from qmoe.training.compiled.column_operations import (
    average,
    input_gradient,
    parameter_gradients,
    times,
    unmix,
    unmix_experts,
    unmix_softmax,
    unname_outcomes,
    unsoftmax,
)
from qmoe.training.compiled.interpolated import uninterpolate
from qmoe.training.compiled.wave_products import unmultiply_waves


@inner
def unproject(one, plan, shape, memory, n_samples):
    """Gradients of the map in front of the router's circuit or waves, from those of what it gives."""
    gradient, n_encoded = integer(memory, at.GRADIENT), integer(plan, at.N_ENCODED)
    of_encoded = views.columns(one, plan, memory, at.AT_ENCODED_GRADIENT, n_encoded, n_samples)
    weight = views.part(one, plan, gradient, at.PROJECT_WEIGHT, n_encoded, integer(plan, at.N_FEATURES))
    bias = views.part_vector(one, plan, gradient, at.PROJECT_BIAS, n_encoded)
    parameter_gradients(weight, bias, of_encoded, views.router_features(one, plan, shape, memory, n_samples))


@inner
def unmeasure(one, plan, shape, memory, row, given, n_samples):
    """Gradients of what is in front of the router's layers and trained, from those of its inputs, ``(n_inputs, B)``."""
    if not integer(plan, at.TRAINS_ROUTER):
        return
    if integer(plan, at.SOURCE) == at.WAVE_PRODUCTS:
        unmultiply_waves(one, plan, memory, row, given, n_samples)
        unproject(one, plan, shape, memory, n_samples)
        return
    if integer(plan, at.SOURCE) == at.INTERPOLATED:
        uninterpolate(one, plan, shape, memory, given, n_samples)
        return
    gradient, n_encoded = integer(memory, at.GRADIENT), integer(plan, at.N_ENCODED)
    rows, encoded = integer(memory, at.ROUTER_GIVEN), 0
    columns_to_rows(one, rows, given, n_samples)
    if integer(plan, at.PROJECT_WEIGHT) >= 0:
        encoded = integer(memory, at.ENCODED_GRADIENT)
        clear_numbers(one, encoded, n_samples * n_encoded)
    run_backward(
        one, router_workplace(shape, memory), memory, rows, encoded,
        place_of(one, gradient, integer(plan, at.ROUTER_ANGLES)), integer(plan, at.N_ROUTER_ANGLES),
    )  # fmt: skip
    if encoded != 0:
        of_encoded = views.columns(one, plan, memory, at.AT_ENCODED_GRADIENT, n_encoded, n_samples)
        rows_to_columns(one, of_encoded, encoded, n_encoded, n_samples)
        unproject(one, plan, shape, memory, n_samples)


@inner
def unlayer(one, plan, shape, memory, row, given, n_samples):
    """Gradients of the router's layers, from those of its logits ``(E, B)``; then those of its circuit or chain."""
    n_experts, width = integer(plan, at.N_EXPERTS), integer(plan, at.ROUTER_WIDTH)
    gradient, source = integer(memory, at.GRADIENT), integer(plan, at.SOURCE)
    last = views.last_inputs(one, plan, shape, memory, n_samples)
    n_last = last.shape[0]
    bias = views.part_vector(one, plan, gradient, at.GATE_BIAS, n_experts)
    parameter_gradients(views.part(one, plan, gradient, at.GATE_WEIGHT, n_experts, n_last), bias, given, last)
    weight = views.part(one, plan, row, at.GATE_WEIGHT, n_experts, n_last)
    if width > 0:
        of_hidden = views.columns(one, plan, memory, at.AT_HIDDEN_GRADIENT, width, n_samples)
        input_gradient(of_hidden, weight, given)
        times(of_hidden, views.columns(one, plan, memory, at.AT_SLOPE, width, n_samples))
        inputs = views.router_inputs(one, plan, shape, memory, n_samples)
        bias = views.part_vector(one, plan, gradient, at.HIDDEN_BIAS, width)
        parameter_gradients(
            views.part(one, plan, gradient, at.HIDDEN_WEIGHT, width, inputs.shape[0]), bias, of_hidden, inputs
        )
    elif source in (at.CIRCUIT, at.CHAIN_SIGNS, at.INTERPOLATED, at.WAVE_PRODUCTS):
        of_inputs = views.columns(one, plan, memory, at.AT_INPUT_GRADIENT, n_last, n_samples)
        input_gradient(of_inputs, weight, given)
        if source != at.CHAIN_SIGNS:
            unmeasure(one, plan, shape, memory, row, of_inputs, n_samples)
        else:
            unfollow_chain(one, plan, memory, row, of_inputs, n_samples)


@inner
def unroute(one, plan, shape, memory, row, given, n_samples):
    """Gradients of the router, from that of the mixture ``(O, B)``; the experts' outputs are still in their place."""
    if integer(plan, at.WEIGHING) == at.CONSTANT:
        return
    n_experts = integer(plan, at.N_EXPERTS)
    gate = views.columns(one, plan, memory, at.AT_GATE, n_experts, n_samples)
    of_gate = views.columns(one, plan, memory, at.AT_GATE_GRADIENT, n_experts, n_samples)
    wide = views.columns(one, plan, memory, at.AT_WIDE, n_experts * integer(plan, at.N_OUT), n_samples)
    is_softmax, is_mean = integer(plan, at.WEIGHING) == at.SOFTMAX, integer(plan, at.ROUTING) == at.MEAN
    if is_softmax and not is_mean:
        unmix_softmax(of_gate, gate, wide, views.mixed_columns(one, plan, memory, n_samples), given)
    else:
        unmix(of_gate, wide, given)
        if is_mean:
            average(of_gate, of_gate)
        if is_softmax:
            unsoftmax(of_gate, views.columns(one, plan, memory, at.AT_OWN, n_experts, n_samples))
    if is_softmax:
        unlayer(one, plan, shape, memory, row, of_gate, n_samples)
        return
    inputs = views.router_inputs(one, plan, shape, memory, n_samples)
    of_inputs = views.columns(one, plan, memory, at.AT_INPUT_GRADIENT, inputs.shape[0], n_samples)
    unname_outcomes(of_inputs, of_gate, inputs)
    unmeasure(one, plan, shape, memory, row, of_inputs, n_samples)


@inner
def unconsult_circuits(one, plan, shape, memory, wide, n_samples):
    """Gradients of experts that are circuits, from those of their outputs ``(E O, B)``."""
    if not integer(plan, at.TRAINS_EXPERTS):
        return
    n_out, size = integer(plan, at.N_OUT), itemsize(one)
    for e in range(integer(plan, at.N_CIRCUITS)):
        rows = integer(memory, at.EXPERT_GIVEN)
        columns_to_rows(one, rows, wide[e * n_out : (e + 1) * n_out], n_samples)
        angles = integer(plan, at.EXPERT_ANGLES) + e * integer(plan, at.N_EXPERT_ANGLES)
        run_backward(
            one, expert_workplace(shape, memory, e), memory, rows, 0,
            integer(memory, at.GRADIENT) + angles * size, integer(plan, at.N_EXPERT_ANGLES),
        )  # fmt: skip


@inner
def unconsult(one, plan, shape, memory, row, n_samples):
    """Gradients of the experts, from those of their outputs ``(E O, B)``, which stand in their place."""
    n_experts, n_out, width = integer(plan, at.N_EXPERTS), integer(plan, at.N_OUT), integer(plan, at.EXPERT_WIDTH)
    n_wide, gradient = n_experts * n_out, integer(memory, at.GRADIENT)
    wide = views.columns(one, plan, memory, at.AT_WIDE, n_wide, n_samples)
    if integer(plan, at.N_CIRCUITS) > 0:
        unconsult_circuits(one, plan, shape, memory, wide, n_samples)
        return
    last = views.expert_inputs(one, plan, memory, n_samples)
    of_bias = views.part_vector(one, plan, gradient, at.EXPERT_BIAS, n_wide)
    if width == 0:
        parameter_gradients(
            views.part(one, plan, gradient, at.EXPERT_WEIGHT, n_wide, last.shape[0]), of_bias, wide, last
        )
        return
    of_weight = views.part(one, plan, gradient, at.EXPERT_WEIGHT, n_wide, width)
    weight = views.part(one, plan, row, at.EXPERT_WEIGHT, n_wide, width)
    of_deep = views.columns(one, plan, memory, at.AT_DEEP_GRADIENT, n_experts * width, n_samples)
    for e in range(n_experts):
        own, seen = slice(e * n_out, (e + 1) * n_out), slice(e * width, (e + 1) * width)
        parameter_gradients(of_weight[own], of_bias[own], wide[own], last[seen])
        input_gradient(of_deep[seen], weight[own], wide[own])
    times(of_deep, views.columns(one, plan, memory, at.AT_DEEP_SLOPE, n_experts * width, n_samples))
    x = views.columns(one, plan, memory, at.AT_X, integer(plan, at.N_FEATURES), n_samples)
    bias = views.part_vector(one, plan, gradient, at.DEEP_BIAS, n_experts * width)
    parameter_gradients(
        views.part(one, plan, gradient, at.DEEP_WEIGHT, n_experts * width, x.shape[0]), bias, of_deep, x
    )


@inner
def differentiate_mixture(one, plan, shape, memory, row, n_samples):
    """Writes the gradients of a model, from that of the logits of the batch that `run_mixture` ran last."""
    n_out, n_classes = integer(plan, at.N_OUT), integer(plan, at.N_CLASSES)
    gradient, given = (
        integer(memory, at.GRADIENT),
        views.columns(one, plan, memory, at.AT_LOGIT_GRADIENT, n_classes, n_samples),
    )
    if integer(plan, at.HEAD_WEIGHT) >= 0:
        mixed = views.mixed_columns(one, plan, memory, n_samples)
        bias = views.part_vector(one, plan, gradient, at.HEAD_BIAS, n_classes)
        parameter_gradients(views.part(one, plan, gradient, at.HEAD_WEIGHT, n_classes, n_out), bias, given, mixed)
        of_mixed = views.columns(one, plan, memory, at.AT_MIXED_GRADIENT, n_out, n_samples)
        input_gradient(of_mixed, views.part(one, plan, row, at.HEAD_WEIGHT, n_classes, n_out), given)
        given = of_mixed
    unroute(one, plan, shape, memory, row, given, n_samples)
    gate = views.columns(one, plan, memory, at.AT_GATE, integer(plan, at.N_EXPERTS), n_samples)
    wide = views.columns(one, plan, memory, at.AT_WIDE, integer(plan, at.N_EXPERTS) * n_out, n_samples)
    unmix_experts(wide, gate, given)
    unconsult(one, plan, shape, memory, row, n_samples)
