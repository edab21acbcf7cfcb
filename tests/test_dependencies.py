"""What pyproject.toml requires, constraints.txt pins, and the script that tries the lower bounds."""

import email
import importlib.metadata
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


#: Packages whose metadata name no licence, or that of a part that pip does not install -> their licence, and its source.
LICENCES = {
    "docutils": "public domain and BSD; the GPL is that of its Emacs mode, which the wheel does not hold (its COPYING)",
}


def distributions() -> dict[str, importlib.metadata.Distribution | None]:
    """All that an installation with every extra brings, by canonical name; None where it is not installed."""
    found: dict[str, importlib.metadata.Distribution | None] = {}
    done, waiting = set(), [Requirement(line) for line in script.requirements(EXTRAS)]
    while waiting:
        one = waiting.pop()
        key = canonicalize_name(one.name), frozenset(one.extras)
        if key in done:
            continue
        done.add(key)
        try:
            found[key[0]] = importlib.metadata.distribution(one.name)
        except importlib.metadata.PackageNotFoundError:
            found[key[0]] = None
            continue
        for line in found[key[0]].requires or ():
            next_one = Requirement(line)
            extras = ("", *one.extras)
            if next_one.marker is None or any(next_one.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(next_one)
    return found


def licences(metadata) -> list[str]:
    """What the metadata of a package say of its licence, in any of the three ways."""
    classifiers = [c.split("::")[-1].strip() for c in metadata.get_all("Classifier", ()) if c.startswith("License ::")]
    # Some put the whole text into the old field: its first line names it.
    old = (metadata.get("License") or "").strip().split("\n")[0]
    said = [metadata.get("License-Expression") or "", *classifiers, old]
    return [one for one in said if one and one not in ("UNKNOWN", "OSI Approved")]


def strict(names: list[str]) -> list[str]:
    """Those of these licences that bind what uses a package: the GNU ones."""
    return [name for name in names if re.search(r"GPL|GNU (\w+ )*General Public|General Public Licen[sc]e", name)]


def test_no_package_that_an_installation_brings_is_under_a_gnu_licence():
    # [peers] is for benchmarks alone, and CI does not install it: what is there is checked.
    peers = {canonicalize_name(Requirement(line).name) for line in script.requirements(["peers"])}
    found = distributions()
    assert {name for name, one in found.items() if one is None} <= peers
    named = {name: licences(one.metadata) for name, one in found.items() if one is not None and name not in LICENCES}
    assert len(named) > 100
    assert [name for name, said in named.items() if not said] == [], "look up their licences and add them to LICENCES"
    assert {name: strict(said) for name, said in named.items() if strict(said)} == {}


@pytest.mark.parametrize(
    ("line", "is_strict"),
    [
        ("License-Expression: GPL-3.0-or-later", True),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", True),
        ("License: GNU Affero General Public License", True),
        ("License-Expression: MPL-2.0 AND MIT", False),
        ("Classifier: License :: OSI Approved :: BSD License", False),
    ],
)
def test_a_gnu_licence_is_seen_in_each_field(line, is_strict):
    said = licences(email.message_from_string(f"Name: planted\n{line}\n"))
    assert len(said) == 1
    assert bool(strict(said)) is is_strict


def test_a_package_without_a_licence_is_seen():
    assert licences(email.message_from_string("Name: planted\nLicense: UNKNOWN\n")) == []
