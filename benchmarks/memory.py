"""Peak memory of one training step of qmoe, in a process of its own.

``python -m benchmarks.memory ENGINE Q,L,B,M`` prints it as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.sizes import Size, parse_size

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Seconds that the process may take.
_TIMEOUT = 300


@dataclass(frozen=True)
class Memory:
    """Peak resident memory of a step.

    Attributes:
        engine: of qmoe.
        size: of the step.
        after_imports: bytes above what the process took after its imports: compiled code and thread stacks included.
        after_small_step: bytes above what it took after a step of the same circuit on angles of one sample, or of a circuit
            of two qubits where there is only one sample.
        state_bytes: one state vector of every sample.
    """

    engine: str
    size: str
    after_imports: int
    after_small_step: int
    state_bytes: int

    @property
    def states(self) -> float:
        """Peak of the step above the baseline after a small step, in state vectors."""
        return self.after_small_step / self.state_bytes


def measure_memory(engine: str, size: Size) -> Memory:
    """Runs the step in a fresh process, the second of two: the first compiles, which takes memory of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", engine, str(size)]
    root = Path(__file__).resolve().parents[1]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT, cwd=root)
    return Memory(**json.loads(done.stdout.splitlines()[-1]))


def _peak() -> int:
    """Highest resident memory since the last reset, in bytes."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024


def _reset_peak() -> None:
    # Compilation has a peak of its own; without a reset, a step would hide below it and seem to need nothing.
    if _RESET.exists():
        _RESET.write_text("5")


def _step(engine_name: str, size: Size) -> None:
    from benchmarks.contenders.base import torch_step
    from benchmarks.problem import make_problem
    from qmoe.engines import get_engine

    problem, engine = make_problem(size), get_engine(engine_name)
    assert engine is not None
    torch_step(problem, lambda x, weights: engine.evaluate(problem.circuit, x, weights)).run()


def _child(engine: str, size: Size) -> Memory:
    import benchmarks.contenders.base
    import benchmarks.problem  # noqa: F401  (what a step imports is part of the baseline)

    imported = _peak()
    small = Size(size.n_qubits, size.n_layers, 1) if size.n_samples > 1 else Size(2, size.n_layers, 1)
    _step(engine, small)
    _reset_peak()
    baseline = _peak()
    _step(engine, size)
    peak = _peak()
    return Memory(engine, str(size), peak - imported, peak - baseline, size.state_bytes)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_child(sys.argv[1], parse_size(sys.argv[2])))) + "\n")
