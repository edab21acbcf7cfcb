"""The kernels of the Pauli vector: circuits with depolarizing noise, exactly.

The channel cannot be undone (at p = 3/4 it forgets everything), so the backward pass runs forward again and keeps the
vector before each damping, of which a circuit has about one a block.
"""

from __future__ import annotations

import numba

from qmoe.engines.native import noisy_program as ng
from qmoe.engines.native import program as pg
from qmoe.engines.native.angles import (
    accumulate_samples,
    accumulate_shared,
    encode_samples,
    norm_of,
    share_angles,
    transform,
)
from qmoe.engines.native.compiling import inner, itemsize, kernel, pointer_int, pointer_like
from qmoe.engines.native.lanes import WIDTH
from qmoe.engines.native.passes import ROW, clear, damp, overlap, turn, undamp, unoverlap, unturn

carray = numba.carray


@inner
def _share_damping(one, header, at, strength):  # type: ignore[no-untyped-def]
    """Tables of the damping factors of every word, and of their derivatives, for one model."""
    n = header[ng.N_DAMPS] << (2 * header[pg.N_QUBITS])
    tables = carray(pointer_like(at[ng.FACTORS_TABLE], one), (2 * n,))
    counts = carray(pointer_int(header[ng.COUNTS], one), (n,))
    factor = 1.0 - strength * (4.0 / 3.0)
    for i in range(n):
        below = 1.0
        for _ in range(counts[i] - 1):
            below *= factor
        tables[i] = below * factor if counts[i] > 0 else 1.0
        tables[n + i] = counts[i] * below


