"""State vectors beyond the cache: one block after another, each stage by all threads over the amplitudes.

Work is cut in a fixed number of parts, whatever the number of threads, and sums over parts are taken in order: the same
circuit gives the same numbers on any number of threads. Phases are computed where they are used, a chunk of basis states
at a time, so that two states are all the memory that gradients take.
"""

from __future__ import annotations

import qmoe.engines.native.kernels.state_ends as ends
from qmoe.compiled.addresses import double, integer, itemsize, merged, odd, put_double, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.trigonometry import cos_sin, walsh_hadamard
from qmoe.engines.native.kernels.angles import (
    accumulate_samples,
    accumulate_shared,
    accumulate_term,
    encode_samples,
    half_angle,
    share_angles,
    sum_phases,
    write_table,
)
from qmoe.engines.native.kernels.frames import only_block, open_frame, open_part, term_of
from qmoe.engines.native.kernels.state_passes import clear
from qmoe.engines.native.layout import N_PARTS, OPERATION, PHASE, PHASE_CHUNK, SLOT


def prepare_large(one, header, parts, call, scratch, psi):
    """Computes all angles of one block, and its initial state at ``psi`` unless that is 0.

    Args:
        one: 1 in the precision of all numbers.
        header: address of the `Header` of a program.
        parts: address of the offsets of the sections of `Scratch`, then of those of each part of the state.
        call: address of a `Call` for this block alone.
        scratch: address of the scratch memory.
        psi: address of the state.
    """
    frame = open_frame(header, parts, call, scratch)
    program, block = frame.program, only_block(frame.call)
    share_angles(one, frame, block)
    encode_samples(one, frame, block)
    for t in range(program.n_terms):
        # A basis state of even parity turns by minus half the angle.
        angle = -half_angle(one, frame, block, term_of(program, t), program.term_factors, t)
        put_double(frame.scratch.term_angles, t, angle)
    if psi != 0:
        ends.begin(one, frame, block, psi)


@merged
def _fill_chunk(one, frame, own, table, first):
    """The phases of one table for the basis states first .. first + PHASE_CHUNK - 1."""
    program, work = frame.program, own.work
    for k in range(PHASE_CHUNK):
        put_double(work, k, 0.0)
    for t in range(program.n_terms):
        term = term_of(program, t)
        if term.table == table:
            angle, place = double(frame.scratch.term_angles, t), term.mask & (PHASE_CHUNK - 1)
            put_double(work, place, double(work, place) + (-angle if odd(term.mask & first) else angle))
    walsh_hadamard(work, PHASE_CHUNK)
    cos_sin(work, PHASE_CHUNK)
    write_table(one, program, own.table, work + 8 * PHASE_CHUNK, PHASE_CHUNK)


@merged
def _collect_chunk(one, program, own, table, first):
    """Adds the gradients of the phases of a chunk to those of the terms."""
    sum_phases(one, program, own.work, own.phases, PHASE_CHUNK)
    walsh_hadamard(own.work, PHASE_CHUNK)
    for t in range(program.n_terms):
        term = term_of(program, t)
        if term.table == table:
            value = double(own.work, term.mask & (PHASE_CHUNK - 1))
            put_double(own.terms, t, double(own.terms, t) + (-value if odd(term.mask & first) else value))


@merged
def _bounds(program, part):
    """The first vector of a part of the state, the first after it, and the vectors of a chunk of phases."""
    n = program.n_vectors
    return n * part // N_PARTS, n * (part + 1) // N_PARTS, PHASE_CHUNK >> program.lane_bits


def advance_large(one, header, parts, call, scratch, psi, row, part):
    """Applies a row to one part of the state."""
    frame, own = open_frame(header, parts, call, scratch), open_part(parts, scratch, part)
    if integer(row, OPERATION) == PHASE:
        lo, hi, step = _bounds(frame.program, part)
        for first in range(lo, hi, step):
            _fill_chunk(one, frame, own, integer(row, SLOT), first << frame.program.lane_bits)
            ends.advance_phases(one, frame.program, psi, own.table, first, first + step)
    else:
        ends.advance_row(one, frame, psi, row, part, N_PARTS)


