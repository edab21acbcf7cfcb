"""Packages whose names are imported with their first use: torch takes seconds, and a command line needs it late."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Modules of the package are found by their names too, as after ``import package.module``. A public name stands for what
    it names, though a module of the package be called the same.

    Args:
        package: its ``__name__``.
        homes: public name -> the module where it stands.
    """
    module = importlib.import_module(package)

    class _Package(ModuleType):
        """A package that Python does not give a module in place of a public name, as it does when that is imported."""

        def __setattr__(self, name: str, value: Any) -> None:
            if not (name in homes and isinstance(value, ModuleType)):
                super().__setattr__(name, value)

    module.__class__ = _Package

    def find(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(module, name, value)
            return value
        full = f"{package}.{name}"
        if not name.startswith("_") and importlib.util.find_spec(full) is not None:
            return importlib.import_module(full)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: sorted({*vars(module), *homes})
