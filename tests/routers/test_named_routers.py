"""Every router and every set of experts that has a name: what its spec builds, and what a study makes of the spec."""

import dataclasses
import pickle

import pytest
import torch

from qmoe import ConfigError, MixtureOfExperts, Router
from qmoe.circuits import AngleEncoding, NoiseModel
from qmoe.experts import EXPERTS, Experts
from qmoe.layers import Linear
from qmoe.routers import ROUTERS
from qmoe.studies.specs.part_models import experts_model, router_model

EACH_ROUTER = pytest.mark.parametrize("kind", ROUTERS)
EACH_EXPERTS = pytest.mark.parametrize("kind", EXPERTS)


def drawn(seed=0):
    return {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}


@EACH_ROUTER
def test_a_spec_builds_a_router_of_the_sizes_asked_for(kind):
    router = ROUTERS[kind]().build(3, 2, **drawn())
    assert isinstance(router, Router)
    assert (router.in_features, router.n_experts) == (3, 2)
    assert all(p.dtype == torch.float64 for p in router.parameters())


@EACH_EXPERTS
def test_a_spec_builds_experts_with_an_output_for_each_class_or_read_out(kind):
    experts = EXPERTS[kind]().build(4, 3, 2, **drawn())
    assert isinstance(experts, Experts)
    assert (experts.in_features, experts.n_experts) == (4, 2)
    assert experts.out_features == (4 if kind == "quantum" else 3)


@EACH_ROUTER
def test_the_model_of_a_spec_is_the_spec_and_builds_the_same(kind):
    model, spec = router_model(kind), ROUTERS[kind]()
    assert isinstance(model, ROUTERS[kind])
    assert model.model_dump() == {"kind": kind, **dataclasses.asdict(spec)}
    built, expected = (part.build(2, 2, **drawn(3)).state_dict() for part in (model, spec))
    assert list(built) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in built.items())


@pytest.mark.parametrize("model", [*map(router_model, ROUTERS), *map(experts_model, EXPERTS)], ids=repr)
def test_models_are_hashed_without_defaults_and_pickle(model):
    assert model.canonical == f'{{"kind":"{model.kind}"}}'
    copied = pickle.loads(pickle.dumps(model))
    assert type(copied) is type(model)
    assert copied == model
    assert hash(copied) == hash(model)


@EACH_ROUTER
def test_every_named_router_trains_in_machine_code(kind):
    parts = ROUTERS[kind]().build(2, 3, **drawn()).compiled_parts()
    assert parts.routing == "own"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("mlp", {"hidden": 3, "activation": "tanh"}),
        ("trigonometric", {"max_frequency": 2}),
        ("random_fourier", {"n_functions": 6, "length_scale": 2.0}),
        ("chebyshev", {"degree": 3, "low": -1.0, "high": 1.0}),
        ("stochastic", {"n_layers": 2}),
        ("single", {"expert": 1}),
    ],
)
def test_a_router_has_the_options_of_its_spec(kind, options):
    router = ROUTERS[kind](**options).build(2, 2, **drawn())
    assert {name: getattr(router, name) for name in options} == options


def test_circuits_are_built_as_they_are_written_down():
    spec = ROUTERS["quantum"](n_layers=1, rotation="Y", uploads=1, noise=0.1, placement="gate", engine="torch")
    router = spec.build(2, 2, **drawn())
    assert router.circuit.encoding == AngleEncoding("Y")
    assert router.circuit.noise == NoiseModel(0.1, "gate")
    assert spec.mixed
    assert not ROUTERS["quantum"]().mixed


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: router_model("lineer"), "Unknown router 'lineer'; did you mean 'linear'"),
        (lambda: experts_model("mpl"), "Unknown experts 'mpl'; did you mean 'mlp'"),
        (lambda: router_model("mlp", hiden=3), "unknown key 'hiden'; did you mean 'hidden'"),
        (lambda: router_model("mlp", hidden=0), "hidden: Input should be greater than or equal to 1"),
        (lambda: router_model("mlp", hidden=2.0), "hidden: Input should be a valid integer"),
        (lambda: router_model("quadratic", standardised=1), "standardised: Input should be a valid boolean"),
        (lambda: router_model("quantum", n_qubits=25), "n_qubits: Input should be less than or equal to 24"),
        (lambda: router_model("quantum", noise=1.5), "noise: Input should be less than or equal to 1"),
        (lambda: router_model("quantum", engine="cuda"), "engine: String should match pattern"),
        (lambda: router_model("twin", sampling="tree"), "sampling and n_functions go together"),
        (lambda: ROUTERS["twin"](n_functions=4), "sampling and n_functions go together"),
        (lambda: ROUTERS["quantum"](encoding="amplitude", uploads=2), "rotation and uploads belong to angle encoding"),
        (lambda: EXPERTS["quantum"](dephasing_axis="X"), 'dephasing_axis = "X" belongs to a dephased circuit'),
    ],
)
def test_what_is_not_allowed_is_refused_with_the_remedy(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_subclass_does_not_inherit_that_it_trains_in_machine_code():
    class Other(type(ROUTERS["linear"]().build(2, 2, **drawn()))):
        """Might compute anything."""

    class OtherExperts(type(EXPERTS["linear"]().build(2, 2, 2, **drawn()))):
        """Might compute anything."""

    router, experts = Other(2, 2), OtherExperts(2, 2, 2)
    assert router.compiled_parts() is None
    assert experts.compiled_parts() is None
    assert MixtureOfExperts(router, experts, Linear(2, 2))(torch.rand(3, 2)).shape == (3, 2)
