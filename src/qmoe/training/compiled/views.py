"""Inside the kernel: the numbers of a model and of a batch, as matrices."""

from __future__ import annotations

import numba

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import inner, integer, pointer_like
from qmoe.training.compiled.circuit_calls import place_of

carray = numba.carray


@inner
def part(one, plan, row, name, n_rows, n_columns):
    """A part of a row of values as a matrix."""
    return carray(pointer_like(place_of(one, row, integer(plan, name)), one), (n_rows, n_columns))


@inner
def part_vector(one, plan, row, name, n):
    """A part of a row of values as a vector."""
    return carray(pointer_like(place_of(one, row, integer(plan, name)), one), (n,))


@inner
def columns(one, plan, memory, name, n_rows, n_samples):
    """Columns by name, ``(n_rows, B)``."""
    first = integer(plan, at.FIRST_COLUMN + name)
    place = place_of(one, integer(memory, at.COLUMNS), first * n_samples)
    return carray(pointer_like(place, one), (n_rows, n_samples))


@inner
def vector(one, plan, memory, name, n_samples):
    """The one row ``(B,)`` of columns by name."""
    return columns(one, plan, memory, name, 1, n_samples)[0]


@inner
def router_features(one, plan, shape, memory, n_samples):
    """The columns of the features that the router sees."""
    name = at.AT_X if integer(shape, at.PERMUTATION) == 0 else at.AT_ROUTER_X
    return columns(one, plan, memory, name, integer(plan, at.N_FEATURES), n_samples)


@inner
def encoded_columns(one, plan, shape, memory, n_samples):
    """The columns that the router's circuit encodes: the features, or a linear map of them."""
    if integer(plan, at.PROJECT_WEIGHT) < 0:
        return router_features(one, plan, shape, memory, n_samples)
    return columns(one, plan, memory, at.AT_ENCODED, integer(plan, at.N_ENCODED), n_samples)


@inner
def router_inputs(one, plan, shape, memory, n_samples):
    """The columns that the router's hidden or last layer looks at."""
    if integer(plan, at.SOURCE) == at.FEATURES:
        return router_features(one, plan, shape, memory, n_samples)
    return columns(one, plan, memory, at.AT_INPUTS, integer(plan, at.N_INPUTS), n_samples)


@inner
def last_inputs(one, plan, shape, memory, n_samples):
    """The columns that the router's last layer looks at."""
    if integer(plan, at.ROUTER_WIDTH) > 0:
        return columns(one, plan, memory, at.AT_HIDDEN, integer(plan, at.ROUTER_WIDTH), n_samples)
    return router_inputs(one, plan, shape, memory, n_samples)


@inner
def expert_inputs(one, plan, memory, n_samples):
    """The columns that the experts' last layers look at: of each its hidden layer, or the features."""
    width = integer(plan, at.EXPERT_WIDTH)
    if width > 0:
        return columns(one, plan, memory, at.AT_DEEP, integer(plan, at.N_EXPERTS) * width, n_samples)
    return columns(one, plan, memory, at.AT_X, integer(plan, at.N_FEATURES), n_samples)


@inner
def mixed_columns(one, plan, memory, n_samples):
    """The columns of the mixture; without a head they are the logits."""
    name = at.AT_LOGITS if integer(plan, at.HEAD_WEIGHT) < 0 else at.AT_MIXED
    return columns(one, plan, memory, name, integer(plan, at.N_OUT), n_samples)
