"""The kernels of the Pauli vector: circuits with noise, exactly.

Channels cannot be undone (depolarizing at p = 3/4 forgets everything, dephasing does so always), so the backward pass runs
forward again and keeps the vector before each, of which a circuit has about one a block. A channel that only damps words
works in place, on a copy's original; one that mixes them writes to a vector of its own and leaves the one before as it was.
"""

from __future__ import annotations

from qmoe.compiled.addresses import double, inner, integer, itemsize, merged, put_real, read_record, real
from qmoe.compiled.lanes import WIDTH
from qmoe.engines.native.kernels.angles import (
    accumulate_samples,
    accumulate_shared,
    amplitude_gradient,
    encode_samples,
    norm_of,
    share_angles,
    transform,
)
from qmoe.engines.native.kernels.frames import walk
from qmoe.engines.native.kernels.pauli_passes import damp, mix, overlap, turn, undamp, unoverlap, unturn
from qmoe.engines.native.kernels.state_passes import clear
from qmoe.engines.native.layout import DAMP, TURN, Mixing, PauliRow

_ROW = 8 * len(PauliRow._fields)


@inner
def _share_damping(one, table, counts, constants, n, strength):
    """Tables of the damping factors of ``n`` words and channels, and of their derivatives, for one model.

    A negative count stands for a word that dephasing forgets: its factor is 0 at any strength. ``constants`` are further
    factors, or 0 for none.
    """
    factor = 1.0 - strength * (4.0 / 3.0)
    for i in range(n):
        count = integer(counts, i)
        below = 1.0
        for _ in range(count - 1):
            below *= factor
        constant = 1.0 if constants == 0 else double(constants, i)
        put_real(one, table, i, constant * (below * factor if count > 0 else 1.0 if count == 0 else 0.0))
        put_real(one, table, n + i, constant * (max(count, 0) * below))


@merged
def _share(one, frame, block):
    """What the samples of a model share, where it is not there yet: angles, and damping factors."""
    if block.is_fresh:
        program = frame.program
        share_angles(one, frame, block)
        n, strength = program.n_dampings * program.n_vectors, real(one, frame.call.strength, block.model)
        _share_damping(one, frame.scratch.damping, program.damping_counts, program.damping_constants, n, strength)


@merged
def _begin(one, frame, block):
    """Writes the Pauli coefficients of the initial state."""
    lanes, dim, words = WIDTH // itemsize(one), frame.program.dim, frame.scratch.psi
    clear(one, words, 0, frame.program.n_vectors)
    if not frame.program.is_prepared:
        for i in range(dim * lanes):
            put_real(one, words, i, 1.0)  # words of I and Z
        return
    _write_amplitudes(one, frame, block)
    # tr(P rho) = i^|a & b| sum_k (-1)^|b & k| psi_k psi_{k ^ a}, which vanishes where the power of i is odd.
    for a in range(dim):
        row = words + a * dim * WIDTH
        overlap(one, frame.scratch.rows, row, a, dim)
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


@merged
def _write_amplitudes(one, frame, block):
    """Normalised, padded features of a block, as vectors of lanes in the rows of the scratch memory."""
    lanes, psi, n_features = WIDTH // itemsize(one), frame.scratch.rows, frame.program.n_features
    clear(one, psi, 0, frame.program.dim)
    for lane in range(block.n_here):
        sample = block.x + lane * frame.call.x_batch * itemsize(one)
        norm = norm_of(one, sample, n_features, frame.call.x_feature)
        for f in range(n_features):
            put_real(one, psi, f * lanes + lane, real(one, sample, f * frame.call.x_feature) / norm)


@merged
def _row(program, i):
    """Row ``i`` of the program."""
    return read_record(PauliRow, program.forward + i * _ROW, 0)


@merged
def _advance(one, frame, keeps):
    """Applies all rows, and returns where the vector then is; with ``keeps`` the vector before each channel is kept."""
    program, scratch = frame.program, frame.scratch
    n, words = program.n_vectors, scratch.psi
    for i in range(program.n_forward):
        row = _row(program, i)
        if row.operation == TURN:
            turn(one, words, row.pairs, row.n_pairs, scratch.coefficients, row.target)
        elif row.operation == DAMP:
            saved = scratch.checkpoints + row.target * n * WIDTH if keeps else 0
            damp(one, words, scratch.damping + row.target * n * itemsize(one), saved, n)
        else:
            # Where nothing is kept, there and back between two vectors.
            to = scratch.checkpoints + row.target * n * WIDTH if keeps else scratch.psi + scratch.lam - words
            matrix = read_record(Mixing, row.pairs, 0)
            mix(one, words, to, matrix.starts, matrix.columns, matrix.values, n)
            words = to
    return words


