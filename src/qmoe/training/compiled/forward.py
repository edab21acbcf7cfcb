"""Inside the kernel: a batch of one model, from its rows to logits."""

from __future__ import annotations

import numba

import qmoe.training.compiled.layout as at
import qmoe.training.compiled.views as views
from qmoe.compiled.addresses import inner, integer, itemsize, pointer_integer, pointer_like
from qmoe.training.compiled.chain import follow_chain
from qmoe.training.compiled.circuit_calls import (
    expert_workplace,
    place_of,
    router_workplace,
    rows_to_columns,
    run_forward,
)
from qmoe.training.compiled.column_operations import activate, affine, average, mix, name_outcomes, softmax
from qmoe.training.compiled.interpolated import interpolate
from qmoe.training.compiled.wave_products import multiply_waves

carray = numba.carray


@inner
def row_of(order, first, b):
    """The row of the data that is sample ``b``: by the order at that address, or in the order of the rows where it is 0."""
    return integer(order, first + b) if order != 0 else first + b


@inner
def gather(one, out, address, row_stride, feature_stride, order, first, permutation):
    """Copies rows of the data into columns ``out`` ``(F, B)``; sample b gets that of sample ``permutation[b]``."""
    source = carray(pointer_like(address, one), 1)  # read by strides, so the length given here stands for nothing
    for f in range(out.shape[0]):
        for b in range(out.shape[1]):
            row = row_of(order, first, integer(permutation, b) if permutation != 0 else b)
            out[f, b] = source[row * row_stride + f * feature_stride]


@inner
def load(one, plan, rows, shape, memory, model, order, first, n_samples):
    """Brings a batch into the columns of the features, of what the router looks at, and the labels or targets."""
    n_features, n_inputs = integer(plan, at.N_FEATURES), integer(plan, at.N_INPUTS)
    x = place_of(one, integer(rows, at.X), model * integer(rows, at.X_MODEL))
    x_row, x_feature, permutation = integer(rows, at.X_ROW), integer(rows, at.X_FEATURE), integer(shape, at.PERMUTATION)
    gather(one, views.columns(one, plan, memory, at.AT_X, n_features, n_samples), x, x_row, x_feature, order, first, 0)
    source = integer(plan, at.SOURCE)
    if source in (at.FUNCTIONS, at.CHAIN_SIGNS, at.INTERPOLATED):
        n_given, name = n_inputs, at.AT_INPUTS
        if source == at.CHAIN_SIGNS:
            n_given, name = 1 << integer(plan, at.N_BITS), at.AT_GIVEN
        elif source == at.INTERPOLATED:
            n_given, name = integer(plan, at.N_NODES), at.AT_GIVEN
        if n_given > 0:
            given = place_of(one, integer(rows, at.GIVEN), model * integer(rows, at.N_ROWS) * n_given)
            gather(
                one,
                views.columns(one, plan, memory, name, n_given, n_samples),
                given,
                n_given,
                1,
                order,
                first,
                permutation,
            )
    elif permutation != 0:
        own = views.columns(one, plan, memory, at.AT_ROUTER_X, n_features, n_samples)
        gather(one, own, x, x_row, x_feature, order, first, permutation)
    if integer(plan, at.LOSS_KIND) == at.SQUARED_ERROR:
        # Targets stand where the loss leaves its gradient.
        targets = views.columns(one, plan, memory, at.AT_LOGIT_GRADIENT, integer(plan, at.N_CLASSES), n_samples)
        place = place_of(one, integer(rows, at.Y), model * integer(rows, at.Y_MODEL))
        gather(one, targets, place, integer(rows, at.Y_ROW), integer(rows, at.Y_OUTPUT), order, first, 0)
        return
    labels = views.vector(one, plan, memory, at.AT_LABEL, n_samples)
    y = carray(pointer_integer(integer(rows, at.Y), one), 1)
    for b in range(n_samples):
        labels[b] = y[model * integer(rows, at.Y_MODEL) + row_of(order, first, b) * integer(rows, at.Y_ROW)]


