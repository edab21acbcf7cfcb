"""A table of the user's own."""

from pathlib import Path

import numpy as np
import pytest

from qmoe.data import Mnist4x4, Mnist4x4Sample, UserTable, make_dataset
from qmoe.errors import ConfigError

GOOD = "length,kind,width\n1.5,b,2\n-3,a,4e1\n0,b,0.5\n2,a,1\n"


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "mine.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_columns_but_the_target_are_features_and_its_values_the_classes(write) -> None:
    table = make_dataset("table", path=write(GOOD), target="kind")
    assert isinstance(table, UserTable)
    assert (table.n_features, table.n_classes) == (2, 2)
    assert (table.columns, table.classes) == (("length", "width"), ("a", "b"))
    points = table.sample(0)
    np.testing.assert_array_equal(points.x, [[1.5, 2], [-3, 40], [0, 0.5], [2, 1]])
    np.testing.assert_array_equal(points.y, [1, 0, 1, 0])


def test_numbers_as_classes_are_sorted_by_value(write) -> None:
    rows = "".join(f"{i},{label}\n" for i, label in enumerate([10, 9, 2, 10, 9, 2]))
    assert UserTable(write("x,y\n" + rows), "y").classes == ("2", "9", "10")


def test_digest_names_the_content(write) -> None:
    path = write(GOOD)
    first = UserTable(path, "kind")
    assert len(first.digest) == 16
    assert UserTable(path, "kind", first.digest) == first
    write(GOOD + "7,a,7\n")
    assert UserTable(path, "kind").digest != first.digest
    with pytest.raises(ConfigError, match="the file has changed since"):
        UserTable(path, "kind", first.digest)


def test_seed_varies_the_split_alone(write) -> None:
    text = "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40))
    table = UserTable(write(text), "y", keep=["x"])
    one, other = table.split(1, 0.25), table.split(2, 0.25)
    assert set(one.x_test[:, 0]) != set(other.x_test[:, 0])
    assert sorted([*one.x_train[:, 0], *one.x_test[:, 0]]) == list(range(40))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("kind", "kinds"), r"no column 'kind'.* did you mean 'kinds'"),
        (GOOD.replace("4e1", "wide"), "row 2 of .* has 'wide' in column 'width', expected a finite number"),
        (GOOD.replace("4e1", ""), "row 2 of .* has '' in column 'width'"),
        (GOOD.replace("4e1", "inf"), "row 2 of .* has 'inf' in column 'width'"),
        (GOOD.replace(",4e1", ""), "row 2 of .* has 2 values, expected 3"),
        (GOOD.replace("2,a,1", "2,,1"), "row 4 of .* has no 'kind'"),
        (GOOD.replace("width", "length"), "names a column twice"),
        ("kind\na\nb\n", "has no column beside 'kind'"),
        ("x,kind\n1,a\n2,b\n3,c\n", "3 distinct values in 3 rows, expected classes"),
        ("x,kind\n1,a\n2,a\n", "1 distinct values in 2 rows, expected classes"),
        ("x,kind\n", r"has 1 line\(s\), expected a header and rows"),
    ],
)
def test_bad_table_is_refused_with_the_place_and_the_remedy(write, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UserTable(write(text), "kind")


def test_a_table_is_read_once_and_its_rows_are_nobodys_to_change(write, monkeypatch) -> None:
    table = UserTable(write(GOOD), "kind")
    monkeypatch.setattr("qmoe.data.tables.table.read_cells", None)
    again = UserTable(table.path, "kind")
    assert again.content is table.content
    again.sample(0).x[:] = 7
    assert table.sample(0).x[0, 0] == 1.5
    with pytest.raises(ValueError, match="read-only"):
        table.content.x[:] = 7


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        UserTable(str(tmp_path / "none.csv"), "y")
    with pytest.raises(ConfigError, match="expected a CSV file"):
        UserTable()


def test_rows_of_the_small_mnist_are_drawn_without_replacement() -> None:
    everything = Mnist4x4((3, 8)).sample(0)
    points = Mnist4x4Sample(400, (3, 8)).sample(5)
    assert points.x.shape == (400, 16)
    assert len(np.unique(points.y)) == 2
    again = Mnist4x4Sample(400, (3, 8)).sample(5)
    np.testing.assert_array_equal(points.x, again.x)
    assert not np.array_equal(points.x, Mnist4x4Sample(400, (3, 8)).sample(6).x)
    known = {(label, *row) for label, row in zip(everything.y.tolist(), everything.x.tolist(), strict=True)}
    assert {(label, *row) for label, row in zip(points.y.tolist(), points.x.tolist(), strict=True)} <= known


def test_more_rows_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_samples=20000, but there are"):
        Mnist4x4Sample(20_000)
