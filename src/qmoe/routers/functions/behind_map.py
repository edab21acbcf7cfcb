"""Products and waves behind a trainable linear map, in the terms of training in machine code."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from qmoe.compilable import Layer, WaveProducts
from qmoe.layers import Linear
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.terms import Variable


def products_behind(projection: Linear, products: Products, centre: Tensor, scale: Tensor) -> WaveProducts:
    """Products of sines and cosines of what the map gives, ``centre`` taken off each and divided by ``scale``."""
    variables = products.variables or [Variable((f,)) for f in range(projection.bias.shape[-1])]
    angles = np.full((len(variables), max(len(v.features) for v in variables)), -1, dtype=np.int64)
    for row, variable in zip(angles, variables, strict=True):
        row[: len(variable.features)] = variable.features
    units = np.array([variable.unit for variable in variables], dtype=np.float64)
    order, parents, factors = (np.ascontiguousarray(each, dtype=np.int64) for each in products.steps())
    layer = Layer(projection.weight, projection.bias)
    return WaveProducts(layer, products.top, order, parents, factors, centre, scale, angles, units)


def waves_behind(projection: Linear, waves: Tensor, centre: Tensor, scale: Tensor) -> WaveProducts:
    """``cos k.u`` of all waves k, then ``sin k.u``, where the map gives u; ``centre`` and ``scale`` as above."""
    n = waves.shape[-2]
    # An angle has the entries 1, cos and sin of the table.
    factors = np.concatenate([3 * np.arange(n) + 1, 3 * np.arange(n) + 2])
    layer = Layer(projection.weight, projection.bias)
    return WaveProducts(layer, 1, np.arange(2 * n), np.full(2 * n, -1), factors, centre, scale, waves=waves)
