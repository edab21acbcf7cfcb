"""Sums of many products of sines and cosines as bilinear forms, without listing the products' values.

A block is a set of features. All products of its waves are the outer product of those of its two halves, so a sum of them is
``left^T C right``: for 8 features two matrices of 81 columns in place of 6561 values for each sample. Every product belongs
to one block that holds all of its features; blocks may overlap, as light cones do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qmoe.routers.functions.products import Products, outer, wave_table

#: Fewer functions than this are listed: there the blocks have nothing to save.
MIN_FUNCTIONS = 512
#: Functions that a block holds on average, at least, and cells of all blocks for each function, at most.
_MIN_PER_BLOCK, _MAX_CELLS = 100, 6


class Blocks:
    """How products are placed in blocks.

    Args:
        features: ``(N, f)`` the features of the blocks of each size, for each size that occurs.
        products: the products.
        places: ``(K,)`` where the coefficient of each product stands among those of all blocks, one after the other.
    """

    def __init__(self, features: Sequence[np.ndarray], products: Products, places: np.ndarray) -> None:
        self.features, self.top, self.inputs = tuple(features), products.top, products.inputs
        side = 2 * self.top + 1
        self.sides = [(side ** (f.shape[1] // 2), side ** (f.shape[1] - f.shape[1] // 2)) for f in self.features]
        self.sizes = [len(f) * left * right for f, (left, right) in zip(self.features, self.sides, strict=True)]
        # Where each cell takes its coefficient: 0 is that of 1, K + 1 is 0.
        self._sources = np.full(sum(self.sizes), len(places) + 1)
        self._sources[places] = 1 + np.arange(len(places))
        self._sources[0] = 0
        self._has_gaps = bool((self._sources > len(places)).any())

    @classmethod
    def of(cls, products: Products) -> Blocks | None:
        """The blocks of products; None where there are few products, or too many blocks for them."""
        K = len(products)
        if K < MIN_FUNCTIONS:
            return None
        found = cover(products, _MAX_CELLS * K, K // _MIN_PER_BLOCK)
        return None if found is None else cls._placed(products, *found, 2 * products.top + 1)

    @classmethod
    def _placed(cls, products: Products, chosen: list[np.ndarray], home: np.ndarray, side: int) -> Blocks:
        places = np.zeros(len(products), dtype=np.int64)
        features, start = [], 0
        for size in sorted({len(block) for block in chosen}, reverse=True):
            members = [number for number, block in enumerate(chosen) if len(block) == size]
            features.append(np.stack([chosen[number] for number in members]))
            strides = side ** np.arange(size)[::-1]
            for number in members:
                own = np.flatnonzero(home == number)
                at = np.minimum(np.searchsorted(chosen[number], products.features[own]), size - 1)
                places[own] = start + (products.waves[own] * strides[at]).sum(1)
                start += side**size
        return cls(features, products, places)

    def spread(self, coefficients: Tensor, constant: Tensor) -> list[Tensor]:
        """``(*S, E, K)`` coefficients of the products, and ``(*S, E)`` of 1, to those of the blocks of each size.

        Each is ``(*S, N, E, left, right)``, or ``(*S, E, left, right)`` for a single block.
        """
        held = [constant.unsqueeze(-1), coefficients]
        if self._has_gaps:
            held.append(torch.zeros_like(held[0]))
        flat = torch.cat(held, -1).index_select(-1, torch.as_tensor(self._sources, device=coefficients.device))
        parts = flat.split(self.sizes, -1) if len(self.sizes) > 1 else (flat,)
        return [
            part.unflatten(-1, (left, right))
            if len(features) == 1
            else part.unflatten(-1, (len(features), left, right)).movedim(-4, -3)
            for part, features, (left, right) in zip(parts, self.features, self.sides, strict=True)
        ]

    def sums(self, x: Tensor, coefficients: Sequence[Tensor]) -> Tensor:
        """``(*S, ..., F)`` features and `spread` coefficients to ``(*S, ..., E)``: the sums of the products."""
        stack = coefficients[0].shape[: -3 if len(self.features[0]) == 1 else -4]
        x = self.inputs(x)
        rows = x.reshape(*stack, -1, x.shape[-1])
        table = wave_table(rows, self.top)
        total: Tensor | None = None
        for features, held in zip(self.features, coefficients, strict=True):
            if len(features) == 1:  # one block, and mostly all features
                taken = table if features.shape[1] == x.shape[-1] else table[..., features[0], :]
                part = bilinear(taken, held)
            else:
                part = bilinear(table[..., features, :].movedim(-4, -3), held).sum(-3)
            total = part if total is None else total + part
        assert total is not None
        return total.reshape(*x.shape[:-1], total.shape[-1])


def cover(products: Products, max_cells: int, max_blocks: int) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Blocks that hold all products: the features of each, and ``(K,)`` the block of each product.

    None where they would be more, or have more cells, than these.
    """
    is_there = products.waves > 0
    used = np.unique(products.features[is_there])
    support = np.zeros((len(products), len(used)), dtype=bool)
    rows = np.nonzero(is_there)[0]
    support[rows, np.searchsorted(used, products.features[is_there])] = True
    packed = np.packbits(support, axis=1)
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    kinds, group = support[first], group.reshape(-1)
    order = np.argsort(-kinds.sum(1), kind="stable")
    home = np.full(len(kinds), -1)
    chosen: list[np.ndarray] = []
    side, cells = 2 * products.top + 1, 0
    for kind in order:
        if home[kind] >= 0:
            continue
        block = kinds[kind]
        cells += side ** int(block.sum())
        if cells > max_cells or len(chosen) >= max_blocks:
            return None
        home[(home < 0) & ~(kinds & ~block).any(1)] = len(chosen)
        chosen.append(used[block])
    return chosen, home[group]


def bilinear(waves: Tensor, coefficients: Tensor) -> Tensor:
    """``(..., B, f, T)`` waves and ``(..., E, left, right)`` coefficients to ``(..., B, E)`` sums of all products."""
    half, is_odd = divmod(waves.shape[-2], 2)
    if is_odd:
        left, right = outer(waves[..., :half, :]), outer(waves[..., half:, :])
    else:
        left, right = outer(waves.unflatten(-2, (2, half))).unbind(-2)
    E, n_left = coefficients.shape[-3:-1]
    mixed = right @ coefficients.flatten(-3, -2).mT  # (..., B, E left)
    return (mixed.unflatten(-1, (E, n_left)) @ left.unsqueeze(-1)).squeeze(-1)
