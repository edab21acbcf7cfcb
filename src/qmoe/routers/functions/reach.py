"""The basis of what a circuit can compute."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import torch

from qmoe.circuits import Circuit
from qmoe.engines import choose_engine
from qmoe.errors import ConfigError, check_sizes
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.declared import check_declared, is_ours, random_points
from qmoe.routers.functions.propagation.letters import LETTERS, word_matrix
from qmoe.routers.functions.propagation.reached import reached_products, reached_words
from qmoe.routers.functions.ranks import misfit
from qmoe.routers.functions.terms import QuadraticTerm

#: Functions in the largest basis that is listed, unless another limit is given.
MAX_FUNCTIONS = 2**18
#: Quadratic forms, each a matrix of its own, in the largest basis where no other limit is given.
_MAX_FORMS = 4096
#: Functions up to which the basis of an encoding of a user's own is held against circuits, by least squares; and how far
#: apart they may be.
_MAX_CHECKED, _AGREES = 800, 1e-7


@functools.lru_cache(maxsize=64)
def circuit_basis(
    circuit: Circuit,
    n_experts: int | None = None,
    max_functions: int = MAX_FUNCTIONS,
    max_weight: int | None = None,
) -> Basis:
    """The functions that the read-outs of a circuit can hold, whatever its weights; the constant left out.

    Found by following Pauli words through the circuit (`qmoe.routers.functions.propagation`), without running it. For the
    paper's router that gives all ``3**Q - 1`` products of 1, cos x, sin x; without entanglers only cos x and sin x of each
    feature; with R uploads up to ``(2R + 1)**F - 1`` products; with amplitude encoding ``F (F + 1) / 2 - 1`` quadratic
    forms. Circuits too shallow to reach a product do without it.

    Args:
        circuit: what computes them. Noise that scales coefficients is left aside: it adds no function.
        n_experts: number of experts that share the outcomes of the Born read-out; by default one for each outcome.
        max_functions: the largest basis to list; by default 4096 quadratic forms. Circuits of any number of qubits are
            followed, on the light cones of what they measure. Where there are too many words to follow, all products of a
            light cone are listed: a superset.
        max_weight: only products of at most so many features; None for all.

    Raises:
        ConfigError: when there are more functions than that, and for ``max_weight`` with amplitude encoding; for an
            encoding of your own that declares another largest frequency than it has, or puts features elsewhere than into
            RX, RY and RZ of their own wires.
    """
    check_declared(circuit)
    check_sizes(max_functions=max_functions)
    n_experts = circuit.n_outputs if n_experts is None else n_experts
    if circuit.prepares:
        if max_weight is not None:
            raise ConfigError(
                f"max_weight={max_weight!r} limits products of sines and cosines, but amplitudes give quadratic forms; "
                "leave it out."
            )
        basis = _quadratic(circuit, n_experts, _MAX_FORMS if max_functions == MAX_FUNCTIONS else max_functions)
    else:
        if max_weight is not None:
            check_sizes(max_weight=max_weight)
        products, left_out = reached_products(circuit, n_experts, max_functions, max_weight)
        basis = Basis(circuit.in_features, products, complete=not left_out)
    if not is_ours(circuit) and basis.complete and len(basis) <= _MAX_CHECKED:
        _check_holds(circuit, n_experts, basis)
    return basis


def routing_readouts(out: torch.Tensor, circuit: Circuit, n_experts: int) -> torch.Tensor:
    """What routing sees of read-outs: all expectation values, or ``(..., E)`` weights of the Born read-out."""
    if circuit.readout.name != "born":
        return out
    return out[..., :n_experts] + out[..., n_experts:].sum(-1, keepdim=True) / n_experts


def _check_holds(circuit: Circuit, n_experts: int, basis: Basis) -> None:
    """Raises `ConfigError` unless a basis holds the read-outs of random circuits at random points."""
    generator = torch.Generator().manual_seed(0)
    x = random_points(circuit, 2 * len(basis) + 16, generator)
    weights = torch.rand(4, *circuit.weight_shape, generator=generator, dtype=torch.float64, device="cpu") * (
        2 * math.pi
    )
    runner, _ = choose_engine(circuit, x.device)
    with torch.no_grad():
        out = routing_readouts(runner.evaluate(circuit, x.expand(4, *x.shape), weights), circuit, n_experts)
        design = torch.cat([torch.ones_like(x[:, :1]), basis.values(x)], -1).numpy()
    columns = out.transpose(0, 1).reshape(len(x), -1).numpy()
    off = misfit(design, columns)
    if not off <= _AGREES:
        raise ConfigError(
            f"The read-outs of random circuits with {circuit.encoding!r} differ by {off:.2g} from all functions that it "
            f"declares by max_frequency={circuit.max_frequency}; declare the largest frequency of a feature, which "
            "is the number of rotations by it, or None for amplitudes."
        )


def _quadratic(circuit: Circuit, n_experts: int, max_functions: int) -> Basis:
    F = circuit.in_features
    count = F * (F + 1) // 2 - 1
    if count > max_functions:
        raise ConfigError(
            f"This circuit computes up to {count} quadratic forms of its {F} features, more than max_functions="
            f"{max_functions}; raise it, or reduce the features first. There is no random sample for amplitude encoding."
        )
    words = reached_words(circuit, n_experts)
    upper = np.triu_indices(F)
    # Features padded with zeros see a corner of a word's matrix.
    vectors = np.array([(word_matrix(word)[:F, :F] * (2 - np.eye(F)))[upper] for word in words]).reshape(-1, count + 1)
    whole = circuit.dim == F
    if (len(words) if whole else _rank_beside_one(vectors, F)) == count:
        pairs = itertools.combinations_with_replacement(range(F), 2)
        # The squares add up to 1, so one of them is left out.
        every = [QuadraticTerm(((i, j, 1.0 if i == j else 2.0),)) for i, j in pairs if (i, j) != (F - 1, F - 1)]
        return Basis(F, tuple(every))
    keep = range(len(words)) if whole else _independent(vectors, F)
    return Basis(F, tuple(_word_term(words[k], vectors[k], F) for k in keep))


def _word_term(word: tuple[int, ...], vector: np.ndarray, F: int) -> QuadraticTerm:
    entries = tuple((int(i), int(j), float(c)) for i, j, c in zip(*np.triu_indices(F), vector, strict=True) if c)
    return QuadraticTerm(entries, " ".join(f"{LETTERS[letter]}{wire}" for wire, letter in enumerate(word) if letter))


def _constant(F: int) -> np.ndarray:
    """The form that is 1 for every input, of length 1."""
    return np.eye(F)[np.triu_indices(F)] / math.sqrt(F)


def _rank_beside_one(vectors: np.ndarray, F: int) -> int:
    return int(np.linalg.matrix_rank(np.vstack([_constant(F), vectors]), tol=1e-9)) - 1


def _independent(vectors: np.ndarray, F: int) -> list[int]:
    """Indices of forms that neither the constant nor forms before them make up (Gram and Schmidt, twice for accuracy)."""
    found = np.zeros((min(len(vectors) + 1, vectors.shape[1]), vectors.shape[1]))
    kept: list[int] = []
    found[0] = _constant(F)
    for index, vector in enumerate(vectors):
        known = found[: len(kept) + 1]
        rest = vector - known.T @ (known @ vector)
        rest -= known.T @ (known @ rest)
        if (size := float(np.linalg.norm(rest))) > 1e-9:
            kept.append(index)
            found[len(kept)] = rest / size
    return kept
