"""Files that may come from a stranger: read up to a size, opened where nothing in them runs, written beside and renamed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import sqlite3
import stat
from pathlib import Path

from qmoe.errors import QMoEError, StoreError

#: Bytes of a study, of claims or of a registration at most.
MAX_TEXT = 16 * 2**20
#: Bytes of one value in a store at most, such as the weights of a model.
MAX_VALUE = 2**28


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a regular file, or of one that a link leads to.

    A pipe would be waited for without end, and a device such as ``/dev/zero`` has none.

    Args:
        path: the file.
        most: how many bytes it may have.

    Raises:
        OSError: when it cannot be read, is no regular file, or has more bytes; ``strerror`` says which.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(most + 1) if size <= most else b""
    if max(size, len(data)) > most:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, expected {most:,} at most", os.fspath(path))
    return data


def read_text_file(path: Path) -> bytes:
    """The content of a file that its user named, which may be a pipe; no more than anybody writes by hand.

    Raises:
        OSError: when it cannot be read, or has more than `MAX_TEXT` bytes.
    """
    with path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise OSError(errno.EFBIG, f"it has more than {MAX_TEXT:,} bytes", os.fspath(path))
    return data


def open_regular(path: str | os.PathLike[str], follow: bool = True) -> io.BufferedReader:
    """Opens a regular file for reading, without waiting for another process at its other end.

    Args:
        path: the file.
        follow: whether it may be a link to one.

    Raises:
        OSError: when it cannot be opened, or is no regular file.
    """
    flags = ["O_NONBLOCK", "O_BINARY"] if follow else ["O_NONBLOCK", "O_BINARY", "O_NOFOLLOW"]
    handle = os.open(path, sum((getattr(os, flag, 0) for flag in flags), os.O_RDONLY))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, expected a regular file", os.fspath(path))
    return os.fdopen(handle, "rb")


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file beside its place and renames it: readers see the old one or the new one.

    What stood in its place, such as a link or a pipe, is replaced; nothing is written through it.

    Raises:
        OSError: when that is not possible, such as where a folder has the name; nothing is left then.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder, expected the name of a file", os.fspath(path))
    beside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def own_folder(path: Path) -> None:
    """Makes a folder where it is missing.

    Raises:
        OSError: when it cannot be made.
        QMoEError: where it is a link, which in a folder from a stranger may lead anywhere.
    """
    if path.is_symlink():
        raise QMoEError(f"{path} is a link to {path.resolve()}; remove it, or write to another folder with --out.")
    path.mkdir(parents=True, exist_ok=True)


def refuse_odd(path: Path) -> None:
    """Refuses to open a link, a pipe or a device in the place of a file that is ours; it may be missing.

    Raises:
        QMoEError: naming what it is.
    """
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            what = f"a link to {path.resolve()}" if stat.S_ISLNK(mode) else "no regular file"
            raise StoreError(f"{path} is {what}; remove it, or choose another folder.")


def open_to_read(path: Path, most: int = MAX_VALUE) -> sqlite3.Connection:
    """Opens an SQLite file that a stranger may have written, for reading alone.

    Args:
        path: the file.
        most: bytes of a text or blob in it, beyond which reading it is an error.

    Raises:
        QMoEError: when it, or a journal beside it, is a link or no regular file.
        sqlite3.Error: when it cannot be opened, or its schema has anything that runs: a trigger, a view, a virtual table.
    """
    refuse_odd_store(path)
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=30, uri=True)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most)
        harden(db)
    except BaseException:
        db.close()
        raise
    return db


def refuse_odd_store(path: Path) -> None:
    """Refuses a store that is, or has beside it, a link, a pipe or a device.

    Raises:
        QMoEError: naming it.
    """
    for ending in ("", "-journal", "-wal", "-shm", ".lock", ".holder"):
        refuse_odd(Path(f"{path}{ending}"))


def harden(db: sqlite3.Connection) -> None:
    """Keeps an SQLite file from doing anything but holding tables.

    Raises:
        sqlite3.DatabaseError: naming what is in it besides.
    """
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    odd = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' LIMIT 1"
    found = db.execute(odd).fetchone()
    if found is not None:
        raise sqlite3.DatabaseError(f"it has a {found[0]} {found[1]!r}, which no qmoe made")
