"""A QNode with its arguments: what circuit it builds from given inputs and weights."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import Feature, Weight
from qmoe.errors import ConfigError, UnsupportedError, needed, unknown
from qmoe.interop.pennylane.symbols import Symbol, symbols

Shape = tuple[int, ...]


@dataclass(frozen=True)
class QNodeProgram:
    """A quantum function whose inputs and weights are told apart.

    Attributes:
        qnode: the QNode.
        input_name: its argument that takes the features.
        shapes: name and shape of every other argument.
    """

    qnode: Any
    input_name: str
    shapes: dict[str, Shape]

    @property
    def n_weights(self) -> int:
        """All weights together."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def device_wires(self) -> list[Any] | None:
        """Labels of the wires of the device; None where it takes any."""
        wires = self.qnode.device.wires
        return list(wires) if wires else None

    def symbolic(self, n_features: int, batched: bool) -> Any:
        """The tape of ``n_features`` inputs, ``(1, F)`` where it is ``batched``, and weights that are symbols."""
        import autoray

        autoray.register_backend(Symbol, "numpy")
        inputs = symbols(Feature, (1, n_features) if batched else (n_features,))
        weights: dict[str, Any] = {}
        start = 0
        for name, shape in self.shapes.items():
            weights[name] = symbols(Weight, shape, start)
            start += math.prod(shape)
        return self._tape(inputs, weights)

    def numeric(self, x: Tensor, w: Tensor, batched: bool) -> Any:
        """The tape of ``(F,)`` inputs and ``(P,)`` weights that are numbers."""
        return self._tape(x.reshape(1, -1) if batched else x, self._named(w))

    def returns_one(self, n_features: int) -> bool:
        """Whether the quantum function returns one measurement by itself, which a tape holds as a list of one."""
        import pennylane as qml

        x, weights = torch.full((n_features,), 0.5), self._named(torch.full((self.n_weights,), 0.5))
        returned: Any = None
        for inputs in (x, x.reshape(1, -1)):
            with contextlib.suppress(Exception), qml.queuing.AnnotatedQueue():  # it takes one or the other
                returned = self.qnode.func(**{self.input_name: inputs}, **weights)
                break
        return isinstance(returned, qml.measurements.MeasurementProcess)

    def _named(self, w: Tensor) -> dict[str, Any]:
        weights: dict[str, Any] = {}
        start = 0
        for name, shape in self.shapes.items():
            weights[name] = w[start : start + math.prod(shape)].reshape(shape)
            start += math.prod(shape)
        return weights

    def _tape(self, inputs: Any, weights: dict[str, Any]) -> Any:
        import pennylane as qml

        tape = qml.workflow.construct_tape(self.qnode, level="top")(**{self.input_name: inputs}, **weights)
        if tape.shots:
            raise UnsupportedError(
                f"The QNode draws {tape.shots.total_shots} shots, and a circuit gives exact numbers; import it without: "
                "qml.set_shots(qnode, None)."
            )
        return tape


def is_torch_layer(given: Any) -> bool:
    """Whether it is a ``pennylane.qnn.TorchLayer``, said without importing PennyLane."""
    return any(kind.__name__ == "TorchLayer" for kind in type(given).__mro__) and hasattr(given, "qnode_weights")


def as_program(qnode: Any, weight_shapes: Any) -> QNodeProgram:
    """The QNode with its arguments, checked as TorchLayer checks them.

    Raises:
        ConfigError: for what is no QNode, or arguments and shapes that do not fit.
        UnsupportedError: for transforms, which may change the circuit.
    """
    qml = needed("pennylane", "pennylane")
    if isinstance(qnode, torch.nn.Module):
        raise ConfigError(
            f"Got a {type(qnode).__name__}, expected a QNode or a pennylane.qnn.TorchLayer; qmoe.interop.layer_from takes "
            "the layers of qiskit-machine-learning."
        )
    if not isinstance(qnode, qml.QNode):
        raise ConfigError(f"Got {qnode!r}, expected a PennyLane QNode: qml.QNode(function, device).")
    if weight_shapes is None:
        raise ConfigError(
            "weight_shapes is missing: a QNode does not say the shapes of its weights; give them, such as "
            "{'weights': (3, 2)}. A pennylane.qnn.TorchLayer holds its own."
        )
    if not isinstance(weight_shapes, Mapping):
        raise ConfigError(f"weight_shapes is {weight_shapes!r}, expected a dictionary such as {{'weights': (3, 2)}}.")
    # PennyLane before 0.44 calls them otherwise.
    transforms = qnode.compile_pipeline if hasattr(qnode, "compile_pipeline") else qnode.transform_program
    if len(transforms):
        raise UnsupportedError(
            f"The QNode has transforms ({transforms}), which are not imported; import the QNode without them: "
            "what they return may be no circuit."
        )
    input_name = qml.qnn.TorchLayer._input_arg
    parameters = inspect.signature(qnode.func).parameters
    if input_name not in parameters:
        raise ConfigError(
            f"The QNode has the arguments {', '.join(parameters)}, and none named {input_name!r} for the features."
        )
    kinds = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        raise ConfigError("The QNode takes any number of positional arguments; name each, so that it can have a shape.")
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in weight_shapes:
            if name not in parameters or name == input_name:
                raise unknown("argument of the QNode", name, [p for p in parameters if p != input_name])
    needs = [
        name for name, p in parameters.items() if p.default is p.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    missing = [name for name in needs if name not in weight_shapes and name != input_name]
    if missing:
        raise ConfigError(f"weight_shapes lacks the argument(s) {', '.join(missing)} of the QNode.")
    return QNodeProgram(qnode, input_name, {name: _shape(name, shape) for name, shape in weight_shapes.items()})


def _shape(name: str, shape: Any) -> Shape:
    listed = tuple(shape) if isinstance(shape, Iterable) else () if shape == 1 else (shape,)
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in listed):
        raise ConfigError(f"weight_shapes[{name!r}] is {shape!r}, expected an integer or a tuple of integers.")
    return listed
