"""Who computes it as a layer of torch: qmoe, PennyLane's TorchLayer, qiskit-machine-learning's TorchConnector."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from benchmarks.contenders import Step
from benchmarks.imported.cases import Case, OneEpoch
from benchmarks.imported.sources import Source, Template
from qmoe import QuantumLayer


class Entrant(ABC):
    """Who takes part.

    Attributes:
        key: short name, in the record.
        title: name in tables.
        packages: distributions whose versions are recorded.
        needs: modules without which it cannot take part.
        advice: how it is used, in one sentence.
        ours: whether it belongs to qmoe.
        kinds: of the cases that it takes part in; a template is compared with its own imports alone.
        compiles: whether its first run compiles and says nothing of the later ones.
        most: samples of a step, or batches of an epoch, that it is run on, where not on all; its time is scaled to all.
        checked: whether it has to give the right answer.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[str, ...]] = ()
    advice: ClassVar[str]
    ours: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("map", "epoch")
    compiles: ClassVar[bool] = False
    most: ClassVar[dict[str, int]] = {}
    checked: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, case: Case) -> Step:
        """Builds it."""

    def missing(self) -> str | None:
        """Why it cannot take part; None if it can."""
        try:
            for module in self.needs:
                importlib.import_module(module)
        except Exception as error:  # whatever a peer's import raises, the others go on
            return f"{type(error).__name__}: {error}"
        return None


class TorchEntrant(Entrant):
    """One that is a layer of torch."""

    def prepare(self, case: Case) -> Step:
        """The layer with the weights of the case."""
        layer = self.layer(case.source, isinstance(case, OneEpoch))
        (trained,) = layer.parameters()
        with torch.no_grad():
            trained.copy_(torch.from_numpy(case.weights).reshape(trained.shape))
        return case.prepare(layer)

    @abstractmethod
    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """A layer with one parameter.

        Args:
            source: its circuit.
            hybrid: whether a trained layer stands before it, so that gradients of its inputs are needed.
        """


class OwnTemplate(TorchEntrant):
    """Without an import."""

    key = "qmoe-template"
    title = "qmoe.QuantumLayer"
    packages = ("qmoe", "torch", "numba")
    advice = "`qmoe.QuantumLayer(qmoe.Circuit(...))`, no import"
    ours = True
    kinds = ("template",)

    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """Of the circuit that qmoe has itself."""
        del hybrid
        assert isinstance(source, Template)
        return QuantumLayer(source.circuit)


class OwnFromPennylane(TorchEntrant):
    """Imported from PennyLane."""

    key = "qmoe-pennylane"
    title = "qmoe from PennyLane"
    packages = ("qmoe", "torch", "numba", "pennylane")
    advice = "`qmoe.QuantumLayer.from_pennylane` of the QNode that default.qubit runs, with its default settings"
    ours = True
    kinds = ("map", "epoch", "template")

    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """Of the QNode."""
        del hybrid
        return QuantumLayer.from_pennylane(source.qnode(), {"weights": source.weight_shape})


class OwnFromQiskit(TorchEntrant):
    """Imported from Qiskit."""

    key = "qmoe-qiskit"
    title = "qmoe from Qiskit"
    packages = ("qmoe", "torch", "numba", "qiskit")
    needs = ("qiskit",)
    advice = "`qmoe.QuantumLayer.from_qiskit` of the circuit that TorchConnector runs, with its default settings"
    ours = True
    kinds = ("map", "epoch", "template")

    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """Of the circuit."""
        del hybrid
        return QuantumLayer.from_qiskit(**source.in_qiskit().network)


class _TorchLayer(TorchEntrant):
    device: ClassVar[str]

    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """PennyLane's own layer."""
        import pennylane as qml

        del hybrid
        layer: nn.Module = qml.qnn.TorchLayer(source.qnode(self.device), {"weights": source.weight_shape})
        return layer


class DefaultQubitLayer(_TorchLayer):
    """PennyLane in torch."""

    key = "default.qubit"
    title = "TorchLayer, default.qubit"
    packages = ("pennylane", "torch")
    advice = "qml.qnn.TorchLayer, backprop, the batch broadcast in one call; computes in complex128"
    device = "default.qubit"
    most: ClassVar[dict[str, int]] = {"batches": 32}


class LightningLayer(_TorchLayer):
    """PennyLane's compiled simulator."""

    key = "lightning.qubit"
    title = "TorchLayer, lightning.qubit"
    packages = ("pennylane", "pennylane-lightning", "torch")
    advice = "qml.qnn.TorchLayer, adjoint, complex64, the whole batch in one call, which PennyLane splits into samples"
    device = "lightning.qubit"
    most: ClassVar[dict[str, int]] = {"batches": 8}


class Connector(TorchEntrant):
    """qiskit-machine-learning."""

    key = "qiskit-connector"
    title = "TorchConnector"
    packages = ("qiskit-machine-learning", "qiskit", "torch")
    needs = ("qiskit_machine_learning",)
    advice = (
        "qiskit-machine-learning's TorchConnector(EstimatorQNN(...)) with its default estimator, which is exact, and its "
        "default gradient, the parameter-shift rule; input_gradients=True where a trained layer stands before it"
    )
    most: ClassVar[dict[str, int]] = {"samples": 4, "batches": 2}

    def layer(self, source: Source, hybrid: bool) -> nn.Module:
        """An estimator in a connector."""
        from qiskit_machine_learning.connectors import TorchConnector
        from qiskit_machine_learning.neural_networks import EstimatorQNN

        network = EstimatorQNN(**source.in_qiskit().network, input_gradients=hybrid)
        layer: nn.Module = TorchConnector(network, initial_weights=np.zeros(source.n_weights))
        return layer


class NoCircuit(Entrant):
    """What torch takes for the rest of the epoch."""

    key = "no-circuit"
    title = "torch, no circuit"
    packages = ("torch",)
    advice = "the same hybrid model without the circuit between its linear layers"
    kinds = ("epoch",)
    checked = False

    def prepare(self, case: Case) -> Step:
        """Both linear layers alone."""
        return case.prepare(nn.Identity())
