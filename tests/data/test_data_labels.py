"""Target columns: what is a class, and what says that the class is missing."""

import numpy as np
import pytest

from qmoe.data import UserTable
from qmoe.data.tables.labels import as_classes
from qmoe.errors import ConfigError


@pytest.mark.parametrize(
    "marker",
    ["NA", "na", "nan", "NaN", "None", "none", "null", "NULL", "N/A", "n/a", "?", "-", "#N/A", " NA ", "<NA>", "#VALUE!",
     "#DIV/0!", "NaT", "--", ".", "nil"],
)  # fmt: skip
def test_what_says_that_a_class_is_missing_is_refused_with_the_row(marker: str) -> None:
    with pytest.raises(
        ConfigError, match=r"table: row 3 of f\.csv has '.*' in column 'kind'.*drop such rows first, or,"
    ):
        as_classes("f.csv", "kind", ["a", "b", marker, "a", "b"])


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_an_empty_class_is_refused_with_the_row(empty: str) -> None:
    with pytest.raises(ConfigError, match=r"row 2 of f\.csv has no 'kind'; drop such rows first\."):
        as_classes("f.csv", "kind", ["a", empty, "b", "a", "b"])


def test_the_first_of_several_missing_rows_is_named() -> None:
    with pytest.raises(ConfigError, match=r"row 2 of .* has 'null'"):
        as_classes("f.csv", "kind", ["a", "null", "?", "NA", "b"])


@pytest.mark.parametrize(
    "words",
    [
        ["nano", "nanna"],
        ["+", "-"],
        ["nothing", "some"],
        ["North America", "Europe"],
        ["a-b", "a.b"],
        ["none of these", "x"],
    ],
)
def test_words_that_only_look_alike_are_classes(words: list[str]) -> None:
    y, classes = as_classes("f.csv", "kind", words * 3)
    assert classes == tuple(sorted(words))
    np.testing.assert_array_equal(np.array(classes)[y], words * 3)


@pytest.mark.parametrize(
    ("words", "rows"),
    [(["1", "0", "1.0"], (3, 1)), (["0", "1", "2", "00"], (4, 1)), (["10", "1e1"], (2, 1)), (["-0", "1", "0"], (3, 1)),
     (["+1", "2", "1"], (3, 1))],
)  # fmt: skip
def test_one_number_written_in_two_ways_is_no_two_classes(words: list[str], rows: tuple[int, int]) -> None:
    with pytest.raises(
        ConfigError, match=rf"row {rows[0]} of .* and row {rows[1]} has .*one number written in two ways"
    ):
        as_classes("f.csv", "kind", words * 3)


def test_numbers_stand_before_words_and_in_their_order() -> None:
    y, classes = as_classes("f.csv", "kind", ["10", "b", "9", "a"] * 2)
    assert classes == ("9", "10", "a", "b")
    assert y.dtype == np.int64
    assert y.tolist() == [1, 3, 0, 2] * 2


def test_a_table_refuses_them_as_it_does_for_features(tmp_path) -> None:
    path = tmp_path / "f.csv"
    for target, cell in (("NA", "0.5"), ("a", "NA")):
        path.write_text(f"x,y\n0.5,a\n1.5,b\n{cell},{target}\n0.1,b\n0.7,a\n", encoding="utf-8")
        with pytest.raises(ConfigError, match=r"row 3 of .* has 'NA' in column"):
            UserTable(path, "y")
