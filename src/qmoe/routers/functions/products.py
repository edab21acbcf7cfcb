"""Many products of sines and cosines, as arrays: listed, counted, and evaluated by running products."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
import torch
from torch import Tensor

from qmoe.routers.functions.terms import ProductTerm, Variable


class Products(Sequence[ProductTerm]):
    """A sequence of `ProductTerm`, each once, in order: by number of features, then by total frequency.

    Args:
        features: ``(K, W)`` the features of each product in ascending order, 0 beyond its own.
        waves: ``(K, W)`` a number for each: 1 for cos x, 2 for sin x, 3 for cos 2x, ...; 0 beyond.
        variables: where the circuit turns by other things than single features: what stands for each of ``features``.
    """

    def __init__(self, features: np.ndarray, waves: np.ndarray, variables: Sequence[Variable] | None = None) -> None:
        width = int((waves > 0).sum(1).max(initial=0))
        self.features = np.ascontiguousarray(features[:, :width], dtype=np.int32)
        self.waves = np.ascontiguousarray(waves[:, :width], dtype=np.int32)
        plain = variables is None or all(v == Variable((place,)) for place, v in enumerate(variables))
        self.variables = None if plain or variables is None else tuple(variables)

    @classmethod
    def united(
        cls, parts: Sequence[tuple[Sequence[int], np.ndarray]], variables: Sequence[Variable] | None = None
    ) -> Products:
        """All products of several parts, but the constant.

        Args:
            parts: features (or variables), and ``(N, features)`` waves of each product.
            variables: as of the class.
        """
        return cls.gathered(parts, variables)[0]

    @classmethod
    def gathered(
        cls, parts: Sequence[tuple[Sequence[int], np.ndarray]], variables: Sequence[Variable] | None = None
    ) -> tuple[Products, np.ndarray]:
        """As `united`, and ``(sum of N,)`` the place of each product of the parts among all, K for the constant."""
        if not parts:
            return cls(np.zeros((0, 0)), np.zeros((0, 0)), variables), np.zeros(0, dtype=np.int64)
        padded = [_padded(np.asarray(features, dtype=np.int64), waves) for features, waves in parts]
        width = max(found[0].shape[1] for found in padded)
        features, waves = (
            np.concatenate([np.pad(found[side], ((0, 0), (0, width - found[side].shape[1]))) for found in padded])
            for side in (0, 1)
        )
        weights = (waves > 0).sum(1)
        columns = _packed(features, waves)
        order = np.lexsort([*columns[::-1], ((waves + 1) // 2).sum(1), weights])
        is_new = np.ones(len(order), dtype=bool)
        same = [column[order][1:] == column[order][:-1] for column in columns]
        is_new[1:] = ~np.logical_and.reduce(same) if same else False
        kept = order[is_new & (weights[order] > 0)]
        # The constant, which has no factor, comes first where there is one.
        group = np.empty(len(order), dtype=np.int64)
        group[order] = np.cumsum(is_new) - 1 - int((weights == 0).any())
        group[weights == 0] = len(kept)
        return cls(features[kept], waves[kept], variables), group

    def __len__(self) -> int:
        return len(self.waves)

    @overload
    def __getitem__(self, place: int) -> ProductTerm: ...
    @overload
    def __getitem__(self, place: slice) -> Products: ...
    def __getitem__(self, place: int | slice) -> ProductTerm | Products:
        if isinstance(place, slice):
            return self.taken(place)
        pairs = zip(self.features[place].tolist(), self.waves[place].tolist(), strict=True)
        factors: list[tuple[int | tuple[int, ...], float, str]] = []
        for feature, wave in pairs:
            if wave:
                one = Variable((feature,)) if self.variables is None else self.variables[feature]
                k = (wave + 1) // 2 if one.unit == 1 else (wave + 1) // 2 * one.unit
                name = one.features[0] if len(one.features) == 1 else one.features
                factors.append((name, k, "cos" if wave % 2 else "sin"))
        return ProductTerm(tuple(factors))

    def __iter__(self) -> Iterator[ProductTerm]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Products):
            return NotImplemented
        same = np.array_equal(self.features, other.features) and np.array_equal(self.waves, other.waves)
        return same and self.variables == other.variables

    def __hash__(self) -> int:
        return hash((self.features.tobytes(), self.waves.tobytes()))

    @cached_property
    def digest(self) -> str:
        """A text that other products do not have."""
        names = repr(self.variables).encode()
        return hashlib.sha256(self.features.tobytes() + self.waves.tobytes() + names).hexdigest()[:12]

    @cached_property
    def weights(self) -> np.ndarray:
        """``(K,)`` number of features of each product."""
        return (self.waves > 0).sum(1)

    @cached_property
    def odd(self) -> np.ndarray:
        """``(K,)`` whether each changes its sign when all features do."""
        return ((self.waves > 0) & (self.waves % 2 == 0)).sum(1) % 2 == 1

    @cached_property
    def top(self) -> int:
        """The highest frequency."""
        return (int(self.waves.max(initial=0)) + 1) // 2

    def taken(self, kept: np.ndarray | slice) -> Products:
        """Those at the places, or of the mask, ``kept``."""
        return Products(self.features[kept], self.waves[kept], self.variables)

    def inputs(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to what sines and cosines are taken of."""
        if self.variables is None:
            return x
        columns = []
        for variable in self.variables:
            column = x[..., variable.features[0]]
            for feature in variable.features[1:]:
                column = column * x[..., feature]
            columns.append(column if variable.unit == 1 else column * variable.unit)
        return torch.stack(columns, -1)

    def values(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., K)`` products, factors multiplied in the order of the features."""
        x = self.inputs(x)
        table = wave_table(x, self.top)
        if self._lattice is not None:
            features, order = self._lattice
            table = table if len(features) == x.shape[-1] else table[..., features, :]
            return outer(table).index_select(-1, _index(order, x))
        flat, order_ = table.flatten(-2), self._levels
        levels: list[Tensor] = []
        for parents, factors in order_.steps:
            factor = flat.index_select(-1, _index(factors, x))
            levels.append(factor if parents is None else levels[-1].index_select(-1, _index(parents, x)) * factor)
        found = torch.cat(levels, -1)
        return found if order_.places is None else found.index_select(-1, _index(order_.places, x))

    @cached_property
    def _lattice(self) -> tuple[list[int], np.ndarray] | None:
        """Features, and where each product stands among all of their products; None where those are many more."""
        features = np.unique(self.features[self.waves > 0])
        side = 2 * self.top + 1
        if len(features) * np.log(side) > np.log(2.0 * len(self) + 2):
            return None
        place = np.searchsorted(features, self.features)
        strides = side ** np.arange(len(features))[::-1]
        return features.tolist(), (self.waves * strides[place]).sum(1)

    @cached_property
    def _levels(self) -> _Levels:
        return _Levels.of(self.features, self.waves, 2 * self.top + 1)

    def steps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How to compute them one after another, with those that only lead to others, which are numbered from K on.

        Returns:
            ``(P,)`` products in an order to compute them in; ``(P,)`` the earlier one that each goes on from, -1 for none;
            ``(P,)`` the place of its last factor in the table of waves. Not kept, so that no pickle grows by a training.
        """
        levels = _Levels.of(self.features, self.waves, 2 * self.top + 1)
        parents: list[np.ndarray] = []
        factors: list[np.ndarray] = []
        start = 0
        for above, factor in levels.steps:
            first = start - (len(factors[-1]) if factors else 0)
            parents.append(np.full(len(factor), -1) if above is None else first + above)
            factors.append(factor)
            start += len(factor)
        order = np.full(start, -1)
        order[slice(None) if levels.places is None else levels.places] = np.arange(len(self))
        order[order < 0] = np.arange(len(self), start)
        above = np.concatenate(parents)
        return order, np.where(above < 0, -1, order[above]), np.concatenate(factors)


