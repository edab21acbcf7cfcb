"""The kernels of the Pauli vector: circuits with depolarizing noise and dephasing, exactly.

The channels cannot be undone (at p = 3/4 one forgets everything, the other does so always), so the backward pass runs
forward again and keeps the vector before each damping, of which a circuit has about one a block.
"""

from __future__ import annotations

from qmoe.compiled.addresses import inner, integer, itemsize, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.calling import (
    CHUNK,
    COTANGENT,
    FIRST,
    GS,
    GW,
    GX,
    LAST,
    N_BATCH,
    N_CHUNKS,
    OUT,
    READY,
    STRENGTH,
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
    amplitude_gradient,
    encode_samples,
    norm_of,
    share_angles,
    transform,
)
from qmoe.engines.native.kernels.pauli_passes import damp, overlap, turn, undamp, unoverlap, unturn
from qmoe.engines.native.kernels.state import place_parts
from qmoe.engines.native.kernels.state_passes import clear
from qmoe.engines.native.layout import (
    BORN,
    CHECKPOINTS,
    COEFFICIENTS,
    COUNTS,
    FACTORS_TABLE,
    FORWARD,
    GRADIENTS,
    LAM,
    N_DAMPS,
    N_FEATURES,
    N_FORWARD,
    N_OUTPUTS,
    N_QUBITS,
    N_SHARED,
    N_SLOTS,
    N_WEIGHTS,
    ORDER,
    PREPARED,
    PSI,
    ROW,
    ROWS,
    SHIFTS,
    SIGNS,
    STRENGTH_GRADIENT,
    TURN,
)


@inner
def _share_damping(one, header, at, strength):
    """Tables of the damping factors of every word, and of their derivatives, for one model.

    A negative count stands for a word that dephasing forgets: its factor is 0 at any strength.
    """
    n = integer(header, N_DAMPS) << (2 * integer(header, N_QUBITS))
    table, counts = integer(at, FACTORS_TABLE), integer(header, COUNTS)
    factor = 1.0 - strength * (4.0 / 3.0)
    for i in range(n):
        count = integer(counts, i)
        below = 1.0
        for _ in range(count - 1):
            below *= factor
        put_real(one, table, i, below * factor if count > 0 else 1.0 if count == 0 else 0.0)
        put_real(one, table, n + i, max(count, 0) * below)


@inner
def _begin(one, header, at, x, n_here, feature_stride, sample_stride):
    """Writes the Pauli coefficients of the initial state."""
    lanes = WIDTH // itemsize(one)
    dim = 1 << integer(header, N_QUBITS)
    words = integer(at, PSI)
    clear(one, words, 0, dim * dim)
    if not integer(header, PREPARED):
        for i in range(dim * lanes):
            put_real(one, words, i, 1.0)  # words of I and Z
        return
    psi = _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride)
    # tr(P rho) = i^|a & b| sum_k (-1)^|b & k| psi_k psi_{k ^ a}, which vanishes where the power of i is odd.
    for a in range(dim):
        row = words + a * dim * WIDTH
        overlap(one, psi, row, a, dim)
        transform(one, row, dim)
        _apply_power(one, row, a, dim)


@inner
def _apply_power(one, row, a, dim):
    """Multiplies word (a, b) by ``i^|a & b|``, or by 0 where that is imaginary."""
    lanes = WIDTH // itemsize(one)
    for b in range(dim):
        power = 0
        bits = a & b
        while bits:
            bits &= bits - 1
            power += 1
        if power % 4 != 0:
            for lane in range(b * lanes, (b + 1) * lanes):
                put_real(one, row, lane, -real(one, row, lane) if power % 4 == 2 else 0.0)


@inner
def _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride):
    """Normalised, padded features of a block, as vectors of lanes; returns their address."""
    lanes = WIDTH // itemsize(one)
    psi, n_features = integer(at, ROWS), integer(header, N_FEATURES)
    clear(one, psi, 0, 1 << integer(header, N_QUBITS))
    for lane in range(n_here):
        sample = x + lane * sample_stride * itemsize(one)
        norm = norm_of(one, sample, n_features, feature_stride)
        for f in range(n_features):
            put_real(one, psi, f * lanes + lane, real(one, sample, f * feature_stride) / norm)
    return psi


