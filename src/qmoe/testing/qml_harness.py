"""`qmoe.QMoEClassifier` in the scripts of qml-benchmarks, which stay as they are.

    python -m qmoe.testing.qml_harness scripts/run_hyperparameter_search.py \
        --model QMoEClassifier --dataset-path train.csv --router twin --lr 0.01 0.1

runs a script of https://github.com/XanaduAI/qml-benchmarks with the estimator among its models. Any option of `GRID` is an
option of the search.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import qmoe
from qmoe.errors import ConfigError, QMoEError, UnsupportedError

#: The default grid of the search: an option of the estimator -> its values.
GRID: dict[str, tuple[Any, ...]] = {
    "router": ("quantum",),
    "experts": ("linear",),
    "n_experts": (2, 4),
    "scaling": ("minmax_pi", "standard"),
    "lr": (0.01, 0.1),
    "epochs": (50,),
}


def plug_in(estimator: type | None = None, grid: Mapping[str, Sequence[Any]] = GRID) -> None:
    """Makes an estimator one of the models of ``qml_benchmarks`` in this process, under the name of its class.

    Args:
        estimator: a classifier of scikit-learn's kind that takes ``random_state``; `qmoe.QMoEClassifier` by default.
        grid: the options that the search of hyperparameters goes through; values of one option are of one type.

    Raises:
        ConfigError: for an option that the estimator does not have, or one without values or of mixed types.
        UnsupportedError: where ``qml_benchmarks`` is not installed.
    """
    chosen: Any = qmoe.QMoEClassifier if estimator is None else estimator
    known = chosen().get_params()
    settings = {}
    for option, values in grid.items():
        listed = isinstance(values, Sequence) and not isinstance(values, str)
        types = {type(value) for value in values} if listed else set()
        if option not in known or len(types) != 1:
            raise ConfigError(
                f"The grid has {option} = {values!r}, expected an option of {chosen.__name__} with one or more values "
                f"of one type; options are {', '.join(sorted(known))}."
            )
        settings[option] = {"type": "list", "dtype": types.pop().__name__, "val": list(values)}
    try:
        models = import_module("qml_benchmarks.models")
        grids = import_module("qml_benchmarks.hyperparameter_settings")
    except ImportError as error:
        raise UnsupportedError(
            f"qml_benchmarks cannot be imported ({error}); clone github.com/XanaduAI/qml-benchmarks, pip install -e it, and "
            "pip install flax optax numpyro pandas."
        ) from error
    setattr(models, chosen.__name__, chosen)
    grids.hyper_parameter_settings[chosen.__name__] = settings


def main(arguments: Sequence[str]) -> None:
    """Plugs in `qmoe.QMoEClassifier` and runs the script that the first argument names, with the others.

    Raises:
        ConfigError: where there is no such script.
    """
    if not arguments or not Path(arguments[0]).is_file():
        raise ConfigError(
            f"Got {list(arguments[:1])}, expected the path of a script of qml-benchmarks, such as "
            "scripts/run_hyperparameter_search.py, then its options."
        )
    plug_in()
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except QMoEError as error:
        sys.exit(f"qml_harness: {error}")
