"""Inside the kernel: a circuit that is measured at nodes once a batch, and interpolated between them."""

from __future__ import annotations

import numba

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import inner, integer, pointer_like
from qmoe.training.compiled.circuit_calls import (
    columns_to_rows,
    place_of,
    router_workplace,
    rows_to_columns,
    run_backward,
    run_forward,
)
from qmoe.training.compiled.column_operations import add_rows, weight_gradients
from qmoe.training.compiled.views import columns

carray = numba.carray


@inner
def _at_nodes(one, plan, memory, name):
    """``(n_outputs, nodes)``: read-outs at the nodes, or their gradients."""
    return carray(pointer_like(integer(memory, name), one), (integer(plan, at.N_INPUTS), integer(plan, at.N_NODES)))


@inner
def interpolate(one, plan, shape, memory, row, n_samples, keep):
    """Read-outs of a batch, in the columns of the router's inputs."""
    n_inputs, n_nodes = integer(plan, at.N_INPUTS), integer(plan, at.N_NODES)
    run_forward(
        one, router_workplace(shape, memory), n_nodes,
        integer(plan, at.NODES), place_of(one, row, integer(plan, at.ROUTER_ANGLES)),
        place_of(one, row, integer(plan, at.ROUTER_STRENGTH)), integer(memory, at.ROUTER_OUT),
        integer(memory, at.ROUTER_STATES) if keep else 0,
    )  # fmt: skip
    at_nodes = _at_nodes(one, plan, memory, at.NODE_VALUES)
    rows_to_columns(one, at_nodes, integer(memory, at.ROUTER_OUT), n_inputs, n_nodes)
    inputs = columns(one, plan, memory, at.AT_INPUTS, n_inputs, n_samples)
    weights = columns(one, plan, memory, at.AT_GIVEN, n_nodes, n_samples)
    for q in range(n_inputs):
        for b in range(n_samples):
            inputs[q, b] = 0
        add_rows(inputs[q], at_nodes[q], weights, 0)


@inner
def uninterpolate(one, plan, shape, memory, given, n_samples):
    """Gradients of the circuit, from those of the read-outs ``(n_outputs, B)``, after `interpolate` on the same batch."""
    n_nodes, of_nodes = integer(plan, at.N_NODES), _at_nodes(one, plan, memory, at.NODE_GRADIENTS)
    weights = columns(one, plan, memory, at.AT_GIVEN, n_nodes, n_samples)
    weight_gradients(of_nodes, given, weights)
    rows, gradient = integer(memory, at.ROUTER_GIVEN), integer(memory, at.GRADIENT)
    columns_to_rows(one, rows, of_nodes, n_nodes)
    run_backward(
        one, router_workplace(shape, memory), memory, rows, 0,
        place_of(one, gradient, integer(plan, at.ROUTER_ANGLES)), integer(plan, at.N_ROUTER_ANGLES),
    )  # fmt: skip
