"""Circuits of three published models, for `qmoe.QuantumLayer(circuit)` and ``qmoe.QuantumRouter(..., circuit=circuit)``.

Each is the circuit that Bowles, Ahmed and Schuld (2024), "Better than classical?", arXiv:2403.07059, benchmark. Their cost
functions and classical parts are not in it, except for the map in front of the dressed circuit. `published_circuit` makes
them by name, as routers, estimators and study files take them.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from qmoe.circuits.angles.expressions import Angle, Computed, Feature, Weight
from qmoe.circuits.angles.named_functions import tanh_map
from qmoe.circuits.ansatze import BasicEntangler, StronglyEntangling
from qmoe.circuits.circuit import Circuit, check_size
from qmoe.circuits.gates import Gate
from qmoe.circuits.readouts import Pauli, Readout
from qmoe.errors import ConfigError, check_sizes, unknown

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


def dressed(in_features: int, n_layers: int = 3, n_qubits: int | None = None, mapped: bool = True) -> Circuit:
    """The dressed quantum circuit of Mari et al. (2020), Quantum 4, 340, with the map in front of it.

    The angles are ``tanh(W x) * pi / 2``. A Hadamard and ``RY(angle)`` on every qubit encode them; a layer is a trainable RY
    on every qubit and a ring of CNOTs. <Z> of every wire is read out. The linear map behind it is the adapter of a router,
    or a `torch.nn.Linear` after a layer.

    Args:
        in_features: number of features F.
        n_layers: number of layers L.
        n_qubits: number of qubits Q; one per feature by default.
        mapped: whether the map is in it. Without, the features are the angles, one per qubit. Such a circuit has a classical
            twin, and the map can stand in front as layers of torch.

    Returns:
        A circuit with ``Q * F + L * Q`` weights: W row by row, then the angles of the layers. Routers and layers draw W
        within 1 / F of 0. Without the map ``L * Q`` weights.

    Raises:
        ConfigError: for sizes below 1, or other numbers of features and qubits without the map.
    """
    n_qubits = in_features if n_qubits is None else n_qubits
    check_sizes(in_features=in_features, n_layers=n_layers, n_qubits=n_qubits)
    if not isinstance(mapped, bool):
        raise ConfigError(f"mapped is {mapped!r}, expected True or False.")
    if not mapped and in_features != n_qubits:
        raise ConfigError(
            f"Without its map the dressed circuit takes an angle for each qubit, and got in_features={in_features} with "
            f"n_qubits={n_qubits}; leave n_qubits out."
        )
    n_mapping = n_qubits * in_features if mapped else 0
    n_weights = n_mapping + n_layers * n_qubits
    gates = []
    for wire in range(n_qubits):
        angle = Computed(wire) if mapped else Feature(wire)
        gates += [Gate("Hadamard", (wire,)), Gate("RY", (wire,), (angle,))]
    ansatz = BasicEntangler("Y")
    for layer in range(n_layers):
        gates += _numbered_from(ansatz.layer(layer, n_qubits), n_mapping + layer * n_qubits)
    return Circuit.from_operations(
        gates,
        n_qubits=n_qubits,
        in_features=in_features,
        weight_shape=(n_weights,),
        angles=tanh_map(in_features, n_qubits, n_weights) if mapped else None,
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
    check_size("n_layers", n_layers, 0)
    gates = _iqp_encoding(n_qubits, repeats)
    ansatz = StronglyEntangling()
    for layer in range(n_layers):
        turned = _numbered_from(ansatz.layer(layer, n_qubits), 3 * n_qubits * layer)
        gates += [Gate("CZ", gate.wires) if gate.name == "CNOT" else gate for gate in turned]
    if n_qubits == 1 and readout == "Z0 Z1":
        raise ConfigError(
            "iqp has 1 qubit, and its read-out 'Z0 Z1' is of two; it takes two features or more, or another read-out: "
            "readout='Z0'."
        )
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


#: The published circuits that have a name in routers, estimators and study files, and the size that is the number of
#: features by default.
PUBLISHED: dict[str, tuple[Callable[..., Circuit], str]] = {
    "data_reuploading": (data_reuploading, "in_features"),
    "dressed": (dressed, "in_features"),
    "iqp": (iqp, "n_qubits"),
}
#: Qubits of a circuit by name at most: what study files allow, 16 million amplitudes for each sample.
_MAX_QUBITS = 24
#: Layers, and repeats of an encoding: each takes time to plan.
_MAX_DEPTH = 1_000


def published_circuit(given: str | Mapping[str, Any], n_features: int) -> Circuit:
    """A published circuit by its name, for so many features.

    Args:
        given: ``"data_reuploading"``, ``"dressed"`` or ``"iqp"``, with the defaults of the function of that name; or a
            mapping with ``name`` and any of its arguments, such as ``{"name": "iqp", "n_layers": 2}``.
        n_features: number of features F, which ``in_features`` or ``n_qubits`` of the circuit is by default.

    Returns:
        The circuit. It takes another number of features where the mapping says so.

    Raises:
        ConfigError: for an unknown name or argument, a value that the function refuses, or more than 24 qubits.

    Example:
        >>> from qmoe.circuits import published_circuit
        >>> published_circuit("iqp", 4).weight_shape
        (10, 4, 3)
        >>> published_circuit({"name": "iqp", "n_layers": 2}, 4).weight_shape
        (2, 4, 3)
    """
    name, options = _named(given)
    build, size = PUBLISHED[name]
    options = {size: n_features, **options}
    n_qubits = options.get("n_qubits", options.get("in_features"))
    if name == "data_reuploading" and isinstance(n_qubits, int):
        n_qubits = math.ceil(n_qubits / 3)
    if isinstance(n_qubits, int) and n_qubits > _MAX_QUBITS:
        smaller = "n_qubits" if name == "dressed" else size
        fewer = 12 if name == "data_reuploading" else 4
        raise ConfigError(
            f"The circuit {name} has {n_qubits} qubits, expected at most {_MAX_QUBITS}; give it fewer, such as "
            f"{{'name': {name!r}, {smaller!r}: {fewer}}}: a trainable linear map then goes in front."
        )
    for option in ("n_layers", "repeats"):
        value = options.get(option)
        if isinstance(value, int) and value > _MAX_DEPTH:
            raise ConfigError(f"{option} of the circuit {name} is {value}, expected at most {_MAX_DEPTH}.")
    return build(**options)


def check_published(given: str | Mapping[str, Any]) -> None:
    """Refuses what is no published circuit for any number of features, before it is known how many there are.

    Raises:
        ConfigError: as `published_circuit`.
    """
    first: ConfigError | None = None
    for n_features in (3, *range(1, _MAX_QUBITS + 1)):  # most circuits exist for 3
        try:
            published_circuit(given, n_features)
        except ConfigError as error:
            first = first or error
        else:
            return
    assert first is not None
    raise first


def _named(given: Any) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of a published circuit."""
    options = dict(given) if isinstance(given, Mapping) else {"name": given}
    if "name" not in options:
        raise ConfigError(
            f"circuit is {given!r}, expected a name in it: {{'name': 'iqp', 'n_layers': 2}}. Known: {', '.join(PUBLISHED)}."
        )
    name = options.pop("name")
    if not isinstance(name, str) or name not in PUBLISHED:
        raise unknown("circuit", name, PUBLISHED)
    known = inspect.signature(PUBLISHED[name][0]).parameters
    for option in options:
        if option not in known:
            raise unknown(f"argument of the circuit {name}:", option, known)
    return name, options


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
