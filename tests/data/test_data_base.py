"""What holds for every data set: registry, options, seeds, splits."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from qmoe.data import DATASETS, Checkerboard, Dataset, Moons, Points, Xor, make_dataset
from qmoe.data.base import stratified_split
from qmoe.errors import ConfigError, ShapeError

OFFLINE = [name for name in DATASETS if name not in ("mnist", "table")]
SCRIPTED = [
    "qml_benchmarks_linearly_separable",
    "qml_benchmarks_hidden_manifold",
    "qml_benchmarks_hidden_manifold_diff",
    "qml_benchmarks_hyperplanes_diff",
    "qml_benchmarks_two_curves",
    "qml_benchmarks_two_curves_diff",
    "qml_benchmarks_bars_and_stripes",
]
SPAWNED = np.random.SeedSequence(11).spawn(1)[0]


def test_registry_holds_the_promised_names() -> None:
    assert list(DATASETS) == [
        "moons",
        "circles",
        "spirals",
        "xor",
        "checkerboard",
        "hidden_manifold",
        "hyperplanes",
        "two_curves",
        "synthetic",
        "digits",
        "mnist4x4",
        "mnist4x4_sample",
        "mnist",
        *SCRIPTED,
        "table",
    ]
    assert all(cls.name == name for name, cls in DATASETS.items())


@pytest.mark.parametrize("name", DATASETS)
def test_the_knob_is_an_option_and_the_docstring_tells_its_direction(name: str) -> None:
    cls = DATASETS[name]
    if cls.difficulty:
        assert cls.difficulty in {field.name for field in fields(cls)}
        assert "The knob: " in (cls.__doc__ or "")
        assert " is harder" in (cls.__doc__ or "")


@pytest.mark.parametrize("seed", [0, 7, SPAWNED])
@pytest.mark.parametrize("name", OFFLINE)
def test_points_have_the_declared_shape_type_and_labels(name: str, seed: int) -> None:
    dataset = make_dataset(name)
    points = dataset.sample(seed)
    assert points.x.dtype == np.float64
    assert points.y.dtype == np.int64
    assert points.x.shape == (len(points.y), dataset.n_features)
    assert np.isfinite(points.x).all()
    assert set(points.y) == set(range(dataset.n_classes))


@pytest.mark.parametrize("name", OFFLINE)
def test_equal_seeds_give_equal_points_and_the_global_state_is_left_alone(name: str) -> None:
    dataset = make_dataset(name)
    np.random.seed(3)  # noqa: NPY002 - the global state is what is tested
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    for seed in (5, SPAWNED):
        one, two = dataset.split(seed), dataset.split(seed)
        for field in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("name", [name for name in OFFLINE if name not in ("digits", "mnist4x4")])
def test_other_seeds_give_other_points(name: str) -> None:
    dataset = make_dataset(name)
    assert not np.array_equal(dataset.sample(0).x, dataset.sample(1).x)
    assert not np.array_equal(dataset.sample(SPAWNED).x, dataset.sample(1).x)


@pytest.mark.parametrize("name", OFFLINE)
def test_known_truth_predicts_every_sample_at_the_declared_rate(name: str) -> None:
    dataset = make_dataset(name)
    if dataset.bayes_error() is None:
        assert name in ("synthetic", "digits", "mnist4x4", "mnist4x4_sample", *SCRIPTED)
        assert dataset.posterior(dataset.sample(1).x) is None
        return
    dataset = replace(dataset, n_samples=4_000 if name == "two_curves" else 20_000)  # type: ignore[call-arg]
    points = dataset.sample(1)
    posterior, error = dataset.posterior(points.x), dataset.bayes_error()
    assert error is not None
    assert posterior.shape == (len(points.y), dataset.n_classes)
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-12)
    wrong = (posterior.argmax(axis=1) != points.y).mean()
    assert abs(wrong - error) < 4.0 * np.sqrt(error * (1 - error) / len(points.y)) + 1e-12


@pytest.mark.parametrize("name", [name for name in OFFLINE if name not in ("mnist4x4", *SCRIPTED)])
def test_split_is_that_of_sklearn(name: str) -> None:
    dataset = make_dataset(name)
    points = dataset.sample(42)
    expected = train_test_split(points.x, points.y, test_size=0.25, stratify=points.y, random_state=9)
    split = dataset.split(42, test_fraction=0.25, split_seed=9)
    for ours, theirs in zip((split.x_train, split.x_test, split.y_train, split.y_test), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["hidden_manifold", "hyperplanes", "two_curves"])
def test_a_set_of_another_size_is_a_sample_of_the_same_problem(name: str) -> None:
    small, large = make_dataset(name, n_samples=300), make_dataset(name, n_samples=6000)
    points = large.sample(3)
    posterior, truth = small.posterior(points.x), large.posterior(points.x)
    np.testing.assert_array_equal(posterior, truth)
    assert (posterior.argmax(axis=1) != points.y).mean() < 0.02
    assert small.bayes_error() == large.bayes_error()


def test_without_a_split_seed_an_int_seed_is_used_again() -> None:
    np.testing.assert_array_equal(Moons().split(42).x_test, Moons().split(42, split_seed=42).x_test)
    child = np.random.SeedSequence(3).spawn(2)[1]
    sequence = np.random.SeedSequence(3)
    np.testing.assert_array_equal(Moons().split(sequence).x_test, Moons().split(sequence, 0.2, child).x_test)


def test_nothing_held_out_leaves_an_empty_test_part_and_the_rows_in_order() -> None:
    split, points = Moons().split(0, test_fraction=0.0), Moons().sample(0)
    np.testing.assert_array_equal(split.x_train, points.x)
    np.testing.assert_array_equal(split.y_train, points.y)
    assert split.x_test.shape == (0, 2)
    assert split.y_test.shape == (0,)
    assert split.x_test.dtype == np.float64
    assert split.y_test.dtype == np.int64


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=4),
    fraction=st.floats(0.0, 1.0, exclude_max=True),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_split_partitions_the_rows_or_is_refused(counts: list[int], fraction: float, seed: int) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    points = Points(np.arange(len(y), dtype=np.float64)[:, None], y)
    try:
        split = stratified_split("rows", points, fraction, seed)
    except ConfigError:
        # Refused only where the smallest class is due about one row or less of one of the parts.
        assert min(fraction, 1.0 - fraction) * min(counts) < 2.0
        return
    rows = np.concatenate([split.x_train, split.x_test]).ravel().astype(int)
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(y)))
    np.testing.assert_array_equal(np.concatenate([split.y_train, split.y_test]), y[rows])
    assert np.unique(split.y_train).size >= 2
    assert split.y_test.size == 0 or np.unique(split.y_test).size >= 2


def test_a_split_that_cannot_hold_every_class_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"moons: 4 rows of 2 classes cannot.*class 0 \(2 rows\), class 1 \(2 rows\)\. Take more"
    ):
        Moons(n_samples=4).split(0, test_fraction=0.1)
    with pytest.raises(
        ConfigError, match=r"the rarest: class 3 \(1 row\), (class \d+ \(2 rows\), ){3}class \d+ \(2 rows\)\."
    ):
        stratified_split("rows", Points(np.zeros((59, 1)), np.delete(np.arange(60) % 30, 33)), 0.2, 0)
    one_class = next(seed for seed in range(20) if np.unique(Xor(n_samples=2).sample(seed).y).size == 1)
    with pytest.raises(ConfigError, match="training part has 2 rows of 1 class, expected at least two"):
        Xor(n_samples=2).split(one_class, test_fraction=0.0)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2, float("nan"), "0.2", None, True])
def test_bad_test_fractions_are_refused(fraction: object) -> None:
    with pytest.raises(ConfigError, match=r"test_fraction must be a finite number of at least 0.0 and below 1.0"):
        Moons().split(0, test_fraction=fraction)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**32, 0.5, "0", None, True])
@pytest.mark.parametrize("name", ["moons", "xor", "hyperplanes"])
def test_bad_seeds_are_refused(name: str, seed: object) -> None:
    with pytest.raises(ConfigError, match=r"A seed must be a whole number from 0 to 2\*\*32 - 1"):
        make_dataset(name).sample(seed)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="A seed must be"):
        make_dataset(name).split(seed)  # type: ignore[arg-type]


def test_unknown_names_and_options_name_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="Unknown data set 'moon'; did you mean 'moons'"):
        make_dataset("moon")
    with pytest.raises(ConfigError, match=r"data set 'moons': 'nois'; did you mean 'noise'\? Known: n_samples, noise"):
        make_dataset("moons", nois=0.1)


BAD_OPTIONS = [
    *[("moons", {"n_samples": bad}) for bad in (1, 0, -5, 10.0, "100", None, True, float("nan"))],
    *[("circles", {"noise": bad}) for bad in (-0.1, float("nan"), float("inf"), "0.1", None, True, 1j, 1e7, 10**400)],
    *[("circles", {"factor": bad}) for bad in (-0.1, 1.0, float("nan"))],
    *[("spirals", option) for option in ({"turns": -1.0}, {"n_classes": 1}, {"n_classes": 30})],
    *[("xor", {"n_dims": bad}) for bad in (0, 1.5)],
    *[("checkerboard", option) for option in ({"cells": 1}, {"flip": 0.6}, {"flip": -0.1})],
    *[("hyperplanes", option) for option in ({"n_hyperplanes": 0}, {"flip": 0.51}, {"problem_seed": -1})],
    *[("two_curves", option) for option in ({"degree": 0}, {"offset": -0.1}, {"noise": -0.1}, {"n_features": 0})],
    *[("hidden_manifold", option) for option in ({"manifold_dim": 0}, {"n_features": 0})],
    *[("synthetic", option) for option in ({"class_sep": -1.0}, {"flip": 1.5}, {"n_redundant": -1})],
    *[("digits", {"classes": bad}) for bad in ((3,), (3, 3), (3, 10), (-1, 2), "35", 3, (1.0, 2), None)],
    *[("digits", {"size": bad}) for bad in (5, 16, "8")],
    *[("mnist4x4", {"classes": bad}) for bad in ((), (0, 0))],
]


@pytest.mark.parametrize(("name", "options"), BAD_OPTIONS)
def test_bad_values_are_refused_in_one_line_with_value_expectation_and_remedy(
    name: str, options: dict[str, object]
) -> None:
    ((option, value),) = options.items()
    with pytest.raises(ConfigError) as caught:
        make_dataset(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{name}: {option} must be ")
    assert f"got {value!r}; for example {option}=" in message


def test_options_are_stored_as_plain_numbers_so_that_equal_sets_are_equal() -> None:
    one = make_dataset("moons", n_samples=np.int64(100), noise=0)
    assert one == Moons(100, 0.0)
    assert repr(one) == "Moons(n_samples=100, noise=0.0)"
    assert hash(one) == hash(Moons(100, 0.0))
    digits = make_dataset("digits", classes=[np.int64(1), 2])
    assert repr(digits) == "Digits(classes=(1, 2), size=8)"
    assert digits == pickle.loads(pickle.dumps(digits))


def test_data_sets_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Moons().noise = 0.3  # type: ignore[misc]
    with pytest.raises(TypeError, match="abstract"):
        Dataset()  # type: ignore[abstract]


@pytest.mark.parametrize("dataset", [Moons(), Xor(), Checkerboard()])
def test_posterior_refuses_rows_of_another_shape_and_numbers_that_are_not_finite(dataset: Dataset) -> None:
    with pytest.raises(ShapeError, match=r"x must have shape \(N, 2\), got \(2,\)"):
        dataset.posterior(np.zeros(2))
    with pytest.raises(ShapeError, match=r"got \(4, 3\)"):
        dataset.posterior(np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"x\[1, 0\] is nan"):
        dataset.posterior(np.array([[0.0, 0.0], [np.nan, 0.0]]))
    posterior = dataset.posterior(np.zeros((0, 2)))
    assert posterior.shape == (0, 2)
