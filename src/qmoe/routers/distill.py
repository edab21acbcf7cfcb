"""A trained quantum router as a classical module that computes the same numbers."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from qmoe.circuits import ENCODINGS, Encoding
from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Linear, Rng, affine, check_dtype
from qmoe.routers.base import SoftmaxRouter
from qmoe.routers.functions.feature_blocks import Blocks
from qmoe.routers.functions.products import Products, outer, wave_table
from qmoe.routers.functions.terms import Variable
from qmoe.routers.quantum import check_encoded, no_logits
from qmoe.torch_internals import constant_when_compiled

_FORMAT = "qmoe-distilled-router"
#: Of files with groups, and with products.
_VERSIONS = ("2", "3")
#: Inputs of one group, and number of a wave, at most: a group has ``3**n`` coefficients at least.
_MAX_GROUP, _MAX_WAVE = 64, 2**17


class DistilledRouter(SoftmaxRouter):
    """What a trained `QuantumRouter` computes, as a trigonometric polynomial or a quadratic form with fixed coefficients.

    Made by `qmoe.distill` or read by `load`; it runs no circuit, and has buffers in place of parameters.

    Args:
        in_features: number of features F.
        n_experts: number of experts E.
        encoding: the encoding of the router, which says what kind of functions these are; None for a circuit made of
            operations.
        groups: which inputs of the circuit share a polynomial; the polynomials of all groups are added.
        products: in place of groups, the products of sines and cosines that occur, where those are few among many.
        softmax: whether the weights are a softmax of the polynomials, or the polynomials themselves (Born read-out).
        n_inputs: number of inputs of the circuit where a linear map stands in front; None without one.
        device, dtype: as of `Router`.

    Attributes:
        dropped: 0 where nothing was dropped. Else a bound on how far the logits (or weights) of an expert may be from the
            router's: on the root mean square over uniform angles where ``certificate`` is there, anywhere where it is None.
        certificate: what that bound rests on; None where its conditions fail, with the reason in ``why_no_certificate``.
        rms: root mean square of the difference on the rows that `qmoe.distill` was given; None without.
    """

    runs_stacked = True
    dropped: float = 0.0
    certificate: str | None = None
    why_no_certificate: str | None = None
    rms: float | None = None

    def __init__(
        self,
        in_features: int,
        n_experts: int,
        *,
        encoding: Encoding | None,
        groups: Iterable[Iterable[int]] = (),
        products: Products | None = None,
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
        self.products = products
        if products is not None:
            self.register_buffer("constant", make(n_experts))
            self.register_buffer("coefficients", make(n_experts, len(products)))
        self.reset_parameters()

    def reset_parameters(self, generator: Rng = None) -> None:
        """Sets everything to 0, as it is before `qmoe.distill` or `load` fills it in; nothing is random."""
        del generator
        for buffer in self.buffers():
            nn.init.zeros_(buffer)

    def described(self) -> dict[str, str]:
        """What the coefficients belong to."""
        found = {"encoding": str(self.encoding), "groups": str(self.groups), "softmax": str(self.softmax)}
        return found if self.products is None else {**found, "products": self.products.digest}

    def config(self) -> dict[str, Any]:
        """Sizes, what the coefficients belong to, and what was dropped.

        Raises:
            ConfigError: for an encoding of your own, which a file cannot hold.
        """
        encoding, products = self.encoding, self.products
        if encoding is not None and ENCODINGS.get(encoding.name) is not type(encoding):
            raise ConfigError(
                f"A file holds the encodings {', '.join(ENCODINGS)} of qmoe, not {self.encoding!r}; keep this router by "
                "torch.save(router, path) or pickle, beside the code of its encoding."
            )
        listed: dict[str, Any] | None = None
        if products is not None:
            variables = products.variables
            listed = {name: torch.from_numpy(getattr(products, name)) for name in ("features", "waves")}
            listed["variables"] = None if variables is None else [dataclasses.astuple(v) for v in variables]
        return {
            "in_features": self.in_features,
            "n_experts": self.n_experts,
            "encoding": None if encoding is None else {"name": encoding.name, **dataclasses.asdict(encoding)},  # type: ignore[call-overload]
            "groups": self.groups,
            "softmax": self.softmax,
            "n_inputs": None if self.projection is None else len(self.projection.bias),
            "products": listed,
            "bounds": (self.dropped, self.certificate, self.why_no_certificate, self.rms),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """The router of what `config` gave.

        Raises:
            ConfigError: for options that the constructor refuses, and for functions of features that there are not.
        """
        options = dict(config)
        bounds, encoding = options.pop("bounds", (0.0, None, None, None)), options.pop("encoding", None)
        if encoding is not None:
            named = dict(encoding)
            encoding = ENCODINGS[named.pop("name")](**named)
        products = options.pop("products", None)
        n_inputs = options["in_features"] if options.get("n_inputs") is None else options["n_inputs"]
        _check_groups(options.get("groups", ()), n_inputs, encoding, products is None)
        if products is not None:
            products = _products(products["features"], products["waves"], products["variables"], n_inputs)
        router = super().from_config({**options, "encoding": encoding, "products": products}, **making)
        router.dropped, router.certificate, router.why_no_certificate, router.rms = bounds
        return router

    def _sides(self, group: tuple[int, ...]) -> tuple[int, int]:
        """Numbers of functions on either side of the bilinear form of a group."""
        assert self.encoding is not None
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
        if self.products is not None:
            return self._of_products(x)
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

    def _of_products(self, x: Tensor) -> Tensor:
        assert self.products is not None
        if torch.compiler.is_dynamo_compiling():
            self._prepare()
        constant, coefficients = self.get_buffer("constant"), self.get_buffer("coefficients")
        if self._blocks is None:
            return affine(self.products.values(x), coefficients, constant)
        return self._blocks.sums(x, self._blocks.spread(coefficients, constant))

    @constant_when_compiled
    def _prepare(self) -> bool:
        """Makes what is kept from call to call, into whose making torch.compile does not look."""
        if self.products is not None and self._blocks is None:
            n_inputs = self.in_features if self.projection is None else len(self.projection.bias)
            self.products.values(torch.ones(1, n_inputs, device="cpu"))
        return True

    @cached_property
    def _blocks(self) -> Blocks | None:
        return None if self.products is None else Blocks.of(self.products)

    def _factors(self, x: Tensor, group: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Products over the first and the second half of a group's features; for amplitudes both are ``x / |x|``."""
        assert self.encoding is not None
        top = self.encoding.max_frequency
        if top is None:
            y = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return y, y
        table, half = wave_table(x[..., list(group)], top), len(group) // 2
        return outer(table[..., :half, :]), outer(table[..., half:, :])

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
        config = self.config()
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        version, products, bounds = _VERSIONS[0], config.pop("products"), config.pop("bounds")
        if products is not None:
            version = _VERSIONS[1]
            config |= {"variables": products["variables"], "bounds": bounds}
            tensors |= {f"products.{name}": products[name] for name in ("features", "waves")}
        metadata = {"format": _FORMAT, "version": version, "config": json.dumps(config)}
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
        if metadata.get("format") != _FORMAT or metadata.get("version") not in _VERSIONS:
            raise ConfigError(
                f"{path} is marked {metadata.get('format')!r}, version {metadata.get('version')!r}; expected "
                f"{_FORMAT!r}, version {' or '.join(_VERSIONS)}: a file that DistilledRouter.save wrote."
            )
        try:
            config: dict[str, Any] = json.loads(metadata["config"])
            variables = config.pop("variables", None)
            if metadata["version"] == _VERSIONS[1]:
                listed = {name: tensors.pop(f"products.{name}") for name in ("features", "waves")}
                config["products"] = {**listed, "variables": variables}
            dtype = next(iter(tensors.values())).dtype
            router = cls.from_config(config, device=device, dtype=dtype)
            router.load_state_dict(tensors)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
            # The format is right, so what is in it was cut short or changed.
            raise _broken(path, error) from error
        return router

    def extra_repr(self) -> str:
        """Sizes, and the number of coefficients."""
        count = sum(getattr(self, f"coefficients_{index}").numel() for index in range(len(self.groups)))
        if self.products is not None:
            count = self.get_buffer("constant").numel() + self.get_buffer("coefficients").numel()
        where = "operations" if self.encoding is None else self.encoding
        dropped = f", dropped up to {self.dropped:.2g}" if self.dropped else ""
        return f"{super().extra_repr()}, {where}, {count} coefficients{dropped}"


