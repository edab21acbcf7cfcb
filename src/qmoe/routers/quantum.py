"""The quantum router."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qmoe.circuits import (
    Ansatz,
    Born,
    Circuit,
    Encoding,
    Gate,
    NoiseModel,
    Readout,
    RouterCircuitSpec,
    as_encoding,
    published_circuit,
)
from qmoe.compilable import CircuitReadouts, Layer, RouterParts
from qmoe.engines import Engine, check_encodable
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.engines.running import CircuitModule, HasShots
from qmoe.engines.shots import Gradient
from qmoe.errors import ConfigError, UnsupportedError, check_sizes
from qmoe.interop.imported import Imported
from qmoe.layers import Device, DType, Linear, Rng
from qmoe.routers.base import Router, RouterSpec, SoftmaxRouter


class QuantumRouter(HasShots, SoftmaxRouter):
    """A quantum circuit that gives the weights of the experts (arXiv 2512.22296).

    Features are encoded in Q qubits, trainable layers act on them, and a measurement gives the routing weights:

    * ``readout="expval"``: ``softmax(A <Z> + b)`` with a trainable adapter A of shape ``(E, Q)``, as the paper's notebooks
      do. 24 parameters at the default sizes (18 in the circuit, 6 in the adapter).
    * ``readout="born"``: ``P(i) = |<i|U|psi(x)>|^2`` for the first E basis states, with no adapter, as the
      paper's text says. Where E is smaller than ``2**Q``, the probability of all other outcomes is shared equally among the
      experts, so rows sum to 1.

    Args:
        in_features: number of features F. With angle encoding, ``F != n_qubits`` puts a trainable linear map in front.
        n_experts: number of experts E.
        n_qubits: number of qubits Q; by default one per feature for angle encoding, and as few as hold the features for
            amplitude encoding (at least as many as name E basis states for the Born read-out).
        n_layers: number of trainable layers L; with 0 the encoding alone is measured, and the circuit has nothing to train.
        encoding: an `Encoding`, or ``"angle"`` or ``"amplitude"``.
        ansatz: an `Ansatz`, its name, or a list of `Gate` that makes up one layer.
        frozen: whether the circuit's weights stay as drawn (a random circuit); the adapter and the map in front train.
        readout: ``"expval"`` or ``"born"``.
        noise: a `NoiseModel`, a depolarizing probability, or None.
        circuit: any `Circuit` in place of ``n_qubits`` to ``noise``, which are then left out. Another number of features
            than it takes puts a trainable linear map in front. What `qmoe.interop` imported keeps its first weights. The
            name of a published circuit, such as ``"iqp"`` or ``{"name": "iqp", "n_layers": 2}``, makes
            `qmoe.circuits.published_circuit` with the router's ``noise``.
        engine: an engine, its name, or ``"auto"``.
        shots: samples of each circuit in each basis that is measured, from which read-outs are estimated, in evaluation as
            well as in training; None for exact read-outs. ``router.shots`` may be set at any time.
        shot_seed: of the random numbers that shots take; by default it follows from the first weights and the seed of
            ``generator``.
        shot_gradient: ``"parameter-shift"``, from samples of shifted circuits, or ``"exact"``, the gradient of exact
            read-outs, as a check.
        generator, device, dtype: as of `Router`.

    Raises:
        ConfigError: for unknown names, sizes that do not fit, more experts than basis states for the Born read-out, or a
            circuit beside options of one.

    Example:
        >>> import torch
        >>> router = QuantumRouter(in_features=2, n_experts=2)
        >>> router(torch.zeros(5, 2)).shape
        torch.Size([5, 2])
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        n_qubits: int | None = None,
        n_layers: int = 3,
        encoding: str | Encoding = "angle",
        ansatz: str | Ansatz | Iterable[Gate] = "strongly_entangling",
        frozen: bool = False,
        readout: str | Readout = "expval",
        noise: float | NoiseModel | None = None,
        circuit: Circuit | Imported | str | Mapping[str, Any] | None = None,
        engine: str | Engine = "auto",
        shots: int | None = None,
        shot_seed: int | None = None,
        shot_gradient: Gradient = "parameter-shift",
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, n_experts)
        described = (n_qubits, n_layers, encoding, ansatz, readout, noise)
        imported = circuit if isinstance(circuit, Imported) else None
        if circuit is None:
            circuit = _circuit(in_features, n_experts, *described)
        else:
            circuit = _given(circuit, in_features, n_experts, described)
        born, projects = isinstance(circuit.readout, Born), in_features != circuit.in_features
        make: dict[str, Any] = {"device": device, "dtype": dtype, "draw": False}
        self.projection = Linear(in_features, circuit.in_features, **make) if projects else None
        self.adapter = None if born else Linear(circuit.n_outputs, n_experts, **make)
        sampling: dict[str, Any] = {"shots": shots, "shot_seed": shot_seed, "shot_gradient": shot_gradient}
        self.quantum = CircuitModule(circuit, None, engine=engine, frozen=frozen, **make, **sampling)
        self.reset_parameters(generator)
        if imported is not None and imported.initial is not None:
            with torch.no_grad():
                self.quantum.weights.copy_(imported.flat(imported.initial).view_as(self.quantum.weights))

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the map in front, the circuit's weights and the adapter, those that exist, in that order."""
        for part in (self.projection, self.quantum, self.adapter):
            if part is not None:
                part.reset_parameters(generator)

    def config(self) -> dict[str, Any]:
        """Sizes, and what the circuit is and how it runs."""
        return {"in_features": self.in_features, "n_experts": self.n_experts, **self.quantum.config()}

    @property
    def circuit(self) -> Circuit:
        """The frozen description of the circuit."""
        return self.quantum.circuit

    def draw(self) -> str:
        """A text picture of the circuit."""
        return self.circuit.draw()

    def validate_input(self, x: Tensor) -> None:
        """Raises `qmoe.errors.ShapeError` for features that cannot be encoded; warns of angles beyond one period."""
        check_encoded(self, x, self.projection, self.circuit.encoding, self.circuit.prepares)

    def measure(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to the circuit's ``(..., n_outputs)`` expectation values or probabilities."""
        x = self.take(x)
        self.validate_input(x)
        return self.quantum(x if self.projection is None else self.projection(x))

    def logits(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` logits.

        Raises:
            UnsupportedError: for the Born read-out, whose weights are probabilities and not a softmax.
        """
        if self.adapter is None:
            raise no_logits()
        return self.adapter(self.measure(x))

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router; None for the Born read-out."""
        return None if self.adapter is None else self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing weights."""
        if self.adapter is not None:
            return super().forward(x)
        # Engines that follow density matrices round a probability of 0 to either side of it.
        probabilities = self.measure(x).clamp_min(0)
        named, rest = probabilities[..., : self.n_experts], probabilities[..., self.n_experts :]
        return named + rest.sum(-1, keepdim=True) / self.n_experts

    def own_parts(self) -> RouterParts:
        """A linear gate on what the circuit measures, or the probabilities themselves."""
        return RouterParts(CircuitReadouts(self.quantum, Layer.of(self.projection)), Layer.of(self.adapter))


def _circuit(
    in_features: int,
    n_experts: int,
    n_qubits: int | None,
    n_layers: int,
    encoding: str | Encoding,
    ansatz: str | Ansatz | Iterable[Gate],
    readout: str | Readout,
    noise: float | NoiseModel | None,
) -> Circuit:
    """The circuit of a router's options."""
    encoding = as_encoding(encoding)
    born = readout == "born" or isinstance(readout, Born)
    if n_qubits is None:
        n_qubits = in_features if encoding.period is not None else max(1, math.ceil(math.log2(in_features)))
        n_qubits = max(n_qubits, math.ceil(math.log2(n_experts))) if born else n_qubits
    check_sizes(n_qubits=n_qubits)
    if born:
        _check_outcomes(n_experts, n_qubits)
    projects = encoding.period is not None and in_features != n_qubits
    return Circuit(
        n_qubits, n_layers, encoding, ansatz, readout, noise, in_features=n_qubits if projects else in_features
    )


def _given(given: object, in_features: int, n_experts: int, described: tuple[Any, ...]) -> Circuit:
    """The circuit that was given; raises `ConfigError` for what is none, and for options that would make another."""
    named = isinstance(given, (str, Mapping))
    *others, noise = described
    options = inspect.signature(QuantumRouter).parameters
    names = ("n_qubits", "n_layers", "encoding", "ansatz", "readout")
    beside = [name for name, value in zip(names, others, strict=True) if value != options[name].default]
    beside += ["noise"] if noise is not None and not named else []
    circuit = published_circuit(given, in_features) if isinstance(given, (str, Mapping)) else _circuit_in(given)
    if beside:
        more = " Arguments of a published circuit go into {'name': 'iqp', 'n_layers': 2}." if named else ""
        decide = "decides nothing; leave it" if len(beside) == 1 else "decide nothing; leave these"
        raise ConfigError(f"circuit was given, and so {', '.join(beside)} {decide} out.{more}")
    if isinstance(circuit.readout, Born):
        _check_outcomes(n_experts, circuit.n_qubits)
    return circuit.with_noise(noise) if named and noise is not None else circuit


def _circuit_in(given: object) -> Circuit:
    """The circuit of a `Circuit` or an import."""
    if isinstance(given, Imported):
        return given.circuit
    if isinstance(given, Circuit):
        return given
    if isinstance(getattr(given, "circuit", None), Circuit):
        kind = type(given).__name__
        raise ConfigError(f"circuit is a {kind}; pass {kind.lower()}.circuit, a Circuit, whose weights are drawn anew.")
    raise ConfigError(
        f"circuit is {given!r}, expected a qmoe.Circuit, what qmoe.interop imported, or the name of a published circuit, "
        "such as 'iqp'."
    )


def _check_outcomes(n_experts: int, n_qubits: int) -> None:
    if n_experts > 2**n_qubits:
        raise ConfigError(
            f"{n_experts} experts need {n_experts} basis states for the Born read-out, but {n_qubits} qubit(s) have "
            f"{2**n_qubits}; use n_qubits={math.ceil(math.log2(n_experts))} or more, or readout='expval'."
        )


def remedy(given: object) -> str:
    """What to give in place of something that is no router: one on its circuit, or that of a mixture."""
    make = "route with its circuit: qmoe.QuantumRouter(in_features, n_experts, circuit="
    if isinstance(given, Circuit):
        return f"{make}circuit)."
    if isinstance(getattr(given, "circuit", None), Circuit) and not isinstance(given, Router):
        return f"{make}layer.circuit)."
    return "of a mixture give its router (moe.router)."


def require_quantum(router: object, what: str) -> QuantumRouter:
    """Returns ``router`` if it is a QuantumRouter, for the function named ``what``.

    Raises:
        ConfigError: for anything else.
    """
    if not isinstance(router, QuantumRouter):
        raise ConfigError(f"{what} takes a qmoe.QuantumRouter, got a {type(router).__name__}; {remedy(router)}")
    return router


def check_encoded(
    router: Router, x: Tensor, projection: Linear | None, encoding: Encoding | None, prepares: bool = False
) -> None:
    """Checks the features of a router that encodes them, or what a linear map makes of them."""
    if projection is not None:
        Router.validate_input(router, x)
    elif router.checks_input:
        check_encodable(x, router.in_features, encoding, router, prepares)


def no_logits() -> UnsupportedError:
    """The error of a router with the Born read-out that is asked for logits."""
    return UnsupportedError("The Born read-out has no logits: its weights are probabilities; call the router itself.")


@dataclass(frozen=True, kw_only=True)
class QuantumRouterSpec(RouterCircuitSpec, QuantumSpec, RouterSpec):
    """A quantum router."""

    builds = QuantumRouter
