"""The kernel of training: epochs of Adam, the loss with its gradient, and accuracies; one model after another.

A model's numbers depend on nothing but its own rows: no sum crosses models, and all take the same path.
"""

from __future__ import annotations

import math

import numba
import numpy as np

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import double, inner, integer, pointer_like, put_double, take_number
from qmoe.training.compiled.backward import differentiate_mixture
from qmoe.training.compiled.circuit_calls import place_of
from qmoe.training.compiled.column_operations import (
    all_finite,
    count_right,
    cross_entropy,
    differentiate_squared_error,
    squared_error,
)
from qmoe.training.compiled.forward import load, run_mixture
from qmoe.training.compiled.views import columns, vector
from qmoe.training.shuffling import shuffle

carray = numba.carray


@inner
def _row(one, plan, model):
    """The address of the values of a model."""
    return place_of(one, integer(plan, at.VALUES), model * integer(plan, at.N_VALUES))


@inner
def _shape(rows, n_samples):
    """The address of the shape of a piece with so many samples."""
    return integer(rows, at.SHAPE) if n_samples == integer(rows, at.PIECE) else integer(rows, at.LAST_SHAPE)


@inner
def _score(one, plan, memory, logits, n_samples):
    """How many columns of ``logits`` are classified right; of targets, their number minus their squared errors."""
    if integer(plan, at.LOSS_KIND) == at.SQUARED_ERROR:
        targets = columns(one, plan, memory, at.AT_LOGIT_GRADIENT, integer(plan, at.N_CLASSES), n_samples)
        return n_samples * (1.0 - squared_error(logits, targets))
    labels, choice = (
        vector(one, plan, memory, at.AT_LABEL, n_samples),
        vector(one, plan, memory, at.AT_CHOICE, n_samples),
    )
    return 1.0 * count_right(logits, labels, choice, vector(one, plan, memory, at.AT_LARGEST, n_samples))


@inner
def _differentiate(one, plan, memory, model, order, first, n_samples):
    """Mean loss of a batch, and its score, summed over the rows; leaves the gradients in the memory."""
    rows, row = integer(plan, at.BATCHES), _row(one, plan, model)
    shape = _shape(rows, n_samples)
    load(one, plan, rows, shape, memory, model, order, first, n_samples)
    logits = run_mixture(one, plan, shape, memory, row, n_samples, True)
    score = _score(one, plan, memory, logits, n_samples)
    given = columns(one, plan, memory, at.AT_LOGIT_GRADIENT, integer(plan, at.N_CLASSES), n_samples)
    if integer(plan, at.LOSS_KIND) == at.SQUARED_ERROR:
        loss = squared_error(logits, given)
        differentiate_squared_error(given, logits)
    else:
        labels, own = (
            vector(one, plan, memory, at.AT_LABEL, n_samples),
            vector(one, plan, memory, at.AT_CHOICE, n_samples),
        )
        largest, total = (
            vector(one, plan, memory, at.AT_LARGEST, n_samples),
            vector(one, plan, memory, at.AT_TOTAL, n_samples),
        )
        loss = cross_entropy(given, logits, labels, own, largest, total)
    differentiate_mixture(one, plan, shape, memory, row, n_samples)
    return loss, score


@inner
def _update(one, plan, memory, model, step):
    """A step of Adam (Kingma and Ba 2015), with the operations of `torch.optim.Adam` in their order."""
    n, start = integer(plan, at.N_TRAINED), model * integer(plan, at.N_TRAINED)
    value = carray(pointer_like(_row(one, plan, model), one), n)
    gradient = carray(pointer_like(integer(memory, at.GRADIENT), one), n)
    first = carray(pointer_like(place_of(one, integer(plan, at.FIRST_MOMENTS), start), one), n)
    second = carray(pointer_like(place_of(one, integer(plan, at.SECOND_MOMENTS), start), one), n)
    # In the precision of the arrays, as torch has them.
    real, factors = value.dtype.type, integer(plan, at.FACTORS) + 8 * 6 * step
    fresh, decay, rest = real(double(factors, 0)), real(double(factors, 1)), real(double(factors, 2))
    rate, correction, epsilon = real(double(factors, 3)), real(double(factors, 4)), real(double(factors, 5))
    for i in range(n):
        first[i] += fresh * (gradient[i] - first[i])
        second[i] = second[i] * decay + rest * gradient[i] * gradient[i]
        value[i] -= rate * first[i] / (math.sqrt(second[i]) / correction + epsilon)


@inner
def _accuracy(one, plan, rows, memory, model):
    """Share of rows that are classified right, or the mean score; NaN where an output is not finite."""
    n_rows, piece, right, finite = integer(rows, at.N_ROWS), integer(rows, at.PIECE), 0.0, True
    for first in range(0, n_rows, piece):
        n_samples = min(piece, n_rows - first)
        shape = _shape(rows, n_samples)
        load(one, plan, rows, shape, memory, model, 0, first, n_samples)
        logits = run_mixture(one, plan, shape, memory, _row(one, plan, model), n_samples, False)
        right += _score(one, plan, memory, logits, n_samples)
        finite = finite and all_finite(logits)
    return right / n_rows if finite else np.nan


@inner
def _train(one, plan, memory, model):
    """Runs the epochs of one model."""
    n_epochs, rows = integer(plan, at.N_EPOCHS), integer(plan, at.BATCHES)
    n_rows, batch, step = integer(rows, at.N_ROWS), integer(rows, at.PIECE), 0
    order = integer(memory, at.ORDER)
    for epoch in range(n_epochs):
        shuffle(integer(plan, at.ORDERS) + 48 * model, order, n_rows)
        total, right, place = 0.0, 0.0, model * n_epochs + epoch
        for first in range(0, n_rows, batch):
            loss, hits = _differentiate(one, plan, memory, model, order, first, min(batch, n_rows - first))
            _update(one, plan, memory, model, step)
            total, right, step = total + loss, right + hits, step + 1
        put_double(integer(plan, at.LOSS), place, total)
        put_double(integer(plan, at.RUNNING), place, right / n_rows)
        if integer(plan, at.TEST_ROWS) != 0:
            put_double(integer(plan, at.TEST), place, _accuracy(one, plan, integer(plan, at.TEST_ROWS), memory, model))


def run_models(one, plan, memory, task, subject, out):
    """Does a task with every model that no other thread has taken.

    Args:
        one: 1 in the precision of all arrays.
        plan: address of the plan, shared by all threads.
        memory: address of the memory of this thread.
        task: ``TRAIN`` trains for the epochs of the plan; ``FIND_ACCURACY`` finds the accuracy on a pass over rows;
            ``FIND_GRADIENT`` finds the mean loss of one model on all rows, and leaves its gradient in the memory.
        subject: address of the pass, or number of the model.
        out: address of doubles ``(M,)`` for accuracies, or of one for the loss.
    """
    if task == at.FIND_GRADIENT:
        loss, _ = _differentiate(one, plan, memory, subject, 0, 0, integer(integer(plan, at.BATCHES), at.N_ROWS))
        put_double(out, 0, loss)
        return
    while True:
        model = take_number(plan + 8 * at.NEXT)
        if model >= integer(plan, at.N_MODELS):
            break
        if task == at.TRAIN:
            _train(one, plan, memory, model)
        else:
            put_double(out, model, _accuracy(one, plan, subject, memory, model))
