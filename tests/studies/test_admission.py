"""Predictions of trials, memory and time: exact where they count, never far below what is measured, and what they refuse."""

import itertools
from pathlib import Path

import pytest

from qmoe.data import make_dataset
from qmoe.engines import memory
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.experts import EXPERTS
from qmoe.routers import ROUTERS
from qmoe.studies import (
    InProcess,
    LocalProcesses,
    Store,
    load_preset,
    make_trials,
    parse_study,
    plan_stacks,
    preset_names,
    run_studies,
)
from qmoe.studies.admission.counting import n_trials
from qmoe.studies.admission.footprint import MAX_STACK_BYTES, footprint, largest_stack, part_sizes
from qmoe.studies.admission.part_sizes import n_outputs
from qmoe.studies.admission.plan import PROCESS_BYTES, Prediction, admit, duration, fitting_workers, predict
from qmoe.studies.assembly import build_model, n_trainable, prepare_data, row_counts
from qmoe.studies.specifications import all_members
from qmoe.training import ModelStack
from qmoe.training.compiled import compiled_parts
from tiny_study import tiny_values

GIB = 1 << 30
MOONS = {"name": "moons", "options": {"n_samples": 500, "noise": 0.1}, "scaling": "minmax_pi"}


def one_arm(router, experts=None, data=None, **changes):
    """A study of one arm; on four features of hyperplanes by default."""
    model = {"router": router, "experts": experts or {"kind": "linear"}, "n_experts": 3} | changes.pop("model", {})
    data = data or {"name": "hyperplanes", "options": {"n_features": 4, "n_samples": 100}}
    return parse_study(tiny_values(arms=[{"name": "a", "label": "a", "model": model}], data=data, **changes))


def first_trial(*args, **kwargs):
    return make_trials(one_arm(*args, **kwargs))[0].trial


# --- time --------------------------------------------------------------------------------------------------------------


def test_a_circuit_that_is_measured_at_nodes_costs_by_these():
    def operations(batch_size, n_layers):
        changes = {"training": {"epochs": 2, "batch_size": batch_size, "lr": 0.1}}
        return footprint(first_trial({"kind": "quantum", "n_layers": n_layers}, data=MOONS, **changes)).operations

    # Two qubits have 9 nodes: fewer than a quarter of 400 rows, more than that of 20.
    by_nodes, by_rows = (operations(size, 30) - operations(size, 3) for size in (400, 20))
    assert by_nodes < 0.15 * by_rows


def test_l_bfgs_is_predicted_by_the_iterations_that_it_usually_takes():
    def operations(max_iterations):
        training = {"optimiser": "lbfgs", "max_iterations": max_iterations, "dtype": "float64"}
        return footprint(first_trial({"kind": "linear"}, training=training)).operations

    assert operations(1_000) == operations(2_000) == pytest.approx(4.41 * operations(100))


# --- counts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", preset_names())
def test_the_number_of_trials_of_a_preset_is_exact(name):
    study = load_preset(name).resized(2)
    members = list(all_members(study))
    assert n_trials(study) == len(members)
    assert sum(map(len, plan_stacks([study], set()))) == len(members)


@pytest.mark.parametrize(
    "multiverse",
    [
        {"epochs": [1, 2, 3], "initial_scale": [1.0, 0.5]},
        {"optimiser": ["adam", "adam-best", "lbfgs-best"], "epochs": [2, 4], "lr_factors": [0.5, 2.0], "starts": 5},
        {"optimiser": ["lbfgs-best"], "data": 2, "starts": 1, "arms": ["linear"]},
        {"rotation": ["X", "Y", "Z"], "per_data": 1},
    ],
)
def test_trials_that_analyses_share_count_once(multiverse):
    study = parse_study(tiny_values(multiverse=multiverse, lr_factors=[0.5]))
    assert n_trials(study) == len(list(all_members(study)))


def test_arms_of_one_model_count_once():
    values = tiny_values()
    values["arms"].append(values["arms"][0] | {"name": "again"})
    study = parse_study(values)
    assert n_trials(study) == 12
    assert len(make_trials(study)) == 18


@pytest.mark.parametrize(
    "data",
    [
        {"name": "moons", "options": {"n_samples": 61}},
        {"name": "moons", "test_samples": 33},
        {"name": "digits"},
        {"name": "mnist4x4"},
        {"name": "mnist4x4_sample", "options": {"n_samples": 70}},
        {"name": "xor", "options": {"n_samples": 50}, "test_fraction": 0.33},
    ],
)
def test_rows_are_counted_without_drawing_them(data):
    trial = first_trial({"kind": "linear"}, data=data, model={"head": True})
    prepared = prepare_data(trial.draw)
    assert row_counts(trial.data) == (len(prepared.x_train), len(prepared.x_test))


