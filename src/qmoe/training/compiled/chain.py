"""Inside the kernel: a stochastic chain, from populations to mean signs, and back to the gradients of its angles.

The chain is followed backwards, from the signs that are read out: what a bit string gives is the mean over what a gate turns
it into. That depends on the angles alone, so it is done once a batch, and samples are sums over bit strings.
"""

from __future__ import annotations

import math

import numba
import numpy as np

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import inner, integer, pointer_like
from qmoe.training.compiled.circuit_calls import place_of
from qmoe.training.compiled.column_operations import add_rows, weight_gradients
from qmoe.training.compiled.views import columns

carray = numba.carray


@inner
def _angles(one, plan, row):
    """``(gates, 4)``: of a row of values, or of gradients."""
    n_gates = integer(plan, at.N_BITS) * integer(plan, at.N_CHAIN_LAYERS)
    return carray(pointer_like(place_of(one, row, integer(plan, at.ROUTER_ANGLES)), one), (n_gates, 4))


@inner
def _outcomes(one, plan, memory):
    """``(gates + 2, F, 4**F)``: what bit strings before each gate give, the signs at the end, and one to work in."""
    n_bits = integer(plan, at.N_BITS)
    n_gates = n_bits * integer(plan, at.N_CHAIN_LAYERS)
    return carray(pointer_like(integer(memory, at.CHAIN), one), (n_gates + 2, n_bits // 2, 1 << n_bits))


@inner
def _places(n_bits, gate):
    """The bits, as places in a bit string, that a gate looks at and that it flips."""
    control = gate % n_bits
    return n_bits - 1 - control, n_bits - 1 - (control + 1) % n_bits


@inner
def follow_chain(one, plan, memory, row, n_samples):
    """Mean signs of a batch ``(F, B)``, in the columns of the router's inputs."""
    n_bits, angles, kept = integer(plan, at.N_BITS), _angles(one, plan, row), _outcomes(one, plan, memory)
    n_gates, n_read, dim = angles.shape[0], n_bits // 2, 1 << n_bits
    for q in range(n_read):
        for b in range(dim):
            kept[n_gates, q, b] = 1 - 2 * ((b >> (n_bits - 1 - 2 * q)) & 1)
    for gate in range(n_gates - 1, -1, -1):
        control, target = _places(n_bits, gate)
        later, now = kept[gate + 1], kept[gate]
        for c in range(2):
            up = (1.0 - math.cos(np.float64(angles[gate, 2 * c]))) / 2.0
            down = (1.0 - math.cos(np.float64(angles[gate, 2 * c + 1]))) / 2.0
            for b in range(dim):
                if (b >> control & 1) == c and (b >> target & 1) == 0:
                    other = b | (1 << target)
                    for q in range(n_read):
                        low, high = np.float64(later[q, b]), np.float64(later[q, other])
                        now[q, b] = low + up * (high - low)
                        now[q, other] = high + down * (low - high)
    signs = columns(one, plan, memory, at.AT_INPUTS, n_read, n_samples)
    populations = columns(one, plan, memory, at.AT_GIVEN, dim, n_samples)
    for q in range(n_read):
        for b in range(n_samples):
            signs[q, b] = 0
        add_rows(signs[q], kept[0, q], populations, 0)


@inner
def unfollow_chain(one, plan, memory, row, given, n_samples):
    """Gradients of the angles, from those of the mean signs ``(F, B)``, after `follow_chain` on the same batch."""
    n_bits, angles, kept = integer(plan, at.N_BITS), _angles(one, plan, row), _outcomes(one, plan, memory)
    n_gates, n_read, dim = angles.shape[0], n_bits // 2, 1 << n_bits
    gradient = _angles(one, plan, integer(memory, at.GRADIENT))
    of_outcomes = kept[n_gates + 1]
    populations = columns(one, plan, memory, at.AT_GIVEN, dim, n_samples)
    weight_gradients(of_outcomes, given, populations)
    for gate in range(n_gates):
        control, target = _places(n_bits, gate)
        later = kept[gate + 1]
        for c in range(2):
            first, second = np.float64(angles[gate, 2 * c]), np.float64(angles[gate, 2 * c + 1])
            up, down = (1.0 - math.cos(first)) / 2.0, (1.0 - math.cos(second)) / 2.0
            of_up = of_down = 0.0
            for b in range(dim):
                if (b >> control & 1) == c and (b >> target & 1) == 0:
                    other = b | (1 << target)
                    for q in range(n_read):
                        step = np.float64(later[q, other]) - np.float64(later[q, b])
                        low, high = np.float64(of_outcomes[q, b]), np.float64(of_outcomes[q, other])
                        of_up += low * step
                        of_down -= high * step
                        of_outcomes[q, b] = low * (1.0 - up) + high * down
                        of_outcomes[q, other] = low * up + high * (1.0 - down)
            gradient[gate, 2 * c] = of_up * math.sin(first) / 2.0
            gradient[gate, 2 * c + 1] = of_down * math.sin(second) / 2.0
