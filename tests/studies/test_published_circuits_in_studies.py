"""Published circuits as routers of studies, of their ladders and of `qmoe ablate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qmoe import QMoEClassifier
from qmoe.circuits import data_reuploading, iqp, published_circuit
from qmoe.claims import ablation_study
from qmoe.errors import ConfigError
from qmoe.routers import QuantumRouter, TwinRouter
from qmoe.routers.quantum import QuantumRouterSpec
from qmoe.studies import Store, Study, ladder_rungs, make_trials, run_studies
from qmoe.studies.admission.part_sizes import router_size
from qmoe.studies.assembly import build_router, n_trainable
from qmoe.studies.baselines import applicable
from qmoe.studies.files import parse_study


def study_of(*routers: dict[str, Any], **options: Any) -> Study:
    arms = [
        {"name": f"arm-{i}", "label": f"arm {i}", "model": {"router": router, "experts": {"kind": "linear"}}}
        for i, router in enumerate(routers)
    ]
    values: dict[str, Any] = {
        "name": "named",
        "title": "named circuits",
        "phase": "mine",
        "protocol": "heldout",
        "data": {"name": "moons", "options": {"n_samples": 60}, "scaling": "minmax_centred"},
        "seeds": {"data": 2, "per_data": 1},
        "training": {"epochs": 1},
        "arms": arms,
    }
    return parse_study(values | options, "a test")


IQP = {"kind": "quantum", "circuit": {"name": "iqp", "n_layers": 2}}
REUPLOADING = {"kind": "quantum", "circuit": "data_reuploading", "noise": 0.05}
DRESSED = {"kind": "quantum", "circuit": "dressed"}


def test_arms_with_named_circuits_train_and_are_stored(tmp_path: Path) -> None:
    study = study_of(IQP, REUPLOADING, DRESSED, {"kind": "twin", "circuit": IQP["circuit"]})
    with Store(tmp_path / "store.sqlite") as store:
        outcome = run_studies([study], store)
        assert (outcome.ran, outcome.failed) == (8, 0)
        names = {member.arm: build_router(member.trial) for member in make_trials(study)}
    assert names["arm-0"].circuit == iqp(2, 2)
    assert names["arm-1"].circuit == data_reuploading(2).with_noise(0.05)


@pytest.mark.parametrize("router", [IQP, REUPLOADING, DRESSED])
def test_sizes_are_those_of_the_router_that_is_built(router: dict[str, Any]) -> None:
    trial = make_trials(study_of(router))[0].trial
    assert router_size(trial.model.router, 2, 2).numbers == n_trainable(build_router(trial))


@pytest.mark.parametrize(
    ("router", "says"),
    [
        ({"kind": "quantum", "circuit": "iqq"}, "Unknown circuit 'iqq'; did you mean 'iqp'"),
        (
            {"kind": "quantum", "circuit": "iqp", "n_layers": 2},
            r'n_layers decides nothing.*\{ name = "iqp", n_layers = 2 \}',
        ),
        ({"kind": "quantum", "circuit": {"name": "iqp", "n_layers": 0.5}}, "n_layers is 0.5"),
        ({"kind": "twin", "circuit": {"n_layers": 2}}, "expected a name in it"),
    ],
)
def test_files_with_impossible_circuits_are_refused(router: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        study_of(router)


@pytest.mark.parametrize(
    ("circuit", "n_features"),
    [({"name": "iqp", "readout": "Z3"}, 4), ({"name": "dressed", "mapped": False, "n_qubits": 2}, 2)],
)
def test_a_circuit_that_exists_for_some_number_of_features_is_taken(circuit: dict[str, Any], n_features: int) -> None:
    QuantumRouterSpec(circuit=circuit).check()
    x = np.random.default_rng(0).random((20, n_features))
    fitted = QMoEClassifier(circuit=circuit, epochs=1).fit(x, np.arange(20) % 2)
    assert fitted.module_.router.circuit == published_circuit(circuit, n_features)


def test_a_ladder_leaves_out_the_rungs_that_a_published_circuit_does_not_have() -> None:
    rungs = {rung.name: rung for rung in ladder_rungs(study_of(IQP, ladder=True))}
    assert {name for name, rung in rungs.items() if rung.omitted} == {
        "no-entangler", "dephased-encoding", "dephased-layers", "embedding-only", "stochastic"
    }  # fmt: skip
    assert "after each run of gates with features" in rungs["dephased-all"].changes
    for router in (REUPLOADING, DRESSED):
        study = study_of(router, ladder=["twin", "trigonometric"])
        twin, waves = ladder_rungs(study)
        assert "functions that depend on its weights" in twin.omitted
        assert waves.arm == "trigonometric"
    frequencies = {arm.name: arm.model.router for arm in study_of(REUPLOADING, ladder=["trigonometric"]).arms}
    assert frequencies["trigonometric"].max_frequency == 5  # type: ignore[attr-defined]


def test_logistic_regression_on_the_span_is_left_out_where_there_is_none() -> None:
    assert "span-logistic" in applicable(study_of(IQP, ladder=["linear"]))
    assert "span-logistic" not in applicable(study_of(DRESSED, ladder=["linear"]))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [f"{i % 7},{i % 5},{(i * i) % 11},{i % 3},{i % 13},{i % 2}" for i in range(40)]
    path = tmp_path / "table.csv"
    path.write_text("a,b,c,d,e,kind\n" + "\n".join(rows) + "\n")
    return path


def test_ablations_take_a_published_circuit_with_its_own_layers_and_scaling(table: Path) -> None:
    study = ablation_study(table, "kind", circuit="iqp", rungs=("linear",))
    assert study.arms[0].model.router.circuit == "iqp"  # type: ignore[attr-defined]
    assert (study.data.scaling, study.data.components) == ("minmax_centred", 4)
    assert "is the published circuit iqp, and" in study.about
    fewer = ablation_study(table, "kind", circuit="data_reuploading", layers=2, qubits=2, rungs=("linear",))
    assert fewer.data.components is None
    built = build_router(make_trials(fewer)[0].trial)
    assert isinstance(built, QuantumRouter)
    assert built.circuit == data_reuploading(5, 2)
    with pytest.raises(ConfigError, match="3 qubits for 5 features"):
        ablation_study(table, "kind", circuit="data_reuploading", qubits=3)
    with pytest.raises(ConfigError, match="Unknown circuit 'iqq'"):
        ablation_study(table, "kind", circuit="iqq")


def test_twins_of_products_of_few_features_are_named_and_counted() -> None:
    few = {"kind": "twin", "n_qubits": 3, "max_weight": 1}
    study = study_of(few, {"kind": "twin", "circuit": "iqp", "max_weight": 2})
    few_router, iqp_router = (build_router(member.trial) for member in make_trials(study)[::2])
    assert isinstance(few_router, TwinRouter)
    assert isinstance(iqp_router, TwinRouter)
    assert (few_router.n_functions, few_router.max_weight, iqp_router.max_weight) == (6, 1, 2)
    assert router_size(study.arms[0].model.router, 3, 2).functions == 6
    with pytest.raises(ConfigError, match="max_weight takes functions of the whole span; drop it"):
        study_of({"kind": "twin", "max_weight": 1, "sampling": "tree", "n_functions": 4})