@merged
def _undo(one, frame, words):
    """Undoes all rows, adding up gradients; before a channel the state is the one that was kept.

    Returns where the gradient of the initial vector is.
    """
    program, scratch = frame.program, frame.scratch
    n, lam = program.n_vectors, scratch.lam
    for i in range(program.n_forward - 1, -1, -1):
        row = _row(program, i)
        if row.operation == TURN:
            unturn(one, words, lam, row.pairs, row.n_pairs, scratch.coefficients, scratch.gradients, row.target)
        elif row.operation == DAMP:
            words = scratch.checkpoints + row.target * n * WIDTH
            factors = scratch.damping + row.target * n * itemsize(one)
            derivatives = factors + program.n_dampings * n * itemsize(one)
            undamp(one, lam, words, factors, derivatives, scratch.strength_gradient, n)
        else:
            # The vector behind the channel has served; the one before stands where the channel before wrote it.
            to = scratch.checkpoints + row.target * n * WIDTH
            words = to - n * WIDTH if row.target > program.n_dampings else scratch.psi
            matrix = read_record(Mixing, row.pairs, 0)
            mix(one, lam, to, matrix.back_starts, matrix.back_columns, matrix.back_values, n)
            lam = to
    return lam


@merged
def _read(one, frame, block, words):
    """Writes the read-outs of a block."""
    program, lanes = frame.program, WIDTH // itemsize(one)
    out = frame.call.out + block.sample * program.n_outputs * itemsize(one)
    q, dim = program.n_qubits, program.dim
    if program.is_born:
        # p(k) = 2^-Q sum_b (-1)^|b & k| tr(Z^b rho)
        transform(one, words, dim)
        for k in range(dim):
            for lane in range(block.n_here):
                place = lane * dim + integer(program.order, k)
                put_real(one, out, place, real(one, words, k * lanes + lane) / dim)
        return
    for w in range(q):
        for lane in range(block.n_here):
            value = real(one, words, integer(program.signs, w) * lanes + lane)
            put_real(one, out, lane * q + w, -value if integer(program.shifts, w) else value)


@merged
def _seed(one, frame, block):
    """Writes the gradient of the final vector."""
    program, lam, lanes = frame.program, frame.scratch.lam, WIDTH // itemsize(one)
    cotangent = frame.call.cotangent + block.sample * program.n_outputs * itemsize(one)
    q, dim = program.n_qubits, program.dim
    clear(one, lam, 0, program.n_vectors)
    if program.is_born:
        for k in range(dim):
            for lane in range(block.n_here):
                place = lane * dim + integer(program.order, k)
                put_real(one, lam, k * lanes + lane, real(one, cotangent, place) / dim)
        transform(one, lam, dim)
        return
    for w in range(q):
        for lane in range(block.n_here):
            value = real(one, cotangent, lane * q + w)
            place = integer(program.signs, w) * lanes + lane
            put_real(one, lam, place, -value if integer(program.shifts, w) else value)


@merged
def _amplitude_gradients(one, frame, block, lam, gx):
    """Adds the gradients of amplitude-encoded features, from ``lam`` at the initial state."""
    lanes, size, stride = WIDTH // itemsize(one), itemsize(one), frame.call.x_feature
    n, dim, psi = frame.program.n_features, frame.program.dim, frame.scratch.rows
    _write_amplitudes(one, frame, block)
    total = psi + dim * WIDTH
    clear(one, total, 0, dim)
    for a in range(dim):
        row = lam + a * dim * WIDTH
        _apply_power(one, row, a, dim)
        transform(one, row, dim)
        unoverlap(one, psi, row, total, a, dim)
    for lane in range(block.n_here):
        sample = block.x + lane * frame.call.x_batch * size
        amplitude_gradient(one, sample, stride, n, total + lane * size, lanes, gx + lane * n * size)


@merged
def _evaluate_block(one, frame, block):
    """The read-outs of a block."""
    _share(one, frame, block)
    encode_samples(one, frame, block)
    _begin(one, frame, block)
    words = _advance(one, frame, False)
    _read(one, frame, block, words)


@merged
def _differentiate_block(one, frame, block):
    """The gradients of a block, from the beginning."""
    program, scratch = frame.program, frame.scratch
    _share(one, frame, block)
    if block.is_first:
        clear(one, scratch.gradients, 0, program.n_shared)
        clear(one, scratch.strength_gradient, 0, 1)
    clear(one, scratch.gradients, program.n_shared, program.n_slots)
    encode_samples(one, frame, block)
    _begin(one, frame, block)
    words = _advance(one, frame, True)
    _seed(one, frame, block)
    lam = _undo(one, frame, words)
    if frame.call.gx != 0:
        gx = frame.call.gx + block.sample * program.n_features * itemsize(one)
        accumulate_samples(one, frame, block, gx)
        if program.is_prepared:
            _amplitude_gradients(one, frame, block, lam, gx)
    if block.is_last:
        accumulate_shared(one, frame, frame.call.gw + block.item * program.n_weights * itemsize(one), 0)
        total = 0.0
        for lane in range(WIDTH // itemsize(one)):
            total += real(one, scratch.strength_gradient, lane)
        put_real(one, frame.call.gs, block.item, -4.0 / 3.0 * total)


def evaluate_noisy(one, header, parts, call, scratch):
    """As `qmoe.engines.native.kernels.state.evaluate`, with a noise strength for each model."""
    walk(one, header, parts, call, scratch, _evaluate_block)


def differentiate_noisy(one, header, parts, call, scratch):
    """As `qmoe.engines.native.kernels.state.differentiate`; gradients of the noise strengths go to GS ``(M, n_chunks)``."""
    walk(one, header, parts, call, scratch, _differentiate_block)
