"""Targets and options that are wrong: what is said of them, and of which row."""

import numpy as np
import pandas as pd
import pytest

import qmoe
from qmoe.errors import ConfigError

X = np.random.default_rng(0).normal(size=(6, 2))
DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-01", "NaT", "2020-01-01", "NaT"], dtype="datetime64[s]")


def classify(y, **options):
    return qmoe.QMoEClassifier("linear", epochs=1, random_state=0, **options).fit(X, y)


def regress(y):
    return qmoe.QMoERegressor("linear", epochs=1, random_state=0).fit(X, y)


def objects(*values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("y", "word"),
    [
        (objects(1.0, 2.0, 3.0, None, 5.0, 6.0), "None"),
        ([1.0, 2.0, 3.0, None, 5.0, 6.0], "None"),
        (objects(1.0, 2.0, 3.0, float("nan"), 5.0, 6.0), "NaN"),
        (np.array([1.0, 2.0, 3.0, np.nan, 5.0, 6.0]), "NaN"),
        (pd.Series([1, 2, 3, None, 5, 6], dtype="Int64"), "(<NA>|NaN)"),
    ],
)
def test_a_target_that_is_missing_is_named_with_its_row(y, word):
    with pytest.raises(ConfigError, match=f"Input y contains {word} at row 3; drop such rows or fill them in"):
        regress(y)


@pytest.mark.parametrize(
    ("y", "word"),
    [
        (objects(0, 1, 0, None, 0, None), "None"),
        (objects("a", "b", "a", None, "a", None), "None"),
        (["a", "b", "a", float("nan"), "a", float("nan")], "NaN"),
        (pd.Series(["a", "b", "a", None, "a", None], dtype="category"), "NaN"),
        (DAYS, "NaT"),
        (DAYS - DAYS[0], "NaT"),
        (objects(*DAYS), "NaT"),
        (pd.Series(DAYS), "NaT"),
        (pd.Series(DAYS).dt.tz_localize("UTC"), "NaT"),
    ],
)
def test_a_label_that_is_missing_is_named_with_its_row(y, word):
    with pytest.raises(ConfigError, match=f"Input y contains {word} at row 3 and 1 more; drop such rows"):
        classify(y)


@pytest.mark.parametrize(
    ("y", "shown"),
    [
        (np.array(["low", "high", "low", "high", "low", "high"]), "'low' at row 0"),
        (objects(1.0, 2.0, "high", 4.0, 5.0, 6.0), "'high' at row 2"),
        (["1", "2", "3", "4", "5", "6"], "'1' at row 0"),
        (np.array(["2020-01-01"] * 6, dtype="datetime64[D]"), "'2020-01-01' at row 0"),
    ],
)
def test_a_regressor_refuses_what_is_no_number(y, shown):
    with pytest.raises(ConfigError, match=f"y holds {shown}, expected numbers; labels are for QMoEClassifier"):
        regress(y)


def test_numbers_in_an_array_of_objects_are_numbers():
    assert regress(objects(1, 2.0, np.float32(3), True, 5, 6)).predict(X).shape == (6,)


def test_labels_of_several_kinds_are_refused():
    with pytest.raises(ConfigError, match="y holds 'a' and 1, expected labels that are all strings or all numbers"):
        classify(objects("a", 1, "a", 1, "a", 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"experts": 12}, "experts is 12, expected a made one"),
        ({"experts": qmoe.LinearExperts}, "experts is the class LinearExperts, expected a made one"),
        ({"early_stopping": "yes"}, "early_stopping is 'yes', expected True or False"),
        ({"early_stopping": True, "tol": 5}, "tol is 5, expected a number from 0 to 1"),
        ({"class_weight": "balancd"}, "class_weight is 'balancd', expected None, 'balanced'"),
    ],
)
def test_options_are_named_as_they_were_given(options, words):
    with pytest.raises(ConfigError, match=words):
        classify([0, 1, 0, 1, 0, 1], **options)


def test_a_router_is_a_name_or_made():
    with pytest.raises(ConfigError, match=r"router is the class QuantumRouter, expected a made one, such as qmoe"):
        qmoe.QMoEClassifier(qmoe.QuantumRouter).fit(X, [0, 1, 0, 1, 0, 1])


def test_weights_of_rows_are_numbers():
    with pytest.raises(ConfigError, match="sample_weight is 'balanced', expected a number for each row"):
        qmoe.QMoEClassifier("linear").fit(X, [0, 1, 0, 1, 0, 1], sample_weight="balanced")
