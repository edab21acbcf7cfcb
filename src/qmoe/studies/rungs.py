"""What each rung of the ladder changes, and where it makes no sense."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from qmoe.circuits import Circuit, CircuitSpec, NoiseModel, QuantumSpec
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.routers import QuantumRouter, StochasticRouter
from qmoe.routers.functions.ranks import is_constant, jacobian_rank
from qmoe.routers.stochastic import MAX_FEATURES
from qmoe.studies.assembly import Generators, build_mixture, n_trainable
from qmoe.studies.specs.part_models import RouterModel, experts_model, router_model
from qmoe.studies.specs.study import ArmSpec, ModelSpec, Study

#: A twin with more functions than this is a random sample of them.
MAX_TWIN = 4096
#: Parameters up to which the ranks of a router and of its stochastic chain are found.
_MAX_RANKED = 150


@dataclass(frozen=True)
class Base:
    """The quantum arm, with the sizes that the rungs are matched to.

    Attributes:
        arm: the arm.
        router: its router's spec.
        built: the router itself.
        labels: ``"true"`` or ``"random"``.
        n_features: number of features F.
        n_classes: number of classes C.
        n_outputs: outputs O of each expert.
        expert_size: parameters of one expert.
        head_size: parameters of the head.
    """

    arm: ArmSpec
    router: QuantumSpec
    built: QuantumRouter
    labels: str
    n_features: int
    n_classes: int
    n_outputs: int
    expert_size: int
    head_size: int

    @property
    def model(self) -> ModelSpec:
        """The whole model's spec."""
        return self.arm.model

    @property
    def n_experts(self) -> int:
        """Number of experts E."""
        return self.model.n_experts

    @property
    def router_size(self) -> int:
        """Parameters of the router."""
        return n_trainable(self.built)

    @property
    def size(self) -> int:
        """Parameters of the whole mixture."""
        return self.router_size + self.n_experts * self.expert_size + self.head_size

    @property
    def n_qubits(self) -> int:
        """Number of qubits Q, the default resolved."""
        return self.built.circuit.n_qubits

    @property
    def uploads(self) -> int:
        """How often the features are encoded."""
        return self.built.circuit.encoding.uploads

    @property
    def entangles(self) -> bool:
        """Whether there is an entangler in the circuit."""
        return self.n_qubits > 1 and self.router.n_layers > 0 and self.router.ansatz != "no_entangler"

    def circuit(self, **changes: object) -> ModelSpec:
        """The same model with another circuit."""
        return self.with_router(self.model.router.model_copy(update=changes))

    def with_router(self, router: RouterModel) -> ModelSpec:
        """The same model with another router."""
        return self.model.model_copy(update={"router": router})


#: The model of a rung and what it changes, or why it is left out.
Step = tuple[ModelSpec, str] | str


def _no_entangler(base: Base) -> Step:
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
        if base.router.n_layers < least_layers:
            return otherwise
        noise = NoiseModel(dephasing=where, dephasing_axis=axis)
        left = "; nothing of the features is left" if is_constant(base.built.circuit.with_noise(noise)) else ""
        states = "basis states" if axis == "Z" else f"eigenstates of {axis}"
        says = f"all coherence between {states} is taken away {words}{left}"
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
    if base.router.n_layers == 0:
        return "the circuit has no layers already"
    if base.uploads > 1:
        return "features that are uploaded again need layers in between"
    if base.router.encoding == "angle" and base.router.rotation == "Z":
        return "rotations about Z alone leave no trace in what is measured"
    return base.circuit(n_layers=0), "no trainable layers: the encoding is measured as it is"


def _twin(base: Base) -> Step:
    options: dict[str, Any] = {
        field.name: getattr(base.router, field.name) for field in dataclasses.fields(CircuitSpec)
    }
    says = "no circuit: a linear gate on the same functions of the features, their coefficients free"
    n, top = base.n_features, 2 * base.uploads + 1
    if base.router.encoding == "amplitude":
        if n * (n + 1) // 2 > MAX_TWIN:
            return f"{n * (n + 1) // 2 - 1:,} quadratic functions are too many, and amplitudes have no frequencies to sample"
    elif base.entangles and top**base.n_qubits > MAX_TWIN:
        n_functions = 2 * _nearest(base.router_size, base.n_experts, 2 * base.n_experts)
        options |= {"sampling": "distinct", "n_functions": n_functions}
        says = f"no circuit: a linear gate on {n_functions} functions sampled from its {top**base.n_qubits - 1:,}"
    return base.with_router(router_model("twin", **options)), says


@functools.lru_cache(maxsize=64)
def _ranks(circuit: Circuit, n_experts: int, n_layers: int) -> tuple[int, int]:
    """Jacobian ranks of a stochastic chain and of the quantum router with that circuit."""
    n, generator = circuit.in_features, torch.Generator()
    named = ("n_qubits", "n_layers", "encoding", "ansatz", "readout", "noise")
    router = QuantumRouter(n, n_experts, **{name: getattr(circuit, name) for name in named}, generator=generator)
    return jacobian_rank(StochasticRouter(n, n_experts, n_layers=n_layers, generator=generator)), jacobian_rank(router)