@inner
def _advance(one, header, at, keeps):
    """Applies all rows; with ``keeps`` the vector before each damping is kept."""
    n = 1 << (2 * integer(header, N_QUBITS))
    words = integer(at, PSI)
    for i in range(integer(header, N_FORWARD)):
        row = integer(header, FORWARD) + i * ROW * 8
        which = integer(row, 1)
        if integer(row, 0) == TURN:
            turn(one, words, integer(row, 2), integer(row, 3), integer(at, COEFFICIENTS), which)
        else:
            saved = integer(at, CHECKPOINTS) + which * n * WIDTH if keeps else 0
            damp(one, words, integer(at, FACTORS_TABLE) + which * n * itemsize(one), saved, n)


@inner
def _undo(one, header, at):
    """Undoes all rows, adding up gradients; before a damping the state is the one that was kept."""
    n = 1 << (2 * integer(header, N_QUBITS))
    words, lam, coefficients = integer(at, PSI), integer(at, LAM), integer(at, COEFFICIENTS)
    for i in range(integer(header, N_FORWARD) - 1, -1, -1):
        row = integer(header, FORWARD) + i * ROW * 8
        which = integer(row, 1)
        if integer(row, 0) == TURN:
            gradients = integer(at, GRADIENTS)
            unturn(one, words, lam, integer(row, 2), integer(row, 3), coefficients, gradients, which)
        else:
            words = integer(at, CHECKPOINTS) + which * n * WIDTH
            factors = integer(at, FACTORS_TABLE) + which * n * itemsize(one)
            derivatives = factors + integer(header, N_DAMPS) * n * itemsize(one)
            undamp(one, lam, words, factors, derivatives, integer(at, STRENGTH_GRADIENT), n)


@inner
def _read(one, header, at, out, n_here):
    lanes = WIDTH // itemsize(one)
    q = integer(header, N_QUBITS)
    dim, words = 1 << q, integer(at, PSI)
    if integer(header, BORN):
        # p(k) = 2^-Q sum_b (-1)^|b & k| tr(Z^b rho)
        transform(one, words, dim)
        for k in range(dim):
            for lane in range(n_here):
                place = lane * dim + integer(integer(header, ORDER), k)
                put_real(one, out, place, real(one, words, k * lanes + lane) / dim)
        return
    for w in range(q):
        for lane in range(n_here):
            value = real(one, words, integer(integer(header, SIGNS), w) * lanes + lane)
            put_real(one, out, lane * q + w, -value if integer(integer(header, SHIFTS), w) else value)


@inner
def _reverse(one, header, at, cotangent, n_here):
    """Writes the gradient of the final vector."""
    lanes = WIDTH // itemsize(one)
    q = integer(header, N_QUBITS)
    dim, lam = 1 << q, integer(at, LAM)
    clear(one, lam, 0, dim * dim)
    if integer(header, BORN):
        for k in range(dim):
            for lane in range(n_here):
                place = lane * dim + integer(integer(header, ORDER), k)
                put_real(one, lam, k * lanes + lane, real(one, cotangent, place) / dim)
        transform(one, lam, dim)
        return
    for w in range(q):
        for lane in range(n_here):
            value = real(one, cotangent, lane * q + w)
            place = integer(integer(header, SIGNS), w) * lanes + lane
            put_real(one, lam, place, -value if integer(integer(header, SHIFTS), w) else value)


@inner
def _amplitude_gradients(one, header, at, x, gx, n_here, feature_stride, sample_stride):
    """Adds the gradients of amplitude-encoded features, from ``lam`` at the initial state."""
    lanes, size = WIDTH // itemsize(one), itemsize(one)
    n, dim = integer(header, N_FEATURES), 1 << integer(header, N_QUBITS)
    psi = _amplitudes(one, header, at, x, n_here, feature_stride, sample_stride)
    total = psi + dim * WIDTH
    clear(one, total, 0, dim)
    for a in range(dim):
        row = integer(at, LAM) + a * dim * WIDTH
        _apply_power(one, row, a, dim)
        transform(one, row, dim)
        unoverlap(one, psi, row, total, a, dim)
    for lane in range(n_here):
        sample = x + lane * sample_stride * size
        amplitude_gradient(one, sample, feature_stride, n, total + lane * size, lanes, gx + lane * n * size)


