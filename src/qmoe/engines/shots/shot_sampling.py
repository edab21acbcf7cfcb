"""Finite shots: outcomes are drawn from the exact probabilities of an engine, and read-outs are computed from their counts.

Counts are those of a multinomial distribution, exactly: the number of samples with a 0 on the first wire is binomial, and so
is, given that, the number of those with a 0 on the second, wire after wire. So the cost does not grow with the number of
shots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine, fitting
from qmoe.engines.shots.measured_bases import bases_of
from qmoe.errors import ConfigError, not_plain

#: Counts are kept as floats of 64 bits, which hold every integer up to here.
MAX_SHOTS = 2**53

#: Where the random numbers come from: one source for all, or one for each model of a stack.
Generators = torch.Generator | Sequence[torch.Generator]


def sampled(
    engine: Engine,
    circuit: Circuit,
    x: Tensor,
    weights: Tensor,
    *,
    shots: int,
    generator: Generators,
    noise_strength: Tensor | None = None,
) -> Tensor:
    """Read-outs as a device would estimate them from ``shots`` samples in each basis that is measured.

    A read-out along Z alone has one basis: all its outputs come from the same ``shots`` bit strings. A list of Pauli words
    that takes three bases is estimated from three times as many samples.

    Args:
        engine: computes the exact probabilities, with the noise of the circuit.
        circuit: what to run, with any read-out of qmoe.
        x: ``(...S, ...B, F)`` features, as of `Engine.evaluate`.
        weights: ``(...S, *circuit.weight_shape)``.
        shots: samples for each basis, at least 1.
        generator: source of the random numbers, on any device, where they are drawn. For a stack a list of M: each then
            serves an M-th of the models, in order, and a model's numbers do not depend on who else is in the stack.
        noise_strength: ``(...S)``, as of `Engine.evaluate`.

    Returns:
        ``(...S, ...B, n_outputs)`` estimates without a gradient, with the dtype and device of ``x``.

    Raises:
        ConfigError: for a number of shots that is none, or of generators that does not divide the models.
        UnsupportedError: for a read-out of your own, or a circuit that the engine does not run.
        ShapeError: as of `Engine.evaluate`.
    """
    check_shots(shots)
    axes = fitting(engine, circuit, x, weights).axes
    n_stack, n_batch = math.prod(axes.stack), math.prod(axes.batch)
    sources = as_sources(generator, n_stack)
    bases = bases_of(circuit)
    flat = weights.reshape(*axes.stack, circuit.n_weights)
    with torch.no_grad():
        shares = []
        for run in bases.circuits:
            probabilities = engine.evaluate(run, x, flat, noise_strength).reshape(n_stack, n_batch, circuit.dim)
            shares.append(frequencies(probabilities, shots, sources))
        out = bases.read(shares)
    return out.to(x.dtype).reshape(*axes.stack, *axes.batch, circuit.n_outputs)


def frequencies(probabilities: Tensor, shots: int, sources: Sequence[torch.Generator]) -> Tensor:
    """Shares of outcomes among ``shots`` samples.

    Args:
        probabilities: ``(S, ..., D)``; what an engine rounded below 0 counts as 0, and each row as its share of its sum.
        shots: samples of each row.
        sources: each draws for as many of the S models as the others, in order.

    Returns:
        ``(S, ..., D)`` in float64; NaN where a probability is.
    """
    each = len(probabilities) // len(sources)
    if len(sources) == 1 or not each:
        return _counts(probabilities, shots, sources[0]) / shots
    parts = zip(probabilities.split(each), sources, strict=True)
    return torch.cat([_counts(part, shots, source) for part, source in parts]) / shots


def _counts(probabilities: Tensor, shots: int, source: torch.Generator) -> Tensor:
    """``(..., D)`` counts, by one binomial draw for every node of the tree of prefixes."""
    sums = [probabilities.detach().to(source.device, torch.float64).clamp_min(0)]
    while sums[-1].shape[-1] > 1:
        sums.append(sums[-1].unflatten(-1, (-1, 2)).sum(-1))
    counts = torch.full_like(sums[-1], shots)
    for both, single in zip(sums[:0:-1], sums[-2::-1], strict=True):
        zeros = single[..., ::2]
        chance = torch.where(both == 0, 0.0, zeros / both)
        taken = torch.binomial(counts, chance.clamp_max(1), generator=source)
        counts = torch.stack([taken, counts - taken], -1).flatten(-2)
    return counts.to(probabilities.device)


def check_shots(shots: int) -> None:
    """Raises `ConfigError` unless ``shots`` is a number of samples."""
    if not isinstance(shots, int) or isinstance(shots, bool) or not 1 <= shots <= MAX_SHOTS:
        raise ConfigError(
            f"shots is {shots!r}{not_plain(shots)}, expected an integer of at least 1, such as 1000; exact read-outs take "
            "shots=None."
        )


def as_sources(generator: Generators, n_stack: int) -> list[torch.Generator]:
    """The generators as a list.

    Raises:
        ConfigError: for what is no generator, or a number of them that does not divide the models.
    """
    sources = [generator] if isinstance(generator, torch.Generator) else generator
    if not isinstance(sources, Sequence) or not all(isinstance(source, torch.Generator) for source in sources):
        raise ConfigError(
            f"generator is {generator!r}, expected a torch.Generator, such as torch.Generator().manual_seed(0), or a list "
            "of them, one for each model of a stack."
        )
    if not sources or n_stack % len(sources):
        raise ConfigError(
            f"generator is a list of {len(sources)}, and the stack has {n_stack} model(s); give one for each model."
        )
    return list(sources)
