"""The kernels of the state vector: all samples of all models, block of lanes after block of lanes.

A block goes through the whole circuit while it is in the cache. In the backward pass the gates are undone one by one, so
two states are all the memory it takes (adjoint differentiation; Jones and Gacon 2020, arXiv:2009.02823).
"""

from __future__ import annotations

from qmoe.compiled.addresses import inlined, inner, integer, itemsize, put_integer
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.calling import (
    CHUNK,
    COTANGENT,
    FIRST,
    GW,
    GX,
    LAST,
    N_BATCH,
    N_CHUNKS,
    OUT,
    READY,
    STATES,
    W_STACK,
    WEIGHTS,
    X_BATCH,
    X_FEATURE,
    X_STACK,
    X,
)
from qmoe.engines.native.kernels.angles import (
    accumulate_samples,
    accumulate_shared,
    accumulate_tables,
    encode_samples,
    share_angles,
    share_tables,
)
from qmoe.engines.native.kernels.state_ends import (
    amplitude_gradients,
    begin,
    count_cosets,
    load_cotangent,
    read_born,
    rotate,
    seed_born,
    seed_signs,
    sum_signs,
    unrotate,
    write_expectations,
)
from qmoe.engines.native.kernels.state_passes import (
    clear,
    copy,
    phase,
    phase_each,
    phase_lanes,
    unphase,
    unphase_each,
    unphase_lanes,
)
from qmoe.engines.native.layout import (
    BACKWARD,
    BORN,
    COEFFICIENTS,
    ENCODES_LATER,
    FORWARD,
    GRADIENTS,
    LAM,
    LANE_BITS,
    N_BACKWARD,
    N_FEATURES,
    N_FORWARD,
    N_OUTPUTS,
    N_QUBITS,
    N_SHARED,
    N_SLOTS,
    N_START,
    N_TABLES,
    N_WEIGHTS,
    PHASE,
    PHASE_EACH,
    PREPARED,
    PSI,
    ROW,
    ROWS,
    SIGN,
    SIZE,
    SLOT,
    START,
    SUMS,
    TABLE_GRADIENTS,
    TABLES,
    TABLES_EACH,
)


@inlined
def place_parts(parts, scratch):
    """Writes the addresses of the parts of the scratch memory to its beginning, and returns where they stand."""
    for i in range(SIZE):
        put_integer(scratch, i, scratch + SIZE * WIDTH + integer(parts, i))
    return scratch


@inner
def _advance(one, header, at, psi):
    """Applies all stages."""
    dim, bits = 1 << integer(header, N_QUBITS), integer(header, LANE_BITS)
    n = dim >> bits
    for i in range(integer(header, N_FORWARD)):
        row = integer(header, FORWARD) + i * ROW * 8
        operation, slot = integer(row, 0), integer(row, SLOT)
        if operation == PHASE:
            table = integer(at, TABLES) + 2 * slot * dim * itemsize(one)
            if bits == 0:
                phase(one, psi, table, 0, 0, n)
            else:
                phase_lanes(one, psi, table, 0, 0, n)
        elif operation == PHASE_EACH:
            phase_each(one, psi, integer(at, COEFFICIENTS), slot, integer(row, SIGN), 0, n)
        else:
            rotate(one, psi, row, integer(at, COEFFICIENTS), 0, count_cosets(row, n))


@inner
def _undo(one, header, at, first, count):
    """Undoes ``count`` rows from address ``first`` on, adding up gradients."""
    dim, bits = 1 << integer(header, N_QUBITS), integer(header, LANE_BITS)
    n = dim >> bits
    psi, lam = integer(at, PSI), integer(at, LAM)
    coefficients, gradients = integer(at, COEFFICIENTS), integer(at, GRADIENTS)
    for i in range(count):
        row = first + i * ROW * 8
        operation, slot = integer(row, 0), integer(row, SLOT)
        if operation == PHASE:
            table = integer(at, TABLES) + 2 * slot * dim * itemsize(one)
            to = integer(at, TABLE_GRADIENTS) + slot * n * WIDTH
            if bits == 0:
                unphase(one, psi, lam, table, to, 0, 0, n)
            else:
                unphase_lanes(one, psi, lam, table, to, 0, 0, n)
        elif operation == PHASE_EACH:
            unphase_each(one, psi, lam, coefficients, gradients, slot, integer(row, SIGN), 0, n)
        else:
            unrotate(one, psi, lam, row, coefficients, gradients, 0, count_cosets(row, n))


