"""The gates of this project, each seen to fail on a planted fault."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command, stdin=None, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", *command], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=300
    )


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("F401", '"""Doc."""\n\nimport os\n'),
        ("D103", '"""Doc."""\n\n\ndef public():\n    return 1\n'),
        ("T201", '"""Doc."""\n\nprint(1)\n'),
        ("NPY002", '"""Doc."""\n\nimport numpy as np\n\nX = np.random.rand(3)\n'),
        ("B006", '"""Doc."""\n\n\ndef f(x=[]):\n    """Doc."""\n    return x\n'),
    ],
)
def test_the_linter_fails_on_a_planted_fault(rule, code):
    done = run("ruff", "check", "--stdin-filename", "src/qmoe/planted.py", "-", stdin=code)
    assert done.returncode == 1
    assert rule in done.stdout


def test_the_formatter_fails_on_a_planted_fault():
    done = run("ruff", "format", "--check", "--stdin-filename", "src/qmoe/planted.py", "-", stdin="x = {  'a':1 }\n")
    assert done.returncode == 1


def test_the_type_checker_fails_on_planted_faults(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("from qmoe.circuits import NoiseModel\n\nNoiseModel(placement=3)\n\n\ndef f(x):\n    return x\n")
    # The settings name the package; a file on the command line takes its place. What `make lint` knows is kept.
    done = run("mypy", str(planted))
    assert done.returncode == 1
    assert "[arg-type]" in done.stdout
    assert "[no-untyped-def]" in done.stdout
    assert done.stdout.count("error:") == 2


def test_a_warning_fails_a_test(tmp_path):
    (tmp_path / "test_planted.py").write_text("import warnings\n\n\ndef test_it():\n    warnings.warn('planted')\n")
    done = run("pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path))
    assert done.returncode == 1
    assert "UserWarning: planted" in done.stdout
