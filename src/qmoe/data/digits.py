"""Handwritten digits: scikit-learn's 8x8 images, the bundled MNIST 4x4 and, on request, the whole MNIST."""

from __future__ import annotations

import functools
import os
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from qmoe.data import mnist
from qmoe.data.base import Dataset, Points, Split
from qmoe.data.idx import DigitImages
from qmoe.data.options import DistinctDigits, Flag, OneOf, Samples
from qmoe.errors import ConfigError
from qmoe.seeding import Seed


@dataclass(frozen=True)
class Digits(Dataset):
    """The 1,797 handwritten digits that come with scikit-learn, from the UCI repository (Alpaydin and Kaynak, 1998).

    The rows are given and the same for every seed; the seed varies the split.

    Attributes:
        classes: the digits to tell apart; the first is class 0, the second class 1, and so on.
        size: pixels along a side: 8, or 4 for the means of 2x2 pixels.

    Example:
        >>> from qmoe.data import Digits
        >>> Digits(classes=(3, 5), size=4).split(0, 0.5, 1).x_train.shape[1]
        16
    """

    name: ClassVar[str] = "digits"
    difficulty: ClassVar[str] = ""

    classes: Annotated[tuple[int, ...], DistinctDigits()] = (3, 5)
    size: Annotated[int, OneOf((4, 8))] = 8

    @property
    def n_features(self) -> int:
        """The pixels, row by row."""
        return self.size**2

    @property
    def n_classes(self) -> int:
        """The number of digits in ``classes``."""
        return len(self.classes)

    def sample(self, seed: Seed) -> Points:
        """Returns all images of ``classes`` with pixels in [0, 1]; ``seed`` makes no difference."""
        images, labels = _bundled_with_sklearn()
        pixels = images.reshape(-1, 8, 8)
        if self.size == 4:
            pixels = pixels.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
        return _select(pixels, labels, self.classes, white=16.0)


@dataclass(frozen=True)
class OfficialSplit(Dataset):
    """MNIST, whose 60,000 training and 10,000 test images are fixed (LeCun, Cortes and Burges, 1998).

    The split is the official one: the arguments of ``split`` make no difference.
    """

    resampled: ClassVar[bool] = False

    @abstractmethod
    def _images(self) -> DigitImages:
        """Returns all ten digits."""

    @abstractmethod
    def _digits(self) -> tuple[int, ...]:
        """Returns the digits to tell apart."""

    @property
    def n_classes(self) -> int:
        """The number of digits in ``classes``."""
        return len(self._digits())

    def sample(self, seed: Seed) -> Points:
        """Returns the official training rows and then the test rows; ``seed`` makes no difference."""
        split = self.split(seed)
        return Points(np.concatenate([split.x_train, split.x_test]), np.concatenate([split.y_train, split.y_test]))

    def part_sizes(self, test_fraction: float = 0.2) -> tuple[int, int]:
        """Rows of the official parts, whatever the argument is."""
        images = self._images()
        n_train, n_test = (int(np.isin(y, self._digits()).sum()) for y in (images.y_train, images.y_test))
        return n_train, n_test

    def split(self, seed: Seed, test_fraction: float = 0.2, split_seed: Seed | None = None) -> Split:
        """Returns the official split, whatever the arguments are; pixels are in [0, 1]."""
        images = self._images()
        train = _select(images.x_train, images.y_train, self._digits(), white=255.0)
        test = _select(images.x_test, images.y_test, self._digits(), white=255.0)
        return Split(train.x, train.y, test.x, test.y)


@dataclass(frozen=True)
class Mnist4x4(OfficialSplit):
    """MNIST resized to 4x4 pixels, bundled; the provenance is in ``mnist4x4.md`` beside the file.

    Attributes:
        classes: the digits to tell apart; the first is class 0, the second class 1, and so on.

    Example:
        >>> from qmoe.data import Mnist4x4
        >>> Mnist4x4(classes=(0, 1)).split(0, 0.5, 1).x_train.shape[1]
        16
    """

    name: ClassVar[str] = "mnist4x4"
    difficulty: ClassVar[str] = ""

    classes: Annotated[tuple[int, ...], DistinctDigits()] = (0, 1)

    @property
    def n_features(self) -> int:
        """The 16 pixels, row by row."""
        return 16

    def _images(self) -> DigitImages:
        return mnist.load_bundled()

    def _digits(self) -> tuple[int, ...]:
        return self.classes