def evaluate(one, header, parts, call, scratch):
    """Runs the items of a call, an item being a chunk of the blocks of one model; keeps final states if STATES is not 0."""
    size, bits = itemsize(one), integer(header, LANE_BITS)
    lanes = WIDTH // size if bits == 0 else 1
    n = (1 << integer(header, N_QUBITS)) >> bits
    n_batch, n_chunks, chunk = integer(call, N_BATCH), integer(call, N_CHUNKS), integer(call, CHUNK)
    n_blocks = (n_batch + lanes - 1) // lanes
    feature_stride, sample_stride = integer(call, X_FEATURE), integer(call, X_BATCH)
    at = place_parts(parts, scratch)
    model = -1
    for item in range(integer(call, FIRST), integer(call, LAST)):
        fresh = item // n_chunks != model
        model = item // n_chunks
        weights = integer(call, WEIGHTS) + model * integer(call, W_STACK) * size
        start = item % n_chunks * chunk
        for block in range(start, min(start + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            x = integer(call, X) + (model * integer(call, X_STACK) + sample * sample_stride) * size
            if fresh or bits > 0:
                share_angles(one, header, at, weights, x, feature_stride)
            if fresh or integer(header, TABLES_EACH):
                share_tables(one, header, at, weights, x, feature_stride)
            fresh = False
            encode_samples(one, header, at, x, n_here, feature_stride, sample_stride)
            psi = integer(at, PSI)
            if integer(call, STATES) != 0:
                psi = integer(call, STATES) + (model * n_blocks + block) * 2 * n * WIDTH
            begin(one, header, integer(at, COEFFICIENTS), psi, x, n_here, feature_stride, sample_stride)
            _advance(one, header, at, psi)
            out = integer(call, OUT) + (model * n_batch + sample) * integer(header, N_OUTPUTS) * size
            if integer(header, BORN):
                read_born(one, header, psi, integer(at, ROWS), out, n_here, 0, n)
            else:
                clear(one, integer(at, SUMS), 0, integer(header, N_QUBITS))
                sum_signs(one, header, psi, integer(at, ROWS), integer(at, SUMS), 0, n)
                write_expectations(one, header, integer(at, SUMS), out, n_here)


def differentiate(one, header, parts, call, scratch):
    """Gradients of the items of a call, added to what is there.

    Those of the weights go to GW ``(M, n_chunks, P)``, of the features to GX ``(M, B, F)`` unless it is 0.
    """
    size, bits = itemsize(one), integer(header, LANE_BITS)
    lanes = WIDTH // size if bits == 0 else 1
    n = (1 << integer(header, N_QUBITS)) >> bits
    n_batch, n_chunks, chunk = integer(call, N_BATCH), integer(call, N_CHUNKS), integer(call, CHUNK)
    n_blocks = (n_batch + lanes - 1) // lanes
    n_slots, shared = integer(header, N_SLOTS), integer(header, N_SHARED)
    feature_stride, sample_stride = integer(call, X_FEATURE), integer(call, X_BATCH)
    at = place_parts(parts, scratch)
    psi, lam, coefficients = integer(at, PSI), integer(at, LAM), integer(at, COEFFICIENTS)
    model = integer(call, READY) - 1
    for item in range(integer(call, FIRST), integer(call, LAST)):
        fresh = item // n_chunks != model
        model = item // n_chunks
        weights = integer(call, WEIGHTS) + model * integer(call, W_STACK) * size
        gw = integer(call, GW) + item * integer(header, N_WEIGHTS) * size
        start = item % n_chunks * chunk
        end = min(start + chunk, n_blocks)
        for block in range(start, end):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            x = integer(call, X) + (model * integer(call, X_STACK) + sample * sample_stride) * size
            if fresh or bits > 0:
                share_angles(one, header, at, weights, x, feature_stride)
            if fresh or integer(header, TABLES_EACH):
                share_tables(one, header, at, weights, x, feature_stride)
            fresh = False
            if block == start or bits > 0:
                clear(one, integer(at, GRADIENTS), 0, shared)
                clear(one, integer(at, TABLE_GRADIENTS), 0, integer(header, N_TABLES) * n)
            clear(one, integer(at, GRADIENTS), shared, n_slots)
            if integer(call, GX) != 0 or integer(call, STATES) == 0 or integer(header, ENCODES_LATER):
                encode_samples(one, header, at, x, n_here, feature_stride, sample_stride)
            if integer(call, STATES) != 0:
                copy(one, integer(call, STATES) + (model * n_blocks + block) * 2 * n * WIDTH, psi, 0, n)
            else:
                begin(one, header, coefficients, psi, x, n_here, feature_stride, sample_stride)
                _advance(one, header, at, psi)
            cotangent = integer(call, COTANGENT) + (model * n_batch + sample) * integer(header, N_OUTPUTS) * size
            if integer(header, BORN):
                seed_born(one, header, psi, lam, integer(at, ROWS), cotangent, n_here, 0, n)
            else:
                load_cotangent(one, header, integer(at, SUMS), cotangent, n_here)
                seed_signs(one, header, psi, lam, integer(at, ROWS), integer(at, SUMS), 0, n)
            _undo(one, header, at, integer(header, BACKWARD), integer(header, N_BACKWARD))
            gx = integer(call, GX)
            if gx != 0:
                gx += (model * n_batch + sample) * integer(header, N_FEATURES) * size
                _undo(one, header, at, integer(header, START), integer(header, N_START))
                accumulate_samples(one, header, at, gx, n_here)
                if integer(header, PREPARED):
                    amplitude_gradients(one, header, lam, x, gx, n_here, feature_stride, sample_stride)
            if block == end - 1 or bits > 0:
                accumulate_shared(one, header, at, gw, gx)
                accumulate_tables(one, header, at, gw, gx)