def test_a_data_set_of_a_users_own_is_drawn_to_count_its_rows():
    assert make_dataset("digits", classes=(0, 1)).part_sizes(0.0) == (360, 0)


# --- sizes -------------------------------------------------------------------------------------------------------------

_OPTIONS = {"mlp": [{"hidden": 5}], "chebyshev": [{"degree": 1}, {"degree": 2}], "trigonometric": [{"max_frequency": 2}],
            "random_fourier": [{"n_functions": 10}], "stochastic": [{"n_layers": 2}], "single": [{"expert": 1}],
            "twin": [{}, {"n_qubits": 2}, {"sampling": "distinct", "n_functions": 20}],
            "quantum": [{}, {"n_qubits": 2}, {"encoding": "amplitude"}, {"readout": "born"}, {"n_layers": 0},
                        {"ansatz": "basic_entangler"}, {"ansatz": "no_entangler", "noise": 0.1},
                        {"encoding": "amplitude", "readout": "born"}]}  # fmt: skip
_ROUTERS = [(kind, options) for kind in ROUTERS for options in _OPTIONS.get(kind, [{}])]


@pytest.mark.parametrize(("kind", "options"), _ROUTERS)
def test_the_size_of_a_router_is_that_of_the_one_that_is_built(kind, options):
    trial = first_trial({"kind": kind, **options})
    router = build_model(trial).router
    predicted = part_sizes(trial.model, trial.data)[0].numbers
    tensors = [*router.parameters(), *router.buffers()]
    built = sum(t.numel() * t.element_size() // 4 for t in tensors)
    assert abs(predicted - built) <= 2 + 0.02 * built, (predicted, built)


@pytest.mark.parametrize("kind", EXPERTS)
@pytest.mark.parametrize("options", [{}, {"more": True}])
def test_the_size_of_experts_is_that_of_those_that_are_built(kind, options):
    more = {"quantum": {"readout": "born"}, "linear": {"out_features": 5}, "mlp": {"out_features": 5, "hidden": 7}}
    chosen = {"kind": kind, **(more[kind] if options else {})}
    trial = first_trial({"kind": "linear"}, experts=chosen, model={"head": True})
    model = build_model(trial)
    _, experts, head = part_sizes(trial.model, trial.data)
    assert (experts.numbers, head) == (n_trainable(model.experts), n_trainable(model.head))
    assert n_outputs(trial.model.experts, 4, 2) == model.experts.out_features


#: Shapes, trials side by side, and MiB that training them took beyond what the process had, on a machine of two cores.
MEASURED = [
    ({"kind": "mlp", "hidden": 4096}, {}, 64, 500, 32, 194),
    ({"kind": "mlp", "hidden": 16384}, {"training": {"epochs": 2, "batch_size": 512}}, 256, 500, 4, 427),
    ({"kind": "quantum"}, {}, 12, 200, 8, 85),
    ({"kind": "quantum"}, {"training": {"epochs": 1, "batch_size": 256}}, 12, 600, 8, 138),
    ({"kind": "quantum"}, {"training": {"epochs": 1}}, 16, 64, 2, 137),
    ({"kind": "quantum", "noise": 0.1}, {"training": {"epochs": 1}}, 7, 64, 2, 83),
    ({"kind": "quantum", "noise": 0.1, "n_layers": 1}, {"training": {"epochs": 1}}, 8, 64, 1, 263),
    ({"kind": "quantum", "engine": "torch"}, {"training": {"epochs": 1, "batch_size": 256}}, 10, 600, 4, 267),
    ({"kind": "quantum", "engine": "torch", "noise": 0.1}, {}, 4, 500, 8, 104),
    ({"kind": "linear"}, {"training": {"epochs": 2, "batch_size": 1000}}, 10, 200_000, 4, 208),
    ({"kind": "linear"}, {"training": {"epochs": 100_000}}, 3, 20, 8, 108),
    ({"kind": "twin"}, {}, 7, 3000, 8, 396),
]  # fmt: skip


@pytest.mark.parametrize(("router", "changes", "n_features", "n_samples", "m", "measured"), MEASURED)
def test_predicted_memory_is_about_what_was_measured_and_never_far_below(
    router, changes, n_features, n_samples, m, measured
):
    data = {"name": "hyperplanes", "options": {"n_features": n_features, "n_samples": n_samples}}
    changes = {"training": {"epochs": 2}} | changes
    trial = first_trial(router, data=data, model={"n_experts": 2}, **changes)
    predicted = footprint(trial).bytes(m) / (1 << 20)
    assert 0.75 * measured <= predicted <= 2.5 * measured


# --- stacks ------------------------------------------------------------------------------------------------------------


def test_a_stack_is_no_larger_than_its_bytes_allow_and_holds_one_trial_at_least():
    small, wide = first_trial({"kind": "linear"}), first_trial({"kind": "mlp", "hidden": 50_000})
    assert largest_stack(small) == 128
    assert 1 <= largest_stack(wide) < 128
    assert footprint(wide).bytes(largest_stack(wide)) <= MAX_STACK_BYTES
    study = one_arm({"kind": "mlp", "hidden": 50_000}, seeds={"data": 100, "per_data": 1})
    assert max(map(len, plan_stacks([study], set()))) <= largest_stack(wide)
    assert largest_stack(first_trial({"kind": "mlp", "hidden": 10**8})) == 1


def test_stacks_are_planned_without_drawing_any_data(tiny, monkeypatch):
    study = tiny.model_copy(update={"name": "undrawn"})
    monkeypatch.setattr("qmoe.studies.assembly.prepare_data", None)
    assert sum(map(len, plan_stacks([study], set()))) == 12


def test_prepared_data_are_kept_by_their_bytes():
    size = prepare_data.cache.getsizeof(prepare_data(first_trial({"kind": "linear"}).draw))
    x, y = 100 * 4 * 8, 100 * 8
    assert size == 2 * x + y
    assert prepare_data.cache.maxsize == 256 << 20
    assert prepare_data.cache.currsize <= prepare_data.cache.maxsize


# --- admission ---------------------------------------------------------------------------------------------------------


def prediction(**changes):
    values = {
        "n_trials": 1_000,
        "here": 2 << 20,
        "stack": 1 << 30,
        "seconds": 60.0,
        "lower": "n_qubits",
        "longest": "s",
    }
    return Prediction(**values | changes)


@pytest.fixture
def free(monkeypatch):
    """Sets how much memory is free."""
    return lambda n: monkeypatch.setattr("qmoe.studies.admission.plan.free_bytes", lambda: n)


def test_what_fits_is_admitted_and_what_does_not_is_refused_with_the_number_and_what_to_lower(free):
    free(4 * GIB)
    admit(prediction(), 2)
    free(2 * GIB)
    with pytest.raises(
        UnsupportedError, match=r"2\.88 GiB .* 2 GiB are free: 2 workers .* n_qubits, or take fewer work"
    ):
        admit(prediction(), 2)
    with pytest.raises(UnsupportedError, match=r"1,000,000,000 trials take .*Lower seeds, arms"):
        admit(prediction(n_trials=10**9, here=2_500 * 10**9), 2)
    admit(prediction(), None)  # memory of workers elsewhere is not ours to know
    admit(prediction(), 1)


def test_what_would_take_over_a_year_is_refused(free):
    free(None)
    with pytest.raises(UnsupportedError, match=r"predicted to take 3 years, most of it for the study s"):
        admit(prediction(seconds=1e8), 1)
    admit(prediction(seconds=1e8), 1, n_at_once=4)


def test_as_many_workers_as_fit(free):
    each = PROCESS_BYTES + GIB
    free(3 * each + (2 << 20))
    assert fitting_workers(prediction(), 8) == 3
    assert fitting_workers(prediction(), 2) == 2
    free(1)
    assert fitting_workers(prediction(), 8) == 1
    free(None)
    assert fitting_workers(prediction(), 8) == 8


@pytest.mark.parametrize("executor", [InProcess(), LocalProcesses(2)])
def test_a_study_that_does_not_fit_is_refused_before_anything_is_built_or_stored(
    tiny, free, tmp_path, monkeypatch, executor
):
    free(1 << 20)
    monkeypatch.setattr("qmoe.studies.run.runner.check_models", None)
    with Store(tmp_path / "store.sqlite") as store:
        with pytest.raises(UnsupportedError, match="force=True"):
            run_studies([tiny], store, executor)
        assert store.study_names() == []


def test_a_python_user_can_go_on_all_the_same(tiny, free, tmp_path):
    free(1 << 20)
    study = tiny.model_copy(update={"arms": tiny.arms[:1]}).resized(1)
    with Store(tmp_path / "store.sqlite") as store:
        assert run_studies([study], store, force=True).ran == 2


def test_a_prediction_adds_studies_up(tiny):
    twice = predict([tiny, tiny.model_copy(update={"name": "again"})])
    assert twice.n_trials == 2 * predict([tiny]).n_trials == 24
    assert twice.bytes(2) - twice.bytes(1) == PROCESS_BYTES + twice.stack
    assert predict([]).n_trials == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr_factors": [k + 2.0 for k in range(101)]}, "at most 100 items"),
        (
            {"multiverse": {"epochs": [*range(1, 40)], "initial_scale": [k + 1.0 for k in range(40)]}},
            "1560 combinations",
        ),
        ({"seeds": {"data": 10**12}}, "less than or equal to 2147483647"),
        ({"training": {"epochs": 10**12}}, "less than or equal to 1000000"),
        ({"data": {"name": "moons", "options": {"n_samples": 10**10}}}, "at most 1000000000"),
    ],
)
def test_what_nobody_means_is_refused_where_it_is_read(changes, words):
    with pytest.raises(ConfigError, match=words):
        parse_study(tiny_values(**changes))


