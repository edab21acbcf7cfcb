"""Study files: what is read, what is refused, and in which words."""

import tomllib

import pytest

from qmoe.claims import claim_text, load_claims, shipped_claims
from qmoe.errors import ConfigError
from qmoe.studies import load_preset, load_study, make_trials, parse_study, preset_names, preset_text
from tiny_study import tiny_values
from user_tables import write_table


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_opens_with_expected_result_machine_and_wall_time(name):
    study = load_preset(name)
    assert study.name == name
    opening = preset_text(name).split("\nname =")[0]
    for word in ("Expected", "Machine", "Wall time"):
        assert f"# {word}" in opening


def test_presets_follow_the_papers_protocol():
    phase2 = load_preset("phase2-published")
    assert phase2.data.options == {"n_samples": 500, "noise": 0.1}
    assert (phase2.training.epochs, phase2.training.batch_size, phase2.training.lr) == (50, 32, 0.1)
    assert phase2.seeds.fixed == 42
    assert phase2.data.test_fraction == 0
    phase3a = load_preset("phase3a-heldout")
    assert [arm.model.router.hidden for arm in phase3a.arms[:-1]] == [2, 4, 8, 16, 32, 64]
    assert (phase3a.training.epochs, phase3a.training.lr, phase3a.data.options["n_samples"]) == (30, 0.05, 1000)
    phase3b = load_preset("phase3b-heldout")
    assert phase3b.arms[0].noise[:6] == (0, 0.02, 0.05, 0.1, 0.15, 0.2)
    assert phase3b.arms[0].noise[-1] == 0.75
    assert (phase3b.training.epochs, phase3b.training.lr) == (20, 0.05)
    phase1 = load_preset("phase1-mnist-published")
    assert (phase1.training.epochs, phase1.training.lr) == (8, 0.01)


@pytest.mark.parametrize(("name", "seeds"), [("phase2-published", 30), ("phase1-mnist-published", 30)])
def test_published_protocol_asks_for_at_least_thirty_initialisations_of_the_authors_data(name, seeds):
    trials = [m.trial for m in make_trials(load_preset(name)) if m.arm == load_preset(name).arms[0].name]
    assert len({t.init_seed for t in trials}) >= seeds
    assert len({t.draw for t in trials}) == 1


def test_the_two_mnist_protocols_share_their_trials():
    published, heldout = (
        {m.trial.hash for m in make_trials(load_preset(f"phase1-mnist-{p}"))} for p in ("published", "heldout")
    )
    assert published == heldout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"titel": "x"}, ["unknown key 'titel'", "did you mean 'title'"]),
        ({"training": {"epoch": 3}}, ["training", "unknown key 'epoch'", "did you mean 'epochs'"]),
        ({"training": {"epochs": 0}}, ["training.epochs", "greater than or equal to 1", "0"]),
        ({"training": {"lr": True}}, ["training.lr", "valid number", "True"]),
        ({"training": {"balance_loss": True}}, ["training.balance_loss", "valid number", "True"]),
        ({"training": {"lr": -0.1}}, ["training.lr", "greater than 0", "-0.1"]),
        ({"data": {"name": "moon"}}, ["Unknown data set 'moon'", "did you mean 'moons'"]),
        ({"data": {"name": "moons", "options": {"nois": 0.1}}}, ["'nois'", "did you mean 'noise'"]),
        ({"data": {"name": "moons", "scaling": "minmaxpi"}}, ["'minmaxpi'", "did you mean 'minmax_pi'"]),
        ({"seeds": {"data": 5, "fixed": 42}}, ["fixed = 42", "data must be 1, not 5"]),
        ({"arms": []}, ["arms", "at least 1"]),
        ({"protocol": "other"}, ["protocol", "published", "heldout", "other"]),
        ({"name": "Bad Name"}, ["name", "Bad Name"]),
        ({"name": "n" * 61}, ["name", "at most 60"]),
        ({"data": {"name": "moons", "test_fraction": 0.0}}, ["'heldout' needs a test part", "test_fraction"]),
        ({"quick": {"epohcs": 3}}, ["quick", "unknown key 'epohcs'", "did you mean 'epochs'"]),
        ({"quick": {"epochs": 0}}, ["quick", "epochs", "greater than or equal to 1"]),
        ({"training": {"epochs": 10**30}}, ["training.epochs", "1000000"]),
    ],
)  # fmt: skip
def test_a_bad_study_is_refused_with_place_value_and_remedy(changes, words):
    with pytest.raises(ConfigError) as caught:
        parse_study(tiny_values(**changes), "mine.toml")
    for word in ["mine.toml", *words]:
        assert word in str(caught.value)


