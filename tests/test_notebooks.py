"""The notebooks run, and what is committed of them belongs to their sources."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "execute_notebooks.py"

_spec = importlib.util.spec_from_file_location("execute_notebooks", SCRIPT)
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)

SOURCES = script.sources()
NAMES = [path.stem for path in SOURCES]
NEEDED = ("jupytext", "nbclient", "nbformat", "ipykernel")
#: Of this machine or another: paths that only exist there.
PATHS = re.compile(r"(/root|/work|/home/|/tmp/|/Users/|/var/folders/|[A-Z]:\\\\Users)")


@pytest.fixture(autouse=True)
def _packages():
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        message = f"{', '.join(missing)} missing: pip install -e '.[notebooks]'"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI executes the notebooks; {message}")
        pytest.skip(message)


def committed(name):
    import nbformat

    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.is_file(), f"{path.name} is missing; run `make notebooks`"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def texts(output):
    """All text that an output shows, but for drawings."""
    yield output.get("text", "")
    yield from output.get("traceback", ())
    yield from (value for kind, value in output.get("data", {}).items() if kind.startswith("text/"))


def test_there_is_a_notebook_for_each_phase_and_the_tutorials():
    phases = ["phase1_baseline", "phase2_routing", "phase3_efficiency_and_noise"]
    assert [*phases, "tutorial_your_own_circuit", "tutorial_your_own_data"] == NAMES


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_it_runs_in_the_small_size_and_shows_all(path):
    notebook = script.execute(path, "small")
    stored = committed(path.stem)
    for ran, kept in zip(notebook.cells, stored.cells, strict=True):
        if ran.cell_type == "code":
            figures = [sum("image/svg+xml" in o.get("data", {}) for o in cell.outputs) for cell in (ran, kept)]
            assert figures[0] == figures[1], f"other figures are committed; run `make notebooks`\n{ran.source}"
            assert not any(o.get("name") == "stderr" for o in ran.outputs), ran.outputs


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_committed_cells_are_those_of_the_source(path):
    source, stored = script.read_source(path), committed(path.stem)
    pairs = [[(cell.id, cell.cell_type, cell.source) for cell in notebook.cells] for notebook in (source, stored)]
    assert pairs[0] == pairs[1], "run `make notebooks`"


@pytest.mark.parametrize("name", NAMES)
def test_committed_outputs_are_complete_and_clean(name):
    notebook = committed(name)
    assert (ROOT / "notebooks" / f"{name}.ipynb").stat().st_size < 1_500_000
    assert dict(notebook.metadata) == script._METADATA
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert sum("image/svg+xml" in o.get("data", {}) for o in outputs) >= (4 if name.startswith("phase") else 2)
    assert any("<table>" in o.get("data", {}).get("text/html", "") for o in outputs)
    assert not any(cell.metadata for cell in notebook.cells)


def shown(name):
    """All text that the committed outputs of a notebook show."""
    outputs = (output for cell in committed(name).cells for output in cell.get("outputs", ()))
    return "\n".join(text for output in outputs for text in texts(output))


def cells_of(table):
    """The cells of each row of the body of a table of HTML."""
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", table)]


def test_the_tutorial_on_circuits_finds_that_the_layer_matters_and_its_twin_does_as_well():
    text = shown("tutorial_your_own_circuit")
    assert "PennyLane's layer and this one agree to rounding" in text
    assert "The layer carries the effect. Its classical twin does as well." in text
    rows = {row[0]: [float(value) for value in row[1:]] for row in cells_of(text) if len(row) == 3}
    assert list(rows) == ["0", "0.05", "0.1", "0.2", "0.3", "0.5"]
    exact, shots = zip(*rows.values(), strict=True)
    assert exact[0] > 0.93
    assert min(exact[:-1]) > 0.9  # without shots, noise that shrinks all values alike costs little
    assert shots[-1] < exact[-1]
    assert shots[-1] < shots[0] - 0.1


def test_the_tutorial_on_data_reaches_scores_and_a_verdict_on_each_question():
    text = shown("tutorial_your_own_data")
    accuracies = {name: float(value) for name, value in re.findall(r"^(\S.*?) {2,}(\d\.\d+) \+- ", text, re.MULTILINE)}
    assert list(accuracies) == ["quantum router", "linear router", "logistic regression"]
    assert min(accuracies.values()) > 0.9
    verdicts = {row[0]: row[2] for row in cells_of(text) if row[0] in ("A1", "A2", "A4")}
    assert list(verdicts) == ["A1", "A2", "A4"]
    assert set(verdicts.values()) <= {"supported", "refuted", "inconclusive"}
    arms = {row[0]: row for row in cells_of(text) if row[-1] == "20"}
    assert {"quantum router", "classical twin", "linear router"} < set(arms)


@pytest.mark.parametrize("name", NAMES)
def test_no_path_of_a_machine_is_committed(name):
    notebook = committed(name)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for text in (*texts(output), output.get("data", {}).get("image/svg+xml", "")):
                assert not PATHS.search(text), PATHS.search(text)
        assert not PATHS.search(cell.source)


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_every_notebook_has_the_address_of_the_repository_and_no_other(path):
    text = path.read_text(encoding="utf-8")
    assert script.addressed(text, path.stem, script.repository()) == text, "run execute_notebooks.py --address"
    assert text.startswith("# %% [markdown]\n# # ")
    assert text.count("\nSOURCE = ") == 1
    # Without an address there is no badge, and nothing is fetched from a place that nobody has named.
    assert ("colab.research.google.com" in text) is script.repository().startswith("https://github.com/")
    assert set(re.findall(r"github\.com/[\w-]+/[\w-]+", text)) <= {script.repository().removeprefix("https://")}


def test_an_address_reaches_source_badge_and_executed_notebook(tmp_path):
    import nbformat

    for suffix in (".py", ".ipynb"):
        (tmp_path / f"{NAMES[0]}{suffix}").write_bytes((ROOT / "notebooks" / f"{NAMES[0]}{suffix}").read_bytes())
    script.address_all("https://github.com/someone/qmoe", tmp_path)
    text = (tmp_path / f"{NAMES[0]}.py").read_text(encoding="utf-8")
    stored = nbformat.read(tmp_path / f"{NAMES[0]}.ipynb", as_version=4)
    opened = f"https://colab.research.google.com/github/someone/qmoe/blob/main/notebooks/{NAMES[0]}.ipynb"
    assert 'SOURCE = "git+https://github.com/someone/qmoe"' in text
    assert 'SOURCE = "git+https://github.com/someone/qmoe"' in stored.cells[1].source
    assert f"({opened})" in stored.cells[0].source
    assert stored.cells[-1] == committed(NAMES[0]).cells[-1]
    elsewhere = script.addressed(text, NAMES[0], "https://codeberg.org/someone/qmoe")
    assert "git+https://codeberg.org/someone/qmoe" in elsewhere
    assert script.NO_BADGE in elsewhere
    original = (ROOT / "notebooks" / f"{NAMES[0]}.py").read_text(encoding="utf-8")
    assert script.addressed(elsewhere, NAMES[0], script.repository()) == original


def install_cell(path=SOURCES[0]):
    return next(c.source for c in script.read_source(path).cells if c.cell_type == "code")


def test_the_shared_cells_are_the_same_in_all():
    assert {install_cell(path) for path in SOURCES} == {install_cell()}
    phases = [path for path in SOURCES if path.stem.startswith("phase")]
    cells = [[c.source for c in script.read_source(path).cells if c.cell_type == "code"][1] for path in phases]
    assert set(cells) == {cells[0]}


def run_install_cell(monkeypatch, folder, *, source="", installed=()):
    """What the cell asks pip for in a folder, as on a machine where only ``installed`` is."""
    from IPython.core.inputtransformer2 import TransformerManager

    asked = []

    class Shell:
        def run_line_magic(self, name, line):
            asked.append(f"{name} {line}".format(**namespace))

    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    namespace = {"get_ipython": Shell}
    cell = install_cell().replace('SOURCE = ""', f"SOURCE = {source!r}")
    exec(TransformerManager().transform_cell(cell), namespace)
    return asked


def test_the_install_cell_does_nothing_where_qmoe_is_installed(monkeypatch, tmp_path):
    assert run_install_cell(monkeypatch, tmp_path, source="git+https://example.org/q", installed={"qmoe"}) == []


def test_the_install_cell_takes_the_checkout_then_a_wheel_then_the_source(monkeypatch, tmp_path):
    url = "git+https://example.org/q"
    torch = "pip install -q torch --index-url https://download.pytorch.org/whl/cpu"
    assert run_install_cell(monkeypatch, tmp_path / "notebooks", source=url) == [torch, f'pip install -q "{url}"']
    wheel = tmp_path / "notebooks" / "qmoe-0.1.0-py3-none-any.whl"
    wheel.touch()
    colab = {"installed": {"torch"}}
    assert run_install_cell(monkeypatch, wheel.parent, source=url, **colab) == [f'pip install -q "{wheel}"']
    (tmp_path / "src" / "qmoe").mkdir(parents=True)
    assert run_install_cell(monkeypatch, wheel.parent, source=url, **colab) == [f'pip install -q "{tmp_path}"']


def test_the_install_cell_says_what_to_do_where_qmoe_is_nowhere(monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError, match="put its wheel beside this notebook or set SOURCE"):
        run_install_cell(monkeypatch, tmp_path)


def test_a_failing_cell_is_named(tmp_path):
    path = tmp_path / "planted.py"
    path.write_text("# %%\nfine = 1\n\n# %%\nplanted = 1 / 0\n\n# %%\nafter = 2\n")
    with pytest.raises(
        script.NotebookError, match=r"planted\.py, cell 2 of 3, failed:\n\nplanted = 1 / 0(.|\n)*ZeroDiv"
    ):
        script.execute(path, "small")


def test_the_command_fails_for_an_unknown_notebook(capsys):
    assert script.main(["--check", "phase9"]) == 1
    assert "There is no notebook 'phase9'; there are phase1_baseline" in capsys.readouterr().err


def test_small_outputs_cannot_be_committed_by_mistake(capsys):
    with pytest.raises(SystemExit):
        script.main(["--size", "small"])
    assert "not what the repository keeps" in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "jupytext", None)
    with pytest.raises(script.NotebookError, match=r"jupytext is missing; install .*pip install -e '\.\[notebooks\]'"):
        script.read_source(SOURCES[0])