@inner
def _begin(one, header, at, x, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Writes the Pauli coefficients of the initial state."""
    lanes = WIDTH // itemsize(one)
    dim = 1 << header[pg.N_QUBITS]
    words = carray(pointer_like(at[pg.PSI], one), (dim * dim * lanes,))
    clear(one, at[pg.PSI], 0, dim * dim)
    if not header[pg.PREPARED]:
        words[: dim * lanes] = 1.0  # words of I and Z
        return
    psi = _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride)
    # tr(P rho) = i^|a & b| sum_k (-1)^|b & k| psi_k psi_{k ^ a}, which vanishes where the power of i is odd.
    for a in range(dim):
        row = at[pg.PSI] + a * dim * WIDTH
        overlap(one, psi, row, a, dim)
        transform(one, row, dim)
        _apply_power(one, row, a, dim)


@inner
def _apply_power(one, row, a, dim):  # type: ignore[no-untyped-def]
    """Multiplies word (a, b) by ``i^|a & b|``, or by 0 where that is imaginary."""
    lanes = WIDTH // itemsize(one)
    words = carray(pointer_like(row, one), (dim * lanes,))
    for b in range(dim):
        power = 0
        bits = a & b
        while bits:
            bits &= bits - 1
            power += 1
        if power % 2 == 1:
            words[b * lanes : (b + 1) * lanes] = 0.0
        elif power % 4 == 2:
            for lane in range(lanes):
                words[b * lanes + lane] = -words[b * lanes + lane]


@inner
def _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Normalised, padded features of a block, as vectors of lanes."""
    lanes = WIDTH // itemsize(one)
    dim = 1 << header[pg.N_QUBITS]
    clear(one, at[pg.ROWS], 0, dim)
    psi = carray(pointer_like(at[pg.ROWS], one), (dim * lanes,))
    for lane in range(n_here):
        norm = norm_of(x[lane * sample_stride :], header[pg.N_FEATURES], feature_stride)
        for f in range(header[pg.N_FEATURES]):
            psi[f * lanes + lane] = x[lane * sample_stride + f * feature_stride] / norm
    return at[pg.ROWS]


@inner
def _advance(one, header, at, keeps):  # type: ignore[no-untyped-def]
    """Applies all rows; with ``keeps`` the vector before each damping is kept."""
    n_words = 1 << (2 * header[pg.N_QUBITS])
    for i in range(header[pg.N_FORWARD]):
        row = carray(pointer_int(header[pg.FORWARD] + i * ROW * 8, one), (ROW,))
        if row[0] == ng.TURN:
            turn(one, at[pg.PSI], row[2], row[3], at[pg.COEFFICIENTS], row[1])
        else:
            saved = at[ng.CHECKPOINTS] + row[1] * n_words * WIDTH if keeps else 0
            damp(one, at[pg.PSI], at[ng.FACTORS_TABLE] + row[1] * n_words * itemsize(one), saved, n_words)


@inner
def _undo(one, header, at):  # type: ignore[no-untyped-def]
    """Undoes all rows, adding up gradients; after a damping the state is the one that was kept."""
    n_words = 1 << (2 * header[pg.N_QUBITS])
    state = at[pg.PSI]
    for i in range(header[pg.N_FORWARD] - 1, -1, -1):
        row = carray(pointer_int(header[pg.FORWARD] + i * ROW * 8, one), (ROW,))
        if row[0] == ng.TURN:
            unturn(one, state, at[pg.LAM], row[2], row[3], at[pg.COEFFICIENTS], at[pg.GRADIENTS], row[1])
        else:
            state = at[ng.CHECKPOINTS] + row[1] * n_words * WIDTH
            factors = at[ng.FACTORS_TABLE] + row[1] * n_words * itemsize(one)
            derivatives = factors + header[ng.N_DAMPS] * n_words * itemsize(one)
            undamp(one, at[pg.LAM], state, factors, derivatives, at[ng.STRENGTH_GRADIENT], n_words)


@inner
def _read(one, header, at, out, n_here):  # type: ignore[no-untyped-def]
    lanes = WIDTH // itemsize(one)
    q, n_out = header[pg.N_QUBITS], header[pg.N_OUTPUTS]
    dim = 1 << q
    words = carray(pointer_like(at[pg.PSI], one), (dim * lanes,))
    if header[pg.BORN]:
        # p(k) = 2^-Q sum_b (-1)^|b & k| tr(Z^b rho)
        place = carray(pointer_int(header[pg.ORDER], one), (dim,))
        transform(one, at[pg.PSI], dim)
        for k in range(dim):
            for lane in range(n_here):
                out[lane * n_out + place[k]] = words[k * lanes + lane] / dim
        return
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    shifts = carray(pointer_int(header[pg.SHIFTS], one), (q,))
    for w in range(q):
        for lane in range(n_here):
            value = words[signs[w] * lanes + lane]
            out[lane * n_out + w] = -value if shifts[w] else value


@inner
def _reverse(one, header, at, cotangent, n_here):  # type: ignore[no-untyped-def]
    """Writes the gradient of the final vector."""
    lanes = WIDTH // itemsize(one)
    q, n_out = header[pg.N_QUBITS], header[pg.N_OUTPUTS]
    dim = 1 << q
    clear(one, at[pg.LAM], 0, dim * dim)
    lam = carray(pointer_like(at[pg.LAM], one), (dim * lanes,))
    if header[pg.BORN]:
        place = carray(pointer_int(header[pg.ORDER], one), (dim,))
        for k in range(dim):
            for lane in range(n_here):
                lam[k * lanes + lane] = cotangent[lane * n_out + place[k]] / dim
        transform(one, at[pg.LAM], dim)
        return
    signs = carray(pointer_int(header[pg.SIGNS], one), (q,))
    shifts = carray(pointer_int(header[pg.SHIFTS], one), (q,))
    for w in range(q):
        for lane in range(n_here):
            value = cotangent[lane * n_out + w]
            lam[signs[w] * lanes + lane] = -value if shifts[w] else value


@inner
def _amplitude_gradients(one, header, at, x, out, n_here, feature_stride, sample_stride):  # type: ignore[no-untyped-def]
    """Gradients of amplitude-encoded features, from ``lam`` at the initial state."""
    lanes = WIDTH // itemsize(one)
    n_features = header[pg.N_FEATURES]
    dim = 1 << header[pg.N_QUBITS]
    psi = _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride)
    total = psi + dim * WIDTH
    clear(one, total, 0, dim)
    for a in range(dim):
        row = at[pg.LAM] + a * dim * WIDTH
        _apply_power(one, row, a, dim)
        transform(one, row, dim)
        unoverlap(one, psi, row, total, a, dim)
    gradient = carray(pointer_like(total, one), (dim * lanes,))
    for lane in range(n_here):
        norm = norm_of(x[lane * sample_stride :], n_features, feature_stride)
        along = 0.0
        for f in range(n_features):
            along += x[lane * sample_stride + f * feature_stride] / norm * gradient[f * lanes + lane]
        for f in range(n_features):
            direction = x[lane * sample_stride + f * feature_stride] / norm
            out[lane * n_features + f] += (gradient[f * lanes + lane] - direction * along) / norm


