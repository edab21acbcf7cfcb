"""Data sets, most with a known Bayes error and a difficulty option, and the scalings of features.

A data set is frozen data: ``Moons(noise=0.2).split(seed=0)`` samples and splits, ``bayes_error()`` says how well any
classifier could do, ``posterior(x)`` what it would have to know. `make_dataset` builds one from a name and options.
"""

from qmoe.data.base import Dataset, Points, Split
from qmoe.data.digits import Digits, Mnist, Mnist4x4, Mnist4x4Sample
from qmoe.data.fourier import TwoCurves
from qmoe.data.generated import HiddenManifold, Synthetic
from qmoe.data.parity import Checkerboard, Hyperplanes, Xor
from qmoe.data.planar import Circles, Moons, Spirals
from qmoe.data.registry import DATASETS, make_dataset
from qmoe.data.scaling import (
    SCALINGS,
    Identity,
    MinMaxCentred,
    MinMaxPi,
    PrincipalComponents,
    Scaler,
    Standard,
    UnitNorm,
    fit_scaling,
)
from qmoe.data.tables.table import UserTable

__all__ = [
    "DATASETS",
    "SCALINGS",
    "Checkerboard",
    "Circles",
    "Dataset",
    "Digits",
    "HiddenManifold",
    "Hyperplanes",
    "Identity",
    "MinMaxCentred",
    "MinMaxPi",
    "Mnist",
    "Mnist4x4",
    "Mnist4x4Sample",
    "Moons",
    "Points",
    "PrincipalComponents",
    "Scaler",
    "Spirals",
    "Split",
    "Standard",
    "Synthetic",
    "TwoCurves",
    "UnitNorm",
    "UserTable",
    "Xor",
    "fit_scaling",
    "make_dataset",
]
