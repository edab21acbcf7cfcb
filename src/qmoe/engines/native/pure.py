"""The kernels of the state vector: all samples of all models, block of lanes after block of lanes.

A block goes through the whole circuit while it is in the cache. In the backward pass the gates are undone one by one, so
two states are all the memory it takes (adjoint differentiation; Jones and Gacon 2020, arXiv:2009.02823).
"""

from __future__ import annotations

import numba
import numpy as np

from qmoe.engines.native import program as pg
from qmoe.engines.native.angles import (
    accumulate_samples,
    accumulate_shared,
    accumulate_tables,
    encode_samples,
    norm_of,
    odd,
    share_angles,
    share_tables,
    transform,
)
from qmoe.engines.native.compiling import inner, itemsize, kernel, pointer_int, pointer_like
from qmoe.engines.native.lanes import WIDTH
from qmoe.engines.native.passes import (
    PIVOT,
    ROW,
    SIGN,
    SLOT,
    add_signed,
    clear,
    copy,
    phase,
    phase_each,
    phase_lanes,
    probabilities,
    rotate1,
    rotate2,
    rotate3,
    rotate_lanes,
    seed_gradient,
    spread,
    unphase,
    unphase_each,
    unphase_lanes,
    unrotate1,
    unrotate2,
    unrotate_lanes,
)

carray = numba.carray


@inner
def count_cosets(row, n):  # type: ignore[no-untyped-def]
    """How many cosets of ``n`` vectors the row of a rotation goes through."""
    if row[0] == pg.ROTATE_LANES:
        return n if row[PIVOT] < 0 else n >> 1
    return n >> row[1]


@inner
def rotate(one, psi, address, row, coefficients, lo, hi):  # type: ignore[no-untyped-def]
    """Applies the row of a group of rotations to the cosets lo .. hi - 1."""
    if row[0] == pg.ROTATE_LANES:
        rotate_lanes(one, psi, address, coefficients, lo, hi)
    elif row[1] == 3:
        rotate3(one, psi, address, coefficients, lo, hi)
    elif row[1] == 2:
        rotate2(one, psi, address, coefficients, lo, hi)
    else:
        rotate1(one, psi, address, coefficients, lo, hi)


@inner
def unrotate(one, psi, lam, address, row, coefficients, gradients, lo, hi):  # type: ignore[no-untyped-def]
    """Undoes the row of a group of rotations on the cosets lo .. hi - 1."""
    if row[0] == pg.ROTATE_LANES:
        unrotate_lanes(one, psi, lam, address, coefficients, gradients, lo, hi)
    elif row[1] == 2:
        unrotate2(one, psi, lam, address, coefficients, gradients, lo, hi)
    else:
        unrotate1(one, psi, lam, address, coefficients, gradients, lo, hi)