@inner
def project(one, plan, shape, memory, row, n_samples):
    """The linear map in front of the router's circuit or waves."""
    n_encoded, n_features = integer(plan, at.N_ENCODED), integer(plan, at.N_FEATURES)
    weight = views.part(one, plan, row, at.PROJECT_WEIGHT, n_encoded, n_features)
    bias = views.part_vector(one, plan, row, at.PROJECT_BIAS, n_encoded)
    encoded = views.encoded_columns(one, plan, shape, memory, n_samples)
    affine(encoded, weight, bias, views.router_features(one, plan, shape, memory, n_samples))


@inner
def measure(one, plan, shape, memory, row, n_samples, keep):
    """Runs the router's circuit."""
    n_inputs, encoded = integer(plan, at.N_INPUTS), views.encoded_columns(one, plan, shape, memory, n_samples)
    run_forward(
        one, router_workplace(shape, memory), n_samples, encoded.ctypes.data,
        place_of(one, row, integer(plan, at.ROUTER_ANGLES)), place_of(one, row, integer(plan, at.ROUTER_STRENGTH)),
        integer(memory, at.ROUTER_OUT),
        integer(memory, at.ROUTER_STATES) if keep else 0,
    )  # fmt: skip
    inputs = views.columns(one, plan, memory, at.AT_INPUTS, n_inputs, n_samples)
    rows_to_columns(one, inputs, integer(memory, at.ROUTER_OUT), n_inputs, n_samples)


@inner
def route(one, plan, shape, memory, row, n_samples, keep):
    """Routing weights of a batch, in the columns of the gate."""
    n_experts, width = integer(plan, at.N_EXPERTS), integer(plan, at.ROUTER_WIDTH)
    gate = views.columns(one, plan, memory, at.AT_GATE, n_experts, n_samples)
    if integer(plan, at.WEIGHING) == at.CONSTANT:
        weights = views.part_vector(one, plan, row, at.GATE_BIAS, n_experts)
        for e in range(n_experts):
            for b in range(n_samples):
                gate[e, b] = weights[e]
        return
    if integer(plan, at.PROJECT_WEIGHT) >= 0:
        project(one, plan, shape, memory, row, n_samples)
    if integer(plan, at.SOURCE) == at.CIRCUIT:
        measure(one, plan, shape, memory, row, n_samples, keep)
    elif integer(plan, at.SOURCE) == at.WAVE_PRODUCTS:
        multiply_waves(one, plan, shape, memory, row, n_samples)
    elif integer(plan, at.SOURCE) == at.CHAIN_SIGNS:
        follow_chain(one, plan, memory, row, n_samples)
    elif integer(plan, at.SOURCE) == at.INTERPOLATED:
        interpolate(one, plan, shape, memory, row, n_samples, keep)
    inputs = views.router_inputs(one, plan, shape, memory, n_samples)
    if width > 0:
        hidden = views.columns(one, plan, memory, at.AT_HIDDEN, width, n_samples)
        weight = views.part(one, plan, row, at.HIDDEN_WEIGHT, width, integer(plan, at.N_INPUTS))
        affine(hidden, weight, views.part_vector(one, plan, row, at.HIDDEN_BIAS, width), inputs)
        activate(
            integer(plan, at.ROUTER_ACTIVATION), hidden, views.columns(one, plan, memory, at.AT_SLOPE, width, n_samples)
        )
    own = (
        views.columns(one, plan, memory, at.AT_OWN, n_experts, n_samples)
        if integer(plan, at.ROUTING) == at.MEAN
        else gate
    )
    if integer(plan, at.WEIGHING) == at.BORN:
        name_outcomes(own, inputs)
    else:
        last = views.last_inputs(one, plan, shape, memory, n_samples)
        weight = views.part(one, plan, row, at.GATE_WEIGHT, n_experts, last.shape[0])
        affine(own, weight, views.part_vector(one, plan, row, at.GATE_BIAS, n_experts), last)
        largest = views.vector(one, plan, memory, at.AT_LARGEST, n_samples)
        softmax(own, largest, views.vector(one, plan, memory, at.AT_TOTAL, n_samples))
    if integer(plan, at.ROUTING) == at.MEAN:
        average(gate, own)


