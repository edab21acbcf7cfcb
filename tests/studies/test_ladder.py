"""The ladder of ablations: which arms it adds, what each changes, and that all of them train."""

import json

import pytest
import torch

from qmoe.errors import ConfigError
from qmoe.studies import (
    RUNGS,
    Store,
    StudyResults,
    ladder_omitted,
    ladder_rungs,
    load_preset,
    make_trials,
    parse_study,
    plan_stacks,
    run_stack,
    with_ladder,
)
from qmoe.studies.assembly import build_model, n_trainable, prepare_data
from qmoe.training import ModelStack
from tiny_study import tiny_values

#: The issue's list, in its order.
EXPECTED = (
    "no-entangler", "dephased-encoding", "dephased-layers", "dephased-all", "dephased-x", "dephased-y", "frozen",
    "embedding-only", "twin", "stochastic",
    "trigonometric", "random-fourier", "quadratic", "relu", "tanh", "silu", "more-experts", "linear", "mean", "permuted",
    "random-labels", "uniform", "constant", "random", "single-expert", "one-mlp",
)  # fmt: skip


def study(ladder=True, router=None, model=None, **changes):
    """The tiny study with a ladder; ``router`` and ``model`` are options of its quantum arm."""
    values = tiny_values(**changes)
    arms = json.loads(json.dumps(values["arms"]))
    arms[-1]["model"]["router"] |= router or {}
    arms[-1]["model"] |= model or {}
    return parse_study(values | {"arms": changes.get("arms", arms), "ladder": ladder})


def omitted(router=None, model=None, **changes):
    return dict(ladder_omitted(study(True, router, model, **changes)))


def arms_of(made):
    return {arm.name: arm for arm in made.arms}


def flat(spec):
    """All options of a model, by dotted name."""
    found = {}
    for key, value in spec.model_dump().items():
        found |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return found


# --- which arms there are -------------------------------------------------------------------------------------------


def test_the_rungs_are_those_of_the_issue():
    assert RUNGS == EXPECTED
    made = study()
    rungs = ladder_rungs(made)
    assert tuple(rung.name for rung in rungs) == EXPECTED
    assert not ladder_omitted(made)
    for rung in rungs:
        assert rung.changes
        assert rung.label
        assert rung.arm in arms_of(made)


def test_arms_of_the_study_come_first_and_are_not_doubled():
    made = study()
    names = [arm.name for arm in made.arms]
    assert names[:2] == ["linear", "quantum"]
    assert names.count("linear") == 1
    assert len(names) == 2 + len(RUNGS) - 1
    models = [(arm.model, arm.labels) for arm in made.arms]
    assert all(models.index(model) == place for place, model in enumerate(models))


def test_a_name_that_is_taken_is_prefixed():
    arms = tiny_values()["arms"]
    arms[0]["name"] = "twin"
    made = study(["twin", "linear"], arms=arms)
    assert [(rung.name, rung.arm) for rung in ladder_rungs(made)] == [("twin", "ladder-twin"), ("linear", "twin")]
    assert [arm.name for arm in made.arms] == ["twin", "quantum", "ladder-twin"]


def test_a_study_with_its_ladder_is_left_as_it_is(tmp_path):
    made = study()
    assert with_ladder(made) == made
    assert parse_study(json.loads(made.model_dump_json())) == made
    with Store(tmp_path / "store.db") as store:
        store.save_study(made)
        assert store.load(made.name).study == made


def test_some_rungs_can_be_named():
    made = study(["twin", "no-entangler"])
    assert [arm.name for arm in made.arms] == ["linear", "quantum", "no-entangler", "twin"]
    assert made.ladder == ("no-entangler", "twin")
    assert study(False).ladder is False
    assert [arm.name for arm in study([]).arms] == ["linear", "quantum"]
    assert ladder_rungs(study(False)) == []


