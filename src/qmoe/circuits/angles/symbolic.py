"""Expressions of Qiskit as angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qmoe.circuits.angles.expressions import Angle, Feature, Weight, as_angle


def polynomial_of(value: Any, factors: Mapping[str, Feature | Weight]) -> Angle | None:
    """A ``ParameterExpression`` as an angle; None where it is no polynomial.

    Args:
        value: the expression.
        factors: what each of its parameters is, by name.
    """
    import sympy

    expression = value.sympify()
    names = sorted(expression.free_symbols, key=lambda symbol: str(symbol.name))
    if not names:
        number = complex(expression)
        return float(number.real) if number.imag == 0 else None
    try:
        polynomial = sympy.Poly(expression, *names)
    except sympy.PolynomialError:
        return None
    total: Any = 0.0
    for powers, coefficient in polynomial.terms():
        number = complex(coefficient)
        if number.imag:
            return None
        product: Any = number.real
        for symbol, power in zip(names, powers, strict=True):
            for _ in range(power):
                product = product * factors[symbol.name]
        total = total + product
    return as_angle("of Qiskit", total)
