"""Which errors trajectories have, and how much each counts.

At every place a class of errors is taken: those that flip the same signs. The first class flips none. What a class does to
expectation values is averaged exactly, so that a class counts once. The patterns that are most likely are listed, each with
its probability, and the others are drawn: the fewer there are, the smaller the error bar. Where all patterns together make
few different circuits, none is drawn, and results are exact.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.engines.trajectories.signed_circuit import ErrorPlace, SignedCircuit
from qmoe.torch_internals import outside_transforms

#: Probability of what is not listed below which nothing is drawn.
_ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class ErrorClasses:
    """The places of a circuit, N of them, with up to C classes each. Numbers end with an axis of 2: at p, a + p b.

    Attributes:
        bits: ``[N][C]`` which signs a class flips.
        packed: ``(N, C, bytes)`` the same.
        masks: ``(N, C)`` which bits of the basis states that are read it flips; 0 for expectation values.
        chances: ``(N, C, 2)`` the probability of the class.
        shares: ``(N, C, O, 2)`` that probability times what becomes of each read-out, on average over the class; one for
            all where read-outs are probabilities.
        mixing: for probabilities, what flips them behind all angles: masks, each with a and b, for one place after another.
        n_signs: number of signs.
    """

    bits: tuple[tuple[int, ...], ...]
    packed: np.ndarray
    masks: np.ndarray
    chances: np.ndarray
    shares: np.ndarray
    mixing: tuple[tuple[tuple[int, float, float], ...], ...]
    n_signs: int


class ErrorPatterns(ABC):
    """Patterns of errors.

    Attributes:
        flips: ``(U, n_signs)`` booleans: the circuits that differ.
        circuit_of: ``(K,)`` which of them each pattern is.
        masks: ``(K,)`` which bits of basis states each flips.
        n_listed: how many patterns are listed; those behind are drawn.
    """

    flips: np.ndarray
    circuit_of: np.ndarray
    masks: np.ndarray
    n_listed: int
    _kept: tuple[Tensor, np.ndarray] | None = None

    @property
    def n_drawn(self) -> int:
        """How many are drawn."""
        return len(self.circuit_of) - self.n_listed

    @abstractmethod
    def shares(self, strength: Tensor) -> Tensor:
        """``(K, O)`` what each counts for each read-out, a function of the strength of the noise, in float64."""

    def shares_at(self, strength: float) -> tuple[Tensor, np.ndarray]:
        """`shares` at the strength of the draw, and the circuits that count at all there."""
        if self._kept is None:
            with torch.inference_mode(False), torch.no_grad(), outside_transforms():
                shares = self.shares(torch.tensor(strength, dtype=torch.float64))
                counts = shares.abs().sum(1).numpy() > 0
            self._kept = shares, np.unique(self.circuit_of[counts]) if counts.any() else np.arange(1)
        return self._kept


@functools.lru_cache(maxsize=256)
def error_classes(signed: SignedCircuit) -> ErrorClasses:
    """The classes of all places."""
    n_qubits, born = signed.circuit.n_qubits, signed.is_born
    found, mixing = [], []
    for place in signed.places:
        if born and not any(_signs_of(effect, signed.n_signs) for effect in place.effects):
            mixing.append(_mixing(place, signed.n_signs, n_qubits))
        else:
            found.append(_classes(place, signed.n_signs, n_qubits, born))
    n_most = max((len(classes) for classes in found), default=1)
    n_outputs, n_bytes = 1 if born else n_qubits, -(-signed.n_signs // 8)
    packed = np.zeros((len(found), n_most, n_bytes), np.uint8)
    masks = np.zeros((len(found), n_most), np.int64)
    chances, shares = np.zeros((len(found), n_most, 2)), np.zeros((len(found), n_most, n_outputs, 2))
    for e, classes in enumerate(found):
        for c, one in enumerate(classes):
            packed[e, c] = np.frombuffer(one.bits.to_bytes(n_bytes, "little"), np.uint8)
            masks[e, c], chances[e, c], shares[e, c] = one.mask, one.chance, one.share
    bits = tuple(tuple(one.bits for one in classes) for classes in found)
    return ErrorClasses(bits, packed, masks, chances, shares, tuple(mixing), signed.n_signs)


class _Class(NamedTuple):
    bits: int
    mask: int
    chance: np.ndarray
    share: np.ndarray


def _classes(place: ErrorPlace, n_signs: int, n_qubits: int, born: bool) -> list[_Class]:
    chances: dict[int, np.ndarray] = {}
    shares: dict[int, np.ndarray] = {}
    for probability, effect in zip(place.probabilities, place.effects, strict=True):
        key = effect if born else _signs_of(effect, n_signs)
        chance = np.array(probability)
        signs = np.ones(1) if born else 1 - 2 * np.array([effect >> (n_signs + wire) & 1 for wire in range(n_qubits)])
        chances[key] = chances.get(key, 0) + chance
        shares[key] = shares.get(key, 0) + signs[:, None] * chance
    return [
        _Class(_signs_of(key, n_signs), _mask_of(key, n_signs, n_qubits), chances[key], shares[key])
        for key in chances
        if key == 0 or chances[key].any()
    ]


def _mixing(place: ErrorPlace, n_signs: int, n_qubits: int) -> tuple[tuple[int, float, float], ...]:
    found: dict[int, np.ndarray] = {}
    for probability, effect in zip(place.probabilities, place.effects, strict=True):
        mask = _mask_of(effect, n_signs, n_qubits)
        found[mask] = found.get(mask, 0) + np.array(probability)
    return tuple((mask, float(a), float(b)) for mask, (a, b) in found.items())


def _signs_of(effect: int, n_signs: int) -> int:
    return effect & ((1 << n_signs) - 1)


def _mask_of(effect: int, n_signs: int, n_qubits: int) -> int:
    """Wire 0 is the most significant bit of a basis state, and the lowest of an effect."""
    return sum(1 << (n_qubits - 1 - wire) for wire in range(n_qubits) if effect >> (n_signs + wire) & 1)


# --- all patterns --------------------------------------------------------------------------------------------------


class AllPatterns(ErrorPatterns):
    """Every circuit that errors can make, each with what all its patterns count together."""

    def __init__(self, classes: ErrorClasses, basis: list[int], signs: int) -> None:
        members = [0]
        for vector in basis:
            members += [member ^ vector for member in members]
        self._classes = classes
        self._codes = [[_code(key, basis) for key in keys] for keys in _keys(classes)]
        self.n_listed = len(members)
        packed = [_signs_of(member, signs).to_bytes(-(-signs // 8), "little") for member in members]
        flat = np.frombuffer(b"".join(packed), np.uint8).reshape(len(members), -1)
        self.flips, self.circuit_of = _distinct(flat, signs)
        self.masks = np.array([member >> signs for member in members], np.int64)

    def shares(self, strength: Tensor) -> Tensor:
        """By going through the places: a class leads from one circuit to another."""
        n = self.n_listed
        table = _at(self._classes.shares, strength)
        order = torch.arange(n)
        found = torch.zeros(n, table.shape[-1], dtype=torch.float64)
        found[0] = 1
        for e, codes in enumerate(self._codes):
            found = sum(
                (table[e, c] * found[order ^ code] for c, code in enumerate(codes)),
                torch.zeros_like(found),
            )
        return found


def _keys(classes: ErrorClasses) -> list[list[int]]:
    """Signs and masks of each class in one number."""
    return [
        [bits | int(classes.masks[e, c]) << classes.n_signs for c, bits in enumerate(row)]
        for e, row in enumerate(classes.bits)
    ]


def _basis(vectors: list[int], most: int) -> list[int] | None:
    """Of the span over GF(2), each with a highest bit that no other has; None for more than ``most``."""
    basis: list[int] = []
    for vector in vectors:
        for member in basis:
            vector = min(vector, vector ^ member)
        if vector:
            top = 1 << (vector.bit_length() - 1)
            basis = [member ^ vector if member & top else member for member in basis]
            basis.append(vector)
            if len(basis) > most:
                return None
    return basis


def _code(vector: int, basis: list[int]) -> int:
    """Which members of a basis add up to a vector."""
    code = 0
    for k, member in enumerate(basis):
        if vector >> (member.bit_length() - 1) & 1:
            vector ^= member
            code |= 1 << k
    assert vector == 0
    return code


# --- some patterns -------------------------------------------------------------------------------------------------


class DrawnPatterns(ErrorPatterns):
    """Patterns with fewer than so many errors listed, and others drawn among those with at least as many.

    An error is a class other than the first.
    """

    def __init__(self, classes: ErrorClasses, strength: float, fewest: int, n_drawn: int, seed: np.random.Generator):
        chances = classes.chances[..., 0] + strength * classes.chances[..., 1]
        tails = _tails(chances[:, 0], fewest)
        listed = _listed(classes, fewest)
        self._rest = float(tails[fewest, 0])
        drawn = _draw(chances, tails, n_drawn, seed)
        self._choice = np.concatenate([listed, drawn])
        self.n_listed = len(listed)
        self._classes, self._chances = classes, chances
        packed = np.zeros((len(self._choice), classes.packed.shape[-1]), np.uint8)
        self.masks = np.zeros(len(self._choice), np.int64)
        for e, chosen in enumerate(self._choice.T):
            packed ^= classes.packed[e, chosen]
            self.masks ^= classes.masks[e, chosen]
        self.flips, self.circuit_of = _distinct(packed, classes.n_signs)

    def shares(self, strength: Tensor) -> Tensor:
        """Probabilities of those listed; of those drawn the signs, as a function of the strength by the score function."""
        table = _at(self._classes.shares, strength)
        # What was drawn is divided by its probability: at the strength of the draw only signs are left.
        taken = torch.from_numpy(np.where(self._chances > 0, self._chances, 1.0))
        ratio = table / taken[..., None]
        n = self.n_listed
        choice = torch.from_numpy(self._choice)
        found = torch.ones(len(choice), table.shape[2], dtype=torch.float64)
        found[n:] = self._rest / max(1, self.n_drawn)
        parts = [found[:n], found[n:]]
        for e in range(len(table)):
            parts = [parts[0] * table[e, choice[:n, e]], parts[1] * ratio[e, choice[n:, e]]]
        return torch.cat(parts)


def _tails(first: np.ndarray, fewest: int) -> np.ndarray:
    """``(fewest + 1, N + 1)``: the probability of at least so many errors from a place on."""
    tails = np.zeros((fewest + 1, len(first) + 1))
    tails[0] = 1
    for e in reversed(range(len(first))):
        for least in range(1, fewest + 1):
            tails[least, e] = first[e] * tails[least, e + 1] + (1 - first[e]) * tails[least - 1, e + 1]
    return tails


def _listed(classes: ErrorClasses, fewest: int) -> np.ndarray:
    """``(K, N)`` classes of the patterns with fewer errors."""
    n_places = len(classes.bits)
    if fewest == 0:
        return np.zeros((0, n_places), np.int64)
    if fewest == 1:
        return np.zeros((1, n_places), np.int64)
    errors = [(e, c) for e, row in enumerate(classes.bits) for c in range(1, len(row))]
    found = np.zeros((1 + len(errors), n_places), np.int64)
    for row, (e, c) in enumerate(errors, 1):
        found[row, e] = c
    return found


def _draw(chances: np.ndarray, tails: np.ndarray, n: int, generator: np.random.Generator) -> np.ndarray:
    """``(n, N)`` classes with at least as many errors as the last row of ``tails`` says."""
    n_places = len(chances)
    missing = np.full(n, len(tails) - 1)
    found = np.zeros((n, n_places), np.int64)
    for e in range(n_places):
        drawn = generator.random((2, n))
        # Enough errors have to come: those that are missing, after this place.
        possible = tails[missing, e]
        none = np.divide(chances[e, 0] * tails[missing, e + 1], possible, out=np.zeros(n), where=possible > 0)
        error = drawn[0] >= none
        others = np.cumsum(chances[e, 1:])
        if len(others) and others[-1] > 0:
            which = np.searchsorted(others / others[-1], drawn[1], side="right") + 1
            found[error, e] = np.minimum(which, np.flatnonzero(chances[e])[-1])[error]
            missing = np.maximum(missing - error, 0)
    return found


def _at(table: np.ndarray, strength: Tensor) -> Tensor:
    return torch.from_numpy(table[..., 0]) + strength * torch.from_numpy(table[..., 1])


def _distinct(packed: np.ndarray, n_signs: int) -> tuple[np.ndarray, np.ndarray]:
    """``(U, n_signs)`` rows that differ, and which one each row is."""
    if packed.shape[1] == 0:
        return np.zeros((1, 0), bool), np.zeros(len(packed), np.int64)
    rows, which = np.unique(packed, axis=0, return_inverse=True)
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :n_signs].astype(bool), which.reshape(-1)


def draw_patterns(
    signed: SignedCircuit, strength: float, n_trajectories: int, seed: np.random.SeedSequence
) -> ErrorPatterns:
    """At most so many patterns: all there are, or those that are listed and drawn to the smallest error bar.

    Args:
        signed: the circuit.
        strength: the depolarizing probability.
        n_trajectories: the most patterns.
        seed: of what is drawn.
    """
    classes = error_classes(signed)
    keys = _keys(classes)
    vectors = sorted({key for row in keys for key in row}, reverse=True)
    basis = _basis(vectors, n_trajectories.bit_length() - 1)
    if basis is not None:
        return AllPatterns(classes, basis, classes.n_signs)
    first = classes.chances[:, 0, 0] + strength * classes.chances[:, 0, 1]
    best: tuple[float, int, int] | None = None
    for fewest in (1, 2, 0):
        n_drawn = n_trajectories - (0, 1, 1 + sum(len(row) - 1 for row in classes.bits))[fewest]
        rest = float(_tails(first, fewest)[fewest, 0])
        if rest < _ROUNDING:
            n_drawn, cost = 0, 0.0
        elif n_drawn >= max(2, n_trajectories * (fewest - 1) // 2):  # few draws would not tell their own spread
            cost = rest * rest / n_drawn
        else:
            continue
        if best is None or cost < best[0]:
            best = cost, fewest, n_drawn
    assert best is not None
    return DrawnPatterns(classes, strength, best[1], best[2], np.random.default_rng(seed))
