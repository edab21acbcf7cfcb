"""A results folder from a stranger: nothing outside of it is read or written, and nothing in it runs or hangs."""

import dataclasses
import hashlib
import io
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from helpers import qmoe_command as qmoe
from qmoe.errors import QMoEError, StoreError
from qmoe.report import build_report, read_store
from qmoe.studies import Store, parse_study, run_studies
from qmoe.studies.store import status_of
from qmoe.studies.store.digests import of_measurement, of_study
from qmoe.studies.store.trial_rows import packed
from tiny_study import tiny_values
from user_tables import table_values, write_table

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")

#: Runs `qmoe` with the arguments, and prints as JSON every file that is opened and every connection that is asked for.
WATCHED = """
import json, os, sys
seen = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        flags = arguments[2] or 0
        write = bool(flags & (os.O_WRONLY | os.O_RDWR)) or any(letter in (arguments[1] or "") for letter in "wax+")
        seen.append(["write" if write else "read", os.path.realpath(os.fsdecode(arguments[0]))])
    elif event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        seen.append([event, str(arguments)])
    elif event in ("os.rename", "os.remove", "os.mkdir", "os.link", "os.symlink", "os.truncate"):
        places = [one for one in arguments[:2] if isinstance(one, (str, bytes, os.PathLike))]
        seen.extend([event, os.path.abspath(os.fsdecode(one))] for one in places)
    elif event == "sqlite3.connect":
        seen.append([event, os.fsdecode(arguments[0])])
sys.addaudithook(watch)
import qmoe.cli
sys.argv = ["qmoe", *sys.argv[1:]]
try:
    qmoe.cli.main()
except SystemExit as end:
    seen.append(["exit", str(end.code)])
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with the store of a good study, and of one on a table that the store keeps and that is planar."""
    folder = tmp_path_factory.mktemp("stranger") / "results"
    path = write_table(folder / "data.csv")
    with Store(folder / "store.sqlite") as store:
        table = parse_study(table_values(path, name="kept", training={"epochs": 2, "batch_size": 16}))
        run_studies([parse_study(tiny_values()), table], store)
    path.unlink()
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(prepared, tmp_path / "results"))


def change(folder, *statements):
    """Runs SQL on the store."""
    with sqlite3.connect(folder / "store.sqlite") as db:
        for statement in statements:
            db.execute(*statement) if isinstance(statement, tuple) else db.execute(statement)
    db.close()


def add_study(folder, values, name):
    spec = json.dumps({**values, "name": name})
    change(folder, ("INSERT INTO studies VALUES (?, 99, ?, ?)", (name, spec, of_study(name, spec))))


def set_row(folder, **changed):
    """Changes one trial of the study tiny, with a digest that fits, as whoever knows the format can."""
    with Store(folder / "store.sqlite") as store:
        key = store.load("tiny").members[0].trial.hash
        ((row, _),) = store._trials.rows([key])
        store._trials.put(dataclasses.replace(row, **{k: v(row) if callable(v) else v for k, v in changed.items()}))
        store._db.commit()
    return key


