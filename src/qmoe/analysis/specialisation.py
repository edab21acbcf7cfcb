"""How a router uses its experts, and whether experts specialise in classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from qmoe.errors import ShapeError, check_sizes
from qmoe.seeding import Seed, numpy_generator

#: Entries of the permuted tables that one pass holds.
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Utilisation:
    """How N samples are spread over E experts.

    Attributes:
        importance: ``(E,)`` mean routing weight of each expert.
        load: ``(E,)`` share of the samples whose largest weight is on the expert; samples that tie count for each alike.
        entropy: entropy of the importance in nats, 0 (one expert) to ln E (all alike).
        effective_experts: ``exp(entropy)``, the number of equally used experts of the same entropy: 1 to E.
        sample_entropy: mean entropy of a sample's own weights in nats: 0 for hard routing.
    """

    importance: np.ndarray
    load: np.ndarray
    entropy: float
    effective_experts: float
    sample_entropy: float


@dataclass(frozen=True)
class Specialisation:
    """The mutual information between expert and class, with what chance gives.

    Attributes:
        information: I(expert; class) in nats, from 0 (routing does not know the class) to ``class_entropy``.
        class_entropy: H(class) in nats.
        chance: mean information over permutations of the labels, what routing of the same concentration has by chance.
        corrected: ``(information - chance) / (class_entropy - chance)``: 1 for a perfect split, about 0 by chance, slightly
            negative below it. It is 0 where there is one class alone.
        p_value: share of the permutations with at least this information, the observed one counted among them.
    """

    information: float
    class_entropy: float
    chance: float
    corrected: float
    p_value: float


def utilisation(weights: Tensor | np.ndarray) -> Utilisation:
    """Describes the use of experts by routing weights ``(N, E)`` whose rows sum to 1.

    Raises:
        ShapeError: for other shapes, or rows that are no probabilities.
    """
    g = _weights(weights)
    importance = g.mean(axis=0)
    # Uniform routing ties everywhere, and loads no expert more than another.
    top = g >= g.max(axis=1, keepdims=True) - 1e-12
    entropy = float(_entropy(importance))
    return Utilisation(
        importance=importance,
        load=(top / top.sum(axis=1, keepdims=True)).mean(axis=0),
        entropy=entropy,
        effective_experts=math.exp(entropy),
        sample_entropy=float(_entropy(g).mean()),
    )


def specialisation(
    weights: Tensor | np.ndarray,
    labels: Tensor | np.ndarray,
    *,
    hard: bool = False,
    n_permutations: int = 999,
    seed: Seed = 0,
) -> Specialisation:
    """Measures how much the choice of an expert says about the class of a sample.

    A sample is thought to go to expert e with probability ``weights[n, e]``, so that expert and class have the joint
    distribution ``P(e, c) = mean_n weights[n, e] [labels[n] = c]``. The information of a finite sample is biased
    upwards; permuting the labels over the samples measures by how much (Vinh, Epps, Bailey 2010, do so exactly for hard
    assignments).

    Args:
        weights: ``(N, E)`` routing weights, rows sum to 1.
        labels: ``(N,)`` classes.
        hard: send each sample to the expert of its largest weight alone (the first of those that tie).
        n_permutations: permutations behind ``chance`` and ``p_value``; a p-value is at least ``1 / (n_permutations + 1)``.
        seed: seed of the permutations.

    Raises:
        ShapeError: for shapes that do not fit, or rows that are no probabilities.
        ConfigError: for fewer than one permutation.
    """
    check_sizes(n_permutations=n_permutations)
    g = _weights(weights)
    y = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if y.shape != (len(g),):
        raise ShapeError(f"labels has shape {y.shape}, expected ({len(g)},): one class for each row of weights.")
    if hard:
        g = np.eye(g.shape[1])[g.argmax(axis=1)]
    _, classes = np.unique(y, return_inverse=True)
    members = np.eye(classes.max() + 1)[classes]
    found = float(_information(g, members[None])[0])
    class_entropy = float(_entropy(members.mean(axis=0)))
    generator = numpy_generator(seed)
    by_chance = []
    at_once = max(1, _CHUNK // members.size)
    for start in range(0, n_permutations, at_once):
        orders = [generator.permutation(len(g)) for _ in range(min(at_once, n_permutations - start))]
        by_chance.append(_information(g, members[np.array(orders)]))
    null = np.concatenate(by_chance)
    chance = float(null.mean())
    room = class_entropy - chance
    # Equal tables differ by rounding, which must not decide a tie.
    as_large = np.count_nonzero(null >= found - 1e-12)
    return Specialisation(
        information=found,
        class_entropy=class_entropy,
        chance=chance,
        corrected=(found - chance) / room if room > 1e-12 else 0.0,
        p_value=(1 + as_large) / (1 + n_permutations),
    )


def _information(weights: np.ndarray, members: np.ndarray) -> np.ndarray:
    """``I(expert; class)`` ``(P,)`` of weights ``(N, E)`` with memberships ``(P, N, C)``."""
    joint = np.einsum("ne,pnc->pec", weights, members, optimize=True) / len(weights)
    marginals = _entropy(joint.sum(axis=2)) + _entropy(joint.sum(axis=1))
    return np.maximum(marginals - _entropy(joint.reshape(len(joint), -1)), 0.0)


def _entropy(p: np.ndarray) -> np.ndarray:
    """In nats, over the last axis; 0 ln 0 = 0."""
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def _weights(weights: Tensor | np.ndarray) -> np.ndarray:
    g = np.asarray(weights.detach().cpu() if isinstance(weights, Tensor) else weights, dtype=np.float64)
    if g.ndim != 2 or 0 in g.shape:
        raise ShapeError(f"weights has shape {g.shape}, expected (N, E) with at least one row.")
    sums = g.sum(axis=1)
    if not (g.min() >= 0 and np.abs(sums - 1).max() < 1e-4):
        raise ShapeError(
            f"weights are no routing weights: rows sum to {sums.min():.4g} to {sums.max():.4g}, the smallest is "
            f"{g.min():.4g}; pass what the router returns, not its logits."
        )
    # Float32 rows sum to 1 only to rounding.
    return g / sums[:, None]
