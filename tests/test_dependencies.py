"""What pyproject.toml requires, constraints.txt pins, and the script that tries the lower bounds."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = list(PROJECT["project"]["optional-dependencies"])

_spec = importlib.util.spec_from_file_location("lowest_versions", ROOT / "scripts" / "lowest_versions.py")
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)

REQUIRED = {canonicalize_name(Requirement(line).name): Requirement(line) for line in script.requirements(EXTRAS)}
REQUIRED |= {Requirement(line).name: Requirement(line) for line in PROJECT["build-system"]["requires"]}


@pytest.mark.parametrize(
    ("requirement", "pin"),
    [
        ("numpy>=2.0", "numpy==2.0"),
        ("scikit_learn >=1.6, <2", "scikit-learn==1.6"),
        ("qiskit~=1.4", "qiskit==1.4"),
        ("tomli>=2.0.1; python_version < '3.11'", 'tomli==2.0.1; python_version < "3.11"'),
        ("dask[distributed]>=2024.1.0,!=2024.2.0", "dask==2024.1.0"),
        ("jax==0.5", "jax==0.5"),
    ],
)
def test_the_lowest_version_of_a_requirement(requirement, pin):
    assert script.lowest(requirement) == pin


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy!=2.1", "numpy>1.0", "numpy>=1,>=2", "numpy==2.*"])
def test_a_requirement_without_a_lower_bound_is_named(requirement):
    with pytest.raises(ValueError, match=f"{re.escape(repr(requirement))}.*name>=version"):
        script.lowest(requirement)


def test_an_extra_that_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"no extra 'tests'\. Known: test, lint"):
        script.requirements(["tests"])


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_every_requirement_has_a_lower_bound_below_its_pin(name):
    assert script.lowest(str(REQUIRED[name]))
    (pin,) = script.pins()[name].specifier
    assert pin.operator == "=="
    assert pin.version in REQUIRED[name].specifier


def unreasoned(text: str) -> list[str]:
    """Lines of constraints that pin what pyproject.toml does not name, without saying why."""
    lines = [line for line in text.splitlines() if line.split("#")[0].strip()]
    foreign = [line for line in lines if canonicalize_name(Requirement(line.split("#")[0]).name) not in REQUIRED]
    return [line for line in foreign if not re.search(r"#\s*\S+", line)]


def test_constraints_pin_nothing_else_without_a_reason():
    assert unreasoned((ROOT / "constraints.txt").read_text(encoding="utf-8")) == []
    assert "torch" in script.pins()


@pytest.mark.parametrize("line", ["toolz==8.0.1", "typing_extensions==4.16.0", "llvmlite==0.50.0  #"])
def test_a_foreign_pin_is_seen(line):
    assert unreasoned(f"torch==2.13.0\n{line}\nautoray==0.8.4  # 0.9 drops the torch backend\n") == [line]
