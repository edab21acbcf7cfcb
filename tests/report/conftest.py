import shutil
import sqlite3

import pytest
import torch
from invented_results import EPOCHS, OWN

from qmoe.report import build_report
from qmoe.studies import Store, load_preset, parse_study, run_studies


def small(name, **data):
    """A preset with two seeds, few epochs and few points."""
    study = load_preset(name).resized(seeds=2)
    options = {**study.data.options, "n_samples": 64}
    return study.model_copy(
        update={
            "training": study.training.model_copy(update={"epochs": EPOCHS}),
            "data": study.data.model_copy(update={"options": options, **data}),
        }
    )


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """A store with small versions of most presets and one study of a user."""
    path = tmp_path_factory.mktemp("store") / "results.sqlite"
    names = ["phase1-synthetic-published", "phase1-synthetic-heldout", "phase2-published", "phase2-heldout"]
    names += ["phase3a-published", "phase3b-published"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with Store(path) as store:
            run_studies([*(small(n) for n in names), parse_study(OWN)], store)
    finally:
        torch.set_num_threads(threads)
    return path


def only(store, path, keep):
    """A copy of a store with one of its studies (or none)."""
    shutil.copy(store, path)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM studies WHERE name IS NOT ?", (keep,))
    database.close()
    return path


@pytest.fixture
def one_study(tiny_store, tmp_path):
    """Makes a copy of the store with one study."""
    return lambda keep: only(tiny_store, tmp_path / "one.sqlite", keep)


@pytest.fixture(scope="session")
def built(tiny_store, tmp_path_factory):
    """The folder of its report."""
    out = tmp_path_factory.mktemp("report")
    build_report(tiny_store, out)
    return out
