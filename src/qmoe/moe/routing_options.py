"""How a mixture of experts routes, beyond top-k: options as plain data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from qmoe.errors import ConfigError, unknown

Option = TypeVar("Option")
#: Who keeps a place where an expert has too few.
PRIORITIES = ("order", "weight")


def check_number(name: str, value: object, least: float = 0.0, above: bool = False) -> None:
    """Raises `ConfigError` unless a value is a finite number of at least ``least``, or above it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and isinstance(value, int | float) and (value > least if above else value >= least)):
        raise ConfigError(
            f"{name} is {value!r}, expected a finite number {'above' if above else 'of at least'} {least:g}."
        )


def as_option(name: str, value: object, kind: type[Option]) -> Option | None:
    """Returns an option as its specification: True for its defaults, a number for its first field, None or False for none.

    Raises:
        ConfigError: for anything else.
    """
    if value is None or value is False:
        return None
    if value is True:
        return kind()
    if isinstance(value, kind):
        return value
    if isinstance(value, int | float):
        return kind(value)  # type: ignore[call-arg]
    raise ConfigError(f"{name} is {value!r}, expected a number, True, None or {kind.__name__}(...) of qmoe.moe.")


@dataclass(frozen=True)
class RouterNoise:
    """Gaussian noise on the logits, in training mode only: ``H = logits + N(0, 1) std`` (Shazeer et al. 2017, eq. 4).

    Experts are chosen, and weighed, by the noisy logits.

    Attributes:
        std: standard deviation; None for ``softplus(W_noise x)``, trained from ``W_noise = 0``.

    Example:
        >>> from qmoe.moe import RouterNoise
        >>> router, experts = qmoe.LinearRouter(2, 4), qmoe.LinearExperts(2, 2, 4)
        >>> moe = qmoe.MixtureOfExperts(router, experts, top_k=1, noise=RouterNoise(0.5))
        >>> moe(torch.rand(8, 2)).shape
        torch.Size([8, 2])
    """

    std: float | None = None

    def __post_init__(self) -> None:
        if self.std is not None:
            check_number("std of the noise", self.std, above=True)


@dataclass(frozen=True)
class Capacity:
    """A limit of rows per expert: ``ceil(factor K N / E)`` for N rows. Assignments beyond it are dropped.

    A row that is dropped everywhere gets 0, plus the shared experts. Weights are not rescaled after a drop.

    Attributes:
        factor: 1 leaves places for perfectly balanced routing only.
        priority: who gets a place: ``"order"``, the first choices of all rows in their order, then the second choices
            (Switch Transformers, GShard); or ``"weight"``, those of largest routing weight.
        eval_factor: factor in evaluation mode; None for the same.

    Example:
        >>> from qmoe.moe import Capacity
        >>> router, experts = qmoe.LinearRouter(2, 4), qmoe.LinearExperts(2, 2, 4)
        >>> moe = qmoe.MixtureOfExperts(router, experts, top_k=1, capacity=Capacity(1.0))
        >>> moe(torch.rand(8, 2)).shape
        torch.Size([8, 2])
    """

    factor: float = 1.25
    priority: Literal["order", "weight"] = "order"
    eval_factor: float | None = None

    def __post_init__(self) -> None:
        check_number("factor of the capacity", self.factor, above=True)
        if self.eval_factor is not None:
            check_number("eval_factor of the capacity", self.eval_factor, above=True)
        if self.priority not in PRIORITIES:
            raise unknown("priority", self.priority, PRIORITIES)

    def places(self, n_rows: int, n_experts: int, k: int, training: bool) -> int:
        """Rows that one expert takes of ``n_rows``."""
        factor = self.factor if training or self.eval_factor is None else self.eval_factor
        return math.ceil(factor * k * n_rows / n_experts)


@dataclass(frozen=True)
class ExpertChoice:
    """Each expert takes the rows of largest weight for it, the same number for all (Zhou et al. 2022).

    Of N rows each expert takes ``ceil(factor N / E)``, so a row has ``factor`` experts on average, and may have none.
    Which rows are taken depends on the whole batch, so such a model is not causal.

    Attributes:
        factor: mean number of experts per row.

    Example:
        >>> from qmoe.moe import ExpertChoice
        >>> router, experts = qmoe.LinearRouter(2, 4), qmoe.LinearExperts(2, 2, 4)
        >>> moe = qmoe.MixtureOfExperts(router, experts, expert_choice=ExpertChoice(2.0))
        >>> moe(torch.rand(8, 2)).shape
        torch.Size([8, 2])
    """

    factor: float = 2.0

    def __post_init__(self) -> None:
        check_number("factor of the expert choice", self.factor, above=True)

    def places(self, n_rows: int, n_experts: int) -> int:
        """Rows that one expert takes of ``n_rows``."""
        return math.ceil(self.factor * n_rows / n_experts) if self.factor < n_experts else n_rows


@dataclass(frozen=True)
class BiasCorrection:
    """Balance without a loss: a bias per expert, added to the weights for the choice alone (Wang et al. 2024, DeepSeek-V3).

    `MixtureOfExperts.update_bias` adds ``rate`` to the bias of experts with fewer rows than the mean since its last call,
    and takes it from those with more.

    Attributes:
        rate: step of the bias; routing weights are between 0 and 1.

    Example:
        >>> from qmoe.moe import BiasCorrection
        >>> router, experts = qmoe.LinearRouter(2, 4), qmoe.LinearExperts(2, 2, 4)
        >>> moe = qmoe.MixtureOfExperts(router, experts, top_k=1, bias=BiasCorrection(0.01))
        >>> moe(torch.rand(8, 2)).shape
        torch.Size([8, 2])
    """

    rate: float = 1e-3

    def __post_init__(self) -> None:
        check_number("rate of the bias", self.rate, above=True)


@dataclass(frozen=True)
class LossCoefficients:
    """Factors of the auxiliary losses in `Routing.loss`; 0 leaves a loss out.

    Attributes:
        balance: of `balance_loss`.
        z: of `z_loss`.
        importance: of `importance_loss`.
        load: of `load_loss`, which needs noise.
    """

    balance: float = 0.0
    z: float = 0.0
    importance: float = 0.0
    load: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_number(f"{field.name} of the loss coefficients", getattr(self, field.name))


#: Options of the routing, by the arguments of a mixture.
OPTIONS: dict[str, type[Any]] = {
    "noise": RouterNoise,
    "capacity": Capacity,
    "expert_choice": ExpertChoice,
    "bias": BiasCorrection,
    "losses": LossCoefficients,
}


def option_of(name: str, value: Any) -> Any:
    """An option of the routing from a dict of its fields; anything else as it is.

    Raises:
        ConfigError: for a field that it does not have, or a value that it refuses.
    """
    if not isinstance(value, Mapping):
        return value
    kind = OPTIONS[name]
    fields = [f.name for f in dataclasses.fields(kind)]
    for key in value:
        if key not in fields:
            raise unknown(f"field of {name}", key, fields)
    return kind(**value)
