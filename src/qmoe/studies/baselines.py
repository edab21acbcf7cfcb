"""Well-known classifiers beside a ladder: what scikit-learn reaches on the same draws of the data, and the best possible."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

import numpy as np
from threadpoolctl import threadpool_limits

from qmoe.data import make_dataset
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.routers import TwinRouter
from qmoe.seeding import random_state
from qmoe.studies.assembly import PreparedData, prepare_data
from qmoe.studies.ladder_base import find_base
from qmoe.studies.run.dispatch import results
from qmoe.studies.run.executors import InProcess
from qmoe.studies.rungs import MAX_TWIN
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Store
from qmoe.studies.trials import NUMERICS, TrialSpec, make_trials

#: Part of every hash; raised whenever a baseline would give other numbers than before.
VERSION = 1

#: Name of a baseline in the store -> what readers call it; those that every ladder has.
BASELINES = {
    "logistic": "logistic regression",
    "rbf-svm": "support vector machine (RBF)",
    "random-forest": "random forest",
    "mlp": "neural network of 100 hidden units",
    "span-logistic": "logistic regression on the circuit's functions",
    "bayes": "best possible",
}
#: All of them. The last is that of Bowles, Ahmed and Schuld (2024): the features as the data set has them, and their grid.
ALL_BASELINES = {**BASELINES, "searched-svm": "support vector machine (RBF), searched"}
#: The grid of the search, by five-fold cross-validation on the training part.
SVM_GRID = {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [0.001, 0.01, 0.1, 1.0]}
_Fit = tuple[TrialSpec, tuple[str, ...], "TwinRouter | None"]


def baseline_quantity(study: Study) -> str:
    """What the accuracies of baselines on a study's draws are stored as; each has a name of `ALL_BASELINES`."""
    return f"baseline accuracy on {study.name}"


def applicable(study: Study) -> list[str]:
    """The baselines that a study has: those it lists, and those of a ladder, on held-out data and where it can be known."""
    wanted = {*study.baselines, *(BASELINES if study.ladder else ())}
    if not wanted or not study.data.holds_out or study.data.labels != "true":
        return []
    if "bayes" in wanted and make_dataset(study.data.name, **study.data.options).bayes_error() is None:
        wanted.remove("bayes")
    if "span-logistic" in wanted and _span(study) is None:
        wanted.remove("span-logistic")
    return [name for name in ALL_BASELINES if name in wanted]


def missing_baselines(studies: Iterable[Study], store: Store) -> list[tuple[Study, list[str]]]:
    """Studies with the names of the baselines that the store does not have."""
    found = [(s, [n for n in applicable(s) if not store.has_measurement(_key(s, n))]) for s in studies]
    return [(study, names) for study, names in found if names]


def measure_baselines(
    study: Study, names: Sequence[str], store: Store, executor: Executor, on_draw: Callable[[], None] | None = None
) -> None:
    """Fits baselines on every draw of a study's data, and keeps their held-out accuracies."""
    for name, values in baseline_accuracies(store.at_hand(study), names, executor, on_draw).items():
        store.save_measurement(_key(study, name), baseline_quantity(study), name, values.tolist())


def baseline_accuracies(
    study: Study,
    names: Sequence[str],
    executor: Executor | None = None,
    on_draw: Callable[[], None] | None = None,
) -> dict[str, np.ndarray]:
    """Held-out accuracies of baselines on the draws of a study's data, on the same points and splits as its arms.

    All have scikit-learn's defaults (1.6), but for the neural network, which trains by L-BFGS, as its documentation advises
    for small data, and ``"searched-svm"``, which takes the best of `SVM_GRID`. Features, or the functions of the circuit,
    are standardised on the training part; ``"searched-svm"`` has them as the data set has.

    Args:
        study: the study.
        names: names of `ALL_BASELINES`.
        executor: what the draws run on; by default this process.
        on_draw: called after each draw.

    Returns:
        For each name ``(D,)`` accuracies, one for each draw.
    """
    first = dataclasses.replace(make_trials(study)[0].trial, data=study.data)
    found = {name: np.full(study.seeds.data, np.nan) for name in names}
    if "bayes" in found:
        error = make_dataset(study.data.name, **study.data.options).bayes_error()
        found["bayes"][:] = np.nan if error is None else 1.0 - error
    fitted = tuple(name for name in names if name != "bayes")
    span = _span(study) if "span-logistic" in fitted else None
    tasks: list[_Fit] = [(dataclasses.replace(first, data_seed=d), fitted, span) for d in range(study.seeds.data)]
    for draw, accuracies in results(executor or InProcess(), _one_draw, tasks):
        for name, value in accuracies.items():
            found[name][draw] = value
        if on_draw is not None:
            on_draw()
    return found


def _span(study: Study) -> TwinRouter | None:
    """The functions of the circuit of the study's first quantum router, where they are fixed and not too many."""
    base = find_base(study)
    try:
        twin = TwinRouter(base.built.circuit, base.n_experts, base.n_features, max_functions=MAX_TWIN)
    except (ConfigError, UnsupportedError):
        return None
    return None if twin.projection is not None else twin.double()


def _key(study: Study, name: str) -> str:
    """Names all that decides the figures."""
    circuit = find_base(study).model.router.canonical if name == "span-logistic" else ""
    seeds = study.seeds
    decides = f"{NUMERICS}:{VERSION}:{name}:{circuit}:{study.data.identity}:{seeds.root}:{seeds.fixed}:{seeds.data}"
    return hashlib.sha256(f"baseline:{decides}".encode()).hexdigest()[:16]


def _one_draw(task: _Fit) -> tuple[int, dict[str, float]]:
    trial, names, span = task
    data = prepare_data(trial.draw)
    # One for all on this draw, so that adding a baseline changes no other.
    seed = int(random_state(trial.draw.baseline_seed).randint(2**31))
    # Their products are small; threads would wait for each other, and for the other workers.
    with threadpool_limits(1):
        return trial.data_seed, {name: _accuracy(name, data, span, seed) for name in names}


def _searched(data: PreparedData) -> float:
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    fitted = GridSearchCV(SVC(), SVM_GRID).fit(data.raw.x_train, data.raw.y_train)
    return float(fitted.score(data.raw.x_test, data.raw.y_test))


def _accuracy(name: str, data: PreparedData, span: TwinRouter | None, seed: int) -> float:
    if name == "searched-svm":
        return _searched(data)
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    model = {
        "logistic": lambda: LogisticRegression(),
        "span-logistic": lambda: LogisticRegression(max_iter=1_000),
        "rbf-svm": lambda: SVC(),
        "random-forest": lambda: RandomForestClassifier(random_state=seed),
        "mlp": lambda: MLPClassifier(solver="lbfgs", random_state=seed),
    }[name]()
    x, x_test = data.x_train, data.x_test
    if name == "span-logistic":
        assert span is not None
        x, x_test = span.features(x), span.features(x_test)
    with warnings.catch_warnings():
        # A budget of iterations is part of the defaults.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = make_pipeline(StandardScaler(), model).fit(x.numpy(), data.y_train.numpy())
    return float(fitted.score(x_test.numpy(), data.y_test.numpy()))