def test_a_ladder_on_a_preset_leaves_its_trials_alone():
    preset = load_preset("phase2-heldout")
    before, after = ([m.trial.hash for m in make_trials(study)] for study in (preset, with_ladder(preset)))
    assert set(before) < set(after)
    assert [digest for digest in after if digest in set(before)] == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ladder": ["twinn"]}, ["mine.toml: ladder", "Unknown rung 'twinn'", "did you mean 'twin'"]),
        ({"ladder": "twin"}, ["ladder"]),
        ({"arms": tiny_values()["arms"][:1], "ladder": True}, ["no arm of tiny", "linear (linear)", "add such an arm"]),
        ({"arms": [tiny_values()["arms"][1] | {"model": {"router": {"kind": "quantum"}, "experts": {"kind": "linear"},
          "n_experts": 1}}], "ladder": True}, ["one expert", "raise n_experts"]),
    ],
)  # fmt: skip
def test_a_ladder_that_makes_no_sense_is_refused_with_the_remedy(changes, words):
    with pytest.raises(ConfigError) as caught:
        parse_study(tiny_values() | changes, "mine.toml")
    for word in words:
        assert word in str(caught.value)


# --- one thing each -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("no-entangler", {"router.ansatz": "no_entangler"}),
        ("dephased-encoding", {"router.dephasing": "encoding"}),
        ("dephased-layers", {"router.dephasing": "layers"}),
        ("dephased-all", {"router.dephasing": "all"}),
        ("dephased-x", {"router.dephasing": "all", "router.dephasing_axis": "X"}),
        ("dephased-y", {"router.dephasing": "all", "router.dephasing_axis": "Y"}),
        ("frozen", {"router.frozen": True}),
        ("embedding-only", {"router.n_layers": 0}),
        ("mean", {"routing": "mean"}),
        ("permuted", {"routing": "permuted"}),
        ("random-labels", {}),
    ],
)
def test_a_rung_of_the_circuit_changes_one_option(name, changed):
    arms = arms_of(study())
    base, rung = flat(arms["quantum"].model), flat(arms[name].model)
    assert {key: rung[key] for key in rung if rung[key] != base[key]} == changed
    assert arms[name].labels == ("random" if name == "random-labels" else None)


def test_a_rung_without_the_circuit_changes_the_router_alone():
    arms = arms_of(study())
    base = arms["quantum"].model
    for name in (
        "twin",
        "stochastic",
        "trigonometric",
        "random-fourier",
        "quadratic",
        "relu",
        "uniform",
        "constant",
        "random",
    ):
        assert arms[name].model.model_copy(update={"router": base.router}) == base


def test_the_twin_has_the_circuit_of_the_quantum_router():
    twin = arms_of(study(router={"uploads": 2, "rotation": "Y", "n_layers": 4}))["twin"].model.router
    assert (twin.kind, twin.uploads, twin.rotation, twin.n_layers, twin.sampling) == ("twin", 2, "Y", 4, None)


def test_a_twin_of_too_many_functions_is_sampled():
    data = {"name": "hyperplanes", "options": {"n_features": 8}}
    made = study(["twin"], data=data)
    twin = arms_of(made)["twin"].model.router
    # 8 x 3 x 3 + 2 x 9 = 90 parameters; 44 functions of two experts make 90 as well.
    assert (twin.sampling, twin.n_functions) == ("distinct", 44)
    assert "sampled from its 6,560" in ladder_rungs(made)[0].changes


@pytest.mark.parametrize(("rotation", "constant"), [("X", "x"), ("Y", "y"), ("Z", "all")])
def test_a_dephased_rung_says_where_nothing_of_the_features_is_left(rotation, constant):
    changes = {rung.name: rung.changes for rung in ladder_rungs(study(router={"rotation": rotation}))}
    found = {name for name, words in changes.items() if "nothing of the features is left" in words}
    assert found & {"dephased-all", "dephased-x", "dephased-y"} == {f"dephased-{constant}"}
    assert ("dephased-encoding" in found) == (rotation == "Z")
    assert not found & {"twin", "dephased-layers"}


def test_the_stochastic_chain_says_its_parameters_and_its_rank_beside_the_routers():
    (rung,) = ladder_rungs(study(["stochastic"]))
    assert rung.label == "incoherent chain of equal span"
    assert "4 random bits in 3 layers" in rung.changes
    assert rung.changes.endswith("54 parameters for 24, rank 16 for 9")


