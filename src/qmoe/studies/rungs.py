"""What each rung of the ladder changes, and where it does not apply."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from qmoe.circuits import Circuit, NoiseModel, RouterCircuitSpec
from qmoe.errors import ConfigError, UnsupportedError, count
from qmoe.routers import QuantumRouter, StochasticRouter, TwinRouter
from qmoe.routers.functions.ranks import is_constant, jacobian_rank
from qmoe.routers.stochastic import MAX_FEATURES
from qmoe.studies.assembly import n_trainable
from qmoe.studies.ladder_base import Base
from qmoe.studies.specs.part_models import experts_model, router_model
from qmoe.studies.specs.study import ModelSpec

#: A twin with more functions than this is a random sample of them.
MAX_TWIN = 4096
#: Qubits up to which a dephased circuit is tried for whether anything of the features is left; each makes it four times as
#: long.
_MAX_TRIED = 7
#: Parameters up to which the ranks of a router and of its stochastic chain are found.
_MAX_RANKED = 150


@dataclass(frozen=True)
class RungLabel:
    """What readers call a rung: its router, and what sets that apart from others of its kind."""

    router: str
    variation: str = ""
    joint: str = ", "

    def __str__(self) -> str:
        return self.router + (self.joint + self.variation if self.variation else "")


#: The model of a rung and what it changes, or why it is left out.
Step = tuple[ModelSpec, str] | str


def _no_entangler(base: Base) -> Step:
    if base.published is not None:
        return f"the circuit {base.published} has its own gates, among which no_entangler has no place"
    if not base.entangles:
        return "the circuit has nothing that entangles: one qubit, no layers, or no_entangler already"
    if base.router.ansatz != "strongly_entangling":
        return "no_entangler is strongly_entangling without its CNOTs; basic_entangler has other rotations as well"
    return base.circuit(ansatz="no_entangler"), "no CNOTs, so that every qubit stays on its own"


def _dephased(
    where: str, words: str, least_layers: int, otherwise: str, axis: Literal["X", "Y", "Z"] = "Z"
) -> Callable[[Base], Step]:
    def step(base: Base) -> Step:
        if base.router.dephasing != "none":
            return f"the circuit is dephased already ({base.router.dephasing})"
        if base.published is not None and where != "all":
            return f"the circuit {base.published} is no encoding and layers behind it; dephased-all has both"
        if base.router.n_layers < least_layers:
            return otherwise
        noise = NoiseModel(dephasing=where, dephasing_axis=axis)
        noisy = base.built.circuit.with_noise(noise)
        told = noisy.n_qubits <= _MAX_TRIED and is_constant(noisy)
        left = "; nothing of the features is left" if told else ""
        states = "basis states" if axis == "Z" else f"eigenstates of {axis}"
        places = words if base.published is None else "after each run of gates with features, and each without"
        says = f"all coherence between {states} is taken away {places}{left}"
        return base.circuit(dephasing=where, dephasing_axis=axis), says

    return step


def _frozen(base: Base) -> Step:
    if base.router.frozen or base.built.circuit.n_weights == 0:
        return "the circuit has no weights that train"
    rest = [
        word
        for word, part in (("the map in front", base.built.projection), ("the adapter", base.built.adapter))
        if part is not None
    ]
    alone = f"{' and '.join(rest)} alone train{'s' * (len(rest) == 1)}" if rest else "nothing in the router trains"
    return base.circuit(frozen=True), f"the circuit's weights stay as drawn at random; {alone}"


def _embedding_only(base: Base) -> Step:
    if base.published is not None:
        return f"the circuit {base.published} is no encoding and layers behind it"
    if base.router.n_layers == 0:
        return "the circuit has no layers already"
    if base.uploads > 1:
        return "features that are uploaded again need layers in between"
    if base.router.encoding == "angle" and base.router.rotation == "Z":
        return "rotations about Z alone leave no trace in what is measured"
    return base.circuit(n_layers=0), "no trainable layers: the encoding is measured as it is"


def _twin(base: Base) -> Step:
    options: dict[str, Any] = {
        field.name: getattr(base.router, field.name) for field in dataclasses.fields(RouterCircuitSpec)
    }
    if base.published is not None and (reason := _no_twin(base)):
        return reason
    says = "no circuit: a linear gate on the same functions of the features, their coefficients free"
    n, top = base.n_features, 2 * base.uploads + 1
    if base.published is not None:
        return base.with_router(router_model("twin", **options)), says
    if base.router.encoding == "amplitude":
        if n * (n + 1) // 2 > MAX_TWIN:
            return f"{n * (n + 1) // 2 - 1:,} quadratic functions are too many, and amplitudes have no frequencies to sample"
    elif base.entangles and top**base.n_qubits > MAX_TWIN:
        n_functions = 2 * _nearest(base.router_size, base.n_experts, 2 * base.n_experts)
        options |= {"sampling": "distinct", "n_functions": n_functions}
        says = f"no circuit: a linear gate on {n_functions} functions sampled from its {top**base.n_qubits - 1:,}"
    return base.with_router(router_model("twin", **options)), says


def _no_twin(base: Base) -> str:
    """Why a published circuit has no twin, or none that is small enough; "" where it has one."""
    try:
        TwinRouter(
            base.built.circuit, base.n_experts, base.n_features, max_functions=MAX_TWIN, generator=torch.Generator()
        )
    except UnsupportedError:
        return f"the circuit {base.published} computes functions that depend on its weights, so none has them all"
    except ConfigError:
        return f"the circuit {base.published} has more than {MAX_TWIN:,} functions, and no frequencies to sample"
    return ""


@functools.lru_cache(maxsize=64)
def _ranks(circuit: Circuit, n_experts: int, n_layers: int) -> tuple[int, int]:
    """Jacobian ranks of a stochastic chain and of the quantum router with that circuit."""
    n, generator = circuit.in_features, torch.Generator()
    router = QuantumRouter(n, n_experts, **circuit.options(), generator=generator)
    return jacobian_rank(StochasticRouter(n, n_experts, n_layers=n_layers, generator=generator)), jacobian_rank(router)


def _stochastic(base: Base) -> Step:
    otherwise = ", so no chain of this kind has the circuit's functions: the twin is the control"
    if base.published is not None:
        return f"the circuit {base.published} does not turn a qubit for each feature; a chain does"
    if base.router.encoding != "angle":
        return f"{base.router.encoding} encoding turns no bits by the features{otherwise}"
    if base.uploads > 1:
        return f"{base.uploads} uploads reach frequency {base.uploads}{otherwise}"
    if base.built.projection is not None:
        return f"{base.n_features} features are projected onto {count(base.n_qubits, 'qubit')}{otherwise}"
    if base.n_features > MAX_FEATURES:
        return f"{base.n_features} features take a chain of more than {2 * MAX_FEATURES} bits: the twin is the control"
    chain = StochasticRouter(base.n_features, base.n_experts, generator=torch.Generator())
    size, ranks = n_trainable(chain), ""
    if max(size, base.router_size) <= _MAX_RANKED:
        ranks = ", rank {} for {}".format(*_ranks(base.built.circuit, base.n_experts, chain.n_layers))
    says = (
        f"no circuit: {chain.n_bits} random bits in {count(chain.n_layers, 'layer')}, the same functions without "
        f"interference; {size} parameters for {base.router_size}{ranks}"
    )
    return base.with_router(router_model("stochastic", n_layers=chain.n_layers)), says


def _trigonometric(base: Base) -> Step:
    if base.router.encoding != "angle":
        return f"{base.router.encoding} encoding has no trigonometric terms"
    if base.n_features == 1:
        return "of one feature there are no products to leave out: this is the twin"
    if base.router.ansatz == "no_entangler" and base.router.n_layers > 0 and base.n_features == base.n_qubits:
        return "without entanglers there are no products to leave out: this is the twin"
    says = "no circuit: a linear gate on cosine and sine of each feature, without their products"
    return base.with_router(router_model("trigonometric", max_frequency=base.uploads)), says


def _random_fourier(base: Base) -> Step:
    n = _nearest(base.router_size, base.n_experts, base.n_experts)
    # With that length a frequency has about the size of those of the circuit.
    spec = router_model("random_fourier", n_functions=n, length_scale=1 / base.uploads)
    return base.with_router(spec), f"no circuit: a linear gate on {n} random waves, as near to its parameters as can be"


def _mlp(activation: str) -> Callable[[Base], Step]:
    def step(base: Base) -> Step:
        hidden = _nearest(base.router_size, base.n_experts, base.n_features + 1 + base.n_experts)
        spec = router_model("mlp", hidden=hidden, activation=activation)
        return base.with_router(spec), f"no circuit: {hidden} hidden units, as near to its parameters as can be"

    return step


def _more_experts(base: Base) -> Step:
    each = base.n_features + 1 + base.expert_size
    n_experts = -(-(base.size - base.head_size) // each)
    if n_experts <= base.n_experts:
        return "a linear router with as many experts has no fewer parameters already"
    model = base.with_router(router_model("linear")).model_copy(update={"n_experts": n_experts})
    return model, f"a linear router; its parameters are spent on {n_experts} experts in place of {base.n_experts}"


def _routing(routing: str, words: str) -> Callable[[Base], Step]:
    def step(base: Base) -> Step:
        if base.model.routing != "input":
            return f"the routing is not by the input already ({base.model.routing})"
        return base.model.model_copy(update={"routing": routing}), words

    return step


def _random_labels(base: Base) -> Step:
    if base.labels == "random":
        return "the labels are random already"
    return base.model, "the labels are permuted, so that there is nothing to learn"


def _one_mlp(base: Base) -> Step:
    hidden = _nearest(base.size, base.head_size + base.n_outputs, base.n_features + 1 + base.n_outputs)
    out = None if base.n_outputs == base.n_classes else base.n_outputs
    changes = {
        "router": router_model("uniform"),
        "routing": "input",
        "experts": experts_model("mlp", hidden=hidden, out_features=out),
        "n_experts": 1,
        "top_k": None,
        "norm_topk_prob": None,
    }
    says = f"no mixture: one network with {hidden} hidden units, as near to the parameters of the whole as can be"
    return base.model.model_copy(update=changes), says


def _other(label: str, kind: str, words: str) -> tuple[RungLabel, Callable[[Base], Step]]:
    """A rung with a router of another kind, its options the defaults."""
    return RungLabel(label), lambda base: (base.with_router(router_model(kind)), words)


_COHERENCE = "nothing follows the encoding but the measurement, which coherence does not change"
_THROUGHOUT = "after each encoding and between layers"
_NO_LAYERS = "without layers there is nothing to follow the dephased encoding but the measurement"
_along = functools.partial(_dephased, "all", _THROUGHOUT, 1, _NO_LAYERS)
_QUANTUM = "quantum router"
#: Name of each rung to its label and to the function that finds its model.
STEPS: dict[str, tuple[RungLabel, Callable[[Base], Step]]] = {
    "no-entangler": (RungLabel(_QUANTUM, "without entanglers", " "), _no_entangler),
    "dephased-encoding": (
        RungLabel(_QUANTUM, "dephased after the encoding"),
        _dephased("encoding", "after each encoding of the features", 1, _COHERENCE),
    ),
    "dephased-layers": (
        RungLabel(_QUANTUM, "dephased between layers"),
        _dephased("layers", "between the trainable layers", 2, "one layer has nothing between layers"),
    ),
    "dephased-all": (
        RungLabel(_QUANTUM, "dephased throughout"),
        _dephased("all", _THROUGHOUT, 2, "without two layers it is dephased-encoding"),
    ),
    "dephased-x": (RungLabel(_QUANTUM, "dephased throughout along X"), _along("X")),
    "dephased-y": (RungLabel(_QUANTUM, "dephased throughout along Y"), _along("Y")),
    "frozen": (RungLabel(_QUANTUM, "random frozen circuit"), _frozen),
    "embedding-only": (RungLabel(_QUANTUM, "encoding alone"), _embedding_only),
    "twin": (RungLabel("classical twin"), _twin),
    "stochastic": (RungLabel("incoherent chain of equal span"), _stochastic),
    "trigonometric": (RungLabel("trigonometric router without products"), _trigonometric),
    "random-fourier": (RungLabel("random Fourier router"), _random_fourier),
    "quadratic": _other(
        "quadratic router", "quadratic", "no circuit: a linear gate on the features and their products"
    ),
    "relu": (RungLabel("MLP router", "ReLU"), _mlp("relu")),
    "tanh": (RungLabel("MLP router", "tanh"), _mlp("tanh")),
    "silu": (RungLabel("MLP router", "SiLU"), _mlp("silu")),
    "more-experts": (RungLabel("linear router", "more experts"), _more_experts),
    "linear": _other("linear router", "linear", "no circuit: a linear gate on the features"),
    "mean": (
        RungLabel(_QUANTUM, "switched off"),
        _routing("mean", "every sample gets the mean of a batch's routing weights"),
    ),
    "permuted": (
        RungLabel(_QUANTUM, "permuted"),
        _routing("permuted", "every sample gets the routing weights of another"),
    ),
    "random-labels": (RungLabel(_QUANTUM, "random labels"), _random_labels),
    "uniform": _other("no router", "uniform", "all experts count alike, for every input"),
    "constant": _other("constant router", "constant", "routing weights train, but do not look at the input"),
    "random": _other("random router", "random", "every point is routed at random, but always alike; nothing trains"),
    "single-expert": _other("one expert of them", "single", "one expert decides alone"),
    "one-mlp": (RungLabel("one MLP"), _one_mlp),
}


def _nearest(budget: int, fixed: int, each: int) -> int:
    """The number of units of ``each`` parameters that comes nearest to a budget of which ``fixed`` are spent; at least 1."""
    return max(1, int((budget - fixed) / each + 0.5))