@dataclass(frozen=True)
class Mnist4x4Sample(Dataset):
    """Random rows of the bundled MNIST 4x4, its training and test images alike, for studies with many draws of the data.

    Attributes:
        n_samples: how many rows, drawn without replacement.
        classes: the digits to tell apart; the first is class 0, the second class 1, and so on.

    Example:
        >>> from qmoe.data import Mnist4x4Sample
        >>> Mnist4x4Sample(n_samples=100).split(0, 0.5, 1).x_train.shape[1]
        16
    """

    name: ClassVar[str] = "mnist4x4_sample"
    limited: ClassVar[str] = "its images are counted"
    difficulty: ClassVar[str] = ""

    n_samples: Samples = 500
    classes: Annotated[tuple[int, ...], DistinctDigits()] = (0, 1)

    def _check(self) -> None:
        available = len(_all_rows(self.classes).y)
        if self.n_samples > available:
            raise ConfigError(
                f"{self.name}: n_samples={self.n_samples}, but there are {available} images of the digits {self.classes}."
            )

    @property
    def n_features(self) -> int:
        """The 16 pixels, row by row."""
        return 16

    @property
    def n_classes(self) -> int:
        """The number of digits in ``classes``."""
        return len(self.classes)

    @property
    def n_rows(self) -> int:
        """As many as asked for."""
        return self.n_samples

    def sample(self, seed: Seed) -> Points:
        """Returns ``n_samples`` rows in random order, pixels in [0, 1]."""
        rows = _all_rows(self.classes)
        chosen = np.random.default_rng(seed).choice(len(rows.y), self.n_samples, replace=False)
        return Points(rows.x[chosen], rows.y[chosen])


@functools.lru_cache(maxsize=8)
def _all_rows(classes: tuple[int, ...]) -> Points:
    return Mnist4x4(classes).sample(0)


@dataclass(frozen=True)
class Mnist(OfficialSplit):
    """MNIST in its full size of 28x28 pixels, from files of your own or from openml.org; never fetched unasked.

    Attributes:
        classes: the digits to tell apart; the first is class 0, the second class 1, and so on.
        folder: a folder with the four IDX files, gzipped or not.
        openml: whether to download "mnist_784" through scikit-learn, which keeps it in its own cache.
        digest: the first 16 hexadecimal digits of the SHA-256 of the images in ``folder``, so that results name what they
            came from; a folder with other images is refused. By default any will do.

    Example:
        >>> from qmoe.data import DATASETS, Mnist
        >>> Mnist.name in DATASETS, Mnist(folder="mnist").classes[:2]
        (True, (0, 1))
    """

    name: ClassVar[str] = "mnist"
    difficulty: ClassVar[str] = ""
    located: ClassVar[str] = "folder"

    classes: Annotated[tuple[int, ...], DistinctDigits()] = tuple(range(10))
    folder: str | os.PathLike[str] | None = None
    openml: Annotated[bool, Flag()] = False
    digest: str = ""

    def _check(self) -> None:
        if (self.folder is None) != self.openml:
            given = "neither folder nor openml" if self.folder is None else "both folder and openml"
            raise ConfigError(
                f"mnist: {given} given, expected one source; pass folder='...' with the four IDX files of MNIST "
                "or openml=True to download them, or take 'mnist4x4', which is bundled."
            )
        if self.folder is not None:
            if not isinstance(self.folder, str | os.PathLike):
                raise ConfigError(f"mnist: folder must be a path, got {self.folder!r}; for example folder='mnist'.")
            object.__setattr__(self, "folder", os.fspath(self.folder))

    @property
    def n_features(self) -> int:
        """The 784 pixels, row by row."""
        return 784

    def pinned(self) -> dict[str, object]:
        """The digest of the images in the folder; it is read only where the digest is not given."""
        if self.folder is None:
            return {}
        return {"digest": self.digest or mnist.load_folder(os.fspath(self.folder)).digest}

    def _images(self) -> DigitImages:
        if self.folder is None:
            return mnist.load_openml()
        images = mnist.load_folder(os.fspath(self.folder))
        if self.digest and self.digest != images.digest:
            raise ConfigError(
                f"mnist: the images in {self.folder} have the digest {images.digest}, expected {self.digest}: they have "
                "changed since; bring them back, or leave digest out to go on with what is there now."
            )
        return images

    def _digits(self) -> tuple[int, ...]:
        return self.classes


@functools.cache
def _bundled_with_sklearn() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images, labels


def _select(images: np.ndarray, labels: np.ndarray, classes: tuple[int, ...], white: float) -> Points:
    """Returns the images of ``classes`` as rows in [0, 1], with labels that count in the order of ``classes``."""
    index = np.full(10, -1, dtype=np.int64)
    index[list(classes)] = np.arange(len(classes))
    y = index[labels]
    kept = y >= 0
    return Points(images[kept].reshape(int(kept.sum()), -1) / white, y[kept])
