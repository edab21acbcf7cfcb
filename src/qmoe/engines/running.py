"""What modules with a circuit inside share: parameters, checks, the choice of an engine."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine
from qmoe.engines.selection import choose_engine, get_engine
from qmoe.layers import Stackable


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
        self.circuit = circuit
        self.n_copies = n_copies
        self._engine = get_engine(engine)
        stack = () if n_copies is None else (n_copies,)
        angles = torch.empty(*stack, *circuit.weight_shape, device=device, dtype=dtype)
        self.weights = nn.Parameter(angles.uniform_(0, 2 * math.pi, generator=generator), requires_grad=not frozen)
        strength = None if circuit.noise is None else self.weights.new_full(stack, circuit.noise.depolarizing)
        # A buffer, so that models which differ in noise alone train in one stack; configuration, so not in state_dict.
        self.register_buffer("noise_strength", strength, persistent=False)

    def engine_for(self, device: torch.device) -> tuple[Engine, str]:
        """The engine that runs on ``device``, and why."""
        if self._engine is not None:
            return self._engine, "asked for"
        return choose_engine(self.circuit, device)

    def forward(self, x: Tensor) -> Tensor:
        """Runs ``(*stack, ..., F)`` to ``(*stack, ..., n_outputs)``."""
        if torch.compiler.is_dynamo_compiling():
            from qmoe.engines import outside

            return outside.run(self, x)
        if x.dtype != self.weights.dtype and torch.is_autocast_enabled(x.device.type):
            x = x.to(self.weights.dtype)  # a layer before may have lowered it; angles need their digits
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
