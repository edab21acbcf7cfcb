"""Trials: seeds, hashes, stacks."""

import dataclasses
import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from qmoe.circuits import NoiseModel
from qmoe.compiled.cache import CACHE_VARIABLE
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.routers import feature_router
from qmoe.studies import load_preset, make_trials, parse_study, plan_stacks, run_stack
from qmoe.studies.assembly import build_model, build_router, prepare_data
from qmoe.studies.run.stacks import cost, kernels_to_compile
from qmoe.studies.specs.part_models import experts_model, router_model
from qmoe.studies.trials import NUMERICS, TrialSpec
from tiny_study import diverging_values, tiny_values


def test_every_draw_of_the_data_has_initialisations_of_its_own():
    study = parse_study(tiny_values(seeds={"data": 3, "per_data": 4}))
    trials = [m.trial for m in make_trials(study) if m.arm == "linear"]
    assert [(t.data_seed, t.init_seed) for t in trials] == list(itertools.product(range(3), range(4)))
    streams = [s for t in trials for s in (t.router_seed, t.experts_seed, t.head_seed, t.order_seed)]
    streams += [
        s for t in trials[::4] for s in (t.draw.sample_seed, t.draw.split_seed, t.draw.test_seed, t.draw.labels_seed)
    ]
    assert len({tuple(s.generate_state(4).tolist()) for s in streams}) == len(streams) == 60


def test_more_initialisations_leave_those_that_there_are_as_they_were():
    hashes = {
        (n, k): {m.trial.hash for m in make_trials(parse_study(tiny_values(seeds={"data": n, "per_data": k})))}
        for n, k in [(3, 2), (3, 5), (7, 2), (1, 2)]
    }
    assert hashes[3, 2] < hashes[3, 5]
    assert hashes[3, 2] < hashes[7, 2]
    assert hashes[1, 2] < hashes[3, 2]
    assert {key: len(found) for key, found in hashes.items()} == {(3, 2): 12, (3, 5): 30, (7, 2): 28, (1, 2): 4}


def test_all_arms_begin_with_the_same_experts_and_head_whatever_their_router_draws():
    kinds = [{"kind": "linear"}, {"kind": "mlp", "hidden": 7}, {"kind": "quantum"}, {"kind": "uniform"}]
    experts = {"kind": "linear", "out_features": 3}
    arms = [{"name": k["kind"], "label": "a", "model": {"router": k, "experts": experts, "head": True}} for k in kinds]
    first: dict[tuple[int, int], list[list[torch.Tensor]]] = {}
    for member in make_trials(parse_study(tiny_values(arms=arms))):
        model = build_model(member.trial)
        rest = [*model.experts.parameters(), *model.head.parameters()]
        first.setdefault((member.trial.data_seed, member.trial.init_seed), []).append(rest)
    assert len(first) == 6
    for models in first.values():
        assert len(models) == 4
        for rest in models:
            torch.testing.assert_close(rest, models[0], rtol=0, atol=0)
    weights = torch.stack([models[0][0] for models in first.values()])
    assert len(weights.flatten(1).unique(dim=0)) == 6


def test_arms_are_paired_over_data_order_and_seeds(tiny):
    linear, quantum = ([m.trial for m in make_trials(tiny) if m.arm == arm] for arm in ("linear", "quantum"))
    for a, b in zip(linear, quantum, strict=True):
        assert a.draw == b.draw
        assert (a.order_seed.generate_state(4) == b.order_seed.generate_state(4)).all()


