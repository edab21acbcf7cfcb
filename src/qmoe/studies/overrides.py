"""Options of a study given beside its file: ``training.epochs=20``, and grids such as ``...n_layers=1,2,3``."""

from __future__ import annotations

import copy
import itertools
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qmoe.errors import ConfigError, unknown

_LONGEST = 60


@dataclass(frozen=True)
class Override:
    """Values for one option.

    Attributes:
        path: keys from the top of the study file; after ``arms`` comes the name of an arm.
        values: what to try, at least one.
    """

    path: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def of_an_arm(self) -> bool:
        """Whether it is an option of one arm."""
        return self.path[0] == "arms" and len(self.path) > 2


def parse_override(text: str) -> Override:
    """Reads ``path=value`` or ``path=value,value``; values are those of TOML, and bare words are strings.

    Raises:
        ConfigError: when it has no path or no value.
    """
    path, equals, values = text.partition("=")
    keys = tuple(key.strip() for key in path.split("."))
    found = tuple(map(_value, _parts(values)))
    if not equals or not all(keys) or not found:
        raise ConfigError(
            f"--set {text!r} is not an option with a value; write a path and values, as in training.epochs=20 or "
            "arms.quantum.model.router.n_layers=1,2,3."
        )
    return Override(keys, found)


def with_overrides(values: dict[str, Any], overrides: Sequence[Override]) -> list[dict[str, Any]]:
    """The tables of a study file with other options: one study, or one for each combination of a grid.

    Several values for an option of an arm make an arm of each combination, in its place. Several values for anything else
    make a study of each combination. Names and labels say which is which.

    Args:
        values: the tables of a study file.
        overrides: the options, which may be new ones; `parse_study` refuses those that do not exist.

    Raises:
        ConfigError: for an arm that is not there, or a path through something that is not a table.
    """
    arms = [one for one in overrides if one.of_an_arm]
    studies = []
    for chosen in _grid([one for one in overrides if not one.of_an_arm]):
        study = copy.deepcopy(values)
        for one, value in chosen:
            _set(study, one.path, value)
        _name(study, "title", chosen)
        for name in dict.fromkeys(one.path[1] for one in arms):
            study["arms"] = _with_arms(study.get("arms", []), name, [one for one in arms if one.path[1] == name])
        studies.append(study)
    return studies


def _with_arms(arms: Sequence[dict[str, Any]], name: str, overrides: Sequence[Override]) -> list[dict[str, Any]]:
    """All arms, with those of a grid in place of the one of that name."""
    if name not in [arm.get("name") for arm in arms]:
        raise unknown("arm", name, [str(arm.get("name")) for arm in arms])
    found = []
    for arm in arms:
        for chosen in _grid(overrides) if arm.get("name") == name else [()]:
            made = copy.deepcopy(arm)
            for one, value in chosen:
                _set(made, one.path[2:], value)
            _name(made, "label", chosen)
            found.append(made)
    return found


def _grid(overrides: Sequence[Override]) -> Iterator[tuple[tuple[Override, Any], ...]]:
    for values in itertools.product(*(one.values for one in overrides)):
        yield tuple(zip(overrides, values, strict=True))


def _name(table: dict[str, Any], words: str, chosen: Sequence[tuple[Override, Any]]) -> None:
    """Adds what was chosen among several values to the name of a study or arm, and to its title or label."""
    varied = [(one.path[-1], value) for one, value in chosen if len(one.values) > 1]
    if varied and isinstance(table.get("name"), str):
        suffix = "-".join(_plain(f"{key} {value}") for key, value in varied)
        table["name"] = f"{table['name'][: _LONGEST - len(suffix) - 1]}-{suffix}"[:_LONGEST]
        table[words] = f"{table.get(words, '')}, " + ", ".join(f"{key} = {value}" for key, value in varied)


def _plain(words: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")


def _set(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for depth, key in enumerate(path[:-1]):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{'.'.join(path[: depth + 1])} is no table, so it has no option {path[depth + 1]}.")
    table[path[-1]] = value


def _parts(values: str) -> list[str]:
    """Splits at commas outside of quotes and brackets."""
    parts = re.findall(r"""(?:[^,"'\[\]{}]|"[^"]*"|'[^']*'|\[[^\]]*\]|\{[^}]*\})+""", values)
    return [part.strip() for part in parts if part.strip()]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text
