"""Functions of circuits that no engine can run: seconds of a span, a twin and a distilled router at 50 qubits.

``python -m benchmarks spans`` measures them and prints one line a size.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import qmoe

#: Qubits and layers of Rot and neighbouring CNOTs.
SIZES = ((50, 4), (100, 4))
_SMALL = 6


@dataclass(frozen=True)
class SpanTimes:
    """Seconds at one size, each the best of some.

    Attributes:
        n_qubits, n_layers: of the brick circuit, one Z measured on each qubit.
        n_functions: functions beside the constant.
        span: seconds of `qmoe.span`.
        twin: seconds of `qmoe.twin`.
        distill: seconds of `qmoe.distill`.
        off: the largest difference of the distilled router from the dense matrices at 6 qubits and as many layers.
    """

    n_qubits: int
    n_layers: int
    n_functions: int
    span: float
    twin: float
    distill: float
    off: float


def brick(n_qubits: int, n_layers: int) -> qmoe.QuantumRouter:
    """A router of Rot on all qubits and CNOTs on neighbours, every second pair in turn; ``n_layers`` is even."""
    import torch

    import qmoe
    from qmoe.circuits import Circuit, Gate, Weight
    from qmoe.errors import PerformanceWarning

    gates: list[Gate] = []
    for first in (0, 1):
        k = sum(len(gate.angles) for gate in gates)
        gates += [Gate("Rot", (w,), tuple(Weight(k + 3 * w + i) for i in range(3))) for w in range(n_qubits)]
        gates += [Gate("CNOT", (w, w + 1)) for w in range(first, n_qubits - 1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerformanceWarning)  # it is not run
        return qmoe.QuantumRouter(
            n_qubits,
            2,
            circuit=Circuit(n_qubits, n_layers // 2, ansatz=gates),
            generator=torch.Generator().manual_seed(0),
            dtype=torch.float64,
        )


def measure_spans(repeats: int = 3) -> tuple[SpanTimes, ...]:
    """Times every size; what is kept between calls is cleared before each."""
    import torch

    import qmoe
    from qmoe.engines import ReferenceEngine
    from qmoe.routers.functions.reach import circuit_basis

    found = []
    for n_qubits, n_layers in SIZES:
        router, small = brick(n_qubits, n_layers), brick(_SMALL, n_layers)
        x = torch.rand(16, _SMALL, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 6
        weights = small.quantum.weights.detach()
        read = ReferenceEngine().evaluate(small.circuit, x, weights)
        assert small.adapter is not None
        off = float((qmoe.distill(small).logits(x) - small.adapter(read)).detach().abs().max())
        times = [_best(make, router, repeats) for make in (qmoe.span, qmoe.twin, qmoe.distill)]
        found.append(SpanTimes(n_qubits, n_layers, len(circuit_basis(router.circuit, 2)), *times, off))
    return tuple(found)


def _best(make: Callable[[qmoe.QuantumRouter], object], router: qmoe.QuantumRouter, repeats: int) -> float:
    from qmoe.routers.functions.reach import circuit_basis

    best = float("inf")
    for _ in range(repeats):
        circuit_basis.cache_clear()
        start = time.perf_counter()
        make(router)
        best = min(best, time.perf_counter() - start)
    return best


def text(one: SpanTimes) -> str:
    """One line."""
    return (
        f"{one.n_qubits} qubits, {one.n_layers} brick layers: {one.n_functions} functions; span {one.span:.2f} s, twin "
        f"{one.twin:.2f} s, distilled {one.distill:.2f} s (off by {one.off:.1g} at {_SMALL} qubits)"
    )
