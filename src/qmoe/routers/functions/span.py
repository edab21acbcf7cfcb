"""What a router can compute: its functions, their number, and how many of its parameters move them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from qmoe.circuits import Circuit
from qmoe.circuits.readouts import readout_text
from qmoe.engines import choose_engine
from qmoe.errors import ConfigError, check_sizes
from qmoe.routers.base import Router
from qmoe.routers.functions.bare import bare
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.information import Information, information
from qmoe.routers.functions.ranks import misfit, moved, random_inputs, rank_of
from qmoe.routers.functions.reach import MAX_FUNCTIONS, circuit_basis, routing_readouts
from qmoe.routers.quantum import QuantumRouter, remedy
from qmoe.routers.twin import TwinRouter

#: Functions up to which the numerical rank is computed: a dense SVD of twice as many rows and columns.
MAX_NUMERICAL = 800
#: Parameters up to which the rank of the Jacobian is computed.
MAX_PARAMETERS = 1500
#: Qubits of circuits that are run, for ranks and the residual, and functions that the residual is computed for.
MAX_QUBITS, MAX_NOISY_QUBITS, MAX_FITTED = 12, 7, 4096


@dataclass(frozen=True)
class Span:
    """The space of functions in which the gate logits of a router live, whatever its weights.

    For the Born read-out, which has no logits, it is the space of the routing weights. The constant belongs to the space as
    well; it is not counted among the functions, since gates have a bias (and the weights of the Born read-out add up to 1).

    Attributes:
        circuit: the circuit without the noise that shrinks coefficients or drops some, as mixtures of Pauli errors and
            dephasing do: it never adds any, so the span holds what the noisy circuit computes. Channels that add words to
            others, such as relaxation, are part of it.
        n_experts: number of experts E.
        basis: the functions, by name. Where the router projects, ``x0, x1, ...`` stand for the projected features.
        projected: whether the router has a trainable projection in front, ``x = P features + c``.
        numerical_rank: how many dimensions, beside the constant, the read-outs of random circuits fill: singular values of
            their values at random points. None above ``MAX_NUMERICAL`` functions.
        residual: what is left, at worst, of the logits of random circuits (of their routing weights, for the Born read-out)
            after least squares on the basis and a constant. Rounding for the basis of a router; more where a twin was
            reduced or sampled. None above ``MAX_FITTED`` functions or ``MAX_QUBITS`` qubits, where ranks are None as well.
        n_circuits: how many random circuits that is the worst of.
        n_parameters: number of trainable parameters of the router.
        jacobian_rank: rank of the Jacobian of the *differences* of logits (each less the mean over experts) with respect
            to all parameters, at generic weights: how many directions change the routing. Softmax does not see what all
            logits share. None above ``MAX_PARAMETERS`` parameters.
        logit_rank: the same of the logits themselves.
        dead: parameters whose gradient is 0 for all inputs and weights.
        sampled: whether the basis is a random sample of the circuit's functions.
        information: how much the read-outs tell about x, over uniform angles and random weights; None for amplitudes, the
            Born read-out, and circuits that cannot be followed.
    """

    circuit: Circuit
    n_experts: int
    basis: Basis
    projected: bool
    numerical_rank: int | None
    residual: float | None
    n_circuits: int
    n_parameters: int
    jacobian_rank: int | None
    logit_rank: int | None
    dead: tuple[str, ...] | None
    sampled: bool = False
    information: Information | None = None

    @property
    def theoretical_rank(self) -> int:
        """Number of functions in the basis. Circuits fill as many dimensions, unless few weights tie coefficients."""
        return len(self.basis)

    @property
    def complete(self) -> bool:
        """Whether the basis holds all that the circuit can compute."""
        return self.basis.complete

    @property
    def parity(self) -> str | None:
        """``"even"`` or ``"odd"`` (beside the constant) under a change of sign of all inputs of the circuit, or None."""
        return self.basis.parity

    def __str__(self) -> str:
        c, shown = self.circuit, tuple(term.name for term in self.basis.terms[:12])
        more = "" if len(self.basis) <= len(shown) else f", ... ({len(self.basis) - len(shown)} more)"
        kind = self.basis.kind
        if self.sampled:
            kind += ": a random sample, not a superset of the circuit"
        elif not self.complete:
            kind += ": some left out, not a superset of the circuit"
        if self.projected:
            kind += "; x0, x1, ... are the projected features"
        what = "routing weights" if c.readout.name == "born" else "logits"
        is_run = c.n_qubits <= _most_qubits(c)
        most = f"{MAX_NUMERICAL} functions" if is_run else f"{_most_qubits(c)} qubits"
        skipped = f"not computed (more than {most})"
        circuits = f"of the read-outs of {self.n_circuits} random circuits"
        numerical = skipped if self.numerical_rank is None else f"{self.numerical_rank}, {circuits}"
        residual = skipped.replace(str(MAX_NUMERICAL), str(MAX_FITTED))
        if self.residual is not None:
            residual = f"{self.residual:.1e}, of the {what} of {self.n_circuits} random circuits"
        if self.jacobian_rank is None:
            jacobian = dead = f"not computed (more than {MAX_PARAMETERS} parameters)" if is_run else skipped
        else:
            jacobian = (
                f"{self.jacobian_rank} of {self.n_parameters} parameters for differences of {what}, "
                f"{self.logit_rank} for the {what}"
            )
            dead = ", ".join(self.dead or ()) or "none"
        lines = [
            ("functions", f"{len(self.basis)} and a constant: {', '.join(shown)}{more}"),
            ("", kind),
            ("numerical rank", numerical),
            ("residual", residual),
            ("Jacobian rank", jacobian),
            ("dead parameters", dead),
            ("parity", self.parity or "none"),
        ]
        if self.information is not None:
            lines.append(("information", str(self.information)))
            if self.information.shots is not None:
                shots = math.inf if self.information.shots == math.inf else math.ceil(self.information.shots)
                lines.append(("shots", f"{shots} for shot noise as small as that signal"))
        if c.is_template:
            head = f"{c.n_layers} layer(s), {c.encoding}, {c.template.ansatz.name}, {c.readout.name}"
        else:
            head = f"{len(c.operations)} operations, {readout_text(c.readout, c.n_qubits)}"
        head = f"{c.n_qubits} qubit(s), {head}, {self.n_experts} expert(s)"
        return f"{head}\n" + "\n".join(f"  {name:<16}{text}" for name, text in lines)


def _most_qubits(circuit: Circuit) -> int:
    return MAX_QUBITS if circuit.noise is None else MAX_NOISY_QUBITS


def span(router: Router, n_circuits: int = 200, seed: int = 0, max_functions: int = MAX_FUNCTIONS) -> Span:
    """Describes the functions that a router can compute, by theory and checked by numbers.

    The basis follows from the circuit alone (`qmoe.routers.circuit_basis`); ranks, dead parameters and the residual come
    from random weights, in float64 and without noise that adds no function. What holds at random weights holds at almost
    all; the values of the router's own weights do not count.

    Args:
        router: a `QuantumRouter`, or a `TwinRouter`, whose own functions are then set against the circuit's.
        n_circuits: number of random circuits for the residual; more are drawn where the rank needs them.
        seed: of the random weights and points.
        max_functions: the largest basis to list.

    Raises:
        ConfigError: for another kind of router, more functions than ``max_functions``, or an encoding of your own that is
            not what it declares.
    """
    check_sizes(n_circuits=n_circuits, max_functions=max_functions)
    if isinstance(router, QuantumRouter):
        circuit = bare(router.circuit)
        basis, sampled = circuit_basis(circuit, router.n_experts, max_functions), False
    elif isinstance(router, TwinRouter):
        circuit, basis, sampled = router.circuit, router.basis, router.sampling is not None
    else:
        raise ConfigError(
            f"span takes a QuantumRouter or a TwinRouter, got a {type(router).__name__}; {remedy(router)}"
        )
    generator = torch.Generator().manual_seed(seed)
    told = information(circuit, torch.Generator().manual_seed(seed))
    is_run = circuit.n_qubits <= _most_qubits(circuit)
    rank, residual = None, None
    if is_run and len(basis) <= MAX_FITTED:
        rank, residual, n_circuits = _measured(circuit, router.n_experts, basis, n_circuits, generator)
    n_parameters = sum(p.numel() for p in router.parameters())
    ranks: tuple[int | None, int | None] = (None, None)
    dead = None
    if is_run and n_parameters <= MAX_PARAMETERS:
        differences, logits, dead = moved(router, circuit, generator)
        ranks = (differences, logits)
    return Span(
        circuit=circuit,
        n_experts=router.n_experts,
        basis=basis,
        projected=router.in_features != circuit.in_features,
        numerical_rank=rank,
        residual=residual,
        n_circuits=n_circuits,
        n_parameters=n_parameters,
        jacobian_rank=ranks[0],
        logit_rank=ranks[1],
        dead=dead,
        sampled=sampled,
        information=told,
    )


def _measured(
    circuit: Circuit, n_experts: int, basis: Basis, n_circuits: int, generator: torch.Generator
) -> tuple[int | None, float, int]:
    """Numerical rank and residual, from the values of random circuits at random points, and the number of circuits."""
    n_points = 2 * len(basis) + 16
    ranked = len(basis) <= MAX_NUMERICAL
    if ranked:
        n_circuits = max(n_circuits, math.ceil(1.5 * len(basis)))
    x = random_inputs(circuit, n_points, generator)
    weights = torch.rand(n_circuits, *circuit.weight_shape, generator=generator, dtype=torch.float64) * (2 * math.pi)
    runner, _ = choose_engine(circuit, x.device)
    with torch.no_grad():
        out = runner.evaluate(circuit, x.expand(n_circuits, *x.shape), weights)
    logits = read = routing_readouts(out, circuit, n_experts)
    if circuit.readout.name != "born":
        shape = (n_circuits, circuit.n_outputs, n_experts)
        adapters = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
        logits = out @ adapters / math.sqrt(circuit.n_outputs)
    design = torch.cat([torch.ones(n_points, 1, dtype=torch.float64), basis.values(x)], -1).numpy()
    columns = logits.transpose(0, 1).reshape(n_points, -1).numpy()
    residual = misfit(design, columns)
    if not ranked:
        return None, residual, n_circuits
    rows = read.transpose(1, 2).reshape(-1, n_points).numpy()
    # Less its mean over the points, a function is what it is beside the constant.
    return rank_of(rows - rows.mean(-1, keepdims=True), scale=1.0), residual, n_circuits
