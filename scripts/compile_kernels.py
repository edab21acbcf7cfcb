"""Compiles every kernel for both precisions, on all cores, so that whatever runs next finds them on disk.

Usage: python scripts/compile_kernels.py [--workers N]

Kernels are compiled when they are first used, by each process that finds them missing. Tests in several processes would
compile the same ones side by side.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from qmoe.compiled.cache import Kernel, compile_kernels, missing

#: The modules that declare kernels in a constant KERNELS; those that take longest first.
MODULES = (
    "qmoe.training.compiled.step",
    "qmoe.engines.native.kernels.names",
    "qmoe.routers.sums.product_sums",
    "qmoe.training.orders",
)


def kernels() -> list[Kernel]:
    """All kernels of qmoe."""
    found: list[Kernel] = []
    for name in MODULES:
        declared = importlib.import_module(name).KERNELS
        found += declared.values() if isinstance(declared, dict) else declared
    return found


def compile_all(workers: int) -> list[tuple[str, int]]:
    """Compiles what is missing; returns the kernels, each with the bits of its floats."""
    tasks = [(one, itemsize) for one in kernels() for itemsize in (4, 8) if missing([one], itemsize)]
    if tasks:
        with ProcessPoolExecutor(min(workers, len(tasks)), mp_context=get_context("spawn")) as pool:
            list(pool.map(_compile, *zip(*tasks, strict=True)))
    return [(one.name, 8 * itemsize) for one, itemsize in tasks]


def _compile(one: Kernel, itemsize: int) -> None:
    compile_kernels([one], itemsize)


def main(arguments: Iterable[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one per core")
    options = parser.parse_args(None if arguments is None else list(arguments))
    begin = time.perf_counter()
    compiled = compile_all(options.workers)
    print(f"{len(compiled)} kernels compiled in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
