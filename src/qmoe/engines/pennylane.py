"""Any PennyLane device as an engine. Importing this module imports PennyLane, which takes seconds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pennylane as qml
import torch
from pennylane.exceptions import DeviceError, QuantumFunctionError
from torch import Tensor

from qmoe.circuits import (
    Angle,
    Born,
    Circuit,
    Dephase,
    Depolarize,
    Expval,
    Hamiltonian,
    Parity,
    Pauli,
    Prepare,
    Probs,
    Readout,
    Readouts,
    Sum,
    Word,
    angle_value,
)
from qmoe.engines.protocol import Engine, too_large
from qmoe.errors import ConfigError, ShapeError, UnsupportedError, unknown
from qmoe.seeding import child
from qmoe.torch_internals import is_wrapped

DIFF_METHODS = ("best", "backprop", "adjoint", "parameter-shift", "finite-diff", "spsa", "hadamard", "device")

# What is known beforehand of devices; all others are asked by trying.
_PURE = ("default.qubit", "reference.qubit")
_BACKPROP = ("default.qubit", "default.mixed")

# default.mixed multiplies by the eigenvalues of these, which PennyLane computes in complex64 for an angle without a batch.
_DIAGONAL = ("RZ", "CRZ", "IsingZZ")


class PennyLaneEngine(Engine):
    """Runs circuits on a PennyLane device by name: ``lightning.qubit``, ``default.mixed``, a plug-in, hardware.

    The angles go to PennyLane in float64, and so do ``default.qubit`` and ``default.mixed`` compute, whatever the dtype of
    ``x``; lightning devices compute in complex64 for float32 input. The result has the dtype and device of ``x``; tensors
    of other torch devices are moved to the CPU and back. Models of a stack run one after another. So do samples, except
    with ``"backprop"``, which takes the batch at once: lightning devices have no batching. `torch.func` transforms are
    refused. Features of an amplitude encoding get gradients from ``"backprop"`` only.

    Args:
        device: name of a device; by default ``"default.qubit"``, and ``"default.mixed"`` for circuits with noise.
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
        device: str | None = None,
        diff_method: str = "best",
        shots: int | None = None,
        seed: int | np.random.SeedSequence | None = None,
        **device_options: Any,
    ) -> None:
        if device is not None and device not in qml.plugin_devices:
            raise unknown("PennyLane device", device, qml.plugin_devices)
        if diff_method not in DIFF_METHODS:
            raise unknown("differentiation method", diff_method, DIFF_METHODS)
        if shots is not None and (not isinstance(shots, int) or isinstance(shots, bool) or shots < 1):
            raise ConfigError(f"shots is {shots!r}, expected an integer of at least 1, or None for exact numbers.")
        if "wires" in device_options:
            raise ConfigError("wires was given as a device option, but the circuit sets the wires; drop it.")
        self.device, self.diff_method, self.shots, self.seed = device, diff_method, shots, seed
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
        if diff == "adjoint" and lightning and _has_probabilities(circuit):
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
            rows = []
            for s in range(len(x)):
                p = None if strength is None else strength[s].cpu().double()
                # A plain number keeps PennyLane from treating the strength as something to differentiate.
                noise = p if p is None or p.requires_grad else float(p)
                samples = [features[s]] if together else list(features[s])
                outputs = [_as_tensor(qnode(sample, angles[s], noise), sample.shape[:-1]) for sample in samples]
                rows.append(outputs[0] if together else torch.stack(outputs))
        return torch.stack(rows).to(x.device, x.dtype)

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
            return "parameter-shift" if _has_probabilities(circuit) else "adjoint"
        return "backprop" if name in _BACKPROP else "best"

    def _qnode(self, circuit: Circuit, dtype: torch.dtype) -> Any:
        key = circuit, dtype
        if key not in self._qnodes:
            if len(self._qnodes) >= 256:
                self._qnodes.clear()
            device = self._device(self._device_name(circuit), circuit, dtype)
            qnode = qml.QNode(_program(circuit), device, interface="torch", diff_method=self._diff_method(circuit))
            self._qnodes[key] = qnode if self.shots is None else qml.set_shots(qnode, shots=self.shots)
        return self._qnodes[key]

    def _device(self, name: str, circuit: Circuit, dtype: torch.dtype) -> Any:
        key = name, circuit.n_qubits, dtype
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
            for known in _known_answers(circuit):
                if (key, known) not in self._trusted:
                    _check_truth(self._devices[key], name, known)
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
        given = {"device": self.device, "diff_method": self.diff_method, "shots": self.shots, "seed": self.seed}
        options = {k: v for k, v in given.items() if v is not None and v != "best"} | self.device_options
        return f"PennyLaneEngine({', '.join(f'{k}={v!r}' for k, v in options.items())})"