def test_too_many_kinds_of_trials_are_refused_before_they_are_listed():
    model = tiny_values()["arms"][1]["model"]
    noise = [k / 1000 for k in range(1000)]
    arms = [{"name": f"a{i}", "label": "a", "model": model, "noise": noise} for i in range(400)]
    with pytest.raises(ConfigError, match="400,000 kinds of trials, and 300,000 is the most"):
        predict([parse_study(tiny_values(arms=arms))])


def test_a_ladder_on_a_circuit_that_no_machine_holds_is_refused_when_it_is_read(monkeypatch):
    monkeypatch.setattr("qmoe.studies.admission.plan.machine_bytes", lambda: 8 * GIB)
    with pytest.raises(UnsupportedError, match="32 GiB, and this machine has 8 GiB; lower n_qubits"):
        one_arm({"kind": "quantum", "n_qubits": 16, "noise": 0.1}, ladder=True)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (90, "90 s"), (200, "3 minutes"), (9_000, "2 hours"), (1e9, "32 years")]
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_free_memory_is_the_least_that_anybody_allows(monkeypatch, tmp_path):
    limit, used = tmp_path / "memory.max", tmp_path / "memory.current"
    limit.write_text(f"{1000}\n")
    used.write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 300\n")
    monkeypatch.setattr(memory, "_CONTAINERS", ((limit, used), (Path("/nowhere/a"), Path("/nowhere/b"))))
    assert memory.free_bytes() == 400
    limit.write_text("max\n")
    assert (memory.free_bytes() or 0) > 400
    monkeypatch.setattr(memory, "_available", lambda: None)
    monkeypatch.setattr(memory, "_left_of_address_space", lambda: None)
    assert memory.free_bytes() == memory.machine_bytes()


