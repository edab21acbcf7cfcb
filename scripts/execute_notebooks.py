"""Executes the text sources in notebooks/ into the .ipynb files beside them.

Usage: python scripts/execute_notebooks.py [--size small|full] [--check] [--out DIR] [--address] [NAME ...]

With --check, all are executed in the small size into a folder that is deleted again, and nothing in the repository changes.
With --address, nothing is executed: the notebooks are told the address of the repository that pyproject.toml has under
[project.urls], as `Repository`. Needs `pip install -e '.[notebooks]'`.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
#: What stands below the title as long as the repository has no address on GitHub, which Colab opens notebooks from.
NO_BADGE = (
    "To run this on Colab, upload it there together with the wheel of qmoe, which `make dist` builds in a checkout."
)
SIZES = ("small", "full")
#: Seconds that one cell may take.
TIMEOUT = 1800
#: Seconds that the kernel may take to answer at all.
STARTUP = 120

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook that cannot be executed; the message names it, and the cell."""


def sources(names: Sequence[str] = ()) -> list[Path]:
    """The text sources, in the order of the phases: all, or those with the given names.

    Raises:
        NotebookError: for an unknown name.
    """
    found = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
    chosen = [Path(name).stem for name in names] or list(found)
    for name in chosen:
        if name not in found:
            raise NotebookError(f"There is no notebook {name!r}; there are {', '.join(found)}.")
    return [found[name] for name in chosen]


def repository() -> str:
    """The address of the repository: ``Repository`` of [project.urls] in pyproject.toml; empty where there is none yet."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project.get("urls", {}).get("Repository", ""))


def addressed(text: str, name: str, address: str) -> str:
    """A text source with the address of the repository, in its install cell and in the badge below its title."""
    below, on_github = NO_BADGE, re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", address)
    if on_github:
        opened = f"https://colab.research.google.com/github/{on_github[1]}/blob/main/notebooks/{name}.ipynb"
        below = f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({opened})"
    source = f'SOURCE = "{"git+" if address else ""}{address}"'
    text = re.sub(r"(?<=\A# %% \[markdown\]\n)(# # .*\n#\n)# .*", rf"\1# {below}", text)
    return re.sub(r'^SOURCE = "[^"]*"', source, text, flags=re.MULTILINE)


def address_all(address: str, folder: Path = FOLDER) -> None:
    """Puts the address of the repository into every notebook, the text and what was executed."""
    import nbformat

    for path in sorted(folder.glob("*.py")):
        path.write_text(addressed(path.read_text(encoding="utf-8"), path.stem, address), encoding="utf-8")
        stored = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        for cell, source in zip(stored.cells, read_source(path).cells, strict=True):
            cell.source = source.source
        write(stored, path.with_suffix(".ipynb"))


def read_source(path: Path) -> Any:
    """The notebook that a text source describes, with cell ids and metadata that are the same every time.

    Raises:
        NotebookError: when jupytext is missing.
    """
    with _installed():
        import jupytext
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = _from_dict(_METADATA)
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:02d}"
        cell["metadata"] = _from_dict({})
    return notebook


def execute(path: Path, size: str = "full") -> Any:
    """Executes a text source with this interpreter, in a folder of its own that is deleted again.

    Args:
        path: the source.
        size: ``"small"`` or ``"full"``; the notebook finds it in ``QMOE_NOTEBOOK_SIZE``.

    Returns:
        The notebook with its outputs.

    Raises:
        NotebookError: when a cell fails or takes too long, or a package is missing.
    """
    notebook = read_source(path)
    with _installed():
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisInterpreter(KernelSpecManager):  # type: ignore[misc]
        """Knows one kernel, whatever is installed elsewhere on the machine."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name=kernel_name, language="python")

    with tempfile.TemporaryDirectory(prefix="qmoe-notebook-", ignore_cleanup_errors=True) as folder:
        # Sockets in the file system, where there are such: nobody else on the machine can reach the kernel.
        where = {} if sys.platform == "win32" else {"transport": "ipc", "ip": str(Path(folder, "socket"))}
        manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisInterpreter(), **where)
        client = NotebookClient(
            notebook, km=manager, timeout=TIMEOUT, startup_timeout=STARTUP, record_timing=False, coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )  # fmt: skip
        # The settings of whoever calls must not decide what the notebooks print.
        hidden = ("PYTHONWARNINGS", "MPLBACKEND", "PYTHONSAFEPATH")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        try:
            client.execute(env={**environment, "QMOE_NOTEBOOK_SIZE": size}, cleanup_kc=True)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            raise NotebookError(_failure(path, notebook, error)) from None
    return _cleaned(notebook)


