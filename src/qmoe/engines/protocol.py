"""The contract of an engine: a circuit, angles in, read-outs out, differentiable."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from qmoe.circuits import Born, Circuit, Expval, Readout, Readouts
from qmoe.engines.calling import CompiledCircuit
from qmoe.engines.memory import too_much
from qmoe.engines.rewriting import Abilities, Rewriting, is_linear, rewriting_for
from qmoe.engines.tracing import traced
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.layers import check_same, in_autocast
from qmoe.torch_internals import is_wrapped

#: A state of 2**32 amplitudes fills 32 GiB in float32.
MAX_STATE_BITS = 32


class Axes(NamedTuple):
    """The axes of inputs before their last: one model after another, and one sample after another."""

    stack: torch.Size
    batch: torch.Size


class Fitted(NamedTuple):
    """How an engine runs a circuit on inputs.

    Attributes:
        axes: of the inputs.
        reason: why it cannot; None where it can.
        rewriting: what it runs instead; None for the circuit itself.
    """

    axes: Axes
    reason: str | None
    rewriting: Rewriting | None


class Engine(ABC):
    """Executes circuits. Engines hold no trainable state, so one instance serves any number of models.

    A subclass implements `_evaluate` on the canonical shapes and may narrow `why_not`, whose answers are kept.

    A circuit beyond what it declares here is run by way of others (`qmoe.engines.rewriting`): of an engine with the
    defaults are asked angles that are a feature, a weight or a number, and the two read-outs.

    Attributes:
        name: in messages and tables.
        readouts: the classes of read-outs that it computes; not their subclasses, which may declare something else.
        takes_expressions: whether it computes angles that are expressions.
        takes_factors: whether it computes those that are a feature or weight times a number plus a number.
        couples_features: whether it runs gates on two wires that turn by a feature, and gates that turn by features and
            weights.
        holds_mixed_states: whether noise makes its states density matrices, of ``4**Q`` numbers.

    Example:
        >>> from qmoe.engines import Engine, get_engine
        >>> all(isinstance(get_engine(name), Engine) for name in ("reference", "native", "torch"))
        True
    """

    name: ClassVar[str]
    readouts: ClassVar[tuple[type[Readout], ...]] = (Expval, Born)
    takes_expressions: ClassVar[bool] = False
    takes_factors: ClassVar[bool] = False
    couples_features: ClassVar[bool] = True
    holds_mixed_states: ClassVar[bool] = True

    def evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None) -> Tensor:
        """Runs ``circuit`` on every sample, for every model of a stack.

        Axes: ``...S`` any number of stack axes (none for a single model), ``...B`` any number of batch axes, F features.

        Args:
            circuit: what to run.
            x: ``(...S, ...B, F)`` features; angles in radians for angle encodings. Float32 or float64.
            weights: ``(...S, *circuit.weight_shape)``, with the dtype and device of ``x``.
            noise_strength: ``(...S)`` depolarizing probability of each model, in place of ``circuit.noise.depolarizing``,
                with the dtype and device of ``x``; lets models with different noise train side by side. Only for
                circuits with noise.

        Returns:
            ``(...S, ...B, circuit.n_outputs)``: expectation values or probabilities, with the dtype and device of ``x``.

        Raises:
            ShapeError: when shapes, dtypes or devices do not fit.
            ConfigError: for a noise strength outside [0, 1], or given to a circuit without noise.
            UnsupportedError: when the engine cannot run this circuit.
        """
        if torch.compiler.is_dynamo_compiling():
            from qmoe.engines.uncompiled import run_uncompiled

            return run_uncompiled(self.evaluate, circuit, x, weights, noise_strength)
        axes, reason, rewriting = fitting(self, circuit, x, weights)
        if noise_strength is not None:
            _check_strength(circuit, x, noise_strength, axes.stack)
        if reason is not None:
            raise self._unsupported(reason)
        if not traced() and x.numel() == 0:
            # Nothing to run; kept in the graph so that backward works on an empty batch too.
            nothing = weights.sum() + x.sum()
            if noise_strength is not None:
                nothing = nothing + noise_strength.sum()
            return x.new_zeros((*axes.stack, *axes.batch, circuit.n_outputs)) + 0 * nothing
        if circuit.noise is None:
            strength = None
        elif noise_strength is None:
            strength = x.new_full(axes.stack, circuit.noise.depolarizing)
        else:
            strength = noise_strength
        if rewriting is not None:
            out = self._rewritten(rewriting, x, weights, strength, axes)
        else:
            out = self._shaped(circuit, x, weights, strength, axes)
        return out if out.requires_grad else _connected(out, x, weights)

    def vjp(
        self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Runs as `evaluate` does, outside of autograd's graph, which costs as much as a small circuit; for training loops.

        An engine with gradients of its own may replace this. It need not check its arguments, which are those of `evaluate`.

        Returns:
            The read-outs, and a function from their gradient to that of the weights, to be called at most once.
        """
        with torch.enable_grad():
            leaf = weights.detach().requires_grad_()
            out = self.evaluate(circuit, x.detach(), leaf, noise_strength)
        return out.detach(), lambda given: torch.autograd.grad(out, leaf, given, materialize_grads=True)[0]

    def compiled(self, circuit: Circuit, n_batch: int, itemsize: int) -> CompiledCircuit | None:
        """Machine code for ``n_batch`` samples of floats of ``itemsize`` bytes, for other machine code to call.

        None where there is none.
        """
        del circuit, n_batch, itemsize
        return None

    def _shaped(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None, axes: Axes) -> Tensor:
        """Runs checked inputs of any stack and batch shape, by way of `_evaluate`."""
        n_stack, n_batch = math.prod(axes.stack), math.prod(axes.batch)  # by hand: sizes may be symbols
        flat_x = x.reshape(n_stack, n_batch, x.shape[-1])
        flat_weights = weights.reshape(n_stack, circuit.n_weights)
        flat_strength = None if strength is None else strength.reshape(n_stack)
        if in_autocast(x.device):
            # Angles and amplitudes need their digits, whatever the layers around a circuit do with.
            with torch.autocast(x.device.type, enabled=False):
                out = self._evaluate(circuit, flat_x, flat_weights, flat_strength)
        else:
            out = self._evaluate(circuit, flat_x, flat_weights, flat_strength)
        if out.shape != (n_stack, n_batch, circuit.n_outputs) or out.dtype != x.dtype:
            raise UnsupportedError(
                f"Engine {self.name!r} returned {out.dtype} of shape {tuple(out.shape)} for the read-out "
                f"{circuit.readout.name!r}, which declares {circuit.n_outputs} output(s): expected {x.dtype} of shape "
                f"{(n_stack, n_batch, circuit.n_outputs)} = (S, B, n_outputs)."
            )
        return out.reshape(*axes.stack, *axes.batch, circuit.n_outputs)

    def _rewritten(
        self, rewriting: Rewriting, x: Tensor, weights: Tensor, strength: Tensor | None, axes: Axes
    ) -> Tensor:
        """Runs checked inputs by way of other circuits."""
        n_stack, n_batch = math.prod(axes.stack), math.prod(axes.batch)
        flat = Axes(torch.Size((n_stack,)), torch.Size((n_batch,)))
        flat_strength = None if strength is None else strength.reshape(n_stack)

        def evaluate(circuit: Circuit, features: Tensor, angles: Tensor) -> Tensor:
            return self._shaped(circuit, features, angles, flat_strength, flat)

        flat_x = x.reshape(n_stack, n_batch, x.shape[-1])
        out = rewriting.run(evaluate, flat_x, weights.reshape(n_stack, rewriting.circuit.n_weights))
        return out.reshape(*axes.stack, *axes.batch, rewriting.circuit.n_outputs)

    def run_flat(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        """`evaluate` of ``(S, B, F)`` features and ``(S, P)`` weights, checked already, for another engine."""
        rewriting = self.rewriting(circuit)
        if rewriting is None:
            return self._evaluate(circuit, x, weights, strength)
        return rewriting.run(lambda run, features, angles: self._evaluate(run, features, angles, strength), x, weights)

    def rewriting(self, circuit: Circuit) -> Rewriting | None:
        """What it runs in place of a circuit that it does not run as it is."""
        return rewriting_for(circuit, self._abilities())

    @classmethod
    @functools.cache
    def _abilities(cls) -> Abilities:
        return Abilities(cls.readouts, cls.takes_expressions, cls.takes_factors, cls.couples_features)

    @abstractmethod
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        """Runs ``x`` ``(S, B, F)`` with ``weights`` ``(S, P)`` and ``strength`` ``(S,)`` to ``(S, B, n_outputs)``."""

    def check_supported(self, circuit: Circuit, x: Tensor) -> None:
        """Raises `UnsupportedError` where this engine cannot run ``circuit`` on tensors like ``x``."""
        reason = self.reason_against(circuit, x.device)
        if reason is not None:
            raise self._unsupported(reason)

    def reason_against(self, circuit: Circuit, device: torch.device) -> str | None:
        """Says in one sentence why it cannot run ``circuit`` on ``device``, its read-out included; None where it can."""
        parts = circuit.readout.parts if isinstance(circuit.readout, Readouts) else ()
        for part in parts:
            if not is_linear(part):
                return (
                    f"its read-out is a list with a {type(part).__name__}, which no engine computes within one; measure it "
                    "by itself, on an engine that lists it in `readouts`."
                )
        rewriting = self.rewriting(circuit)
        for run in (circuit,) if rewriting is None else rewriting.runs:
            if type(run.readout) not in self.readouts:
                names = " or ".join(kind.__name__ for kind in self.readouts)
                return (
                    f"it computes {names} and nothing else, got the read-out {type(run.readout).__name__}; measure with "
                    "'expval' or 'born' and compute yours from that, or use an engine that lists it in `readouts`."
                )
            if (reason := self.why_not(run, device)) is not None:
                return reason
        return None

    def _unsupported(self, reason: str) -> UnsupportedError:
        return UnsupportedError(f"Engine {self.name!r} cannot run this circuit: {reason}")

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Says in one sentence why this engine cannot run ``circuit`` on ``device``; None where it can."""
        del circuit, device
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _connected(out: Tensor, *inputs: Tensor) -> Tensor:
    """Read-outs that depend on nothing, as a function of the inputs that asked for gradients, which are then zeros."""
    asked = [tensor for tensor in inputs if tensor.requires_grad] if torch.is_grad_enabled() else []
    return functools.reduce(torch.add, [tensor.flatten()[:0].sum() for tensor in asked], out)


def too_large(circuit: Circuit, device: torch.device | None = None) -> str | None:
    """Why no engine that holds whole states, on the CPU if ``device`` is None, can run ``circuit``; None where one can."""
    size = circuit.n_qubits if circuit.noise is None else 2 * circuit.n_qubits
    if size <= MAX_STATE_BITS:
        # Two: what runs forward, and what runs backward beside it.
        return too_much(circuit, 4, 2, circuit.n_outputs, device)
    kind, pure = "a state", ""
    if circuit.noise is not None:
        kind, pure = "a density matrix", ", or engine='trajectories', which takes pure states and has an error bar"
    return f"{circuit.n_qubits} qubits make {kind} of 2**{size} numbers for each sample; use fewer qubits{pure}."


def fitting(engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor) -> Fitted:
    """How the engine runs the circuit on inputs.

    Raises:
        ShapeError: when shapes, dtypes or devices do not fit.
    """
    look: Callable[..., Fitted] = _fit
    if traced():
        look = _fit.__wrapped__  # shapes may be symbols there
    return look(engine, circuit, x.shape, weights.shape, x.dtype, weights.dtype, x.device, weights.device)


@functools.lru_cache(maxsize=1024)
def _fit(
    engine: Engine,
    circuit: Circuit,
    x_shape: torch.Size,
    weights_shape: torch.Size,
    x_dtype: torch.dtype,
    weights_dtype: torch.dtype,
    x_device: torch.device,
    weights_device: torch.device,
) -> Fitted:
    """How the engine runs this; raises where shapes, dtypes or devices do not fit.

    Looked into once, since that costs as much as a small circuit.
    """
    shape = circuit.weight_shape
    n_stack_axes = len(weights_shape) - len(shape)
    if n_stack_axes < 0 or tuple(weights_shape[n_stack_axes:]) != shape:
        raise ShapeError(f"weights have shape {tuple(weights_shape)}, expected (..., {', '.join(map(str, shape))}).")
    stack = weights_shape[:n_stack_axes]
    if len(x_shape) < n_stack_axes + 1 or x_shape[:n_stack_axes] != stack:
        raise ShapeError(
            f"x has shape {tuple(x_shape)}, expected the stack axes {tuple(stack)} of the weights first, then the batch "
            f"axes, then {circuit.in_features} feature(s); expand x over the stack."
        )
    _check_features(x_shape, x_dtype, circuit.in_features)
    check_same(x_dtype, x_device, weights_dtype, weights_device)
    axes = Axes(stack, x_shape[n_stack_axes:-1])
    return Fitted(axes, engine.reason_against(circuit, x_device), engine.rewriting(circuit))


def _check_strength(circuit: Circuit, x: Tensor, noise_strength: Tensor, stack: torch.Size) -> None:
    if circuit.noise is None:
        raise ConfigError("noise_strength was given, but the circuit has no noise; build it with noise=NoiseModel().")
    if noise_strength.shape != stack:
        raise ShapeError(
            f"noise_strength has shape {tuple(noise_strength.shape)}, expected the stack shape {tuple(stack)}."
        )
    if noise_strength.dtype != x.dtype or noise_strength.device != x.device:
        raise ShapeError(
            f"x is {x.dtype} on {x.device}, noise_strength is {noise_strength.dtype} on {noise_strength.device}; "
            "move or cast one of them (nothing is converted silently)."
        )
    _check_probabilities(noise_strength)


def _check_probabilities(strength: Tensor) -> None:
    if traced() or strength.is_meta or is_wrapped(strength):
        return  # values cannot be looked at there
    inside = (strength >= 0) & (strength <= 1)  # False for NaN
    if not bool(inside.all()):
        bad = float(strength.detach()[~inside].flatten()[0])
        raise ConfigError(f"noise_strength holds {bad}, expected probabilities from 0 to 1 (0.75 mixes fully).")


def check_features(x: Tensor, in_features: int) -> None:
    """Raises `ShapeError` unless ``x`` is a float tensor with ``in_features`` in its last axis."""
    if not isinstance(x, Tensor):
        raise ShapeError(f"x is a {type(x).__name__}, expected a torch.Tensor; call torch.as_tensor(x) first.")
    _check_features(x.shape, x.dtype, in_features)


def _check_features(shape: torch.Size, dtype: torch.dtype, in_features: int) -> None:
    if dtype not in (torch.float32, torch.float64):
        remedy = "call x.float() or x.double()"
        if dtype in (torch.float16, torch.bfloat16):
            remedy = "angles need their digits: call .float() on x, and on the module if it is in half precision too"
        raise ShapeError(f"x has dtype {dtype}, expected torch.float32 or torch.float64; {remedy}.")
    if len(shape) < 1 or shape[-1] != in_features:
        raise ShapeError(f"x has shape {tuple(shape)}, expected (..., {in_features}): one column per feature.")
