"""Tries the lower bounds of pyproject.toml: installs exactly those versions into a fresh environment and runs qmoe there.

Usage: python scripts/lowest_versions.py [--work DIR] [--extra NAME]...

Every requirement is turned into ``==`` its bound, so a bound that names no release, that does not go with another one, or
that does not run fails here. Torch alone stays at the version of constraints.txt: its older builds, and an unpinned one, are
several gigabytes large, so its range is not tried. Needs ``packaging``, which comes with ``pip install -e '.[test]'``, and a
package index. Takes some minutes. Run it after a change of a bound.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
INSTALL = ("-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check")


def lowest(requirement: str) -> str:
    """``numpy==2.0`` for ``numpy>=2.0``.

    Raises:
        ValueError: where the requirement has no lower bound, or several.
    """
    parsed = Requirement(requirement)
    bounds = [part.version for part in parsed.specifier if part.operator in (">=", "~=", "==")]
    if len(bounds) != 1 or "*" in bounds[0]:
        raise ValueError(f"{requirement!r} has no one lower bound that names a release; write it as 'name>=version'.")
    marker = f"; {parsed.marker}" if parsed.marker else ""
    return f"{canonicalize_name(parsed.name)}=={bounds[0]}{marker}"


def requirements(extras: Iterable[str] = ()) -> list[str]:
    """What the package requires, with those of ``extras``; what an extra says of the package itself is left out.

    Raises:
        ValueError: for an extra that there is not.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = list(project["dependencies"])
    for extra in extras:
        if extra not in project["optional-dependencies"]:
            raise ValueError(f"There is no extra {extra!r}. Known: {', '.join(project['optional-dependencies'])}.")
        found += project["optional-dependencies"][extra]
    return [one for one in found if Requirement(one).name != project["name"]]


def pins() -> dict[str, Requirement]:
    """What constraints.txt pins, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
    return {canonicalize_name(one.name): one for one in parsed}


def main() -> None:
    """Installs the lowest versions and runs the smoke test with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="keep the environment in this folder; by default it is removed")
    parser.add_argument("--extra", action="append", default=[], help="try the bounds of this extra too; repeatable")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        constraints = work / "lowest.txt"
        work.mkdir(parents=True, exist_ok=True)
        found = requirements(arguments.extra)
        wanted = [lowest(one) for one in found if Requirement(one).name != "torch"]
        constraints.write_text("\n".join([*wanted, str(pins()["torch"])]) + "\n", encoding="utf-8")
        venv.create(work / "venv", clear=True, with_pip=True)
        python = work / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        package = f"{ROOT}[{','.join(arguments.extra)}]" if arguments.extra else str(ROOT)
        for command in (
            [*INSTALL, "-c", str(constraints), package],
            ["-m", "pip", "check"],
            [str(ROOT / "scripts" / "smoke_test.py"), *(canonicalize_name(Requirement(one).name) for one in found)],
        ):
            subprocess.run([python, *command], check=True, cwd=work)  # not here, where src would be found first


if __name__ == "__main__":
    main()
