"""Inside the kernel: products of cosines and sines of the map in front of the router, and back to the map's outputs."""

from __future__ import annotations

import numpy as np

import qmoe.training.compiled.layout as at
import qmoe.training.compiled.views as views
from qmoe.compiled.addresses import double, inner, integer, put_double, read_record
from qmoe.compiled.trigonometry import cos_sin
from qmoe.training.compiled.column_operations import add_rows, input_gradient


@inner
def _add_up_angles(one, plan, shape, memory, row, n_samples):
    """Angles ``(A, B)``: sums or products of what the map gives."""
    made = read_record(at.ProductRecord, integer(plan, at.PRODUCTS), 0)
    encoded = views.encoded_columns(one, plan, shape, memory, n_samples)
    angles = views.columns(one, plan, memory, at.AT_ANGLES, made.n_angles, n_samples)
    if made.depth == 0:
        waves = views.part(one, plan, row, at.WAVES, made.n_angles, encoded.shape[0])
        for a in range(made.n_angles):
            for b in range(n_samples):
                angles[a, b] = 0
            add_rows(angles[a], waves[a], encoded, 0)
        return
    for a in range(made.n_angles):
        unit = angles.dtype.type(double(made.units, a))
        for b in range(n_samples):
            angles[a, b] = unit
        for d in range(made.depth):
            f = integer(made.angles, a * made.depth + d)
            if f >= 0:
                for b in range(n_samples):
                    angles[a, b] *= encoded[f, b]


@inner
def multiply_waves(one, plan, shape, memory, row, n_samples):
    """Centred and scaled products of a batch, in the columns of the router's inputs."""
    _add_up_angles(one, plan, shape, memory, row, n_samples)
    made = read_record(at.ProductRecord, integer(plan, at.PRODUCTS), 0)
    n_inputs, side, numbers = integer(plan, at.N_INPUTS), 2 * made.top + 1, integer(memory, at.ANGLE_NUMBERS)
    angles = views.columns(one, plan, memory, at.AT_ANGLES, made.n_angles, n_samples)
    table = views.columns(one, plan, memory, at.AT_TABLE, made.n_angles * side, n_samples)
    for a in range(made.n_angles):
        for k in range(made.top):
            for b in range(n_samples):
                put_double(numbers, b, (k + 1) * np.float64(angles[a, b]))
            cos_sin(numbers, n_samples)
            entry = a * side + 2 * k + 1
            for b in range(n_samples):
                table[entry, b] = double(numbers, n_samples + b)
                table[entry + 1, b] = double(numbers, 2 * n_samples + b)
    products = views.columns(one, plan, memory, at.AT_PRODUCTS, made.n_products, n_samples)
    inputs = views.columns(one, plan, memory, at.AT_INPUTS, n_inputs, n_samples)
    centre = views.part_vector(one, plan, row, at.CENTRE, n_inputs)
    scale = views.part_vector(one, plan, row, at.SCALE, n_inputs)
    for i in range(made.n_products):
        p, parent, factor = integer(made.order, i), integer(made.parents, i), table[integer(made.factors, i)]
        for b in range(n_samples):
            products[p, b] = factor[b] if parent < 0 else products[parent, b] * factor[b]
        if p < n_inputs:
            middle, by = centre[p], inputs.dtype.type(1) / scale[p]
            for b in range(n_samples):
                inputs[p, b] = (products[p, b] - middle) * by


@inner
def _unmultiply_angles(one, plan, memory, row, n_samples):
    """Gradients of what the map gives, in their columns, from those of the angles."""
    made = read_record(at.ProductRecord, integer(plan, at.PRODUCTS), 0)
    n_encoded = integer(plan, at.N_ENCODED)
    encoded = views.columns(one, plan, memory, at.AT_ENCODED, n_encoded, n_samples)
    of_encoded = views.columns(one, plan, memory, at.AT_ENCODED_GRADIENT, n_encoded, n_samples)
    of_angles = views.columns(one, plan, memory, at.AT_ANGLE_GRADIENT, made.n_angles, n_samples)
    if made.depth == 0:
        input_gradient(of_encoded, views.part(one, plan, row, at.WAVES, made.n_angles, n_encoded), of_angles)
        return
    for f in range(n_encoded):
        for b in range(n_samples):
            of_encoded[f, b] = 0
    for a in range(made.n_angles):
        unit = of_angles.dtype.type(double(made.units, a))
        for d in range(made.depth):
            f = integer(made.angles, a * made.depth + d)
            if f < 0:
                continue
            for b in range(n_samples):
                slope = unit * of_angles[a, b]
                for other in range(made.depth):
                    g = integer(made.angles, a * made.depth + other)
                    if other != d and g >= 0:
                        slope *= encoded[g, b]
                of_encoded[f, b] += slope


@inner
def unmultiply_waves(one, plan, memory, row, given, n_samples):
    """Gradients of what the map gives, in their columns, from those of the centred and scaled products ``(K, B)``.

    These are added to in place: the gradient of a product, times its scale.
    """
    made = read_record(at.ProductRecord, integer(plan, at.PRODUCTS), 0)
    side, n_inputs = 2 * made.top + 1, given.shape[0]
    n_waves = made.n_angles * side
    table = views.columns(one, plan, memory, at.AT_TABLE, n_waves, n_samples)
    products = views.columns(one, plan, memory, at.AT_PRODUCTS, made.n_products, n_samples)
    of_table = views.columns(one, plan, memory, at.AT_TABLE_GRADIENT, n_waves, n_samples)
    of_products = views.columns(one, plan, memory, at.AT_INPUT_GRADIENT, made.n_products, n_samples)
    scale = views.part_vector(one, plan, row, at.SCALE, n_inputs)
    for entry in range(n_waves):
        for b in range(n_samples):
            of_table[entry, b] = 0
    for p in range(n_inputs, made.n_products):
        for b in range(n_samples):
            of_products[p, b] = 0
    whole = table.dtype.type(1)
    # What goes on from a product comes after it.
    for i in range(made.n_products - 1, -1, -1):
        p, parent, factor = integer(made.order, i), integer(made.parents, i), integer(made.factors, i)
        by = whole / scale[p] if p < n_inputs else whole
        if parent < 0:
            for b in range(n_samples):
                of_table[factor, b] += of_products[p, b] * by
        else:
            up = scale[parent] if parent < n_inputs else whole
            for b in range(n_samples):
                own = of_products[p, b] * by
                of_table[factor, b] += own * products[parent, b]
                of_products[parent, b] += own * table[factor, b] * up
    of_angles = views.columns(one, plan, memory, at.AT_ANGLE_GRADIENT, made.n_angles, n_samples)
    for a in range(made.n_angles):
        for b in range(n_samples):
            of_angles[a, b] = 0
        for k in range(made.top):
            cosine = a * side + 2 * k + 1
            for b in range(n_samples):
                turned = table[cosine, b] * of_table[cosine + 1, b] - table[cosine + 1, b] * of_table[cosine, b]
                of_angles[a, b] += of_angles.dtype.type(k + 1) * turned
    _unmultiply_angles(one, plan, memory, row, n_samples)
