"""Exceptions and warnings of qmoe.

Every message names the value that was given, what was expected and what to do about it.
"""

from __future__ import annotations

import difflib
import importlib
import numbers
import os
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Any

#: How NumPy 2 shows its numbers and strings: ``np.float64(0.5)``, ``np.str_('a')``, ``np.True_``.
_NUMPY = re.compile(
    r"\bnp\.(?:(?:u?int|float|complex|longdouble|str)\w*\((-?[\d.][\w.+-]*|-?(?:nan|inf)|'[^']*'|\"[^\"]*\")\)|(True|False)_)"
)


#: What a terminal or a reader's eye takes for something else: controls but tab and line feed, marks that turn the order of
#: letters round or take no place, and halves of characters, which cannot be written.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""Text from a file with everything in it that would not be seen as it is written: ``\x1b`` for an escape."""
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape", "backslashreplace").decode(), text)


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 run``, ``60 runs``, ``2 classes``.

    Args:
        number: how many.
        noun: of what, for one.
        plural: the word for several; by default the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


class QMoEError(Exception):
    """Base of every error that qmoe raises on purpose. Its message shows NumPy's numbers as Python shows its own.

    Example:
        >>> try:
        ...     qmoe.QuantumRouter(2, 2, ansatz="strongly")
        ... except qmoe.QMoEError as error:
        ...     type(error).__name__
        'ConfigError'
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(visible(_NUMPY.sub(r"\1\2", arg)) if isinstance(arg, str) else arg for arg in args))


class ShapeError(QMoEError, ValueError):
    """A tensor or array has the wrong shape, dtype, device or values.

    Example:
        >>> try:
        ...     qmoe.LinearRouter(2, 2)(torch.rand(5, 3))
        ... except qmoe.ShapeError as error:
        ...     isinstance(error, ValueError)
        True
    """


class ConfigError(QMoEError, ValueError):
    """An option is unknown, out of range, or does not go with another."""


class UnsupportedError(QMoEError, NotImplementedError):
    """The request is meaningful, but the chosen engine or device cannot do it."""


class StoreError(QMoEError):
    """A result store cannot be opened, read or written.

    Example:
        >>> from qmoe.studies import Store
        >>> try:
        ...     Store("nowhere.sqlite", create=False)
        ... except qmoe.StoreError:
        ...     print("there is no store")
        there is no store
    """


class TrainingError(QMoEError):
    """Training stopped because the loss of a trial was no longer finite."""


class EncodingRangeWarning(UserWarning):
    """Angles cover more than one period, so different inputs give the same quantum state.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     _ = qmoe.QuantumRouter(2, 2)(torch.full((5, 2), 50.0))
        >>> [issubclass(warning.category, qmoe.EncodingRangeWarning) for warning in caught]
        [True]
    """


class PerformanceWarning(UserWarning):
    """The result is right, but there is a much faster way to get it.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", qmoe.PerformanceWarning)  # raise instead
        >>> warnings.simplefilter("default", qmoe.PerformanceWarning)
    """


class StatisticalWarning(UserWarning):
    """A statistic rests on too little, or on data that break its assumptions.

    Example:
        >>> issubclass(qmoe.StatisticalWarning, UserWarning)
        True
    """


class StateWarning(UserWarning):
    """A ``state_dict`` was loaded into a module that computes something else with it.

    Example:
        >>> issubclass(qmoe.StateWarning, UserWarning)
        True
    """


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warns at the line that led here from outside of qmoe and torch, which is the one to change."""
    modules = (sys.modules.get(name) for name in ("qmoe", "torch"))
    inside = tuple(os.path.dirname(m.__file__) + os.sep for m in modules if m is not None and m.__file__)
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame, level = frame.f_back, level + 1
    warnings.warn(visible(message), category, stacklevel=level)


def not_plain(value: object) -> str:
    """Says of another library's integer, such as NumPy's, that it is one; else nothing."""
    if isinstance(value, numbers.Integral) and not isinstance(value, int):
        return f" of type {type(value).__module__}.{type(value).__name__} (int(...) makes it Python's)"
    return ""


def did_you_mean(name: object, known: Iterable[str], listed_by: str = "", cutoff: float = 0.5) -> str:
    """Returns ``"; did you mean 'x'? Known: a, b, c."`` for an unknown ``name``; the nearest where a command lists all.

    Args:
        name: what was given.
        known: the names that exist.
        listed_by: the command that lists them, where they are too many for an error.
        cutoff: how alike a name has to be to be guessed, from 0 to 1; more where names come from anywhere.
    """
    names = sorted(known)
    if listed_by:
        nearest = [repr(one) for one in difflib.get_close_matches(str(name), names, n=3, cutoff=0.3)]
        hint = (
            f"; did you mean {' or '.join(filter(None, [', '.join(nearest[:-1]), nearest[-1]]))}?" if nearest else "."
        )
        return f"{hint} `{listed_by}` lists all {len(names)}."
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=cutoff)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(names)}."


def unknown(kind: str, name: object, known: Iterable[str], listed_by: str = "") -> ConfigError:
    """Builds the error for a name that is not in a registry.

    Args:
        kind: what was looked up, such as ``"data set"``.
        name: the name that was given.
        known: the names that exist.
        listed_by: the command that lists them, where they are too many for an error.
    """
    return ConfigError(f"Unknown {kind} {name!r}{did_you_mean(name, known, listed_by)}")


def check_sizes(**sizes: int) -> None:
    """Raises `ConfigError` unless every size is an integer of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{name} is {value!r}{not_plain(value)}, expected an integer of at least 1.")


def needed(module: str, install: str) -> Any:
    """A module of a package that may be missing.

    Args:
        module: its name, such as ``"qiskit.quantum_info"``.
        install: what pip installs, such as ``"qmoe[ibm]"``.

    Raises:
        UnsupportedError: where the package is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UnsupportedError(f"This needs {module.split('.')[0]} ({error}): pip install '{install}'.") from error