def _takes_seed(name: str) -> bool:
    return "seed" in inspect.signature(qml.plugin_devices[name].load()).parameters


def _program(circuit: Circuit) -> Callable[[Tensor, Tensor, Any], Any]:
    """The circuit as a PennyLane quantum function of ``(..., F)`` features, ``(P,)`` weights and the noise strength."""
    wires = range(circuit.n_qubits)

    def program(features: Tensor, weights: Tensor, strength: Any) -> Any:
        def value(angle: Angle, diagonal: bool) -> Tensor:
            # Constants as tensors too: PennyLane's Rot does not mix tensors with plain numbers.
            tensor = angle_value(
                angle,
                feature=lambda index: features[..., index],
                weight=lambda index: weights[index],
                number=lambda constant: weights.new_tensor(constant),
            )
            return tensor.expand(features.shape[:-1]) if diagonal else tensor

        for op in circuit.operations:
            if isinstance(op, Prepare):
                qml.StatePrep(features, wires=wires)
            elif isinstance(op, Depolarize):
                for wire in op.wires:
                    qml.DepolarizingChannel(strength, wires=wire)
            elif isinstance(op, Dephase):
                for wire in op.wires:
                    _DEPHASE[op.axis](wire)
            else:
                angles = [value(angle, diagonal=op.name in _DIAGONAL) for angle in op.angles]
                getattr(qml, op.name)(*angles, wires=op.wires)
        parts = circuit.readout.parts if isinstance(circuit.readout, Readouts) else (circuit.readout,)
        measured = [one for part in parts for one in _measurements(part, circuit.n_qubits)]
        return measured[0] if isinstance(circuit.readout, Born | Probs) else measured

    return program


def _measurements(readout: Readout, n_qubits: int) -> list[Any]:
    if isinstance(readout, Born | Probs):
        return [qml.probs(wires=range(n_qubits) if isinstance(readout, Born) else readout.wires)]
    sums = readout.words(n_qubits)
    assert sums is not None
    return [qml.expval(_observable(terms)) for terms in sums]


def _observable(terms: Sum) -> Any:
    if len(terms) == 1 and terms[0][0] == 1:
        return _product(terms[0][1])
    return qml.Hamiltonian([coefficient for coefficient, _ in terms], [_product(word) for _, word in terms])


def _product(word: Word) -> Any:
    factors = [getattr(qml, f"Pauli{letter}")(wire) for wire, letter in word]
    if not factors:
        return qml.Identity(0)
    return factors[0] if len(factors) == 1 else qml.prod(*factors)


def _has_probabilities(circuit: Circuit) -> bool:
    readout = circuit.readout
    return any(
        isinstance(part, Born | Probs) for part in (readout.parts if isinstance(readout, Readouts) else (readout,))
    )


#: Axis -> the channel. Not PhaseDamping(1): an epsilon that PennyLane adds under a root of 0 makes it wrong by 1e-8.
_DEPHASE: dict[str, Callable[[int], Any]] = {
    "X": lambda wire: qml.BitFlip(0.5, wires=wire),
    "Y": lambda wire: qml.PauliError("Y", 0.5, wires=wire),
    "Z": lambda wire: qml.PhaseFlip(0.5, wires=wire),
}


