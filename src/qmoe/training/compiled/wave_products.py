"""Inside the kernel: products of cosines and sines of the map in front of the router, and back to the gradients of the map."""

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
    for p in range(made.n_products):
        parent, factor = integer(made.parents, p), table[integer(made.factors, p)]
        for b in range(n_samples):
            products[p, b] = factor[b] if parent < 0 else products[parent, b] * factor[b]
    inputs = views.columns(one, plan, memory, at.AT_INPUTS, n_inputs, n_samples)
    centre = views.part_vector(one, plan, row, at.CENTRE, n_inputs)
    scale = views.part_vector(one, plan, row, at.SCALE, n_inputs)
    for k in range(n_inputs):
        product, by = products[integer(made.places, k)], inputs.dtype.type(1) / scale[k]
        for b in range(n_samples):
            inputs[k, b] = (product[b] - centre[k]) * by


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
    """Gradients of what the map gives, in their columns, from those of the centred and scaled products ``(K, B)``."""
    made = read_record(at.ProductRecord, integer(plan, at.PRODUCTS), 0)
    side, n_inputs = 2 * made.top + 1, given.shape[0]
    n_waves = made.n_angles * side
    table = views.columns(one, plan, memory, at.AT_TABLE, n_waves, n_samples)
    products = views.columns(one, plan, memory, at.AT_PRODUCTS, made.n_products, n_samples)
    of_table = views.columns(one, plan, memory, at.AT_TABLE_GRADIENT, n_waves, n_samples)
    of_products = views.columns(one, plan, memory, at.AT_PRODUCT_GRADIENT, made.n_products, n_samples)
    scale = views.part_vector(one, plan, row, at.SCALE, n_inputs)
    for p in range(n_waves):
        for b in range(n_samples):
            of_table[p, b] = 0
    for p in range(made.n_products):
        for b in range(n_samples):
            of_products[p, b] = 0
    for k in range(n_inputs):
        place, by = integer(made.places, k), given.dtype.type(1) / scale[k]
        for b in range(n_samples):
            of_products[place, b] = given[k, b] * by
    # Whoever goes on from a product comes after it.
    for p in range(made.n_products - 1, -1, -1):
        parent, factor = integer(made.parents, p), integer(made.factors, p)
        if parent < 0:
            for b in range(n_samples):
                of_table[factor, b] += of_products[p, b]
        else:
            for b in range(n_samples):
                of_table[factor, b] += of_products[p, b] * products[parent, b]
                of_products[parent, b] += of_products[p, b] * table[factor, b]
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
