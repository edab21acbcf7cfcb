"""Options given beside a study file, and grids of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmoe.errors import ConfigError
from qmoe.studies import parse_study
from qmoe.studies.overrides import Override, parse_override, with_overrides
from tiny_study import tiny_values


def applied(*texts):
    return [parse_study(values) for values in with_overrides(tiny_values(), [parse_override(text) for text in texts])]


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("training.epochs=20", ("training", "epochs"), (20,)),
        ("training.lr=0.03,0.1", ("training", "lr"), (0.03, 0.1)),
        ("data.scaling=standard", ("data", "scaling"), ("standard",)),
        ("data.scaling='a,b', \"c\"", ("data", "scaling"), ("a,b", "c")),
        ("arms.quantum.noise=[0.1, 0.2],[0.3]", ("arms", "quantum", "noise"), ([0.1, 0.2], [0.3])),
        ("arms.q.model.router.frozen=true,false", ("arms", "q", "model", "router", "frozen"), (True, False)),
    ],
)
def test_values_are_those_of_toml_and_bare_words_are_strings(text, path, values):
    assert parse_override(text) == Override(path, values)


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training.=3", "training.epochs=", ""])
def test_what_is_no_option_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"training\.epochs=20"):
        parse_override(text)


@given(st.text(max_size=40))
def test_any_text_is_an_option_or_refused(text):
    try:
        found = parse_override(text)
    except ConfigError:
        return
    assert found.path
    assert found.values


def test_one_value_changes_the_study_and_not_its_name():
    (study,) = applied("training.epochs=7", "arms.quantum.model.router.n_layers=1")
    assert study.training.epochs == 7
    assert study.name == "tiny"
    quantum = next(arm for arm in study.arms if arm.name == "quantum")
    assert quantum.model.router.n_layers == 1
    assert tiny_values()["training"]["epochs"] == 2


def test_a_grid_over_an_arm_makes_arms_in_its_place():
    (study,) = applied("arms.quantum.model.router.n_layers=1,2", "arms.quantum.model.router.rotation=Y,Z")
    assert [arm.name for arm in study.arms] == [
        "linear",
        "quantum-n-layers-1-rotation-y",
        "quantum-n-layers-1-rotation-z",
        "quantum-n-layers-2-rotation-y",
        "quantum-n-layers-2-rotation-z",
    ]
    assert [(arm.model.router.n_layers, arm.model.router.rotation) for arm in study.arms[1:]] == [
        (1, "Y"), (1, "Z"), (2, "Y"), (2, "Z"),
    ]  # fmt: skip
    assert study.arms[1].label == "quantum, n_layers = 1, rotation = Y"


def test_a_grid_over_the_study_makes_studies():
    one, other = applied("training.lr=0.03,0.1", "training.epochs=5")
    assert (one.name, other.name) == ("tiny-lr-0.03", "tiny-lr-0.1")
    assert (one.training.lr, other.training.lr) == (0.03, 0.1)
    assert one.title == "Tiny, lr = 0.03"
    assert {study.training.epochs for study in (one, other)} == {5}


def test_what_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"quantun.*did you mean 'quantum'"):
        applied("arms.quantun.noise=[0.1]")
    with pytest.raises(ConfigError, match="title is no table"):
        applied("title.size=3")
    with pytest.raises(ConfigError, match="epoch"):
        applied("training.epoch=3")