@pytest.mark.parametrize(
    ("router", "data", "words"),
    [
        ({"encoding": "amplitude"}, {}, "amplitude encoding turns no bits"),
        ({"uploads": 2}, {}, "2 uploads reach frequency 2"),
        ({"n_qubits": 3}, {}, "2 features are projected onto 3 qubit"),
        ({}, {"name": "hyperplanes", "options": {"n_features": 7}}, "7 features take a chain of more than 12 bits"),
    ],
)
def test_where_no_chain_has_the_functions_the_twin_is_named_as_the_control(router, data, words):
    reason = omitted(router, data=data or tiny_values()["data"])["stochastic"]
    assert words in reason
    assert "the twin is the control" in reason


def parameters(made):
    found = {}
    for member in make_trials(made):
        model = build_model(member.trial)
        found[member.arm] = n_trainable(model.router), n_trainable(model)
    return found


def test_budgets_are_matched_at_the_papers_sizes():
    count = parameters(study())
    assert count["quantum"] == (24, 36)
    # 5 h + 2 parameters for h hidden units: 22 and 27 stand beside 24.
    assert count["relu"] == count["tanh"] == count["silu"] == (22, 34)
    assert count["random-fourier"] == (24, 36)
    assert count["more-experts"] == (12, 36)
    assert count["one-mlp"] == (0, 37)
    assert count["frozen"] == count["embedding-only"] == (6, 18)
    assert count["twin"] == (18, 30)
    assert count["stochastic"] == (54, 66)
    assert count["constant"] == (2, 14)
    assert count["uniform"] == count["random"] == count["single-expert"] == (0, 12)
    assert count["mean"] == count["permuted"] == (24, 36)


def test_budgets_are_matched_with_a_head_and_other_experts():
    model = {"experts": {"kind": "mlp", "hidden": 3, "out_features": 4}, "head": True, "n_experts": 3, "top_k": 2}
    count = parameters(study(model=model))
    router, whole = count["quantum"]
    assert (router, whole) == (18 + 9, 27 + 3 * (9 + 16) + 10)
    assert count["more-experts"][1] >= whole > count["more-experts"][1] - (3 + 25)
    assert abs(count["one-mlp"][1] - whole) <= (3 + 4) / 2
    assert abs(count["relu"][0] - router) <= (3 + 3) / 2


# --- what makes no sense --------------------------------------------------------------------------------------------


def test_amplitudes_have_no_trigonometric_terms():
    assert set(omitted({"encoding": "amplitude", "n_qubits": 2})) == {"trigonometric", "stochastic"}


def test_one_layer_has_nothing_between_layers():
    assert set(omitted({"n_layers": 1})) == {"dephased-layers", "dephased-all"}


def test_without_layers_little_is_left_to_take_away():
    found = omitted({"n_layers": 0})
    assert set(found) == {
        "no-entangler", "dephased-encoding", "dephased-layers", "dephased-all", "dephased-x", "dephased-y", "frozen",
        "embedding-only", "more-experts",
    }  # fmt: skip


def test_one_qubit_has_no_entangler():
    assert "one qubit" in omitted({"n_qubits": 1})["no-entangler"]


@pytest.mark.parametrize(
    ("router", "model", "changes", "name", "words"),
    [
        ({"ansatz": "basic_entangler"}, {}, {}, "no-entangler", "other rotations"),
        ({"ansatz": "no_entangler"}, {}, {}, "no-entangler", "already"),
        ({"ansatz": "no_entangler"}, {}, {}, "trigonometric", "this is the twin"),
        ({"uploads": 2}, {}, {}, "embedding-only", "layers in between"),
        ({"rotation": "Z"}, {}, {}, "embedding-only", "leave no trace"),
        ({"frozen": True}, {}, {}, "frozen", "no weights that train"),
        ({"dephasing": "layers"}, {}, {}, "dephased-all", "already"),
        ({}, {"routing": "mean"}, {}, "permuted", "already"),
        ({}, {}, {"data": {"name": "moons", "labels": "random"}}, "random-labels", "already"),
    ],
)
def test_what_is_there_already_is_left_out_with_a_reason(router, model, changes, name, words):
    assert words in omitted(router, model, **changes)[name]


