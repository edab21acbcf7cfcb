"""Circuits as PennyLane's quantum functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qmoe.circuits import (
    Angle,
    Born,
    Circuit,
    Computed,
    Dephase,
    Depolarize,
    Disturb,
    Expression,
    Feature,
    Gate,
    Prepare,
    Probs,
    Readout,
    Readouts,
    angle_value,
    split_readout,
)
from qmoe.errors import UnsupportedError, needed
from qmoe.interop.optional import check_circuit


def to_pennylane(circuit: Circuit) -> Callable[[Any, Any], Any]:
    """A quantum function of ``inputs`` ``(..., F)`` and ``weights`` for ``qml.QNode`` and ``qml.qnn.TorchLayer``.

    Wire i is PennyLane's wire i. It applies the gates and returns the measurements: a list of expectation values, or
    probabilities. Noise becomes channels, for ``default.mixed``: PennyLane's own where it has them. ``weights`` have
    ``circuit.weight_shape``; any of PennyLane's interfaces will do, torch alone where a function gives angles.

    Raises:
        UnsupportedError: for errors of the measurement where X or Y is measured.

    Example:
        >>> import pennylane as qml
        >>> circuit = Circuit(n_qubits=2, n_layers=1)
        >>> qnode = qml.QNode(to_pennylane(circuit), qml.device("default.qubit", wires=2))
        >>> layer = qml.qnn.TorchLayer(qnode, {"weights": circuit.weight_shape})
    """
    check_circuit(circuit)
    if split_readout(circuit.operations)[1] and not _measures_z(circuit.readout, circuit.n_qubits):
        raise UnsupportedError(
            "Errors of the measurement strike behind the change to the basis that is measured, which PennyLane makes after "
            "all channels; measure along Z, use circuit.with_noise(None), or run it here: engine='pennylane' puts them in "
            "order."
        )
    qml = needed("pennylane", "pennylane")
    from qmoe.engines.pennylane.named_channels import apply_channel
    from qmoe.engines.pennylane.program import DEPHASE, measurements_of

    def quantum_function(inputs: Any, weights: Any) -> Any:
        flat = qml.math.reshape(weights, (-1,))

        function = None if circuit.body is None else circuit.body.function
        if function is not None:
            rows = qml.math.reshape(inputs, (1, -1, circuit.in_features))
            computed = qml.math.reshape(function(rows, flat[None]), (*qml.math.shape(inputs)[:-1], -1))

        def value(angle: Angle) -> Any:
            return angle_value(
                angle,
                feature=lambda index: inputs[..., index],
                weight=lambda index: flat[index],
                number=float,
                computed=lambda index: computed[..., index],
            )

        for op in circuit.operations:
            if isinstance(op, Prepare):
                qml.AmplitudeEmbedding(inputs, wires=range(op.n_wires), pad_with=0.0, normalize=True)
            elif isinstance(op, Depolarize):
                assert circuit.noise is not None
                for wire in op.wires:
                    qml.DepolarizingChannel(circuit.noise.depolarizing, wires=wire)
            elif isinstance(op, Dephase):
                for wire in op.wires:
                    DEPHASE[op.axis](wire)
            elif isinstance(op, Disturb):
                apply_channel(op.channel, op.wires)
            elif op.name == "Rot" and not _alike(op):
                # PennyLane's Rot does not mix tensors with plain numbers, nor batches with single numbers.
                for rotation, angle in zip((qml.RZ, qml.RY, qml.RZ), op.angles, strict=True):
                    rotation(value(angle), wires=op.wires)
            else:
                getattr(qml, op.name)(*map(value, op.angles), wires=op.wires)
        measured = measurements_of(circuit.readout, circuit.n_qubits)
        return measured[0] if isinstance(circuit.readout, Born | Probs) else measured

    return quantum_function


def _measures_z(readout: Readout, n_qubits: int) -> bool:
    if isinstance(readout, Readouts):
        return all(_measures_z(part, n_qubits) for part in readout.parts)
    words = [word for terms in readout.words(n_qubits) or () for _, word in terms]
    return all(letter == "Z" for word in words for _, letter in word)


def _alike(gate: Gate) -> bool:
    """Whether all angles are numbers, or all are of weights alone."""
    kinds = {_kind(angle) for angle in gate.angles}
    return kinds in ({"number"}, {"weight"})


def _kind(angle: Angle) -> str:
    if isinstance(angle, float):
        return "number"
    if isinstance(angle, Feature | Computed) or (isinstance(angle, Expression) and (angle.features or angle.computed)):
        return "feature"
    return "weight"
