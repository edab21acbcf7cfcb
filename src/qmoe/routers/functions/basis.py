"""Bases of the functions that a circuit computes: products of sines and cosines, or quadratic forms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from qmoe.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ProductTerm:
    """A product of sines and cosines of single features, such as ``cos x0 sin 2x1``.

    Attributes:
        factors: ``(feature, frequency, "cos" or "sin")`` of each factor, in the order of the features.
    """

    factors: tuple[tuple[int, int, str], ...]

    @property
    def name(self) -> str:
        """As in ``"cos x0 sin 2x1"``."""
        return " ".join(f"{function} {'' if k == 1 else k}x{feature}" for feature, k, function in self.factors)

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "odd" if sum(function == "sin" for _, _, function in self.factors) % 2 else "even"

    def frequency(self, n_features: int) -> tuple[float, ...]:
        """The frequency of each feature, 0 where it does not occur."""
        found = {feature: k for feature, k, _ in self.factors}
        return tuple(found.get(feature, 0) for feature in range(n_features))


@dataclass(frozen=True, slots=True)
class WaveTerm:
    """The cosine or sine of a whole combination of features, such as ``cos(x0 - 2x1)``: what random Fourier features are.

    Attributes:
        wave: ``(F,)`` the factor of each feature.
        function: ``"cos"`` or ``"sin"``.
    """

    wave: tuple[float, ...]
    function: str

    @property
    def name(self) -> str:
        """As in ``"cos(x0 - 2x1)"``."""
        parts = [(k, f"{'' if abs(k) == 1 else f'{abs(k):g}'}x{f}") for f, k in enumerate(self.wave) if k]
        text = " ".join(f"{'-' if k < 0 else '+'} {part}" for k, part in parts)
        return f"{self.function}({text.removeprefix('+ ').replace('- ', '-', 1) if text.startswith('-') else text[2:]})"

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "odd" if self.function == "sin" else "even"

    def frequency(self, n_features: int) -> tuple[float, ...]:
        """The magnitude of each feature's factor."""
        del n_features
        return tuple(abs(k) for k in self.wave)


@dataclass(frozen=True, slots=True)
class QuadraticTerm:
    """A quadratic form of the normalised features, ``y = x / |x|``, such as ``2 y0 y1``.

    Attributes:
        entries: ``(i, j, c)`` with ``i <= j`` for each summand ``c y_i y_j``.
        word: the Pauli word whose expectation in the encoded state it is; empty for a single product.
    """

    entries: tuple[tuple[int, int, float], ...]
    word: str = ""

    @property
    def name(self) -> str:
        """As in ``"2 y0 y1"``, or ``"<X0 Z1>"`` for a Pauli word."""
        if self.word:
            return f"<{self.word}>"
        parts = [f"{'' if c == 1 else f'{c:g} '}" + (f"y{i}^2" if i == j else f"y{i} y{j}") for i, j, c in self.entries]
        return " + ".join(parts)

    @property
    def parity(self) -> str:
        """What becomes of it when all features change sign."""
        return "even"


Term = ProductTerm | WaveTerm | QuadraticTerm


