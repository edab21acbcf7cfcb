"""What goes into the page, and what is refused."""

import json
import re

import numpy as np
import pytest
import torch

import qmoe
from explorer.conftest import put, text
from explorer.page_numbers import exactly, scaled
from helpers import generator
from qmoe.circuits import BitFlip, NoiseModel
from qmoe.errors import ConfigError, QMoEError
from qmoe.explorer import build_explorer
from qmoe.explorer.explored_arms import explored_arms
from qmoe.explorer.explored_data import explored_data
from qmoe.explorer.explorer_page import MODULES, _asset, as_json, script
from qmoe.explorer.page_data import page_data
from user_tables import write_table


def mixture(seed=0, **options):
    router = qmoe.QuantumRouter(2, 2, generator=generator(seed), **options)
    return qmoe.MixtureOfExperts(router, qmoe.LinearExperts(2, 2, n_experts=2, generator=generator(seed)))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "sides.csv", rows=60)


@pytest.fixture(scope="module")
def built(table):
    """A page on a table, with a model of a user's own: one layer, noise, no entangler, encoded about Y."""
    noise = NoiseModel(0.1, "gate", dephasing="encoding", dephasing_axis="Z")
    model = mixture(n_layers=1, ansatz="no_entangler", noise=noise, encoding=qmoe.AngleEncoding(rotation="Y"))
    path = build_explorer(table.parent / "new" / "own.html", data=table, target="side", model=model, scaling="standard")
    return path, model


def numbers_of(path):
    return json.loads(re.search(r'id="numbers">(.*?)</script>', path.read_text(encoding="utf-8")).group(1))


def test_a_model_and_a_table_of_your_own_are_shown_as_they_are(browser, built, table):
    path, model = built
    browser.screen(1280, 900)
    browser.open(path)
    browser.run("explorer.settled()")
    state, data = browser.run("explorer.state()"), explored_data(table, "side", 0)
    wanted = {"axis": "Y", "entangler": False, "strength": 0.1, "placement": "gate", "dephasing": "encoding"}
    wanted["scaling"] = "standard"
    assert {key: state["settings"][key] for key in wanted} == wanted
    share, output = exactly(model.double(), scaled(data.split.x_test, state, data))
    found = state["results"]["quantum"]["rows"]["heldOut"]
    assert np.abs(share - found["share"]).max() < 1e-9
    assert np.abs(output - found["output"]).max() < 1e-9
    assert (
        browser.run("[...document.querySelectorAll('.numbers thead th')].map((e) => e.textContent)")[1] == "chance of b"
    )
    assert browser.run("document.querySelector('label[for=point0]').textContent") == "left"
    assert browser.run("document.querySelectorAll('#weights .weight').length") == 12
    assert text(browser, "about").startswith(
        "The quantum router is the model that was given. Data: sides.csv, 30 training rows"
    )
    assert browser.complaints == []


def test_the_twin_has_all_waves_and_follows_a_model_of_your_own_when_its_entangler_is_switched_on(browser, built):
    browser.screen(1280, 900)
    browser.open(built[0])
    browser.run("(explorer.set({entangler: true, strength: 0}), document.getElementById('copy-twin').click())")
    browser.run("explorer.settled()")
    quantum, twin = (np.array(browser.run(f"explorer.grid('{name}').output")) for name in ("quantum", "twin"))
    assert np.abs(quantum - twin).max() < 1e-10
    assert np.ptp(quantum) > 0.1
    waves = numbers_of(built[0])["arms"]["twin"]["functions"]
    assert sorted(map(tuple, waves)) == [(a, b) for a in range(3) for b in range(3)][1:]


def test_trained_models_are_the_same_for_the_same_seed(built, table):
    numbers = [page_data(data, explored_arms(data, 0)) for data in [explored_data(table, "side", 0)] * 2]
    assert numbers[0] == numbers[1]
    assert set(numbers[0]["arms"]) == {"quantum", "twin", "linear"}
    other = explored_arms(explored_data(table, "side", 0), 1).models["linear"].router.weight
    assert not torch.equal(other, torch.tensor(numbers[0]["arms"]["linear"]["weight"], dtype=torch.float64))


def test_the_page_is_one_file_that_asks_for_nothing(page):
    written = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in written
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)[^\"' ]+|\bimport\b[^;]*from|\bexport\b", written) == []
    assert len(written) < 200_000


def test_what_is_imported_from_a_module_is_exported_there_and_stands_before():
    exported = {}
    for module in MODULES:
        source = _asset(f"{module}.js")
        for names, other in re.findall(r"^import \{([^}]*)\} from \"\./([a-z]+)\.js\";$", source, re.MULTILINE):
            assert set(re.findall(r"\w+", names)) <= exported[other]
        exported[module] = set(re.findall(r"^export (?:function|const|class) (\w+)", source, re.MULTILINE))
    assert len(exported) == len(MODULES)