def _stochastic(base: Base) -> Step:
    otherwise = ", so no chain of this kind has the circuit's functions: the twin is the control"
    if base.router.encoding != "angle":
        return f"{base.router.encoding} encoding turns no bits by the features{otherwise}"
    if base.uploads > 1:
        return f"{base.uploads} uploads reach frequency {base.uploads}{otherwise}"
    if base.built.projection is not None:
        return f"{base.n_features} features are projected onto {base.n_qubits} qubit(s){otherwise}"
    if base.n_features > MAX_FEATURES:
        return f"{base.n_features} features take a chain of more than {2 * MAX_FEATURES} bits: the twin is the control"
    chain = StochasticRouter(base.n_features, base.n_experts, generator=torch.Generator())
    size, ranks = n_trainable(chain), ""
    if max(size, base.router_size) <= _MAX_RANKED:
        ranks = ", rank {} for {}".format(*_ranks(base.built.circuit, base.n_experts, chain.n_layers))
    says = (
        f"no circuit: {chain.n_bits} random bits in {chain.n_layers} layers, the same functions without interference; "
        f"{size} parameters for {base.router_size}{ranks}"
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


def _router(spec: RouterModel, words: str) -> Callable[[Base], Step]:
    return lambda base: (base.with_router(spec), words)


_COHERENCE = "nothing follows the encoding but the measurement, which coherence does not change"
_THROUGHOUT = "after each encoding and between layers"
_NO_LAYERS = "without layers there is nothing to follow the dephased encoding but the measurement"
#: Name of each rung to its label and to the function that finds its model.
STEPS: dict[str, tuple[str, Callable[[Base], Step]]] = {
    "no-entangler": ("quantum router without entanglers", _no_entangler),
    "dephased-encoding": (
        "quantum router, dephased after the encoding",
        _dephased("encoding", "after each encoding of the features", 1, _COHERENCE),
    ),
    "dephased-layers": (
        "quantum router, dephased between layers",
        _dephased("layers", "between the trainable layers", 2, "one layer has nothing between layers"),
    ),
    "dephased-all": (
        "quantum router, dephased throughout",
        _dephased("all", _THROUGHOUT, 2, "without two layers it is dephased-encoding"),
    ),
    "dephased-x": ("quantum router, dephased throughout along X", _dephased("all", _THROUGHOUT, 1, _NO_LAYERS, "X")),
    "dephased-y": ("quantum router, dephased throughout along Y", _dephased("all", _THROUGHOUT, 1, _NO_LAYERS, "Y")),
    "frozen": ("quantum router, random frozen circuit", _frozen),
    "embedding-only": ("quantum router, encoding alone", _embedding_only),
    "twin": ("classical twin", _twin),
    "stochastic": ("incoherent chain of equal span", _stochastic),
    "trigonometric": ("trigonometric router without products", _trigonometric),
    "random-fourier": ("random Fourier router", _random_fourier),
    "quadratic": (
        "quadratic router",
        _router(router_model("quadratic"), "no circuit: a linear gate on the features and their products"),
    ),
    "relu": ("MLP router, ReLU", _mlp("relu")),
    "tanh": ("MLP router, tanh", _mlp("tanh")),
    "silu": ("MLP router, SiLU", _mlp("silu")),
    "more-experts": ("linear router, more experts", _more_experts),
    "linear": ("linear router", _router(router_model("linear"), "no circuit: a linear gate on the features")),
    "mean": (
        "quantum router, switched off",
        _routing("mean", "every sample gets the mean of a batch's routing weights"),
    ),
    "permuted": ("quantum router, permuted", _routing("permuted", "every sample gets the routing weights of another")),
    "random-labels": ("quantum router, random labels", _random_labels),
    "uniform": ("no router", _router(router_model("uniform"), "all experts count alike, for every input")),
    "constant": (
        "constant router",
        _router(router_model("constant"), "routing weights train, but do not look at the input"),
    ),
    "random": (
        "random router",
        _router(router_model("random"), "every point is routed at random, but always alike; nothing trains"),
    ),
    "single-expert": ("one expert of them", _router(router_model("single"), "one expert decides alone")),
    "one-mlp": ("one MLP", _one_mlp),
}


def find_base(study: Study) -> Base:
    """The first quantum arm of a study.

    Raises:
        ConfigError: when there is none, or one with a single expert.
    """
    for arm in study.arms:
        router = arm.model.router
        if isinstance(router, QuantumSpec):
            break
    else:
        kinds = ", ".join(f"{arm.name} ({arm.model.router.kind})" for arm in study.arms)
        raise ConfigError(
            f"A ladder takes a quantum router apart, but no arm of {study.name} has one: {kinds}; add such an arm, or drop "
            "ladder."
        )
    if arm.model.n_experts == 1:
        raise ConfigError(
            f"The quantum arm {arm.name!r} has one expert, so its router decides nothing; raise n_experts, or drop ladder."
        )
    dataset = make_dataset(study.data.name, **study.data.options)
    plain = arm.model.model_copy(update={"routing": "input"})
    n_features = study.data.components or dataset.n_features
    unused = Generators(*(torch.Generator() for _ in range(3)))
    mixture = build_mixture(plain, n_features, dataset.n_classes, unused, torch.float32)
    assert isinstance(mixture.router, QuantumRouter)
    return Base(
        arm,
        router,
        mixture.router,
        arm.labels or study.data.labels,
        n_features,
        dataset.n_classes,
        mixture.experts.out_features,
        n_trainable(mixture.experts) // arm.model.n_experts,
        0 if mixture.head is None else n_trainable(mixture.head),
    )


def _nearest(budget: int, fixed: int, each: int) -> int:
    """The number of units of ``each`` parameters that comes nearest to a budget of which ``fixed`` are spent; at least 1."""
    return max(1, int((budget - fixed) / each + 0.5))
