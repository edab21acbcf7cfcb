"""Angles of gates: features, weights, and polynomials in both that read as mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeVar

from qmoe.errors import ConfigError

T = TypeVar("T")

#: The largest polynomial that a product may be: factors of a term, and terms before those that are alike are added up.
MAX_DEGREE, MAX_TERMS = 64, 100_000


class _Arithmetic:
    """Sums, differences and products, which are expressions; numbers are radians."""

    __slots__ = ()

    def _as_terms(self) -> dict[tuple[Factor, ...], float]:
        raise NotImplementedError

    def __add__(self, other: Any) -> Expression:
        theirs = _terms_of(other)
        if theirs is None:
            return NotImplemented
        total = dict(self._as_terms())
        for factors, coefficient in theirs.items():
            total[factors] = total.get(factors, 0.0) + coefficient
        return _made(total)

    __radd__ = __add__

    def __neg__(self) -> Expression:
        return self * -1.0

    def __pos__(self) -> Expression:
        return self * 1.0

    def __sub__(self, other: Any) -> Expression:
        return NotImplemented if _terms_of(other) is None else self + other * -1

    def __rsub__(self, other: Any) -> Expression:
        return NotImplemented if _terms_of(other) is None else other + self * -1.0

    def __mul__(self, other: Any) -> Expression:
        theirs = _terms_of(other)
        if theirs is None:
            return NotImplemented
        ours = self._as_terms()
        degree = max(map(len, ours), default=0) + max(map(len, theirs), default=0)
        if degree > MAX_DEGREE or len(ours) * len(theirs) > MAX_TERMS:
            raise ConfigError(
                f"An angle would have up to {len(ours) * len(theirs)} term(s) of up to {degree} factors, expected at most "
                f"{MAX_TERMS} of {MAX_DEGREE}; compute it by a function: Circuit.from_operations(..., angles=function)."
            )
        total: dict[tuple[Factor, ...], float] = {}
        for mine, a in ours.items():
            for factors, b in theirs.items():
                product = tuple(sorted(mine + factors, key=_place))
                total[product] = total.get(product, 0.0) + a * b
        return _made(total)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Expression:
        return self * (1.0 / float(other)) if _is_number(other) else NotImplemented

    def __pow__(self, power: Any) -> Expression:
        if not isinstance(power, Integral) or isinstance(power, bool) or power < 0:
            return NotImplemented
        product = _made({(): 1.0})
        if not any(self._as_terms()):
            # A number; otherwise the degree, which has a bound, rises with every factor.
            try:
                return _made({(): self._as_terms().get((), 0.0) ** int(power)})
            except OverflowError:
                return _made({(): math.inf})  # which is refused
        for _ in range(int(power)):
            product = product * self
        return product


@dataclass(frozen=True, slots=True)
class Feature(_Arithmetic):
    """An angle that is input feature ``index``."""

    index: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", _natural("Feature", self.index))

    def _as_terms(self) -> dict[tuple[Factor, ...], float]:
        return {(self,): 1.0}


@dataclass(frozen=True, slots=True)
class Weight(_Arithmetic):
    """An angle that is trainable weight ``index``: of the layer in an ansatz, of the circuit in its operations."""

    index: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", _natural("Weight", self.index))

    def _as_terms(self) -> dict[tuple[Factor, ...], float]:
        return {(self,): 1.0}


@dataclass(frozen=True, slots=True)
class Computed(_Arithmetic):
    """An angle that is output ``index`` of the circuit's function of features and weights (`Circuit.from_operations`)."""

    index: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", _natural("Computed", self.index))

    def _as_terms(self) -> dict[tuple[Factor, ...], float]:
        return {(self,): 1.0}


#: What is multiplied in an expression.
Factor = Feature | Weight | Computed


@dataclass(frozen=True, slots=True)
class Expression(_Arithmetic):
    """A polynomial in features, weights and computed angles, such as ``2 * Weight(0) + Feature(1)``: made by arithmetic.

    Equal polynomials are equal and hash alike, however they were written.

    Attributes:
        terms: ``(coefficient, factors)`` of each product, sorted; ``()`` are the factors of the constant.

    Raises:
        ConfigError: for a coefficient that is not a finite number, or terms that are none.

    Example:
        >>> from qmoe.circuits import Expression, Feature, Weight
        >>> angle = 2 * Weight(0) + Feature(1)
        >>> isinstance(angle, Expression)
        True
    """

    terms: tuple[tuple[float, tuple[Factor, ...]], ...]

    def __post_init__(self) -> None:
        total: dict[tuple[Factor, ...], float] = {}
        try:
            for coefficient, factors in self.terms:
                product = tuple(sorted(factors, key=_place))
                total[product] = total.get(product, 0.0) + float(coefficient)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"An expression got the terms {self.terms!r}, expected (number, factors) of each, such as (2.0, "
                "(Feature(0), Weight(1))); it is easier to write 2 * Feature(0) * Weight(1)."
            ) from error
        for factors, coefficient in total.items():
            if not math.isfinite(coefficient):
                raise ConfigError(
                    f"An angle holds {coefficient} times {_product(factors) or '1'}, expected finite numbers."
                )
        ordered = sorted(total.items(), key=lambda item: (-len(item[0]), [_place(f) for f in item[0]]))
        object.__setattr__(self, "terms", tuple((c, factors) for factors, c in ordered if c != 0))

    def _as_terms(self) -> dict[tuple[Factor, ...], float]:
        return {factors: coefficient for coefficient, factors in self.terms}

    @property
    def features(self) -> frozenset[int]:
        """Indices of the features in it."""
        return frozenset(f.index for _, factors in self.terms for f in factors if isinstance(f, Feature))

    @property
    def weights(self) -> frozenset[int]:
        """Indices of the weights in it."""
        return frozenset(f.index for _, factors in self.terms for f in factors if isinstance(f, Weight))

    @property
    def computed(self) -> frozenset[int]:
        """Indices of the angles in it that the circuit's function computes."""
        return frozenset(f.index for _, factors in self.terms for f in factors if isinstance(f, Computed))

    @property
    def degree(self) -> int:
        """The most factors of a term."""
        return max((len(factors) for _, factors in self.terms), default=0)

    @property
    def constant(self) -> float:
        """The term without factors, in radians."""
        return self._as_terms().get((), 0.0)

    def simplified(self) -> Angle:
        """A feature, a weight or a number where it is nothing more; else itself."""
        if self.degree == 0:
            return self.constant
        if len(self.terms) == 1 and self.degree == 1 and self.terms[0][0] == 1:
            return self.terms[0][1][0]
        return self

    def __str__(self) -> str:
        parts: list[str] = []
        for coefficient, factors in self.terms:
            size = f"{abs(coefficient):.3g}"
            text = (
                size if not factors else _product(factors) if abs(coefficient) == 1 else f"{size}*{_product(factors)}"
            )
            sign = "-" if coefficient < 0 else "+" if parts else ""
            parts.append(sign + text)
        return "".join(parts) or "0"