def arm(**changes):
    model = {"router": {"kind": "quantum"}, "experts": {"kind": "linear"}}
    return [{"name": "a", "label": "a", "model": model} | changes]


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        (arm(noise=[1.5]), ["noise", "less than or equal to 1", "1.5"]),
        (arm(noise=[-0.1]), ["noise", "greater than or equal to 0", "-0.1"]),
        (arm(model={"router": {"kind": "linear"}, "experts": {"kind": "linear"}}, noise=[0.1]), ["'linear'", "quantum"]),
        (arm(model={"router": {"kind": "quantm"}, "experts": {"kind": "linear"}}), ["quantm", "'quantum'"]),
        (arm(model={"router": {"kind": "quantum", "encoding": "angel"}, "experts": {"kind": "linear"}}), ["angel", "angle"]),
        (arm() + arm(), ["same name", "a"]),
        (arm(noise=[0.1, 0.1]), ["noise", "twice", "0.1"]),
        (arm(model={"router": {"kind": "quantum", "noise": 0.5}, "experts": {"kind": "linear"}}, noise=[0.1]), ["keep one"]),
        (arm(model={"router": {"kind": "quantum", "placement": "gate"}, "experts": {"kind": "linear"}}), ["placement"]),
        (arm(model={"router": {"kind": "quantum", "n_qubits": 60}, "experts": {"kind": "linear"}}), ["n_qubits", "24"]),
        (arm(model={"router": {"kind": "quantum", "encoding": "amplitude", "rotation": "Y"}, "experts": {"kind": "linear"}}),
         ["rotation and uploads belong to angle encoding"]),
    ],
)  # fmt: skip
def test_a_bad_arm_is_refused_with_place_value_and_remedy(arms, words):
    with pytest.raises(ConfigError) as caught:
        parse_study(tiny_values(arms=arms))
    for word in words:
        assert word in str(caught.value)


def test_an_unknown_preset_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'phase2-heldout'"):
        load_preset("phase2-held")


def test_a_study_file_that_is_missing_or_no_toml_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no study file"):
        load_study(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = \n")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_study(tmp_path / "bad.toml")


def test_a_preset_written_to_a_file_is_the_same_study(tmp_path):
    (tmp_path / "mine.toml").write_text(preset_text("phase3b-heldout"), encoding="utf-8")
    assert load_study(tmp_path / "mine.toml") == load_preset("phase3b-heldout")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_as_windows_writes_them_are_read(tmp_path, encoding):
    text = preset_text("phase3b-heldout").replace("\n", "\r\n")
    (tmp_path / "mine.toml").write_bytes(text.encode(encoding))
    assert load_study(tmp_path / "mine.toml") == load_preset("phase3b-heldout")
    (tmp_path / "claim.toml").write_bytes(claim_text("C6b").replace("\n", "\r\n").encode(encoding))
    assert load_claims(tmp_path / "claim.toml") == [claim for claim in shipped_claims() if claim.id == "C6b"]


ON_TABLE = """
name = "mine"
title = "Mine"
phase = "own"
protocol = "heldout"
[data]
name = "table"
options = { path = PATH, target = "side" }
[[arms]]
name = "linear"
label = "linear router"
model = { router = { kind = "linear" }, experts = { kind = "linear" } }
"""


@pytest.mark.parametrize(
    "written", ['"data.csv"', '"./data.csv"', "'sub\\data.csv'", '"sub/data.csv"', '"../mine/data.csv"']
)
def test_places_in_a_study_file_start_from_its_folder(tmp_path, monkeypatch, written):
    folder = tmp_path / "mine"
    write_table(folder / "data.csv", seed=1)
    write_table(folder / "sub" / "data.csv", seed=2)
    write_table(tmp_path / "elsewhere" / "data.csv", seed=3)
    (folder / "mine.toml").write_text(ON_TABLE.replace("PATH", written))
    for here in ("elsewhere", "mine"):
        monkeypatch.chdir(tmp_path / here)
        found = load_study(folder / "mine.toml" if here == "elsewhere" else "mine.toml").data.options["path"]
        assert found == str(folder / ("sub" if "sub" in written else "") / "data.csv")


@pytest.mark.parametrize(
    "written", [r'"C:\Users\me\data.csv"', r'"C:\data.csv"', r'"work\table.csv"', r'"work\new.csv"']
)
def test_backslashes_that_toml_takes_for_escapes_are_named(tmp_path, written):
    (tmp_path / "mine.toml").write_text(ON_TABLE.replace("PATH", written))
    with pytest.raises(ConfigError, match=r"write the \\ of a path as /, or the path in single quotes"):
        load_study(tmp_path / "mine.toml")


def test_a_table_that_is_not_there_is_named_by_its_whole_path(tmp_path):
    (tmp_path / "mine.toml").write_text(ON_TABLE.replace("PATH", '"none.csv"'))
    with pytest.raises(
        ConfigError, match=rf"mine\.toml: data: table: {tmp_path}/none\.csv cannot be read: No such file"
    ):
        load_study(tmp_path / "mine.toml")


def test_resizing_repeats_what_varies():
    assert load_preset("phase2-heldout").resized(5).seeds.data == 5
    assert load_preset("phase2-published").resized(5).seeds.per_data == 5
    assert load_preset("phase1-mnist-published").resized(3, quick=True).training.epochs == 2
    assert load_preset("phase2-published").resized(3, quick=True).training.epochs == 50


def test_an_error_in_an_arm_names_the_arm():
    values = tomllib.loads(preset_text("phase2-heldout"))
    values["arms"].append(
        {"name": "twin", "label": "twin", "model": {"router": {"kind": "twins"}, "experts": {"kind": "linear"}}}
    )
    with pytest.raises(ConfigError, match=r"arms\.2\.model\.router \(arm 'twin'\): unknown kind 'twins'"):
        parse_study(values)
    del values["arms"][2]["name"]
    with pytest.raises(ConfigError, match=r"study: arms\.2\.name: Field required"):
        parse_study(values)
