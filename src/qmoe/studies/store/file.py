"""The SQLite file of a store: how it is opened, locked and brought up to date, and what its errors say."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from qmoe.errors import StateWarning, StoreError, warn_caller
from qmoe.safe_files import harden, open_to_read, refuse_odd_store, write_whole
from qmoe.studies.store.older import bring_up
from qmoe.studies.store.salvage import salvage
from qmoe.studies.store.schema import VERSION, as_text, check_tables, make_tables
from qmoe.studies.store.status import remove_leftovers, writer_of


class DamagedStoreError(StoreError):
    """The file is not as SQLite wrote it."""


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
        elif not self.path.exists():
            raise StoreError(f"There is no store {self.path}; run `qmoe reproduce` or `qmoe run` with --out first.")
        #: Whether this is what could be read of a damaged file.
        self.is_salvaged = False
        try:
            self._open()
        except DamagedStoreError:
            if not create:
                raise
            with self.alone():
                aside, n = salvage(self.path)
            warn_caller(
                f"{self.path} is damaged. What can be read of it, {n} trials, is in its place now; the damaged file is "
                f"{aside.name}.",
                StateWarning,
            )
            self.is_salvaged = True
            self._open()

    def _open(self) -> None:
        with self._explained():
            refuse_odd_store(self.path)
            # Whoever reads may have it from a stranger, or from a medium that cannot be written to.
            self._db = sqlite3.connect(self.path, timeout=30) if self._writes else open_to_read(self.path)
        try:
            with self._explained():
                self._db.text_factory = as_text
                harden(self._db)
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
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The open file, for modules of this folder; SQLite's errors come out as ones of qmoe."""
        with self._explained():
            yield self._db

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
            remove_leftovers(holder)
            write_whole(holder, f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            if self._lock.lock_counter == 1:
                holder.unlink(missing_ok=True)
            self._lock.release()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if not 0 <= version <= VERSION:
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
            check_tables(self._db)
            return
        if not self._writes:
            copy = sqlite3.connect(":memory:")
            copy.text_factory = as_text
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
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the words of SQLite quote what is damaged
            raise DamagedStoreError(
                f"{self.path} is damaged: {error}; run its studies again, which saves what can be read of it, or move it "
                "away."
            ) from error