#: What the angle of a gate can be.
Angle = Feature | Weight | Expression | Computed | float


def angle_value(
    angle: Angle,
    feature: Callable[[int], T],
    weight: Callable[[int], T],
    number: Callable[[float], T],
    computed: Callable[[int], T] | None = None,
) -> T:
    """An angle in whatever arithmetic the functions answer in: tensors, arrays, floats.

    Args:
        angle: what to compute.
        feature: the value of a feature by its index.
        weight: that of a weight.
        number: that of a constant.
        computed: that of an angle by the circuit's function; None where there is none.

    Example:
        >>> from qmoe.circuits import Weight, angle_value
        >>> given = {"feature": [0.3].__getitem__, "weight": [0.5].__getitem__}
        >>> angle_value(2 * Weight(0) + 1, **given, number=float)
        2.0
    """
    if isinstance(angle, Feature):
        return feature(angle.index)
    if isinstance(angle, Weight):
        return weight(angle.index)
    if isinstance(angle, Computed):
        assert computed is not None, f"{angle} has a value in its circuit alone"
        return computed(angle.index)
    if not isinstance(angle, Expression):
        return number(angle)
    total: Any = number(0.0)
    for coefficient, factors in angle.terms:
        product: Any = number(coefficient)
        for factor in factors:
            product = product * angle_value(factor, feature, weight, number, computed)
        total = total + product
    return total


def as_angle(gate: str, angle: Any) -> Angle:
    """An angle in its simplest form.

    Raises:
        ConfigError: for anything but a feature, a weight, an expression or a finite number.
    """
    if isinstance(angle, (Feature, Weight, Computed)):
        return angle
    if isinstance(angle, Expression):
        return angle.simplified()
    if not _is_number(angle) or not math.isfinite(angle):
        raise ConfigError(
            f"Gate {gate} got the angle {angle!r}; write it as Weight(k), Feature(k), sums and products of these, or a "
            "finite number of radians."
        )
    return float(angle)


def indices_of(angles: Iterable[Angle], kind: type[Factor]) -> tuple[int, ...]:
    """Indices of all features, weights or computed angles in angles, in order, each as often as an angle holds it."""
    found: list[int] = []
    for angle in angles:
        if isinstance(angle, kind):
            found.append(angle.index)
        elif isinstance(angle, Expression):
            found += sorted({f.index for _, factors in angle.terms for f in factors if isinstance(f, kind)})
    return tuple(found)


def replaced(angle: Angle, change: Callable[[Factor], Factor]) -> Angle:
    """The angle with other factors in the places of its own."""
    if isinstance(angle, (Feature, Weight, Computed)):
        return change(angle)
    if isinstance(angle, Expression):
        return _made({tuple(sorted(map(change, fs), key=_place)): c for c, fs in angle.terms}).simplified()
    return angle


def shifted(angle: Angle, by: int) -> Angle:
    """The angle with weights numbered from ``by`` on."""
    return replaced(angle, lambda factor: Weight(factor.index + by) if isinstance(factor, Weight) else factor)


def angle_text(angle: Angle) -> str:
    """``x0``, ``w0``, ``x0+2*w1`` or a number."""
    if isinstance(angle, (Feature, Weight, Computed)):
        return _product((angle,))
    return str(angle) if isinstance(angle, Expression) else f"{angle:.3g}"


def _made(terms: dict[tuple[Factor, ...], float]) -> Expression:
    return Expression(tuple((c, factors) for factors, c in terms.items()))


def _terms_of(value: Any) -> dict[tuple[Factor, ...], float] | None:
    if isinstance(value, _Arithmetic):
        return value._as_terms()
    return {(): float(value)} if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


#: What factors are called in text.
_LETTERS = {Feature: "x", Weight: "w", Computed: "a"}


def _place(factor: Factor) -> tuple[int, int]:
    return (Feature, Computed, Weight).index(type(factor)), factor.index


def _product(factors: tuple[Factor, ...]) -> str:
    return "*".join(f"{_LETTERS[type(factor)]}{factor.index}" for factor in factors)


def _natural(kind: str, index: Any) -> int:
    if not isinstance(index, Integral) or isinstance(index, bool) or index < 0:
        raise ConfigError(f"{kind} index is {index!r}, expected an integer of at least 0.")
    return int(index)
