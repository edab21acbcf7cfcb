"""Counts of outcomes, drawn from their probabilities.

Counts are those of a multinomial distribution, exactly: the number of samples with a 0 on the first wire is binomial, and so
is, given that, the number of those with a 0 on the second, wire after wire. So the cost does not grow with the number of
shots.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.errors import ConfigError, not_plain

#: Counts are kept as floats of 64 bits, which hold every integer up to here.
MAX_SHOTS = 2**53

#: Where the random numbers come from: one source for all, or one for each model of a stack.
Generators = torch.Generator | Sequence[torch.Generator]


class Outcomes(ABC):
    """What becomes of the probabilities of outcomes before read-outs are computed from them."""

    @property
    @abstractmethod
    def n_sources(self) -> int:
        """Into how many parts the models of a stack fall, each with random numbers of its own."""

    @abstractmethod
    def part(self, first: int, last: int) -> Outcomes:
        """The same for the models of some of the sources alone."""

    @abstractmethod
    def shares(self, probabilities: Tensor) -> Tensor:
        """``(S, ..., D)`` probabilities to ``(S, ..., D)`` shares of outcomes in float64."""

    @abstractmethod
    def later(self) -> Callable[[], Outcomes]:
        """Makes the same with other random numbers, those that it makes being alike: for any number of backward passes."""


@dataclass(frozen=True)
class Exact(Outcomes):
    """The probabilities themselves, which estimates converge to."""

    @property
    def n_sources(self) -> int:
        """One."""
        return 1

    def part(self, first: int, last: int) -> Exact:
        """Itself."""
        del first, last
        return self

    def shares(self, probabilities: Tensor) -> Tensor:
        """The probabilities."""
        return probabilities.double()

    def later(self) -> Callable[[], Exact]:
        """Itself."""
        return lambda: self


@dataclass(frozen=True)
class Counted(Outcomes):
    """Shares among so many samples of each circuit.

    Args:
        shots: how many.
        sources: each draws for as many of the models as the others, in order.
    """

    shots: int
    sources: tuple[torch.Generator, ...]

    @property
    def n_sources(self) -> int:
        """As many as generators."""
        return len(self.sources)

    def part(self, first: int, last: int) -> Counted:
        """Those of some sources."""
        return Counted(self.shots, self.sources[first:last])

    def shares(self, probabilities: Tensor) -> Tensor:
        """Counts over shots; NaN where a probability is.

        What an engine rounded below 0 counts as 0, and each probability as its share of the sum of its row.
        """
        if len(self.sources) == 1 or not len(probabilities):
            return counts(probabilities, self.shots, self.sources[0]) / self.shots
        parts = probabilities.split(len(probabilities) // len(self.sources))
        drawn = [counts(part, self.shots, source) for part, source in zip(parts, self.sources, strict=True)]
        return torch.cat(drawn) / self.shots

    def later(self) -> Callable[[], Counted]:
        """With sources that are seeded by these."""
        seeds = [_integer(source) for source in self.sources]
        devices = [source.device for source in self.sources]

        def make() -> Counted:
            pairs = zip(devices, seeds, strict=True)
            return Counted(self.shots, tuple(torch.Generator(device).manual_seed(seed) for device, seed in pairs))

        return make


def counts(probabilities: Tensor, shots: int, source: torch.Generator) -> Tensor:
    """``(..., D)`` probabilities to ``(..., D)`` counts, by one binomial draw for every node of the tree of prefixes."""
    sums = [probabilities.detach().to(source.device, torch.float64).clamp_min(0)]
    while sums[-1].shape[-1] > 1:
        sums.append(sums[-1].unflatten(-1, (-1, 2)).sum(-1))
    found = torch.full_like(sums[-1], shots)
    for whole, halves in zip(sums[:0:-1], sums[-2::-1], strict=True):
        chance = torch.where(whole == 0, 0.0, halves[..., ::2] / whole)
        zeros = torch.binomial(found, chance.clamp_max(1), generator=source)
        found = torch.stack([zeros, found - zeros], -1).flatten(-2)
    return found.to(probabilities.device)


def _integer(source: torch.Generator) -> int:
    return int(torch.randint(2**63 - 1, (), generator=source, device=source.device))


def counted(shots: int, generator: Generators, n_stack: int) -> Counted:
    """Counts for a stack of so many models.

    Raises:
        ConfigError: for a number of shots that is none, for what is no generator, or a number of them that does not divide
            the models.
    """
    check_shots(shots)
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
    return Counted(shots, tuple(sources))


def as_shots(shots: int | None) -> int | None:
    """Returns a number of samples, or None for exact read-outs.

    Raises:
        ConfigError: for anything else.

    Example:
        >>> from qmoe.engines.shots import GRADIENTS, as_shots
        >>> as_shots(100), GRADIENTS
        (100, ('parameter-shift', 'exact'))
    """
    if shots is not None:
        check_shots(shots)
    return shots


def check_shots(shots: object) -> None:
    """Raises `ConfigError` unless ``shots`` is a number of samples."""
    if not isinstance(shots, int) or isinstance(shots, bool) or not 1 <= shots <= MAX_SHOTS:
        raise ConfigError(
            f"shots is {shots!r}{not_plain(shots)}, expected an integer of at least 1, such as 1000; exact read-outs take "
            "shots=None."
        )
