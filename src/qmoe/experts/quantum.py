"""Quantum experts: circuits of one shape, each with weights of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, Unpack

import torch
from torch import Tensor

from qmoe.circuits import Ansatz, Circuit, Encoding, Gate, NoiseModel, Readout, as_encoding
from qmoe.compilable import ExpertParts
from qmoe.engines import Engine, check_encodable
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.engines.running import CircuitModule, HasShots
from qmoe.engines.shots import Gradient
from qmoe.errors import ConfigError, check_sizes
from qmoe.experts.base import Experts, ExpertsSpec
from qmoe.layers import Device, DType, Rng
from qmoe.part_spec import Drawn


class QuantumExperts(HasShots, Experts):
    """E circuits evaluated side by side; the outputs of each are its read-outs, ``<Z_i>`` by default.

    The paper's phase 1 uses three with amplitude encoding of 16 features in 4 qubits and 2 layers; its plain quantum
    neural network is one such expert with no router.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        n_qubits: number of qubits Q; by default as few as hold the features.
        n_layers: number of trainable layers L.
        encoding: an `Encoding`, or ``"amplitude"`` or ``"angle"``; angle encoding needs ``F == Q``.
        ansatz: an `Ansatz`, its name, or a list of `Gate` that makes up one layer.
        frozen: whether the circuits' weights stay as drawn.
        readout: ``"expval"`` (O = Q outputs) or ``"born"`` (O = 2**Q).
        noise: a `NoiseModel`, a depolarizing probability, or None.
        engine: an engine, its name, or ``"auto"``.
        shots: samples of each circuit in each basis that is measured, from which read-outs are estimated, in evaluation as
            well as in training; None for exact read-outs. ``experts.shots`` may be set at any time.
        shot_seed: of the random numbers that shots take; by default it follows from the first weights and the seed of
            ``generator``.
        shot_gradient: ``"parameter-shift"``, from samples of shifted circuits, or ``"exact"``, the gradient of exact
            read-outs, as a check.
        generator, device, dtype: as of `Experts`.

    Raises:
        ConfigError: for unknown names, or sizes that do not fit.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        n_qubits: int | None = None,
        n_layers: int = 2,
        encoding: str | Encoding = "amplitude",
        ansatz: str | Ansatz | Iterable[Gate] = "strongly_entangling",
        frozen: bool = False,
        readout: str | Readout = "expval",
        noise: float | NoiseModel | None = None,
        engine: str | Engine = "auto",
        shots: int | None = None,
        shot_seed: int | None = None,
        shot_gradient: Gradient = "parameter-shift",
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        check_sizes(in_features=in_features, n_experts=n_experts)
        encoding = as_encoding(encoding)
        if n_qubits is None:
            n_qubits = in_features if encoding.period is not None else max(1, math.ceil(math.log2(in_features)))
        circuit = Circuit(n_qubits, n_layers, encoding, ansatz, readout, noise, in_features=in_features)
        super().__init__(in_features, circuit.n_outputs, n_experts)
        sampling: dict[str, Any] = {"shots": shots, "shot_seed": shot_seed, "shot_gradient": shot_gradient}
        make: dict[str, Any] = {"device": device, "dtype": dtype, "frozen": frozen, "draw": False}
        self.quantum = CircuitModule(circuit, n_experts, engine, **make, **sampling)
        self.reset_parameters(generator)

    def config(self) -> dict[str, Any]:
        """Number of experts, and what their circuit is and how it runs."""
        return {"n_experts": self.n_experts, **self.quantum.config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """The experts of what `config` gave.

        Raises:
            ConfigError: for unknown options, and where the circuit is missing.
            UnsupportedError: for a circuit made of operations.
        """
        options = dict(config)
        circuit = options.pop("circuit", None)
        if not isinstance(circuit, Circuit):
            raise ConfigError(f"circuit is {circuit!r}, expected that of the experts.")
        sizes = {"in_features": circuit.in_features, **circuit.options()}
        for name in sizes:
            if name in options:
                raise ConfigError(f"{name} stands beside the circuit, which says it; leave it out.")
        return super().from_config({**sizes, **options}, **making)

    @property
    def circuit(self) -> Circuit:
        """The frozen description of one expert's circuit."""
        return self.quantum.circuit

    def validate_input(self, x: Tensor) -> None:
        """Raises `qmoe.errors.ShapeError` for features that cannot be encoded; warns of angles beyond one period."""
        if self.checks_input:
            check_encodable(x, self.in_features, self.circuit.encoding, self, self.circuit.prepares)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` to ``(..., E, O)``."""
        x = self.take(x)
        self.validate_input(x)
        return self.quantum(self.spread(x)).movedim(self.axis, -2)

    def grouped(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        """``(N, F)`` rows, sorted by expert, to ``(N, O)``: one call of the engine per expert that has rows.

        With shots the circuits run side by side, each on as many rows as the busiest one has.
        """
        self.validate_input(x)
        if len(x) == 0:
            return x.new_zeros(0, self.out_features)
        if self.shots is not None:
            return self._side_by_side(x, counts)
        module = self.quantum
        engine, _ = module.engine_for(x.device)
        strengths = [None] * len(counts) if module.noise_strength is None else module.noise_strength.unbind(0)
        each = zip(x.split(list(counts)), module.weights.unbind(0), strengths, strict=True)
        return torch.cat([engine.evaluate(self.circuit, rows, w, s) for rows, w, s in each if len(rows) > 0])

    def _side_by_side(self, x: Tensor, counts: Sequence[int]) -> Tensor:
        sizes = torch.tensor(counts, device=x.device)
        place = torch.arange(max(counts), device=x.device)
        # An expert with fewer rows repeats its last one, or one of another: a row that can be encoded.
        first = sizes.cumsum(0) - sizes
        rows = (first[:, None] + place.minimum((sizes - 1).clamp_min(0)[:, None])).clamp_max(len(x) - 1)
        return self.quantum(x[rows])[place < sizes[:, None]]

    def own_parts(self) -> ExpertParts:
        """The circuits."""
        return ExpertParts(circuit=self.quantum)

    @property
    def axis(self) -> int:
        """Where the circuits have the axis of experts: the last of their stack axes."""
        return self.quantum.weights.dim() - len(self.circuit.weight_shape) - 1

    def spread(self, x: Tensor) -> Tensor:
        """``(..., F)`` features with the axis of experts that the circuits expect."""
        return x.unsqueeze(self.axis).expand(*x.shape[: self.axis], self.n_experts, *x.shape[self.axis :])


@dataclass(frozen=True, kw_only=True)
class QuantumExpertsSpec(QuantumSpec, ExpertsSpec):
    """Quantum experts, whose outputs are what their circuits measure."""

    def build(self, in_features: int, n_classes: int, n_experts: int, **drawn: Unpack[Drawn]) -> QuantumExperts:
        """The experts."""
        del n_classes
        return QuantumExperts(in_features, n_experts, **self.options(), **drawn)
