"""What modules with a circuit inside share: parameters, checks, the choice of an engine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from qmoe.circuits import Circuit, NoiseModel
from qmoe.engines.engine_names import Named
from qmoe.engines.memory import in_words, machine_bytes, state_bytes
from qmoe.engines.protocol import Engine
from qmoe.engines.selection import choose_engine, get_engine, name_of
from qmoe.engines.shots.shot_module import ShotModule
from qmoe.engines.shots.shot_sampling import Gradient
from qmoe.errors import ConfigError, PerformanceWarning, UnsupportedError, warn_caller
from qmoe.layers import Device, DType, Rng, parameter

#: Qubits beyond which a circuit is announced to be slow, without and with noise: a state of 16 or 8 MiB in float32.
MANY_QUBITS, MANY_NOISY_QUBITS = 20, 10


class CircuitModule(ShotModule):
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
        draw: whether to draw the weights; a module around this one that draws its own numbers first calls
            `reset_parameters` itself.
        shots: samples of each circuit in each basis that is measured, from which read-outs are estimated, in evaluation as
            well as in training; None for exact read-outs. It may be set at any time.
        shot_seed: of the random numbers that shots take; by default it follows from the first weights.
        shot_gradient: ``"parameter-shift"``, from samples of shifted circuits, or ``"exact"``, as a check.
    """

    runs_stacked = True
    may_differ: ClassVar[frozenset[str]] = frozenset({"noise"})
    weights: Tensor
    noise_strength: Tensor | None

    def __init__(
        self,
        circuit: Circuit,
        n_copies: int | None = None,
        engine: str | Engine = "auto",
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
        frozen: bool = False,
        draw: bool = True,
        shots: int | None = None,
        shot_seed: int | None = None,
        shot_gradient: Gradient = "parameter-shift",
    ) -> None:
        super().__init__()
        _check_weights(circuit, n_copies)
        self._engine = get_engine(engine)
        _warn_of_size(circuit, self._engine)
        self.circuit = circuit
        self.n_copies = n_copies
        self._named = Named(self._engine, circuit)
        stack = () if n_copies is None else (n_copies,)
        self.weights = parameter(*stack, *circuit.weight_shape, device=device, dtype=dtype, frozen=frozen)
        if circuit.noise is None:
            self.noise_strength = None  # not a buffer that is None: torch.export counts those
        else:
            # A buffer, so that models which differ in noise alone train in one stack; configuration, so not in state_dict.
            self.register_buffer("noise_strength", self.weights.new_empty(stack), persistent=False)
        self._begin_shots(shots, shot_seed, shot_gradient)
        if draw:
            self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the weights, and gives the noise the strength that the circuit says."""
        _draw_weights(self.weights, self.circuit, generator)
        self._set_strength()
        self._reset_stream(generator)

    def _set_strength(self) -> None:
        if self.noise_strength is not None and self.circuit.noise is not None:
            nn.init.constant_(self.noise_strength, self.circuit.noise.depolarizing)

    def change_circuit(self, circuit: Circuit, engine: str | Engine | None = None) -> None:
        """Runs another circuit from now on, with the same weights.

        Args:
            circuit: the other one.
            engine: an engine, its name, or ``"auto"``; the same as before if None.

        Raises:
            ConfigError: for one with weights of another shape, another number of features or of outputs.
        """
        before = self.circuit
        for part in ("weight_shape", "in_features", "n_outputs"):
            if getattr(circuit, part) != getattr(before, part):
                raise ConfigError(
                    f"The circuit has {part} {getattr(circuit, part)}, and the module {getattr(before, part)}; what it "
                    "computes would mean something else."
                )
        if engine is not None:
            self._engine = get_engine(engine)
        _warn_of_size(circuit, self._engine)
        self.circuit = circuit
        self._named = Named(self._engine, circuit)
        if circuit.noise is None:
            self._buffers.pop("noise_strength", None)
            self.noise_strength = None
            return
        if self.noise_strength is None:
            vars(self).pop("noise_strength", None)
            stack = () if self.n_copies is None else (self.n_copies,)
            self.register_buffer("noise_strength", self._first().new_empty(stack), persistent=False)
        self._set_strength()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        had_no_memory = self.noise_strength is not None and self.noise_strength.is_meta
        super()._apply(fn, recurse)
        if had_no_memory:
            # `to_empty` gave it some, which holds anything; a state_dict, which may follow, does not set it.
            self._set_strength()
        return self

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        strength = self.noise_strength
        first = self._first()
        if strength is not None and (strength.device, strength.dtype) != (first.device, first.dtype):
            # Loaded with assign=True: new weights took the place of those that the module was built with.
            self.noise_strength = torch.empty_like(strength, device=first.device, dtype=first.dtype)
            if strength.is_meta:
                self._set_strength()
            else:
                self.noise_strength.copy_(strength)

    def config(self) -> dict[str, Any]:
        """The circuit, the name of its engine, and its shots."""
        options = {"circuit": self.circuit, "engine": name_of(self._engine)}
        return {**options, **self.shot_options()}

    def described(self) -> dict[str, str]:
        """What the circuit computes with the weights."""
        c = self.circuit
        parts: dict[str, object] = {"readout": c.readout, "noise": c.noise}
        if c.body is None:
            parts |= {"encoding": c.encoding, "ansatz": c.ansatz}
        else:
            parts["operations"] = hashlib.sha256(repr(c.body).encode()).hexdigest()[:12]
        # Of a class without a text of its own, the name.
        return {
            name: type(part).__name__ if type(part).__repr__ is object.__repr__ else repr(part)
            for name, part in parts.items()
        }

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

    def run_on(self, engine: str | Engine) -> None:
        """Runs on another engine from now on.

        Args:
            engine: an engine, its name, or ``"auto"``.
        """
        self._engine = get_engine(engine)
        self._named = Named(self._engine, self.circuit)

    def set_noise(self, noise: float | NoiseModel | None) -> None:
        """Gives the circuit other noise in place of all that it has; the weights stay."""
        self.change_circuit(self.circuit.with_noise(noise))

    def _first(self) -> Tensor:
        """A parameter, whose dtype and device are those of all."""
        return next(self.parameters(recurse=False))

    def flat_weights(self) -> Tensor:
        """All weights, as the circuit numbers them: ``(*stack, *circuit.weight_shape)``."""
        return self.weights

    def forward(self, x: Tensor) -> Tensor:
        """Runs ``(*stack, ..., F)`` to ``(*stack, ..., n_outputs)``."""
        x = self.take(x)
        if self.shots is not None:
            return self._estimated(x)
        if torch.compiler.is_dynamo_compiling():
            from qmoe.engines.operation import run_circuit

            return run_circuit(self._named.name, x, self.flat_weights(), self.noise_strength)
        engine, _ = self.engine_for(x.device)
        return engine.evaluate(self.circuit, x, self.flat_weights(), self.noise_strength)

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """As `forward`, outside of autograd's graph: the read-outs, and a function from their gradient to the weights'."""
        if self.shots is not None:
            return self._estimated_vjp(x)
        engine, _ = self.engine_for(x.device)
        return engine.vjp(self.circuit, x, self.flat_weights(), self.noise_strength)

    def extra_repr(self) -> str:
        """Sizes, and the engine; why it is this one, `engine_for` says."""
        c = self.circuit
        engine, _ = self.engine_for(self._first().device)
        noise = "" if c.noise is None else f", noise={c.noise.depolarizing:g} per {c.noise.placement}"
        if c.noise is not None and c.noise.device is not None:
            noise = f", noise of {c.noise.device.name}"
        if c.noise is not None and c.noise.dephasing != "none":
            axis = "" if c.noise.dephasing_axis == "Z" else f" along {c.noise.dephasing_axis}"
            noise += f", dephasing={c.noise.dephasing}{axis}"
        copies = "" if self.n_copies is None else f"{self.n_copies} x "
        shots = "" if self.shots is None else f", {self.shots} shots"
        made = f"{len(c.operations)} operations"
        if c.ansatz is not None:
            made = f"{c.n_layers} layers, {c.encoding}, {c.ansatz.name}"
        return f"{copies}{c.n_qubits} qubits, {made}, {c.readout.name}{noise}{shots}, engine={engine.name}"


class HasShots:
    """A part with a circuit inside, ``quantum``, whose shots are those of the circuit."""

    quantum: CircuitModule

    @property
    def shots(self) -> int | None:
        """Samples of each circuit in each basis; None for exact read-outs. Set it to go from one to the other."""
        return self.quantum.shots

    @shots.setter
    def shots(self, shots: int | None) -> None:
        self.quantum.shots = shots

    def restart_shots(self, seed: int) -> None:
        """Begins the random numbers of the shots anew, with a seed: the same calls then give the same numbers.

        Raises:
            UnsupportedError: for a stack of models, or where there never were shots.
        """
        self.quantum.restart_shots(seed)


def _draw_weights(value: Tensor, circuit: Circuit, generator: Rng) -> None:
    """First weights ``(..., *weight_shape)``: angles from a full turn, factors of features within 1 / F of 0."""
    nn.init.uniform_(value, 0, 2 * math.pi, generator=generator)
    function = None if circuit.body is None else circuit.body.function
    if function is not None and function.n_factors:
        with torch.no_grad():
            flat = value.view(*value.shape[: value.dim() - len(circuit.weight_shape)], -1)
            flat[..., : function.n_factors].div_(math.pi).sub_(1).div_(circuit.in_features)


def _check_weights(circuit: Circuit, n_copies: int | None) -> None:
    """Refuses weights that the machine cannot hold: a slip in a number, of which there is one for each up to the highest."""
    there, needed = machine_bytes(), 4 * circuit.n_weights * (n_copies or 1)
    if there is not None and needed > there:
        raise UnsupportedError(
            f"The circuit has {circuit.n_weights} weights, which take {in_words(needed)}, and there are {in_words(there)}; "
            "number weights from 0 without gaps."
        )


def _warn_of_size(circuit: Circuit, engine: Engine | None) -> None:
    if circuit.noise is not None and engine is not None and not engine.holds_mixed_states:
        circuit = circuit.with_noise(None)
    noisy = circuit.noise is not None
    if circuit.n_qubits <= (MANY_NOISY_QUBITS if noisy else MANY_QUBITS):
        return
    size, noise, growth = in_words(state_bytes(circuit, 4)), " with noise" if noisy else "", 4 if noisy else 2
    pure = " Or engine='trajectories' runs pure states, and has an error bar." if noisy else ""
    warn_caller(
        f"The state of one sample takes {size} in a circuit of {circuit.n_qubits} qubits{noise}, and time and memory grow "
        f"{growth} times with each qubit. There may be fewer qubits than features: a router with n_qubits=4, for example, "
        f"projects them.{pure}",
        PerformanceWarning,
    )
