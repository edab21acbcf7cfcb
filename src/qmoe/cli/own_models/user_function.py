"""A function of the user's own, named on the command line."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from qmoe.errors import ConfigError, unknown


def returned_by(source: str, allowed: bool) -> Any:
    """What a function gives that is called without arguments.

    Args:
        source: ``FILE.py:NAME`` or ``MODULE:NAME``.
        allowed: whether the user said that this code may run.

    Raises:
        ConfigError: for another text, code that may not run, cannot be imported, has no such name, or raises.
    """
    place, _, name = source.rpartition(":")
    if not place or not name.isidentifier():
        raise ConfigError(f"SOURCE is {source!r}, expected FILE.py:NAME or MODULE:NAME, such as my_model.py:hybrid.")
    if not allowed:
        raise ConfigError(f"{source} is code, which qmoe does not run unasked. If you trust it, add --allow-import.")
    module = _imported(place)
    if not hasattr(module, name):
        raise unknown(f"name in {place}:", name, [n for n in vars(module) if not n.startswith("_")])
    try:
        return getattr(module, name)()
    except Exception as error:  # whatever the user's code raises
        raise ConfigError(f"{source} raised {error!r}; it is called without arguments.") from error


def _imported(place: str) -> Any:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None  # a path that ends in .py has one, with a loader
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise ConfigError(
            f"{place} cannot be imported: {error!r}. Name a file, or a module that is installed or on PYTHONPATH."
        ) from error
    return module
