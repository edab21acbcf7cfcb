"""Circuits from PennyLane's QNodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Gate, Operation, Prepare, Probs
from qmoe.errors import ConfigError, check_sizes
from qmoe.interop.imported import Imported
from qmoe.interop.pennylane.pennylane_program import QNodeProgram, as_program, is_torch_layer

if TYPE_CHECKING:
    from qmoe.interop.pennylane.pennylane_tracing import Traced

Init = Callable[[Tensor], Tensor] | Mapping[str, Any] | None


def from_pennylane(
    qnode: Any,
    weight_shapes: Mapping[str, Any] | None = None,
    init_method: Init = None,
    *,
    in_features: int | None = None,
) -> Imported:
    """The circuit of a PennyLane QNode, with the arguments of ``qml.qnn.TorchLayer``.

    The QNode is run with symbols for inputs and weights, its operations are brought to qmoe's gates by PennyLane's own
    decompositions, and the result is compared with runs on numbers. Where its code computes with torch, angles that are
    polynomials are found by automatic differentiation, and others become a function that torch traces. Wires, whatever
    their labels, are numbered in the order of the device, without those that nothing acts on; in the order of the program
    where the device has none.

    Args:
        qnode: its argument ``inputs`` takes the features, as ``(F,)`` or ``(B, F)``; all others are weights. It returns
            expectation values or probabilities, or a list of these. A ``qml.qnn.TorchLayer`` does as well: it holds its
            QNode, the shapes, and the values of its weights as first values.
        weight_shapes: the shape of each other argument; left out where a TorchLayer is given.
        init_method: first values of the weights, as for TorchLayer: a function of `torch.nn.init`, or a function or tensor
            for each name. None leaves them to the layer, or takes those of a TorchLayer.
        in_features: the number of features F; by default the number of wires, or the first other that the QNode takes.

    Raises:
        ConfigError: for what is no QNode, or arguments that do not fit.
        UnsupportedError: for what a circuit cannot hold, with the place of all of it: measurements inside, channels,
            operations without a decomposition, gates that depend on values, angles that torch cannot trace.

    Example:
        >>> from qmoe.interop import from_pennylane
        >>> import pennylane as qml
        >>> @qml.qnode(qml.device("default.qubit", wires=1))
        ... def qnode(inputs, weights):
        ...     qml.RX(inputs[..., 0], 0)
        ...     qml.RY(weights[0], 0)
        ...     return qml.expval(qml.Z(0))
        >>> from_pennylane(qnode, {"weights": (1,)}, in_features=1).circuit.n_weights
        1
    """
    if is_torch_layer(qnode):
        if weight_shapes is not None:
            raise ConfigError(
                f"weight_shapes is {weight_shapes!r}, and a {type(qnode).__name__} holds its weights; leave it out."
            )
        held = {name: value.detach() for name, value in qnode.qnode_weights.items()}
        qnode, weight_shapes = qnode.qnode, {name: tuple(value.shape) for name, value in held.items()}
        init_method = held if init_method is None else init_method
    program = as_program(qnode, weight_shapes)
    if in_features is not None:
        check_sizes(in_features=in_features)
    from qmoe.interop.pennylane.pennylane_tracing import traced_of

    traced = traced_of(program, in_features)
    parameters = tuple(program.shapes.items())
    circuit = _circuit(program, traced, in_features)
    is_bare = program.returns_one(circuit.in_features) and not isinstance(circuit.readout, Born | Probs)
    return Imported(circuit, parameters, _initial(parameters, init_method), is_bare)


def _circuit(program: QNodeProgram, traced: Traced, in_features: int | None) -> Circuit:
    from qmoe.interop.pennylane.pennylane_readouts import as_readout_of, measures_all

    tape = traced.tape
    used = {label for _, wires, _ in traced.gates for label in wires}
    used |= {label for measurement in tape.measurements for label in measurement.wires}
    used |= set(traced.prepared or ())
    order = program.device_wires() or list(tape.wires)
    if not any(map(measures_all, tape.measurements)):
        order = [label for label in order if label in used] or order[:1]
    natural = {label: number for number, label in enumerate(order)}
    if traced.prepared is not None:
        # Amplitudes are padded at their end: wires beside those of the embedding are more significant, and stay 0.
        order = [*(label for label in order if label not in traced.prepared), *traced.prepared]
    numbers = {label: number for number, label in enumerate(order)}
    readout, _ = as_readout_of(tape.measurements, numbers)
    if numbers != natural and isinstance(readout, Born):
        readout = Probs(tuple(numbers[label] for label in natural))
    operations: list[Operation] = [] if traced.prepared is None else [Prepare(len(order))]
    operations += [Gate(name, tuple(numbers[label] for label in wires), angles) for name, wires, angles in traced.gates]
    if in_features is None and traced.prepared is None and traced.function is None:
        in_features = max((i for op in operations if isinstance(op, Gate) for i in op.feature_indices), default=0) + 1
    return Circuit.from_operations(
        operations,
        n_qubits=max(len(order), 1),
        readout=readout,
        in_features=in_features if in_features is not None else traced.n_features,
        weight_shape=(program.n_weights,),
        angles=traced.function,
    )


def _initial(parameters: Sequence[tuple[str, tuple[int, ...]]], init_method: Init) -> dict[str, Tensor] | None:
    if init_method is None:
        return None
    found: dict[str, Tensor] = {}
    for name, shape in parameters:
        if isinstance(init_method, Mapping) and name not in init_method:
            raise ConfigError(f"init_method lacks the argument {name!r} of the QNode.")
        given = init_method[name] if isinstance(init_method, Mapping) else init_method
        if isinstance(given, Tensor):
            if tuple(given.shape) != shape:
                raise ConfigError(f"init_method[{name!r}] has the shape {tuple(given.shape)}, expected {shape}.")
            found[name] = given.detach().clone()
        elif callable(given):
            # Like TorchLayer: a function of torch.nn.init gets a single number as one of shape (1,).
            found[name] = given(torch.empty(shape or (1,))).detach().reshape(shape)
        else:
            raise ConfigError(
                f"init_method for {name!r} is {given!r}, expected a function of torch.nn.init or a tensor."
            )
    return found
