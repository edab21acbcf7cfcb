"""What a user waits for in a fresh process: the import, the first step with no compiled code on disk, and with it.

``python -m benchmarks.first_use ENGINE Q,L,B,M`` prints the seconds of one process as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sizes import Size, parse_size

#: What is run first.
SIZE = Size(2, 3, 32)
_TIMEOUT = 300


@dataclass(frozen=True)
class FirstUse:
    """Seconds in fresh processes.

    Attributes:
        engine: of qmoe.
        imports: ``import qmoe``, the median of all processes.
        cold: first step with an empty folder for compiled code.
        warm: first step with a filled one, the median.
    """

    engine: str
    imports: float
    cold: float
    warm: float


def measure_first_use(engine: str, repeats: int = 3) -> FirstUse:
    """Starts one process with an empty cache, then ``repeats`` with what it left there."""
    with tempfile.TemporaryDirectory() as cache:
        cold = _run(engine, cache)
        warm = [_run(engine, cache) for _ in range(repeats)]
    imports = statistics.median(seconds["imports"] for seconds in warm)
    return FirstUse(engine, imports, cold["step"], statistics.median(seconds["step"] for seconds in warm))


def _run(engine: str, cache: str) -> dict[str, float]:
    # Not above: the process that measures imports this module before its clock starts.
    from qmoe.compiled.cache import CACHE_VARIABLE

    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", "benchmarks.first_use", engine, str(SIZE)]
    environment = {**os.environ, CACHE_VARIABLE: cache}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_TIMEOUT, cwd=root, env=environment
    )
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _child(engine_name: str, size: Size) -> dict[str, float]:
    start = time.perf_counter()
    import torch

    import qmoe
    from qmoe.engines import get_engine

    imported = time.perf_counter()
    engine = get_engine(engine_name)
    assert engine is not None
    circuit = qmoe.Circuit(size.n_qubits, size.n_layers)
    x = torch.rand(size.n_batch, size.n_qubits)
    weights = torch.rand(circuit.weight_shape).requires_grad_()
    ready = time.perf_counter()
    engine.evaluate(circuit, x, weights).square().mean().backward()
    return {"imports": imported - start, "step": time.perf_counter() - ready}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_child(sys.argv[1], parse_size(sys.argv[2]))) + "\n")