def test_the_hash_is_the_same_in_another_process(tiny):
    trial = make_trials(tiny)[0].trial
    code = "import sys; from qmoe.studies import TrialSpec; print(TrialSpec.from_json(sys.stdin.read()).hash)"
    other = subprocess.run(
        [sys.executable, "-c", code], input=trial.canonical, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == trial.hash


def test_the_hash_covers_what_decides_the_numbers_and_nothing_else(tiny):
    first = make_trials(tiny)[0].trial
    renamed = make_trials(tiny.model_copy(update={"name": "other", "title": "Other", "about": "x"}))[0].trial
    assert renamed.hash == first.hash
    for changes in ({"training": {"epochs": 3}}, {"seeds": {"root": 1}}, {"data": {"name": "circles"}}):
        assert make_trials(parse_study(tiny_values(**changes)))[0].trial.hash != first.hash


def test_defaults_that_hashes_leave_out_are_those_of_this_numerics_version():
    # A default that changes here changes what a stored hash means: raise NUMERICS together with this table.
    assert NUMERICS == 7
    trial = make_trials(parse_study(tiny_values(data={"name": "moons"}, training={})))[-1].trial
    parts = {name: getattr(trial, name).model_dump() for name in ("data", "model", "training")}
    assert parts | {name: getattr(trial, name) for name in ("root", "data_seed", "init_seed", "fixed")} == {
        "data": {
            "name": "moons", "options": {}, "components": None, "standardise": False, "scaling": "none",
            "test_fraction": 0.2, "test_samples": None, "labels": "true",
        },
        "model": {
            "router": {
                "kind": "quantum", "n_qubits": None, "n_layers": 3, "encoding": "angle", "rotation": "X", "uploads": 1,
                "ansatz": "strongly_entangling", "readout": "expval", "frozen": False, "noise": None, "placement": "block",
                "dephasing": "none", "dephasing_axis": "Z", "channels": (), "engine": "auto",
                "circuit": None,
            },
            "routing": "input",
            "experts": {"kind": "linear", "out_features": None},
            "n_experts": 2, "head": False, "top_k": None, "norm_topk_prob": None,
        },
        "training": {
            "optimiser": "adam", "epochs": 50, "batch_size": 32, "lr": 0.1, "max_iterations": 2000, "tolerance": 1e-5,
            "initial_scale": 1.0, "dtype": "float32", "balance_loss": 0.0,
        },
        "root": 0, "data_seed": 2, "init_seed": 1, "fixed": None,
    }  # fmt: skip
    assert router_model("mlp").model_dump() == {"kind": "mlp", "hidden": 16, "activation": "relu"}
    trigonometric = router_model("trigonometric").model_dump()
    assert trigonometric == {"standardised": True, "kind": "trigonometric", "max_frequency": 1}
    assert router_model("quadratic").model_dump() == {"standardised": True, "kind": "quadratic"}
    waves = router_model("random_fourier").model_dump()
    assert waves == {
        "standardised": True, "kind": "random_fourier", "n_functions": 8, "length_scale": 1.0,
    }  # fmt: skip
    assert router_model("single").model_dump() == {"kind": "single", "expert": 0}
    assert router_model("twin").model_dump() == {
        "kind": "twin", "n_qubits": None, "n_layers": 3, "encoding": "angle", "rotation": "X", "uploads": 1,
        "ansatz": "strongly_entangling", "readout": "expval", "sampling": None, "n_functions": None, "standardised": True,
        "circuit": None, "max_weight": None,
    }  # fmt: skip
    experts = experts_model("mlp").model_dump()
    assert experts == {"kind": "mlp", "hidden": 8, "out_features": None, "activation": "relu"}


@pytest.mark.parametrize(
    ("preset", "digest"),
    [("phase1-mnist-published", "7237178124923f6d"), ("phase2-heldout", "85a153e592ef6443"),
     ("phase3a-heldout", "3b32ad65fa5e22e0"), ("phase3b-heldout", "0d52240de30c4de5")],
)  # fmt: skip
def test_hashes_of_trials_that_are_in_stores_stay(preset, digest):
    assert make_trials(load_preset(preset))[0].trial.hash == digest


@pytest.mark.parametrize("preset", ["phase1-mnist-published", "phase3b-heldout", "ladder-hyperplanes"])
def test_a_trial_is_put_together_from_its_parts_as_its_json_is(preset):
    for trial in {(m.arm, m.strength): m.trial for m in make_trials(load_preset(preset))}.values():
        values = {
            name: getattr(trial, name).model_dump(mode="json", exclude_defaults=True)
            for name in ("data", "model", "training")
        }
        values |= {name: getattr(trial, name) for name in ("root", "data_seed", "init_seed")}
        values |= {} if trial.fixed is None else {"fixed": trial.fixed}
        assert trial.canonical == json.dumps(values, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(("top_k", "choice"), [(1, None), (1, False), (2, True), (2, None), (None, False)])
def test_rescaling_of_kept_weights_reaches_the_model_and_the_hash(top_k, choice):
    values = tiny_values()
    values["arms"] = values["arms"][:1]
    values["arms"][0]["model"] |= {} if top_k is None else {"top_k": top_k}
    plain = make_trials(parse_study(values))[0].trial
    values["arms"][0]["model"] |= {} if choice is None else {"norm_topk_prob": choice}
    trial = make_trials(parse_study(values))[0].trial
    assert build_model(trial).norm_topk_prob is choice
    assert ("norm_topk_prob" in trial.canonical) is (choice is not None)
    assert (trial.hash == plain.hash) is (choice is None)
    assert TrialSpec.from_json(trial.canonical) == trial


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"top_k": 1, "norm_topk_prob": True}, "every weight 1"), ({"norm_topk_prob": "yes"}, "norm_topk_prob"),
     ({"norm_topk_prob": 1}, "norm_topk_prob")],
)  # fmt: skip
def test_rescaling_that_is_wrong_is_refused_in_the_file(changes, message):
    values = tiny_values()
    values["arms"][0]["model"] |= changes
    with pytest.raises(ConfigError, match=message):
        parse_study(values)


