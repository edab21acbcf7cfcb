"""Inputs and weights as symbols that compute like numbers, for tracing programs that build circuits."""

from __future__ import annotations

import math
from numbers import Complex, Integral
from typing import Any

import numpy as np

from qmoe.circuits import Angle, Expression, Feature, Weight
from qmoe.circuits.angles.expressions import as_angle

_Factors = tuple[Feature | Weight, ...]


class DependsOnValuesError(TypeError):
    """A program asked for the value of a symbol, which it has none of."""


class NotPolynomialError(TypeError):
    """A program applied a function to a symbol that is no sum or product."""


class Symbol:
    """A polynomial in features and weights with complex coefficients."""

    __slots__ = ("terms",)

    def __init__(self, terms: dict[_Factors, complex]) -> None:
        self.terms = {factors: c for factors, c in terms.items() if c != 0 or not factors}

    @classmethod
    def of(cls, factor: Feature | Weight) -> Symbol:
        """One feature or weight."""
        return cls({(factor,): 1.0})

    def __add__(self, other: Any) -> Symbol:
        theirs = _terms(other)
        if theirs is None:
            return NotImplemented
        total = dict(self.terms)
        for factors, c in theirs.items():
            total[factors] = total.get(factors, 0.0) + c
        return Symbol(total)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Symbol:
        theirs = _terms(other)
        if theirs is None:
            return NotImplemented
        total: dict[_Factors, complex] = {}
        for mine, a in self.terms.items():
            for factors, b in theirs.items():
                product = tuple(sorted(mine + factors, key=lambda f: (isinstance(f, Weight), f.index)))
                total[product] = total.get(product, 0.0) + a * b
        return Symbol(total)

    __rmul__ = __mul__

    def __neg__(self) -> Symbol:
        return self * -1.0

    def __pos__(self) -> Symbol:
        return self

    def __sub__(self, other: Any) -> Symbol:
        return NotImplemented if _terms(other) is None else self + other * -1.0

    def __rsub__(self, other: Any) -> Symbol:
        return NotImplemented if _terms(other) is None else -self + other

    def __truediv__(self, other: Any) -> Symbol:
        if isinstance(other, Symbol) and set(other.terms) == {()}:
            other = other.terms[()]
        return self * (1.0 / other) if _is_number(other) else NotImplemented

    def __rtruediv__(self, other: Any) -> Symbol:
        raise NotPolynomialError("divides by an input or a weight")

    def __pow__(self, power: Any) -> Symbol:
        if (not isinstance(power, Integral) and not (_is_number(power) and power == int(power))) or power < 0:
            raise NotPolynomialError(f"raises an input or a weight to the power {power}")
        product = Symbol({(): 1.0})
        for _ in range(int(power)):
            product = product * self
        return product

    def conjugate(self) -> Symbol:
        """With conjugate coefficients, since inputs and weights are real."""
        return Symbol({factors: complex(c).conjugate() for factors, c in self.terms.items()})

    conj = conjugate

    @property
    def real(self) -> Symbol:
        """The real part."""
        return Symbol({factors: complex(c).real for factors, c in self.terms.items()})

    @property
    def imag(self) -> Symbol:
        """The imaginary part."""
        return Symbol({factors: complex(c).imag for factors, c in self.terms.items()})

    def angle(self) -> Angle:
        """The polynomial as an angle.

        Raises:
            NotPolynomialError: for one with complex coefficients.
        """
        if any(abs(complex(c).imag) > 1e-12 * abs(c) for c in self.terms.values()):
            raise NotPolynomialError("is a complex number")
        total: Any = Expression(())
        for factors, c in self.terms.items():
            product: Any = complex(c).real
            for factor in factors:
                product = product * factor
            total = total + product
        return as_angle("of a trace", total)

    def _no_value(self, *_: Any) -> Any:
        raise DependsOnValuesError("asks for the value of an input or a weight")

    __bool__ = __float__ = __int__ = __complex__ = __index__ = _no_value
    __lt__ = __le__ = __gt__ = __ge__ = _no_value
    __eq__ = __ne__ = _no_value
    __hash__ = object.__hash__

    def _other(self, *_: Any) -> Any:
        raise NotPolynomialError("takes an absolute value or a remainder of an input or a weight")

    __mod__ = __floordiv__ = __abs__ = __round__ = __divmod__ = _other

    def __getattr__(self, name: str) -> Any:
        # NumPy calls the method sin of what np.sin is given.
        if name in _FUNCTIONS:
            raise NotPolynomialError(f"computes {name} of an input or a weight")
        raise AttributeError(name)

    def __repr__(self) -> str:
        return str(self.angle())


_FUNCTIONS = {
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
}
_FUNCTIONS |= {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sign", "floor", "ceil", "rint"}
_FUNCTIONS |= {"trunc", "abs", "absolute", "fabs", "arctan2", "hypot", "reciprocal"}


def symbols(kind: type[Feature] | type[Weight], shape: tuple[int, ...], start: int = 0) -> Any:
    """An array of ``shape`` whose entries are features or weights, numbered from ``start``; a symbol for ``()``."""
    found = [Symbol.of(kind(start + index)) for index in range(math.prod(shape))]
    if not shape:
        return found[0]
    array = np.empty(len(found), dtype=object)
    array[:] = found
    return array.reshape(shape)


def entry(value: Any) -> Any:
    """A symbol or number from what may be an array of one."""
    while isinstance(value, np.ndarray):
        if value.size != 1:
            raise NotPolynomialError(f"is an array of the shape {value.shape}, where one number is expected")
        value = value.reshape(-1)[0]
    return value


def angle_of(value: Any) -> Angle:
    """An angle from a symbol, a number, or an array of one.

    Raises:
        NotPolynomialError: for anything else.
    """
    value = entry(value)
    if isinstance(value, Symbol):
        return value.angle()
    if hasattr(value, "detach"):
        value = value.detach().cpu().reshape(()).item()
    if not _is_number(value) or abs(complex(value).imag) > 1e-12:
        raise NotPolynomialError(f"is {value!r}, where a number is expected")
    return float(complex(value).real)


def _is_number(value: Any) -> bool:
    return isinstance(value, Complex) and not isinstance(value, bool)


def _terms(value: Any) -> dict[_Factors, complex] | None:
    if isinstance(value, Symbol):
        return value.terms
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype != object:
        value = value.item()
    return {(): complex(value) if isinstance(value, complex) else value} if _is_number(value) else None
