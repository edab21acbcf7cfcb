"""Circuits and weights of quantum layers of other libraries."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from qmoe.errors import ConfigError, UnsupportedError
from qmoe.interop.imported import Imported
from qmoe.interop.pennylane.pennylane_in import from_pennylane
from qmoe.interop.pennylane.pennylane_program import is_torch_layer
from qmoe.interop.qiskit.qiskit_in import from_qiskit


def layer_from(module: nn.Module, *, in_features: int | None = None) -> tuple[Imported, Tensor]:
    """The circuit of a quantum layer, and its weights as they are now.

    Args:
        module: a ``pennylane.qnn.TorchLayer``, or a ``TorchConnector`` of qiskit-machine-learning around an ``EstimatorQNN``
            or a ``SamplerQNN``.
        in_features: the number of features of a TorchLayer; see `from_pennylane`.

    Returns:
        The import, and ``(P,)`` weights of its circuit, detached.

    Raises:
        ConfigError: for any other module.
        UnsupportedError: for what cannot be imported.
    """
    kinds = {kind.__name__ for kind in type(module).__mro__}
    given: Any = module
    if is_torch_layer(module):
        imported = from_pennylane(module, in_features=in_features)
        # Without first values: a layer of the circuit alone is drawn anew, as the audit does.
        return replace(imported, initial=None), imported.flat(imported.initial or {})
    if "TorchConnector" in kinds and hasattr(module, "neural_network"):
        imported = _network(given.neural_network)
        return imported, imported.flat({"weight": given.weight.detach()})
    raise ConfigError(
        f"Got a {type(module).__name__}, expected a pennylane.qnn.TorchLayer or a TorchConnector of qiskit-machine-learning."
    )


def default_range(module: nn.Module) -> tuple[float, float] | None:
    """Between which bounds a quantum layer of another library draws its weights unless it is told otherwise.

    Args:
        module: a layer as `layer_from` takes it; None is returned for any other.
    """
    if is_torch_layer(module):
        return 0.0, 2 * math.pi
    if any(kind.__name__ == "TorchConnector" for kind in type(module).__mro__) and hasattr(module, "neural_network"):
        return -1.0, 1.0
    return None


def _network(network: Any) -> Imported:
    kinds = {kind.__name__ for kind in type(network).__mro__}
    given = {"input_params": network.input_params, "weight_params": network.weight_params}
    if "EstimatorQNN" in kinds:
        return from_qiskit(network.circuit, observables=list(network.observables), **given)
    if "SamplerQNN" in kinds:
        shape = None if network.interpret is None else network.output_shape
        return from_qiskit(network.circuit, interpret=network.interpret, output_shape=shape, **given)
    raise UnsupportedError(
        f"The connector holds a {type(network).__name__}, expected an EstimatorQNN or a SamplerQNN; from_qiskit takes its "
        "circuit, with its parameters and what is measured."
    )