def test_a_changed_copy_of_a_spec_does_not_keep_the_json_of_the_old(tiny):
    trial = make_trials(tiny)[0].trial
    before = trial.canonical, trial.hash, trial.model.shape_key
    training = trial.training.model_copy(update={"lr": 0.5})
    other = dataclasses.replace(trial, init_seed=7, training=training)
    assert json.loads(other.canonical)["init_seed"] == 7
    assert json.loads(other.canonical)["training"]["lr"] == 0.5
    assert other.hash != trial.hash
    assert other.shape_key != trial.shape_key
    assert (trial.canonical, trial.hash, trial.model.shape_key) == before


def test_trials_that_are_remembered_are_no_list_that_a_caller_could_change(tiny):
    make_trials(tiny).clear()
    assert len(make_trials(tiny)) == 12
    assert len(make_trials(tiny.resized(seeds=2))) == 8


def test_a_trial_survives_its_json(tiny):
    for member in make_trials(tiny):
        assert TrialSpec.from_json(member.trial.canonical) == member.trial


def test_the_authors_points_are_those_of_seed_42():
    from sklearn.datasets import make_moons

    trial = make_trials(load_preset("phase2-published"))[0].trial
    x, y = make_moons(500, noise=0.1, random_state=42)
    data = prepare_data(trial.draw)
    np.testing.assert_array_equal(data.raw.x_train, x)
    np.testing.assert_array_equal(data.y_train.numpy(), y)
    assert data.x_train.min() == 0
    assert data.x_train.max() == pytest.approx(np.pi, abs=1e-12)
    assert len(data.x_test) == 0


def test_scaling_is_fitted_on_the_training_part_only():
    trial = make_trials(load_preset("phase2-heldout"))[0].trial
    data = prepare_data(trial.draw)
    assert data.x_train.min() == 0
    assert data.x_train.max() == pytest.approx(np.pi, abs=1e-12)
    low, high = data.raw.x_train.min(0), data.raw.x_train.max(0)
    expected = (data.raw.x_test - low) / (high - low) * np.pi
    np.testing.assert_allclose(data.x_test.numpy(), expected, atol=1e-12)


def test_parameter_counts_are_the_papers():
    counts = {}
    for member in make_trials(load_preset("phase3a-published").resized(1)):
        counts[member.arm] = sum(p.numel() for p in build_model(member.trial).router.parameters())
    assert counts == {"mlp2": 12, "mlp4": 22, "mlp8": 42, "mlp16": 82, "mlp32": 162, "mlp64": 322, "quantum": 24}


