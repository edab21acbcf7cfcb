"""Finite shots: outcomes are drawn from exact probabilities of an engine, and read-outs are computed from their counts."""

from __future__ import annotations

import functools
import math
from typing import Literal, get_args

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine, fitting
from qmoe.engines.shots.estimating import Estimation, ParameterShift, Replaced
from qmoe.engines.shots.measured_bases import bases_of
from qmoe.engines.shots.outcome_counts import Generators, Outcomes, counted
from qmoe.engines.shots.separate_angles import Separated, Slot, separated
from qmoe.engines.shots.shift_rules import rule_of
from qmoe.engines.tracing import traced
from qmoe.errors import ConfigError, UnsupportedError, unknown
from qmoe.layers import in_autocast
from qmoe.torch_internals import is_in_dual_level, is_transformed

#: Where gradients come from: samples of circuits with shifted angles, or exact expectation values.
Gradient = Literal["parameter-shift", "exact"]
#: How a circuit with shots can be differentiated.
GRADIENTS: tuple[Gradient, ...] = get_args(Gradient)


def sampled(
    engine: Engine,
    circuit: Circuit,
    x: Tensor,
    weights: Tensor,
    *,
    shots: int,
    generator: Generators,
    noise_strength: Tensor | None = None,
    gradient: Gradient = "parameter-shift",
) -> Tensor:
    """Read-outs as a device would estimate them from ``shots`` samples in each basis that is measured.

    A read-out along Z alone has one basis: all its outputs come from the same ``shots`` bit strings. A list of Pauli words
    that takes three bases is estimated from three times as many samples.

    Args:
        engine: computes the exact probabilities, with the noise of the circuit. One of trajectories estimates them, and its
            error is in what is drawn.
        circuit: what to run, with any read-out of qmoe.
        x: ``(...S, ...B, F)`` features, as of `Engine.evaluate`.
        weights: ``(...S, *circuit.weight_shape)``.
        shots: samples for each basis, at least 1.
        generator: source of the random numbers, on any device, where they are drawn. For a stack a list of M: each then
            serves an M-th of the models, in order, and a model's numbers do not depend on who else is in the stack.
        noise_strength: ``(...S)``, as of `Engine.evaluate`.
        gradient: ``"parameter-shift"``: every angle that depends on a weight (or on a feature, where ``x`` asks for a
            gradient) is shifted by itself, and each shifted circuit takes ``shots`` samples for each basis. ``"exact"``: the
            gradient of the exact expectation values, as a check.

    Returns:
        ``(...S, ...B, n_outputs)`` estimates, with the dtype and device of ``x``.

    Raises:
        ConfigError: for a number of shots that is none, or of generators that does not divide the models, or an engine
            that takes shots itself.
        UnsupportedError: for a read-out of your own, a circuit that the engine does not run, a gradient that no
            parameter-shift rule gives, or inside `torch.func` and programs that torch records.
        ShapeError: as of `Engine.evaluate`.

    Example:
        >>> from qmoe.engines import sampled
        >>> from qmoe.engines.shots import Gradient
        >>> gradient: Gradient = "exact"
        >>> circuit, x = qmoe.Circuit(2, 1), torch.zeros(5, 2)
        >>> options = {"shots": 10, "generator": torch.Generator(), "gradient": gradient}
        >>> engine, weights = qmoe.engines.get_engine("native"), torch.zeros(circuit.weight_shape)
        >>> sampled(engine, circuit, x, weights, **options).shape
        torch.Size([5, 2])
    """
    if gradient not in GRADIENTS:
        raise unknown("gradient", gradient, GRADIENTS)
    check_plain_call()
    if getattr(engine, "shots", None) is not None:
        raise ConfigError(
            f"The engine {engine!r} takes shots itself, and shots of shots mean nothing; give shots to one of them."
        )
    n_stack = math.prod(fitting(engine, circuit, x, weights).axes.stack)
    outcomes = counted(shots, generator, n_stack)
    return estimated(engine, circuit, x, weights, noise_strength, outcomes, gradient)


def estimated(
    engine: Engine,
    circuit: Circuit,
    x: Tensor,
    weights: Tensor,
    noise_strength: Tensor | None,
    outcomes: Outcomes,
    gradient: Gradient,
) -> Tensor:
    """As `sampled`, with whatever becomes of the probabilities; with `Exact` this is the parameter-shift rule exactly."""
    if in_autocast(x.device):  # angles need their digits
        with torch.autocast(x.device.type, enabled=False):
            return estimated(engine, circuit, x, weights, noise_strength, outcomes, gradient)
    axes = fitting(engine, circuit, x, weights).axes
    n_stack, n_batch = math.prod(axes.stack), math.prod(axes.batch)
    apart = separated(circuit)
    asks = torch.is_grad_enabled()
    shifts = asks and gradient == "parameter-shift"
    slots = asked_slots(apart, x.requires_grad, weights.requires_grad) if shifts else ()
    if shifts:
        check_rules(circuit, x.requires_grad, slots)
        if noise_strength is not None and noise_strength.requires_grad:
            raise UnsupportedError(
                "No parameter-shift rule gives the gradient of a strength of noise; use gradient='exact', or detach it."
            )
    estimation = Estimation(engine, bases_of(apart.circuit), outcomes, slots)
    strength = None if noise_strength is None else noise_strength.expand(axes.stack).reshape(n_stack)
    with torch.set_grad_enabled(shifts):
        flat = apart.angles(x.reshape(n_stack, n_batch, x.shape[-1]), weights.reshape(n_stack, circuit.n_weights))
        out: Tensor = ParameterShift.apply(*flat, strength, estimation)
    out = out.reshape(*axes.stack, *axes.batch, circuit.n_outputs)
    inputs = [t for t in (x, weights, noise_strength) if t is not None and t.requires_grad] if asks else []
    if inputs and gradient == "exact":
        exact = engine.evaluate(circuit, x, weights, noise_strength)
        return Replaced.apply(exact, out)
    # Connected with all that asks for a gradient, which is zero where nothing depends on it.
    return functools.reduce(torch.add, [tensor.flatten()[:0].sum() for tensor in inputs], out)


def asked_slots(apart: Separated, of_features: bool, of_weights: bool) -> tuple[Slot, ...]:
    """The angles that are shifted for gradients of features, of weights or of both."""
    return tuple(slot for slot in apart.slots if (of_features and slot.per_sample) or (of_weights and slot.has_weight))


def check_rules(circuit: Circuit, of_features: bool, slots: tuple[Slot, ...]) -> None:
    """Raises `UnsupportedError` where no parameter-shift rule gives the gradient of features, or of an angle."""
    if circuit.prepares and of_features:
        raise UnsupportedError(
            "Features are amplitudes here, and no parameter-shift rule gives their gradient; use gradient='exact' "
            "(shot_gradient='exact' of a module), angle encoding, or x.detach()."
        )
    for slot in slots:
        rule_of(slot.gate)


#: Why shots are refused where torch records operations.
RECORDED = (
    "Shots draw random numbers at every call, and torch records operations here; use shots=None (router.shots = None) for "
    "what is exported or traced, or export qmoe.distill(router)."
)


def check_plain_call() -> None:
    """Raises `UnsupportedError` where torch records operations or transforms them."""
    if traced():
        raise UnsupportedError(RECORDED)
    if is_transformed() or is_in_dual_level():
        raise UnsupportedError(
            "Shots draw random numbers and count, which no transform of torch.func or forward-mode differentiation "
            "follows; use shots=None (router.shots = None) there, or loss.backward()."
        )
