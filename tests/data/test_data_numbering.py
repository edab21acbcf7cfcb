"""Columns that number the rows."""

import numpy as np
import pytest

from qmoe.data import UserTable
from qmoe.data.tables.numbering import numbers_rows
from qmoe.errors import ConfigError

GENERATOR = np.random.default_rng(3)
SHUFFLED = GENERATOR.permutation(60)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("", np.arange(60)),
        ("Unnamed: 0", np.arange(60)),
        ("Unnamed: 0_level_0", np.arange(60)),
        ("", SHUFFLED),
        ("id", 1000 + SHUFFLED),
        ("#", SHUFFLED),
        ("No.", 7 + SHUFFLED),
        ("obs", np.sort(GENERATOR.choice(300, 60, replace=False))),
        ("PassengerId", np.arange(1, 61)),
        ("customerID", GENERATOR.choice(10**6, 60, replace=False)),
        ("sample_id", np.sort(GENERATOR.choice(200, 60, replace=False))),
        ("index", np.tile(np.arange(20), 3)),
        ("Unnamed: 0", np.concatenate([np.arange(30), np.arange(30)])),
        ("row.names", np.arange(60)[::-1]),
        ("S.No", np.arange(1, 8)),
        ("temperature", np.arange(60)),
        ("year", np.arange(1960, 2020)),
        ("X", np.arange(60)[::-1] - 7.0),
    ],
)
def test_what_numbers_the_rows_is_found(name: str, values: np.ndarray) -> None:
    assert numbers_rows(name, values.astype(float))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("year", GENERATOR.integers(1990, 2020, 60)),
        ("year", np.repeat(np.arange(1990, 2005), 4)),
        ("age", np.sort(GENERATOR.integers(18, 90, 60))),
        ("rank", SHUFFLED),
        ("price", GENERATOR.choice(10**6, 60, replace=False)),
        ("t", np.linspace(0.0, 1.0, 60)),
        ("x", np.arange(0, 120, 2)),
        ("refractive_index", GENERATOR.normal(1.5, 0.1, 60)),
        ("heat index", GENERATOR.choice(100, 60, replace=False)),
        ("grid", SHUFFLED),
        ("humid", SHUFFLED),
        ("is_valid", GENERATOR.integers(0, 2, 60)),
        ("store_id", GENERATOR.integers(0, 5, 60)),
        ("", GENERATOR.normal(size=60)),
        ("count", np.arange(5)),
    ],
)
def test_a_measurement_is_none_whatever_it_is_called(name: str, values: np.ndarray) -> None:
    assert not numbers_rows(name, values.astype(float))


def written(tmp_path, name: str, values: list[int]) -> str:
    lines = [f"{v},{0.37 * (i * i % 7)},{'ab'[i >= len(values) // 2]}" for i, v in enumerate(values)]
    path = tmp_path / "sorted.csv"
    path.write_text("\n".join([f"{name},width,kind", *lines]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "id", "minutes"])
def test_it_is_refused_by_name_with_the_way_to_keep_it(tmp_path, name: str) -> None:
    path = written(tmp_path, name, list(range(100, 140)))
    with pytest.raises(
        ConfigError, match=rf"column '{name}' of .* numbers the rows \(100, 101, 102, \.\.\.\).*keep=\['{name}'"
    ):
        UserTable(path, "kind")
    kept = UserTable(path, "kind", keep=[name])
    assert kept.columns == (name, "width")
    assert hash(kept) == hash(UserTable(path, "kind", keep=(name,)))


def test_a_column_to_keep_must_be_one(tmp_path) -> None:
    path = written(tmp_path, "id", list(range(40)))
    with pytest.raises(ConfigError, match=r"keep names 'Id', no feature of .* did you mean 'id'"):
        UserTable(path, "kind", keep=["id", "Id"])
    with pytest.raises(ConfigError, match="keep is 'id', expected names of columns"):
        UserTable(path, "kind", keep="id")  # type: ignore[arg-type]