class _Levels:
    """Products of one factor, of two, ...: each is one of the level before, its parent, times a factor.

    Attributes:
        steps: for each level the places of the parents in the one before (None for the first), and of the factors in the
            table of waves.
        places: where the products are among all levels; None if they are all of them in this order.
    """

    def __init__(self, steps: list[tuple[np.ndarray | None, np.ndarray]], places: np.ndarray | None) -> None:
        self.steps, self.places = steps, places

    @classmethod
    def of(cls, features: np.ndarray, waves: np.ndarray, side: int) -> _Levels:
        """The levels of products, with the parents that are no products themselves."""
        weights, width = (waves > 0).sum(1), waves.shape[1]
        factors = features.astype(np.int64) * side + waves
        # From the last level to the first: what is needed there, and by whom.
        needed: list[np.ndarray] = []
        above = np.zeros((0, width), dtype=np.int64)
        links: list[np.ndarray] = []
        for level in range(width, 0, -1):
            own = factors[weights == level][:, :level]
            rows, place = _unique_rows(np.concatenate([own, above[:, :level]]), len(own))
            links.append(place[len(own) :])
            needed.append(rows)
            above = rows
        needed, links = needed[::-1], links[::-1]
        steps: list[tuple[np.ndarray | None, np.ndarray]] = []
        places, start = np.zeros(len(waves), dtype=np.int64), 0
        for level, rows in enumerate(needed):
            parents = None if level == 0 else links[level - 1]
            steps.append((parents, rows[:, level]))
            own_places = np.flatnonzero(weights == level + 1)
            places[own_places] = start + np.arange(len(own_places))
            start += len(rows)
        is_all = start == len(places) and bool((places == np.arange(start)).all())
        return cls(steps, None if is_all else places)


