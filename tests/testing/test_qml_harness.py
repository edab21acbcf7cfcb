"""The estimator in the scripts of qml-benchmarks: a stand-in of their package, with the interface that the scripts use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from qmoe import QMoEClassifier
from qmoe.data.qml_benchmarks import QmlTwoCurves
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.testing.qml_harness import GRID, main, plug_in

#: Looks a model and its grid up by name, searches with `GridSearchCV` and scores, as the two scripts do.
SCRIPT = """
import sys
from collections.abc import Iterator
from importlib import import_module
import numpy as np
from sklearn.model_selection import GridSearchCV
from qml_benchmarks.hyperparameter_settings import hyper_parameter_settings

model = getattr(import_module("qml_benchmarks.models"), sys.argv[1])
train, test = (np.loadtxt(path, delimiter=",") for path in sys.argv[2:4])
grid = {k: np.array(v["val"], dtype=v["dtype"]) for k, v in hyper_parameter_settings[model.__name__].items()}
grid |= {"router": np.array(["twin"]), "epochs": np.array([3]), "lr": np.array([0.1]), "scaling": np.array(["standard"])}
found = GridSearchCV(model(epochs=1), grid, cv=2, scoring=["accuracy", "roc_auc"], refit="accuracy")
best = found.fit(train[:, :-1], train[:, -1]).best_params_
again = {k: str(v) if isinstance(v, str) else float(v) if k == "lr" else int(v) for k, v in best.items()}
scored = [model(**again, random_state=i).fit(train[:, :-1], train[:, -1]) for i in range(2)]
print(*(each.score(test[:, :-1], test[:, -1]) for each in scored))
"""


@pytest.fixture
def their_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "qml_benchmarks"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "__init__.py").touch()
    (package / "hyperparameter_settings.py").write_text("hyper_parameter_settings = {}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] == "qml_benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "qml_benchmarks"]:
        del sys.modules[name]


def test_a_script_finds_searches_and_scores_the_estimator(
    their_package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    split = QmlTwoCurves(2).published()
    paths = []
    for part in ("train", "test"):
        rows = np.c_[getattr(split, f"x_{part}"), 2 * getattr(split, f"y_{part}") - 1]
        paths.append(their_package / f"{part}.csv")
        np.savetxt(paths[-1], rows, delimiter=",")
    script = their_package / "search.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(sys, "argv", ["python"])
    main([str(script), "QMoEClassifier", *map(str, paths)])
    scores = [float(word) for word in capsys.readouterr().out.split()]
    assert len(scores) == 2
    assert min(scores) > 0.5


def test_any_classifier_can_be_plugged_in_with_a_grid_of_its_own(their_package: Path) -> None:
    plug_in(DecisionTreeClassifier, {"max_depth": [1, 2], "criterion": ["gini"]})
    from qml_benchmarks import models  # type: ignore[import-not-found]
    from qml_benchmarks.hyperparameter_settings import hyper_parameter_settings  # type: ignore[import-not-found]

    assert models.DecisionTreeClassifier is DecisionTreeClassifier
    assert hyper_parameter_settings["DecisionTreeClassifier"] == {
        "max_depth": {"type": "list", "dtype": "int", "val": [1, 2]},
        "criterion": {"type": "list", "dtype": "str", "val": ["gini"]},
    }


def test_every_option_of_the_default_grid_is_one_of_the_estimator() -> None:
    assert set(GRID) < set(QMoEClassifier().get_params())


@pytest.mark.parametrize(
    "grid", [{"learning_rate": [0.1]}, {"lr": [0.1, 1]}, {"lr": []}, {"lr": 3}, {"router": "twin"}]
)
def test_a_bad_grid_is_refused_by_its_option(grid: dict[str, Any]) -> None:
    (option,) = grid
    with pytest.raises(ConfigError, match=f"The grid has {option} = .*expected an option of QMoEClassifier with one"):
        plug_in(grid=grid)


def test_without_their_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qml_benchmarks", None)
    with pytest.raises(UnsupportedError, match=r"clone github.com/XanaduAI/qml-benchmarks, pip install -e it"):
        plug_in()


@pytest.mark.parametrize("arguments", [[], ["no_such_script.py"]])
def test_a_missing_script_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected the path of a script of qml-benchmarks"):
        main(arguments)


def test_on_the_command_line_an_error_is_a_line_and_no_traceback() -> None:
    command = [sys.executable, "-m", "qmoe.testing.qml_harness", "no_such_script.py"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("qml_harness: Got ['no_such_script.py'], expected the path of a script")
    assert found.stderr.count("\n") == 1