def watched(*arguments, cwd, scratch):
    """What a command opened, and what it printed; its libraries try whether they could write to ``scratch``."""
    code = [sys.executable, "-W", "ignore", "-c", WATCHED, *map(str, arguments)]
    env = {**os.environ, "TMPDIR": str(scratch)}
    done = subprocess.run(code, capture_output=True, text=True, timeout=150, check=False, cwd=cwd, env=env)
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def test_a_hostile_folder_reads_and_writes_nothing_outside(folder, tmp_path):
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    secret = home / "passwords.csv"
    secret.write_text("x,y,side\nroot,hunter2,a\n")
    before = secret.read_text()
    os.mkfifo(home / "pipe")
    for number, place in enumerate((secret, home / "pipe", Path("/dev/zero"), home)):
        options = {"path": str(place), "target": "side"}
        add_study(folder, table_values(secret, options=options), f"outside-{number}")
    mnist = tiny_values(data={"name": "mnist", "options": {"openml": True}, "components": 2})
    add_study(folder, mnist, "network")
    add_study(folder, tiny_values(data={"name": "mnist", "options": {"folder": str(home)}, "components": 2}), "images")
    for name in ("figures", "tables"):
        (folder / name).mkdir()
    (folder / "report.html").symlink_to(secret)
    (folder / "tables" / "headline.csv").symlink_to(secret)
    os.mkfifo(folder / "tables" / "kept-arms.csv")
    os.link(secret, folder / "figures" / "kept-seeds.svg")
    seen, output = watched("report", "results", "--json", cwd=tmp_path, scratch=scratch)
    assert "Traceback" not in output
    assert ["exit", "0"] in seen or not [one for one in seen if one[0] == "exit"]
    assert "hunter2" not in output
    assert secret.read_text() == before
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "report.html").is_symlink()
    assert "hunter2" not in page
    for name in ("outside-0", "outside-1", "outside-2", "outside-3", "images"):
        assert f"The study {name} cannot be read and is left out" in page
    assert hashlib.sha256((folder / "store.sqlite").read_bytes()).hexdigest() in page
    assert 'id="kept"' in page
    # Programs, their settings and caches; `:memory:` is no file.
    homes = [
        f"{os.path.realpath(Path.home())}/{name}" for name in (".cache", ".config", ".matplotlib", ".fonts", ".local")
    ]
    system = ["/proc", "/sys", "/etc", "/usr", "/lib", "/opt", "/bin", "/dev/null", "/dev/urandom", "/var/cache"]
    source = Path(__file__).parents[2]
    programs = [os.path.realpath(p) for p in (source, sys.prefix, sys.base_prefix, *filter(None, sys.path), scratch)]
    touched = [(what, place.removeprefix("file://")) for what, place in seen if what != "exit" and place != ":memory:"]
    outside = [one for one in touched if not one[1].startswith(os.path.realpath(folder))]
    assert [one for one in outside if not one[1].startswith((*homes, *system, *programs))] == []
    written = [place for what, place in outside if what not in ("read", "sqlite3.connect")]
    assert [place for place in written if not place.startswith((*homes, os.path.realpath(scratch), "/dev/null"))] == []
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm", ".lock", ".holder"])
@pytest.mark.parametrize("what", ["link", "pipe"])
def test_no_file_of_a_store_is_opened_through_a_link_or_waited_for(folder, tmp_path, ending, what):
    place = folder / f"store.sqlite{ending}"
    mine = tmp_path / "mine"
    shutil.copy(folder / "store.sqlite", mine)
    before = mine.read_bytes()
    place.unlink(missing_ok=True)
    place.symlink_to(mine) if what == "link" else os.mkfifo(place)
    words = "is a link to" if what == "link" else "is no regular file"
    for create in (False, True):
        with pytest.raises(StoreError, match=words):
            Store(folder / "store.sqlite", create=create)
    with pytest.raises(StoreError, match=words):
        status_of(folder / "store.sqlite")
    assert mine.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM trials; END",
        "CREATE VIEW v AS SELECT * FROM trials",
        "CREATE VIRTUAL TABLE v USING fts5(words)",
    ],
)
def test_a_schema_that_does_something_is_refused(folder, statement):
    change(folder, statement)
    with pytest.raises(StoreError, match="which no qmoe made"):
        Store(folder / "store.sqlite", create=False)
    with pytest.raises(StoreError, match="which no qmoe made"):
        status_of(folder / "store.sqlite")
    # Whoever runs studies there gets the rows without it.
    with pytest.warns(UserWarning, match=r"What can be read of it, 14 trials"), Store(folder / "store.sqlite") as store:
        assert run_studies([store.load("tiny").study], store).ran == 0
    with Store(folder / "store.sqlite", create=False) as store:
        assert store.load("kept").n_missing == 0


def test_tables_of_another_make_are_refused(folder):
    change(
        folder,
        "DROP TABLE measurements",
        "CREATE TABLE measurements (hash TEXT PRIMARY KEY, quantity, name, figures AS (zeroblob(1000000000)))",
    )
    with pytest.raises(StoreError, match="its table 'measurements' is not one that qmoe made"):
        Store(folder / "store.sqlite", create=False)


def executed(**changed):
    """A row's execution with other values."""
    return lambda row: dataclasses.replace(row.execution, **changed)


