"""Inside the kernel: calls of the machine code that runs circuits."""

from __future__ import annotations

from typing import NamedTuple

import qmoe.training.compiled.layout as at
from qmoe.compiled.addresses import (
    inner,
    integer,
    itemsize,
    merged,
    put_integer,
    put_real,
    real,
    run_kernel,
    write_record,
)
from qmoe.engines.calling import CALL_SIZE, PLACE, Call


class Workplace(NamedTuple):
    """Where a circuit runs: addresses.

    Attributes:
        code: of the circuit's part of a shape.
        call: of the call, which the backward pass reads again.
        scratch: of the memory that the circuit works in.
    """

    code: int
    call: int
    scratch: int


@merged
def router_workplace(shape, memory):
    """Of the router's circuit."""
    return Workplace(shape + 8 * at.ROUTER_CODE, integer(memory, at.ROUTER_CALL), integer(memory, at.ROUTER_SCRATCH))


@merged
def expert_workplace(shape, memory, e):
    """Of the circuit of expert ``e``."""
    call = integer(memory, at.EXPERT_CALL) + e * 8 * CALL_SIZE
    scratch = integer(memory, at.EXPERT_SCRATCH) + e * integer(memory, at.SCRATCH_BYTES)
    return Workplace(shape + 8 * at.EXPERT_CODE, call, scratch)


@inner
def run_forward(one, workplace, n_samples, x, angles, strength, out, states):
    """Runs the circuit of one model.

    Args:
        one: 1 in the precision of all arrays.
        workplace: where.
        n_samples: number of samples B.
        x: address of columns ``(F, B)`` to encode.
        angles: address of the circuit's weights.
        strength: address of the strength of its noise.
        out: address of the read-outs ``(B, n_outputs)``.
        states: address of memory for the final states, or 0 where no backward pass follows.
    """
    code, call, scratch = workplace
    n_chunks = integer(code, at.N_CHUNKS)
    kept = states if integer(code, at.HAS_STATES) else 0
    said = Call(
        first=0, last=n_chunks, n_chunks=n_chunks, chunk=integer(code, at.CHUNK), n_batch=n_samples,
        x_stack=0, x_batch=1, x_feature=n_samples, w_stack=0, x=x, weights=angles, strength=strength, out=out,
        states=kept, cotangent=0, gx=0, gw=0, gs=0, ready=0,
    )  # fmt: skip
    write_record(call, said)
    run_kernel(integer(code, at.FORWARD), one, integer(code, at.HEADER), integer(code, at.OFFSETS), call, scratch)


@inner
def run_backward(one, workplace, memory, given, encoded, gradient, n_angles):
    """Gradients of the circuit of the last `run_forward` at the same workplace.

    Args:
        one: 1 in the precision of all arrays.
        workplace: where.
        memory: address of the record of a thread's memory, where sums over chunks are collected.
        given: address of the gradients of the read-outs ``(B, n_outputs)``.
        encoded: address of zeros ``(B, F)`` for the gradients of what was encoded, or 0.
        gradient: address of the gradients of the weights, which are written.
        n_angles: number of weights.
    """
    code, call, scratch = workplace
    n_chunks, partial = integer(code, at.N_CHUNKS), integer(memory, at.PARTIAL)
    to = gradient if n_chunks == 1 else partial
    for i in range(n_chunks * n_angles):
        put_real(one, to, i, 0.0)
    put_integer(call, PLACE.cotangent, given)
    put_integer(call, PLACE.gx, encoded)
    put_integer(call, PLACE.gw, to)
    put_integer(call, PLACE.gs, integer(memory, at.STRENGTH_GRADIENT))
    put_integer(call, PLACE.ready, 1)
    run_kernel(integer(code, at.BACKWARD), one, integer(code, at.HEADER), integer(code, at.OFFSETS), call, scratch)
    if n_chunks > 1:
        for i in range(n_angles):
            total = real(one, partial, i)
            for chunk in range(1, n_chunks):
                # Rounded each time, as where the sums are arrays.
                put_real(one, gradient, i, total + real(one, partial, chunk * n_angles + i))
                total = real(one, gradient, i)


@inner
def rows_to_columns(one, columns, rows, n_outputs, n_samples):
    """Copies ``(B, n_outputs)`` to the matrix ``columns`` ``(n_outputs, B)``."""
    for k in range(n_outputs):
        for b in range(n_samples):
            columns[k, b] = real(one, rows, b * n_outputs + k)


@inner
def columns_to_rows(one, rows, columns, n_samples):
    """The other way round."""
    n_outputs = columns.shape[0]
    for k in range(n_outputs):
        for b in range(n_samples):
            put_real(one, rows, b * n_outputs + k, columns[k, b])


@inner
def clear_numbers(one, address, n):
    """Writes ``n`` zeros."""
    for i in range(n):
        put_real(one, address, i, 0.0)


@inner
def place_of(one, address, index):
    """The address of number ``index`` after ``address``."""
    return address + index * itemsize(one)