def evaluate_noisy(one, header, parts, call, scratch):
    """As `qmoe.engines.native.kernels.state.evaluate`, with a noise strength for each model."""
    size = itemsize(one)
    lanes = WIDTH // size
    n_batch, n_chunks, chunk = integer(call, N_BATCH), integer(call, N_CHUNKS), integer(call, CHUNK)
    n_blocks = (n_batch + lanes - 1) // lanes
    feature_stride, sample_stride = integer(call, X_FEATURE), integer(call, X_BATCH)
    at = place_parts(parts, scratch)
    model = -1
    for item in range(integer(call, FIRST), integer(call, LAST)):
        if item // n_chunks != model:
            model = item // n_chunks
            weights = integer(call, WEIGHTS) + model * integer(call, W_STACK) * size
            share_angles(one, header, at, weights, 0, 0)
            _share_damping(one, header, at, real(one, integer(call, STRENGTH), model))
        start = item % n_chunks * chunk
        for block in range(start, min(start + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            x = integer(call, X) + (model * integer(call, X_STACK) + sample * sample_stride) * size
            encode_samples(one, header, at, x, n_here, feature_stride, sample_stride)
            _begin(one, header, at, x, n_here, feature_stride, sample_stride)
            _advance(one, header, at, False)
            out = integer(call, OUT) + (model * n_batch + sample) * integer(header, N_OUTPUTS) * size
            _read(one, header, at, out, n_here)


def differentiate_noisy(one, header, parts, call, scratch):
    """As `qmoe.engines.native.kernels.state.differentiate`; gradients of the noise strengths go to GS ``(M, n_chunks)``."""
    size = itemsize(one)
    lanes = WIDTH // size
    n_batch, n_chunks, chunk = integer(call, N_BATCH), integer(call, N_CHUNKS), integer(call, CHUNK)
    n_blocks = (n_batch + lanes - 1) // lanes
    feature_stride, sample_stride = integer(call, X_FEATURE), integer(call, X_BATCH)
    at = place_parts(parts, scratch)
    gradients, strength_gradient = integer(at, GRADIENTS), integer(at, STRENGTH_GRADIENT)
    model = integer(call, READY) - 1
    for item in range(integer(call, FIRST), integer(call, LAST)):
        if item // n_chunks != model:
            model = item // n_chunks
            weights = integer(call, WEIGHTS) + model * integer(call, W_STACK) * size
            share_angles(one, header, at, weights, 0, 0)
            _share_damping(one, header, at, real(one, integer(call, STRENGTH), model))
        clear(one, gradients, 0, integer(header, N_SLOTS))
        clear(one, strength_gradient, 0, 1)
        start = item % n_chunks * chunk
        for block in range(start, min(start + chunk, n_blocks)):
            sample = block * lanes
            n_here = min(lanes, n_batch - sample)
            x = integer(call, X) + (model * integer(call, X_STACK) + sample * sample_stride) * size
            encode_samples(one, header, at, x, n_here, feature_stride, sample_stride)
            _begin(one, header, at, x, n_here, feature_stride, sample_stride)
            _advance(one, header, at, True)
            cotangent = integer(call, COTANGENT) + (model * n_batch + sample) * integer(header, N_OUTPUTS) * size
            _reverse(one, header, at, cotangent, n_here)
            clear(one, gradients, integer(header, N_SHARED), integer(header, N_SLOTS))
            _undo(one, header, at)
            gx = integer(call, GX)
            if gx != 0:
                gx += (model * n_batch + sample) * integer(header, N_FEATURES) * size
                accumulate_samples(one, header, at, gx, n_here)
                if integer(header, PREPARED):
                    _amplitude_gradients(one, header, at, x, gx, n_here, feature_stride, sample_stride)
        accumulate_shared(one, header, at, integer(call, GW) + item * integer(header, N_WEIGHTS) * size, 0)
        total = 0.0
        for lane in range(lanes):
            total += real(one, strength_gradient, lane)
        put_real(one, integer(call, GS), item, -4.0 / 3.0 * total)
