"""How large routers and experts are, by arithmetic on their specs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qmoe.circuits import Circuit, CircuitSpec, published_circuit
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.routers import QuantumRouterSpec, StochasticSpec

#: Most functions of a basis; routers that would have more say so when they are built.
_MAX_FUNCTIONS, _MAX_TWIN = 4096, 2**18
#: Weights of a layer for each qubit.
_ANGLES = {"strongly_entangling": 3, "basic_entangler": 1, "no_entangler": 3}
#: Operations that each number of a state takes for each gate.
_GATE = 4.0


@dataclass(frozen=True)
class CircuitSize:
    """Circuits of one part of a model.

    Attributes:
        copies: how many circuits there are.
        n_gates: gates of each, layers and uploads together.
        state: numbers of a state for each sample: amplitudes count twice, with noise they are Pauli coefficients.
        native: whether the native engine runs them, which holds few states at a time however many samples there are.
        nodes: at how many inputs a router's circuit may be measured in place of every row; 0 where it cannot.
    """

    copies: int
    n_gates: int
    state: int
    native: bool
    nodes: int = 0

    @property
    def operations(self) -> float:
        """Operations of all of them for one row, forwards."""
        return self.copies * self.n_gates * self.state * _GATE


@dataclass(frozen=True)
class PartSize:
    """A router, or the experts of a model together.

    Attributes:
        numbers: parameters and buffers.
        per_row: numbers that stand for each row while the part runs.
        functions: functions of the features.
        circuit: its circuits, if any.
        fixed: whether the functions are found once for each row, and not anew in every batch, behind a trained map.
    """

    numbers: int
    per_row: int
    functions: int = 0
    circuit: CircuitSize | None = None
    fixed: bool = True

    @property
    def operations(self) -> float:
        """Operations for one row, forwards."""
        return 2.0 * self.numbers + (0.0 if self.circuit is None else self.circuit.operations)


def router_size(spec: Any, n_features: int, n_experts: int) -> PartSize:
    """The size of the router with that spec; 0 for a kind that is not known here."""
    find = _ROUTERS.get(getattr(spec, "kind", ""))
    return PartSize(0, 0) if find is None else find(spec, n_features, n_experts)


def experts_size(spec: Any, n_features: int, n_classes: int, n_experts: int) -> PartSize:
    """The size of all experts with that spec; 0 for a kind that is not known here."""
    find = _EXPERTS.get(getattr(spec, "kind", ""))
    return PartSize(0, 0) if find is None else find(spec, n_features, n_classes, n_experts)


def n_outputs(spec: Any, n_features: int, n_classes: int) -> int:
    """How many outputs an expert with that spec has."""
    if isinstance(spec, QuantumSpec):
        n_qubits = _n_qubits(spec, n_features)
        return 2**n_qubits if spec.readout == "born" else n_qubits
    return getattr(spec, "out_features", None) or n_classes


def _n_qubits(spec: CircuitSpec, n_features: int, n_experts: int = 1) -> int:
    if spec.n_qubits is not None:
        return spec.n_qubits
    n_qubits = n_features if spec.encoding == "angle" else max(1, math.ceil(math.log2(n_features)))
    return max(n_qubits, math.ceil(math.log2(n_experts))) if spec.readout == "born" else n_qubits


def _circuit(spec: QuantumSpec, n_qubits: int, copies: int, nodes: int = 0) -> CircuitSize:
    # Beyond 2**64 numbers it makes no difference how many.
    state = 4 ** min(n_qubits, 32) if spec.mixed else 2 ** min(n_qubits + 1, 64)
    per_layer = n_qubits * (2 if spec.ansatz != "no_entangler" else 1)
    channels = per_layer * (1 + len(spec.channels)) if spec.mixed else 0
    n_gates = spec.n_layers * (per_layer + channels) + spec.uploads * n_qubits
    native = spec.engine in ("auto", "native") and not (spec.mixed and n_qubits > 7)
    return CircuitSize(copies, n_gates, state, native, nodes)


def _named_router(spec: QuantumRouterSpec, circuit: Circuit, f: int, e: int) -> PartSize:
    """A router on a circuit that has a name, which is counted as it is built."""
    q, n_out, taken = circuit.n_qubits, circuit.n_outputs, circuit.in_features
    numbers = circuit.n_weights + (taken * (f + 1) if taken != f else 0) + e * (n_out + 1)
    state = 4 ** min(q, 32) if spec.mixed else 2 ** (q + 1)
    channels = 1 + len(spec.channels) if spec.mixed else 0
    native = spec.engine in ("auto", "native") and not (spec.mixed and q > 7)
    size = CircuitSize(1, len(circuit.operations) * (1 + channels), state, native)
    return PartSize(numbers, 2 * n_out + taken + e, circuit=size)


def _quantum_router(spec: QuantumRouterSpec, f: int, e: int) -> PartSize:
    if spec.circuit is not None:
        return _named_router(spec, published_circuit(spec.circuit, f), f, e)
    q = _n_qubits(spec, f, e)
    n_out = 2 ** min(q, 64) if spec.readout == "born" else q
    numbers = spec.n_layers * q * _ANGLES[spec.ansatz]
    nodes = 0
    if spec.encoding == "angle" and f != q:
        numbers += q * (f + 1)
    elif spec.encoding == "angle":
        nodes = (2 * spec.uploads + 1) ** min(q, 64)
    if spec.readout != "born":
        numbers += e * (n_out + 1)
    return PartSize(numbers, 2 * n_out + q + e, circuit=_circuit(spec, q, 1, nodes))


def _quantum_experts(spec: QuantumSpec, f: int, c: int, e: int) -> PartSize:
    del c
    q = _n_qubits(spec, f)
    n_out = 2 ** min(q, 64) if spec.readout == "born" else q
    return PartSize(e * spec.n_layers * q * _ANGLES[spec.ansatz], e * (2 * n_out + f), circuit=_circuit(spec, q, e))


def _on_functions(k: int, e: int, more: int = 0, fixed: bool = True) -> PartSize:
    """A linear gate on ``k`` functions, each with a centre and a scale."""
    return PartSize(e * (k + 1) + 2 * k + more, 2 * k + e, k, fixed=fixed)


def _twin(spec: Any, f: int, e: int) -> PartSize:
    if spec.circuit is not None:
        circuit = published_circuit(spec.circuit, f)
        taken = circuit.in_features
        projection = taken * (f + 1) if taken != f else 0
        # A little more than IQP circuits have; no other of these has as many for each qubit.
        return _on_functions(min(7 ** min(circuit.n_qubits, 32), _MAX_TWIN), e, projection, not projection)
    q = _n_qubits(spec, f, e)
    taken = q if spec.encoding == "angle" else f
    projection = taken * (f + 1) if taken != f else 0
    if spec.n_functions is not None:
        return _on_functions(spec.n_functions, e, spec.n_functions // 2 * taken + projection, not projection)
    found = (2 * spec.uploads + 1) ** min(taken, 64) - 1 if spec.encoding == "angle" else f * (f + 1) // 2
    if spec.max_weight is not None and spec.encoding == "angle":
        weights = range(1, min(spec.max_weight, taken) + 1)
        found = sum(math.comb(taken, weight) * (2 * spec.uploads) ** weight for weight in weights)
    return _on_functions(min(found, _MAX_TWIN), e, projection, not projection)


def _stochastic(spec: StochasticSpec, f: int, e: int) -> PartSize:
    strings = 4 ** min(f, 32)
    return PartSize(8 * f * spec.n_layers + e * (f + 1), strings + 2 * f + e, strings)


_ROUTERS: dict[str, Callable[[Any, int, int], PartSize]] = {
    "linear": lambda spec, f, e: PartSize(e * (f + 1), e),
    "mlp": lambda spec, f, e: PartSize(spec.hidden * (f + 1) + e * (spec.hidden + 1), spec.hidden + e),
    "quadratic": lambda spec, f, e: _on_functions(f + f * (f + 1) // 2, e),
    "chebyshev": lambda spec, f, e: _on_functions(min((spec.degree + 1) ** min(f, 64) - 1, _MAX_FUNCTIONS), e),
    "trigonometric": lambda spec, f, e: _on_functions(2 * f * spec.max_frequency, e),
    "random_fourier": lambda spec, f, e: _on_functions(spec.n_functions, e, spec.n_functions * (f + 1)),
    "stochastic": _stochastic,
    "quantum": _quantum_router,
    "twin": _twin,
    "constant": lambda spec, f, e: PartSize(e, e),
    "uniform": lambda spec, f, e: PartSize(0, e),
    "random": lambda spec, f, e: PartSize(2 * e * (f + 1), 2 * e),
    "single": lambda spec, f, e: PartSize(0, e),
}

_EXPERTS: dict[str, Callable[[Any, int, int, int], PartSize]] = {
    "linear": lambda spec, f, c, e: PartSize(e * (spec.out_features or c) * (f + 1), e * (spec.out_features or c)),
    "mlp": lambda spec, f, c, e: PartSize(
        e * (spec.hidden * (f + 1) + (spec.out_features or c) * (spec.hidden + 1)),
        e * (spec.hidden + (spec.out_features or c)),
    ),
    "quantum": _quantum_experts,
}