def write(notebook: Any, path: Path) -> None:
    """Writes a notebook, at once and whole."""
    import nbformat

    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
    part.replace(path)


def execute_all(out: Path, size: str, names: Sequence[str] = ()) -> list[Path]:
    """Executes notebooks, tells how long each took, and writes them to ``out``.

    Raises:
        NotebookError: at the first that fails; those before it are written.
    """
    written = []
    for source in sources(names):
        begin = time.perf_counter()
        notebook = execute(source, size)
        target = out / f"{source.stem}.ipynb"
        write(notebook, target)
        seconds, kilobytes = time.perf_counter() - begin, target.stat().st_size / 1000
        print(f"{target.name}: {len(notebook.cells)} cells, {seconds:.0f} s, {kilobytes:.0f} kB", flush=True)
        written.append(target)
    return written


def _cleaned(notebook: Any) -> Any:
    """Drops what differs from run to run and says nothing."""
    notebook.metadata = _from_dict(_METADATA)
    for cell in notebook.cells:
        cell["metadata"] = _from_dict({})
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output["metadata"] = _from_dict({})
            output.pop("transient", None)
    return notebook


def _failure(path: Path, notebook: Any, error: Exception) -> str:
    """Which cell of which notebook failed, its source, and why."""
    code = [(number, cell) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"]
    number, cell, why = 0, None, str(error)
    for number, cell in code:  # noqa: B007
        failed = [output for output in cell.outputs if output.output_type == "error"]
        if failed:
            why = "\n".join(failed[0].traceback) or f"{failed[0].ename}: {failed[0].evalue}"
            break
        if cell.execution_count is None:  # it was never answered: too slow, or the kernel died
            break
    source = "" if cell is None else cell.source
    where = f"{path.parent.name}/{path.name}, cell {number} of {len(notebook.cells)}"
    return f"{where}, failed:\n\n{source}\n\n{_COLOURS.sub('', why)}"


def _from_dict(values: dict[str, Any]) -> Any:
    import nbformat

    return nbformat.from_dict(values)


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise NotebookError(
            f"{error.name or error} is missing; install what notebooks need: pip install -e '.[notebooks]' in "
            "a checkout."
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks to execute; all if none is named")
    parser.add_argument("--size", choices=SIZES, help="how much is trained (default: full, with --check: small)")
    parser.add_argument("--out", type=Path, help="folder for the .ipynb files (default: notebooks/)")
    parser.add_argument("--check", action="store_true", help="execute only; keep nothing")
    parser.add_argument("--address", action="store_true", help="only put in the address of the repository")
    options = parser.parse_args(arguments)
    if options.address:
        address_all(repository())
        return 0
    if options.check and options.out:
        parser.error("--check keeps nothing, so --out does not go with it; drop one of the two.")
    if options.size == "small" and not options.check and options.out is None:
        parser.error("the small size is not what the repository keeps; add --check, or --out DIR.")
    size = options.size or ("small" if options.check else "full")
    try:
        if options.check:
            with tempfile.TemporaryDirectory(prefix="qmoe-notebooks-") as folder:
                execute_all(Path(folder), size, options.names)
        else:
            execute_all(options.out or FOLDER, size, options.names)
    except NotebookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