ROWS = {
    "a long text": ({"error": "x" * 200_000, "failure": "error"}, "characters of error"),
    "a history of another length": (
        dict(zip(("names", "history"), packed({"loss": [0.1] * 3}), strict=True)),
        "the history of loss cannot be",
    ),
    "a history of words": ({"names": '["loss"]', "history": b"words"}, "its history cannot be read"),
    "a history that is a bomb": ({"history": zlib.compress(bytes(2**27))}, "its history cannot be read"),
    "names that are nested": ({"names": "[" * 9_000 + "]" * 9_000}, "its history cannot be read"),
    "no parameters": ({"figures": {"loss": 1.0}}, "it lacks chance, parameters"),
    "no end": ({"figures": lambda row: row.figures | {"loss": math.inf}}, "'loss' = inf cannot be"),
    "no share": ({"figures": lambda row: row.figures | {"test_accuracy": 5.0}}, r"'test_accuracy' = 5\.0 cannot be"),
    "a course that is none": ({"recent": b"\xff" * 16}, "last losses"),
    "no stack": ({"execution": executed(stack_size=0)}, "a stack of 0"),
    "endless seconds": ({"execution": executed(seconds=math.inf)}, "inf seconds"),
    "no attempt": ({"attempts": 0}, "tried 0 times"),
    "another seed": ({"data_seed": 7}, "other seeds"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_cannot_be_is_left_out_though_its_digest_fits(folder, case):
    columns, words = ROWS[case]
    key = set_row(folder, **columns)
    with Store(folder / "store.sqlite", create=False) as store, pytest.warns(UserWarning, match=words):
        assert key not in store.load("tiny").records


def test_a_value_that_is_too_large_is_refused_before_it_is_read(folder, monkeypatch):
    set_row(folder, weights=b"0" * 300_000)
    monkeypatch.setattr("qmoe.safe_files.open_to_read.__defaults__", (200_000,))
    contents = read_store(folder / "store.sqlite")
    assert [results.study.name for results in contents.results] == ["kept"]
    assert "too big" in dict(contents.unreadable)["tiny"]


@pytest.mark.parametrize("figures", ['"a"', "[[1]]", "[1", '["x"]', f"[{'9' * 400}]"])
def test_measurements_that_are_no_numbers_are_left_out(folder, figures):
    row = ("h", "q", "n", figures)
    change(folder, ("INSERT INTO measurements VALUES (?, ?, ?, ?, ?)", (*row, of_measurement(*row))))
    with pytest.warns(UserWarning, match="'q' of 'n' cannot be read"):
        assert "q" not in read_store(folder / "store.sqlite").measurements
    with Store(folder / "store.sqlite", create=False) as store:
        assert not store.has_measurement("h")  # so that it is measured again


@pytest.mark.usefixtures("undrawn")
def test_weights_that_cannot_be_read_cost_the_picture_alone(folder, tmp_path):
    set_row(folder, weights=b"\xff" * 10)
    page = build_report(folder / "store.sqlite", tmp_path / "out").read_text(encoding="utf-8")
    assert "Decision boundaries are left out. The weights of trial" in page
    assert 'id="kept"' in page


def forged_table(**arrays):
    """The blob of a kept table with other arrays."""
    good = {"x": np.zeros((2, 2)), "y": np.arange(2), "names": np.array(json.dumps([["a", "b"], ["c", "d"], "0" * 16]))}
    out = io.BytesIO()
    np.savez_compressed(out, **{**good, **arrays})
    return out.getvalue()


def bomb():
    """A kept table whose header says that it has a thousand million rows."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(forged_table())) as good, zipfile.ZipFile(out, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name == "x.npy":
                header = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**3)}
                )
                content = header.getvalue() + b"\0" * 32
            bad.writestr(name, content)
    return out.getvalue()


TABLES = {
    "no archive": lambda: b"PK",
    "a shape that is not there": bomb,
    "labels beyond the classes": lambda: forged_table(y=np.array([0, 5])),
    "features that are words": lambda: forged_table(x=np.array([["a", "b"], ["c", "d"]])),
    "names that are numbers": lambda: forged_table(names=np.array("[1, 2, 3]")),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_kept_table_that_is_none_costs_its_study_alone(folder, case):
    change(folder, ("UPDATE kept_tables SET content = ?", (TABLES[case](),)))
    contents = read_store(folder / "store.sqlite")
    assert [results.study.name for results in contents.results] == ["tiny"]
    ((name, reason),) = contents.unreadable
    assert name == "kept"
    assert "is damaged" in reason


def test_a_page_goes_where_it_is_told_and_the_store_stays_as_it_was(folder, tmp_path):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = qmoe("report", folder, "--out", tmp_path / "mine", "--json")
    assert done.returncode == 0, done.stderr
    assert Path(json.loads(done.stdout)["report"]) == tmp_path / "mine" / "report.html"
    assert (tmp_path / "mine" / "tables" / "tiny-arms.csv").exists()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert not list((tmp_path / "mine").rglob(".*"))


def test_two_studies_share_no_file(tmp_path):
    names = ["a.b", "a-b", "a", "a-noise", "summary"]
    with Store(tmp_path / "store.sqlite") as store:
        run_studies([parse_study(tiny_values(name=name, seeds={"data": 1, "per_data": 2})) for name in names], store)
    page = build_report(tmp_path / "store.sqlite", tmp_path).read_text(encoding="utf-8")
    tables = {path.name for path in (tmp_path / "tables").glob("*-arms*.csv")}
    assert tables == {"a-b-arms.csv", "a-b-arms-2.csv", "a-arms.csv", "a-noise-arms.csv", "summary-arms.csv"}
    assert page.count('id="summary"') == 1
    assert 'id="a-b"' in page
    assert 'id="a-b-2"' in page
    for name in tables:
        assert f"tables/{name}" in page
    assert "<td>" in page


def test_a_folder_within_that_is_a_link_or_a_file_is_refused(folder, tmp_path):
    (folder / "export").symlink_to(tmp_path)
    done = qmoe("export", folder)
    assert done.returncode == 1
    assert "is a link to" in done.stderr
    (folder / "tables").write_text("")
    with pytest.raises(QMoEError, match="cannot be made"):
        build_report(folder / "store.sqlite", folder)
    assert {path.name for path in tmp_path.iterdir()} == {"results"}


def test_keys_of_a_later_version_are_told_and_left_out(folder):
    later = tiny_values()
    later["colour"] = "blue"
    later["training"]["warmup"] = 3
    spec = json.dumps(later)
    change(folder, ("UPDATE studies SET spec = ?, digest = ? WHERE name = 'tiny'", (spec, of_study("tiny", spec))))
    with pytest.warns(UserWarning, match=r"keys that this qmoe does not know.*colour, training\.warmup"):
        contents = read_store(folder / "store.sqlite")
    (results,) = [one for one in contents.results if one.study.name == "tiny"]
    assert results.unknown == ("colour", "training.warmup")
    assert results.n_missing == 0


@pytest.mark.parametrize("place", ["a pipe", "a device", "a folder", "too large"])
def test_a_table_is_a_regular_file_below_a_size(tmp_path, place, monkeypatch):
    path = {"a device": Path("/dev/zero"), "a folder": tmp_path}.get(place, tmp_path / "data.csv")
    if place == "a pipe":
        os.mkfifo(path)
    if place == "too large":
        write_table(path)
        monkeypatch.setattr("qmoe.data.tables.table.MAX_BYTES", 100)
    words = "bytes, expected 100 at most" if place == "too large" else "expected a regular file"
    with pytest.raises(QMoEError, match=words):
        parse_study(table_values(path))


def test_a_link_to_a_table_is_followed_in_a_study_of_your_own(tmp_path):
    path = write_table(tmp_path / "data.csv")
    (tmp_path / "link.csv").symlink_to(path)
    assert parse_study(table_values(tmp_path / "link.csv")).data.options["digest"]


def test_a_study_downloads_nothing_unless_it_is_allowed(tmp_path):
    (tmp_path / "far.toml").write_text(
        'name = "far"\ntitle = "Far"\nphase = "own"\nprotocol = "heldout"\n'
        'data = { name = "mnist", options = { openml = true }, components = 2 }\n'
        '[[arms]]\nname = "linear"\nlabel = "linear"\n'
        'model = { router = { kind = "linear" }, experts = { kind = "linear" } }\n'
    )
    done = qmoe("run", "far.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "downloads its data from openml.org; allow it with --fetch" in done.stderr
    assert not (tmp_path / "results").exists()


def test_an_endless_study_file_is_refused(tmp_path):
    done = qmoe("run", "/dev/zero", cwd=tmp_path)
    assert done.returncode == 2
    assert "it has more than" in done.stderr
