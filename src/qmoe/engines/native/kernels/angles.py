"""Inside the kernels: from weights and features to cosines and sines, and from gradients of angles back to both."""

from __future__ import annotations

from qmoe.compiled.addresses import double, inlined, inner, integer, itemsize, merged, odd, put_double, put_real, real
from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.trigonometry import cos_sin, walsh_hadamard
from qmoe.compiled.vectors import fill_lanes, sum_lanes
from qmoe.engines.native.kernels.frames import source_of, term_of
from qmoe.engines.native.kernels.state_passes import butterflies
from qmoe.engines.native.layout import FEATURE, WEIGHT


@inner
def transform(one, values, n):
    """Walsh-Hadamard transform of ``n`` vectors of lanes."""
    bit = 0
    while 1 << bit < n:
        butterflies(one, values, bit, n)
        bit += 1


@inner
def norm_of(one, x, n, stride):
    """Euclidean norm of ``n`` numbers, ``stride`` apart."""
    largest, total = 0.0, 0.0
    for f in range(n):
        largest = max(largest, abs(real(one, x, f * stride)))
    # Squares of very small and very large numbers would leave the range.
    for f in range(n):
        total += (real(one, x, f * stride) / largest) ** 2
    return largest * total**0.5


@inlined
def half_angle(one, frame, block, source, factors, i):
    """Half of an angle: ``(factor, offset)`` number ``i`` in ``factors``, applied to what a `Source` or `Term` names."""
    value = 0.0
    if source.kind == WEIGHT:
        value = real(one, block.weights, source.number)
    elif source.kind == FEATURE:
        value = real(one, block.x, source.number * frame.call.x_feature)
    return 0.5 * (double(factors, 2 * i) * value + double(factors, 2 * i + 1))


@merged
def share_angles(one, frame, block):
    """Cosines and sines of the angles of all slots that the lanes share, the sine with its sign in each lane."""
    program, work, to = frame.program, frame.scratch.work, frame.scratch.coefficients
    lanes, n = WIDTH // itemsize(one), program.n_shared
    for s in range(n):
        put_double(work, s, half_angle(one, frame, block, source_of(program, s), program.factors, s))
    cos_sin(work, n)
    for s in range(n):
        sign = integer(program.lane_signs, s)
        cos, sin = double(work, n + s), double(work, 2 * n + s)
        fill_lanes(one, to, 2 * s, cos)
        fill_lanes(one, to, 2 * s + 1, sin)
        if sign:
            for lane in range(lanes):
                put_real(one, to, (2 * s + 1) * lanes + lane, -sin if odd(sign & lane) else sin)


@merged
def share_tables(one, frame, block):
    """The tables of phases: cosine and sine for every basis state."""
    program, work = frame.program, frame.scratch.work
    n = program.n_tables * program.dim
    for k in range(n):
        put_double(work, k, 0.0)
    for t in range(program.n_terms):
        term = term_of(program, t)
        place = term.table * program.dim + term.mask
        # A basis state of even parity turns by minus half the angle.
        angle = half_angle(one, frame, block, term, program.term_factors, t)
        put_double(work, place, double(work, place) - angle)
    for first in range(0, n, program.dim):
        walsh_hadamard(work + 8 * first, program.dim)
    cos_sin(work, n)
    write_table(one, program, frame.scratch.tables, work + 8 * n, n)


@inlined
def write_table(one, program, table, cosines, n):
    """Cosines and sines (behind them) alternating: one by one, or a vector at a time where lanes are basis states."""
    width = 1 if program.lane_bits == 0 else WIDTH // itemsize(one)
    for first in range(0, n, width):
        for i in range(width):
            put_real(one, table, 2 * first + i, double(cosines, first + i))
            put_real(one, table, 2 * first + width + i, double(cosines, n + first + i))


