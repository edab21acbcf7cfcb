"""The wheel and the source distribution: what is in them, and that the wheel runs without the checkout.

An installation from a package index is tried by `make check-wheel`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tiny_study import TINY_TOML

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("check_wheel", ROOT / "scripts" / "check_wheel.py")
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)

#: What loads each kind of data that ships, and then a study from its file to its page.
USE = """
import json, pathlib, sys
import qmoe
from qmoe.claims import registered, shipped_claims
from qmoe.data import make_dataset
from qmoe.studies import load_preset, preset_names
from qmoe.cli import main
sys.argv = ["qmoe", "run", "tiny.toml", "--out", "out", "--workers", "0"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps({
    "file": qmoe.__file__,
    "digest": registered().digest,
    "claims": [claim.id for claim in shipped_claims()],
    "presets": [load_preset(name).name for name in preset_names()],
    "digits": len(make_dataset("mnist4x4").split(0).x_train),
}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return script.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def files(built):
    return script.read_wheel(built[0])


def test_what_is_built_holds_what_it_should_and_the_source_builds_the_same_wheel(built):
    script.check(*built)  # raises with all that is wrong
    assert built[0].name == "qmoe-0.1.0-py3-none-any.whl"


def test_the_wheel_runs_a_study_outside_of_the_checkout(built, tmp_path):
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(tmp_path / "wheel")
    (tmp_path / "tiny.toml").write_text(TINY_TOML, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "wheel")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert Path(said["file"]).is_relative_to(tmp_path)
    assert len(said["digest"]) == 64
    assert len(said["claims"]) == len(list((ROOT / "src/qmoe/claims/shipped").glob("[CT]*.toml")))
    phases = (ROOT / "src/qmoe/studies/presets").glob("[lp]*.toml")  # the others are templates of groups
    assert len(said["presets"]) == len(list(phases))
    assert said["digits"] > 1000
    assert "</html>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def planted(files, **changes):
    """The files of a wheel with one thing done to them."""
    return {name: data for name, data in files.items() if name != changes.get("without")} | changes.get("beside", {})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"without": "qmoe/py.typed"}, "qmoe/py.typed is not in the wheel"),
        ({"without": "qmoe/data/mnist4x4.npz"}, "the wheel has no qmoe/data/mnist4x4.npz"),
        ({"without": "qmoe-0.1.0.dist-info/licenses/LICENSE"}, "its dist-info lacks licenses/LICENSE"),
        ({"beside": {"tests/test_layers.py": b"1"}}, "tests/test_layers.py is in the wheel and not in src/"),
        (
            {"beside": {"qmoe/__pycache__/errors.cpython-311.pyc": b"1"}},
            "qmoe/__pycache__/errors.cpython-311.pyc should not be in a wheel",
        ),
        (
            {"beside": {"qmoe/data/mnist.parquet": b"1"}},
            "qmoe/data/mnist.parquet is of a kind that the package has not",
        ),
        ({"beside": {"qmoe/report/style.css": b""}}, "qmoe/report/style.css is empty"),
        ({"beside": {"qmoe/big.md": bytes(9_000_000)}}, "bytes"),
    ],
)
def test_a_file_that_is_missing_or_does_not_belong_is_named(files, changes, told):
    assert any(told in problem for problem in script.wheel_problems(planted(files, **changes)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"License-Expression: Apache-2.0", b"License-Expression: GPL-3.0-only", "licence GPL-3.0-only"),
        (b"Name: qmoe\n", b"Name: -\n", "name"),
        (b"Requires-Dist: torch>=2.4", b"Requires-Dist: torch @ https://example.org/torch.whl", "an index refuses"),
        (b"\n# qmoe\n", b"\n# other\n", "README.md"),
    ],
)
def test_metadata_that_an_index_would_refuse_is_told(files, old, new, told):
    (name,) = (name for name in files if name.endswith("METADATA"))
    changed = files[name].replace(old, new)
    assert changed != files[name]
    assert any(told in problem for problem in script.metadata_problems({name: changed}))
    assert script.metadata_problems(files) == []


def test_what_a_source_distribution_lacks_or_should_not_hold_is_told():
    problems = script.sdist_problems({"src/qmoe/__pycache__/a.pyc": b"", "pyproject.toml": b""})
    assert "the source distribution has no LICENSE" in problems
    assert "src/qmoe/__pycache__/a.pyc should not be in a source distribution" in problems


def test_a_build_that_fails_is_told(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 1\n")
    with pytest.raises(script.ReleaseError, match="failed"):
        script.build(tmp_path / "dist", tmp_path)
