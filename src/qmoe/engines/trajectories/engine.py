"""The engine of trajectories: any number of qubits that pure states have room for, noise with an error bar."""

from __future__ import annotations

import functools
import math
import zlib
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.batched import TorchEngine
from qmoe.engines.native import NativeEngine
from qmoe.engines.protocol import Engine, fitting, too_large
from qmoe.engines.rewriting import Rewriting
from qmoe.engines.tracing import traced
from qmoe.engines.trajectories.error_patterns import AllPatterns, ErrorPatterns, draw_patterns
from qmoe.engines.trajectories.signed_circuit import signed_circuit
from qmoe.engines.trajectories.trajectory_runs import TrajectoryRuns
from qmoe.errors import ConfigError, UnsupportedError
from qmoe.seeding import Seed, child, seed_sequence
from qmoe.torch_internals import differentiates_forwards, is_transformed, is_wrapped

_NATIVE, _TORCH = NativeEngine(), TorchEngine()


class TrajectoryEstimate(NamedTuple):
    """Read-outs with their error bars.

    Attributes:
        mean: ``(...S, ...B, n_outputs)`` what `TrajectoryEngine.evaluate` returns.
        standard_error: the same shape: the standard deviation of the mean over seeds, as these trajectories show it; 0 where
            nothing was drawn.
    """

    mean: Tensor
    standard_error: Tensor


