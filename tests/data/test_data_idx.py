"""IDX files: written here byte by byte, read back, damaged and refused; and the script that builds MNIST 4x4 from them."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import shutil
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qmoe.data import Mnist, mnist
from qmoe.data.idx import read_digit_folder, read_idx
from qmoe.errors import ConfigError
from qmoe.studies.specs.study import DataSpec

SCRIPT = Path(__file__).parents[2] / "scripts" / "build_mnist4x4.py"


def idx_bytes(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + struct.pack(f">B{array.ndim}I", array.ndim, *array.shape) + array.tobytes()


def write_folder(folder: Path, side: int = 28, dotted: bool = False, zipped: bool = True) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {}
    for part, count in (("train", 30), ("t10k", 20)):
        made[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, size=(count, side, side), dtype=np.uint8)
        made[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in made.items():
        path = folder / (name.replace("-idx", ".idx") if dotted else name)
        if zipped:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
        else:
            path.write_bytes(idx_bytes(array))
    return made


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)), zipped=st.booleans()
)
def test_any_array_of_bytes_is_read_back(
    array: np.ndarray, zipped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx_bytes(array), mtime=0) if zipped else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)


GOOD = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "begins with nothing, expected 000008"),
        (b"\x89PNG....", "begins with 89504e47"),
        (b"\0\0\x0d\x01" + GOOD[4:], "begins with 00000d01"),
        (GOOD[:10], "ends within its header of 16 bytes"),
        (GOOD[:-1], r"says 12 elements \(3, 2, 2\), it holds 11"),
        (GOOD + b"\0", "it holds 13"),
        (gzip.compress(GOOD, mtime=0)[:-12], "ended before"),
        (gzip.compress(GOOD, mtime=0)[:-8] + b"\0" * 8, "CRC"),
    ],
)
def test_damaged_files_are_refused_with_what_is_wrong(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"train-images.* is not a whole IDX file: .*{why}.*download it again"):
        read_idx(path)


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("zipped", [False, True])
def test_full_mnist_is_read_from_a_folder(dotted: bool, zipped: bool, tmp_path: Path) -> None:
    made = write_folder(tmp_path, dotted=dotted, zipped=zipped)
    split = Mnist(classes=(3, 1), folder=str(tmp_path)).split(0)
    assert split.x_train.shape == (6, 784)
    assert split.x_test.shape == (4, 784)
    assert split.y_train.tolist() == [1, 0, 1, 0, 1, 0]
    np.testing.assert_array_equal(split.x_train[1], made["train-images-idx3-ubyte"][3].ravel() / 255.0)
    assert Mnist(folder=tmp_path).n_classes == 10
    assert Mnist(folder=tmp_path) == Mnist(folder=str(tmp_path))


def test_a_folder_is_known_by_its_images(tmp_path: Path) -> None:
    for name, options in (("one", {}), ("two", {"dotted": True, "zipped": False}), ("three", {})):
        (tmp_path / name).mkdir()
        write_folder(tmp_path / name, **options)
    labels = np.roll(np.arange(30, dtype=np.uint8) % 10, 1)
    (tmp_path / "three" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels), mtime=0))
    one, two, three = (DataSpec(name="mnist", options={"folder": str(tmp_path / n)}) for n in ("one", "two", "three"))
    assert one.identity == two.identity != three.identity
    assert one.canonical != two.canonical
    digest = one.options["digest"]
    assert Mnist(folder=tmp_path / "two", digest=digest).split(0).x_train.shape == (30, 784)
    with pytest.raises(ConfigError, match=f"expected {digest}: they have changed since"):
        Mnist(folder=tmp_path / "three", digest=digest).split(0)
    shutil.rmtree(tmp_path / "one")  # a report reads the spec again, and needs no image for that
    assert DataSpec(name="mnist", options=one.options) == one


def test_a_missing_file_is_named_with_both_remedies(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ConfigError, match=r"no file t10k-labels-idx1-ubyte or .*folder=.*openml=True"):
        Mnist(folder=str(tmp_path)).split(0)


@pytest.mark.parametrize(
    ("name", "array", "why"),
    [
        ("train-images-idx3-ubyte", np.zeros(30, np.uint8), "images of rank 3"),
        ("t10k-labels-idx1-ubyte", np.zeros(19, np.uint8), "one label for 20 images"),
        ("train-labels-idx1-ubyte", np.full(30, 10, np.uint8), "holds the label 10"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(name: str, array: np.ndarray, why: str, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
    with pytest.raises(ConfigError, match=why):
        read_digit_folder(tmp_path)


def test_full_mnist_refuses_images_of_another_size(tmp_path: Path) -> None:
    write_folder(tmp_path, side=14)
    with pytest.raises(ConfigError, match="14x14 pixels, expected 28x28"):
        Mnist(folder=str(tmp_path)).split(0)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_mnist4x4", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_builds_a_file_that_the_loader_verifies(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_folder(tmp_path)
    digests = []
    for name in ("one.npz", "two.npz"):
        out = tmp_path / name
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--source", str(tmp_path), "--out", str(out)])
        script.main()
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())
        assert capsys.readouterr().out.startswith(digests[-1])
    assert digests[0] == digests[1]
    images = mnist._verified(tmp_path / "one.npz", digests[0])
    assert images.x_train.shape == (30, 4, 4)
    assert images.x_test.shape == (20, 4, 4)
    assert images.x_train.dtype == np.uint8
    np.testing.assert_array_equal(images.y_train, made["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(images.x_test, script.shrink(made["t10k-images-idx3-ubyte"]))


def test_shrinking_averages_over_the_whole_footprint_of_a_pixel(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(5, 28, 28), dtype=np.uint8)
    # The antialiased bilinear filter is a triangle of half width 7 around the centre of each target pixel.
    centre = (np.arange(4) + 0.5) * 7.0
    weight = np.clip(1.0 - np.abs(np.arange(28) + 0.5 - centre[:, None]) / 7.0, 0.0, None)
    weight /= weight.sum(axis=1, keepdims=True)
    expected = np.einsum("ih,nhw,jw->nij", weight, images.astype(float), weight)
    np.testing.assert_allclose(script.shrink(images), expected, atol=1.0)
    assert (script.shrink(np.full((1, 28, 28), 137, np.uint8)) == 137).all()