@kernel
def evaluate_noisy(one, header, parts, shape, x_at, w_at, strength_at, out_at, scratch):  # type: ignore[no-untyped-def]
    """As `qmoe.engines.native.pure.evaluate`, with a noise strength for each model."""
    first, last, n_chunks, chunk, n_batch, x_stack, x_batch, x_feature, w_stack = shape
    lanes = WIDTH // itemsize(one)
    n_blocks = (n_batch + lanes - 1) // lanes
    at = parts + scratch
    strength = carray(pointer_like(strength_at, one), (1 << 62,))
    model = -1
    for item in range(first, last):
        if item // n_chunks != model:
            model = item // n_chunks
            weights = carray(pointer_like(w_at + model * w_stack * itemsize(one), one), (header[pg.N_WEIGHTS],))
            share_angles(one, header, at, weights, weights, 1)
            _share_damping(one, header, at, strength[model])
        begin = item % n_chunks * chunk
        for block in range(begin, min(begin + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            offset = model * x_stack + sample * x_batch
            x = carray(pointer_like(x_at + offset * itemsize(one), one), (1 << 62,))
            encode_samples(one, header, at, x, n_here, x_feature, x_batch)
            _begin(one, header, at, x, n_here, x_feature, x_batch)
            _advance(one, header, at, False)
            place = (model * n_batch + sample) * header[pg.N_OUTPUTS]
            out = carray(pointer_like(out_at + place * itemsize(one), one), (1 << 62,))
            _read(one, header, at, out, n_here)


@kernel
def differentiate_noisy(  # type: ignore[no-untyped-def]
    one, header, parts, shape, x_at, w_at, strength_at, cotangent_at, gx_at, gw_at, gs_at, scratch
):
    """As `qmoe.engines.native.pure.differentiate`; gradients of the noise strengths go to ``gs_at`` ``(M, n_chunks)``."""
    first, last, n_chunks, chunk, n_batch, x_stack, x_batch, x_feature, w_stack = shape
    lanes = WIDTH // itemsize(one)
    n_blocks = (n_batch + lanes - 1) // lanes
    n_features, n_slots, shared = header[pg.N_FEATURES], header[pg.N_SLOTS], header[pg.N_SHARED]
    at = parts + scratch
    strength = carray(pointer_like(strength_at, one), (1 << 62,))
    gs = carray(pointer_like(gs_at, one), (1 << 62,))
    model = -1
    for item in range(first, last):
        if item // n_chunks != model:
            model = item // n_chunks
            weights = carray(pointer_like(w_at + model * w_stack * itemsize(one), one), (header[pg.N_WEIGHTS],))
            share_angles(one, header, at, weights, weights, 1)
            _share_damping(one, header, at, strength[model])
        clear(one, at[pg.GRADIENTS], 0, n_slots)
        clear(one, at[ng.STRENGTH_GRADIENT], 0, 1)
        begin = item % n_chunks * chunk
        for block in range(begin, min(begin + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            offset = model * x_stack + sample * x_batch
            x = carray(pointer_like(x_at + offset * itemsize(one), one), (1 << 62,))
            encode_samples(one, header, at, x, n_here, x_feature, x_batch)
            _begin(one, header, at, x, n_here, x_feature, x_batch)
            _advance(one, header, at, True)
            place = (model * n_batch + sample) * header[pg.N_OUTPUTS]
            cotangent = carray(pointer_like(cotangent_at + place * itemsize(one), one), (1 << 62,))
            _reverse(one, header, at, cotangent, n_here)
            clear(one, at[pg.GRADIENTS], shared, n_slots)
            _undo(one, header, at)
            if gx_at != 0:
                to = gx_at + (model * n_batch + sample) * n_features * itemsize(one)
                gx = carray(pointer_like(to, one), (n_here * n_features,))
                accumulate_samples(one, header, at, gx, n_here)
                if header[pg.PREPARED]:
                    _amplitude_gradients(one, header, at, x, gx, n_here, x_feature, x_batch)
        out = carray(pointer_like(gw_at + item * header[pg.N_WEIGHTS] * itemsize(one), one), (header[pg.N_WEIGHTS],))
        accumulate_shared(one, header, at, out, out[:0])
        lanes_of = carray(pointer_like(at[ng.STRENGTH_GRADIENT], one), (lanes,))
        total = 0.0
        for lane in range(lanes):
            total += lanes_of[lane]
        gs[item] = -4.0 / 3.0 * total
