"""Handwritten digits: counts, labels, pixels, and sources that are missing or damaged."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from qmoe.data import Digits, Mnist, Mnist4x4, make_dataset, mnist
from qmoe.data.idx import DigitImages
from qmoe.errors import ConfigError

TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_digits_are_those_of_sklearn_in_sixteenths() -> None:
    images, labels = load_digits(return_X_y=True)
    points = Digits().sample(0)
    kept = np.isin(labels, (3, 5))
    np.testing.assert_array_equal(points.x, images[kept] / 16.0)
    np.testing.assert_array_equal(points.y, labels[kept] == 5)
    assert np.bincount(points.y).tolist() == [183, 182]


def test_digits_of_size_four_are_means_of_two_by_two_pixels() -> None:
    full = Digits(classes=(0, 7, 2)).sample(0)
    small = Digits(classes=(0, 7, 2), size=4).sample(0)
    np.testing.assert_array_equal(full.y, small.y)
    image = full.x[5].reshape(8, 8)
    assert small.x[5].reshape(4, 4)[1, 2] == pytest.approx(image[2:4, 4:6].mean(), rel=1e-15)
    np.testing.assert_allclose(full.x.mean(axis=1), small.x.mean(axis=1), rtol=1e-12)


def test_digits_seed_varies_the_split_only() -> None:
    np.testing.assert_array_equal(Digits().sample(0).x, Digits().sample(1).x)
    assert not np.array_equal(Digits().split(0).x_test, Digits().split(1).x_test)
    assert not np.array_equal(Digits().split(0, split_seed=5).x_test, Digits().split(0).x_test)


def test_mnist4x4_has_the_official_rows_of_zero_and_one() -> None:
    split = Mnist4x4().split(seed=0)
    assert split.x_train.shape == (12_665, 16)
    assert split.x_test.shape == (2_115, 16)
    assert np.bincount(split.y_train).tolist() == TRAIN_COUNTS[:2]
    assert np.bincount(split.y_test).tolist() == TEST_COUNTS[:2]
    assert split.x_train.min() == 0.0
    assert 0.8 < split.x_train.max() <= 1.0
    points = Mnist4x4().sample(3)
    np.testing.assert_array_equal(points.x, np.concatenate([split.x_train, split.x_test]))
    np.testing.assert_array_equal(points.y, np.concatenate([split.y_train, split.y_test]))


def test_mnist4x4_holds_all_ten_digits() -> None:
    split = Mnist4x4(classes=tuple(range(10))).split(0)
    assert np.bincount(split.y_train).tolist() == TRAIN_COUNTS
    assert np.bincount(split.y_test).tolist() == TEST_COUNTS
    assert split.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_labels_count_in_the_order_of_the_classes() -> None:
    one, two = Mnist4x4(classes=(7, 4)).split(0), Mnist4x4(classes=(4, 7)).split(0)
    np.testing.assert_array_equal(one.x_train, two.x_train)
    np.testing.assert_array_equal(one.y_train, 1 - two.y_train)
    assert np.bincount(one.y_train).tolist() == [TRAIN_COUNTS[7], TRAIN_COUNTS[4]]


def test_the_official_split_is_the_same_for_all_arguments() -> None:
    one, two = Mnist4x4().split(0), Mnist4x4().split(9, 0.5, split_seed=3)
    np.testing.assert_array_equal(one.x_train, two.x_train)
    np.testing.assert_array_equal(one.y_test, two.y_test)


def test_a_zero_and_a_one_look_like_it() -> None:
    split = Mnist4x4().split(0)
    zero, one = (split.x_train[split.y_train == label].mean(axis=0).reshape(4, 4) for label in (0, 1))
    # A zero has ink on both sides of its middle, a one is a stroke that leans to the right.
    assert zero[1:3, [0, 3]].sum() > 3.0 * one[1:3, [0, 3]].sum()
    assert one[1, 2] > 2.0 * one[1, 1]


def test_callers_cannot_change_the_bundled_rows() -> None:
    Mnist4x4().split(0).x_train[:] = 7.0
    assert Mnist4x4().split(0).x_train.max() <= 1.0
    with pytest.raises(ValueError, match="read-only"):
        mnist.load_bundled().x_train[:] = 1


def test_the_bundled_file_is_small_and_its_checksum_is_in_the_provenance() -> None:
    assert mnist.BUNDLED.stat().st_size < 1_000_000
    text = mnist.BUNDLED.with_suffix(".md").read_text(encoding="utf-8")
    assert mnist.BUNDLED_SHA256 in text
    assert f"{mnist.BUNDLED.stat().st_size:,} bytes" in text
    assert "CC BY-SA 3.0" in text


@pytest.mark.parametrize("damage", ["one bit", "cut", "empty"])
def test_a_damaged_bundled_file_is_detected(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(mnist.BUNDLED.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
    else:
        del content[0 if damage == "empty" else -100 :]
    broken = tmp_path / "mnist4x4.npz"
    broken.write_bytes(content)
    monkeypatch.setattr(mnist, "BUNDLED", broken)
    with pytest.raises(ConfigError, match=r"mnist4x4\.npz is damaged: its SHA-256 is .*install qmoe again"):
        Mnist4x4().split(0)


def test_a_missing_bundled_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "BUNDLED", tmp_path / "gone.npz")
    with pytest.raises(ConfigError, match=r"mnist4x4: cannot read .*gone\.npz.*install qmoe again"):
        Mnist4x4().sample(0)


@pytest.mark.parametrize(("options", "given"), [({}, "neither"), ({"folder": "somewhere", "openml": True}, "both")])
def test_full_mnist_asks_for_exactly_one_source(options: dict[str, object], given: str) -> None:
    with pytest.raises(ConfigError, match=f"mnist: {given} folder .*openml=True to download them, or take 'mnist4x4'"):
        make_dataset("mnist", **options)


def test_full_mnist_refuses_values_that_are_no_source() -> None:
    with pytest.raises(ConfigError, match="folder must be a path, got 5"):
        make_dataset("mnist", folder=5)
    with pytest.raises(ConfigError, match="openml must be True or False, got 'yes'"):
        make_dataset("mnist", openml="yes")


def test_full_mnist_comes_from_openml_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(70_000) % 10
    data = np.zeros((70_000, 784), dtype=np.uint8)
    data[:, 3] = labels * 20
    bunch = types.SimpleNamespace(data=data, target=labels.astype(str))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: bunch)
    dataset = Mnist(classes=(1, 2), openml=True)
    split = dataset.split(0)
    assert split.x_train.shape == (12_000, dataset.n_features)
    assert split.x_test.shape == (2_000, 784)
    assert split.x_train[0, 3] == 20 / 255
    assert split.y_train[:2].tolist() == [0, 1]
    bunch.data = bunch.data[:100]
    with pytest.raises(ConfigError, match="gave 100 images, expected 70000"):
        dataset.split(0)


def test_a_failed_download_says_what_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> DigitImages:
        raise OSError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(ConfigError, match=r"failed \(no route to host\).*folder='\.\.\.'.*'mnist4x4'"):
        Mnist(openml=True).sample(0)