@dataclass(frozen=True)
class Basis:
    """Functions of F inputs whose span, with the constant, holds every gate logit of a circuit.

    Attributes:
        n_features: number of inputs F of the circuit: angles, or amplitudes before they are normalised.
        terms: the functions; the constant is not among them, since every gate has a bias.
        complete: whether the span holds all that the circuit can compute; False for a random sample, and where functions
            were left out.
    """

    n_features: int
    terms: tuple[Term, ...]
    complete: bool = True

    def __len__(self) -> int:
        return len(self.terms)

    @property
    def names(self) -> tuple[str, ...]:
        """The functions' names."""
        return tuple(term.name for term in self.terms)

    @property
    def parity(self) -> str | None:
        """``"even"`` or ``"odd"`` where all functions are, when all inputs change sign; None where they differ."""
        found = {term.parity for term in self.terms}
        return found.pop() if len(found) == 1 else None

    @property
    def kind(self) -> str:
        """What the functions are, in words."""
        kinds = {
            ProductTerm: "products of sines and cosines",
            WaveTerm: "random Fourier features",
            QuadraticTerm: "quadratic forms of y = x / |x|",
        }
        return kinds[type(self.terms[0])] if self.terms else "no function at all"

    def without(self, left_out: Iterable[str | Iterable[float]]) -> Basis:
        """The basis without some of its functions.

        Args:
            left_out: each a function's name (``"cos x0 sin x1"``), or a frequency: a number for each feature
                (``(1, 2)``: all four products of frequency 1 in x0 and 2 in x1).

        Raises:
            ConfigError: for names and frequencies that no function has, and when nothing is left.
        """
        gone: set[str] = set()
        for item in left_out:
            if isinstance(item, str):
                if item not in self.names:
                    near = ", ".join(map(repr, difflib.get_close_matches(item, self.names, n=4, cutoff=0.0)))
                    raise ConfigError(
                        f"without names {item!r}, which no function of this basis is called; near it: {near}."
                    )
                gone.add(item)
                continue
            wanted = tuple(abs(k) for k in item)
            waves = [term for term in self.terms if not isinstance(term, QuadraticTerm)]
            found = {term.name for term in waves if term.frequency(self.n_features) == wanted}
            if not found:
                raise ConfigError(
                    f"without names the frequency {wanted}, which no function of this basis has; give a number for each of "
                    f"the {self.n_features} features, or the name of a function, such as {self.names[0]!r}."
                )
            gone |= found
        kept = tuple(term for term in self.terms if term.name not in gone)
        if gone and not kept:
            raise ConfigError(f"without leaves out all {len(self)} functions; leave out fewer, or use UniformRouter.")
        return replace(self, terms=kept, complete=self.complete and not gone)

    def values(self, x: Tensor) -> Tensor:
        """``(..., F)`` inputs of the circuit to ``(..., K)`` values of the functions."""
        if not self.terms:
            return x.new_zeros(*x.shape[:-1], 0)
        if isinstance(self.terms[0], ProductTerm):
            return self._products(x)
        return self._waves(x) if isinstance(self.terms[0], WaveTerm) else self._forms(x)

    def _products(self, x: Tensor) -> Tensor:
        top, factors = self._factors
        angles = x.unsqueeze(-1) * torch.arange(1, top + 1, dtype=x.dtype, device=x.device)
        waves = torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
        table = torch.cat([torch.ones_like(x).unsqueeze(-1), waves], -1)
        out: Tensor | None = None
        for feature, held in factors:
            factor = table[..., feature, :].index_select(-1, torch.tensor(held, device=x.device))
            out = factor if out is None else out * factor
        assert out is not None
        return out

    def _waves(self, x: Tensor) -> Tensor:
        rows = [term.wave for term in self.terms if isinstance(term, WaveTerm)]
        waves = torch.tensor(rows, dtype=x.dtype, device=x.device)
        sine = [isinstance(term, WaveTerm) and term.function == "sin" for term in self.terms]
        angles = x @ waves.mT
        return torch.where(torch.tensor(sine, device=x.device), angles.sin(), angles.cos())

    def _forms(self, x: Tensor) -> Tensor:
        y = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        rows, columns, mix = self._entries
        picked = [y.index_select(-1, torch.tensor(places, device=x.device)) for places in (rows, columns)]
        pairs, factors = picked[0] * picked[1], torch.tensor(mix, dtype=x.dtype, device=x.device)
        return pairs * factors if factors.dim() == 1 else pairs @ factors

    # What is kept are arrays: a tensor made while torch records operations would hold no values, and outlive the recording.

    @cached_property
    def _factors(self) -> tuple[int, list[tuple[int, np.ndarray]]]:
        """The highest frequency, and for each feature that occurs its factor in each product, ``(K,)``.

        Factors are numbered: 0 for 1, 1 for cos x, 2 for sin x, 3 for cos 2x, ...
        """
        index = np.zeros((self.n_features, len(self)), dtype=np.int64)
        for place, term in enumerate(self.terms):
            assert isinstance(term, ProductTerm)
            for feature, frequency, function in term.factors:
                index[feature, place] = 2 * frequency - (function == "cos")
        return (int(index.max()) + 1) // 2, [(feature, held) for feature, held in enumerate(index) if held.any()]

    @cached_property
    def _entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of the products ``y_i y_j``, and their factors ``(K,)``, or ``(P, K)`` where terms are sums."""
        terms = [term for term in self.terms if isinstance(term, QuadraticTerm)]
        pairs = list(dict.fromkeys((i, j) for term in terms for i, j, _ in term.entries))
        rows, columns = np.array(pairs).T
        if all(len(term.entries) == 1 for term in terms) and len(pairs) == len(terms):
            return rows, columns, np.array([term.entries[0][2] for term in terms], dtype=np.float64)
        mix = np.zeros((len(pairs), len(terms)))
        for column, term in enumerate(terms):
            for i, j, c in term.entries:
                mix[pairs.index((i, j)), column] = c
        return rows, columns, mix