def test_no_two_modules_give_one_name_at_their_top_since_they_become_one_script():
    names = re.findall(r"^(?:function|const|let|class) (\w+)", script(), re.MULTILINE)
    assert sorted(names) == sorted(set(names))
    assert len(names) > 50


def test_names_of_columns_cannot_end_the_element_that_holds_them():
    assert "<" not in as_json({"name": "</script><script>alert(1)</script>"})
    assert json.loads(as_json({"name": "</script>"})) == {"name": "</script>"}


def test_hostile_names_are_text_on_the_page(browser, table):
    path = table.parent / "hostile.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(["<img src=x onerror=alert(1)>,</script>,side", *lines[1:]]), encoding="utf-8")
    browser.open(build_explorer(table.parent / "hostile.html", data=path, target="side", model=mixture()))
    browser.run("explorer.settled()")
    assert browser.run("document.querySelector('label[for=point0]').textContent") == "<img src=x onerror=alert(1)>"
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.complaints == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "moon"}, "did you mean 'moons'"),
        ({"data": "gaussian_xor.csv"}, "--target COLUMN"),
        ({"data": "moons", "target": "side"}, "leave out --target"),
        ({"data": "mnist4x4"}, "expected two of each"),
        ({"scaling": "unit_norm"}, "minmax_pi"),
        ({"model": torch.nn.Linear(2, 2)}, "it is a Linear without a quantum router"),
        ({"model": mixture(n_qubits=3)}, "its circuit has 3 qubits"),
        ({"model": mixture(n_layers=7)}, "it has 7 layers"),
        ({"model": mixture(n_layers=0)}, "it has 0 layers"),
        ({"model": mixture(readout="born")}, "something else than Z"),
        ({"model": mixture(encoding=qmoe.AngleEncoding(uploads=2))}, "it encodes the features otherwise"),
        ({"model": mixture(ansatz="basic_entangler")}, "its layers are others"),
        ({"model": mixture(noise=NoiseModel(channels=[BitFlip(0.1).after("gate")]))}, "channels of its own"),
        ({"model": qmoe.MixtureOfExperts(mixture().router, qmoe.MLPExperts(2, 2, 2))}, "its experts are not linear"),
        ({"model": qmoe.MixtureOfExperts(mixture().router, qmoe.LinearExperts(2, 3, 2))}, "other than two outputs"),
        ({"model": qmoe.MixtureOfExperts(mixture().router, qmoe.LinearExperts(2, 2, 2), top_k=1)}, "top-k"),
        (
            {"model": qmoe.MixtureOfExperts(qmoe.LinearRouter(2, 2), qmoe.LinearExperts(2, 2, 2))},
            "without a quantum router",
        ),
    ],
)
def test_what_the_page_cannot_show_is_refused_with_the_reason(tmp_path, options, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        build_explorer(tmp_path / "page.html", **options)


def test_circuits_of_operations_are_refused(tmp_path):
    circuit = qmoe.Circuit.from_operations(
        [qmoe.Gate("RX", (0,), (qmoe.circuits.Feature(0),)), qmoe.Gate("RX", (1,), (qmoe.circuits.Feature(1),))]
    )
    model = qmoe.MixtureOfExperts(qmoe.QuantumRouter(2, 2, circuit=circuit), qmoe.LinearExperts(2, 2, 2))
    with pytest.raises(ConfigError, match="it encodes the features otherwise"):
        build_explorer(tmp_path / "page.html", model=model)


def test_a_feature_whose_slope_would_be_infinite_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{row}e-310,{row % 7},{row % 2}" for row in range(1, 41)]
    path.write_text("\n".join(["left,right,side", *rows]), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"'left' varies by .*e-309, expected at least 1e-300; give it in a smaller unit"
    ):
        build_explorer(tmp_path / "page.html", data=path, target="side")


@pytest.mark.parametrize(("change", "words"), [("constant", "'left' is constant"), ("many", "at most 2000")])
def test_tables_that_make_no_page_are_refused(tmp_path, change, words):
    path = write_table(tmp_path / "t.csv", rows=2100 if change == "many" else 40)
    if change == "constant":
        path.write_text(
            re.sub(r"^0\.\d+", "0.5", path.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8"
        )
    with pytest.raises(ConfigError, match=words):
        build_explorer(tmp_path / "page.html", data=path, target="side")


def test_a_place_that_cannot_be_written_is_told(tmp_path, table):
    with pytest.raises(QMoEError, match="choose another file"):
        build_explorer(tmp_path, data=table, target="side", model=mixture())


def test_a_page_of_the_test_browser_reads_what_the_file_holds(opened, page):
    assert put(opened, strength=0.0)["arms"] == numbers_of(page)["arms"]
