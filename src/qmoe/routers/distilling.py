"""How a trained quantum router becomes a classical module."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import AmplitudeEncoding, Born, Circuit, Expval
from qmoe.engines import choose_engine
from qmoe.engines.native.engine import MAX_NOISY_QUBITS
from qmoe.errors import ConfigError, check_sizes
from qmoe.routers.base import Router
from qmoe.routers.distill import DistilledRouter
from qmoe.routers.functions.certificate import why_no_certificate
from qmoe.routers.functions.declared import check_frequency, is_ours, random_points
from qmoe.routers.functions.islands import islands
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.propagation.masks import Truncation
from qmoe.routers.functions.propagation.valued import Coefficients, coefficients_of, fits
from qmoe.routers.quantum import QuantumRouter, require_quantum

#: Points of the largest grid on which a circuit is evaluated, for each group of wires that gates join.
MAX_POINTS = 1_000_000
#: Qubits up to which a distilled router is compared with the circuit; with noise, as far as kernels take it.
MAX_COMPARED = 14
#: Products of all features from which on those that occur are listed, where these are so many times fewer.
_MIN_LATTICE, _SPARSE = 4096, 4
_CHUNK = 4096
#: Random points at which a distilled router must agree with the circuit, and how far apart they may be for each unit.
_CHECKED, _AGREES = 64, 1e-8


def distill(
    router: Router, *, max_weight: int | None = None, threshold: float = 0.0, x: Tensor | None = None
) -> DistilledRouter:
    """A trained quantum router as a classical module, equal to it up to rounding: 1e-5 in float32, 1e-10 in float64.

    The read-outs are followed backwards through the gates at the router's weights, as sums of Pauli words, on the light
    cones of what is measured: any number of qubits where those are small. What comes out are the coefficients of all
    products of sines and cosines. With amplitude encoding, the Born read-out, and encodings of your own, the circuit is run
    instead, on a grid that determines the polynomial (``2R + 1`` angles of each feature for R uploads; basis states and
    their pairs for amplitudes), and compared with the result at random points. Noise is part of what is distilled.

    Args:
        router: a `QuantumRouter`.
        max_weight: drops words, on the way, with more letters and features than this, for circuits too large to follow
            exactly. None drops none.
        threshold: drops words, on the way, whose coefficients are all smaller.
        x: ``(N, F)`` rows on which to measure what dropping changes, as ``rms``.

    Returns:
        A `DistilledRouter` with the router's device and dtype; later changes of the router's weights do not reach it. Its
        attribute ``dropped`` is 0 where nothing was dropped, and bounds what was else.

    Raises:
        ConfigError: for another kind of router, for a circuit with more words or angles than there is room for, for options
            that do not apply, and for an encoding of your own that is not what it declares.
    """
    router = require_quantum(router, "distill")
    circuit, weights = router.circuit, router.quantum.weights
    if weights.shape != circuit.weight_shape:
        raise ConfigError(
            f"The router's weights have shape {tuple(weights.shape)}, expected {circuit.weight_shape}: distill takes one "
            "model, not a stack; write the stack back into its models first."
        )
    truncation = _truncation(max_weight, threshold)
    has_grid = circuit.is_template and circuit.max_frequency == circuit.template.encoding.max_frequency
    on_grid = circuit.prepares or (has_grid and (isinstance(circuit.readout, Born) or not is_ours(circuit)))
    if truncation and on_grid:
        raise ConfigError(
            "max_weight and threshold drop Pauli words that are followed through a circuit, but one with amplitudes, the "
            "Born read-out or an encoding of your own is run on a grid; leave them out."
        )
    with torch.no_grad():
        distilled = _from_grid(router) if on_grid else _followed(router, truncation)
        if distilled.projection is not None and router.projection is not None:
            distilled.projection.load_state_dict(router.projection.state_dict())
        if not truncation and _is_compared(circuit) and circuit.is_template:
            _check_agreement(distilled, router)
        if x is not None:
            distilled.rms = _rms(distilled, router, x)
    return distilled.to(weights.device, weights.dtype)


def _is_compared(circuit: Circuit) -> bool:
    return circuit.n_qubits <= (MAX_COMPARED if circuit.noise is None else MAX_NOISY_QUBITS)


def _truncation(max_weight: int | None, threshold: float) -> Truncation:
    if max_weight is not None:
        check_sizes(max_weight=max_weight)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold < math.inf:
        raise ConfigError(f"threshold is {threshold!r}, expected a number of at least 0, such as 1e-4.")
    return Truncation(max_weight, float(threshold))


def _shell(router: QuantumRouter, groups: list[tuple[int, ...]], products: Products | None = None) -> DistilledRouter:
    circuit = router.circuit
    return DistilledRouter(
        router.in_features,
        router.n_experts,
        encoding=AmplitudeEncoding() if circuit.prepares and not circuit.is_template else circuit.encoding,
        groups=groups,
        products=products,
        softmax=router.adapter is not None,
        n_inputs=None if router.projection is None else circuit.in_features,
        device="cpu",
        dtype=torch.float64,
    )


def _from_grid(router: QuantumRouter) -> DistilledRouter:
    circuit, top = router.circuit, router.circuit.max_frequency
    if circuit.is_template:
        check_frequency(circuit)
    if top is None:
        distilled = _shell(router, [tuple(range(circuit.in_features))])
        distilled.get_buffer("coefficients_0").copy_(_quadratic(router, distilled.groups[0], first=True))
        return distilled
    distilled = _shell(router, _groups(circuit))
    largest = max(map(len, distilled.groups))
    points = (2 * top + 1) ** largest
    if points > MAX_POINTS:
        most = int(math.log(MAX_POINTS) / math.log(2 * top + 1))
        raise ConfigError(
            f"The router's polynomial in {largest} features of degree {top} has {2 * top + 1}**{largest} coefficients "
            f"for each expert, more than {MAX_POINTS}; use up to {most} qubits (a router projects), or fewer uploads."
        )
    for index, group in enumerate(distilled.groups):
        # The bias, and what else is constant, is held by the first group alone.
        found = _trigonometric(router, group, first=index == 0, top=top)
        target = distilled.get_buffer(f"coefficients_{index}")
        target.copy_(found.reshape(target.shape))
    return distilled


def _groups(circuit: Circuit) -> list[tuple[int, ...]]:
    """Wires whose features share a polynomial: those that gates join; all where a read-out may join others."""
    return islands(circuit) if isinstance(circuit.readout, Expval) else [tuple(range(circuit.n_qubits))]


def _followed(router: QuantumRouter, truncation: Truncation) -> DistilledRouter:
    """From the words that are followed at the router's weights: groups of all products where those are few, else a list."""
    circuit, top = router.circuit, router.circuit.max_frequency
    groups = _groups(circuit) if circuit.is_template else []
    sizes = [(2 * top + 1) ** len(group) for group in groups] if top is not None else [MAX_POINTS + 1]
    is_small = max(sizes) <= MAX_POINTS
    if is_small and not truncation and not fits(circuit, router.n_experts):
        return _from_grid(router)  # a table of words and products would be larger than that of values
    found = _coefficients(router, truncation)
    is_local = sum(sizes) > max(_MIN_LATTICE, _SPARSE * sum(part.values.shape[1] for part in found.parts))
    if not is_small or is_local or truncation:
        return _as_products(router, found, truncation)
    distilled = _shell(router, groups)
    for index, group in enumerate(groups):
        assert top is not None
        total = np.zeros((router.n_experts, *(2 * top + 1,) * len(group)))
        total.reshape(router.n_experts, -1)[:, 0] = found.constant if index == 0 else 0.0
        for part in found.parts:
            if set(part.variables) <= set(group):
                n_waves = dict(zip(part.variables, part.n_waves, strict=True))
                taken = tuple(slice(n_waves.get(feature, 1)) for feature in group)
                total[(slice(None), *taken)] += part.values.reshape(router.n_experts, *(one.stop for one in taken))
        target = distilled.get_buffer(f"coefficients_{index}")
        target.copy_(torch.from_numpy(total).reshape(target.shape))
    return distilled


