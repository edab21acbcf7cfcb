"""Any circuit as a layer of a torch model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from qmoe.circuits import Circuit
from qmoe.engines import Engine, check_encodable
from qmoe.engines.running import CircuitModule
from qmoe.engines.shots import Gradient
from qmoe.errors import ConfigError, unknown
from qmoe.layers import Device, DType, Rng, parameter

#: Gives a parameter its first values, in place or by returning them.
Initialiser = Callable[[Tensor], Any]
#: How weights are drawn: a name, one function for all, or for each parameter a function, a tensor or a number.
Init = str | Initialiser | Mapping[str, Initialiser | Tensor | float]

#: Names and shapes of parameters, in the order in which the circuit numbers its weights.
Parameters = tuple[tuple[str, tuple[int, ...]], ...]

INITS = ("uniform", "normal", "zeros")


class QuantumLayer(CircuitModule):
    """A circuit with trainable weights as a torch layer: ``(..., F)`` features to ``(..., n_outputs)`` numbers.

    It runs the whole batch at once on the engine that suits the device, pickles, copies, loads, stacks and goes through
    `torch.func`, `torch.compile` and `torch.export`. In place of PennyLane's ``TorchLayer``:
    ``QuantumLayer.from_pennylane(qnode, weight_shapes)``.

    Args:
        circuit: what to run: a `Circuit`, made from a template or from operations.
        init: how the weights are drawn: ``"uniform"`` in [0, 2 pi), as PennyLane's TorchLayer draws them (those of the map
            of `qmoe.circuits.dressed`, which are no angles, within 1 / F of 0); ``"normal"`` with
            mean 0 and a standard deviation of 0.1, near the identity; ``"zeros"``; a function of a tensor, such as
            ``torch.nn.init.ones_``; or for each parameter by its name a function, a tensor or a number.
        parameters: names and shapes of the parameters, in the order in which the circuit numbers its weights; by default
            one, ``weights``, of the shape that the circuit says.
        is_bare: whether the only output of the circuit is given without an axis, ``(...)``, as TorchLayer does.
        engine: an engine, its name, or ``"auto"``.
        shots: samples of each circuit in each basis that is measured, from which read-outs are estimated, in evaluation as
            well as in training; None for exact read-outs. ``layer.shots`` may be set at any time.
        shot_seed: of the random numbers that shots take; by default it follows from the first weights and the seed of
            ``generator``.
        shot_gradient: ``"parameter-shift"``, from samples of shifted circuits, or ``"exact"``, the gradient of exact
            read-outs, as a check.
        frozen: whether the weights stay as drawn.
        generator: source of the initial weights; torch's default generator if None.
        device: where the parameters live.
        dtype: float32 or float64.

    Raises:
        ConfigError: for anything but a circuit, an unknown ``init``, parameters that are not as many numbers as the
            circuit has weights, or several outputs without an axis.

    Example:
        >>> import torch, qmoe
        >>> layer = qmoe.QuantumLayer(qmoe.Circuit(n_qubits=2, n_layers=3))
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 2), layer, torch.nn.Linear(2, 1))
        >>> model(torch.rand(32, 4)).shape
        torch.Size([32, 1])
    """

    runs_stacked = True
    may_differ: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __init__(
        self,
        circuit: Circuit,
        init: Init = "uniform",
        *,
        parameters: Parameters | None = None,
        is_bare: bool = False,
        engine: str | Engine = "auto",
        shots: int | None = None,
        shot_seed: int | None = None,
        shot_gradient: Gradient = "parameter-shift",
        frozen: bool = False,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        if not isinstance(circuit, Circuit):
            raise ConfigError(
                f"QuantumLayer takes a qmoe.Circuit, got a {type(circuit).__name__}; QuantumLayer.from_pennylane, "
                "from_qiskit and from_qasm3 take those of other libraries."
            )
        if is_bare and circuit.n_outputs != 1:
            raise ConfigError(f"is_bare leaves out the axis of one output, and the circuit has {circuit.n_outputs}.")
        make: dict[str, Any] = {"device": device, "dtype": dtype, "frozen": frozen, "draw": False}
        super().__init__(circuit, None, engine, **make)
        self.parameter_shapes: Parameters = _checked(circuit, parameters)
        if self.parameter_shapes != (("weights", circuit.weight_shape),):
            del self.weights
            for name, shape in self.parameter_shapes:
                self.register_parameter(name, parameter(*shape, device=device, dtype=dtype, frozen=frozen))
        self.is_bare = is_bare
        self._begin_shots(shots, shot_seed, shot_gradient)
        self.init: Init | None = _checked_init(init, self.parameter_shapes)
        self.reset_parameters(generator)

    @classmethod
    def from_pennylane(
        cls,
        qnode: Any,
        weight_shapes: Mapping[str, int | tuple[int, ...]] | None = None,
        init_method: Any = None,
        *,
        in_features: int | None = None,
        **options: Any,
    ) -> QuantumLayer:
        """A PennyLane QNode as a layer, with the arguments of ``pennylane.qnn.TorchLayer`` and its names of parameters.

        Args:
            qnode: a QNode with an argument ``inputs``; or a TorchLayer, whose weights are then the first values, with their
                dtype and device. Drawn anew, they are uniform in [0, 2 pi), as a TorchLayer draws its own.
            weight_shapes: the shape of each other argument; left out where a TorchLayer is given.
            init_method: how weights are drawn, as TorchLayer takes it; uniform in [0, 2 pi) if None.
            in_features: the number of inputs; by default found by trying.
            **options: engine, shots, generator, device, dtype and frozen, as of `QuantumLayer`.

        Raises:
            UnsupportedError: for what cannot be imported; see `qmoe.interop.from_pennylane`.
        """
        from qmoe.interop import from_pennylane

        found = from_pennylane(qnode, weight_shapes, init_method, in_features=in_features)
        if isinstance(qnode, nn.Module) and (held := next(qnode.parameters(), None)) is not None:
            options = {"dtype": held.dtype, "device": held.device, **options}
        layer = cls.from_imported(found, **options)
        if isinstance(qnode, nn.Module) and init_method is None and "init" not in options:
            layer.init = "uniform"  # what a layer holds, after training perhaps, is no way of drawing
        return layer

    @classmethod
    def from_qiskit(
        cls,
        circuit: Any,
        *,
        input_params: Any,
        weight_params: Any,
        observables: Any = None,
        interpret: Any = None,
        output_shape: Any = None,
        **options: Any,
    ) -> QuantumLayer:
        """A Qiskit circuit as a layer, with the arguments of qiskit-machine-learning's EstimatorQNN and SamplerQNN.

        Args:
            circuit: a ``QuantumCircuit``.
            input_params: its parameters that are features, in their order.
            weight_params: its parameters that train.
            observables: what is measured; None for the probabilities of all outcomes.
            interpret: a function of outcomes that says which probabilities are added up, as SamplerQNN takes it.
            output_shape: number of its outputs; by default as many as it gives.
            **options: init, engine, shots, generator, device, dtype and frozen, as of `QuantumLayer`.

        Raises:
            UnsupportedError: for what cannot be imported; see `qmoe.interop.from_qiskit`.
        """
        from qmoe.interop import from_qiskit

        found = from_qiskit(
            circuit,
            input_params=input_params,
            weight_params=weight_params,
            observables=observables,
            interpret=interpret,
            output_shape=output_shape,
        )
        return cls.from_imported(found, **options)

    @classmethod
    def from_qasm3(cls, text: str, *, inputs: Any, readout: Any = "expval", **options: Any) -> QuantumLayer:
        """An OpenQASM 3 program as a layer.

        Args:
            text: the program; parameters are its ``input float`` declarations.
            inputs: names of those that are features, in their order; all others train.
            readout: what is measured, as of `Circuit`.
            **options: init, engine, shots, generator, device, dtype and frozen, as of `QuantumLayer`.

        Raises:
            UnsupportedError: for what cannot be imported; see `qmoe.interop.from_qasm3`.
        """
        from qmoe.interop import from_qasm3

        return cls.from_imported(from_qasm3(text, inputs=inputs, readout=readout), **options)

    @classmethod
    def from_imported(cls, imported: Any, **options: Any) -> QuantumLayer:
        """A layer of what `qmoe.interop` imported, with the names of parameters that it had there."""
        if imported.initial is not None:
            options.setdefault("init", imported.initial)
        return cls(imported.circuit, parameters=imported.parameters, is_bare=imported.is_bare, **options)

    def config(self) -> dict[str, Any]:
        """The circuit and how it runs, and names and shapes of the parameters; ``init`` unless it is a function."""
        parts = self.init.values() if isinstance(self.init, Mapping) else (self.init,)
        init = None if any(callable(part) for part in parts) else self.init
        return {**super().config(), "init": init, "parameters": self.parameter_shapes, "is_bare": self.is_bare}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """The layer of what `config` gave; where ``init`` was a function, it has none.

        Raises:
            ConfigError: for options that the constructor refuses.
        """
        options = dict(config)
        if isinstance(options.get("parameters"), list):
            options["parameters"] = tuple((name, tuple(shape)) for name, shape in options["parameters"])
        has_none = options.get("init", "uniform") is None
        layer = super().from_config({**options, "init": "zeros"} if has_none else options, **making)
        if has_none:
            layer.init = None
        return layer

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the parameters, one after another.

        Raises:
            ConfigError: where ``init`` was a function that could not be pickled, and the layer was.
        """
        if self.init is None:
            raise ConfigError(
                "The init of this layer was a function that could not be pickled; set layer.init to a name, a function or "
                "values by name, then draw."
            )
        if self.init == "uniform" and self.parameter_shapes == (("weights", self.circuit.weight_shape),):
            super().reset_parameters(generator)
            return
        for name, _ in self.parameter_shapes:
            _draw(getattr(self, name), self.init[name] if isinstance(self.init, Mapping) else self.init, generator)
        self._set_strength()
        self._reset_stream(generator)

    def flat_weights(self) -> Tensor:
        """All weights, as the circuit numbers them: ``(*stack, *circuit.weight_shape)``."""
        held = [(getattr(self, name), len(shape)) for name, shape in self.parameter_shapes]
        if len(held) == 1 and held[0][0].shape[held[0][0].dim() - held[0][1] :] == self.circuit.weight_shape:
            return held[0][0]
        flat = [value.reshape(*value.shape[: value.dim() - n_axes], -1) for value, n_axes in held]
        return torch.cat(flat, -1).unflatten(-1, self.circuit.weight_shape)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., n_outputs)``; to ``(...)`` where it is bare.

        Raises:
            ShapeError: for features of another number, dtype or device, or values that cannot be encoded.
        """
        x = self.take(x)
        if self.checks_input:
            c = self.circuit
            check_encodable(x, c.in_features, c.encoding, self, c.prepares)
        out = super().forward(x)
        return out.squeeze(-1) if self.is_bare else out

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {**state, "init": state["init"] if _pickles(state["init"]) else None}


def _checked(circuit: Circuit, parameters: Parameters | None) -> Parameters:
    if parameters is None or (isinstance(parameters, tuple) and not parameters and not circuit.n_weights):
        return (("weights", circuit.weight_shape),)  # empty where nothing trains: it says the layer's dtype and device
    try:
        shapes = tuple((name, tuple(shape)) for name, shape in parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"parameters is {parameters!r}, expected the name and shape of each, such as (('scale', (2,)), ('angle', (3,)))."
        ) from error
    for name, shape in shapes:
        if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape):
            raise ConfigError(f"Parameter {name!r} has the shape {shape!r}, expected integers of at least 0.")
    total = sum(math.prod(shape) for _, shape in shapes)
    names = [name for name, _ in shapes]
    if total != circuit.n_weights or len(set(names)) != len(names):
        raise ConfigError(
            f"parameters {dict(shapes)} hold {total} number(s), and the circuit has {circuit.n_weights} weight(s); name "
            "each parameter once, and all of them."
        )
    # What a module and a circuit in one hold before any parameter.
    taken = {
        *dir(QuantumLayer),
        *vars(nn.Module()),
        "circuit",
        "init",
        "noise_strength",
        "n_copies",
        "parameter_shapes",
        "is_bare",
    }
    taken |= {"_engine", "_named", "shot_stream"}
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or (name != "weights" and name in taken):
            raise ConfigError(f"A parameter cannot be called {name!r}, which is something else of a layer; rename it.")
    return shapes


def _checked_init(init: Init, shapes: Parameters) -> Init:
    if isinstance(init, str):
        if init not in INITS:
            raise unknown("init", init, INITS)
        return init
    if isinstance(init, Mapping):
        known = dict(shapes)
        for name in init:
            if name not in known:
                raise unknown("parameter in init", name, known)
        missing = sorted(set(known) - set(init))
        if missing:
            raise ConfigError(f"init says nothing of {', '.join(missing)}; give each parameter a function or a value.")
        for name, value in init.items():
            if value is None or (isinstance(value, str) and value not in INITS):
                raise ConfigError(
                    f"init[{name!r}] is {value!r}, expected {', '.join(INITS)}, a function, a tensor or a number."
                )
        return dict(init)
    if not callable(init):
        raise ConfigError(
            f"init is {init!r}, expected one of {', '.join(INITS)}, a function, or a dict of these by name."
        )
    return init


def _draw(value: nn.Parameter, init: Any, generator: Rng) -> None:
    if isinstance(init, str):
        if init == "uniform":
            nn.init.uniform_(value, 0, 2 * math.pi, generator=generator)
        elif init == "normal":
            nn.init.normal_(value, 0.0, 0.1, generator=generator)
        else:
            nn.init.zeros_(value)
        return
    with torch.no_grad():
        made = init(value) if callable(init) else init
        if made is None or made is value:
            return  # in place
        try:
            given = torch.as_tensor(made, dtype=value.dtype, device=value.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"init gives {made!r}, expected a tensor of shape {tuple(value.shape)} or a number."
            ) from error
        if not given.is_meta and not bool(given.isfinite().all()):
            raise ConfigError("init gives values that are not finite, expected finite numbers of radians.")
        if given.dim() and given.shape != value.shape:
            raise ConfigError(f"init gives values of shape {tuple(given.shape)}, expected {tuple(value.shape)}.")
        value.copy_(given.expand(value.shape))


def _pickles(init: Init | None) -> bool:
    """Whether it can be named from another process; a function that was written inside another cannot."""
    parts = init.values() if isinstance(init, Mapping) else (init,)
    return not any(callable(part) and "<" in getattr(part, "__qualname__", "<") for part in parts)