def _amplitudes(x: Tensor, dim: int) -> Tensor:
    """``(S, B, F)`` features to ``(S, B, D)`` normalised amplitudes, in torch, so that gradients pass the norm."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if bool((norm == 0).any()):
        raise ShapeError("A row of x is all zeros, which amplitude encoding cannot normalise; drop such rows.")
    return torch.nn.functional.pad(x / norm, (0, dim - x.shape[-1]))


def _as_tensor(result: Any, batch: torch.Size) -> Tensor:
    """A QNode's probabilities ``(..., n)``, expectation values ``(...,)`` or a list of both, to ``(..., n_outputs)``."""
    if not isinstance(result, (list, tuple)):
        return torch.as_tensor(result, dtype=torch.float64).expand(*batch, -1)
    parts = [torch.as_tensor(part, dtype=torch.float64) for part in result]
    # What depends on no feature has no batch.
    columns = [part.reshape((*part.shape[:n], -1)) for part in parts for n in [_lead(part, batch)]]
    return torch.cat([column.expand(*batch, -1) for column in columns], -1)


def _lead(part: Tensor, batch: torch.Size) -> int:
    """How many axes of a result are those of the batch."""
    return len(batch) if part.shape[: len(batch)] == batch and part.dim() >= len(batch) else 0


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


class _Known(NamedTuple):
    """A circuit with a known answer: <Z> of a qubit after ``gates``, between bounds wide enough for hardware and shots."""

    after: str
    gates: Callable[[], Any]
    answer: int
    low: float
    high: float


def _noise_after_x() -> None:
    qml.PauliX(0)
    qml.DepolarizingChannel(0.75, wires=0)


def _dephasing_between_hadamards() -> None:
    qml.Hadamard(0)
    _DEPHASE["Z"](0)
    qml.Hadamard(0)


_GATE = _Known("an X gate", lambda: qml.PauliX(0), -1, -1.1, -0.5)
_NOISE = _Known("noise of strength 3/4 after an X gate", _noise_after_x, 0, -0.4, 0.4)
_DEPHASING = {
    "X": _Known("dephasing along X", lambda: _DEPHASE["X"](0), 0, -0.4, 0.4),
    "Y": _Known("dephasing along Y", lambda: _DEPHASE["Y"](0), 0, -0.4, 0.4),
    "Z": _Known("dephasing between two Hadamard gates", _dephasing_between_hadamards, 0, -0.4, 0.4),
}


def _known_answers(circuit: Circuit) -> list[_Known]:
    """What a device must get right to be trusted with ``circuit``."""
    kinds = {type(op) for op in circuit.operations}
    axes = sorted({op.axis for op in circuit.operations if isinstance(op, Dephase)})
    return [_GATE, *[_NOISE] * (Depolarize in kinds), *(_DEPHASING[axis] for axis in axes)]


def _check_truth(device: Any, name: str, known: _Known) -> None:
    """Runs a circuit with a known answer, to catch devices that return placeholders or drop channels."""

    def program() -> Any:
        known.gates()
        return qml.expval(qml.PauliZ(0))

    qnode = qml.QNode(program, device, interface="numpy", diff_method=None)
    try:
        answer = float(qnode())
    except QuantumFunctionError:  # a device without exact numbers
        answer = float(qml.set_shots(qnode, shots=1000)())
    if not known.low <= answer <= known.high:
        raise UnsupportedError(
            f"PennyLane device {name!r} fails a check with a known answer: after {known.after} <Z> is {answer:.4g}, "
            f"expected {known.answer}. Its numbers cannot be trusted; use another device."
        )


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turns PennyLane's refusals into ours."""
    try:
        yield
    except (DeviceError, QuantumFunctionError) as error:
        raise UnsupportedError(
            f"PennyLane device {what} refuses this circuit: {error} Use another device or diff_method, or engine='torch'."
        ) from error
