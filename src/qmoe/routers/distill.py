"""A trained quantum router as a classical module that computes the same numbers."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from qmoe.circuits import ENCODINGS, Encoding
from qmoe.engines import choose_engine
from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Linear, Rng, affine, check_dtype
from qmoe.routers.base import Router, SoftmaxRouter
from qmoe.routers.functions.declared import check_frequency, random_points
from qmoe.routers.functions.pauli_words import islands
from qmoe.routers.quantum import QuantumRouter, check_encoded, no_logits
from qmoe.routers.twin import require_quantum

#: Points of the largest grid on which a circuit is evaluated, for each group of wires that gates join.
MAX_POINTS = 1_000_000
_CHUNK = 4096
#: Random points at which a distilled router must agree with the circuit, and how far apart they may be for each unit.
_CHECKED, _AGREES = 64, 1e-8
_FORMAT = "qmoe-distilled-router"
_VERSION = "2"


class DistilledRouter(SoftmaxRouter):
    """What a trained `QuantumRouter` computes, as a trigonometric polynomial or a quadratic form with fixed coefficients.

    Made by `qmoe.distill` or read by `load`; it runs no circuit, and has buffers in place of parameters.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        encoding: the encoding of the router, which says what kind of functions these are.
        groups: which inputs of the circuit share a polynomial; the polynomials of all groups are added.
        softmax: whether the weights are a softmax of the polynomials, or the polynomials themselves (Born read-out).
        n_inputs: number of inputs of the circuit where a linear map stands in front; None without one.
        device, dtype: as of `Router`.
    """

    runs_stacked = True

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        encoding: Encoding,
        groups: Iterable[Iterable[int]],
        softmax: bool = True,
        n_inputs: int | None = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        super().__init__(in_features, n_experts)
        self.encoding = encoding
        self.groups = tuple(tuple(group) for group in groups)
        self.softmax = softmax
        make = functools.partial(torch.empty, device=device, dtype=check_dtype(dtype))
        self.projection = None
        if n_inputs is not None:
            check_sizes(n_inputs=n_inputs)
            self.projection = Linear(in_features, n_inputs, trainable=False, device=device, dtype=dtype, draw=False)
        for index, group in enumerate(self.groups):
            self.register_buffer(f"coefficients_{index}", make(n_experts, *self._sides(group)))
        self.reset_parameters()

    def reset_parameters(self, generator: Rng = None) -> None:
        """Sets everything to 0, as it is before `qmoe.distill` or `load` fills it in; nothing is random."""
        del generator
        for buffer in self.buffers():
            nn.init.zeros_(buffer)

    def described(self) -> dict[str, str]:
        """What the coefficients belong to."""
        return {"encoding": str(self.encoding), "groups": str(self.groups), "softmax": str(self.softmax)}

    def _sides(self, group: tuple[int, ...]) -> tuple[int, int]:
        """Numbers of functions on either side of the bilinear form of a group."""
        top = self.encoding.max_frequency
        if top is None:
            return len(group), len(group)
        half = len(group) // 2
        return (2 * top + 1) ** half, (2 * top + 1) ** (len(group) - half)

    def validate_input(self, x: Tensor) -> None:
        """As that of `QuantumRouter`: raises `ShapeError` for what the circuit could not encode, warns beyond one period."""
        check_encoded(self, x, self.projection, self.encoding)

    def polynomials(self, x: Tensor) -> Tensor:
        """``(..., F)`` to ``(..., E)``: the logits, or the weights of a router with the Born read-out."""
        x = self.take(x)
        self.validate_input(x)
        return self._of_inputs(x if self.projection is None else self.projection(x))

    def _of_inputs(self, x: Tensor) -> Tensor:
        """The polynomials at inputs of the circuit, behind the linear map where there is one."""
        total: Tensor | None = None
        for index, group in enumerate(self.groups):
            left, right = self._factors(x, group)
            coefficients: Tensor = getattr(self, f"coefficients_{index}")
            mixed = affine(right, coefficients.flatten(-3, -2), coefficients.new_zeros(1).expand(*_rows(coefficients)))
            mixed = mixed.unflatten(-1, (self.n_experts, left.shape[-1]))
            part = (mixed * left.unsqueeze(-2)).sum(-1)
            total = part if total is None else total + part
        assert total is not None
        return total

    def _factors(self, x: Tensor, group: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Products over the first and the second half of a group's features; for amplitudes both are ``x / |x|``."""
        top = self.encoding.max_frequency
        if top is None:
            y = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return y, y
        x = x[..., list(group)]
        angles = x.unsqueeze(-1) * torch.arange(1, top + 1, dtype=x.dtype, device=x.device)
        waves = torch.stack([angles.cos(), angles.sin()], -1).flatten(-2)
        table = torch.cat([torch.ones_like(x).unsqueeze(-1), waves], -1)
        half = len(group) // 2
        return _outer(table[..., :half, :]), _outer(table[..., half:, :])

    def logits(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` logits.

        Raises:
            UnsupportedError: for a router with the Born read-out, which has none.
        """
        if not self.softmax:
            raise no_logits()
        return self.polynomials(x)

    def as_softmax(self) -> SoftmaxRouter | None:
        """This router; None for the Born read-out."""
        return self if self.softmax else None

    def forward(self, x: Tensor) -> Tensor:
        """``(..., F)`` features to ``(..., E)`` routing weights."""
        return super().forward(x) if self.softmax else self.polynomials(x).clamp_min(0)

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, which holds the description as well.

        Raises:
            ConfigError: for an encoding of your own, which a file cannot hold.
        """
        if ENCODINGS.get(self.encoding.name) is not type(self.encoding):
            raise ConfigError(
                f"A file holds the encodings {', '.join(ENCODINGS)} of qmoe, not {self.encoding!r}; keep this router by "
                "torch.save(router, path) or pickle, beside the code of its encoding."
            )
        config = {
            "in_features": self.in_features,
            "n_experts": self.n_experts,
            "encoding": {"name": self.encoding.name, **dataclasses.asdict(self.encoding)},  # type: ignore[call-overload]
            "groups": self.groups,
            "softmax": self.softmax,
            "n_inputs": None if self.projection is None else len(self.projection.bias),
        }
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        metadata = {"format": _FORMAT, "version": _VERSION, "config": json.dumps(config)}
        safetensors.torch.save_file(tensors, path, metadata=metadata)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> DistilledRouter:
        """Reads what `save` wrote; no quantum package is imported.

        Raises:
            ConfigError: for a file that is broken, or of another kind or version.
        """
        try:
            with safetensors.safe_open(path, framework="pt", device=str(device)) as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        except safetensors.SafetensorError as error:
            raise _broken(path, error) from error
        if metadata.get("format") != _FORMAT or metadata.get("version") != _VERSION:
            raise ConfigError(
                f"{path} is marked {metadata.get('format')!r}, version {metadata.get('version')!r}; expected "
                f"{_FORMAT!r}, version {_VERSION!r}: a file that DistilledRouter.save wrote."
            )
        try:
            config = json.loads(metadata["config"])
            encoding = config.pop("encoding")
            encoding = ENCODINGS[encoding.pop("name")](**encoding)
            dtype = next(iter(tensors.values())).dtype
            router = cls(**config, encoding=encoding, device=device, dtype=dtype)
            router.load_state_dict(tensors)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
            # The format is right, so what is in it was cut short or changed.
            raise _broken(path, error) from error
        return router

    def extra_repr(self) -> str:
        """Sizes, and the number of coefficients."""
        count = sum(getattr(self, f"coefficients_{index}").numel() for index in range(len(self.groups)))
        return f"{super().extra_repr()}, {self.encoding}, {count} coefficients"


def distill(router: Router) -> DistilledRouter:
    """A trained quantum router as a classical module, equal to it up to rounding: 1e-5 in float32, 1e-10 in float64.

    The coefficients are exact: with an angle encoding of R uploads every read-out is a trigonometric polynomial of degree R
    in each feature, which ``2R + 1`` equispaced angles of each determine; with amplitude encoding it is a quadratic form,
    which basis states and their pairs determine. Noise is part of what is distilled. The circuit is run in float64,
    whatever the dtype of the router. The result is compared with the circuit at random points.

    Args:
        router: a `QuantumRouter`.

    Returns:
        A `DistilledRouter` with the router's device and dtype; later changes of the router's weights do not reach it.

    Raises:
        ConfigError: for another kind of router, for a grid of more than a million angles, and for an encoding of your own
            that is not what it declares.
    """
    router = require_quantum(router, "distill")
    circuit, weights = router.circuit, router.quantum.weights
    if weights.shape != circuit.weight_shape:
        raise ConfigError(
            f"The router's weights have shape {tuple(weights.shape)}, expected {circuit.weight_shape}: distill takes one "
            "model, not a stack; write the stack back into its models first."
        )
    check_frequency(circuit)
    top = circuit.template.encoding.max_frequency
    groups = [tuple(range(circuit.in_features))] if top is None else islands(circuit)
    if top is not None:
        largest = max(map(len, groups))
        points = (2 * top + 1) ** largest
        if points > MAX_POINTS:
            most = int(math.log(MAX_POINTS) / math.log(2 * top + 1))
            raise ConfigError(
                f"The router's polynomial in {largest} features of degree {top} has {2 * top + 1}**{largest} coefficients "
                f"for each expert, more than {MAX_POINTS}; use up to {most} qubits (a router projects), or fewer uploads."
            )
    distilled = DistilledRouter(
        router.in_features,
        router.n_experts,
        encoding=circuit.template.encoding,
        groups=groups,
        softmax=router.adapter is not None,
        n_inputs=None if router.projection is None else circuit.n_qubits,
        device="cpu",
        dtype=torch.float64,
    )
    with torch.no_grad():
        if distilled.projection is not None and router.projection is not None:
            distilled.projection.load_state_dict(router.projection.state_dict())
        for index, group in enumerate(groups):
            solve = _quadratic if top is None else functools.partial(_trigonometric, top=top)
            # The bias, and what else is constant, is held by the first group alone.
            found = solve(router, group, first=index == 0)
            target = distilled.get_buffer(f"coefficients_{index}")
            target.copy_(found.reshape(target.shape))
        _check_agreement(distilled, router)
    return distilled.to(weights.device, weights.dtype)


def _check_agreement(distilled: DistilledRouter, router: QuantumRouter) -> None:
    """Raises `ConfigError` unless the polynomials agree with the circuit at points that they were not fitted to."""
    x = random_points(router.circuit, _CHECKED, torch.Generator().manual_seed(0))
    wires = tuple(range(router.circuit.n_qubits))
    expected = _run(router, x, wires, first=True)
    if not bool(expected.isfinite().all()):
        raise ConfigError(
            "The router's logits are not finite, so there is nothing to distil; train it again, at a lower lr."
        )
    off = float((distilled._of_inputs(x) - expected).abs().max())
    if not off <= _AGREES * max(1.0, float(expected.abs().max())):
        top = router.circuit.template.encoding.max_frequency
        kind = "a quadratic form of x / |x|" if top is None else f"a trigonometric polynomial of degree {top}"
        raise ConfigError(
            f"The router is not what its encoding declares: by max_frequency={top} of {router.circuit.encoding!r} its "
            f"logits are {kind}, but they differ from it by {off:.2g}. Declare the largest frequency of a feature, which is "
            "the number of rotations by it, and encode feature i on wire i."
        )


def _broken(path: str | Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read as a distilled router: it is broken or was cut short ({' '.join(str(error).split())}). "
        "Write it again with DistilledRouter.save, or copy it anew."
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
    found = _run(router, points, group, first).mT.reshape(router.n_experts, *[side] * len(group))
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
    wires = tuple(range(router.circuit.n_qubits))
    values = _run(router, torch.cat([eye, eye[rows[:, 0]] + eye[rows[:, 1]]]), wires, first)
    diagonal, pairs = values[:n], values[n:]
    # (e_i + e_j) / sqrt 2 has the value (A_ii + A_jj) / 2 + A_ij.
    between = pairs - (diagonal[rows[:, 0]] + diagonal[rows[:, 1]]) / 2
    found = torch.diag_embed(diagonal.mT)
    found[:, rows[:, 0], rows[:, 1]] = between.mT
    found[:, rows[:, 1], rows[:, 0]] = between.mT
    return found


def _outer(table: Tensor) -> Tensor:
    """``(..., f, T)`` to all products with one factor of each row, ``(..., T**f)``."""
    out = table.new_ones(*table.shape[:-2], 1)
    for row in range(table.shape[-2]):
        out = (out.unsqueeze(-1) * table[..., row, :].unsqueeze(-2)).flatten(-2)
    return out


def _rows(coefficients: Tensor) -> tuple[int, ...]:
    """Shape of a bias for coefficients ``(*S, E, left, right)``."""
    return (*coefficients.shape[:-3], int(np.prod(coefficients.shape[-3:-1])))
