"""Expressions of OpenQASM 3 as numbers and angles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from qmoe.circuits import Angle
from qmoe.circuits.angles.expressions import angle_text
from qmoe.interop.optional import NOT_POLYNOMIAL

_CONSTANTS = {
    **dict.fromkeys(("pi", "π"), math.pi),
    **dict.fromkeys(("tau", "τ"), math.tau),
    **dict.fromkeys(("euler", "ℇ"), math.e),
}
_FUNCTIONS = {
    "arccos": math.acos,
    "arcsin": math.asin,
    "arctan": math.atan,
    "ceiling": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "floor": math.floor,
    "log": math.log,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}

Value = Angle | int
#: Of powers, so that they are floats too.
_MOST_BITS = 1000


class RefusedError(Exception):
    """What a circuit cannot hold, at a line of the program."""

    def __init__(self, node: Any, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.line = line_of(node)


class TooLongError(RefusedError):
    """A program that grows beyond bounds, of which nothing more is read."""


def line_of(node: Any) -> int:
    """The line of the program on which a node starts."""
    return int(node.span.start_line) if node is not None and node.span is not None else 0


def value_of(node: Any, names: Mapping[str, Any]) -> Value:
    """The value of an expression.

    Args:
        node: of openqasm3's syntax tree.
        names: what is declared: numbers, features and weights.

    Raises:
        RefusedError: for what is no number or polynomial.
    """
    kind = type(node).__name__
    if kind in ("IntegerLiteral", "FloatLiteral"):
        return node.value
    if kind == "Identifier":
        value = names.get(node.name, _CONSTANTS.get(node.name))
        if not isinstance(value, Value):
            raise RefusedError(node, f"{node.name} has no value that is known before the circuit runs")
        return value
    if kind == "UnaryExpression" and node.op.name in ("-", "+"):
        value = value_of(node.expression, names)
        return -value if node.op.name == "-" else value
    if kind == "BinaryExpression":
        return _binary(node, value_of(node.lhs, names), value_of(node.rhs, names))
    if kind == "Cast" and type(node.type).__name__ in ("FloatType", "AngleType"):
        value = value_of(node.argument, names)
        return float(value) if isinstance(value, int) else value
    if kind == "FunctionCall":
        return _call(node, names)
    raise RefusedError(node, f"an expression of the kind {kind}, expected numbers, parameters, +, -, * and /")


def integer_of(node: Any, names: Mapping[str, Any]) -> int:
    """The value of an expression that must be an integer known beforehand.

    Raises:
        RefusedError: for anything else.
    """
    value = value_of(node, names)
    if not isinstance(value, int):
        shown = angle_text(value)
        raise RefusedError(node, f"{shown} stands where an integer is expected that is known before the circuit runs")
    return value


def _binary(node: Any, left: Any, right: Any) -> Value:
    symbol = node.op.name
    if symbol in ("+", "-", "*"):
        result: Value = left + right if symbol == "+" else left - right if symbol == "-" else left * right
        return result
    plain = isinstance(right, int | float)
    if symbol == "/" and plain and right != 0:
        if not isinstance(left, int) or not isinstance(right, int):
            return left / right
        if left % right == 0:
            return left // right
        raise RefusedError(node, f"{left}/{right} divides integers, and OpenQASM rounds; write {left}.0/{right}")
    if symbol == "**" and plain and (isinstance(left, int | float) or (isinstance(right, int) and right >= 0)):
        power = right * math.log2(abs(left)) if isinstance(left, int | float) and left else 0
        if (
            power > _MOST_BITS
            or (left == 0 and right < 0)
            or (isinstance(left, int | float) and left < 0 and right % 1)
        ):
            raise RefusedError(
                node, f"{angle_text(left)}**{angle_text(right)}, which is no number that an angle can be"
            )
        return left**right
    if symbol == "%" and plain and right != 0 and isinstance(left, int | float):
        return left % right
    raise RefusedError(
        node,
        f"an operation {symbol} of {angle_text(left)} and {angle_text(right)}, which is no polynomial",
        NOT_POLYNOMIAL,
    )


def _call(node: Any, names: Mapping[str, Any]) -> Value:
    values = [value_of(argument, names) for argument in node.arguments]
    name = node.name.name
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if name in _FUNCTIONS and len(values) == 1:
        if not numbers:
            raise RefusedError(node, f"{name} of {angle_text(values[0])}, which is no polynomial", NOT_POLYNOMIAL)
        try:
            return float(_FUNCTIONS[name](numbers[0]))
        except (ValueError, OverflowError) as error:
            raise RefusedError(node, f"{name} of {numbers[0]:g}, which has no value") from error
    raise RefusedError(
        node, f"a call of {name}, which is known neither as a function of one number nor before the circuit runs"
    )