def wave_table(x: Tensor, top: int) -> Tensor:
    """``(..., F)`` to ``(..., F, 2 top + 1)``: 1, cos x, sin x, cos 2x, ... of each feature."""
    if top <= 1:
        return torch.stack([torch.ones_like(x), x.cos(), x.sin()], -1)
    angles = x.unsqueeze(-1) * torch.arange(1, top + 1, dtype=x.dtype, device=x.device)
    waves = torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
    return torch.cat([torch.ones_like(x).unsqueeze(-1), waves], -1)


def outer(table: Tensor) -> Tensor:
    """``(..., f, T)`` to all products with one factor of each row, ``(..., T**f)``."""
    rows = table.unbind(-2)
    out = rows[0] if rows else table.new_ones(*table.shape[:-2], 1)
    for row in rows[1:]:
        out = (out.unsqueeze(-1) * row.unsqueeze(-2)).flatten(-2)
    return out


def _index(places: np.ndarray, like: Tensor) -> Tensor:
    # Arrays are kept, not tensors: one made while torch records operations would hold no values, and outlive the recording.
    return torch.as_tensor(places, device=like.device)


def _padded(features: np.ndarray, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(N, W)`` features and waves of each row's factors, 0 beyond."""
    width = int((waves > 0).sum(1).max(initial=0))
    order = np.argsort(waves == 0, axis=1, kind="stable")[:, :width]
    found = np.take_along_axis(waves, order, axis=1).astype(np.int32)
    return np.where(found > 0, features[order] if len(features) else 0, 0).astype(np.int32), found


def _packed(features: np.ndarray, waves: np.ndarray) -> list[np.ndarray]:
    """Few columns of integers that order rows as their factors do."""
    side = int(waves.max(initial=0)) + 1
    codes = features.astype(np.uint64) * np.uint64(side) + waves.astype(np.uint64)
    bits = max(int(codes.max(initial=0)).bit_length(), 1)
    room = max(64 // bits, 1)
    columns = []
    for first in range(0, codes.shape[1], room):
        column = np.zeros(len(codes), dtype=np.uint64)
        for factor in codes[:, first : first + room].T:
            column = (column << np.uint64(bits)) | factor
        columns.append(column)
    return columns


def _unique_rows(rows: np.ndarray, n_first: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row once, the first ones in their order, and the place of every row among them."""
    own, others = rows[:n_first], rows[n_first:]
    if not len(others):
        return own, np.arange(n_first)
    columns = _packed(rows, np.zeros_like(rows))
    order = np.lexsort(columns[::-1])  # stable, so a first row comes before its copies
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = ~np.logical_and.reduce([c[order][1:] == c[order][:-1] for c in columns])
    group = np.cumsum(is_new) - 1
    first = order[is_new]
    extra = np.sort(first[first >= n_first])
    place_of_first = np.empty(len(rows), dtype=np.int64)
    place_of_first[:n_first] = np.arange(n_first)
    place_of_first[extra] = n_first + np.arange(len(extra))
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = place_of_first[first[group]]
    return np.concatenate([own, rows[extra]]), place