def undo_large(one, header, parts, call, scratch, psi, lam, row, part):
    """Undoes a row on one part of both states, adding up gradients."""
    frame, own = open_frame(header, parts, call, scratch), open_part(parts, scratch, part)
    bits = frame.program.lane_bits
    if integer(row, OPERATION) == PHASE:
        lo, hi, step = _bounds(frame.program, part)
        for first in range(lo, hi, step):
            _fill_chunk(one, frame, own, integer(row, SLOT), first << bits)
            clear(one, own.phases, 0, step)
            ends.undo_phases(one, frame.program, psi, lam, own.table, own.phases, first, first + step)
            _collect_chunk(one, frame.program, own, integer(row, SLOT), first << bits)
    else:
        ends.undo_row(one, frame, psi, lam, row, own.gradients, part, N_PARTS)


def read_large(one, header, parts, call, scratch, psi, part):
    """Reads one part: probabilities, or its share of the expectation values."""
    frame, own = open_frame(header, parts, call, scratch), open_part(parts, scratch, part)
    program, n_here = frame.program, only_block(frame.call).n_here
    lo, hi, _ = _bounds(program, part)
    if program.is_born:
        ends.read_born(one, program, psi, own.rows, frame.call.out, n_here, lo, hi)
    else:
        clear(one, own.sums, 0, program.n_qubits)
        ends.sum_signs(one, program, psi, own.rows, own.sums, lo, hi)


def finish_large(one, header, parts, call, scratch):
    """Writes the expectation values."""
    frame = open_frame(header, parts, call, scratch)
    program, sums = frame.program, frame.scratch.sums
    for i in range(program.n_qubits * (WIDTH // itemsize(one))):
        total = 0.0
        for part in range(N_PARTS):
            total += real(one, open_part(parts, scratch, part).sums, i)
        put_real(one, sums, i, total)
    ends.write_expectations(one, program, sums, frame.call.out, only_block(frame.call).n_here)


def seed_large(one, header, parts, call, scratch, psi, lam, part):
    """Writes one part of ``lam``, and clears the part's gradients."""
    frame, own = open_frame(header, parts, call, scratch), open_part(parts, scratch, part)
    program, n_here = frame.program, only_block(frame.call).n_here
    lo, hi, _ = _bounds(program, part)
    clear(one, own.gradients, 0, program.n_slots)
    for t in range(program.n_terms):
        put_double(own.terms, t, 0.0)
    if program.is_born:
        ends.seed_born(one, program, psi, lam, own.rows, frame.call.cotangent, n_here, lo, hi)
    else:
        ends.load_cotangent(one, program, own.sums, frame.call.cotangent, n_here)
        ends.seed_signs(one, program, psi, lam, own.rows, own.sums, lo, hi)


def collect_large(one, header, parts, call, scratch, lam):
    """Adds the gradients of one block to those of the weights, and of the features unless GX is 0."""
    frame = open_frame(header, parts, call, scratch)
    program, gradients, gw, gx = frame.program, frame.scratch.gradients, frame.call.gw, frame.call.gx
    block = only_block(frame.call)
    for i in range(program.n_slots * (WIDTH // itemsize(one))):
        total = 0.0
        for part in range(N_PARTS):
            total += real(one, open_part(parts, scratch, part).gradients, i)
        put_real(one, gradients, i, total)
    accumulate_shared(one, frame, gw, gx)
    for t in range(program.n_terms):
        total = 0.0
        for part in range(N_PARTS):
            total += double(open_part(parts, scratch, part).terms, t)
        accumulate_term(one, program, t, total, gw, gx)
    if gx != 0:
        accumulate_samples(one, frame, block, gx)
        if program.is_prepared:
            ends.amplitude_gradients(one, frame, block, lam, gx)