class TrajectoryEngine(Engine):
    """Noise by averages over quantum trajectories, pure states with errors drawn at random, on the native engine.

    Memory and time are those of pure states, times the number of trajectories. Errors are drawn once for a circuit, a
    strength and a seed, and are the same for all samples, models and calls. So read-outs are smooth functions of features
    and weights, their gradients are exact gradients, and no number depends on what stands beside it in a batch or a stack.
    `estimate` gives the error bars.

    Mixtures of Pauli errors only flip signs of angles, and run compiled; other channels run in torch. Errors that are
    measured right away, and errors of the measurement, are exact. So is everything where all errors together make no more
    different circuits than ``n_trajectories``. Of the gradient with respect to the strength of the noise, the part that is
    drawn is estimated by the score function.

    Args:
        n_trajectories: the most circuits to run for each sample.
        seed: of the errors.

    Raises:
        ConfigError: for fewer than 2 trajectories, or what is no seed.

    Example:
        >>> import torch, qmoe
        >>> circuit = qmoe.Circuit(10, 2, noise=0.02)
        >>> x, weights = torch.zeros(4, 10), torch.ones(circuit.weight_shape)
        >>> qmoe.engines.TrajectoryEngine(100).estimate(circuit, x, weights).mean.shape
        torch.Size([4, 10])
    """

    name: ClassVar[str] = "trajectories"
    couples_features: ClassVar[bool] = False
    holds_mixed_states: ClassVar[bool] = False

    def __init__(self, n_trajectories: int = 256, seed: Seed = 0) -> None:
        if not isinstance(n_trajectories, Integral) or isinstance(n_trajectories, bool) or n_trajectories < 2:
            raise ConfigError(f"n_trajectories is {n_trajectories!r}, expected an integer of at least 2.")
        self.n_trajectories: int = int(n_trajectories)
        self.seed: np.random.SeedSequence = seed_sequence(seed)

    def _key(self) -> tuple[int, int | tuple[int, ...], tuple[int, ...]]:
        entropy = self.seed.entropy
        key = entropy if isinstance(entropy, int) else tuple(int(part) for part in entropy or ())
        return self.n_trajectories, key, tuple(self.seed.spawn_key)

    def __eq__(self, other: object) -> bool:
        # Models of equal engines train in one stack.
        return type(other) is type(self) and isinstance(other, TrajectoryEngine) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"TrajectoryEngine({self.n_trajectories}, seed={self.seed.entropy!r})"

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Takes tensors with concrete values (not while torch traces), and states that fit into memory."""
        if traced():
            return "it draws errors, and torch records operations instead of running them; use engine='torch'."
        return too_large(circuit if circuit.noise is None else _without_noise(circuit), device)

    def evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None) -> Tensor:
        """As of every engine: the mean over trajectories."""
        if circuit.noise is not None and noise_strength is None and isinstance(x, Tensor):
            # Its values are looked at, which transforms of torch.func would hide.
            n_axes = max(0, weights.dim() - len(circuit.weight_shape))
            noise_strength = torch.full(
                weights.shape[:n_axes], circuit.noise.depolarizing, dtype=x.dtype, device=x.device
            )
        return super().evaluate(circuit, x, weights, noise_strength)

    def estimate(
        self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None
    ) -> TrajectoryEstimate:
        """Runs ``circuit`` as `evaluate` does, and says how far the means may be off.

        Args:
            circuit: what to run.
            x: ``(...S, ...B, F)`` features.
            weights: ``(...S, *circuit.weight_shape)``.
            noise_strength: ``(...S)`` depolarizing probabilities in place of the circuit's own.

        Returns:
            Means, differentiable, and standard errors, which are not.
        """
        mean = self.evaluate(circuit, x, weights, noise_strength)
        if circuit.noise is None or mean.numel() == 0:
            return TrajectoryEstimate(mean, torch.zeros_like(mean))
        axes = fitting(self, circuit, x, weights).axes
        n_stack, n_batch = math.prod(axes.stack), math.prod(axes.batch)
        flat_x = x.detach().reshape(n_stack, n_batch, x.shape[-1])
        flat = weights.detach().reshape(n_stack, circuit.n_weights)
        if noise_strength is None:
            strength = flat_x.new_full((n_stack,), circuit.noise.depolarizing)
        else:
            strength = noise_strength.detach().reshape(n_stack)
        with torch.no_grad():
            variance = flat_x.new_zeros(n_stack, n_batch, circuit.n_outputs)
            for p, models in _groups(strength.cpu().tolist()):
                variance[models] = self._variance(circuit, flat_x[models], flat[models], p)
        return TrajectoryEstimate(mean, variance.sqrt().reshape(mean.shape))

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        if strength is None:
            return _inner(circuit, x.device).evaluate(circuit, x, weights.reshape(len(weights), *circuit.weight_shape))
        groups = _groups(_values_of(strength))
        if len(groups) == 1:
            return self._of_one_strength(circuit, x, weights, strength[0])
        parts = [
            self._of_one_strength(circuit, x[models], weights[models], strength[models[0]]) for _, models in groups
        ]
        order = torch.cat([models for _, models in groups])
        return torch.cat(parts)[order.argsort()]

    def _of_one_strength(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor) -> Tensor:
        value = float(strength.detach())
        patterns, runs = self._patterns(circuit, value), _runs(circuit, x.device)
        asked = strength.requires_grad and (torch.is_grad_enabled() or is_transformed())
        if not asked and not (is_wrapped(strength) and differentiates_forwards()):
            return runs.total(patterns, x, weights, value)
        if not isinstance(patterns, AllPatterns) and not 0 < value < 1:
            raise UnsupportedError(
                f"Engine 'trajectories' draws no errors at noise_strength={value:g} that say how read-outs change with it; "
                "ask for the gradient at a strength between 0 and 1."
            )
        return runs.total(patterns, x, weights, strength)

    def _patterns(self, circuit: Circuit, strength: float) -> ErrorPatterns:
        return _patterns(circuit, strength, *self._key())

    def _variance(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: float) -> Tensor:
        """``(S, B, n_outputs)`` variances of the means; bases that are measured one by one have errors of their own."""
        rewriting = self.rewriting(circuit)
        total = x.new_zeros(len(x), x.shape[1], circuit.n_outputs)
        for index in range(1 if rewriting is None else len(rewriting.runs)):
            if rewriting is None:
                found = _Spread()
                for rows in _runs(circuit, x.device).drawn(self._patterns(circuit, strength), x, weights, strength):
                    found.add(rows)
            else:
                found = self._spread(rewriting, index, x, weights, strength)
            total += found.variance_of_sum()
        return total

    def _spread(self, rewriting: Rewriting, index: int, x: Tensor, weights: Tensor, strength: float) -> _Spread:
        wide, angles = (x, weights) if rewriting.angles is None else rewriting.angles(x, weights)
        run = rewriting.runs[index]
        found = _Spread()
        for rows in _runs(run, x.device).drawn(self._patterns(run, strength), wide, angles, strength):

            def stand_in(circuit: Circuit, features: Tensor, _: Tensor, rows: Tensor = rows) -> Tensor:
                nothing = features.new_zeros(1, *features.shape[:2], circuit.n_outputs)
                return rows if circuit is run else nothing.expand(len(rows), -1, -1, -1)

            found.add(rewriting.run(stand_in, x, weights))
        return found


class _Spread:
    """Mean and sum of squares of rows that come in portions."""

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, rows: Tensor) -> None:
        """Takes ``(K, ...)`` more."""
        rows = rows.double()
        n, mean = len(rows), rows.mean(0)
        squares = (rows - mean).square().sum(0)
        if self._n:
            off = mean - self._mean
            squares = squares + self._squares + off.square() * (self._n * n / (self._n + n))
            mean = self._mean + off * (n / (self._n + n))
        self._n, self._mean, self._squares = self._n + n, mean, squares

    def variance_of_sum(self) -> Tensor:
        """The estimated variance of the sum of all rows."""
        return self._squares * (self._n / (self._n - 1)) if self._n > 1 else torch.zeros(())


def _values_of(strength: Tensor) -> list[float]:
    """The strengths of all models."""
    try:
        return [float(value) for value in strength.detach().unbind()]
    except RuntimeError as error:
        if not is_wrapped(strength):
            raise
        raise UnsupportedError(
            "Engine 'trajectories' draws errors by the value of noise_strength, over which torch.func.vmap runs here; map "
            "over other tensors, or give a stack of models with one strength each."
        ) from error


def _groups(strengths: list[float]) -> list[tuple[float, Tensor]]:
    """Strengths that differ, and which models have each."""
    members: dict[float, list[int]] = {}
    for model, strength in enumerate(strengths):
        members.setdefault(strength, []).append(model)
    return [(strength, torch.tensor(models)) for strength, models in members.items()]


def _inner(circuit: Circuit, device: torch.device) -> NativeEngine | TorchEngine:
    """What runs circuits without noise."""
    return _NATIVE if device.type == "cpu" else _TORCH


@functools.lru_cache(maxsize=256)
def _runs(circuit: Circuit, device: torch.device) -> TrajectoryRuns:
    signed = signed_circuit(circuit)
    return TrajectoryRuns(signed, _inner(signed.circuit, device))


@functools.lru_cache(maxsize=256)
def _patterns(
    circuit: Circuit, strength: float, n: int, entropy: int | tuple[int, ...], spawn_key: tuple[int, ...]
) -> ErrorPatterns:
    # Circuits that differ, the bases of one read-out among them, have errors that have nothing to do with each other.
    seed = child(np.random.SeedSequence(entropy, spawn_key=spawn_key), zlib.crc32(repr(circuit.operations).encode()))
    return draw_patterns(signed_circuit(circuit), strength, n, seed)


@functools.lru_cache(maxsize=256)
def _without_noise(circuit: Circuit) -> Circuit:
    return circuit.with_noise(None)
