"""Studies from files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import ValidationError

from qmoe.data import DATASETS
from qmoe.data.tables.text import decoded
from qmoe.errors import ConfigError, unknown
from qmoe.safe_files import read_text_file
from qmoe.studies.ladder import with_ladder
from qmoe.studies.specs.base import explain, shown, told
from qmoe.studies.specs.study import Study

#: How deep tables and lists may be nested.
MAX_DEPTH = 50
#: A key of more parts, ``a.b.c``: the time to read it grows with their number squared.
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""")
#: TOML takes ``\`` within double quotes for the beginning of an escape, such as a tab.
_SLASHES = "; write the \\ of a path as /, or the path in single quotes"


def parse_study(values: dict[str, Any], source: str = "study", *, stored: bool = False) -> Study:
    """Builds a study from the tables of a TOML file, with the arms of its ladder.

    Args:
        values: the tables.
        source: what errors call them.
        stored: whether they are what a store keeps of a study, of which nothing is filled in.

    Raises:
        ConfigError: naming ``source``, the place, the value and what was expected.

    Example:
        >>> from qmoe.studies import parse_study, preset_text
        >>> import tomllib
        >>> parse_study(tomllib.loads(preset_text("phase2-heldout"))).name
        'phase2-heldout'
    """
    check_tables(values, source)
    if not stored:
        values = _with_standardised_components(values)
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_explained(e, values)}" for e in told(error))) from None
    try:
        study = with_ladder(study, study.ladder)
    except ConfigError as error:
        raise ConfigError(f"{source}: ladder: {error}") from None
    arms = [arm.name for arm in study.arms]
    for key in ("effective_dimension", "boundaries"):
        for name in getattr(study, key):
            if name not in arms:
                raise ConfigError(f"{source}: {key}: {unknown('arm', name, arms)}")
    if study.boundaries and study.sizes != (2, 2):
        raise ConfigError(
            f"{source}: boundaries: {study.sizes} features and classes; boundaries take 2 and 2. Remove the line "
            "boundaries = ..., or take data with two features and two classes."
        )
    for name in study.multiverse.arms if study.multiverse is not None else ():
        if name not in arms:
            raise ConfigError(f"{source}: multiverse.arms: {unknown('arm', name, arms)}")
    return study


def _explained(error: Any, values: dict[str, Any]) -> str:
    """An error of pydantic's, with the name of the arm that it is in: readers do not count arms from 0."""
    place, words = error["loc"], explain(error)
    if place[:1] != ("arms",) or len(place) < 3:
        return words
    try:
        name = values["arms"][place[1]]["name"]
    except (KeyError, IndexError, TypeError):
        return words
    written = ".".join(map(str, place))
    return words.replace(written, f"{written} (arm {shown(name)})", 1) if name != error["input"] else words


def _with_standardised_components(values: dict[str, Any]) -> dict[str, Any]:
    """The tables of a study; components are of standardised features where these may be in units of their own."""
    data = values.get("data")
    if not isinstance(data, dict) or data.get("components") is None or "standardise" in data:
        return values
    name = data.get("name")
    mixed = isinstance(name, str) and name in DATASETS and DATASETS[name].mixed_units
    return {**values, "data": {**data, "standardise": True}} if mixed else values


def load_study(path: str | Path) -> Study:
    """Reads a study from a TOML file; places of data files in it start from the folder it lies in.

    Raises:
        ConfigError: when the file is missing, no TOML, or no valid study.

    Example:
        >>> from qmoe.studies import load_study, preset_text
        >>> from pathlib import Path
        >>> _ = Path("mine.toml").write_text(preset_text("phase2-heldout"))
        >>> load_study("mine.toml").name
        'phase2-heldout'
    """
    path = Path(path)
    return parse_study(read_study(path), path.name)


def read_study(path: Path) -> dict[str, Any]:
    """The tables of a study file, with places of data files as they are from the working folder.

    Raises:
        ConfigError: when the file is missing, or no TOML.
    """
    try:
        values = read_toml(path)
    except FileNotFoundError:
        raise ConfigError(f"There is no study file {path}; run `qmoe presets` for those that ship with qmoe.") from None
    return _from_folder(values, path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file in UTF-8, or in the UTF-16 that PowerShell's ``>`` writes.

    Raises:
        FileNotFoundError: when there is no such file.
        ConfigError: when it cannot be read, is not TOML, or holds what `check_tables` refuses.
    """
    try:
        text = decoded(read_text_file(path))
        if _LONG_KEY.search(text):
            raise ConfigError(
                f"{path} cannot be read as TOML: a key has more than {MAX_DEPTH} parts with dots between."
            )
        values = tomllib.loads(text)
        check_tables(values, str(path))  # Python writes no integer of thousands of digits, in a message neither
        return values
    except (FileNotFoundError, ConfigError):
        raise
    except RecursionError:
        raise ConfigError(f"{path} cannot be read as TOML: it is nested too deeply.") from None
    except (ValueError, OSError) as error:
        escapes = any(sign in str(error) for sign in ("\\", "hex value", "Unicode scalar"))
        raise ConfigError(f"{path} cannot be read as TOML: {error}{_SLASHES if escapes else ''}") from None


def check_tables(values: Any, source: str) -> None:
    """Refuses what no TOML file of a person holds, before anything looks at the values one by one.

    Raises:
        ConfigError: for tables within tables within tables, `MAX_DEPTH` deep, and integers beyond the 64 bits of TOML.
    """
    waiting: list[tuple[Any, tuple[Any, ...]]] = [(values, ())]
    while waiting:
        value, place = waiting.pop()
        if len(place) > MAX_DEPTH:
            raise ConfigError(f"{source}: tables and lists are nested more than {MAX_DEPTH} deep; a study needs six.")
        if isinstance(value, dict):
            waiting += ((one, (*place, key)) for key, one in value.items())
        elif isinstance(value, list | tuple):
            waiting += ((one, (*place, index)) for index, one in enumerate(value))
        elif isinstance(value, int) and not -(2**63) <= value < 2**64:
            where = ".".join(map(str, place)) or "top level"
            raise ConfigError(f"{source}: {where}: {shown(value)} is beyond the 64 bits of an integer in TOML.")


def _from_folder(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tables of a study file with the place of its data files as it is from the working folder."""
    data = values.get("data")
    options = data.get("options") if isinstance(data, dict) else None
    kind = DATASETS.get(str(data.get("name"))) if isinstance(data, dict) else None
    if kind is None or not isinstance(options, dict) or not isinstance(options.get(kind.located) or None, str):
        return values  # no place in it; if there should be one, `parse_study` says so
    place = options[kind.located]
    if any(ord(character) < 32 for character in place):
        raise ConfigError(f"data.options.{kind.located} is {place!r}, expected a path{_SLASHES}.")
    found = folder / place
    if "\\" in place and not found.exists():
        # Written on Windows, read elsewhere.
        other = folder.joinpath(*PureWindowsPath(place).parts)
        found = other if other.exists() else found
    return {**values, "data": {**values["data"], "options": {**options, kind.located: str(found.resolve())}}}