def _coefficients(router: QuantumRouter, truncation: Truncation | None) -> Coefficients:
    """The logits, or weights of the Born read-out, with their constants."""
    module, adapter, E = router.quantum, router.adapter, router.n_experts
    weights = module.weights.detach().cpu().double().reshape(-1).numpy()
    strength = None if module.noise_strength is None else float(module.noise_strength)
    if adapter is None:
        n_outputs = router.circuit.n_outputs
        mixture, bias = np.full((E, n_outputs), 1 / E), np.zeros(E)
        mixture[:, :E] = np.eye(E)
    else:
        mixture = adapter.weight.detach().cpu().double().numpy()
        bias = adapter.bias.detach().cpu().double().numpy()
    if not (np.isfinite(weights).all() and np.isfinite(mixture).all() and np.isfinite(bias).all()):
        raise _not_finite()
    found = coefficients_of(router.circuit, weights, mixture, strength, truncation)
    return Coefficients(found.constant + bias, found.parts, found.variables)


def _as_products(router: QuantumRouter, found: Coefficients, truncation: Truncation) -> DistilledRouter:
    products, total = found.summed()
    kept = (total[:, :-1] != 0).any(0)
    distilled = _shell(router, [], products.taken(kept))
    distilled.get_buffer("constant").copy_(torch.from_numpy(total[:, -1]))
    distilled.get_buffer("coefficients").copy_(torch.from_numpy(total[:, :-1][:, kept]))
    if truncation:
        why = why_no_certificate(router.circuit)
        bounds = [part.dropped if why is None else part.dropped_sum for part in found.parts]
        distilled.dropped = float(sum(bounds, np.zeros(1)).max())
        distilled.why_no_certificate = why
        if why is None:
            distilled.certificate = (
                "sum of the norms of what was dropped, over uniform angles, at the weights of the router"
            )
    return distilled


