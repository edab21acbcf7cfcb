"""The ladder on a table of the user's own."""

import numpy as np
import pytest

from qmoe.claims import ablation_study, ladder_claims
from qmoe.errors import ConfigError
from qmoe.studies import RUNGS, load_preset


@pytest.fixture
def table(tmp_path):
    """Six features, two classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    lines = [",".join([*(f"{v:.3f}" for v in row), "ab"[int(row[0] > 0)]]) for row in x]
    path = tmp_path / "My Wine.csv"
    path.write_text("\n".join([",".join([*(f"f{i}" for i in range(6)), "Kind"]), *lines]))
    return path


def test_wide_tables_are_reduced_to_a_component_for_each_qubit(table):
    study = ablation_study(table, "Kind")
    assert study.name == "ablate-my-wine-kind"
    assert study.data.components == study.arms[0].model.router.n_qubits == 4
    assert "The features are standardised and reduced to 4 principal components" in study.about
    assert study.data.standardise is True
    assert study.learning_rates == (0.1, 0.025, 0.4)
    assert {"no-entangler", "twin", "dephased-all", "random-labels"} <= {arm.name for arm in study.arms}


def test_counts_of_one_have_no_plural(table):
    about = ablation_study(table, "Kind", qubits=1, layers=1, epochs=1).about
    assert "The router has 1 qubit and 1 layer, and" in about
    assert "Training takes 1 epoch at" in about
    assert about.endswith("reduced to their first principal component.")


def test_as_many_qubits_as_features_take_the_features_themselves(table):
    study = ablation_study(table, "Kind", qubits=6, rungs=("linear", "twin"))
    assert study.data.components is None
    assert [arm.name for arm in study.arms] == ["quantum", "twin", "linear"]


def test_the_rows_are_named_by_their_content(table):
    digest = ablation_study(table, "Kind").data.options["digest"]
    table.write_text(table.read_text() + "\n1,1,1,1,1,1,a")
    assert ablation_study(table, "Kind").data.options["digest"] != digest


def test_more_qubits_than_features_are_refused(table):
    with pytest.raises(ConfigError, match="7 qubits for 6 features"):
        ablation_study(table, "Kind", qubits=7)


def test_an_unknown_circuit_is_told_in_one_line(table):
    with pytest.raises(ConfigError) as told:
        ablation_study(table, "Kind", circuit="iqpp")
    assert str(told.value).endswith(
        "Unknown circuit 'iqpp'; did you mean 'iqp'? Known: data_reuploading, dressed, iqp."
    )


def test_unknown_rungs_are_refused_with_those_there_are(table):
    with pytest.raises(ConfigError, match="did you mean 'twin'"):
        ablation_study(table, "Kind", rungs=("twinn",))


def test_a_ladder_is_asked_what_its_rungs_can_answer(table):
    claims = ladder_claims(ablation_study(table, "Kind"))
    assert [claim.tests[0].b.arm for claim in claims] == ["linear", "no-entangler", "dephased-all", "twin"]
    assert [claim.id for claim in claims] == ["A1", "A2", "A3", "A4"]
    # Which axis is dephased is nobody's business but the control's; functions go with it, so a chain has as many.
    assert [test.b.arm for test in claims[2].tests] == ["dephased-all", "dephased-x", "dephased-y", "stochastic"]
    assert claims[2].combine == "all"
    assert all(claim.studies == ("ablate-my-wine-kind",) for claim in claims)
    assert "On Kind in My Wine.csv, the quantum router" in claims[0].statement
    few = ladder_claims(ablation_study(table, "Kind", rungs=("twin",)))
    assert [claim.tests[0].b.arm for claim in few] == ["twin"]
    assert ladder_claims(load_preset("phase1-synthetic-heldout")) == []


def test_rungs_are_those_of_the_ladder():
    assert len(RUNGS) == 26


def test_an_arm_with_noise_strengths_is_asked_at_the_first(table):
    study = ablation_study(table, "Kind", rungs=("twin", "no-entangler"))
    noisy = study.arms[0].model_copy(update={"noise": (0.05, 0.1)})
    study = study.model_copy(update={"arms": (noisy, *study.arms[1:])})
    first = ladder_claims(study)[0].tests[0]
    assert (first.a.arm, first.a.noise) == ("quantum", 0.05)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (
            [25 + i // 2 for i in range(100)],
            r"column 'y' holds 50 different numbers in 100 rows: ablate compares classifiers",
        ),
        ([f"w{i // 2}" for i in range(100)], r"holds 50 different words in 100 rows.*low and high"),
        (
            [*"ab" * 20, "c"],
            r"holds 3 different labels in 41 rows.*drop these rows.*The rarest: 'c' \(1 row\), 'a' \(20 rows\)",
        ),
    ],
)
def test_a_target_that_cannot_be_split_is_refused_before_training(tmp_path, labels, says):
    path = tmp_path / "sugar.csv"
    path.write_text("\n".join(["x,y", *(f"{(7 * i % 100) / 10},{label}" for i, label in enumerate(labels))]))
    with pytest.raises(ConfigError, match=says) as error:
        ablation_study(path, "y")
    assert str(error.value).count("row)") + str(error.value).count("rows)") <= 5
