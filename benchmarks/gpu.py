"""Steps on a GPU, beside the processor of the same machine: a part of the record that is measured by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from benchmarks import machine
from benchmarks.contenders.on_gpu import gpu_contenders
from benchmarks.record import Gpu, Profile
from benchmarks.sizes import Size
from benchmarks.suite import quiet, run_size
from benchmarks.timing import Plan


class NoGpuError(Exception):
    """Torch sees no GPU; the message says so."""


def prepare_jax() -> None:
    """JAX leaves memory to the others, and looks for the GPU; to be called before it is imported."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ.pop("JAX_PLATFORMS", None)


def run_gpu(
    sizes: Sequence[Size],
    threads: int,
    plan: Plan,
    report: Callable[[str, bool], None] = lambda text, done: None,
    device: str = "cuda",
) -> Gpu:
    """Times all contenders at all sizes.

    Args:
        sizes: what to time.
        threads: of the processor.
        plan: how long to look.
        report: hears of progress; a unit is a size.
        device: the GPU; ``"cpu"`` in its place for a trial run.

    Raises:
        NoGpuError: where torch sees none.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise NoGpuError("Torch sees no CUDA GPU on this machine (torch.cuda.is_available() is False).")
    torch.set_num_threads(threads)
    prepare_jax()
    with quiet():
        contenders, missing = gpu_contenders(device)
        results = tuple(replace(run_size(size, contenders, plan, report), gemm=None) for size in sizes)
    found = machine.describe_machine()
    packages = {package for contender in contenders for package in contender.packages}
    return Gpu(
        name="none" if device == "cpu" else f"one {torch.cuda.get_device_name()}",
        cuda=torch.version.cuda or "none",
        machine={**found, "threads": threads},
        date=machine.today(),
        commit=machine.commit(),
        versions=machine.versions([*packages, "numpy"]),
        contenders={c.key: Profile(c.title, c.advice, c.ours, c.compiles) for c in contenders},
        missing=missing,
        results=results,
    )