def _rms(distilled: DistilledRouter, router: QuantumRouter, x: Tensor) -> float | None:
    """Root mean square of the difference on rows; None where the router can be neither run nor followed exactly."""
    router.validate_input(x)
    rows = x.detach().cpu().double()
    if not rows.numel():
        return 0.0
    inputs = rows if distilled.projection is None else distilled.projection(rows)
    if _is_compared(router.circuit):
        exact = _run(router, inputs, tuple(range(router.circuit.n_outputs)), first=True)
    else:
        try:
            exact = _as_products(router, _coefficients(router, None), Truncation())._of_inputs(inputs)
        except ConfigError:
            return None
    return float((distilled._of_inputs(inputs) - exact).square().mean().sqrt())


def _not_finite() -> ConfigError:
    return ConfigError(
        "The router's logits are not finite, so there is nothing to distil; train it again, at a lower lr."
    )


def _check_agreement(distilled: DistilledRouter, router: QuantumRouter) -> None:
    """Raises `ConfigError` unless the polynomials agree with the circuit at points that they were not fitted to."""
    x = random_points(router.circuit, _CHECKED, torch.Generator().manual_seed(0))
    wires = tuple(range(router.circuit.n_outputs))
    expected = _run(router, x, wires, first=True)
    if not bool(expected.isfinite().all()):
        raise _not_finite()
    off = float((distilled._of_inputs(x) - expected).abs().max())
    if not off <= _AGREES * max(1.0, float(expected.abs().max())):
        top = router.circuit.max_frequency
        kind = "a quadratic form of x / |x|" if top is None else f"a trigonometric polynomial of degree {top}"
        raise ConfigError(
            f"The router is not what its encoding declares: by max_frequency={top} of {router.circuit.encoding!r} its "
            f"logits are {kind}, but they differ from it by {off:.2g}. Declare the largest frequency of a feature, which is "
            "the number of rotations by it, and encode feature i on wire i."
        )


def _run(router: QuantumRouter, x: Tensor, wires: tuple[int, ...], first: bool) -> Tensor:
    """Logits, or weights of the Born read-out, at inputs of the circuit: ``(N, E)`` in float64, from the given wires."""
    module = router.quantum
    strength = None if module.noise_strength is None else module.noise_strength.cpu().double()
    weights = module.weights.detach().cpu().double()
    runner, _ = choose_engine(router.circuit, x.device)
    adapter = router.adapter
    parts = []
    for chunk in x.split(_CHUNK):
        out = runner.evaluate(router.circuit, chunk, weights, strength)
        if adapter is None:
            named, rest = out[:, : router.n_experts], out[:, router.n_experts :]
            parts.append(named + rest.sum(-1, keepdim=True) / router.n_experts)
        else:
            held = out[:, list(wires)] @ adapter.weight.detach().cpu().double()[:, list(wires)].mT
            parts.append(held + adapter.bias.detach().cpu().double() if first else held)
    return torch.cat(parts)


def _trigonometric(router: QuantumRouter, group: tuple[int, ...], first: bool, top: int) -> Tensor:
    """``(E, 2R + 1, ..., 2R + 1)`` coefficients of products of 1, cos x, sin x, cos 2x, ... of the features of a group."""
    side = 2 * top + 1
    line = torch.arange(side, dtype=torch.float64) * (2 * math.pi / side)
    points = torch.zeros(side ** len(group), router.circuit.in_features, dtype=torch.float64)
    points[:, list(group)] = torch.cartesian_prod(*[line] * len(group)).reshape(-1, len(group))
    own = group if isinstance(router.circuit.readout, Expval) else tuple(range(router.circuit.n_outputs))
    found = _run(router, points, own, first).mT.reshape(router.n_experts, *[side] * len(group))
    waves = torch.outer(line, torch.arange(1, top + 1, dtype=torch.float64))
    # On equispaced angles these functions are orthogonal, so each axis is solved by a product with them.
    solve = torch.stack([waves.cos(), waves.sin()], -1).flatten(1) * (2 / side)
    solve = torch.cat([torch.full((side, 1), 1 / side, dtype=torch.float64), solve], 1)
    for _ in group:
        found = torch.tensordot(found, solve, dims=([1], [0]))  # takes the first axis off and adds one at the end
    return found


def _quadratic(router: QuantumRouter, group: tuple[int, ...], first: bool) -> Tensor:
    """``(E, F, F)`` symmetric matrices of the quadratic forms of ``x / |x|``, constants held by their diagonals."""
    n = len(group)
    eye = torch.eye(n, dtype=torch.float64)
    rows = torch.tensor(list(itertools.combinations(range(n), 2)), dtype=torch.long).reshape(-1, 2)
    wires = tuple(range(router.circuit.n_outputs))
    values = _run(router, torch.cat([eye, eye[rows[:, 0]] + eye[rows[:, 1]]]), wires, first)
    diagonal, pairs = values[:n], values[n:]
    # (e_i + e_j) / sqrt 2 has the value (A_ii + A_jj) / 2 + A_ij.
    between = pairs - (diagonal[rows[:, 0]] + diagonal[rows[:, 1]]) / 2
    found = torch.diag_embed(diagonal.mT)
    found[:, rows[:, 0], rows[:, 1]] = between.mT
    found[:, rows[:, 1], rows[:, 0]] = between.mT
    return found
