"""Accuracy under noise and few shots as measurements of a study."""

import numpy as np
import pytest

from qmoe.errors import ConfigError
from qmoe.studies import InProcess, LocalProcesses, Store, load_preset, make_trials, parse_study, run_studies
from qmoe.studies.noise_measures import (
    accuracy_under_noise,
    measure_noise,
    missing_noise,
    noise_cells,
    noise_surfaces,
    surface_trials,
)
from qmoe.studies.run.keeping import Keeping
from tiny_study import tiny_values

LINEAR = {"name": "linear", "label": "linear", "model": {"router": {"kind": "linear"}, "experts": {"kind": "linear"}}}


def noisy_values(router=None, model=None, noise=None, **changes):
    """A study of one noisy arm at two strengths, with all four protocols."""
    own = {"router": {"kind": "quantum"} | (router or {}), "experts": {"kind": "linear"}} | (model or {})
    arms = [{"name": "quantum", "label": "quantum", "noise": [0.0, 0.3], "model": own}, LINEAR]
    table = {"shots": [8, 64], "against": "linear"} if noise is None else noise
    return tiny_values(seeds={"data": 6, "per_data": 1}, arms=arms, noise=table, **changes)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    study = parse_study(noisy_values())
    with Store(tmp_path_factory.mktemp("noise") / "store.sqlite") as store:
        run_studies([study], store)
        ((results, cells),) = missing_noise([study], store)
        measure_noise(results, cells, store)
        yield study, store


def test_every_protocol_strength_and_number_of_shots_is_measured_once(measured):
    study, store = measured
    assert missing_noise([study], store) == []
    found = store.measurements()
    assert found.keys() == {accuracy_under_noise(study, protocol) for protocol in study.noise.protocols}
    names = {f"quantum at p = {p}, {n}" for p in ("0", "0.3") for n in ("8 shots", "64 shots", "exact")}
    assert {frozenset(named) for named in found.values()} == {frozenset(names)}
    assert {values.shape for named in found.values() for values in named.values()} == {(6,)}


def test_exact_values_of_retrained_models_are_those_at_the_end_of_their_training(measured):
    study, store = measured
    results = store.load(study.name)
    surface = noise_surfaces(results, store.measurements())["quantum", "retrained"]
    assert surface.strengths == (0.0, 0.3)
    assert surface.shots == (8, 64, None)
    for place, strength in enumerate(surface.strengths):
        own = [record.metrics["test_accuracy"] for record in results.of("quantum", strength)]
        assert surface.accuracy[:, place, 2].tolist() == pytest.approx(own)


def test_protocols_begin_at_the_same_models_without_noise(measured):
    study, store = measured
    found = noise_surfaces(store.load(study.name), store.measurements())
    clean = {protocol: found["quantum", protocol].accuracy[:, 0, 2].tolist() for protocol in study.noise.protocols}
    assert clean["evaluated"] == clean["retrained"] == clean["mitigated"]
    assert [t.data_seed for t in surface_trials(store.load(study.name), "quantum")] == [0, 1, 2, 3, 4, 5]


def test_numbers_do_not_depend_on_workers_or_on_what_was_measured_before(measured, tmp_path):
    study, store = measured
    results = store.load(study.name)
    cells = [cell for cell in noise_cells(results) if cell.shots == 8]
    executor = LocalProcesses(2)
    with Store(tmp_path / "other.sqlite") as other:
        measure_noise(results, cells[::-1], other, executor)
        found = other.measurements()
    executor.shutdown()
    assert sum(map(len, found.values())) == len(cells) == 8
    before = store.measurements()
    assert all(
        np.array_equal(v, before[quantity][name]) for quantity, named in found.items() for name, v in named.items()
    )


def test_what_was_interrupted_goes_on_where_it_was(measured, tmp_path):
    study, store = measured
    results, done = store.load(study.name), []

    class InterruptionError(Exception):
        pass

    def stop():
        done.append(1)
        if len(done) == 4:
            raise InterruptionError

    with Store(tmp_path / "store.sqlite") as other:
        run_studies([study], other)
        ((fresh, cells),) = missing_noise([study], other)
        with pytest.raises(InterruptionError):
            measure_noise(fresh, cells, other, InProcess(), stop)
        ((_, left),) = missing_noise([study], other)
        assert len(left) == len(cells) - 4
        measure_noise(fresh, left, other)
        assert {q: {n: v.tolist() for n, v in named.items()} for q, named in other.measurements().items()} == {
            q: {n: v.tolist() for n, v in named.items()} for q, named in store.measurements().items()
        }
    assert results.study == fresh.study


def test_few_seeds_and_unfinished_studies_are_not_measured(tmp_path):
    study = parse_study(noisy_values())
    with Store(tmp_path / "store.sqlite") as store:
        store.save_study(study)
        assert missing_noise([study], store) == []
        few = study.resized(5)
        run_studies([few], store)
        assert missing_noise([few], store) == []


def test_a_study_that_keeps_figures_keeps_the_weights_that_are_measured():
    study = parse_study(noisy_values(keep="figures"))
    keeping = Keeping([study])
    lost = {m.arm for m in make_trials(study) if m.trial.hash in keeping._no_weights}
    assert lost == {"linear"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            noisy_values(noise={"protocols": ["retrained", "mitigatd"]}),
            "unknown noise protocol 'mitigatd'; did you mean",
        ),
        (noisy_values(noise={"protocols": ["evaluated", "evaluated"]}), "protocols lists one twice"),
        (noisy_values(noise={"shots": [8, 8]}), "shots lists one twice"),
        (noisy_values(noise={"shots": [2]}), "'mitigated' runs 3 circuits"),
        (noisy_values(noise={"scales": [1]}), "at least two different integers"),
        (noisy_values(noise={"protocols": ["evaluated"], "scales": [1, 3]}), "scales is of 'mitigated'"),
        (noisy_values(noise={"against": "lienar"}), "no arm without noise is called 'lienar'; did you mean 'linear'"),
        (noisy_values(noise={"against": "quantum"}), "no arm without noise is called 'quantum'"),
        (noisy_values({"readout": "born"}), "'recalibrated' fits the adapter"),
        (noisy_values(model={"top_k": 1}), "'recalibrated' fits the adapter"),
        (tiny_values(noise={}), "there is none"),
        (noisy_values(multiverse={"rotation": ["X", "Z"]}), "give each a study of its own"),
        (noisy_values(protocol="published", data={"name": "moons", "test_fraction": 0.0}), "measures on held-out data"),
    ],
)
def test_what_cannot_be_measured_is_refused_when_the_study_is_read(values, words):
    with pytest.raises(ConfigError, match=words):
        parse_study(values)


def test_other_protocols_take_routers_without_an_adapter():
    study = parse_study(noisy_values({"readout": "born"}, noise={"protocols": ["evaluated", "mitigated"]}))
    assert study.noise.protocols == ("evaluated", "mitigated")


def test_noise_decides_nothing_about_trials():
    study = load_preset("phase3b-heldout")
    assert study.noise.protocols == ("retrained", "evaluated", "recalibrated", "mitigated")
    without = study.model_copy(update={"noise": None})
    assert [m.trial.hash for m in make_trials(study)] == [m.trial.hash for m in make_trials(without)]
