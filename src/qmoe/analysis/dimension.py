"""Effective dimension: how many of a model's parameters n data could tell apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from numpy.linalg import eigvalsh
from torch import Tensor, nn

from qmoe.analysis.fisher import Draws, Output, ball_draws, initial_draws, iterate_fisher
from qmoe.errors import ConfigError, ShapeError, StatisticalWarning
from qmoe.seeding import Seed
from qmoe.statistics.conventions import LEVEL

#: With log-normal volumes, 95% jackknife intervals cover 94% at 75 effective draws of 500, 89% at 30, 65% at 9.
MIN_EFFECTIVE_DRAWS = 30
#: Eigenvalues below this multiple of d times the largest are rounding (a Fisher matrix is a sum of squares).
_RANK_TOLERANCE = 8 * np.finfo(np.float64).eps
#: A Fisher matrix has no negative eigenvalue; up to this share of its largest they are rounding.
_NEGATIVE = 1e-8


@dataclass(frozen=True, eq=False)
class EffectiveDimension:
    """The effective dimension of a model with d parameters, from M draws, and what it rests on.

    Attributes:
        value: the effective dimension. It is no count: it grows with dead parameters (see `effective_dimension`) and may lie
            above d at small n, so read it beside ``rank``, ``ceiling`` and ``spectrum``.
        low: lower bound of its jackknife interval over draws; NaN for a single draw.
        high: upper bound.
        ceiling: what the identity, the flattest Fisher matrix, has at this n: ``d ln(1 + kappa) / ln kappa``.
        kappa: ``gamma n / (2 pi ln n)``.
        n_parameters: number of parameters d.
        n_draws: number of draws M.
        effective_draws: how many draws carry the average over parameters, 1 to M (Kish's effective sample size of the
            volumes ``sqrt det``).
        rank: rank of the Fisher matrix at a generic draw, the largest of all.
        ranks: ``(M,)`` rank at each draw.
        spectrum: ``(d,)`` mean eigenvalues of the normalised Fisher matrices, falling; they sum to d.
        participation_ratio: ``(sum lambda)^2 / sum lambda^2`` of a draw's eigenvalues, averaged over draws: 1 where one
            direction has all the information, d where all have the same.
    """

    value: float
    low: float
    high: float
    ceiling: float
    kappa: float
    n_parameters: int
    n_draws: int
    effective_draws: float
    rank: int
    ranks: np.ndarray
    spectrum: np.ndarray
    participation_ratio: float

    @property
    def enough(self) -> bool:
        """Whether enough draws carry the average for its interval to be trusted; if not, draw more."""
        return self.effective_draws >= MIN_EFFECTIVE_DRAWS


def effective_dimension(
    fishers: np.ndarray, n_data: float, gamma: float = 1.0, level: float = LEVEL
) -> EffectiveDimension:
    """The effective dimension of a set of Fisher matrices (Abbas et al. 2021, arXiv:2011.00027).

    With ``Fhat_m = d F_m / mean_m tr F_m`` and ``kappa = gamma n / (2 pi ln n)`` it is::

        2 [ logsumexp_m( 1/2 ln det(I + kappa Fhat_m) ) - ln M ] / ln kappa

    For n to infinity it is d where all ``F_m = I`` and r where they have rank r. It does not change with the scale of F or
    the order of the parameters. It does change with k dead parameters, which add zero rows to F and, by the normalisation,
    stretch the rest: with ``s = (d + k) / d`` it becomes what the live parameters alone have at ``s kappa``, times
    ``ln(s kappa) / ln kappa``, about ``rank * ln(s) / ln(kappa)`` more, while the rank stays.

    Args:
        fishers: ``(M, d, d)`` Fisher matrices at M settings of the parameters.
        n_data: number of data n.
        gamma: the constant of the bound, in (0, 1].
        level: coverage of the jackknife interval.

    Raises:
        ConfigError: for kappa of at most 1, where the quantity is not defined, or options out of range.
        ShapeError: for matrices that are not symmetric, positive semi-definite and finite, or all zero.
    """
    matrices = np.asarray(fishers, dtype=np.float64)
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or 0 in matrices.shape:
        raise ShapeError(f"fishers has shape {matrices.shape}, expected (M, d, d); one matrix is fisher[None].")
    kappa = _kappa(n_data, gamma, level)
    return _from_spectra(_eigenvalues(matrices), kappa, level)


def global_effective_dimension(
    make: Draws | Callable[[torch.Generator], nn.Module],
    x: Tensor | np.ndarray,
    n_data: float | None = None,
    *,
    n_draws: int = 500,
    seed: Seed = 0,
    gamma: float = 1.0,
    level: float = LEVEL,
    output: Output | None = None,
) -> EffectiveDimension:
    """The effective dimension of a classifier over its whole parameter space.

    Args:
        make: builds the model anew from a generator, to draw from its own initial distribution; or ready `Draws`, such as
            those of `uniform_draws`.
        x: ``(N, F)`` inputs that stand for their distribution.
        n_data: number of data n; by default N.
        n_draws: number of draws, where ``make`` is not `Draws`.
        seed: seed of the draws.
        gamma: the constant of the bound.
        level: coverage of the interval.
        output: what the model returns, as for `qmoe.analysis.fisher_matrices`.

    Raises:
        ConfigError: as `effective_dimension`, before anything is computed.
        ShapeError: for inputs that do not fit the model.
    """
    kappa = _kappa(len(x) if n_data is None else n_data, gamma, level)
    draws = make if isinstance(make, Draws) else initial_draws(make, n_draws, seed)
    # Only eigenvalues are kept: 500 matrices of a thousand parameters would be 4 GB.
    spectra = np.concatenate([_eigenvalues(part) for part in iterate_fisher(draws, x, output)])
    return _from_spectra(spectra, kappa, level)


def local_effective_dimension(
    model: nn.Module,
    x: Tensor | np.ndarray,
    n_data: float | None = None,
    *,
    radius: float | None = None,
    n_draws: int = 500,
    seed: Seed = 0,
    gamma: float = 1.0,
    level: float = LEVEL,
    output: Output | None = None,
) -> EffectiveDimension:
    """The effective dimension in a ball around a model's (trained) parameters (Abbas et al. 2021, arXiv:2112.04807).

    Args:
        model: the model; it is not changed.
        x: ``(N, F)`` inputs; they and all that follows but ``radius`` are as for `global_effective_dimension`.
        n_data: number of data n; by default N.
        radius: of the ball, in the units of the parameters; ``1 / sqrt(n)`` by default, which n data resolve. With 0 and one
            draw it is the value at the point alone.
        n_draws: number of draws from the ball.
        seed: their seed.
        gamma: the constant of the bound.
        level: coverage of the interval.
        output: what the model returns.

    Raises:
        ConfigError: as `effective_dimension`, before anything is computed.
        ShapeError: for inputs that do not fit the model.

    Example:
        >>> from qmoe.analysis import local_effective_dimension
        >>> found = local_effective_dimension(qmoe.LinearRouter(2, 2), torch.rand(100, 2), n_draws=20)
        >>> found.n_parameters
        6
    """
    n = len(x) if n_data is None else n_data
    _kappa(n, gamma, level)
    draws = ball_draws(model, 1 / math.sqrt(n) if radius is None else radius, n_draws, seed)
    return global_effective_dimension(draws, x, n, gamma=gamma, level=level, output=output)


def _kappa(n_data: float, gamma: float, level: float) -> float:
    if not 0 < gamma <= 1:
        raise ConfigError(f"gamma is {gamma!r}, expected a number above 0 and up to 1.")
    if not 0 < level < 1:
        raise ConfigError(f"level is {level!r}, expected a number between 0 and 1, such as 0.95.")
    # n / ln n falls up to e, so that one or two data would seem to be many.
    kappa = gamma * n_data / (2 * math.pi * math.log(n_data)) if math.isfinite(n_data) and n_data >= 3 else 0.0
    if kappa > 1:
        return kappa
    # n / ln n = c has the larger solution exp(-W_{-1}(-1 / c)).
    need = math.floor(math.exp(-scipy.special.lambertw(-gamma / (2 * math.pi), -1).real)) + 1
    raise ConfigError(
        f"n_data={n_data!r} with gamma={gamma:g} gives kappa = gamma n / (2 pi ln n) of at most 1, where the effective "
        f"dimension is not defined; use n_data of at least {need}."
    )


def _eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """Eigenvalues ``(M, d)``, falling, none below 0."""
    if not np.isfinite(matrices).all():
        raise ShapeError(
            "A Fisher matrix holds values that are not finite; leave out parameters where the model fails."
        )
    scale = np.abs(matrices).max()
    if np.abs(matrices - matrices.swapaxes(1, 2)).max() > _NEGATIVE * scale:
        raise ShapeError("A Fisher matrix is not symmetric; pass J^T (diag(p) - p p^T) J, averaged over the inputs.")
    found = eigvalsh((matrices + matrices.swapaxes(1, 2)) / 2)[:, ::-1]
    if found.min() < -_NEGATIVE * scale:
        raise ShapeError(f"A Fisher matrix has the eigenvalue {found.min():.3g}, expected none below 0.")
    return np.maximum(found, 0.0)


def _from_spectra(spectra: np.ndarray, kappa: float, level: float) -> EffectiveDimension:
    n_draws, d = spectra.shape
    traces = spectra.sum(axis=1)
    if not traces.any():
        raise ShapeError(
            "Every Fisher matrix is zero: the outputs do not depend on the parameters, so there is no scale."
        )
    volumes = _volumes(spectra, traces.mean(), kappa)
    value = float(_dimension(volumes, kappa))
    low = high = math.nan
    if n_draws < 2:
        warnings.warn(
            "One draw has no interval, its bounds are NaN; draw more parameters, 500 or so.",
            StatisticalWarning,
            stacklevel=3,
        )
    elif np.count_nonzero(traces) < 2:
        raise ShapeError("All but one Fisher matrix are zero, which leaves nothing to average; draw more parameters.")
    else:
        rest = (traces.sum() - traces) / (n_draws - 1)
        left = np.stack([_volumes(np.delete(spectra, m, axis=0), rest[m], kappa) for m in range(n_draws)])
        without = _dimension(left, kappa)
        error = math.sqrt((n_draws - 1) * float(without.var()))
        reach = float(scipy.stats.t.ppf((1 + level) / 2, n_draws - 1)) * error
        low, high = value - reach, value + reach
    shares = np.exp(volumes - scipy.special.logsumexp(volumes))
    ranks = (spectra > _RANK_TOLERANCE * d * spectra[:, :1]).sum(axis=1)
    alive = spectra[traces > 0]
    return EffectiveDimension(
        value=value,
        low=low,
        high=high,
        ceiling=d * math.log1p(kappa) / math.log(kappa),
        kappa=kappa,
        n_parameters=d,
        n_draws=n_draws,
        effective_draws=float(1 / np.square(shares).sum()),
        rank=int(ranks.max()),
        ranks=ranks,
        spectrum=d * spectra.mean(axis=0) / traces.mean(),
        participation_ratio=float((alive.sum(axis=1) ** 2 / np.square(alive).sum(axis=1)).mean()),
    )


def _volumes(spectra: np.ndarray, mean_trace: float, kappa: float) -> np.ndarray:
    """``(M,)`` half log determinants."""
    found: np.ndarray = 0.5 * np.log1p(kappa * spectra.shape[1] / mean_trace * spectra).sum(axis=1)
    return found


def _dimension(volumes: np.ndarray, kappa: float) -> np.ndarray:
    """The effective dimension of each row of half log determinants ``(..., M)``."""
    found: np.ndarray = 2 * (scipy.special.logsumexp(volumes, axis=-1) - math.log(volumes.shape[-1])) / math.log(kappa)
    return found
