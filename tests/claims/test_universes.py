"""The results of a study at its specifications, as the judge takes them."""

import numpy as np
import pytest

from qmoe.claims import ArmRuns, StudyRuns, runs_of
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.analyses.universes import universes
from qmoe.studies import Store, parse_study, run_studies
from tiny_study import tiny_values


def runs(loss, done=None, failed=None):
    """One arm with two draws of the data and two starts each."""
    done = np.ones(4, dtype=bool) if done is None else np.array(done)
    failed = np.zeros(4, dtype=bool) if failed is None else np.array(failed)
    values = {"test_accuracy": np.array([0.1, 0.2, 0.3, 0.4]), "loss": np.array(loss)}
    return ArmRuns("arm", np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), values, done, failed)


def best(arm):
    return StudyRuns("study", {("arm", None): arm}).best_starts().arms[("arm", None)]


def test_the_best_start_of_each_draw_is_that_of_the_least_loss():
    found = best(runs([2.0, 1.0, 1.0, 2.0]))
    assert found.values["test_accuracy"].tolist() == [0.2, 0.3]
    assert found.data_seeds.tolist() == [0, 1]
    assert found.init_seeds.tolist() == [0, 0]
    assert found.done.all()


def test_a_draw_with_a_missing_start_has_not_run_yet():
    found = best(runs([2.0, np.nan, 1.0, 2.0], done=[True, False, True, True]))
    assert found.done.tolist() == [False, True]
    assert found.n_missing == 1


def test_a_start_that_broke_off_is_none_of_the_best_unless_all_did():
    found = best(runs([2.0, np.nan, np.nan, np.nan], [True, False, False, False], [False, True, True, True]))
    assert found.done.tolist() == [True, False]
    assert found.failed.tolist() == [False, True]
    assert found.values["test_accuracy"][0] == 0.1


def test_every_specification_that_ran_is_one_universe(tmp_path):
    values = tiny_values(seeds={"data": 2, "per_data": 1}, training={"epochs": 1}, lr_factors=[0.5])
    optimisers = ["adam", "adam-best", "lbfgs-best"]
    values["multiverse"] = {"rotation": ["X", "Z"], "optimiser": optimisers, "starts": 2, "max_iterations": 3}
    study = parse_study(values)
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([study], store)
        results = store.load(study.name)
    found = universes(results)
    assert dict(found[0].choices) == {"rotation": "X", "optimiser": "adam"}
    assert len({u.key for u in found}) == len(found) == 6
    own = runs_of(results).at(study.training.lr)
    for key, arm in found[0].runs.arms.items():
        assert arm.values["test_accuracy"].tolist() == own.arms[key].values["test_accuracy"].tolist()
    by_choice = {(u.choices["rotation"], u.choices["optimiser"]): u.runs.arms[("linear", None)] for u in found}
    assert by_choice["X", "adam-best"].tried == (0.05, 0.1)
    best_of = by_choice["X", "lbfgs-best"]
    assert (len(best_of.data_seeds), best_of.init_seeds.tolist()) == (2, [0, 0])


def test_a_study_without_alternatives_has_no_universes(tmp_path):
    study = parse_study(tiny_values(seeds={"data": 2, "per_data": 1}, training={"epochs": 1}))
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([study], store)
        assert universes(store.load(study.name)) == ()


@pytest.mark.parametrize(
    ("choice", "alternative", "words", "short"),
    [
        ("scaling", "minmax_pi", "scaled to [0, π]", "[0, π]"),
        ("scaling", "standard", "standardised", "standardised"),
        ("scaling", "unit_norm", "unit norm", "unit norm"),
        ("rotation", "Z", "rotation Z", "Z"),
        ("optimiser", "adam-best", "Adam, each arm at its best rate", "Adam, best rate"),
        ("optimiser", "lbfgs-best", "L-BFGS, best of 8 starts", "L-BFGS, best start"),
        ("epochs", "50", "50 epochs", "50"),
        ("epochs", "to a minimum", "trained to convergence", "to convergence"),
        ("initial_scale", "0.5", "first weights times 0.5", "0.5"),
    ],
)
def test_choices_have_words(choice, alternative, words, short):
    assert alternative_words(choice, alternative, starts=8) == words
    assert alternative_words(choice, alternative, starts=8, short=True) == short


def test_a_choice_has_a_name_and_starts_that_are_not_known_are_several():
    assert choice_words("rotation") == "encoding axis"
    assert alternative_words("optimiser", "lbfgs-best") == "L-BFGS, best of several starts"
