"""The SQLite file of a store: how it is opened, locked and brought up to date, and what its errors say."""

from __future__ import annotations

import functools
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from qmoe.errors import StoreError
from qmoe.studies.store.older import bring_up
from qmoe.studies.store.schema import VERSION, make_tables
from qmoe.studies.store.status import writer_of

#: A byte that was changed must not keep all others from being read.
_text = functools.partial(str, encoding="utf-8", errors="surrogateescape")


class StoreFile:
    """Opens or makes the file ``path``; see `Store`."""

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path, self._writes = Path(path), create
        self._lock = FileLock(f"{path}.lock")
        if create:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"The folder {self.path.parent} cannot be made: {error.strerror}; choose another."
                ) from None
        elif not self.path.is_file():
            raise StoreError(f"There is no store {self.path}; run `qmoe reproduce` or `qmoe run` with --out first.")
        with self._explained():
            # Whoever reads may have it from a stranger, or from a medium that cannot be written to.
            target = self.path if create else f"{self.path.resolve().as_uri()}?mode=ro"
            self._db = sqlite3.connect(target, timeout=30, uri=not create)
        try:
            with self._explained():
                self._db.text_factory = _text
                self._db.execute("PRAGMA trusted_schema = OFF")
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from running studies into the same file; a lock that ends with this process.

        Whoever holds it may take it again.

        Raises:
            StoreError: naming the process that holds it.
        """
        holder = Path(f"{self.path}.holder")
        try:
            self._lock.acquire(timeout=0)
        except (NotImplementedError, PermissionError) as error:
            raise StoreError(
                f"{self.path} cannot be locked: {error}; choose a folder on another file system with --out."
            ) from None
        except Timeout:
            raise StoreError(
                f"{self.path} is being written by {writer_of(self.path)}; wait for it or end it, or choose another folder "
                "with --out."
            ) from None
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            if self._lock.lock_counter == 1:
                holder.unlink(missing_ok=True)
            self._lock.release()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreError(
                f"{self.path} was written by a newer qmoe (store version {version}, this one reads up to {VERSION}); "
                "upgrade qmoe, or choose another folder."
            )
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if (
            (version == 0 and not self._writes)
            or (version == 0) == bool(tables)
            or (version and not {"studies", "trials"} <= tables)
        ):
            raise StoreError(f"{self.path} is an SQLite file, but no qmoe store; choose another folder.")
        if version and self._db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the file fails SQLite's own check")
        if version == VERSION:
            return
        if not self._writes:
            copy = sqlite3.connect(":memory:")
            copy.text_factory = _text
            self._db.backup(copy)
            self._db.close()
            self._db = copy
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if version:
                bring_up(self._db, version)
            else:
                make_tables(self._db)
        if version and self._writes:
            self._db.execute("VACUUM")  # the older tables leave most of the file empty

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what SQLite says into an error that names the file and the way out."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{self.path} cannot be opened or written: {error}; check permissions, disk space and that no other "
                "qmoe is writing, or choose another folder."
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path} is damaged: {error}; move it away and run the same command again, or recover it with "
                "`sqlite3 FILE .recover`."
            ) from error
