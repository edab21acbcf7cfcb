"""Studies from files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qmoe.errors import ConfigError, unknown
from qmoe.studies.ladder import with_ladder
from qmoe.studies.spec import Study
from qmoe.studies.strict import explain


def parse_study(values: dict[str, Any], source: str = "study") -> Study:
    """Builds a study from the tables of a TOML file, with the arms of its ladder.

    Raises:
        ConfigError: naming ``source``, the place, the value and what was expected.
    """
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {explain(e)}" for e in error.errors())) from None
    try:
        study = with_ladder(study, study.ladder)
    except ConfigError as error:
        raise ConfigError(f"{source}: ladder: {error}") from None
    arms = [arm.name for arm in study.arms]
    for name in study.effective_dimension:
        if name not in arms:
            raise ConfigError(f"{source}: effective_dimension: {unknown('arm', name, arms)}")
    return study


def load_study(path: str | Path) -> Study:
    """Reads a study from a TOML file.

    Raises:
        ConfigError: when the file is missing, no TOML, or no valid study.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no study file {path}; run `qmoe presets` for those that ship with qmoe.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    return parse_study(values, path.name)
