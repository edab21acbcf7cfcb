"""The sources of MNIST: the bundled 4x4 file, a folder of IDX files, openml.org."""

from __future__ import annotations

import functools
import hashlib
import io
from pathlib import Path

import numpy as np

from qmoe.data.idx import DigitImages, read_digit_folder
from qmoe.data.sources import refuse_outside
from qmoe.errors import ConfigError

BUNDLED = Path(__file__).with_name("mnist4x4.npz")
BUNDLED_SHA256 = "342a499cf15441271630028cc298b92a1cd559e159027b80de9cc4ee85092063"


def load_bundled() -> DigitImages:
    """Returns MNIST in 4x4 pixels from the file that comes with the package.

    Raises:
        ConfigError: the file is missing or not the one that was released.
    """
    return _verified(BUNDLED, BUNDLED_SHA256)


@functools.cache
def _verified(path: Path, sha256: str) -> DigitImages:
    """Reads an ``.npz`` of images and labels after comparing its checksum."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"mnist4x4: cannot read {path}: {error}; install qmoe again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ConfigError(
            f"mnist4x4: {path} is damaged: its SHA-256 is {found}, expected {sha256}; install qmoe again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        images = DigitImages(*(arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")))
    for array in (images.x_train, images.y_train, images.x_test, images.y_test):
        array.setflags(write=False)
    return images


def load_folder(folder: str) -> DigitImages:
    """Returns the MNIST of a folder of IDX files.

    Raises:
        ConfigError: a file is missing or damaged, or the images are not of 28x28 pixels.
    """
    refuse_outside(f"mnist: the folder {folder}")
    images = read_digit_folder(folder)
    for part in (images.x_train, images.x_test):
        if part.shape[1:] != (28, 28):
            raise ConfigError(
                f"mnist: the images in {folder} are of {part.shape[1]}x{part.shape[2]} pixels, expected 28x28; "
                "pass the folder of the original files."
            )
    return images


def load_openml() -> DigitImages:
    """Returns "mnist_784" of openml.org, whose first 60,000 rows are the official training part.

    Raises:
        ConfigError: it could not be downloaded.
    """
    refuse_outside("mnist: openml.org")
    from sklearn.datasets import fetch_openml

    try:
        bunch = fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff")
    except OSError as error:
        raise ConfigError(
            f"mnist: download from openml.org failed ({error}); check the connection, or pass folder='...' with the "
            "four IDX files of MNIST, or take 'mnist4x4', which is bundled."
        ) from error
    images = np.asarray(bunch.data).astype(np.uint8).reshape(-1, 28, 28)
    labels = np.asarray(bunch.target).astype(np.uint8)
    if len(images) != 70_000:
        raise ConfigError(f"mnist: openml.org gave {len(images)} images, expected 70000; pass folder='...' instead.")
    return DigitImages(images[:60_000], labels[:60_000], images[60_000:], labels[60_000:])
