"""Packages that are missing or do not import, as a user meets them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qmoe.cli import packages

ROOT = Path(__file__).parents[2]


def with_fake(folder, module, code, *arguments):
    """Runs ``qmoe`` where importing ``module`` runs ``code``."""
    (folder / module).mkdir()
    (folder / module / "__init__.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", "from qmoe.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=120)


def test_the_list_is_what_the_package_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(packages.PACKAGES) == {re.match(r"[\w-]+", line).group() for line in project["dependencies"]}


@pytest.mark.parametrize(
    ("module", "name", "code", "line"),
    [
        (
            "pennylane",
            "pennylane",
            "raise ImportError('needs autoray [0.8]\\nmore')",
            "ImportError: needs autoray [0.8]",
        ),
        (
            "sklearn",
            "scikit-learn",
            "raise ValueError('numpy.dtype size changed')",
            "ValueError: numpy.dtype size changed",
        ),
        ("pennylane_lightning", "pennylane-lightning", "import nothing_like_it", "No module named 'nothing_like_it'"),
    ],
)
def test_doctor_tells_what_does_not_import_and_why(module, name, code, line, tmp_path):
    done = with_fake(tmp_path, module, code, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert line in found["broken"][name]
    assert "more" not in found["broken"][name]
    assert name in found["remedy"]
    assert not found["ok"]
    assert found["missing"] == []
    assert found["engines"]["native"] == found["engines"]["torch"] == "available"


def test_doctor_does_not_call_an_engine_available_that_does_not_run(tmp_path):
    done = with_fake(tmp_path, "pennylane", "raise RuntimeError('[/] broken')", "doctor")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "DOES NOT IMPORT" in done.stdout
    assert re.search(r"engine pennylane\b.*does not run: RuntimeError: \[/\] broken", done.stdout)
    assert "FAILED" in done.stdout
    assert "pip install --upgrade pennylane" in done.stdout


@pytest.mark.parametrize(
    ("module", "name", "code", "line", "command"),
    [
        (
            "matplotlib",
            "matplotlib",
            "raise ImportError('built for numpy 1.x\\nhelp')",
            "built for numpy 1.x",
            "doctor",
        ),
        ("jinja2", "jinja2", "raise AttributeError('soft_unicode')", "AttributeError: soft_unicode", "presets"),
        ("pydantic", "pydantic", "raise SystemError('core of 2.1')", "SystemError: core of 2.1", "--version"),
        ("typer", "typer", "raise ImportError", "typer", "run"),
    ],
)
def test_what_keeps_the_command_line_from_starting_is_told_in_one_line(module, name, code, line, command, tmp_path):
    done = with_fake(tmp_path, module, code, command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("qmoe: cannot start: ")
    assert len(done.stderr.splitlines()) == 1
    assert name in done.stderr
    assert line in done.stderr
    assert f"pip install --upgrade {name}" in done.stderr


def test_an_error_that_is_no_packages_fault_is_not_hidden(monkeypatch):
    import qmoe.cli

    monkeypatch.setitem(sys.modules, "qmoe.cli.app", None)  # importing it is an ImportError now
    monkeypatch.setattr(qmoe.cli, "what_keeps_from_starting", lambda: None)
    with pytest.raises(ImportError, match=r"qmoe\.cli\.app"):
        qmoe.cli.main()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ImportError("numba needs NumPy 2.2\nor less"), "ImportError: numba needs NumPy 2.2"),
        (OSError("\n  libgomp.so.1: cannot open"), "OSError: libgomp.so.1: cannot open"),
        (KeyError(), "KeyError"),
    ],
)
def test_the_first_line_of_an_error(error, told):
    assert packages.first_line(error) == told
