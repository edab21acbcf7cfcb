"""Every block of code on the pages of docs/, in README.md and in CONTRIBUTING.md runs, and prints what the page says."""

import contextlib
import importlib.util
import io
import re
import shlex
import sqlite3
import tomllib
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import torch

from helpers import qmoe_command
from qmoe.data import DATASETS, fourier, make_dataset
from qmoe.interop.transformers import FAMILIES
from qmoe.studies import Store, load_preset, parse_study, run_studies
from user_tables import write_table

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.name: path for path in (*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")}
#: Pages whose blocks are plain text in a frame: how the code is arranged.
DRAWINGS = {"CONTRIBUTING.md"}


class Block(NamedTuple):
    """A block of code: its language, the code, and the output that the page shows under it."""

    language: str
    code: str
    output: str | None


def blocks_of(text: str) -> list[Block]:
    """All blocks of a page; a ``text`` block after one of Python is what that prints."""
    found: list[Block] = []
    end = 0
    for match in re.finditer(r"^```([\w-]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        language, code = match.groups()
        follows = found and found[-1].language == "python" and text[end : match.start()].strip() == ""
        if language == "text" and follows:
            found[-1] = found[-1]._replace(output=code)
        else:
            found.append(Block(language, code, None))
        end = match.end()
    return found


BLOCKS = {name: blocks_of(path.read_text(encoding="utf-8")) for name, path in PAGES.items()}


def having(*languages: str) -> list[str]:
    """Pages with a block of one of the languages."""
    return [name for name, blocks in BLOCKS.items() if any(block.language in languages for block in blocks)]


def without_rounding(text: str) -> str:
    """The text with what differs between machines taken out: residuals of the size of rounding."""
    return re.sub(r"\d\.\de-1\d", "rounding", text)


# --- every block is one that a test below runs -----------------------------------------------------------------------


def test_every_block_is_in_a_language_that_is_run() -> None:
    known = {"python", "toml", "bash", "sh", "sql"}
    unknown = {
        name: [block.code for block in blocks if block.language not in known]
        for name, blocks in BLOCKS.items()
        if name not in DRAWINGS
    }
    assert {name: codes for name, codes in unknown.items() if codes} == {}
    assert sum(map(len, BLOCKS.values())) > 40


def test_blocks_are_found_with_their_output() -> None:
    page = "```python\nprint(1)\n```\n\n```text\n1\n```\n\nWords.\n\n```text\na frame\n```\n\n```sh\nls\n```\n"
    assert blocks_of(page) == [
        Block("python", "print(1)\n", "1\n"),
        Block("text", "a frame\n", None),
        Block("sh", "ls\n", None),
    ]


# --- Python ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the pages assume it: a small ``results/store.sqlite`` with a ladder, and ``my-claims.toml``."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "my-claims.toml").write_text(next(b.code for b in BLOCKS["claims.md"] if b.language == "toml"), "utf-8")
    (folder / "results").mkdir()
    with Store(folder / "results" / "store.sqlite") as store:
        run_studies([ladder()], store)
    return folder


def ladder(lr: float = 0.1) -> Any:
    """A few arms of the ladder on two moons, small."""
    study = load_preset("ladder-moons").resized(2, True)
    kept = ("quantum", "no-entangler", "relu", "twin", "linear")
    return study.model_copy(
        update={
            "arms": tuple(arm for arm in study.arms if arm.name in kept),
            "data": study.data.model_copy(update={"options": {**study.data.options, "n_samples": 60}}),
            "training": study.training.model_copy(update={"epochs": 2, "lr": lr}),
            "lr_factors": (),
        }
    )


@mock.patch.dict(FAMILIES)  # a page makes one more known
@pytest.mark.parametrize("page", [name for name in having("python") if name != "README.md"])
def test_examples_run_and_print_what_the_page_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {}  # a page imports all that it uses
    (tmp_path / "results").mkdir()  # as `qmoe reproduce` leaves one
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS[page]:
        if block.language != "python":
            continue
        code = compile(block.code, f"docs/{page}", "exec")
        if "torch.cuda." in block.code and not torch.cuda.is_available():
            continue  # needs a GPU; tests/test_cuda.py records the same graph where there is one
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if block.output is not None:
            assert without_rounding(printed.getvalue()) == without_rounding(block.output)


# --- other languages -------------------------------------------------------------------------------------------------


def test_queries_of_the_store_find_its_figures(reproduced: Path) -> None:
    with Store(reproduced / "results" / "store.sqlite", create=False) as store:
        results = store.load("ladder-moons")
    (text,) = (block.code for block in BLOCKS["store.md"] if block.language == "sql")
    with sqlite3.connect(reproduced / "results" / "store.sqlite") as db:
        means, differences = (db.execute(query).fetchall() for query in text.split(";") if query.strip())
    db.close()
    found = {arm: (mean, n) for arm, _, mean, n in means}
    for arm in ("quantum", "linear"):
        scores = [record.metrics["test_accuracy"] for record in results.of(arm)]
        assert found[arm] == (pytest.approx(sum(scores) / len(scores)), len(scores))
    assert len(differences) >= 2
    assert all(-1 <= difference <= 1 for _, _, difference in differences)


def test_tables_of_study_files_are_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "wine.csv").write_text(
        (tmp_path / "wine.csv").read_text("utf-8").replace("side", "class", 1), "utf-8"
    )
    whole, *parts = (block.code for block in BLOCKS["study-file.md"] if block.language == "toml")
    study = parse_study(tomllib.loads(whole))
    parts += [block.code for block in BLOCKS["noise.md"] if block.language == "toml"]
    for part in parts:
        values = tomllib.loads(whole) | tomllib.loads(part)
        arms = values.get("multiverse", {}).get("arms", ())
        shipped = {arm.name: arm for arm in load_preset("ladder-moons").arms}
        missing = [shipped[name].model_dump() for name in arms if name not in {arm.name for arm in study.arms}]
        assert parse_study(values | {"arms": [*values["arms"], *missing]}).name == study.name


@pytest.mark.parametrize("page", having("sh", "bash"))
def test_commands_exist_and_take_their_options(page: str) -> None:
    lines = [
        line
        for block in BLOCKS[page]
        if block.language in ("sh", "bash")
        for line in block.code.splitlines()
        if line.strip()
    ]
    assert lines
    for line in lines:
        assert complaint(line) is None, line


def complaint(line: str) -> str | None:
    """What is wrong with a line for the shell: the command, target or option that there is not."""
    words = shlex.split(line.partition(" > ")[0], comments=True)
    match words[1:] if words[:1] == ["exec"] else words:
        case [] | [
            "srun" | "sleep",
            *_,
        ]:  # a comment; commands of a cluster, of which the page says that nothing tests them
            return None
        case ["git", "clone", *_]:
            return None
        case ["make", target, *_]:
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
            return None if target in targets else f"no target {target}"
        case ["qmoe", *arguments]:
            done = qmoe_command(*arguments, "--help")  # runs nothing, and refuses what there is not
            return None if done.returncode == 0 else done.stderr
        case [".", ".venv/bin/activate"] | ["python3", "-m", "venv", ".venv"]:
            return None
        case ["pip", "install", "-c", constraints, "."]:
            return None if (ROOT / constraints).is_file() else f"no file {constraints}"
        case [(".venv/bin/python" | "python"), "-m", module, *_]:
            return None if importlib.util.find_spec(module) else f"no module {module}"
        case [(".venv/bin/python" | "python"), script, *_]:
            return None if (ROOT / script).is_file() else f"no script {script}"
    return f"a command that no test knows: {line}"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("make tests", "no target tests"),
        ("qmoe ablate --dada wine.csv", "No such option: --dada"),
        ("qmoe reproduces", "No such command 'reproduces'"),
        ("python scripts/none.py", "no script scripts/none.py"),
        ("pip install -c constraint.txt .", "no file constraint.txt"),
        ("rm -r /", "a command that no test knows: rm -r /"),
    ],
)
def test_a_wrong_command_is_seen(line: str, words: str) -> None:
    found = complaint(line)
    assert found is not None
    assert words in found


# --- what a page lists -----------------------------------------------------------------------------------------------


def test_every_data_set_has_a_row_with_its_difficulty_and_whether_its_truth_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whether an error is known does not depend on the number of points that find it; tests/data hold its value.
    monkeypatch.setattr("qmoe.data.curves._SOBOL_BITS", 8)
    monkeypatch.setattr(fourier, "_bayes_error", fourier._bayes_error.__wrapped__)
    text = (DOCS / "data.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    listed = {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert list(listed) == list(DATASETS)
    for name, row in listed.items():
        assert row[2].strip(" `") == DATASETS[name].difficulty
        if name not in ("mnist", "table"):
            assert (row[3].strip() == "not known") == (make_dataset(name).bayes_error() is None)