def test_a_footprint_does_not_depend_on_seeds_or_strength():
    study = one_arm({"kind": "quantum"}, seeds={"data": 2, "per_data": 2})
    assert len({footprint(m.trial) for m in make_trials(study)}) == 1
    assert list(itertools.islice((footprint(m.trial).lower for m in make_trials(study)), 1)) != [""]


@pytest.mark.parametrize("kind", ["twin", "quantum"])
def test_a_map_in_front_is_not_predicted_to_take_as_long_as_autograd(kind):
    own, behind = (first_trial({"kind": kind, "n_qubits": n}) for n in (4, 5))
    assert footprint(behind).operations < 10 * footprint(own).operations


def test_only_what_does_not_train_in_machine_code_is_predicted_to_take_as_long_as_autograd():
    dense, sparse = (first_trial({"kind": "twin", "n_qubits": 2}, model={"top_k": k}) for k in (3, 1))
    assert footprint(sparse).operations > 10 * footprint(dense).operations


def test_the_batch_from_which_on_a_large_twin_behind_a_map_goes_to_autograd_is_predicted():
    data = {"name": "hyperplanes", "options": {"n_features": 4, "n_samples": 400}}
    operations = {}
    for batch_size in (130, 159, 160):  # of 6,560 functions
        trial = first_trial(
            {"kind": "twin", "n_qubits": 8, "n_layers": 4}, data=data, training={"batch_size": batch_size}
        )
        operations[batch_size] = footprint(trial).operations
        parts = compiled_parts(ModelStack([build_model(trial)]), 300, batch_size)
        assert (parts is None) == (batch_size == 160)
    assert operations[159] == operations[130]
    assert operations[160] > 1.2 * operations[159]
