"""The packages that qmoe needs: which are installed, and which of them import."""

from __future__ import annotations

import importlib
import importlib.metadata
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(frozen=True)
class Package:
    """A package that comes with ``pip install qmoe``.

    Attributes:
        module: what to import of it.
        purpose: what qmoe uses it for.
    """

    module: str
    purpose: str


#: By the name that pip knows.
PACKAGES = {
    "torch": Package("torch", "models and the torch engine"),
    "numpy": Package("numpy", "arrays"),
    "pandas": Package("pandas", "tables of your own"),
    "numba": Package("numba", "the native engine"),
    "scipy": Package("scipy.stats", "statistics"),
    "scikit-learn": Package("sklearn.base", "data sets and the estimator"),
    "threadpoolctl": Package("threadpoolctl", "threads of the report"),
    "loky": Package("loky", "worker processes"),
    "cachetools": Package("cachetools", "data sets that are kept in memory, by their bytes"),
    "cloudpickle": Package("cloudpickle", "tasks on their way to workers"),
    "filelock": Package("filelock", "one writer for a store"),
    "platformdirs": Package("platformdirs", "where compiled kernels are kept"),
    "pydantic": Package("pydantic", "study files"),
    "typer": Package("typer", "the command line"),
    "rich": Package("rich.console", "tables and progress in the terminal"),
    "matplotlib": Package("matplotlib.figure", "figures"),
    "jinja2": Package("jinja2", "the report"),
    "safetensors": Package("safetensors.torch", "trained models in the store"),
    "pennylane": Package("pennylane", "engine 'pennylane': any PennyLane device"),
    "pennylane-lightning": Package("pennylane_lightning.lightning_qubit", "lightning.qubit, the paper's device"),
}


def version(name: str) -> str | None:
    """The installed version of a package, None where there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def import_failure(name: str) -> str | None:
    """Imports a package and returns None, or the first line of what kept it from that."""
    try:
        importlib.import_module(PACKAGES[name].module)
    except Exception as error:  # a broken installation raises whatever it likes
        return first_line(error)
    return None


def first_line(error: BaseException) -> str:
    """``ImportError: numba needs ...``: kind and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def broken() -> dict[str, str]:
    """The packages that are installed and do not import, each with the first line of the reason."""
    failures = {name: import_failure(name) for name in PACKAGES if version(name) is not None}
    return {name: failure for name, failure in failures.items() if failure is not None}


def remedies(missing: list[str], damaged: list[str]) -> list[str]:
    """Commands that get what is missing, and other versions of what does not import."""
    commands = []
    if missing:
        commands.append(f"pip install {' '.join(missing)}")
    if damaged:
        commands.append(f"pip install --upgrade {' '.join(damaged)}")
    return commands


def what_keeps_from_starting() -> str | None:
    """One line on the packages that are missing or do not import; None where all of them do."""
    missing = [name for name in PACKAGES if version(name) is None]
    damaged = broken()
    if not missing and not damaged:
        return None
    told = [f"{name} is missing" for name in missing]
    told += [f"{name} {version(name)} does not import ({line})" for name, line in damaged.items()]
    return f"{'; '.join(told)}. Try: {'; '.join(remedies(missing, list(damaged)))}"


@contextmanager
def starting() -> Iterator[None]:
    """For imports: a package that keeps them from succeeding is told in one line and ends the program, as Ctrl-C does."""
    # A KeyboardInterrupt in code that an import makes would decide the exit status, whatever happens later.
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    is_ours = is_ours and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGINT, _end)
    try:
        yield
    except Exception:  # a broken installation raises whatever it likes
        reason = what_keeps_from_starting()
        if reason is None:
            raise
        sys.exit(f"qmoe: cannot start: {reason}")
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)
