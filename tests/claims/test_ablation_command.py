"""The command that repeats an ablation."""

import shlex

import numpy as np
import pytest

from qmoe.claims import ablation_study
from qmoe.studies import Store, parse_study, with_free_name
from user_tables import table_values, write_table

PLAIN = ["qmoe", "ablate", "--data", "My wine.csv", "--target", "side"]
OPTIONS = [
    ({}, []),
    ({"circuit": "iqp", "seeds": 6}, ["--circuit", "iqp", "--seeds", "6"]),
    ({"circuit": "iqp", "layers": 3, "qubits": 2}, ["--qubits", "2", "--layers", "3", "--circuit", "iqp"]),
    ({"circuit": "data_reuploading", "qubits": 2}, ["--qubits", "2", "--circuit", "data_reuploading"]),
    ({"qubits": 5, "layers": 1, "experts": 3}, ["--qubits", "5", "--layers", "1", "--experts", "3"]),
    ({"epochs": 20, "lr": 0.05, "rungs": ("linear", "twin")},
     ["--epochs", "20", "--lr", "0.05", "--rung", "linear", "--rung", "twin"]),
    ({"keep": ("f0",)}, ["--keep", "f0"]),
]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    """Six features, two classes."""
    rows = np.random.default_rng(0).normal(size=(40, 6))
    lines = [",".join([*(f"{v:.3f}" for v in row), "ab"[int(row[0] > 0)]]) for row in rows]
    path = tmp_path / "My wine.csv"
    path.write_text("\n".join([",".join([*(f"f{i}" for i in range(6)), "side"]), *lines]))
    return path


@pytest.mark.parametrize(("options", "words"), OPTIONS)
def test_the_command_names_every_option_that_differs_from_its_default(table, tmp_path, options, words):
    with Store(tmp_path / "s.sqlite") as store:
        for study in (ablation_study(table, "side", experts=9), ablation_study(table, "side", **options)):
            store.save_study(with_free_name(study, store))
        table.unlink()  # the store keeps it, under a path of its own
        kept = store.load(store.study_names()[-1]).study
    assert shlex.split(kept.command) == [*PLAIN, *words]


def test_a_study_of_a_file_has_no_command(tmp_path):
    assert parse_study(table_values(write_table(tmp_path / "data.csv"))).command == ""


def test_a_circuit_that_was_named_is_named_by_title_and_study(table):
    study = ablation_study(table, "side", circuit="iqp")
    assert study.short_title == "side in My wine.csv, circuit iqp"
    assert study.name == "ablate-my-wine-side-iqp"