@inner
def begin(one, header, coefficients, psi, x, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Writes the initial state of a block."""
    lanes = WIDTH // itemsize(one)
    q, bits = header[pg.N_QUBITS], header[pg.LANE_BITS]
    n = (1 << q) >> bits
    if header[pg.PREPARED]:
        clear(one, psi, 0, 2 * n)
        state = carray(pointer_like(psi, one), (2 * n * lanes,))
        for lane in range(n_here):
            norm = norm_of(x[lane * sample_stride :], header[pg.N_FEATURES], feature_stride)
            for f in range(header[pg.N_FEATURES]):
                place = (f >> bits) * 2 * lanes + (lane if bits == 0 else f & (lanes - 1))
                state[place] = x[lane * sample_stride + f * feature_stride] / norm
        return
    state = carray(pointer_like(psi, one), (2 * lanes,))
    state[:lanes] = 1.0
    state[lanes:] = 0.0
    slots = carray(pointer_int(header[pg.START_SLOTS], one), (q,))
    for i in range(bits):
        cos, sin = coefficient(one, header, coefficients, slots[i])
        for lane in range(lanes):
            state[lane] *= sin if lane >> i & 1 else cos
    for i in range(bits, q):
        spread(one, psi, coefficients, slots[i], 1 << (i - bits))


@inner
def coefficient(one, header, coefficients, slot):  # type: ignore[no-untyped-def]
    """Cosine and sine of a slot, from lane 0, where every sign is positive."""
    lanes = WIDTH // itemsize(one)
    values = carray(pointer_like(coefficients + 2 * slot * WIDTH, one), (2 * lanes,))
    return values[0], values[lanes]


@inner
def _advance(one, header, at, psi):  # type: ignore[no-untyped-def]
    """Applies all stages."""
    dim, bits = 1 << header[pg.N_QUBITS], header[pg.LANE_BITS]
    n = dim >> bits
    for i in range(header[pg.N_FORWARD]):
        address = header[pg.FORWARD] + i * ROW * 8
        row = carray(pointer_int(address, one), (ROW,))
        if row[0] == pg.PHASE:
            table = at[pg.TABLES] + 2 * row[SLOT] * dim * itemsize(one)
            if bits == 0:
                phase(one, psi, table, 0, 0, n)
            else:
                phase_lanes(one, psi, table, 0, 0, n)
        elif row[0] == pg.PHASE_EACH:
            phase_each(one, psi, at[pg.COEFFICIENTS], row[SLOT], row[SIGN], 0, n)
        else:
            rotate(one, psi, address, row, at[pg.COEFFICIENTS], 0, count_cosets(row, n))


@inner
def _undo(one, header, at, first, count):  # type: ignore[no-untyped-def]
    """Undoes ``count`` rows from address ``first`` on, adding up gradients."""
    dim, bits = 1 << header[pg.N_QUBITS], header[pg.LANE_BITS]
    n = dim >> bits
    psi, lam, coefficients, gradients = at[pg.PSI], at[pg.LAM], at[pg.COEFFICIENTS], at[pg.GRADIENTS]
    for i in range(count):
        address = first + i * ROW * 8
        row = carray(pointer_int(address, one), (ROW,))
        if row[0] == pg.PHASE:
            table = at[pg.TABLES] + 2 * row[SLOT] * dim * itemsize(one)
            table_gradients = at[pg.TABLE_GRADIENTS] + row[SLOT] * n * WIDTH
            if bits == 0:
                unphase(one, psi, lam, table, table_gradients, 0, 0, n)
            else:
                unphase_lanes(one, psi, lam, table, table_gradients, 0, 0, n)
        elif row[0] == pg.PHASE_EACH:
            unphase_each(one, psi, lam, coefficients, gradients, row[SLOT], row[SIGN], 0, n)
        else:
            unrotate(one, psi, lam, address, row, coefficients, gradients, 0, count_cosets(row, n))


@inner
def sum_signs(one, header, psi, rows, sums, lo, hi):  # type: ignore[no-untyped-def]
    """Adds ``sum_k (-1)^parity(sign_w & k) |psi_k|^2`` over the vectors lo .. hi - 1 to ``sums[w]``, for every wire w."""
    q, bits = header[pg.N_QUBITS], header[pg.LANE_BITS]
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    shifts = carray(pointer_int(header[pg.SHIFTS], one), (q,))
    width = min(hi - lo, pg.READOUT_ROW)
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        transform(one, rows, width)
        for w in range(q):
            sign = signs[w] >> bits
            add_signed(one, rows, sign & (width - 1), sums, w, odd(sign & first) ^ shifts[w])


@inner
def write_expectations(one, header, sums, out, n_here):  # type: ignore[no-untyped-def]
    """Writes ``sums`` to ``out`` ``(n_here, Q)``."""
    lanes = WIDTH // itemsize(one)
    q = header[pg.N_QUBITS]
    values = carray(pointer_like(sums, one), (q * lanes,))
    if header[pg.LANE_BITS] == 0:
        for lane in range(n_here):
            for w in range(q):
                out[lane * q + w] = values[w * lanes + lane]
        return
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    for w in range(q):
        total = 0.0
        for lane in range(lanes):
            value = np.float64(values[w * lanes + lane])
            total += -value if odd(signs[w] & lane) else value
        out[w] = total


@inner
def read_born(one, header, psi, rows, out, n_here, lo, hi):  # type: ignore[no-untyped-def]
    """Writes the probabilities of the vectors lo .. hi - 1 to their places in ``out`` ``(n_here, D)``."""
    lanes = WIDTH // itemsize(one)
    dim, bits = 1 << header[pg.N_QUBITS], header[pg.LANE_BITS]
    width = min(hi - lo, pg.READOUT_ROW)
    row = carray(pointer_like(rows, one), (width * lanes,))
    place = carray(pointer_int(header[pg.ORDER], one), (dim,))
    for first in range(lo, hi, width):
        probabilities(one, psi, rows, first, first + width)
        if bits == 0:
            for i in range(width):
                for lane in range(n_here):
                    out[lane * dim + place[first + i]] = row[i * lanes + lane]
        else:
            for i in range(width * lanes):
                out[place[first * lanes + i]] = row[i]


@inner
def load_cotangent(one, header, sums, cotangent, n_here):  # type: ignore[no-untyped-def]
    """The gradients of the expectation values of a block, a vector of lanes for each wire."""
    lanes = WIDTH // itemsize(one)
    q = header[pg.N_QUBITS]
    values = carray(pointer_like(sums, one), (q * lanes,))
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    for w in range(q):
        for lane in range(lanes):
            if header[pg.LANE_BITS] > 0:
                values[w * lanes + lane] = -cotangent[w] if odd(signs[w] & lane) else cotangent[w]
            else:
                values[w * lanes + lane] = cotangent[lane * q + w] if lane < n_here else 0.0 * one


@inner
def seed_signs(one, header, psi, lam, rows, sums, lo, hi):  # type: ignore[no-untyped-def]
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients of the expectation values in ``sums``."""
    q, bits = header[pg.N_QUBITS], header[pg.LANE_BITS]
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    shifts = carray(pointer_int(header[pg.SHIFTS], one), (q,))
    width = min(hi - lo, pg.READOUT_ROW)
    for first in range(lo, hi, width):
        clear(one, rows, 0, width)
        for w in range(q):
            sign = signs[w] >> bits
            add_signed(one, sums, w, rows, sign & (width - 1), odd(sign & first) ^ shifts[w])
        transform(one, rows, width)
        seed_gradient(one, psi, lam, rows, first, first + width)


@inner
def seed_born(one, header, psi, lam, rows, cotangent, n_here, lo, hi):  # type: ignore[no-untyped-def]
    """Writes ``lam`` for the vectors lo .. hi - 1, from the gradients ``cotangent`` of all probabilities."""
    lanes = WIDTH // itemsize(one)
    dim, bits = 1 << header[pg.N_QUBITS], header[pg.LANE_BITS]
    width = min(hi - lo, pg.READOUT_ROW)
    row = carray(pointer_like(rows, one), (width * lanes,))
    place = carray(pointer_int(header[pg.ORDER], one), (dim,))
    for first in range(lo, hi, width):
        if bits == 0:
            for i in range(width):
                for lane in range(lanes):
                    inside = lane < n_here
                    row[i * lanes + lane] = cotangent[lane * dim + place[first + i]] if inside else 0.0 * one
        else:
            for i in range(width * lanes):
                row[i] = cotangent[place[first * lanes + i]]
        seed_gradient(one, psi, lam, rows, first, first + width)


@inner
def amplitude_gradients(one, header, lam_at, x, out, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Adds the gradients of amplitude-encoded features; ``lam`` stands at the initial state."""
    lanes = WIDTH // itemsize(one)
    n_features, bits = header[pg.N_FEATURES], header[pg.LANE_BITS]
    lam = carray(pointer_like(lam_at, one), (2 * ((1 << header[pg.N_QUBITS]) >> bits) * lanes,))
    for lane in range(n_here):
        norm = norm_of(x[lane * sample_stride :], n_features, feature_stride)
        along = 0.0
        for step in range(2):
            for f in range(n_features):
                place = (f >> bits) * 2 * lanes + (lane if bits == 0 else f & (lanes - 1))
                direction = x[lane * sample_stride + f * feature_stride] / norm
                if step == 0:
                    along += direction * np.float64(lam[place])
                else:
                    out[lane * n_features + f] += (lam[place] - direction * along) / norm


@kernel
def evaluate(one, header, parts, shape, x_at, w_at, out_at, state_at, scratch):  # type: ignore[no-untyped-def]
    """Runs items ``first .. last - 1``, an item being a chunk of the blocks of one model.

    ``shape`` holds first and last item, chunks a model, blocks a chunk, samples, and strides (of x by model, sample and
    feature, of the weights by model). Final states go to ``state_at`` unless it is 0.
    """
    first, last, n_chunks, chunk, n_batch, x_stack, x_batch, x_feature, w_stack = shape
    bits = header[pg.LANE_BITS]
    lanes = WIDTH // itemsize(one) if bits == 0 else 1
    n = (1 << header[pg.N_QUBITS]) >> bits
    n_blocks = (n_batch + lanes - 1) // lanes
    at = parts + scratch
    model = -1
    for item in range(first, last):
        fresh = item // n_chunks != model
        model = item // n_chunks
        weights = carray(pointer_like(w_at + model * w_stack * itemsize(one), one), (header[pg.N_WEIGHTS],))
        start = item % n_chunks * chunk
        for block in range(start, min(start + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            offset = model * x_stack + sample * x_batch
            x = carray(pointer_like(x_at + offset * itemsize(one), one), (1 << 62,))
            if fresh or bits > 0:
                share_angles(one, header, at, weights, x, x_feature)
            if fresh or header[pg.TABLES_EACH]:
                share_tables(one, header, at, weights, x, x_feature)
            fresh = False
            encode_samples(one, header, at, x, n_here, x_feature, x_batch)
            psi = at[pg.PSI]
            if state_at != 0:
                psi = state_at + (model * n_blocks + block) * 2 * n * WIDTH
            begin(one, header, at[pg.COEFFICIENTS], psi, x, n_here, x_feature, x_batch)
            _advance(one, header, at, psi)
            place = (model * n_batch + sample) * header[pg.N_OUTPUTS]
            out = carray(pointer_like(out_at + place * itemsize(one), one), (1 << 62,))
            if header[pg.BORN]:
                read_born(one, header, psi, at[pg.ROWS], out, n_here, 0, n)
            else:
                clear(one, at[pg.SUMS], 0, header[pg.N_QUBITS])
                sum_signs(one, header, psi, at[pg.ROWS], at[pg.SUMS], 0, n)
                write_expectations(one, header, at[pg.SUMS], out, n_here)


@kernel
def differentiate(  # type: ignore[no-untyped-def]
    one, header, parts, shape, x_at, w_at, cotangent_at, state_at, gx_at, gw_at, scratch
):
    """Gradients of items ``first .. last - 1``, added to what is there.

    Those of the weights go to ``gw_at`` ``(M, n_chunks, P)``, of the features to ``gx_at`` ``(M, B, F)`` unless it is 0.
    """
    first, last, n_chunks, chunk, n_batch, x_stack, x_batch, x_feature, w_stack = shape
    bits = header[pg.LANE_BITS]
    lanes = WIDTH // itemsize(one) if bits == 0 else 1
    n = (1 << header[pg.N_QUBITS]) >> bits
    n_blocks = (n_batch + lanes - 1) // lanes
    n_features, n_slots, shared = header[pg.N_FEATURES], header[pg.N_SLOTS], header[pg.N_SHARED]
    at = parts + scratch
    model = -1
    for item in range(first, last):
        fresh = item // n_chunks != model
        model = item // n_chunks
        weights = carray(pointer_like(w_at + model * w_stack * itemsize(one), one), (header[pg.N_WEIGHTS],))
        gw = carray(pointer_like(gw_at + item * header[pg.N_WEIGHTS] * itemsize(one), one), (header[pg.N_WEIGHTS],))
        start = item % n_chunks * chunk
        end = min(start + chunk, n_blocks)
        for block in range(start, end):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            offset = model * x_stack + sample * x_batch
            x = carray(pointer_like(x_at + offset * itemsize(one), one), (1 << 62,))
            if fresh or bits > 0:
                share_angles(one, header, at, weights, x, x_feature)
            if fresh or header[pg.TABLES_EACH]:
                share_tables(one, header, at, weights, x, x_feature)
            fresh = False
            if block == start or bits > 0:
                clear(one, at[pg.GRADIENTS], 0, shared)
                clear(one, at[pg.TABLE_GRADIENTS], 0, header[pg.N_TABLES] * n)
            clear(one, at[pg.GRADIENTS], shared, n_slots)
            encode_samples(one, header, at, x, n_here, x_feature, x_batch)
            if state_at != 0:
                copy(one, state_at + (model * n_blocks + block) * 2 * n * WIDTH, at[pg.PSI], 0, n)
            else:
                begin(one, header, at[pg.COEFFICIENTS], at[pg.PSI], x, n_here, x_feature, x_batch)
                _advance(one, header, at, at[pg.PSI])
            place = (model * n_batch + sample) * header[pg.N_OUTPUTS]
            cotangent = carray(pointer_like(cotangent_at + place * itemsize(one), one), (1 << 62,))
            if header[pg.BORN]:
                seed_born(one, header, at[pg.PSI], at[pg.LAM], at[pg.ROWS], cotangent, n_here, 0, n)
            else:
                load_cotangent(one, header, at[pg.SUMS], cotangent, n_here)
                seed_signs(one, header, at[pg.PSI], at[pg.LAM], at[pg.ROWS], at[pg.SUMS], 0, n)
            _undo(one, header, at, header[pg.BACKWARD], header[pg.N_BACKWARD])
            gx = carray(pointer_like(gx_at, one), (0,))
            if gx_at != 0:
                _undo(one, header, at, header[pg.START], header[pg.N_START])
                to = gx_at + (model * n_batch + sample) * n_features * itemsize(one)
                gx = carray(pointer_like(to, one), (n_here * n_features,))
                accumulate_samples(one, header, at, gx, n_here)
                if header[pg.PREPARED]:
                    amplitude_gradients(one, header, at[pg.LAM], x, gx, n_here, x_feature, x_batch)
            if block == end - 1 or bits > 0:
                accumulate_shared(one, header, at, gw, gx)
                accumulate_tables(one, header, at, gw, gx)