@merged
def encode_samples(one, frame, block):
    """Cosines and sines of the angles of each sample of a block; lanes without a sample get the angle 0."""
    program, call, work = frame.program, frame.call, frame.scratch.work
    lanes, shared = WIDTH // itemsize(one), frame.program.n_shared
    each = program.n_slots - shared
    n = each * lanes
    for e in range(each):
        feature = source_of(program, shared + e).number * call.x_feature
        factor, offset = double(program.factors, 2 * (shared + e)), double(program.factors, 2 * (shared + e) + 1)
        if call.x_batch == 1:  # known to be so, it compiles to vector instructions
            for lane in range(block.n_here):
                value = real(one, block.x, feature + lane)
                put_double(work, e * lanes + lane, 0.5 * (factor * value + offset))
        else:
            for lane in range(block.n_here):
                value = real(one, block.x, feature + lane * call.x_batch)
                put_double(work, e * lanes + lane, 0.5 * (factor * value + offset))
        for lane in range(block.n_here, lanes):
            put_double(work, e * lanes + lane, 0.5 * offset)
    cos_sin(work, n)
    to = frame.scratch.coefficients + 2 * shared * WIDTH
    for e in range(each):
        for lane in range(lanes):
            put_real(one, to, 2 * e * lanes + lane, double(work, n + e * lanes + lane))
            put_real(one, to, (2 * e + 1) * lanes + lane, double(work, 2 * n + e * lanes + lane))


@inlined
def slot_gradient(one, frame, s):
    """Sum over lanes of the gradient of slot ``s``, with the sine's sign in each."""
    gradients, sign = frame.scratch.gradients, integer(frame.program.lane_signs, s)
    if sign == 0:
        return sum_lanes(one, gradients, s)
    lanes, total = WIDTH // itemsize(one), 0.0
    for lane in range(lanes):
        value = real(one, gradients, s * lanes + lane)
        total += -value if odd(sign & lane) else value
    return total


@inlined
def add_real(one, address, index, value):
    """Adds to a number in memory."""
    put_real(one, address, index, real(one, address, index) + value)


@inlined
def accumulate_shared(one, frame, gw, gx):
    """Adds the gradients of the shared slots to those of the weights ``gw``, and of the features unless ``gx`` is 0."""
    program = frame.program
    for s in range(program.n_shared):
        source = source_of(program, s)
        to = gw if source.kind == WEIGHT else (gx if source.kind == FEATURE else 0)
        if to != 0:
            gradient = 0.5 * double(program.factors, 2 * s) * slot_gradient(one, frame, s)
            add_real(one, to, source.number, gradient)


@inlined
def accumulate_term(one, program, t, total, gw, gx):
    """Adds the gradient of term ``t``, whose phase has the gradient ``total``."""
    term = term_of(program, t)
    to = gw if term.kind == WEIGHT else (gx if term.kind == FEATURE else 0)
    if to != 0:
        add_real(one, to, term.number, -0.5 * double(program.term_factors, 2 * t) * total)


@inlined
def sum_phases(one, program, to, source, n):
    """Writes the gradients of the phases of ``n`` basis states to doubles, summed over lanes that are samples."""
    if program.lane_bits == 0:
        for k in range(n):
            put_double(to, k, sum_lanes(one, source, k))
    else:
        for k in range(n):
            put_double(to, k, real(one, source, k))


@inlined
def accumulate_tables(one, frame, gw, gx):
    """Adds the gradients of the phases to those of the weights, and of the features unless ``gx`` is 0."""
    program, work = frame.program, frame.scratch.work
    n = program.n_tables * program.dim
    sum_phases(one, program, work, frame.scratch.table_gradients, n)
    for first in range(0, n, program.dim):
        walsh_hadamard(work + 8 * first, program.dim)
    for t in range(program.n_terms):
        term = term_of(program, t)
        accumulate_term(one, program, t, double(work, term.table * program.dim + term.mask), gw, gx)


@inlined
def accumulate_samples(one, frame, block, gx):
    """Adds the gradients of the angles of each sample of a block to ``gx`` ``(n_here, F)``."""
    program, lanes = frame.program, WIDTH // itemsize(one)
    for s in range(program.n_shared, program.n_slots):
        for lane in range(block.n_here):
            gradient = 0.5 * double(program.factors, 2 * s) * real(one, frame.scratch.gradients, s * lanes + lane)
            add_real(one, gx, lane * program.n_features + source_of(program, s).number, gradient)


@inner
def amplitude_gradient(one, x, stride, n, gradients, gradient_stride, gx):
    """Adds to ``gx`` the gradient of ``n`` features, from that of the amplitudes ``x / |x|``."""
    norm = norm_of(one, x, n, stride)
    along = 0.0
    for f in range(n):
        along += real(one, x, f * stride) / norm * real(one, gradients, f * gradient_stride)
    for f in range(n):
        across = real(one, gradients, f * gradient_stride) - real(one, x, f * stride) / norm * along
        add_real(one, gx, f, across / norm)
