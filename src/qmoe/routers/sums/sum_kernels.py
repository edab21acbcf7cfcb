"""The kernels of sums over products: logits ``W (phi(x) - centre) / scale + b``, and their gradients.

Samples stand side by side in vectors. The waves of all their features are found first. Then come, block by block, the
products of the waves of its first features, the left half, and those of the others. A sum over all products is a bilinear
form of both.
"""

from __future__ import annotations

import numpy as np

import qmoe.routers.sums.sum_passes as passes
from qmoe.compiled.addresses import double, integer, itemsize, merged, put_double, put_real, read_record, real
from qmoe.compiled.lanes import WIDTH
from qmoe.compiled.trigonometry import cos_sin
from qmoe.compiled.vectors import fill_lanes
from qmoe.routers.sums.sum_layout import TILE, BlockRecord, SumCall, SumHeader

_SINGLE = np.float32(1)
_BLOCK = 8 * len(BlockRecord._fields)


@merged
def _open(header, call):
    return read_record(SumHeader, header, 0), read_record(SumCall, call, 0)


@merged
def _given(header, address, place):
    """A number of a tensor."""
    return real(_SINGLE, address, place) if header.is_single != 0 else double(address, place)


@merged
def _put(header, address, place, value):
    """Writes a number of a tensor."""
    if header.is_single != 0:
        put_real(_SINGLE, address, place, value)
    else:
        put_double(address, place, value)


@merged
def _invert(one, header, call):
    for k in range(header.n_functions):
        put_double(call.inverses, k, 1.0 / _given(header, call.scale, k))


@merged
def _place(one, header, call, cells, e, k):
    """Places one coefficient among the cells of an output; returns what its centre adds to the constant."""
    slope = _given(header, call.weight, e * header.n_functions + k) * double(call.inverses, k)
    put_real(one, cells, integer(header.places, k), slope)
    return slope * _given(header, call.centre, k)


