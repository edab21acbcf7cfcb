"""The kernels of the state vector: all samples of all models, block of lanes after block of lanes.

A block goes through the whole circuit while it is in the cache. In the backward pass the gates are undone one by one, so
two states are all the memory it takes (adjoint differentiation; Jones and Gacon 2020, arXiv:2009.02823).
"""

from __future__ import annotations

import qmoe.engines.native.kernels.state_ends as ends
from qmoe.compiled.addresses import integer, itemsize, merged
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.native.kernels.angles import (
    accumulate_samples,
    accumulate_shared,
    accumulate_tables,
    encode_samples,
    share_angles,
    share_tables,
)
from qmoe.engines.native.kernels.frames import walk
from qmoe.engines.native.kernels.state_passes import clear, copy
from qmoe.engines.native.layout import OPERATION, PHASE, ROW, SLOT


@merged
def _share(one, frame, block):
    """What samples share: cosines and sines of angles, and tables of phases, where they are not there yet."""
    if block.is_fresh or frame.program.lane_bits > 0:
        share_angles(one, frame, block)
    if block.is_fresh or frame.program.has_sample_tables:
        share_tables(one, frame, block)


@merged
def _kept_state(frame, block):
    """The address of a block's final state."""
    return frame.call.states + block.number * 2 * frame.program.n_vectors * WIDTH


@merged
def _advance(one, frame, psi):
    """Applies all rows."""
    program = frame.program
    for i in range(program.n_forward):
        row = program.forward + i * ROW * 8
        if integer(row, OPERATION) == PHASE:
            table = frame.scratch.tables + 2 * integer(row, SLOT) * program.dim * itemsize(one)
            ends.advance_phases(one, program, psi, table, 0, program.n_vectors)
        else:
            ends.advance_row(one, frame, psi, row, 0, 1)


@merged
def _undo(one, frame, n_rows):
    """Undoes the first rows of the backward pass, adding up gradients."""
    program, scratch = frame.program, frame.scratch
    psi, lam, n = scratch.psi, scratch.lam, program.n_vectors
    for i in range(n_rows):
        row = program.backward + i * ROW * 8
        if integer(row, OPERATION) == PHASE:
            table = scratch.tables + 2 * integer(row, SLOT) * program.dim * itemsize(one)
            gradients = scratch.table_gradients + integer(row, SLOT) * n * WIDTH
            ends.undo_phases(one, program, psi, lam, table, gradients, 0, n)
        else:
            ends.undo_row(one, frame, psi, lam, row, scratch.gradients, 0, 1)


@merged
def _evaluate_block(one, frame, block):
    """The read-outs of a block."""
    program, scratch = frame.program, frame.scratch
    _share(one, frame, block)
    encode_samples(one, frame, block)
    psi = scratch.psi if frame.call.states == 0 else _kept_state(frame, block)
    ends.begin(one, frame, block, psi)
    _advance(one, frame, psi)
    out = frame.call.out + block.sample * program.n_outputs * itemsize(one)
    if program.is_born:
        ends.read_born(one, program, psi, scratch.rows, out, block.n_here, 0, program.n_vectors)
    else:
        clear(one, scratch.sums, 0, program.n_qubits)
        ends.sum_signs(one, program, psi, scratch.rows, scratch.sums, 0, program.n_vectors)
        ends.write_expectations(one, program, scratch.sums, out, block.n_here)


@merged
def _clear_gradients(one, frame, block):
    """Of what samples share once a chunk, of the samples' own angles at every block."""
    program, scratch = frame.program, frame.scratch
    if block.is_first or program.lane_bits > 0:
        clear(one, scratch.gradients, 0, program.n_shared)
        clear(one, scratch.table_gradients, 0, program.n_tables * program.n_vectors)
    clear(one, scratch.gradients, program.n_shared, program.n_slots)


@merged
def _differentiate_block(one, frame, block):
    """The gradients of a block, from its final state or from the beginning."""
    program, scratch, call = frame.program, frame.scratch, frame.call
    psi, lam, n = scratch.psi, scratch.lam, program.n_vectors
    _share(one, frame, block)
    _clear_gradients(one, frame, block)
    if call.gx != 0 or call.states == 0 or program.encodes_later:
        encode_samples(one, frame, block)
    if call.states != 0:
        copy(one, _kept_state(frame, block), psi, 0, n)
    else:
        ends.begin(one, frame, block, psi)
        _advance(one, frame, psi)
    cotangent = call.cotangent + block.sample * program.n_outputs * itemsize(one)
    if program.is_born:
        ends.seed_born(one, program, psi, lam, scratch.rows, cotangent, block.n_here, 0, n)
    else:
        ends.load_cotangent(one, program, scratch.sums, cotangent, block.n_here)
        ends.seed_signs(one, program, psi, lam, scratch.rows, scratch.sums, 0, n)
    gx = 0 if call.gx == 0 else call.gx + block.sample * program.n_features * itemsize(one)
    _undo(one, frame, program.n_backward + (program.n_start if gx != 0 else 0))
    if gx != 0:
        accumulate_samples(one, frame, block, gx)
        if program.is_prepared:
            ends.amplitude_gradients(one, frame, block, lam, gx)
    if block.is_last or program.lane_bits > 0:
        gw = call.gw + block.item * program.n_weights * itemsize(one)
        accumulate_shared(one, frame, gw, gx)
        accumulate_tables(one, frame, gw, gx)


def evaluate(one, header, parts, call, scratch):
    """Runs the items of a call; keeps the final states where their address is given.

    Args:
        one: 1 in the precision of all numbers.
        header: address of the `Header` of a program.
        parts: address of the offsets of the sections of `Scratch`.
        call: address of the `Call`.
        scratch: address of the scratch memory.
    """
    walk(one, header, parts, call, scratch, _evaluate_block)


def differentiate(one, header, parts, call, scratch):
    """Gradients of the items of a call, added to what is there; arguments as those of `evaluate`."""
    walk(one, header, parts, call, scratch, _differentiate_block)
