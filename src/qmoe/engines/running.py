"""What modules with a circuit inside share: parameters, checks, the choice of an engine."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qmoe.circuits import Circuit
from qmoe.engines.memory import in_words, state_bytes
from qmoe.engines.names import Named
from qmoe.engines.protocol import Engine
from qmoe.engines.selection import choose_engine, get_engine
from qmoe.errors import PerformanceWarning
from qmoe.layers import Stackable

#: Qubits beyond which a circuit is announced to be slow, without and with noise: a state of 16 or 8 MiB in float32.
MANY_QUBITS, MANY_NOISY_QUBITS = 20, 10


class CircuitModule(Stackable):
    """A circuit with trainable weights, or a stack of circuits of one shape.

    Args:
        circuit: what to run.
        n_copies: None for one circuit; a number for that many side by side, each with weights of its own.
        engine: an engine, its name, or ``"auto"``.
        generator: source of the initial weights, uniform in [0, 2 pi) as PennyLane's TorchLayer draws them; torch's default
            generator if None.
        device: where the parameters live.
        dtype: float32 or float64.
        frozen: whether the weights stay as drawn; they are parameters all the same, and in ``state_dict``.
    """

    runs_stacked = True
    weights: Tensor
    noise_strength: Tensor | None

    def __init__(
        self,
        circuit: Circuit,
        n_copies: int | None = None,
        engine: str | Engine = "auto",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        _warn_of_size(circuit)
        self.circuit = circuit
        self.n_copies = n_copies
        self._engine = get_engine(engine)
        self._named = Named(self._engine, circuit)
        stack = () if n_copies is None else (n_copies,)
        angles = torch.empty(*stack, *circuit.weight_shape, device=device, dtype=dtype)
        self.weights = nn.Parameter(angles.uniform_(0, 2 * math.pi, generator=generator), requires_grad=not frozen)
        strength = None if circuit.noise is None else self.weights.new_full(stack, circuit.noise.depolarizing)
        # A buffer, so that models which differ in noise alone train in one stack; configuration, so not in state_dict.
        self.register_buffer("noise_strength", strength, persistent=False)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_named"}  # names are those of a process

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._named = Named(self._engine, self.circuit)

    def engine_for(self, device: torch.device) -> tuple[Engine, str]:
        """The engine that runs on ``device``, and why."""
        if self._engine is not None:
            return self._engine, "asked for"
        return choose_engine(self.circuit, device)

    def forward(self, x: Tensor) -> Tensor:
        """Runs ``(*stack, ..., F)`` to ``(*stack, ..., n_outputs)``."""
        if x.dtype != self.weights.dtype and torch.is_autocast_enabled(x.device.type):
            x = x.to(self.weights.dtype)  # a layer before may have lowered it; angles need their digits
        if torch.compiler.is_dynamo_compiling():
            from qmoe.engines.operation import run_circuit

            return run_circuit(self._named.name, x, self.weights, self.noise_strength)
        engine, _ = self.engine_for(x.device)
        return engine.evaluate(self.circuit, x, self.weights, self.noise_strength)

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `forward`, outside of autograd's graph: the read-outs, and a function from their gradient to the weights'."""
        engine, _ = self.engine_for(x.device)
        return engine.vjp(self.circuit, x, self.weights, self.noise_strength)

    def extra_repr(self) -> str:
        """Sizes, and the engine with its reason."""
        c = self.circuit
        engine, why = self.engine_for(self.weights.device)
        noise = "" if c.noise is None else f", noise={c.noise.depolarizing:g} per {c.noise.placement}"
        if c.noise is not None and c.noise.dephasing != "none":
            noise += f", dephasing={c.noise.dephasing}"
        copies = "" if self.n_copies is None else f"{self.n_copies} x "
        return (
            f"{copies}{c.n_qubits} qubits, {c.n_layers} layers, {c.encoding}, {c.ansatz.name}, {c.readout.name}{noise}, "
            f"engine={engine.name} ({why})"
        )


def _warn_of_size(circuit: Circuit) -> None:
    noisy = circuit.noise is not None
    if circuit.n_qubits <= (MANY_NOISY_QUBITS if noisy else MANY_QUBITS):
        return
    size, noise, growth = in_words(state_bytes(circuit, 4)), " with noise" if noisy else "", 4 if noisy else 2
    warnings.warn(
        f"The state of one sample takes {size} in a circuit of {circuit.n_qubits} qubits{noise}, and time and memory grow "
        f"{growth} times with each qubit. There may be fewer qubits than features: a router with n_qubits=4, for example, "
        "projects them.",
        PerformanceWarning,
        stacklevel=4,
    )
