"""The native engine: compiled kernels for the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.batched import TorchEngine
from qmoe.engines.calling import CompiledCircuit
from qmoe.engines.native.autograd import Evaluate, Step
from qmoe.engines.native.run.prepared_circuits import prepare
from qmoe.engines.protocol import Axes, Engine, too_large
from qmoe.engines.tracing import traced
from qmoe.torch_internals import differentiates_forwards, is_in_dual_level, is_transformed

_TORCH = TorchEngine()

#: Beyond this a Pauli vector leaves the caches, and its tables take longer to make than to use.
MAX_NOISY_QUBITS = 7


class NativeEngine(Engine):
    """State vectors in compiled code, 16 samples to a vector register (8 in float64), gradients by the adjoint method.

    Memory for gradients is two states, however deep the circuit. Noise is exact, on the Pauli coefficients of the density
    matrix, up to 7 qubits. Forward-mode and second derivatives are those of the torch engine. Kernels are compiled once for
    a machine and precision, which takes some seconds, and kept on disk.

    Example:
        >>> from qmoe.engines import NativeEngine
        >>> circuit = qmoe.Circuit(2, 1)
        >>> NativeEngine().evaluate(circuit, torch.zeros(5, 2), torch.zeros(circuit.weight_shape)).shape
        torch.Size([5, 2])
    """

    name: ClassVar[str] = "native"
    takes_factors: ClassVar[bool] = True

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Takes CPU tensors with concrete values (not while torch traces), and noise up to 7 qubits."""
        if traced():
            return "torch records operations instead of running them; use engine='torch'."
        if device.type != "cpu":
            return f"its kernels run on the CPU and the tensors are on {device.type}; use engine='torch'."
        if circuit.noise is not None and circuit.n_qubits > MAX_NOISY_QUBITS:
            return (
                f"with noise it takes up to {MAX_NOISY_QUBITS} qubits, got {circuit.n_qubits}; use engine='torch' or "
                "'pennylane', or 'trajectories', which has an error bar."
            )
        return too_large(circuit)

    def vjp(
        self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Runs the kernels and nothing else."""
        self.check_supported(circuit, x)
        if x.numel() == 0 or self.rewriting(circuit) is not None:
            return super().vjp(circuit, x, weights, noise_strength)
        stack = weights.shape[: weights.dim() - len(circuit.weight_shape)]
        strength = None if noise_strength is None else noise_strength.detach()
        if strength is None and circuit.noise is not None:
            strength = x.new_full(stack, circuit.noise.depolarizing)
        ready = prepare(circuit, stack, x.shape[len(stack) : -1], x.element_size())
        inputs = ready.inputs(x.detach(), weights.detach(), strength)
        out, kept = ready.run(inputs, True)
        return out, lambda given: ready.differentiate(inputs, kept, given, False)[1]

    def compiled(self, circuit: Circuit, n_batch: int, itemsize: int) -> CompiledCircuit | None:
        """The kernels of small states."""
        if type(self) is not NativeEngine:  # a subclass may compute something else
            return None
        if self.rewriting(circuit) is not None or self.reason_against(circuit, torch.device("cpu")) is not None:
            return None
        return prepare(circuit, torch.Size(), torch.Size((n_batch,)), itemsize).compiled()

    def _shaped(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None, axes: Axes) -> Tensor:
        if is_transformed() or is_in_dual_level():
            return super()._shaped(circuit, x, weights, strength, axes)
        ready = prepare(circuit, axes.stack, axes.batch, x.element_size())
        keep = ready.keeps and _differentiates(x, weights, strength)
        return Step.apply(ready, x, weights, strength, keep)

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        if differentiates_forwards():
            # The same function written out in torch operations, which know their derivatives in that direction.
            _TORCH.check_supported(circuit, x)
            return _TORCH.run_flat(circuit, x, weights, strength)
        return Evaluate.apply(circuit, x, weights, strength)


def _differentiates(x: Tensor, weights: Tensor, strength: Tensor | None) -> bool:
    wants = weights.requires_grad or x.requires_grad or (strength is not None and strength.requires_grad)
    return wants and torch.is_grad_enabled()
