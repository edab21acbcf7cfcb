"""Bases of the functions that a circuit computes: products of sines and cosines, or quadratic forms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from qmoe.errors import ConfigError
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.terms import ProductTerm, QuadraticTerm, Term, WaveTerm


@dataclass(frozen=True)
class Basis:
    """Functions of F inputs whose span, with the constant, holds every gate logit of a circuit.

    Attributes:
        n_features: number of inputs F of the circuit: angles, or amplitudes before they are normalised.
        terms: the functions, `Products` where they are products of sines and cosines; the constant is not among them, since
            every gate has a bias.
        complete: whether the span holds all that the circuit can compute; False for a random sample, and where functions
            were left out.
    """

    n_features: int
    terms: Sequence[Term]
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
        if isinstance(self.terms, Products):
            found = {"odd" if is_odd else "even" for is_odd in np.unique(self.terms.odd)}
        else:
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
        left_out = list(left_out)
        if not left_out:
            return self
        names = self.names
        gone: set[str] = set()
        for item in left_out:
            if isinstance(item, str):
                if item not in names:
                    near = ", ".join(map(repr, difflib.get_close_matches(item, names, n=4, cutoff=0.0)))
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
                    f"the {self.n_features} features, or the name of a function, such as {names[0]!r}."
                )
            gone |= found
        kept = np.array([name not in gone for name in names])
        if not kept.any():
            raise ConfigError(f"without leaves out all {len(self)} functions; leave out fewer, or use UniformRouter.")
        return self.taken(kept)

    def taken(self, kept: np.ndarray) -> Basis:
        """The basis with those functions alone that ``kept``, boolean ``(K,)``, says."""
        if kept.all():
            return self
        if isinstance(self.terms, Products):
            return replace(self, terms=self.terms.taken(kept), complete=False)
        return replace(self, terms=tuple(t for t, k in zip(self.terms, kept, strict=True) if k), complete=False)

    def values(self, x: Tensor) -> Tensor:
        """``(..., F)`` inputs of the circuit to ``(..., K)`` values of the functions."""
        if not self.terms:
            return x.new_zeros(*x.shape[:-1], 0)
        if isinstance(self.terms, Products):
            return self.terms.values(x)
        return self._waves(x) if isinstance(self.terms[0], WaveTerm) else self._forms(x)

    def _waves(self, x: Tensor) -> Tensor:
        rows = [term.wave for term in self.terms if isinstance(term, WaveTerm)]
        waves = torch.tensor(rows, dtype=x.dtype, device=x.device)
        sine = [isinstance(term, WaveTerm) and term.function == "sin" for term in self.terms]
        angles = x @ waves.mT
        return torch.where(torch.as_tensor(sine, device=x.device), angles.sin(), angles.cos())

    def _forms(self, x: Tensor) -> Tensor:
        y = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        rows, columns, mix = self._entries
        picked = [y.index_select(-1, torch.as_tensor(places, device=x.device)) for places in (rows, columns)]
        pairs, factors = picked[0] * picked[1], torch.as_tensor(mix, dtype=x.dtype, device=x.device)
        return pairs * factors if factors.dim() == 1 else pairs @ factors

    # What is kept are arrays: a tensor made while torch records operations would hold no values, and outlive the recording.

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
