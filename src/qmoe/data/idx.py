"""Reader of IDX files, the format in which MNIST is published.

An IDX file is big-endian: two zero bytes, one byte for the element type (0x08 = unsigned byte, the only one that
MNIST uses), one for the rank, one 32-bit size per axis, then the elements. http://yann.lecun.com/exdb/mnist/
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from qmoe.errors import ConfigError
from qmoe.safe_files import read_regular

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
#: Bytes of a file at most, unpacked; the largest of MNIST has 47 million.
MAX_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class DigitImages:
    """Images of digits with the official split.

    Attributes:
        x_train: ``(N, H, W)`` uint8 grey values, 0 is background.
        y_train: ``(N,)`` uint8 digits.
        x_test: ``(T, H, W)`` uint8 grey values.
        y_test: ``(T,)`` uint8 digits.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray

    @cached_property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of all images and labels."""
        found = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            found.update(f"{array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()[:16]


def read_idx(path: Path) -> np.ndarray:
    """Returns the uint8 array in an IDX file, gzipped or not.

    Raises:
        ConfigError: the file cannot be read, or is not a whole IDX file of unsigned bytes.
    """
    try:
        content = read_regular(path, MAX_BYTES)
        if content[:2] == _GZIP_MAGIC:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise OSError(f"it has more than {MAX_BYTES:,} bytes when it is unpacked")
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        found = content[:4].hex() or "nothing"
        raise _damaged(path, f"it begins with {found}, expected 000008 and the rank")
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise _damaged(path, f"it ends within its header of {start} bytes")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise _damaged(path, f"its header says {math.prod(shape)} elements {shape}, it holds {len(content) - start}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_digit_folder(folder: str | Path) -> DigitImages:
    """Reads the four files of MNIST from a folder.

    Both spellings of the names (``train-images-idx3-ubyte`` and ``train-images.idx3-ubyte``) are found, with and
    without ``.gz``.

    Raises:
        ConfigError: a file is missing or damaged, or the files do not fit each other.
    """
    parts = []
    for part in ("train", "t10k"):
        images_path, labels_path = (_find(Path(folder), part, kind) for kind in ("images-idx3", "labels-idx1"))
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.ndim != 3:
            raise _damaged(images_path, f"it has shape {images.shape}, expected images of rank 3")
        if labels.shape != images.shape[:1]:
            raise _damaged(labels_path, f"it has shape {labels.shape}, expected one label for {len(images)} images")
        if labels.size and labels.max() > 9:
            raise _damaged(labels_path, f"it holds the label {labels.max()}, expected digits from 0 to 9")
        parts += [images, labels]
    return DigitImages(*parts)


def _find(folder: Path, part: str, kind: str) -> Path:
    dashed = f"{part}-{kind}-ubyte"
    names = [dashed, dashed.replace("-idx", ".idx")]
    for name in [*names, *(f"{name}.gz" for name in names)]:
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(
        f"mnist: {folder} has no file {dashed} or {dashed}.gz; "
        "pass folder=... with the four IDX files of MNIST, or openml=True to download them."
    )


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"mnist: {path} is not a whole IDX file: {why}; download it again.")
