"""The classical twin of a quantum router: a gate on the same functions, all of whose coefficients are free."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.compilable import Functions, WaveProducts
from qmoe.errors import ConfigError, check_sizes
from qmoe.layers import Device, DType, Linear, Rng, affine, check_same
from qmoe.routers.base import Router
from qmoe.routers.features import FeatureRouter, standardised
from qmoe.routers.functions.bare import bare
from qmoe.routers.functions.basis import Basis
from qmoe.routers.functions.behind_map import products_behind, waves_behind
from qmoe.routers.functions.certificate import left_out_certificate
from qmoe.routers.functions.feature_blocks import Blocks
from qmoe.routers.functions.products import Products
from qmoe.routers.functions.propagation.valued import coefficients_of
from qmoe.routers.functions.reach import MAX_FUNCTIONS, circuit_basis
from qmoe.routers.functions.sampling import Sampling, sample_frequencies
from qmoe.routers.functions.terms import WaveTerm
from qmoe.routers.quantum import QuantumRouter, check_encoded, require_quantum
from qmoe.routers.sums.product_sums import ProductSums
from qmoe.routers.sums.sum_autograd import compiles, sum_up
from qmoe.torch_internals import constant_when_compiled

#: Values of products that are held at once where rows are measured, rows at once, and coefficients that are rounding.
_MAX_VALUES, _CHUNK, _ROUNDING = 2**22, 256, 1e-14


class TwinRouter(FeatureRouter):
    """``softmax(W phi(x) + b)`` over the functions phi that a circuit computes from its features.

    The gate logits of a `QuantumRouter` with this circuit are such a gate for some W and b, so whatever the circuit can
    learn, its twin can represent: a superset, with neither circuit nor engine. For a circuit with the Born read-out, whose
    weights are probabilities and not a softmax, the twin is a softmax gate on the same functions: the classical model to
    train instead, though not a superset of the routing weights.

    At the paper's sizes (two qubits, two experts) phi has 8 functions and the twin 18 parameters; only the
    difference of its two logits matters, with 9.

    Args:
        circuit: the circuit of the quantum router. Noise that adds no function is left aside: all but channels that
            add Pauli words to others, such as relaxation, and gates that turn too far.
        n_experts: number of experts E; the gate has ``E (K + 1)`` parameters for K functions.
        in_features: number of features F; by default as many as the circuit takes. With angle encoding, another number puts
            a trainable linear map in front, as `QuantumRouter` does.
        without: functions to leave out, each by its name (``"cos x0 sin x1"``) or by its frequency, a number for each
            input of the circuit (``(1, 1)``: all products of frequency 1 in both). The twin is then restricted on purpose,
            and not a superset.
        sampling: None for all functions. Where those are too many, a `Sampling`: cos k.x and sin k.x for random frequencies
            k (Landman et al. 2022, arXiv:2210.13200). A sample is not a superset.
        max_functions: the largest basis to build without sampling.
        max_weight: only products of at most so many features: a restricted twin, for circuits with too many functions. How
            much that can miss at most is in ``certificate``.
        generator: source of the sample and then of the initial weights, which are uniform in ``+-1 / sqrt(K)`` as those of
            `torch.nn.Linear`; all functions lie in [-1, 1]. Torch's default generator if None.
        device, dtype: as of `Router`.

    Attributes:
        certificate: with ``max_weight=k``, a bound on ``E_x (f - f_k)^2`` over uniform angles, for every read-out f of the
            circuit at every value of its weights, where f_k holds the products of at most k features: ``2^-(k+1)`` for
            Pauli words (the proof is in `qmoe.routers.functions.certificate`). A logit ``a . f`` has ``|a|^2`` times as much
            at most. None where no certificate was found, with the reason in ``why_no_certificate``; 0 for the whole span.
        rms: root mean square of ``f - f_k`` on the rows that `qmoe.twin` was given, over all read-outs, at the weights that
            the router had; None without, and for circuits too large to follow at given weights.

    Raises:
        ConfigError: for more functions than ``max_functions``, or options that do not go together.
        UnsupportedError: for a sample of amplitude encoding, or a circuit without a fixed set of functions.

    Example:
        >>> import qmoe
        >>> twin = TwinRouter(qmoe.Circuit(n_qubits=2, n_layers=3), n_experts=2)
        >>> sum(p.numel() for p in twin.parameters())
        18
    """

    runs_stacked = True
    waves: Tensor | None
    rms: float | None = None
    without: tuple[str | tuple[float, ...], ...] = ()  # of twins that were pickled before they kept it

    def __init__(
        self,
        circuit: Circuit,
        n_experts: int,
        in_features: int | None = None,
        *,
        without: Iterable[str | Iterable[float]] = (),
        sampling: Sampling | None = None,
        max_functions: int = MAX_FUNCTIONS,
        max_weight: int | None = None,
        generator: Rng = None,
        device: Device = None,
        dtype: DType = None,
    ) -> None:
        in_features = circuit.in_features if in_features is None else in_features
        check_sizes(in_features=in_features, n_experts=n_experts, max_functions=max_functions)
        if max_weight is not None:
            check_sizes(max_weight=max_weight)
        projects = in_features != circuit.in_features
        if projects and circuit.prepares:
            raise ConfigError(
                f"in_features is {in_features}, but the circuit prepares {circuit.in_features} amplitude(s); build the "
                "circuit for as many features as there are."
            )
        left_out = _listed(without)
        basis = None
        if sampling is None:
            basis = circuit_basis(circuit, n_experts, max_functions, max_weight).without(left_out)
            n_functions = len(basis)
            if not n_functions:
                raise ConfigError("This circuit computes nothing but constants, so it has no twin; use UniformRouter.")
        elif not isinstance(sampling, Sampling):
            raise ConfigError(
                f"sampling is {sampling!r}, expected None or a qmoe.routers.Sampling, such as Sampling(n_functions=512)."
            )
        elif left_out or max_weight is not None:
            raise ConfigError("without and max_weight take functions of the whole span; leave out sampling.")
        else:
            n_functions = sampling.n_functions
        super().__init__(in_features, n_experts, n_functions, device=device, dtype=dtype, draw=False)
        self.circuit = bare(circuit)
        self.sampling = sampling
        self.max_weight = max_weight
        self.without = left_out
        self.certificate, self.why_no_certificate = left_out_certificate(circuit, basis, max_weight, left_out)
        self._basis = basis
        if sampling is None:
            self.waves = None  # not a buffer that is None: torch.export counts those
        else:
            # A buffer: twins that drew different frequencies train in one stack.
            self.register_buffer("waves", self.weight.new_empty(n_functions // 2, circuit.in_features))
        self.projection = None
        if projects:
            self.projection = Linear(in_features, circuit.in_features, device=device, dtype=dtype, draw=False)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Rng = None) -> None:
        """Draws the frequencies of a sample, then W and b, then the map in front."""
        if self.sampling is not None and self.waves is not None and not self.waves.is_meta:
            self.waves.copy_(sample_frequencies(self.circuit, self.sampling, generator))
        super().reset_parameters(generator)
        if self.projection is not None:
            self.projection.reset_parameters(generator)

    def config(self) -> dict[str, Any]:
        """The circuit, what was left out of its functions, and a hash of those that are left."""
        own = {name: getattr(self, name) for name in ("circuit", "n_experts", "in_features", "max_weight", "without")}
        own["sampling"] = None if self.sampling is None else dataclasses.asdict(self.sampling)
        # The certificate is that of the noise that the circuit had, which the twin does not keep.
        bounds = (self.certificate, self.why_no_certificate, self.rms)
        return {**own, "functions": self.described().get("functions"), "bounds": bounds}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], **making: Any) -> Self:
        """The twin of what `config` gave.

        Raises:
            ConfigError: for options that the constructor refuses, and where the functions are others than those written.
        """
        options = dict(config)
        functions, bounds = options.pop("functions", None), options.pop("bounds", (None, None, None))
        if options.get("sampling") is not None:
            options["sampling"] = Sampling(**options["sampling"])
        twin = super().from_config(options, **making)
        if (found := twin.described().get("functions")) != functions:
            raise ConfigError(
                f"The twin has {found}, and was written with {functions}: its weights would belong to other functions; read "
                "it with the qmoe that wrote it."
            )
        twin.certificate, twin.why_no_certificate, twin.rms = bounds
        return twin

    def described(self) -> dict[str, str]:
        """The functions, by a hash of their names; those of a sample stand in a buffer."""
        if self._basis is None:
            return {}
        named = hashlib.sha256("; ".join(self._basis.names).encode()).hexdigest()[:12]
        return {"functions": f"{len(self._basis)} functions {named}"}

    @property
    def basis(self) -> Basis:
        """The functions of the gate, by name, in the order of the columns of ``weight``."""
        if self._basis is not None:
            return self._basis
        assert self.waves is not None
        drawn = [tuple(float(k) for k in wave) for wave in self.waves]
        terms = tuple(WaveTerm(wave, function) for function in ("cos", "sin") for wave in drawn)
        return Basis(self.circuit.in_features, terms, complete=False)

    def validate_input(self, x: Tensor) -> None:
        """As that of `QuantumRouter`: raises `ShapeError` for what the circuit could not encode, warns beyond one period."""
        check_encoded(self, x, self.projection, self.circuit.encoding, self.circuit.prepares)

    def features(self, x: Tensor) -> Tensor:
        """``phi``: ``(..., F)`` to ``(..., K)``."""
        if self.checks_input and (self.projection is not None or self._basis is None):
            check_same(x.dtype, x.device, self.weight.dtype, self.weight.device)
        if self.projection is not None:
            x = self.projection(x)
        if self._basis is not None:
            return self._basis.values(x)
        assert self.waves is not None
        angles = affine(x, self.waves, self.waves.new_zeros(self.waves.shape[:-1]))
        return torch.cat([angles.cos(), angles.sin()], -1)

    @cached_property
    def _products(self) -> Products | None:
        """The functions, where they are products of waves; None in a subclass with others of its own."""
        terms = None if self._basis is None else self._basis.terms
        return terms if isinstance(terms, Products) and self._is_plain else None

    @property
    def _is_plain(self) -> bool:
        return type(self).features is TwinRouter.features and type(self).functions is FeatureRouter.functions

    @cached_property
    def _blocks(self) -> Blocks | None:
        return None if self._products is None else Blocks.of(self._products)

    @cached_property
    def _sums(self) -> ProductSums | None:
        return None if self._products is None else ProductSums.of(self._products, self.circuit.in_features)

    def _combined(self, x: Tensor) -> Tensor:
        """The logits: in compiled code, by bilinear forms where the functions are many, or from all their values."""
        if torch.compiler.is_dynamo_compiling():
            self._prepare()
        if self._products is None:
            return super()._combined(x)
        weight, bias, centre, scale = self.weight, self.bias, self.centre, self.scale
        if self.projection is not None:
            if self.checks_input:
                check_same(x.dtype, x.device, weight.dtype, weight.device)
            x = self.projection(x)
        if self._sums is not None and compiles(self._sums, x, weight, bias, centre, scale):
            return sum_up(self._sums, self._written, x, weight, bias, centre, scale)
        return self._written(x, weight, bias, centre, scale)

    @constant_when_compiled
    def _prepare(self) -> bool:
        """Makes what is kept from call to call, into whose making torch.compile does not look."""
        if self._basis is not None and self._blocks is None:
            self._basis.values(torch.ones(1, self.circuit.in_features, device="cpu"))
        return self._sums is not None

    def _written(self, x: Tensor, weight: Tensor, bias: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
        """The same in operations of torch, of what the circuit would encode."""
        if self._blocks is None:
            assert self._products is not None
            return affine(standardised(self._products.values(x), centre, scale), weight, bias)
        slope = weight / scale.unsqueeze(-2)
        if slope.dim() == 2:
            constant = torch.addmv(bias, slope, centre, alpha=-1)
        else:
            constant = bias - (slope @ centre.unsqueeze(-1)).squeeze(-1)
        return self._blocks.sums(x, self._blocks.spread(slope, constant))

    def _source(self, trained: set[str]) -> Functions | WaveProducts | None:
        """Functions behind the map in front, which change as it trains."""
        own = {"weight", "bias", "projection.weight", "projection.bias"}
        if self.projection is None or not self._is_plain or trained != own:
            return super()._source(trained)
        scaling = self.centre, self.scale
        if self.waves is not None:
            return waves_behind(self.projection, self.waves, *scaling)
        return None if self._products is None else products_behind(self.projection, self._products, *scaling)

    def extra_repr(self) -> str:
        """Sizes, and whether the gate holds all that the circuit can compute."""
        if self.sampling is not None:
            return f"{super().extra_repr()}, a {self.sampling.strategy} sample of the circuit's frequencies, not a superset"
        assert self._basis is not None
        holds = "all that the circuit computes" if self._basis.complete else "with functions left out, not a superset"
        if self.max_weight is not None and not self._basis.complete:
            bound = "no certificate found"
            if self.certificate is not None:
                bound = f"mean square left out {self.certificate:.2g}"
            holds = f"of up to {self.max_weight} feature(s), not a superset ({bound})"
        return f"{super().extra_repr()}, {self._basis.kind}, {holds}"


def twin(
    router: Router,
    *,
    without: Iterable[str | Iterable[float]] = (),
    sampling: Sampling | None = None,
    max_functions: int = MAX_FUNCTIONS,
    max_weight: int | None = None,
    x: Tensor | None = None,
    generator: Rng = None,
) -> TwinRouter:
    """A classical router over the span of functions of a quantum router, untrained: it can represent all that one computes.

    Args:
        router: the `QuantumRouter`; only its description counts, not the values of its weights.
        without: functions or frequencies to leave out; see `TwinRouter`.
        sampling: None for the whole span; a `qmoe.routers.Sampling` for a random sample of a large one.
        max_functions: the largest basis to build without sampling.
        max_weight: only products of at most so many features; see `TwinRouter`.
        x: ``(N, F)`` rows on which to measure what ``max_weight`` leaves out at the router's weights, as ``rms``.
        generator: source of the twin's initial weights (and of the sample); torch's default generator if None.

    Returns:
        A `TwinRouter` with the router's sizes, device and dtype, and a trainable projection where the router has one.

    Raises:
        ConfigError: for anything but a QuantumRouter, and as `TwinRouter` does.
    """
    router = require_quantum(router, "twin")
    found = TwinRouter(
        router.circuit,
        router.n_experts,
        router.in_features,
        without=without,
        sampling=sampling,
        max_functions=max_functions,
        max_weight=max_weight,
        generator=generator,
        device=router.quantum.weights.device,
        dtype=router.quantum.weights.dtype,
    )
    if x is not None:
        if max_weight is None:
            raise ConfigError("x measures what max_weight leaves out; give max_weight, or leave out x.")
        found.rms = _left_out(router, max_weight, x)
    return found


@torch.no_grad()
def _left_out(router: QuantumRouter, max_weight: int, x: Tensor) -> float | None:
    """Root mean square over rows and read-outs of all products of more features; None for a circuit too large to follow."""
    router.validate_input(x)
    x = x if router.projection is None else router.projection(x)
    rows, weights = x.detach().cpu().double().reshape(-1, x.shape[-1]), router.quantum.weights.detach().cpu().double()
    strength = router.quantum.noise_strength
    try:
        found = coefficients_of(
            router.circuit, weights.reshape(-1).numpy(), strength=None if strength is None else float(strength)
        )
    except ConfigError:
        return None
    products, values = found.summed()
    heavy = (products.weights > max_weight) & (np.abs(values[:, :-1]).max(0) > _ROUNDING)
    products, held = products.taken(heavy), torch.from_numpy(values[:, :-1][:, heavy])
    blocks, total = Blocks.of(products), 0.0
    spread = None if blocks is None else blocks.spread(held, held.new_zeros(len(held)))
    for part in rows.split(max(1, _MAX_VALUES // max(len(products), 1)) if spread is None else _CHUNK):
        missing = products.values(part) @ held.mT if blocks is None or spread is None else blocks.sums(part, spread)
        total += float(missing.square().sum())
    return math.sqrt(total / max(len(rows) * len(held), 1))


def _listed(without: Iterable[str | Iterable[float]]) -> tuple[str | tuple[float, ...], ...]:
    if isinstance(without, str):
        raise ConfigError(f"without is {without!r}, expected a list of names or frequencies: without=[{without!r}].")
    items: list[str | tuple[float, ...]] = []
    for item in without:
        if not isinstance(item, (str, Iterable)):
            raise ConfigError(f"without holds {item!r}, expected names or frequencies: without=[(1, 1)], for example.")
        items.append(item if isinstance(item, str) else tuple(item))
    return tuple(items)
