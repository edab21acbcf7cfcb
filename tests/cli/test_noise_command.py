"""`qmoe noise`, as a user meets it."""

import json

import pandas
import pytest
import torch

import qmoe as qmoe_package
from helpers import qmoe_command as qmoe
from qmoe.studies import Store, parse_study, run_studies
from tiny_study import tiny_values

CODE = """
import torch
import qmoe
print("this module runs")
def model(noise=None, **options):
    torch.manual_seed(0)
    return qmoe.MixtureOfExperts(qmoe.QuantumRouter(2, 2, noise=noise, **options), qmoe.LinearExperts(2, 2, n_experts=2))
X = torch.rand(40, 2, generator=torch.Generator().manual_seed(0))
y = (X[:, 0] > X[:, 1]).long()
def three():
    return model(), X, y
def full():
    noise = qmoe.NoiseModel(0.0, "gate")
    return {"model": model(), "X": X, "y": y, "X_train": X, "y_train": y, "noise": noise, "rival": torch.nn.Linear(2, 2)}
def born():
    return {"model": model(readout="born"), "X": X, "y": y, "X_train": X, "y_train": y}
def odd():
    return {"model": model(), "X": X, "y": y, "foo": 1}
def half():
    return {"model": model(), "X": X, "y": y, "X_train": X}
def shape():
    return model(), X, y[:3]
def text():
    return model(), X, ["a", "b"] * 20
def negative():
    return model(), X, y - 1
def fractions():
    return model(), X, y + 0.5
def training():
    return {"model": model(), "X": X, "y": y, "X_train": X, "y_train": y + 1}
def noisy():
    return model(noise=0.1), X, y
def classical():
    return torch.nn.Linear(2, 2), X, y
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(CODE, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    with Store(out / "store.sqlite") as store:
        run_studies([parse_study(tiny_values())], store)
    return out


def test_nothing_of_a_file_runs_unasked(folder):
    done = qmoe("noise", "mine.py:three", cwd=folder)
    assert done.returncode == 2
    assert "add --allow-import" in done.stderr
    assert "this module runs" not in done.stdout


def test_a_trained_model_of_a_file_is_measured_by_rows_and_all_is_written(folder):
    options = ("--strength", 0.1, "--strength", 0.3, "--shots", 20, "--out", "found")
    done = qmoe("noise", "mine.py:full", "--allow-import", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "over held-out rows" in done.stdout
    cells = pandas.read_csv(folder / "found" / "noise.csv")
    assert len(cells) == 3 * 3 * 2
    assert set(cells["protocol"]) == {"evaluated", "recalibrated", "mitigated"}
    points = pandas.read_csv(folder / "found" / "breakdown.csv")
    assert len(points) == 3 * 2 * 3
    assert set(points["criterion"]) == {"advantage", "margin", "half"}
    for name in ("noise.json", "noise-evaluated.svg", "noise-recalibrated.png"):
        assert (folder / "found" / name).stat().st_size > 500


def test_without_training_rows_recalibration_is_left_out_and_said(folder):
    options = ("--strength", 0.1, "--shots", 20, "--json")
    done = qmoe("noise", "mine.py:three", "--allow-import", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.removeprefix("this module runs\n"))
    assert {cell["protocol"] for cell in found["accuracy"]} == {"evaluated", "mitigated"}
    assert "no training rows" in found["left_out"]["recalibrated"]
    assert "recalibrated is left out" in done.stderr


def test_a_model_of_a_store_is_measured_over_its_draws_or_on_one_of_them(store):
    options = ("--study", "tiny", "--strength", 0.2, "--shots", 30, "--protocol", "evaluated", "--json")
    found = {}
    for name, more in (("all", ()), ("one", ("--draw", 1)), ("rival", ("--against", "linear"))):
        done = qmoe("noise", store, *options, *more, cwd=store)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    assert (found["all"]["intervals_over"], found["one"]["intervals_over"]) == ("draws of the data", "held-out rows")
    with Store(store / "store.sqlite", create=False) as opened:
        own = [record.metrics["test_accuracy"] for record in opened.load("tiny").of("quantum")]
    exact = {cell["strength"]: cell["accuracy"] for cell in found["all"]["accuracy"] if cell["shots"] is None}
    assert exact[0.0] == pytest.approx(sum(own) / len(own))
    assert {point["criterion"] for point in found["rival"]["breakdown"]} == {"advantage", "margin", "half"}
    assert {point["criterion"] for point in found["all"]["breakdown"]} == {"margin", "half"}


@pytest.fixture
def saved(tmp_path):
    """A saved mixture, and tables of 30 rows that it may be used on and fitted to."""
    generator = torch.Generator().manual_seed(0)
    experts = qmoe_package.LinearExperts(2, 2, n_experts=2, generator=generator)
    model = qmoe_package.MixtureOfExperts(qmoe_package.QuantumRouter(2, 2, generator=generator), experts)
    qmoe_package.save(model, tmp_path / "m.safetensors")
    for name in ("test", "train"):
        x = torch.rand(30, 2, generator=generator) * 3
        rows = [f"{a:.6f},{b:.6f},{'above' if a > b else 'below'}" for a, b in x.tolist()]
        (tmp_path / f"{name}.csv").write_text("a,b,class\n" + "\n".join(rows) + "\n")
    (tmp_path / "wide.csv").write_text("a,b,c,class\n0.1,0.2,0.5,above\n1.5,0.3,0.7,below\n")
    return tmp_path, model


def test_a_saved_model_is_measured_on_the_rows_of_a_table(saved):
    folder, model = saved
    options = (
        "--data",
        "test.csv",
        "--target",
        "class",
        "--train",
        "train.csv",
        "--strength",
        0.1,
        "--shots",
        20,
        "--json",
    )
    done = qmoe("noise", "m.safetensors", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {cell["protocol"] for cell in found["accuracy"]} == {"evaluated", "recalibrated", "mitigated"}
    table = pandas.read_csv(folder / "test.csv")
    with torch.no_grad():
        said = model(torch.tensor(table[["a", "b"]].to_numpy(), dtype=torch.float32)).argmax(-1).numpy()
    right = float((said == (table["class"] == "below")).mean())
    clean = [c for c in found["accuracy"] if (c["protocol"], c["strength"], c["shots"]) == ("evaluated", 0.0, None)]
    assert [cell["accuracy"] for cell in clean] == [pytest.approx(right)]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "say on which rows it is used: --data FILE.csv --target COLUMN"),
        (
            ("--data", "test.csv", "--target", "class", "--arm", "quantum"),
            "--arm decides nothing where SOURCE is a saved model",
        ),
        (("--data", "wide.csv", "--target", "class"), "does not run on rows of shape (2, 3)"),
        (("--data", "none.csv", "--target", "class"), "none.csv cannot be read"),
    ],
)
def test_what_a_saved_model_lacks_is_named(saved, more, words):
    folder, _ = saved
    done = qmoe("noise", "m.safetensors", *more, cwd=folder)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mine.py:odd", "--allow-import"), "Unknown key in the dict of mine.py:odd: 'foo'"),
        (("mine.py:half", "--allow-import"), "lacks one of X_train and y_train"),
        (("mine.py:shape", "--allow-import"), "labels of (3,), expected (N, F) and (N,)"),
        (("mine.py:classical", "--allow-import"), "has no circuit"),
        (("mine.py:text", "--allow-import"), "rows or labels that are no numbers"),
        (("mine.py:negative", "--allow-import"), "no classes, expected whole numbers from 0"),
        (("mine.py:fractions", "--allow-import"), "no classes, expected whole numbers from 0"),
        (("mine.py:training", "--allow-import"), "expected (N, C) numbers for the classes 0 to 2"),
        (
            ("mine.py:noisy", "--allow-import", "--placement", "gate"),
            "--placement decides nothing where noise is given",
        ),
        (("mine.py:three", "--allow-import", "--placement", "gat"), "did you mean 'gate'"),
        (("mine.py:three", "--allow-import", "--protocol", "retrained"), "trains at every strength"),
        (("mine.py:three", "--allow-import", "--protocol", "evaluatd"), "did you mean 'evaluated'"),
        (("mine.py:three", "--allow-import", "--strength", 1.5), "expected probabilities from 0 to 1"),
        (("mine.py:three", "--allow-import", "--strength", "nan"), "expected probabilities from 0 to 1"),
        (("mine.py:three", "--allow-import", "--draw", 0), "--draw decides nothing where SOURCE is your function"),
        (("mine.py:born", "--allow-import", "--protocol", "recalibrated"), "no adapter to recalibrate"),
    ],
)
def test_what_cannot_be_measured_is_named(folder, arguments, words):
    done = qmoe("noise", *arguments, cwd=folder)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--study", "tyni"), "did you mean 'tiny'"),
        (("--study", "tiny", "--arm", "quantm"), "did you mean 'quantum'"),
        (("--study", "tiny", "--draw", 9), "has the draws 0 to 2"),
        (("--study", "tiny", "--data", "x.csv"), "--data decides nothing where SOURCE is a results folder"),
    ],
)
def test_what_a_store_does_not_have_is_named(store, more, words):
    done = qmoe("noise", store, *more, cwd=store)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
