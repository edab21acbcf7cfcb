"""Any PennyLane device as an engine. Importing this module imports PennyLane, which takes seconds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import pennylane as qml
import torch
from pennylane.exceptions import DeviceError, QuantumFunctionError
from torch import Tensor

from qmoe.circuits import (
    Born,
    Circuit,
    Expval,
    Hamiltonian,
    Parity,
    Pauli,
    Probs,
    Readout,
    Readouts,
)
from qmoe.engines.pennylane.canary import check_truth, known_answers
from qmoe.engines.pennylane.density import read_density
from qmoe.engines.pennylane.given_devices import checked_device, fitted, missing_device
from qmoe.engines.pennylane.program import has_probabilities, measured_widths, program_of
from qmoe.engines.protocol import Engine, too_large
from qmoe.engines.shots.outcome_counts import as_shots
from qmoe.errors import ConfigError, ShapeError, UnsupportedError, unknown
from qmoe.seeding import child
from qmoe.torch_internals import is_wrapped

DIFF_METHODS = ("best", "backprop", "adjoint", "parameter-shift", "finite-diff", "spsa", "hadamard", "device")

# What is known beforehand of devices; all others are asked by trying.
_PURE = ("default.qubit", "reference.qubit")
_BACKPROP = ("default.qubit", "default.mixed")


class PennyLaneEngine(Engine):
    """Runs circuits on a PennyLane device by name: ``lightning.qubit``, ``default.mixed``, a plug-in, hardware.

    The angles go to PennyLane in float64, and so do ``default.qubit`` and ``default.mixed`` compute, whatever the dtype of
    ``x``; lightning devices compute in complex64 for float32 input. The result has the dtype and device of ``x``; tensors
    of other torch devices are moved to the CPU and back. With ``"backprop"`` the models of a stack run one after another,
    each with its whole batch. Elsewhere all samples of all models go to the device as one job, which a device of hardware
    queues once. `torch.func` transforms are refused. Features of an amplitude encoding get gradients from ``"backprop"``
    only.

    ``"lightning.gpu"`` and ``"lightning.kokkos"`` work by name where their plug-ins are installed; no test here runs them.

    Args:
        device: name of a device, or a device that you made: ``PennyLaneEngine(qml.device("default.qubit", wires=2))``; by
            default ``"default.qubit"``, and ``"default.mixed"`` for circuits with noise.
        diff_method: one of PennyLane's, or ``"best"``: ``"backprop"`` on ``default.qubit`` and ``default.mixed``,
            ``"adjoint"`` on lightning for expectation values, ``"parameter-shift"`` there for probabilities and wherever
            shots are drawn, PennyLane's own choice elsewhere.
        shots: number of measurements behind each read-out; None for exact numbers.
        seed: where the randomness of shots starts. Each number of qubits and dtype draws from a stream of its own, which
            runs on from call to call and starts anew in a copy of the engine. None draws fresh entropy.
        **device_options: handed to ``qml.device``.

    Raises:
        ConfigError: for an unknown device or differentiation method, or shots below 1.
    """

    name: ClassVar[str] = "pennylane"
    readouts: ClassVar[tuple[type[Readout], ...]] = (Expval, Born, Pauli, Hamiltonian, Probs, Parity, Readouts)
    takes_expressions: ClassVar[bool] = True

    def __init__(
        self,
        device: str | Any | None = None,
        diff_method: str = "best",
        shots: int | None = None,
        seed: int | np.random.SeedSequence | None = None,
        **device_options: Any,
    ) -> None:
        self.given = None if device is None or isinstance(device, str) else checked_device(device, seed, device_options)
        if isinstance(device, str) and device not in qml.plugin_devices:
            raise missing_device(device)
        if diff_method not in DIFF_METHODS:
            raise unknown("differentiation method", diff_method, DIFF_METHODS)
        as_shots(shots)
        if "wires" in device_options:
            raise ConfigError("wires was given as a device option, but the circuit sets the wires; drop it.")
        name: str | None = device if self.given is None else self.given.name
        self.device, self.diff_method, self.shots, self.seed = name, diff_method, shots, seed
        self.device_options = device_options
        self._devices: dict[Any, Any] = {}
        self._qnodes: dict[Any, Any] = {}
        self._trusted: set[Any] = set()

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Says what is known to fail; what only the PennyLane device knows surfaces at the call, as UnsupportedError."""
        del device
        if (reason := too_large(circuit)) is not None:
            return reason
        name, diff, noisy = self._device_name(circuit), self._diff_method(circuit), circuit.noise is not None
        lightning = name.startswith("lightning.")
        if noisy and (name in _PURE or lightning):
            return f"{name} holds pure states and has no noise channels; use device='default.mixed', or engine='torch'."
        if diff == "adjoint" and noisy:
            return f"adjoint differentiation on {name} has no noise channels; use diff_method='backprop'."
        if diff == "adjoint" and self.shots is not None:
            return "adjoint differentiation needs exact numbers; use shots=None, or diff_method='parameter-shift'."
        if diff == "adjoint" and lightning and has_probabilities(circuit):
            return (
                f"adjoint differentiation on {name} does not support probabilities; use readout='expval', "
                "diff_method='parameter-shift', or engine='torch'."
            )
        if diff == "backprop" and self.shots is not None:
            return "backprop needs exact numbers; use shots=None, or diff_method='parameter-shift'."
        if diff == "backprop" and lightning:
            return f"{name} is no torch program to propagate through; use diff_method='adjoint'."
        return None

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        self._check_tensors(circuit, x, weights, strength)
        if not torch.is_grad_enabled():
            # PennyLane differentiates whatever asks for gradients, even under no_grad; adjoint pays for it at once.
            x, weights = x.detach(), weights.detach()
            strength = None if strength is None else strength.detach()
        features, angles = x.cpu().double(), weights.cpu().double()
        if circuit.prepares:
            features = _amplitudes(features, circuit.dim)
        with _translated(f"{self._device_name(circuit)} with diff_method={self._diff_method(circuit)!r}"):
            qnode = self._qnode(circuit, x.dtype)
            together = self._diff_method(circuit) == "backprop"
            rows, widths = [], measured_widths(circuit)
            # A plain number keeps PennyLane from treating the strength as something to differentiate.
            levels = [None] * len(x) if strength is None else list(strength.cpu().double())
            noises = [p if p is None or p.requires_grad else float(p) for p in levels]
            if not together:
                calls = [(sample, angles[s], noises[s]) for s in range(len(x)) for sample in features[s]]
                results = self._job(qnode, calls, circuit)
                outputs = [_as_tensor(result, torch.Size(), widths) for result in results]
                return torch.stack(outputs).unflatten(0, x.shape[:2]).to(x.device, x.dtype)
            for s in range(len(x)):
                result = qnode(features[s], angles[s], noises[s])
                if self._reads_states(circuit):
                    rows.append(read_density(result, circuit).expand(len(x[s]), -1))
                else:
                    rows.append(_as_tensor(result, features[s].shape[:-1], widths))
        return torch.stack(rows).to(x.device, x.dtype)

    def _job(self, qnode: Any, calls: list[tuple[Any, ...]], circuit: Circuit) -> Any:
        """The results of all calls of a QNode, by one job of its device."""
        tapes = [qml.workflow.construct_tape(qnode)(*call) for call in calls]
        differs = any(isinstance(part, Tensor) and part.requires_grad for call in calls for part in call)
        # Some devices compute derivatives whenever they may be asked for.
        diff = self._diff_method(circuit) if differs and torch.is_grad_enabled() else None
        return qml.execute(tapes, qnode.device, diff_method=diff, interface="torch")

    def _check_tensors(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> None:
        tensors = [tensor for tensor in (x, weights, strength) if tensor is not None]
        if any(is_wrapped(tensor) for tensor in tensors):
            raise UnsupportedError(
                "Engine 'pennylane' runs outside of torch and cannot be transformed by torch.func (vmap, grad, jacrev); "
                "use engine='torch', or give models as stack axes and torch.autograd for gradients."
            )
        amplitude = circuit.prepares
        if amplitude and x.requires_grad and torch.is_grad_enabled() and self._diff_method(circuit) != "backprop":
            # PennyLane would differentiate a decomposition into rotations, which gives NaN wherever an amplitude is zero.
            raise UnsupportedError(
                f"Engine 'pennylane' with diff_method={self._diff_method(circuit)!r} has no gradient with respect to "
                "amplitude-encoded features; use diff_method='backprop', engine='torch', or x.detach()."
            )

    def _device_name(self, circuit: Circuit) -> str:
        if self.device is not None:
            return self.device
        return "default.qubit" if circuit.noise is None else "default.mixed"

    def _diff_method(self, circuit: Circuit) -> str:
        name = self._device_name(circuit)
        if self.diff_method != "best":
            return self.diff_method
        if self.shots is not None:
            return "parameter-shift"
        if name.startswith("lightning."):
            return "parameter-shift" if has_probabilities(circuit) else "adjoint"
        return "backprop" if name in _BACKPROP else "best"

    def _reads_states(self, circuit: Circuit) -> bool:
        """Whether PennyLane gives density matrices, and the read-outs are taken from them here."""
        return self._device_name(circuit) == "default.mixed" and self._diff_method(circuit) == "backprop"

    def _qnode(self, circuit: Circuit, dtype: torch.dtype) -> Any:
        key = circuit, dtype
        if key not in self._qnodes:
            if len(self._qnodes) >= 256:
                self._qnodes.clear()
            device = self._device(self._device_name(circuit), circuit, dtype)
            qnode = qml.QNode(
                program_of(circuit, self._reads_states(circuit)),
                device,
                interface="torch",
                diff_method=self._diff_method(circuit),
            )
            self._qnodes[key] = qnode if self.shots is None else qml.set_shots(qnode, shots=self.shots)
        return self._qnodes[key]

    def _device(self, name: str, circuit: Circuit, dtype: torch.dtype) -> Any:
        key = name, circuit.n_qubits, dtype
        if key not in self._devices and self.given is not None:
            self._devices[key] = fitted(self.given, circuit.n_qubits)
            _keep_float64(self._devices[key])
        if key not in self._devices:
            lightning, options = name.startswith("lightning."), dict(self.device_options)
            if lightning:
                options.setdefault("c_dtype", np.complex64 if dtype == torch.float32 else np.complex128)
            try:
                if self.seed is not None or _takes_seed(name):
                    # Left out, PennyLane would draw a seed from NumPy's global generator, and so change it.
                    options["seed"] = self._stream(circuit.n_qubits, dtype)
                device = qml.device(name, wires=circuit.n_qubits, **options)
            except ImportError as error:
                raise UnsupportedError(f"PennyLane device {name!r} lacks a package it needs: {error}") from error
            except TypeError as error:
                raise ConfigError(f"PennyLane device {name!r} refuses the options {options}: {error}.") from error
            _keep_float64(device)
            self._devices[key] = device
        if name not in _BACKPROP and not name.startswith("lightning."):
            for known in known_answers(circuit):
                if (key, known) not in self._trusted:
                    check_truth(self._devices[key], name, known)
                    self._trusted.add((key, known))
        return self._devices[key]

    def _stream(self, n_qubits: int, dtype: torch.dtype) -> int | None:
        if self.seed is None:
            return None
        return int(child(self.seed, n_qubits, int(dtype == torch.float32)).generate_state(1)[0])

    def __getstate__(self) -> dict[str, Any]:
        # Devices hold state vectors and handles that neither copy nor pickle; they are rebuilt on use.
        return {**self.__dict__, "_devices": {}, "_qnodes": {}, "_trusted": set()}

    def __repr__(self) -> str:
        names = ("device", "diff_method", "shots", "seed")
        given = {k: v for k in names if (v := getattr(self, k)) is not None and v != "best"}
        options = given | self.device_options
        return f"PennyLaneEngine({', '.join(f'{k}={v!r}' for k, v in options.items())})"


def _takes_seed(name: str) -> bool:
    return "seed" in inspect.signature(qml.plugin_devices[name].load()).parameters


def _amplitudes(x: Tensor, dim: int) -> Tensor:
    """``(S, B, F)`` features to ``(S, B, D)`` normalised amplitudes, in torch, so that gradients pass the norm."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if bool((norm == 0).any()):
        raise ShapeError("A row of x is all zeros, which amplitude encoding cannot normalise; drop such rows.")
    return torch.nn.functional.pad(x / norm, (0, dim - x.shape[-1]))


def _as_tensor(result: Any, batch: torch.Size, widths: list[int | None]) -> Tensor:
    """A QNode's result, to ``(*batch, n_outputs)``; what depends on no feature has no batch.

    Args:
        result: one measurement or a list of them.
        batch: of the features.
        widths: how many outcomes each has probabilities of; None for an expectation value.
    """
    parts = list(result) if isinstance(result, (list, tuple)) else [result]
    columns = []
    for part, width in zip(parts, widths, strict=True):
        values = torch.as_tensor(part, dtype=torch.float64)
        columns.append((values.unsqueeze(-1) if width is None else values).expand(*batch, width or 1))
    return torch.cat(columns, -1)


def _keep_float64(device: Any) -> None:
    """Makes ``device`` return arrays where it returns Python floats.

    PennyLane's torch interface turns a Python float, which lightning returns for an expectation value, into a tensor of
    torch's default dtype: half of the digits would be lost, of gradients too.
    """
    execute, differentiate = device.execute, device.execute_and_compute_derivatives

    def execute_arrays(*args: Any, **kwargs: Any) -> Any:
        return _as_arrays(execute(*args, **kwargs))

    def differentiate_arrays(*args: Any, **kwargs: Any) -> Any:
        results, jacobians = differentiate(*args, **kwargs)
        return _as_arrays(results), jacobians

    device.execute, device.execute_and_compute_derivatives = execute_arrays, differentiate_arrays


def _as_arrays(results: Any) -> Any:
    if isinstance(results, (list, tuple)):
        return type(results)(map(_as_arrays, results))
    return np.asarray(results) if isinstance(results, float) else results


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turns PennyLane's refusals into ours."""
    try:
        yield
    except (DeviceError, QuantumFunctionError) as error:
        raise UnsupportedError(
            f"PennyLane device {what} refuses this circuit: {error} Use another device or diff_method, or engine='torch'."
        ) from error