@inner
def consult_circuits(one, plan, shape, memory, row, n_samples, keep):
    """Outputs of experts that are circuits, in the columns ``(E O, B)``."""
    n_out, size = integer(plan, at.N_OUT), itemsize(one)
    x = views.columns(one, plan, memory, at.AT_X, integer(plan, at.N_FEATURES), n_samples)
    wide = views.columns(one, plan, memory, at.AT_WIDE, integer(plan, at.N_EXPERTS) * n_out, n_samples)
    for e in range(integer(plan, at.N_CIRCUITS)):
        out = integer(memory, at.EXPERT_OUT) + e * n_samples * n_out * size
        states = integer(memory, at.EXPERT_STATES) + e * integer(memory, at.STATE_BYTES)
        run_forward(
            one, expert_workplace(shape, memory, e), n_samples, x.ctypes.data,
            place_of(one, row, integer(plan, at.EXPERT_ANGLES) + e * integer(plan, at.N_EXPERT_ANGLES)),
            place_of(one, row, integer(plan, at.EXPERT_STRENGTH) + e), out, states if keep else 0,
        )  # fmt: skip
        rows_to_columns(one, wide[e * n_out : (e + 1) * n_out], out, n_out, n_samples)


@inner
def consult(one, plan, shape, memory, row, n_samples, keep):
    """Outputs of the experts, in the columns ``(E O, B)``."""
    if integer(plan, at.N_CIRCUITS) > 0:
        consult_circuits(one, plan, shape, memory, row, n_samples, keep)
        return
    n_experts, n_out, width = integer(plan, at.N_EXPERTS), integer(plan, at.N_OUT), integer(plan, at.EXPERT_WIDTH)
    n_wide = n_experts * n_out
    wide, last = (
        views.columns(one, plan, memory, at.AT_WIDE, n_wide, n_samples),
        views.expert_inputs(one, plan, memory, n_samples),
    )
    if width == 0:
        # All see the features, so they are one wide layer.
        weight = views.part(one, plan, row, at.EXPERT_WEIGHT, n_wide, last.shape[0])
        affine(wide, weight, views.part_vector(one, plan, row, at.EXPERT_BIAS, n_wide), last)
        return
    x = views.columns(one, plan, memory, at.AT_X, integer(plan, at.N_FEATURES), n_samples)
    weight = views.part(one, plan, row, at.DEEP_WEIGHT, n_experts * width, x.shape[0])
    affine(last, weight, views.part_vector(one, plan, row, at.DEEP_BIAS, n_experts * width), x)
    slope = views.columns(one, plan, memory, at.AT_DEEP_SLOPE, n_experts * width, n_samples)
    activate(integer(plan, at.EXPERT_ACTIVATION), last, slope)
    weight, bias = (
        views.part(one, plan, row, at.EXPERT_WEIGHT, n_wide, width),
        views.part_vector(one, plan, row, at.EXPERT_BIAS, n_wide),
    )
    for e in range(n_experts):
        own, seen = slice(e * n_out, (e + 1) * n_out), slice(e * width, (e + 1) * width)
        affine(wide[own], weight[own], bias[own], last[seen])


@inner
def run_mixture(one, plan, shape, memory, row, n_samples, keep):
    """Logits ``(C, B)`` of a batch that was loaded; ``keep`` if a backward pass follows."""
    n_out, n_classes = integer(plan, at.N_OUT), integer(plan, at.N_CLASSES)
    route(one, plan, shape, memory, row, n_samples, keep)
    consult(one, plan, shape, memory, row, n_samples, keep)
    gate = views.columns(one, plan, memory, at.AT_GATE, integer(plan, at.N_EXPERTS), n_samples)
    wide = views.columns(one, plan, memory, at.AT_WIDE, integer(plan, at.N_EXPERTS) * n_out, n_samples)
    mixed = views.mixed_columns(one, plan, memory, n_samples)
    mix(mixed, gate, wide)
    logits = views.columns(one, plan, memory, at.AT_LOGITS, n_classes, n_samples)
    if integer(plan, at.HEAD_WEIGHT) >= 0:
        weight = views.part(one, plan, row, at.HEAD_WEIGHT, n_classes, n_out)
        affine(logits, weight, views.part_vector(one, plan, row, at.HEAD_BIAS, n_classes), mixed)
    return logits