def _broken(path: str | Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read as a distilled router: it is broken or was cut short ({' '.join(str(error).split())}). "
        "Write it again with DistilledRouter.save, or copy it anew."
    )


def _check_groups(groups: Iterable[Iterable[int]], n_inputs: int, encoding: Encoding | None, are_needed: bool) -> None:
    """Refuses groups of inputs that there are not, or of more functions than a file holds."""
    listed = [list(group) for group in groups]
    if (listed and encoding is None) or (are_needed and not listed):
        raise ConfigError("A distilled router has groups of inputs and their encoding, or products.")
    for group in listed:
        if not 0 < len(group) <= _MAX_GROUP or not all(type(i) is int and 0 <= i < n_inputs for i in group):
            raise ConfigError(f"A group is {group[:9]}, expected up to {_MAX_GROUP} of {n_inputs} input(s), from 0.")


def _products(features: Tensor, waves: Tensor, variables: Any, n_inputs: int) -> Products:
    """Products of what a file says, whose places are used unseen afterwards."""
    named = None if variables is None else [Variable(tuple(inputs), float(unit)) for inputs, unit in variables]
    for inputs in () if named is None else (variable.features for variable in named):
        if not inputs or not all(type(i) is int and 0 <= i < n_inputs for i in inputs):
            raise ConfigError(f"A variable is a product of the inputs {inputs}, expected some of {n_inputs}, from 0.")
    n_variables = n_inputs if named is None else len(named)
    for name, table, top in (("features", features, n_variables - 1), ("waves", waves, _MAX_WAVE)):
        if table.dtype != torch.int32 or table.dim() != 2 or table.shape != features.shape:
            raise ConfigError(f"products.{name} is {table.dtype} of shape {tuple(table.shape)}, expected a row each.")
        if table.numel() and not 0 <= int(table.min()) <= int(table.max()) <= top:
            raise ConfigError(f"products.{name} holds numbers outside of 0 to {top}.")
    return Products(features.cpu().numpy(), waves.cpu().numpy(), named)


def _rows(coefficients: Tensor) -> tuple[int, ...]:
    """Shape of a bias for coefficients ``(*S, E, left, right)``."""
    return (*coefficients.shape[:-3], int(np.prod(coefficients.shape[-3:-1])))
