"""The table of devices: what is measured, how it is judged, and what is refused."""

import json

import numpy as np
import pytest
import torch

from helpers import qmoe_command as qmoe
from qmoe.claims import decide
from qmoe.claims.deciding.evidence import Contrast
from qmoe.devices import DEVICES, DeviceTable, TrainedModel, device_table, trained_models
from qmoe.errors import ConfigError
from qmoe.interop import on_device
from qmoe.studies import Study, load_preset


def study(seeds: int = 6) -> Study:
    return load_preset("ladder-moons").resized(seeds, True)


@pytest.fixture(scope="module")
def models() -> list[TrainedModel]:
    return trained_models(study())


@pytest.fixture(scope="module")
def table(models) -> DeviceTable:
    return device_table(models, ("fake_manila", "fake_sherbrooke"))


class Fixed(TrainedModel):
    """A model whose accuracy is a number without noise, and loses some on a device."""

    clean, loss = 0.9, 0.0

    def accuracy(self, model=None) -> float:
        return self.clean if model is None else self.clean - self.loss


def fixed(models, losses) -> list[TrainedModel]:
    made = []
    for one, loss in zip(models, losses, strict=True):
        fake = Fixed(one.model, one.x, one.y, one.data_seed, one.init_seed)
        object.__setattr__(fake, "loss", loss)
        made.append(fake)
    return made


def test_the_figures_are_those_of_the_models_there(models, table) -> None:
    clean = [one.accuracy() for one in models]
    for row in table.rows:
        there = [one.accuracy(on_device(one.model, row.device)) for one in models]
        assert row.accuracy == pytest.approx(np.mean(there), abs=1e-12)
        assert row.clean == pytest.approx(np.mean(clean), abs=1e-12)
        assert row.difference == pytest.approx(np.mean(there) - np.mean(clean), abs=1e-12)
        assert row.n_two_qubit_gates == 6
    assert table.rows[0].depth < table.rows[1].depth


def test_models_are_those_of_the_study_and_differ(models) -> None:
    assert len({one.data_seed for one in models}) == 6
    with torch.inference_mode():
        by_hand = (models[0].model(models[0].x).argmax(-1) == models[0].y).double().mean()
    assert models[0].accuracy() == pytest.approx(float(by_hand))
    assert models[0].accuracy() > 0.8
    steps = []
    trained_models(study(2), on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(2, 2)]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([0.0, 0.001, 0.002, 0.001, 0.0, 0.001], "survives"),
        ([0.05, 0.06, 0.07, 0.06, 0.05, 0.06], "worse"),
        ([0.0, 0.05, 0.0, 0.06, 0.0, 0.01], "undecided"),
    ],
)
def test_verdicts_are_those_of_the_judge(models, losses, verdict: str) -> None:
    (row,) = device_table(fixed(models, losses), ("fake_lima",)).rows
    assert row.verdict == verdict
    clean = np.full(6, 0.9)
    outcome = decide(clean - losses, clean, Contrast("not_less", 0.02)).outcome
    assert {"supported": "survives", "refuted": "worse", "inconclusive": "undecided"}[outcome] == verdict


def test_a_table_is_text_rows_and_plain_data(table) -> None:
    lines = str(table).splitlines()
    assert lines[0].split()[:3] == ["device", "qubits", "2-qubit"]
    assert lines[1].startswith("fake_manila  ")
    assert list(table.to_frame()["device"]) == ["fake_manila", "fake_sherbrooke"]
    again = json.loads(json.dumps(table.as_dict(), allow_nan=False))
    assert again["devices"][0]["qubits"] == list(table.rows[0].qubits)
    assert "router on fake_manila" in again["reasons"]["fake_manila"][-1]


def test_one_draw_decides_nothing(models) -> None:
    alone = device_table(models[:1], ("fake_lima",))
    assert (alone.rows[0].low, alone.rows[0].verdict) == (None, "undecided")
    assert "[" not in str(alone).splitlines()[1]


def test_progress_is_told(models) -> None:
    steps = []
    device_table(models[:2], ("fake_lima", "fake_quito"), on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_makes_no_table_is_refused(models) -> None:
    with pytest.raises(ConfigError, match="different names of snapshots, at least one"):
        device_table(models, ())
    with pytest.raises(ConfigError, match="different names"):
        device_table(models, ("fake_lima", "fake_lima"))
    with pytest.raises(ConfigError, match="did you mean 'quantum'"):
        trained_models(study(), "quantun")
    with pytest.raises(ConfigError, match="holds no rows out"):
        trained_models(load_preset("phase2-published").resized(2, True))
    with pytest.raises(ConfigError, match="trains at several strengths of noise"):
        trained_models(load_preset("phase3b-heldout").resized(2, True))
    with pytest.raises(ConfigError, match="has noise or dephasing of its own"):
        trained_models(load_preset("ladder-moons").resized(2, True), "dephased-all")
    with pytest.raises(ConfigError, match="has no quantum router"):
        trained_models(load_preset("ladder-moons").resized(2, True), "linear")
    with pytest.raises(ConfigError, match="models is empty"):
        device_table([], ("fake_lima",))
    for margin in (-0.1, 0.0, float("nan")):
        with pytest.raises(ConfigError, match="margin is"):
            device_table(models, ("fake_lima",), margin=margin)
    with pytest.raises(ConfigError, match="holds no circuit"):
        device_table([TrainedModel(torch.nn.Linear(2, 2), models[0].x, models[0].y, 0, 0)], ("fake_lima",))


def test_at_least_five_snapshots_are_the_default() -> None:
    assert len(DEVICES) >= 5


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_it(tmp_path) -> None:
    done = qmoe("devices", "fake_lima", "fake_sherbrooke", "--seeds", 6, "--quick", "--out", "t.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "fake_sherbrooke" in done.stdout
    assert "6 draws; a loss below 0.02 does not matter" in done.stdout
    head, first, second = (tmp_path / "t.csv").read_text("utf-8").splitlines()
    assert head.startswith("device,qubits,n_two_qubit_gates,depth,accuracy,clean")
    assert first.startswith("fake_lima,")
    assert second.startswith("fake_sherbrooke,")


def test_the_command_gives_json(tmp_path) -> None:
    done = qmoe("devices", "fake_lima", "--seeds", 2, "--quick", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert found["n_draws"] == 2
    assert found["devices"][0]["verdict"] == "undecided"
    assert "devices: done" in done.stderr


def test_the_command_refuses_a_name_before_it_trains(tmp_path) -> None:
    done = qmoe("devices", "fake_lisa", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'fake_lima'" in done.stderr
    assert "training" not in done.stdout
    none = qmoe("devices", "fake_lima", "--out", "none/t.csv", cwd=tmp_path)
    assert none.returncode == 2
    assert "there is no folder none" in none.stderr
