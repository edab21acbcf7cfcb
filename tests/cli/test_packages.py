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


def with_fakes(folder, fakes, *arguments):
    """Runs ``qmoe`` where importing a module runs the code that ``fakes`` has for it."""
    for module, code in fakes.items():
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", "from qmoe.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=120)


#: Packages that take seconds to import, and that a test is not about: as if they imported at once.
AT_ONCE = {
    "pennylane": "",
    "pennylane_lightning": "import sys; sys.modules[f'{__name__}.lightning_qubit'] = sys.modules[__name__]",
}


def test_the_list_is_what_the_package_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(packages.PACKAGES) == {re.match(r"[\w-]+", line).group() for line in project["dependencies"]}


def test_doctor_tells_what_does_not_import_and_why(tmp_path):
    fakes = {
        "pennylane": "raise ImportError('needs autoray [0.8]\\nmore')",
        "sklearn": "raise ValueError('numpy.dtype size changed')",
        "pennylane_lightning": "import nothing_like_it",
    }
    done = with_fakes(tmp_path, fakes, "doctor", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert set(found["broken"]) == {"pennylane", "scikit-learn", "pennylane-lightning"}
    assert "ImportError: needs autoray [0.8]" in found["broken"]["pennylane"]
    assert "more" not in found["broken"]["pennylane"]
    assert "ValueError: numpy.dtype size changed" in found["broken"]["scikit-learn"]
    assert "No module named 'nothing_like_it'" in found["broken"]["pennylane-lightning"]
    assert all(name in found["remedy"] for name in found["broken"])
    assert not found["ok"]
    assert found["missing"] == []
    assert found["engines"]["native"] == found["engines"]["torch"] == "available"


def test_doctor_does_not_call_an_engine_available_that_does_not_run(tmp_path):
    done = with_fakes(tmp_path, {"pennylane": "raise RuntimeError('[/] broken')"}, "doctor")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "DOES NOT IMPORT" in done.stdout
    assert re.search(r"engine pennylane\b.*does not run: RuntimeError: \[/\] broken", done.stdout)
    assert "FAILED" in done.stdout
    assert "pip install --upgrade pennylane" in done.stdout


@pytest.mark.parametrize(
    ("command", "fakes", "lines"),
    [
        ("run", {"typer": "raise ImportError"}, {"typer": "ImportError"}),
        (
            "doctor",
            {
                "pydantic": "raise SystemError('core of 2.1')",
                "matplotlib": "raise ImportError('built for numpy 1.x\\nhelp')",
                "jinja2": "raise AttributeError('soft_unicode')",
            },
            {
                "pydantic": "SystemError: core of 2.1",
                "matplotlib": "ImportError: built for numpy 1.x",
                "jinja2": "AttributeError: soft_unicode",
            },
        ),
    ],
    ids=["one package", "several packages"],
)
def test_what_keeps_the_command_line_from_starting_is_told_in_one_line(command, fakes, lines, tmp_path):
    done = with_fakes(tmp_path, AT_ONCE | fakes, command)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("qmoe: cannot start: ")
    assert len(done.stderr.splitlines()) == 1
    for name, line in lines.items():
        assert f"does not import ({line})" in done.stderr
        assert name in done.stderr.partition("pip install --upgrade ")[2].split()


def test_an_error_that_is_no_packages_fault_is_not_hidden(monkeypatch):
    import qmoe.cli

    monkeypatch.setitem(sys.modules, "qmoe.cli.app", None)  # importing it is an ImportError now
    monkeypatch.setattr(packages, "what_keeps_from_starting", lambda: None)
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


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["presets"], ["run", "--help"]], ids=" ".join)
def test_help_and_lists_of_texts_import_nothing_that_takes_seconds(arguments):
    heavy = ("torch", "numba", "scipy", "sklearn", "pandas", "matplotlib", "pennylane")
    code = (
        "import sys\nfrom qmoe.cli import main\n"
        f"sys.argv = ['qmoe', *{arguments!r}]\n"
        "try:\n    main()\nfinally:\n"
        f"    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
