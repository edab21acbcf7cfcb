"""Where data may come from: anywhere, or for readers of a store from a stranger from that store alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from qmoe.errors import ConfigError

_STORE: ContextVar[str | None] = ContextVar("store", default=None)


@contextmanager
def only_from(store: Path) -> Iterator[None]:
    """Within the block no data set reads a file but ``store``, or asks the network; files of qmoe itself are no matter.

    A store says where its tables were, and whoever wrote it may have written anything there.
    """
    token = _STORE.set(os.fspath(store.resolve()))
    try:
        yield
    finally:
        _STORE.reset(token)


def is_kept_in(path: str) -> bool:
    """Whether ``path`` is the store that data may come from alone."""
    return path == _STORE.get()


def refuse_outside(what: str) -> None:
    """To be called before anything outside of the package is read.

    Raises:
        ConfigError: within `only_from`.
    """
    store = _STORE.get()
    if store is not None:
        raise ConfigError(
            f"{what} is not in {store}, and whoever reads a store reads nothing else; run the study again to keep it there."
        )
