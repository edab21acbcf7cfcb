"""Random frequencies of a circuit's spectrum, after Landman et al. 2022 (arXiv:2210.13200)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.errors import ConfigError, UnsupportedError, unknown
from qmoe.routers.functions.declared import check_declared
from qmoe.routers.functions.islands import islands

#: How frequencies are drawn, and in words.
STRATEGIES = {
    "distinct": "each frequency of the spectrum equally likely, none twice",
    "tree": "a difference of two eigenvalues for each encoding gate, added up",
    "grid": "a point of a regular grid up to the largest frequency",
}
#: Spectra up to this size are listed and shuffled; larger ones are drawn from until enough differ.
_MAX_LISTED = 100_000


@dataclass(frozen=True)
class Sampling:
    """How a twin samples functions of a span that is too large to take whole (Landman et al. 2022).

    Args:
        n_functions: how many functions, an even number: a cosine and a sine for each frequency drawn.
        strategy: ``"distinct"`` draws uniformly, without repetition, from the spectrum: -R to R in each feature of wires
            that gates join. ``"tree"`` adds up the difference of two random eigenvalues of each encoding gate, so that low
            frequencies, which a circuit holds many times over, come often, and more than once. ``"grid"`` knows only the
            largest frequency and draws, with repetition, from a grid of step ``grid_step``.
        grid_step: step of the grid; at 1 it is the spectrum of a circuit whose wires are all joined.

    Raises:
        ConfigError: for an odd number of functions or an unknown strategy.
    """

    n_functions: int
    strategy: str = "distinct"
    grid_step: float = 1.0

    def __post_init__(self) -> None:
        n = self.n_functions
        if not isinstance(n, int) or isinstance(n, bool) or n < 2 or n % 2:
            raise ConfigError(
                f"n_functions is {n!r}, expected an even number: a cosine and a sine for each frequency drawn."
            )
        if self.strategy not in STRATEGIES:
            raise unknown("sampling strategy", self.strategy, STRATEGIES)


def sample_frequencies(circuit: Circuit, sampling: Sampling, generator: torch.Generator | None = None) -> Tensor:
    """Draws frequencies for random Fourier features in place of a circuit with an angle encoding.

    Args:
        circuit: whose spectrum to draw from.
        sampling: how many functions, which are twice as many as frequencies, and how to draw.
        generator: source of the draws; torch's default generator if None.

    Returns:
        ``(n_functions / 2, F)`` float64; none is 0, and of a frequency and its negative, which give the same functions, one
        is kept.

    Raises:
        ConfigError: for more distinct frequencies than there are, a step of the grid that is too large, or an encoding of
            your own that is not what it declares.
        UnsupportedError: for amplitude encoding, which has no frequencies.

    Example:
        >>> from qmoe.routers import Sampling, sample_frequencies
        >>> of = torch.Generator().manual_seed(0)
        >>> sample_frequencies(qmoe.Circuit(3, 1), Sampling(6, "distinct"), of).shape
        torch.Size([3, 3])
    """
    check_declared(circuit)
    top = circuit.template.encoding.max_frequency
    if top is None:
        raise UnsupportedError(
            f"sampling draws frequencies, but {circuit.template.encoding.name} encoding has none; leave it out: the twin "
            "is a gate on quadratic forms."
        )
    if circuit.max_frequency != top:
        raise UnsupportedError(
            "sampling draws whole multiples of the features, but gates of this circuit turn too far by a share of their "
            "angle; leave it out, or use a noise model without relative over-rotation."
        )
    n, strategy, grid_step = sampling.n_functions // 2, sampling.strategy, sampling.grid_step
    if not 0 < grid_step <= top:
        raise ConfigError(f"grid_step is {grid_step!r}, expected a step above 0 and up to the largest frequency {top}.")
    groups = islands(circuit)
    if strategy == "distinct":
        return _distinct(groups, circuit.in_features, top, n, generator)
    rows: list[Tensor] = []
    while len(rows) < n:
        if strategy == "grid":
            steps = int(top / grid_step + 1e-9)
            wave = torch.randint(-steps, steps + 1, (circuit.in_features,), generator=generator, device="cpu")
            wave = wave * float(grid_step)
        else:
            group = _pick(groups, 2 * top + 1, generator)
            # RX, RY and RZ have the eigenvalues +-1/2: of four pairs two differ by 0, one by 1 and one by -1.
            pairs = torch.randint(4, (len(group), top), generator=generator, device="cpu")
            difference = torch.tensor([0, 0, 1, -1], device="cpu")[pairs]
            wave = torch.zeros(circuit.in_features, dtype=torch.long, device="cpu")
            wave[list(group)] = difference.sum(1)
        if wave.any():
            rows.append(_upper(wave.double()))
    return torch.stack(rows)


def _distinct(
    groups: list[tuple[int, ...]], n_features: int, top: int, n: int, generator: torch.Generator | None
) -> Tensor:
    side = 2 * top + 1
    available = sum((side ** len(group) - 1) // 2 for group in groups)
    if n > available:
        raise ConfigError(
            f"{n} distinct frequencies were asked for, but the spectrum has {available}: ask for n_functions up to "
            f"{2 * available}, or leave out sampling for the whole span."
        )
    if available <= _MAX_LISTED:
        listed = []
        for group in groups:
            for values in itertools.product(range(-top, top + 1), repeat=len(group)):
                if next((v for v in values if v), 0) > 0:
                    wave = torch.zeros(n_features, dtype=torch.float64, device="cpu")
                    wave[list(group)] = torch.tensor(values, dtype=torch.float64, device="cpu")
                    listed.append(wave)
        return torch.stack(listed)[torch.randperm(available, generator=generator, device="cpu")[:n]]
    found: dict[tuple[float, ...], None] = {}
    while len(found) < n:
        group = _pick(groups, side, generator)
        wave = torch.zeros(n_features, dtype=torch.float64, device="cpu")
        wave[list(group)] = torch.randint(-top, top + 1, (len(group),), generator=generator, device="cpu").double()
        if wave.any():
            found.setdefault(tuple(_upper(wave).tolist()))
    return torch.tensor(list(found), dtype=torch.float64, device="cpu")


def _pick(groups: list[tuple[int, ...]], side: int, generator: torch.Generator | None) -> tuple[int, ...]:
    """One group, as likely as it has frequencies."""
    if len(groups) == 1:
        return groups[0]
    longest = max(map(len, groups))
    sizes = [math.exp((len(g) - longest) * math.log(side)) for g in groups]
    share = torch.tensor(sizes, dtype=torch.float64, device="cpu")
    return groups[int(torch.multinomial(share, 1, generator=generator))]


def _upper(wave: Tensor) -> Tensor:
    """Of a frequency and its negative the one whose first entry that is not 0 is positive."""
    return wave * wave[wave != 0][0].sign()
