"""Builds the wheel and the source distribution, checks what is in them, and tries the wheel in a fresh environment.

Usage: python scripts/check_wheel.py [--python PYTHON]... [--no-install] [--out DIR]

Checked are the files of both (all of src/qmoe, nothing from tests, no bytecode), the metadata, and that the source
distribution builds the same wheel. Then the wheel alone is installed, with the versions of constraints.txt, and runs
`qmoe doctor`, scripts/smoke_test.py and `qmoe reproduce --quick` in a folder outside of the checkout. With --python, it does
so once for every interpreter named. Needs ``pip install -e '.[release]'``, and for the installation a package index.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
#: What files of the package may be, by their suffix; a new kind of data is added here.
KINDS = {".py", ".toml", ".js", ".css", ".j2", ".html", ".json", ".svg", ".npz", ".md", ".typed"}
#: What a wheel cannot do without, as patterns below qmoe/, so that an empty folder of data is seen.
NEEDED = (
    "py.typed",
    "data/mnist4x4.npz",
    "data/mnist4x4.md",
    "studies/presets/*.toml",
    "claims/shipped/C*.toml",
    "claims/shipped/registered.toml",
    "report/findings/paper.toml",
    "data/qml_benchmarks/published.toml",
    "explorer/page/*.js",
    "explorer/page/*.css",
    "explorer/page/*.j2",
    "report/*.js",
    "report/*.css",
    "report/*.j2",
)
#: What a source distribution holds beside src/, so that its tests and `make test` run.
SOURCE_NEEDED = (
    *("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "CITATION.cff", "constraints.txt"),
    *("Makefile", "tests/conftest.py", "scripts/check_wheel.py", "docs/study-file.md", "notebooks/jupytext.toml"),
)
#: Largest sizes in bytes: a results folder that slipped in is seen.
WHEEL_SIZE, SOURCE_SIZE = 8_000_000, 30_000_000


class ReleaseError(Exception):
    """What is wrong with what was built."""


def build(out: Path, source: Path = ROOT) -> tuple[Path, Path]:
    """Builds the wheel and the source distribution of a checkout into ``out``, with the hatchling that is installed.

    Raises:
        ReleaseError: where the build fails.
    """
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", str(out), str(source)]
    # A .pyc that the build writes must not be able to get into what is built.
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} failed; does it need pip install -e '.[release]'?\n{done.stderr}")
    (wheel,), (sdist,) = sorted(out.glob("*.whl")), sorted(out.glob("*.tar.gz"))
    return wheel, sdist


def read_wheel(path: Path) -> dict[str, bytes]:
    """The files of a wheel by their names."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_sdist(path: Path) -> dict[str, bytes]:
    """The files of a source distribution by their names, without the folder that all are in."""
    files = {}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            opened = archive.extractfile(member)
            if opened is not None:
                files[str(PurePosixPath(*PurePosixPath(member.name).parts[1:]))] = opened.read()
    return files


def unwanted(names: Iterable[str]) -> list[str]:
    """Bytecode, caches and hidden files among these names."""
    parts = {name: PurePosixPath(name).parts for name in names}
    caches = {"__pycache__", ".ipynb_checkpoints", "results", ".pytest_cache", ".venv"}
    return sorted(
        name
        for name, of in parts.items()
        if name.endswith((".pyc", ".pyo", ".part", "~"))
        or caches & set(of)
        or (of[-1][0] == "." and name != ".gitignore")
    )