def test_stacks_hold_trials_of_one_shape_and_a_timed_study_has_one_of_each_alone():
    assert sorted(map(len, plan_stacks([parse_study(tiny_values())], set()))) == [6, 6]
    study = parse_study(tiny_values(timed=1))
    stacks = plan_stacks([study], set())
    trials = [t for stack in stacks for t in stack]
    assert len(trials) == len({t.hash for t in trials}) == 12
    assert sorted(map(len, stacks)) == [1, 1, 5, 5]
    for stack in stacks:
        assert len({t.shape_key for t in stack}) == 1


def test_a_trial_that_only_a_later_study_wants_timed_trains_once_and_alone():
    first, second = parse_study(tiny_values(timed=1)), parse_study(tiny_values(name="again", timed=4))
    stacks = plan_stacks([first, second], set())
    assert sorted(map(len, stacks)) == [1] * 8 + [2, 2]
    assert len({t.hash for stack in stacks for t in stack}) == 12


def test_noise_strengths_share_a_stack():
    quantum = tiny_values()["arms"][1] | {"noise": [0.0, 0.1, 0.75]}
    stacks = plan_stacks([parse_study(tiny_values(arms=[quantum]))], set())
    assert sorted(map(len, stacks)) == [18]


@pytest.mark.parametrize("noise", [None, [0.0, 0.2]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_trial_gives_the_same_numbers_alone_and_in_any_stack(noise, dtype):
    arms = [tiny_values()["arms"][1] | ({"noise": noise} if noise else {})]
    training = {"epochs": 8, "batch_size": 16, "lr": 0.1, "dtype": dtype}
    trials = [m.trial for m in make_trials(parse_study(tiny_values(arms=arms, training=training)))]
    together = run_stack(tuple(trials))
    backwards = {r.trial.hash: r for r in run_stack(tuple(reversed(trials[1:])))}
    for record in (together[1], together[-1]):
        (alone,) = run_stack((record.trial,))
        for other in (alone, backwards[record.trial.hash]):
            assert other.metrics["train_accuracy"] == record.metrics["train_accuracy"]
            assert other.metrics["test_accuracy"] == record.metrics["test_accuracy"]
            if dtype == "float64":
                np.testing.assert_allclose(other.history["loss"], record.history["loss"], atol=1e-9, rtol=0)


def dephased_arm(where, axis=None, **options):
    arm = tiny_values()["arms"][1]
    router = {"kind": "quantum", "dephasing": where} | ({} if axis is None else {"dephasing_axis": axis})
    return arm | {"name": f"dephased-{where}", "model": arm["model"] | {"router": router}} | options


FUNCTIONS = [{"kind": "twin"}, {"kind": "quadratic"}, {"kind": "trigonometric"}, {"kind": "random_fourier"}]


@pytest.mark.parametrize("router", FUNCTIONS, ids=lambda r: r["kind"])
@pytest.mark.parametrize("routing", ["input", "mean"])
def test_fixed_functions_are_standardised_on_the_training_part(router, routing):
    def study(**changed):
        model = {"router": {**router, **changed}, "routing": routing, "experts": {"kind": "linear"}}
        values = tiny_values(arms=[{"name": "gate", "label": "gate", "model": model}])
        return parse_study({**values, "training": {"epochs": 1, "dtype": "float64"}})

    for trial in {m.trial.data_seed: m.trial for m in make_trials(study())}.values():
        (record,) = run_stack((trial,))
        model = build_model(trial)
        model.load_state_dict(safetensors.torch.load(record.state))
        values = feature_router(model.router).functions(prepare_data(trial.draw).x_train)
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(values.std(0, correction=0), 1, atol=1e-12)
    (plain, *_), (trial, *_) = (make_trials(study(standardised=flag)) for flag in (False, True))
    (record,) = run_stack((plain.trial,))
    state = safetensors.torch.load(record.state)
    assert not any(value.any() for name, value in state.items() if name.endswith("centre"))
    assert trial.trial.hash == make_trials(study())[0].trial.hash != plain.trial.hash
    assert trial.trial.shape_key != plain.trial.shape_key
    with pytest.raises(ConfigError, match=r"standardised \(arm 'gate'\): Input should be a valid boolean"):
        study(standardised="yes")


def test_functions_behind_a_map_that_trains_are_taken_as_they_are():
    model = {"router": {"kind": "twin", "n_qubits": 1}, "experts": {"kind": "linear"}}
    values = tiny_values(arms=[{"name": "gate", "label": "gate", "model": model}])
    trial = make_trials(parse_study(values | {"training": {"epochs": 1}}))[0].trial
    (record,) = run_stack((trial,))
    state = safetensors.torch.load(record.state)
    assert state["router.projection.weight"].shape == (1, 2)
    assert not any(value.any() for name, value in state.items() if name.endswith("centre"))


def test_trials_of_one_stack_have_functions_fitted_to_their_own_draws():
    model = {"router": {"kind": "twin"}, "experts": {"kind": "linear"}}
    study = parse_study(tiny_values(arms=[{"name": "twin", "label": "twin", "model": model}]))
    trials = tuple(m.trial for m in make_trials(study))
    centres = {}
    for record in run_stack(trials):
        centre = safetensors.torch.load(record.state)["router.centre"]
        (alone,) = run_stack((record.trial,))
        assert torch.equal(safetensors.torch.load(alone.state)["router.centre"], centre)
        centres.setdefault(tuple(centre.tolist()), set()).add(record.trial.data_seed)
    assert sorted(map(sorted, centres.values())) == [[seed] for seed in range(study.seeds.data)]


def test_dephasing_is_part_of_the_model_with_and_without_noise():
    bare, noisy = dephased_arm("all"), dephased_arm("layers", noise=[0.0, 0.2])
    members = make_trials(parse_study(tiny_values(arms=[bare, noisy])))
    circuits = {(m.arm, m.strength): build_model(m.trial).router.circuit for m in members}
    assert {key: circuit.noise for key, circuit in circuits.items()} == {
        ("dephased-all", None): NoiseModel(dephasing="all"),
        ("dephased-layers", 0.0): NoiseModel(0.0, dephasing="layers"),
        ("dephased-layers", 0.2): NoiseModel(0.2, dephasing="layers"),
    }


def test_dephased_experts_are_dephased():
    model = {"router": {"kind": "linear"}, "experts": {"kind": "quantum", "dephasing": "encoding"}, "head": True}
    study = parse_study(tiny_values(arms=[{"name": "a", "label": "a", "model": model}]))
    experts = build_model(make_trials(study)[0].trial).experts
    assert experts.circuit.noise == NoiseModel(dephasing="encoding")


def test_dephasing_changes_the_hash_and_the_stack_and_none_is_what_there_was():
    arms = [tiny_values()["arms"][1], dephased_arm("none"), dephased_arm("encoding"), dephased_arm("all")]
    by_arm = {m.arm: m.trial for m in reversed(make_trials(parse_study(tiny_values(arms=arms))))}
    assert by_arm["dephased-none"].hash == by_arm["quantum"].hash
    assert "dephasing" not in by_arm["quantum"].canonical
    rest = [trial for arm, trial in by_arm.items() if arm != "dephased-none"]
    assert len({trial.hash for trial in rest}) == len({trial.shape_key for trial in rest}) == 3


def test_the_axis_of_dephasing_is_part_of_the_model_and_changes_the_hash_unless_it_is_z():
    axes = {"plain": None, "z": "Z", "y": "Y"}
    arms = [dephased_arm("all", axis) | {"name": name} for name, axis in axes.items()]
    by_arm = {m.arm: m.trial for m in reversed(make_trials(parse_study(tiny_values(arms=arms))))}
    assert by_arm["z"].hash == by_arm["plain"].hash != by_arm["y"].hash
    assert "axis" not in by_arm["plain"].canonical
    assert build_model(by_arm["y"]).router.circuit.noise == NoiseModel(dephasing="all", dephasing_axis="Y")


def test_an_axis_without_dephasing_is_refused():
    with pytest.raises(
        ConfigError, match=r'dephasing_axis = "X" belongs to a dephased circuit, and dephasing is "none"'
    ):
        parse_study(tiny_values(arms=[dephased_arm("none", axis="X")]))


def test_dephased_trials_take_the_kernels_of_noisy_ones(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))  # where none is compiled yet
    stacks = plan_stacks([parse_study(tiny_values(arms=[dephased_arm("all")]))], set())
    noisy = plan_stacks([parse_study(tiny_values(arms=[tiny_values()["arms"][1] | {"noise": [0.1]}]))], set())
    names = {kernel.name for kernels, _ in kernels_to_compile(stacks) for kernel in kernels}
    assert {"evaluate_noisy", "differentiate_noisy"} < names
    assert kernels_to_compile(stacks) == kernels_to_compile(noisy)
    assert cost(stacks[0]) == cost(noisy[0])


def test_a_diverging_trial_is_recorded_as_failed_with_its_name():
    wild = make_trials(parse_study(diverging_values()))[0].trial
    (record,) = run_stack((wild,))
    assert record.error is not None
    assert wild.hash in record.error
    assert "lower lr" in record.error


def test_experts_that_do_not_fit_the_classes_are_refused_with_the_remedy():
    model = {"router": {"kind": "linear"}, "experts": {"kind": "linear", "out_features": 3}}
    study = parse_study(tiny_values(arms=[{"name": "a", "label": "a", "model": model}]))
    with pytest.raises(ConfigError, match="3 outputs for 2 classes; set head = true"):
        build_model(make_trials(study)[0].trial)


def test_first_weights_differ_with_the_draw_and_with_the_initialisation(tiny):
    weights = [
        torch.cat([p.flatten() for p in build_model(m.trial).parameters()])
        for m in make_trials(tiny)
        if m.arm == "quantum"
    ]
    assert len({tuple(w.tolist()) for w in weights}) == 6


def test_a_fresh_test_part_is_of_the_same_family_and_leaves_all_rows_to_training():
    plain = make_trials(parse_study(tiny_values()))[0].trial
    values = tiny_values()
    trials = [
        m.trial
        for m in make_trials(parse_study(tiny_values(data=values["data"] | {"test_samples": 500})))
        if m.arm == "linear"
    ]
    data = [prepare_data(trial.draw) for trial in trials[::2]]
    for trial, one in zip(trials[::2], data, strict=True):
        assert one.x_train.shape == (60, 2)
        assert one.x_test.shape == (500, 2)
        dataset = make_dataset("moons", n_samples=60, noise=0.1)
        np.testing.assert_array_equal(one.raw.x_train, dataset.sample(trial.draw.sample_seed).x)
        np.testing.assert_array_equal(one.raw.x_test, dataset.resized(500).sample(trial.draw.test_seed).x)
        assert one.y_test.bincount().tolist() == [250, 250]
    assert not (data[0].raw.x_test == data[1].raw.x_test).any()
    together = np.sort(np.concatenate([prepare_data(plain.draw).raw.x_train, prepare_data(plain.draw).raw.x_test]), 0)
    np.testing.assert_array_equal(together, np.sort(data[0].raw.x_train, 0))  # the draw itself is the same


def test_test_samples_survive_json_and_change_the_hash():
    values = tiny_values()
    study = parse_study(tiny_values(data=values["data"] | {"test_samples": 500}))
    again = parse_study(json.loads(study.model_dump_json()))
    assert again == study
    assert study.data.test_fraction == 0
    trial = make_trials(study)[0].trial
    assert TrialSpec.from_json(trial.canonical) == trial
    assert trial.hash != make_trials(parse_study(values))[0].trial.hash


@pytest.mark.parametrize(
    ("data", "message"),
    [({"name": "moons", "test_fraction": 0.3}, "drop test_fraction = 0.3"),
     ({"name": "digits"}, "its rows are given, not sampled"), ({"name": "synthetic"}, "every seed draws other clusters"),
     ({"name": "mnist4x4_sample"}, "its images are counted")],
)  # fmt: skip
def test_test_samples_that_cannot_be_had_are_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        parse_study(tiny_values(data=data | {"test_samples": 500}))


def test_accuracy_on_fresh_points_is_found_once_and_is_that_of_the_model():
    values = tiny_values()
    study = parse_study(tiny_values(data=values["data"] | {"test_samples": 500}))
    trials = tuple(m.trial for m in make_trials(study) if m.arm == "quantum")
    for record in run_stack(trials):
        assert set(record.history) == {"loss", "running_accuracy"}
        data, model = prepare_data(record.trial.draw), build_model(record.trial)
        model.load_state_dict(safetensors.torch.load(record.state))
        right = model(data.x_test.float()).argmax(-1) == data.y_test
        assert record.metrics["test_accuracy"] == pytest.approx(float(right.double().mean()), abs=1e-12)


def test_components_are_taken_before_scaling_and_decide_the_number_of_features():
    values = tiny_values(data={"name": "mnist4x4_sample", "options": {"n_samples": 60}, "components": 2,
                               "scaling": "minmax_pi", "test_fraction": 0.5})  # fmt: skip
    trial = make_trials(parse_study(values))[0].trial
    data = prepare_data(trial.draw)
    assert data.x_train.shape == (30, 2)
    assert data.raw.x_train.shape == (30, 16)
    assert float(data.x_train.max()) == pytest.approx(math.pi)
    assert build_model(trial).router.in_features == 2


def test_components_of_a_table_are_of_standardised_features_unless_it_is_said_otherwise(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(f"{a:.4f},{b:.4f},{1000 * c:.1f},{'xy'[int(a + b > 1)]}\n" for a, b, c in rng.uniform(size=(40, 3)))
    (tmp_path / "mine.csv").write_text("a,b,c,kind\n" + rows)
    data = {"name": "table", "options": {"path": str(tmp_path / "mine.csv"), "target": "kind"}, "components": 2}

    def trial(**more):
        return make_trials(parse_study(tiny_values(data={**data, **more})))[0].trial

    unsaid, yes, no = trial(), trial(standardise=True), trial(standardise=False)
    assert unsaid.hash == yes.hash != no.hash
    raw, standardised = (prepare_data(each.draw).scaler.axes for each in (no, yes))
    assert abs(raw[0, 2]) > 0.999
    assert abs(standardised[0, 2]) < 0.999
    assert TrialSpec.from_json(no.canonical).hash == no.hash


def test_components_of_features_in_one_unit_are_of_the_features_as_they_are():
    data = {"name": "digits", "components": 2}
    unsaid, no, yes = (
        make_trials(parse_study(tiny_values(data={**data, **more})))[0].trial
        for more in ({}, {"standardise": False}, {"standardise": True})
    )
    assert unsaid.hash == no.hash != yes.hash
    assert "standardise" not in unsaid.canonical


def test_a_stored_study_whose_components_were_of_the_features_as_they_are_stays_what_it_was(tmp_path):
    (tmp_path / "mine.csv").write_text("a,b,kind\n" + "".join(f"0.{i},{i}.5,{i % 2}\n" for i in range(20)))
    data = {"name": "table", "options": {"path": str(tmp_path / "mine.csv"), "target": "kind"}, "components": 1}
    raw, read = (parse_study(tiny_values(data={**data, **more})) for more in ({"standardise": False}, {}))
    assert parse_study(json.loads(raw.canonical), stored=True) == raw != read
    assert parse_study(json.loads(read.canonical), stored=True) == read


def test_standardise_without_components_is_refused():
    with pytest.raises(ConfigError, match="standardise is about components, and none are asked for"):
        parse_study(tiny_values(data={"name": "moons", "standardise": True}))


def test_more_components_than_features_are_refused_when_the_study_is_read():
    with pytest.raises(ConfigError, match=r"components = 3 of 2 feature\(s\)"):
        parse_study(tiny_values(data={"name": "moons", "components": 3}))


def test_a_router_alone_has_the_weights_that_it_has_in_its_mixture():
    for trial in {m.arm: m.trial for m in make_trials(load_preset("ladder-hyperplanes"))}.values():
        alone, within = build_router(trial), build_model(trial).router
        assert type(alone) is type(within)
        ours, theirs = alone.state_dict(), within.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
