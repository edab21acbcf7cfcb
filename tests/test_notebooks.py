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


def test_there_is_a_notebook_for_each_phase():
    assert NAMES == ["phase1_baseline", "phase2_routing", "phase3_efficiency_and_noise"]


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
    assert sum("image/svg+xml" in o.get("data", {}) for o in outputs) >= 4
    assert any("<table>" in o.get("data", {}).get("text/html", "") for o in outputs)
    assert not any(cell.metadata for cell in notebook.cells)


@pytest.mark.parametrize("name", NAMES)
def test_no_path_of_a_machine_is_committed(name):
    notebook = committed(name)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for text in (*texts(output), output.get("data", {}).get("image/svg+xml", "")):
                assert not PATHS.search(text), PATHS.search(text)
        assert not PATHS.search(cell.source)


@pytest.mark.parametrize("name", NAMES)
def test_every_badge_points_at_the_repository(name):
    first = committed(name).cells[0].source
    assert first.startswith("# ")
    assert (
        f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({script.badge(name)})" in first
    )
    found = re.findall(r"github(?:\.com)?/([\w.-]+/[\w.-]+)/", first)
    assert found == [script.REPOSITORY]


def test_the_shared_cells_are_the_same_in_all():
    cells = [[c.source for c in script.read_source(path).cells if c.cell_type == "code"][:2] for path in SOURCES]
    assert all(pair == cells[0] for pair in cells)
    assert "%pip install -q qmoe" in cells[0][0]


def test_the_install_cell_does_nothing_where_qmoe_is_installed():
    class Shell:
        def run_line_magic(self, *command):
            raise AssertionError(f"{command} would reach for the network")

    from IPython.core.inputtransformer2 import TransformerManager

    cell = next(c.source for c in script.read_source(SOURCES[0]).cells if c.cell_type == "code")
    code = TransformerManager().transform_cell(cell)
    assert "run_line_magic('pip', 'install -q qmoe')" in code
    exec(code, {"get_ipython": Shell})


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
    with pytest.raises(script.NotebookError, match=r"jupytext is missing; install .*pip install 'qmoe\[notebooks\]'"):
        script.read_source(SOURCES[0])
