"""In machine code: in which order a model sees its rows.

The generator is PCG64 (O'Neill 2014), the shuffle that of Fisher and Yates, number by number as in NumPy; tests compare them
with `numpy.random.default_rng(seed).permuted`. Written here, orders are drawn where they are needed, in a third of the time,
and stay the same with any version of NumPy.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from qmoe.compiled.addresses import inner, pointer_integer, pointer_like

carray = numba.carray

#: The factor of PCG's step, in two halves.
_HIGH, _LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
_ZERO, _ONE, _HALF, _WORD = np.uint64(0), np.uint64(1), np.uint64(32), np.uint64(64)
#: In the place of what is left: a state that is still that of a seed.
_FRESH = np.uint64(2)
_LOWER_BITS, _TURN = np.uint64(0xFFFFFFFF), np.uint64(58)


@intrinsic
def _upper_product(typingctx: Any, a: Any, b: Any) -> Any:
    """``(a, b)``: the upper 64 bits of the product of two unsigned integers of 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> ir.Value:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(arg, wide) for arg in args))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@inner
def _step(high, low, more_high, more_low):
    """The next state of the generator, in two halves: times a factor, plus what tells its stream from others."""
    carried = _upper_product(low, _LOW) + low * _HIGH + high * _LOW + more_high
    low = low * _LOW + more_low
    return carried + (_ONE if low < more_low else _ZERO), low


@inner
def shuffle(state, order, n):
    """Draws the next order of a model.

    Args:
        state: address of the state of its generator: four words of 64 bits; then 0, or 1 where half a number is left, or 2
            where the four words are those of a seed; and that half.
        order: address of the order: each of ``n`` numbers from 0 on, once.
        n: number of rows.
    """
    words, place = carray(pointer_like(state, _ONE), 6), carray(pointer_integer(order, 1), n)
    high, low, more_high, more_low, is_left, left = words[0], words[1], words[2], words[3], words[4], words[5]
    if is_left == _FRESH:
        more_high, more_low = (more_high << _ONE) | (more_low >> np.uint64(63)), (more_low << _ONE) | _ONE
        low += more_low
        high += more_high + (_ONE if low < more_low else _ZERO)
        high, low = _step(high, low, more_high, more_low)
        words[2], words[3], is_left = more_high, more_low, _ZERO
    for i in range(n):
        place[i] = i
    last = n - 1
    while last > 0:
        # As many bits as `last` has; a number that is too large is drawn again. That is rare enough to go on without asking:
        # then a row changes places with itself.
        mask = 1
        while mask < last:
            mask = 2 * mask + 1
        while last > mask >> 1:
            if is_left == _ZERO:
                high, low = _step(high, low, more_high, more_low)
                turn = high >> _TURN
                drawn = high ^ low
                drawn = (drawn >> turn) | (drawn << ((_WORD - turn) & np.uint64(63)))
                left, half = drawn >> _HALF, drawn & _LOWER_BITS
            else:
                half = left
            is_left = is_left ^ _ONE
            other = np.int64(half) & mask
            is_good = other <= last
            other = other if is_good else last
            place[last], place[other] = place[other], place[last]
            last -= 1 if is_good else 0
    words[0], words[1], words[4], words[5] = high, low, is_left, left


def draw_orders(one, states, n_models, n_epochs, n_rows, out):
    """Draws orders of several models, as training does.

    Args:
        one: 1, of which nothing depends.
        states: address of the states of their generators, six words each.
        n_models: number of models M.
        n_epochs: number of epochs.
        n_rows: number of rows N.
        out: address of the orders ``(M, epochs, N)``.
    """
    for model in range(n_models):
        for epoch in range(n_epochs):
            shuffle(states + 48 * model, out + 8 * (model * n_epochs + epoch) * n_rows, n_rows)