def test_noise_strengths_go_along_with_the_circuit():
    quantum = tiny_values()["arms"][1] | {"noise": [0.0, 0.1]}
    arms = arms_of(study(["no-entangler", "relu"], arms=[quantum]))
    assert arms["no-entangler"].noise == (0.0, 0.1)
    assert arms["relu"].noise is None


# --- data -----------------------------------------------------------------------------------------------------------


def test_random_labels_keep_points_split_and_class_sizes():
    made = study(["random-labels"])
    true, random = ([m.trial for m in make_trials(made) if m.arm == arm] for arm in ("quantum", "random-labels"))
    for a, b in zip(true, random, strict=True):
        one, other = prepare_data(a.draw), prepare_data(b.draw)
        assert torch.equal(one.x_train, other.x_train)
        assert torch.equal(one.x_test, other.x_test)
        for y, permuted in ((one.y_train, other.y_train), (one.y_test, other.y_test)):
            assert torch.equal(y.bincount(), permuted.bincount())
        assert not torch.equal(one.y_train, other.y_train)
        assert (other.raw.y_train == other.y_train.numpy()).all()
        assert a.hash != b.hash
        assert (a.data_seed, a.init_seed) == (b.data_seed, b.init_seed)
    first, *_, last = (prepare_data(trial.draw).y_train for trial in random)
    assert not torch.equal(first, last)


def test_random_labels_of_a_whole_study_are_those_of_its_arms():
    (rung, *_) = [m.trial for m in make_trials(study(["random-labels"])) if m.arm == "random-labels"]
    data = tiny_values()["data"] | {"labels": "random"}
    (quantum, *_) = [m.trial for m in make_trials(study(False, data=data)) if m.arm == "quantum"]
    assert quantum.hash == rung.hash


# --- training -------------------------------------------------------------------------------------------------------

TRAINED = [name for name in RUNGS if name != "linear"]


@pytest.mark.parametrize("name", TRAINED)
def test_every_rung_trains_in_a_stack_without_vmap_as_it_does_alone(name):
    training = {"epochs": 3, "batch_size": 16, "lr": 0.1, "dtype": "float64"}
    trials = [m.trial for m in make_trials(study([name], training=training)) if m.arm == name]
    module = ModelStack([build_model(trial) for trial in trials[:2]]).module
    assert {len(parameter) for parameter in module.parameters()} == {2}
    together = run_stack(tuple(trials))
    assert all(record.error is None for record in together)
    (alone,) = run_stack((trials[2],))
    assert alone.metrics["test_accuracy"] == together[2].metrics["test_accuracy"]
    torch.testing.assert_close(alone.history["loss"], together[2].history["loss"], rtol=0, atol=1e-9)


def test_arms_with_a_ladder_stay_paired_and_random_labels_come_out_at_chance():
    values = tiny_values(
        data={
            "name": "moons",
            "options": {"n_samples": 300, "noise": 0.1},
            "scaling": "minmax_pi",
            "test_fraction": 0.5,
        },
        seeds={"data": 8, "per_data": 1},
        training={"epochs": 10, "batch_size": 32, "lr": 0.1},
    )
    made = parse_study(values | {"ladder": ["frozen", "random-labels"]})
    records = {}
    for stack in plan_stacks([made], set()):
        records |= {record.trial.hash: record for record in run_stack(stack)}
    results = StudyResults.of_records(made, tuple(make_trials(made)), records)
    accuracy = {arm.name: torch.tensor([r.metrics["test_accuracy"] for r in results.of(arm.name)]) for arm in made.arms}
    # 8 test parts of 150 rows: the mean has a standard deviation of 0.014 around chance.
    assert abs(float(accuracy["random-labels"].mean()) - 0.5) < 0.06
    assert float(accuracy["quantum"].mean()) > 0.8
    seeds = [[(r.trial.data_seed, r.trial.init_seed) for r in results.of(arm.name)] for arm in made.arms]
    assert all(one == seeds[0] for one in seeds)


def test_frozen_parameters_are_not_counted_as_trained():
    trials = [m.trial for m in make_trials(study(["frozen"])) if m.arm == "frozen"]
    (record,) = run_stack((trials[0],))
    assert record.metrics["router_parameters"] == 6
    assert record.metrics["parameters"] == 18
