"""Circuits of three published models, for `qmoe.QuantumLayer(circuit)` and ``qmoe.QuantumRouter(..., circuit=circuit)``.

Each is the circuit that Bowles, Ahmed and Schuld (2024), "Better than classical?", arXiv:2403.07059, benchmark. Their cost
functions and classical parts are not in it, except for the map in front of the dressed circuit.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from qmoe.circuits.angles.expressions import Angle, Computed, Feature, Weight
from qmoe.circuits.ansatze import BasicEntangler, StronglyEntangling
from qmoe.circuits.circuit import Circuit
from qmoe.circuits.gates import Gate
from qmoe.circuits.readouts import Pauli, Readout
from qmoe.errors import check_sizes, unknown

if TYPE_CHECKING:
    from torch import Tensor

#: How many of the Q qubits `data_reuploading` measures.
MEASURED = ("single", "half", "full")


def data_reuploading(
    in_features: int, n_layers: int = 4, measured: Literal["single", "half", "full"] = "single"
) -> Circuit:
    """The multi-qubit data re-uploading classifier of Perez-Salinas et al. (2020), Quantum 4, 226.

    Three features go into one qubit, as the angles of a Rot, so there are Q = ceil(F / 3) qubits. A layer is
    ``Rot(omega * x)`` and ``Rot(theta)`` on every qubit, and CZ gates between neighbours: wires 0 and 1, 2 and 3, ... in
    even layers, 1 and 2, 3 and 4, ... in odd ones. After the last layer comes ``Rot(omega * x + theta)``.

    Args:
        in_features: number of features F.
        n_layers: number of layers L; features are uploaded L + 1 times.
        measured: ``"single"`` gives <Z> of wire 0, ``"half"`` of the first max(1, Q // 2), ``"full"`` of all.

    Returns:
        A circuit with weights of shape ``(2, L + 1, Q, 3)``: omega, then theta. Where F is no multiple of 3, the last omegas
        do nothing.

    Raises:
        ConfigError: for sizes below 1, or an unknown ``measured``.
    """
    check_sizes(in_features=in_features, n_layers=n_layers)
    if measured not in MEASURED:
        raise unknown("measured", measured, MEASURED)
    n_qubits = math.ceil(in_features / 3)
    half = 3 * n_qubits * (n_layers + 1)

    def scaled(layer: int, wire: int) -> list[Angle]:
        places = [(3 * (layer * n_qubits + wire) + k, 3 * wire + k) for k in range(3)]
        return [Feature(at) * Weight(omega) if at < in_features else 0.0 for omega, at in places]

    def shifts(layer: int, wire: int) -> list[Angle]:
        return [Weight(half + 3 * (layer * n_qubits + wire) + k) for k in range(3)]

    gates = []
    for layer in range(n_layers):
        for wire in range(n_qubits):
            gates += [
                Gate("Rot", (wire,), tuple(scaled(layer, wire))),
                Gate("Rot", (wire,), tuple(shifts(layer, wire))),
            ]
        gates += [Gate("CZ", (wire, wire + 1)) for wire in range(layer % 2, n_qubits - 1, 2)]
    for wire in range(n_qubits):
        both = zip(scaled(n_layers, wire), shifts(n_layers, wire), strict=True)
        gates.append(Gate("Rot", (wire,), tuple(a + b for a, b in both)))
    n_measured = {"single": 1, "half": max(1, n_qubits // 2), "full": n_qubits}[measured]
    readout = [Pauli(f"Z{wire}") for wire in range(n_measured)]
    return Circuit.from_operations(
        gates,
        n_qubits=n_qubits,
        in_features=in_features,
        weight_shape=(2, n_layers + 1, n_qubits, 3),
        readout=readout,
    )


def dressed(in_features: int, n_layers: int = 3, n_qubits: int | None = None) -> Circuit:
    """The dressed quantum circuit of Mari et al. (2020), Quantum 4, 340, with the map in front of it.

    The angles are ``tanh(W x) * pi / 2``. A Hadamard and ``RY(angle)`` on every qubit encode them; a layer is a trainable RY
    on every qubit and a ring of CNOTs. <Z> of every wire is read out. The linear map behind it is the adapter of a router,
    or a `torch.nn.Linear` after a layer.

    Args:
        in_features: number of features F.
        n_layers: number of layers L.
        n_qubits: number of qubits Q; one per feature by default.

    Returns:
        A circuit with ``Q * F + L * Q`` weights: W row by row, then the angles of the layers. First values of W should be
        small, of the order of 1 / F; `qmoe.QuantumLayer` takes them as ``init``.

    Raises:
        ConfigError: for sizes below 1.
    """
    n_qubits = in_features if n_qubits is None else n_qubits
    check_sizes(in_features=in_features, n_layers=n_layers, n_qubits=n_qubits)
    gates = []
    for wire in range(n_qubits):
        gates += [Gate("Hadamard", (wire,)), Gate("RY", (wire,), (Computed(wire),))]
    ansatz = BasicEntangler("Y")
    for layer in range(n_layers):
        first = n_qubits * in_features + layer * n_qubits
        gates += _numbered_from(ansatz.layer(layer, n_qubits), first)
    return Circuit.from_operations(
        gates,
        n_qubits=n_qubits,
        in_features=in_features,
        weight_shape=(n_qubits * in_features + n_layers * n_qubits,),
        angles=functools.partial(_dressing, n_qubits=n_qubits),
    )


def iqp(
    n_qubits: int, n_layers: int = 10, repeats: int = 1, readout: str | Readout | Iterable[Readout] = "Z0 Z1"
) -> Circuit:
    """The variational IQP classifier of Havlicek et al. (2019), Nature 567, 209.

    The features are encoded ``repeats`` times by a Hadamard and ``RZ(x_i)`` on every qubit and
    ``exp(-i x_i x_j ZZ / 2)`` on every pair. A layer is a Rot on every qubit and a ring of CZ gates whose range grows from
    layer to layer, as that of `StronglyEntangling`.

    Args:
        n_qubits: number of qubits, and of features.
        n_layers: number of layers L; 0 for the encoding alone.
        repeats: how often the features are encoded.
        readout: a Pauli word, a `Readout`, a list of them, or the name of one.

    Returns:
        A circuit with weights of shape ``(L, Q, 3)``.

    Raises:
        ConfigError: for impossible sizes, or a read-out that does not fit.
    """
    check_sizes(n_qubits=n_qubits, repeats=repeats)
    gates = _iqp_encoding(n_qubits, repeats)
    ansatz = StronglyEntangling()
    for layer in range(n_layers):
        turned = _numbered_from(ansatz.layer(layer, n_qubits), 3 * n_qubits * layer)
        gates += [Gate("CZ", gate.wires) if gate.name == "CNOT" else gate for gate in turned]
    word = isinstance(readout, str) and readout[:1] in ("X", "Y", "Z", "I")
    return Circuit.from_operations(
        gates,
        n_qubits=n_qubits,
        in_features=n_qubits,
        weight_shape=(n_layers, n_qubits, 3),
        readout=Pauli(readout) if word and isinstance(readout, str) else readout,
    )


def iqp_kernel(n_qubits: int, repeats: int = 1) -> Circuit:
    """The circuit of the kernel ``k(x, x') = |<0|U(x')^+ U(x)|0>|^2`` with the encoding U of `iqp`.

    Args:
        n_qubits: number of qubits Q.
        repeats: how often the features are encoded.

    Returns:
        A circuit without weights that takes 2 Q features, x and then x', and reads out the probability of every basis state;
        the kernel is the first.

    Raises:
        ConfigError: for sizes below 1.
    """
    check_sizes(n_qubits=n_qubits, repeats=repeats)
    there, back = _iqp_encoding(n_qubits, repeats), reversed(_iqp_encoding(n_qubits, repeats, first=n_qubits))
    undone = [Gate(gate.name, gate.wires, tuple(-angle for angle in gate.angles)) for gate in back]
    return Circuit.from_operations(
        [*there, *undone], n_qubits=n_qubits, in_features=2 * n_qubits, weight_shape=(0,), readout="born"
    )


def _iqp_encoding(n_qubits: int, repeats: int, first: int = 0) -> list[Gate]:
    x = [Feature(first + wire) for wire in range(n_qubits)]
    gates: list[Gate] = []
    for _ in range(repeats):
        for wire in range(n_qubits):
            gates += [Gate("Hadamard", (wire,)), Gate("RZ", (wire,), (x[wire],))]
        gates += [Gate("IsingZZ", (i, j), (x[i] * x[j],)) for i, j in itertools.combinations(range(n_qubits), 2)]
    return gates


def _numbered_from(gates: Iterable[Gate], first: int) -> list[Gate]:
    """The same gates, whose angles are weights, with the weights numbered from ``first``."""
    return [
        Gate(gate.name, gate.wires, tuple(Weight(first + index) for index in gate.weight_indices)) for gate in gates
    ]


def _dressing(x: Tensor, weights: Tensor, n_qubits: int) -> Tensor:
    n_features = x.shape[1]
    matrix = weights[: n_qubits * n_features].reshape(n_qubits, n_features)
    return (x @ matrix.T).tanh() * (math.pi / 2)