def wheel_problems(files: Mapping[str, bytes], source: Path = ROOT) -> list[str]:
    """What is wrong with the files of a wheel, compared with the checkout that it was built from."""
    package = source / "src" / "qmoe"
    ours = {path.relative_to(package.parent).as_posix() for path in package.rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    info = {name for name in files if name.split("/")[0].endswith(".dist-info")}
    inside = {"/".join(name.split("/")[1:]) for name in info}
    packed = set(files) - info
    problems = [f"{name} is not in the wheel" for name in sorted(ours - packed)]
    problems += [f"{name} is in the wheel and not in src/" for name in sorted(packed - ours)]
    problems += [f"{name} should not be in a wheel" for name in unwanted(packed)]
    kinds = {name for name in packed if PurePosixPath(name).suffix not in KINDS}
    problems += [f"{name} is of a kind that the package has not; KINDS lists those it has" for name in sorted(kinds)]
    for pattern in NEEDED:
        if not any(PurePosixPath(name).match(f"qmoe/{pattern}") for name in packed):
            problems.append(f"the wheel has no qmoe/{pattern}")
    expected = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    problems += [f"its dist-info lacks {name}" for name in sorted(expected - inside)]
    problems += [f"its dist-info has {name}, which was not expected" for name in sorted(inside - expected)]
    problems += [f"{name} is empty" for name in sorted(files) if not files[name] and not name.endswith("py.typed")]
    size = sum(map(len, files.values()))
    return problems + ([f"its files are {size:,} bytes"] if size > WHEEL_SIZE else [])


def metadata_problems(files: Mapping[str, bytes]) -> list[str]:
    """What an index would refuse in the metadata of a wheel, and what its page would lack."""
    from packaging.metadata import InvalidMetadata, Metadata

    (name,) = (name for name in files if name.endswith(".dist-info/METADATA"))
    try:
        metadata = Metadata.from_email(files[name], validate=True)
    except (InvalidMetadata, ExceptionGroup) as error:
        return [str(one) for one in getattr(error, "exceptions", (error,))]
    problems = []
    if metadata.license_expression != "Apache-2.0" or metadata.license_files != ["LICENSE"]:
        problems.append(f"licence {metadata.license_expression} in {metadata.license_files}, expected Apache-2.0")
    if not (metadata.description or "").startswith("# qmoe") or metadata.description_content_type != "text/markdown":
        problems.append("the description is not README.md")
    direct = [str(one) for one in metadata.requires_dist or () if one.url]
    problems += [f"{one} is required from an address, which an index refuses" for one in direct]
    for word, text in (("summary", metadata.summary), ("requires-python", str(metadata.requires_python or ""))):
        problems += [] if text else [f"it has no {word}"]
    return problems


def sdist_problems(files: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the files of a source distribution."""
    problems = [f"the source distribution has no {name}" for name in SOURCE_NEEDED if name not in files]
    problems += [f"{name} should not be in a source distribution" for name in unwanted(files)]
    size = sum(map(len, files.values()))
    return problems + ([f"the files of the source distribution are {size:,} bytes"] if size > SOURCE_SIZE else [])


def rebuilt_problems(wheel: Mapping[str, bytes], sdist: Path) -> list[str]:
    """Where the wheel that is built from the source distribution differs."""
    with tempfile.TemporaryDirectory(prefix="qmoe-sdist-") as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        (source,) = Path(folder).iterdir()
        again = read_wheel(build(Path(folder, "dist"), source)[0])
    differing = sorted(name for name in wheel.keys() | again.keys() if wheel.get(name) != again.get(name))
    return [f"{name} differs in the wheel that the source distribution builds" for name in differing]


def check(wheel: Path, sdist: Path) -> None:
    """Checks both files.

    Raises:
        ReleaseError: with everything that is wrong.
    """
    files = read_wheel(wheel)
    problems = [*wheel_problems(files), *metadata_problems(files), *sdist_problems(read_sdist(sdist))]
    problems += rebuilt_problems(files, sdist)
    if problems:
        raise ReleaseError("\n".join(problems))


def try_installed(wheel: Path, python: str) -> None:
    """Installs the wheel alone into a fresh environment of an interpreter and runs it there, outside of the checkout.

    Raises:
        ReleaseError: where a command fails.
    """
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    with tempfile.TemporaryDirectory(prefix="qmoe-wheel-") as folder:
        # The kernels are compiled anew as well, as on a user's machine.
        environment = {k: v for k, v in os.environ.items() if k not in hidden} | {"QMOE_CACHE_DIR": f"{folder}/kernels"}
        binaries = Path(folder, "venv", "Scripts" if sys.platform == "win32" else "bin")
        inside, pip = str(binaries / "python"), [str(binaries / "python"), "-m", "pip"]
        where = "import pathlib, qmoe, sys; assert pathlib.Path(sys.prefix) in pathlib.Path(qmoe.__file__).parents"
        commands = [
            [python, "-m", "venv", f"{folder}/venv"],
            [
                *pip,
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-c",
                str(ROOT / "constraints.txt"),
                str(wheel),
            ],
            [*pip, "check"],
            [inside, "-c", where],
            [str(binaries / "qmoe"), "doctor"],
            [inside, str(ROOT / "scripts" / "smoke_test.py")],
            [str(binaries / "qmoe"), "reproduce", "--quick", "--out", "results"],
        ]
        for command in commands:
            begin = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            said = " ".join(command).replace(f"{binaries}{os.sep}", "").replace(folder, "DIR").replace(str(ROOT), ".")
            print(f"  {time.perf_counter() - begin:6.1f} s  {said}", flush=True)
            if done.returncode:
                raise ReleaseError(f"{said} failed with {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        if not Path(folder, "results", "report.html").is_file():
            raise ReleaseError("qmoe reproduce --quick wrote no results/report.html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", metavar="PYTHON", help="an interpreter to try; default: this one")
    parser.add_argument("--no-install", action="store_true", help="build and check the files only")
    parser.add_argument("--out", type=Path, help="keep what is built in this folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="qmoe-dist-") as folder:
        try:
            wheel, sdist = build(options.out or Path(folder))
            check(wheel, sdist)
            print(
                f"{wheel.name} ({wheel.stat().st_size / 1e6:.1f} MB), {sdist.name} ({sdist.stat().st_size / 1e6:.1f} MB)"
            )
            for python in () if options.no_install else options.python or (sys.executable,):
                print(f"{python}:", flush=True)
                try_installed(wheel, python)
        except ReleaseError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
