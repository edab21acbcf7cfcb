"""What `import qmoe` offers, and what it costs."""

import inspect
import json

import pytest

import qmoe
from helpers import modules_after, run_python

PUBLIC = [
    "AmplitudeEncoding",
    "AngleEncoding",
    "Circuit",
    "CircuitOptions",
    "ConfigError",
    "DistilledRouter",
    "EncodingRangeWarning",
    "Experts",
    "Feature",
    "Gate",
    "LinearExperts",
    "LinearRouter",
    "MLPExperts",
    "MLPRouter",
    "MixtureOfExperts",
    "NoiseModel",
    "PerformanceWarning",
    "QMoEClassifier",
    "QMoEError",
    "QMoERegressor",
    "QuantumExperts",
    "QuantumLayer",
    "QuantumRouter",
    "Router",
    "ShapeError",
    "StateWarning",
    "StatisticalWarning",
    "StoreError",
    "UniformRouter",
    "UnsupportedError",
    "Weight",
    "audit",
    "distill",
    "load",
    "save",
    "span",
    "twin",
]


def test_public_names_are_these() -> None:
    assert qmoe.__all__ == PUBLIC
    assert len(PUBLIC) <= 37, "the public door holds at most 37 names"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(qmoe, name)
    assert value.__name__ == name
    assert (inspect.getdoc(value) or "").strip()
    assert name in dir(qmoe)


def test_star_import_gives_the_public_names() -> None:
    found: dict[str, object] = {}
    exec("from qmoe import *", found)
    assert set(PUBLIC) <= set(found)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'QuantumRooter'"):
        qmoe.QuantumRooter  # noqa: B018


# Everything a library could change behind its user's back. Torch and NumPy come first: what they change is their own.
SETTINGS = """
import json, logging, os, random, signal, sys, warnings
import numpy as np
import torch
def settings():
    return {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "gradients": [torch.is_grad_enabled(), torch.is_anomaly_enabled()],
        "deterministic": [torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark],
        "matmul precision": torch.get_float32_matmul_precision(),
        "torch random state": torch.get_rng_state().sum().item(),
        "numpy random state": str(np.random.get_state()),
        "random state": hash(random.getstate()),
        "numpy errors": np.geterr(),
        "numpy printing": str(np.get_printoptions()),
        "warnings": [str(f) for f in warnings.filters],
        "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
        "logging": [logging.root.level, len(logging.root.handlers)],
        "recursion": sys.getrecursionlimit(),
        "hooks": [str(sys.excepthook), str(sys.displayhook)],
        "environment": sorted(os.environ.items()),
        "folder": os.getcwd(),
        "path": sys.path,
    }
for action in json.loads(sys.argv[1]):
    child = os.fork()  # torch takes seconds to import, and so is imported once
    if not child:
        before = settings()
        exec(action)
        print(json.dumps([k for k, v in settings().items() if v != before[k]]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, action
"""
PLANTED = "torch.set_default_dtype(torch.float64); np.seterr(all='ignore'); warnings.simplefilter('ignore')"


def test_import_changes_no_global_setting_and_a_changed_one_would_be_seen() -> None:
    by_import, by_hand = run_python(SETTINGS, json.dumps(["import qmoe", PLANTED])).splitlines()
    assert json.loads(by_import) == []
    assert json.loads(by_hand) == ["default dtype", "numpy errors", "warnings"]


#: Statement -> what it must not import, and what it must.
IMPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "import qmoe": (
        (
            "pennylane",
            "matplotlib",
            "sklearn",
            "pandas",
            "pydantic",
            "typer",
            "rich",
            "jinja2",
            "pytest",
            "qmoe.report",
        ),
        ("torch",),
    ),
    "import qmoe; qmoe.QMoEClassifier": ((), ("sklearn",)),
    "import qmoe.engines": (("numba", "llvmlite", "pennylane"), ()),
    "import qmoe.data": (("sklearn", "PIL"), ()),
    "import qmoe.testing": (("pytest", "pennylane"), ()),
    "import qmoe.testing as t; t.RouterConformance, t.EngineConformance": ((), ("pytest",)),
}
#: Works where there is no pytest.
WITHOUT_PYTEST = (
    "import sys; sys.modules['pytest'] = None; import qmoe.testing as t; assert t.random_circuit(1).n_qubits"
)


def test_an_import_brings_what_it_needs_and_nothing_heavy() -> None:
    *found, _ = modules_after(*IMPORTS, WITHOUT_PYTEST)
    for (statement, (heavy, needed)), modules in zip(IMPORTS.items(), found, strict=True):
        assert not modules & set(heavy), statement
        assert modules >= set(needed), statement


def test_importing_it_takes_no_time_and_rooms_are_attributes_though_nothing_has_imported_them() -> None:
    code = (
        "import sys, qmoe; print(sorted({'torch', 'numpy', 'scipy', 'pandas'} & set(sys.modules))); "
        "print(qmoe.routers.LinearRouter is qmoe.LinearRouter)"
    )
    assert run_python(code).splitlines() == ["[]", "True"]
