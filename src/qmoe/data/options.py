"""Rules for the options of a data set, written into the annotation of the field they guard.

``noise: Annotated[float, Real(low=0.0)] = 0.1`` is the whole declaration: `Dataset` reads the rule, refuses a bad
value with a `ConfigError` and stores a good one as a plain Python number, so that equal options always compare, hash
and print equally.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from qmoe.errors import ConfigError


class OptionRule(ABC):
    """One expectation of a value, which it can state in words and enforce."""

    @property
    @abstractmethod
    def expectation(self) -> str:
        """What the value must be, as the end of the sentence "x must be ..."."""

    @abstractmethod
    def accept(self, value: object) -> Any:
        """Returns the value in its plain form; raises `ValueError` if it breaks the rule."""

    def check(self, where: str, name: str, value: object, example: object) -> Any:
        """Returns the accepted value.

        Args:
            where: the thing that owns the option, such as the name of a data set.
            name: the option.
            value: what was given.
            example: a value that is known to be good, shown as the remedy.

        Raises:
            ConfigError: the value breaks the rule.
        """
        try:
            return self.accept(value)
        except (ValueError, OverflowError):
            message = f"{where}: {name} must be {self.expectation}, got {value!r}; for example {name}={example!r}."
            raise ConfigError(message) from None


@dataclass(frozen=True)
class Whole(OptionRule):
    """A whole number of at least ``low`` and at most ``high``."""

    low: int
    high: int | None = None

    @property
    def expectation(self) -> str:
        """The range in words."""
        upper = "" if self.high is None else f" and at most {self.high}"
        return f"a whole number of at least {self.low}{upper}"

    def accept(self, value: object) -> int:
        """Returns a plain ``int``."""
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise ValueError
        number = int(value)
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError
        return number


@dataclass(frozen=True)
class Real(OptionRule):
    """A finite number from ``low`` to ``high``; ``high`` itself is excluded when ``open_high``, likewise ``low``."""

    low: float
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    @property
    def expectation(self) -> str:
        """The range in words."""
        lower = f"above {self.low}" if self.open_low else f"of at least {self.low}"
        if self.high is None:
            return f"a finite number {lower}"
        return f"a finite number {lower} and {'below' if self.open_high else 'at most'} {self.high}"

    def accept(self, value: object) -> float:
        """Returns a plain ``float``."""
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError
        number = float(value)
        below = number <= self.low if self.open_low else number < self.low
        above = self.high is not None and (number >= self.high if self.open_high else number > self.high)
        if not math.isfinite(number) or below or above:
            raise ValueError
        return number


Samples = Annotated[int, Whole(2, 10**9)]
"""A number of rows."""
Count = Annotated[int, Whole(1, 10**6)]
"""A number of features, or of anything else that there must be at least one of."""
Noise = Annotated[float, Real(0.0, 1e6)]
"""A standard deviation, in the unit of the coordinates."""
Flip = Annotated[float, Real(0.0, 0.5)]
"""The probability of a wrong binary label."""
ProblemSeed = Annotated[int, Whole(0, 2**32 - 1)]
"""The seed of the rule behind the labels, as opposed to the seed of a sample."""


@dataclass(frozen=True)
class OneOf(OptionRule):
    """One of the whole numbers ``values``."""

    values: tuple[int, ...]

    @property
    def expectation(self) -> str:
        """The choices in words."""
        return "one of " + ", ".join(str(value) for value in self.values)

    def accept(self, value: object) -> int:
        """Returns a plain ``int``."""
        number = Whole(min(self.values), max(self.values)).accept(value)
        if number not in self.values:
            raise ValueError
        return number


@dataclass(frozen=True)
class DistinctDigits(OptionRule):
    """At least two different digits, in the order of the labels 0, 1, ... that they are given."""

    expectation = "at least two different digits from 0 to 9"

    def accept(self, value: object) -> tuple[int, ...]:
        """Returns a tuple of ``int``; a list, as it comes from TOML or JSON, is welcome."""
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise ValueError
        digits = tuple(Whole(0, 9).accept(entry) for entry in value)
        if len(digits) < 2 or len(set(digits)) != len(digits):
            raise ValueError
        return digits


@dataclass(frozen=True)
class Flag(OptionRule):
    """True or False."""

    expectation = "True or False"

    def accept(self, value: object) -> bool:
        """Returns the flag."""
        if not isinstance(value, bool):
            raise ValueError
        return value
