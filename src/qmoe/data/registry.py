"""Data sets by name."""

from __future__ import annotations

from dataclasses import fields

from qmoe.data.base import Dataset
from qmoe.data.digits import Digits, Mnist, Mnist4x4, Mnist4x4Sample
from qmoe.data.fourier import TwoCurves
from qmoe.data.generated import HiddenManifold, Synthetic
from qmoe.data.parity import Checkerboard, Hyperplanes, Xor
from qmoe.data.planar import Circles, Moons, Spirals
from qmoe.data.qml_benchmarks import QML_BENCHMARKS
from qmoe.data.tables.table import UserTable
from qmoe.errors import unknown

_ALL: tuple[type[Dataset], ...] = (
    Moons,
    Circles,
    Spirals,
    Xor,
    Checkerboard,
    HiddenManifold,
    Hyperplanes,
    TwoCurves,
    Synthetic,
    Digits,
    Mnist4x4,
    Mnist4x4Sample,
    Mnist,
    *QML_BENCHMARKS,
    UserTable,
)

#: Data sets by the names that study files and `make_dataset` take.
DATASETS: dict[str, type[Dataset]] = {cls.name: cls for cls in _ALL}


def make_dataset(name: str, /, **options: object) -> Dataset:
    """Returns the data set ``name`` with ``options``; those left out have their defaults.

    Raises:
        ConfigError: the name or an option is unknown, or the value of an option is bad.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    known = [field.name for field in fields(DATASETS[name])]
    for option in options:
        if option not in known:
            raise unknown(f"option of data set {name!r}:", option, known)
    return DATASETS[name](**options)