@merged
def _spread(one, header, call):
    """The coefficients of all cells: those of the products divided by their scale, and the constant in the first."""
    passes.clear_vectors(one, call.cells, call.n_outputs * header.n_cells * itemsize(one) // WIDTH)
    _invert(one, header, call)
    fours = header.n_functions // 4 * 4
    for e in range(call.n_outputs):
        cells = call.cells + e * header.n_cells * itemsize(one)
        # Four sums, none of which waits for the others.
        first = second = third = fourth = 0.0
        for k in range(0, fours, 4):
            first += _place(one, header, call, cells, e, k)
            second += _place(one, header, call, cells, e, k + 1)
            third += _place(one, header, call, cells, e, k + 2)
            fourth += _place(one, header, call, cells, e, k + 3)
        for k in range(fours, header.n_functions):
            first += _place(one, header, call, cells, e, k)
        put_real(one, cells, 0, _given(header, call.bias, e) - ((first + second) + (third + fourth)))


@merged
def _waves(one, header, call, first, table):
    """1, cos x, sin x, cos 2x, ... of each feature of the samples from ``first`` on; of 0 for those that are not there."""
    lanes, n_features, top = WIDTH // itemsize(one), header.n_features, header.top
    side, n_here = 2 * top + 1, min(call.n_batch - first, lanes)
    n = n_features * top * lanes
    for f in range(n_features):
        for lane in range(lanes):
            x = _given(header, call.x, (first + lane) * n_features + f) if lane < n_here else 0.0
            for k in range(top):
                put_double(call.angles, (f * top + k) * lanes + lane, (k + 1) * x)
    cos_sin(call.angles, n)
    for f in range(n_features):
        fill_lanes(one, table, f * side, 1.0)
        for k in range(top):
            at, to = (f * top + k) * lanes, (f * side + 2 * k + 1) * lanes
            for lane in range(lanes):
                put_real(one, table, to + lane, double(call.angles, n + at + lane))
                put_real(one, table, to + lanes + lane, double(call.angles, 2 * n + at + lane))


@merged
def _half(one, features, n_features, side, table, stages):
    """Products of the waves of the last feature, the last two, ..., all; returns where the last stage begins."""
    fill_lanes(one, stages, 0, 1.0)
    at, size = 0, 1
    for s in range(n_features):
        row = table + integer(features, n_features - 1 - s) * side * WIDTH
        passes.outer(one, row, side, stages + at * WIDTH, size, stages + (at + size) * WIDTH)
        at, size = at + size, size * side
    return at


@merged
def _undo_half(one, features, n_features, side, table, stages, gradients, gtable):
    """From the gradients of the last stage to those of the waves, which are added to."""
    at, size = 0, 1
    for _ in range(n_features):
        at, size = at + size, size * side
    for s in range(n_features - 1, -1, -1):
        below = size // side
        down = at - below
        place = integer(features, n_features - 1 - s) * side * WIDTH
        passes.clear_vectors(one, gradients + down * WIDTH, below)
        for t in range(side):
            given = gradients + (at + t * below) * WIDTH
            passes.add_dot(one, given, stages + down * WIDTH, below, gtable + place, t)
            passes.add_scaled(one, table + place, t, given, below, gradients + down * WIDTH)
        at, size = down, below


@merged
def _features_of(header, block):
    return header.features + 8 * block.first


@merged
def _cells_of(one, header, call, block, output):
    return call.cells + (output * header.n_cells + block.cells) * itemsize(one)


def sum_products(one, header_place, call_place):
    """The sums of a call.

    Args:
        one: 1 in the precision of all numbers.
        header_place: address of the `SumHeader`.
        call_place: address of the `SumCall`.
    """
    header, call = _open(header_place, call_place)
    lanes, side, n_outputs = WIDTH // itemsize(one), 2 * header.top + 1, call.n_outputs
    _spread(one, header, call)
    for first in range(0, call.n_batch, lanes):
        _waves(one, header, call, first, call.tables)
        passes.clear_vectors(one, call.sums, n_outputs)
        for number in range(header.n_blocks):
            block = read_record(BlockRecord, header.blocks + number * _BLOCK, 0)
            features = _features_of(header, block)
            left = call.left + WIDTH * _half(one, features, block.n_left, side, call.tables, call.left)
            features += 8 * block.n_left
            right = call.right + WIDTH * _half(one, features, block.n_right, side, call.tables, call.right)
            for e in range(n_outputs):
                cells = _cells_of(one, header, call, block, e)
                passes.mix(one, cells, block.stride, 1, block.left, right, block.right, call.mixed)
                passes.add_dot(one, call.mixed, left, block.left, call.sums, e)
        for lane in range(min(call.n_batch - first, lanes)):
            for e in range(n_outputs):
                _put(header, call.out, (first + lane) * n_outputs + e, real(one, call.sums, e * lanes + lane))


@merged
def _feature_gradients(one, header, call, block, group, left, right):
    """Adds to the gradients of the waves what a block gives, for one vector of samples."""
    side, n_outputs, n_groups = 2 * header.top + 1, call.n_outputs, call.chunk * itemsize(one) // WIDTH
    n_waves = header.n_features * side * WIDTH
    table, gtable = call.tables + group * n_waves, call.gtables + group * n_waves
    gleft, gright = call.gleft + left - call.left, call.gright + right - call.right
    passes.clear_vectors(one, gleft, block.left)
    passes.clear_vectors(one, gright, block.right)
    for e in range(n_outputs):
        cells = _cells_of(one, header, call, block, e)
        given = e * n_groups + group
        passes.mix(one, cells, block.stride, 1, block.left, right, block.right, call.mixed)
        passes.add_scaled(one, call.sums, given, call.mixed, block.left, gleft)
        passes.mix(one, cells, 1, block.stride, block.right, left, block.left, call.mixed)
        passes.add_scaled(one, call.sums, given, call.mixed, block.right, gright)
    features = _features_of(header, block)
    _undo_half(one, features, block.n_left, side, table, call.left, call.gleft, gtable)
    features += 8 * block.n_left
    _undo_half(one, features, block.n_right, side, table, call.right, call.gright, gtable)


@merged
def _keep(one, call, block, group, left, right):
    """Copies the products of both halves of one vector of samples: the left in turn, the right sample by sample."""
    lanes, chunk = WIDTH // itemsize(one), call.chunk
    for i in range(block.left):
        for lane in range(lanes):
            put_real(one, call.lefts, i * chunk + group * lanes + lane, real(one, left, i * lanes + lane))
    for i in range(block.right):
        at = ((i // lanes) * chunk + group * lanes) * lanes + i % lanes
        for lane in range(lanes):
            put_real(one, call.rights, at + lane * lanes, real(one, right, i * lanes + lane))


@merged
def _cell_gradients(one, header, call, block, n_samples):
    """Adds to the gradients of a block's coefficients what the samples of a chunk give."""
    lanes, chunk, size = WIDTH // itemsize(one), call.chunk, itemsize(one)
    for e in range(call.n_outputs):
        for tile in range(0, block.left, TILE):
            for i in range(TILE):
                left = (tile + i) * chunk
                for b in range(n_samples):
                    value = 0.0
                    if tile + i < block.left:
                        value = real(one, call.sums, e * chunk + b) * real(one, call.lefts, left + b)
                    put_real(one, call.given, TILE * b + i, value)
            start = call.gcells + (e * header.n_cells + block.cells + tile * block.stride) * size
            for v in range(block.stride // lanes):
                values = call.rights + v * chunk * WIDTH
                passes.add_products(one, call.given, values, n_samples, start + v * WIDTH, block.stride // lanes)


@merged
def _load_cotangent(one, header, call, first):
    """The gradients of the outputs of a chunk, output by output; 0 for samples that are not there."""
    n_outputs, chunk = call.n_outputs, call.chunk
    n_here = min(call.n_batch - first, chunk)
    for e in range(n_outputs):
        for b in range(chunk):
            value = _given(header, call.cotangent, (first + b) * n_outputs + e) if b < n_here else 0.0
            put_real(one, call.sums, e * chunk + b, value)


@merged
def _write_feature_gradients(one, header, call, first, group):
    """From the gradients of waves to those of features."""
    lanes, n_features, side = WIDTH // itemsize(one), header.n_features, 2 * header.top + 1
    start = group * n_features * side * lanes
    for lane in range(min(call.n_batch - first, lanes)):
        for f in range(n_features):
            total = 0.0
            for k in range(header.top):
                at = start + (f * side + 2 * k + 1) * lanes + lane
                cosine, sine = real(one, call.tables, at), real(one, call.tables, at + lanes)
                by_cosine, by_sine = real(one, call.gtables, at), real(one, call.gtables, at + lanes)
                total += (k + 1) * (cosine * by_sine - sine * by_cosine)
            _put(header, call.gx, (first + lane) * n_features + f, total)


@merged
def _gather(one, header, call):
    """From the gradients of cells to those of weights and biases."""
    _invert(one, header, call)
    for e in range(call.n_outputs):
        gcells, start = call.gcells + e * header.n_cells * itemsize(one), e * header.n_functions
        total = real(one, gcells, 0)
        _put(header, call.gbias, e, total)
        for k in range(header.n_functions):
            value = real(one, gcells, integer(header.places, k)) - _given(header, call.centre, k) * total
            _put(header, call.gweight, start + k, value * double(call.inverses, k))


def differentiate_sums(one, header_place, call_place):
    """The gradients of a call, of the features and of the weights and biases, those whose addresses are given.

    Arguments are those of `sum_products`.
    """
    header, call = _open(header_place, call_place)
    lanes, side = WIDTH // itemsize(one), 2 * header.top + 1
    n_waves = header.n_features * side
    if call.gx != 0:
        _spread(one, header, call)
    if call.gweight != 0:
        passes.clear_vectors(one, call.gcells, call.n_outputs * header.n_cells * itemsize(one) // WIDTH)
    for first in range(0, call.n_batch, call.chunk):
        n_samples = min(call.n_batch - first, call.chunk)
        n_groups = (n_samples + lanes - 1) // lanes
        _load_cotangent(one, header, call, first)
        for group in range(n_groups):
            _waves(one, header, call, first + group * lanes, call.tables + group * n_waves * WIDTH)
        if call.gx != 0:
            passes.clear_vectors(one, call.gtables, n_groups * n_waves)
        for number in range(header.n_blocks):
            block = read_record(BlockRecord, header.blocks + number * _BLOCK, 0)
            for group in range(n_groups):
                table, features = call.tables + group * n_waves * WIDTH, _features_of(header, block)
                left = call.left + WIDTH * _half(one, features, block.n_left, side, table, call.left)
                features += 8 * block.n_left
                right = call.right + WIDTH * _half(one, features, block.n_right, side, table, call.right)
                if call.gx != 0:
                    _feature_gradients(one, header, call, block, group, left, right)
                if call.gweight != 0:
                    _keep(one, call, block, group, left, right)
            if call.gweight != 0:
                _cell_gradients(one, header, call, block, n_samples)
        if call.gx != 0:
            for group in range(n_groups):
                _write_feature_gradients(one, header, call, first + group * lanes, group)
    if call.gweight != 0:
        _gather(one, header, call)
