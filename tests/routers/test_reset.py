"""First values: drawn by `reset_parameters` as `__init__` draws them, also after a start without memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qmoe
from qmoe import (
    AngleEncoding,
    LinearExperts,
    LinearRouter,
    MixtureOfExperts,
    MLPExperts,
    MLPRouter,
    NoiseModel,
    QuantumExperts,
    QuantumRouter,
    UnsupportedError,
)
from qmoe.layers import Linear, Stackable
from qmoe.routers import (
    ConstantRouter,
    RandomFourierRouter,
    RandomRouter,
    Sampling,
    SoftmaxRouter,
    TwinRouter,
    sample_frequencies,
)

CIRCUIT = qmoe.Circuit(2, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(of: torch.Generator, *shape: int, fan_in: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """What `torch.nn.Linear` starts from."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape, dtype=dtype).uniform_(-bound, bound, generator=of)


def angles(of: torch.Generator, *shape: int) -> Tensor:
    return torch.empty(shape).uniform_(0, 2 * math.pi, generator=of)


def waves(of: torch.Generator) -> list[Tensor]:
    first = [linear(of, 2, 5, fan_in=5), linear(of, 2, fan_in=5)]
    frequencies = torch.empty(5, 3).normal_(generator=of) / 0.7
    return [*first, frequencies, torch.empty(5).uniform_(0, 2 * math.pi, generator=of)]


# --- the same random numbers in the same order as ever -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda g: Linear(3, 4, generator=g), lambda g: [linear(g, 4, 3, fan_in=3), linear(g, 4, fan_in=3)]),
        (
            lambda g: QuantumRouter(5, 3, n_qubits=2, generator=g),
            lambda g: [
                linear(g, 2, 5, fan_in=5), linear(g, 2, fan_in=5), angles(g, 3, 2, 3),
                linear(g, 3, 2, fan_in=2), linear(g, 3, fan_in=2),
            ],
        ),
        (lambda g: QuantumRouter(2, 2, readout="born", generator=g), lambda g: [angles(g, 3, 2, 3)]),
        (lambda g: QuantumExperts(4, 3, generator=g), lambda g: [angles(g, 3, 2, 2, 3)]),
        (
            lambda g: MLPExperts(3, 2, 4, hidden=5, generator=g),
            lambda g: [
                linear(g, 4, 5, 3, fan_in=3), linear(g, 4, 5, fan_in=3), linear(g, 4, 2, 5, fan_in=5),
                linear(g, 4, 2, fan_in=5),
            ],
        ),
        (lambda g: ConstantRouter(4, 3, generator=g), lambda g: [linear(g, 3, fan_in=4)]),
        (lambda g: RandomFourierRouter(3, 2, n_functions=5, length_scale=0.7, generator=g), waves),
        (
            lambda g: RandomRouter(2, 3, generator=g),
            lambda g: [torch.empty(3, 3, dtype=torch.int64).random_(-(2**63), None, generator=g)],
        ),
        (
            lambda g: TwinRouter(CIRCUIT, 2, 5, generator=g),
            lambda g: [
                linear(g, 2, 8, fan_in=8), linear(g, 2, fan_in=8), linear(g, 2, 5, fan_in=5), linear(g, 2, fan_in=5),
            ],
        ),
    ],
    ids=["head", "projected", "born", "quantum experts", "mlp experts", "constant", "fourier", "random", "twin"],
)  # fmt: skip
def test_first_values_are_these_draws_in_this_order(
    make: Callable[[torch.Generator], Stackable], expected: Callable[[torch.Generator], list[Tensor]]
) -> None:
    module = make(generator(5))
    found = sorted(expected(generator(5)), key=lambda value: value.flatten().tolist())
    drawn = [value for name, value in module.state_dict().items() if name not in ("centre", "scale")]
    values = sorted(drawn, key=lambda value: value.flatten().tolist())
    assert len(values) == len(found)
    assert all(torch.equal(one, other) for one, other in zip(values, found, strict=True))


def test_a_sample_of_frequencies_is_drawn_before_the_weights() -> None:
    twin = TwinRouter(CIRCUIT, 2, sampling=Sampling(6, "tree"), generator=generator(3))
    of = generator(3)
    assert torch.equal(twin.waves.double(), sample_frequencies(CIRCUIT, Sampling(6, "tree"), of))
    assert torch.equal(twin.weight, linear(of, 2, 6, fan_in=6))


# --- all parts ----------------------------------------------------------------------------------------------------------


def mixture(seed: int, **options: Any) -> MixtureOfExperts:
    of = generator(seed)
    router = QuantumRouter(3, 2, n_qubits=2, noise=NoiseModel(0.07, "gate"), generator=of, **options)
    experts = QuantumExperts(3, 2, noise=0.3, generator=of, **options)
    return MixtureOfExperts(router, experts, Linear(2, 2, generator=of, **options), top_k=1)


PARTS: dict[str, Callable[[int], Stackable]] = {
    "mixture": mixture,
    "mlp": lambda seed: MixtureOfExperts(
        MLPRouter(3, 2, generator=(of := generator(seed))), MLPExperts(3, 2, 2, generator=of)
    ),
    "linear experts": lambda seed: LinearExperts(3, 2, 4, generator=generator(seed)),
    "noisy experts": lambda seed: QuantumExperts(3, 2, noise=0.2, generator=generator(seed)),
    "frozen": lambda seed: QuantumRouter(3, 2, frozen=True, generator=generator(seed)),
    "sampled twin": lambda seed: TwinRouter(qmoe.Circuit(3, 2), 2, sampling=Sampling(8), generator=generator(seed)),
}


def values(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


@pytest.mark.parametrize("part", PARTS)
def test_reset_gives_the_first_values_anew(part: str) -> None:
    module = PARTS[part](1)
    with torch.no_grad():
        for value in values(module):
            value.fill_(0.123)
    module.reset_parameters(generator(0))
    assert all(torch.equal(a, b) for a, b in zip(values(module), values(PARTS[part](0)), strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_built_without_memory_works_after_reset(part: str) -> None:
    with torch.device("meta"):
        module = PARTS[part](1)
    assert all(value.is_meta for value in values(module))
    module.to_empty(device="cpu")
    with torch.no_grad():
        for value in values(module):
            value.fill_(math.nan)
    module.reset_parameters(generator(0))
    expected, x = PARTS[part](0), torch.rand(4, 3, generator=generator(9))
    assert torch.equal(module(x), expected(x))


@pytest.mark.parametrize("way", ["assign", "to_empty"])
@pytest.mark.parametrize("part", PARTS)
def test_a_part_built_without_memory_works_after_its_state_is_loaded(part: str, way: str) -> None:
    expected, x = PARTS[part](0), torch.rand(4, 3, generator=generator(9))
    with torch.device("meta"):
        module = PARTS[part](1)
    if way == "to_empty":
        module.to_empty(device="cpu")
    module.load_state_dict(expected.state_dict(), assign=way == "assign")
    assert torch.equal(module(x), expected(x))


def test_weights_of_another_dtype_that_are_assigned_take_the_noise_along() -> None:
    router = QuantumRouter(2, 2, noise=0.1, generator=generator())
    router.quantum.noise_strength.fill_(0.25)
    double = QuantumRouter(2, 2, noise=0.1, generator=generator(1)).double()
    router.load_state_dict(double.state_dict(), assign=True)
    assert router.quantum.noise_strength.dtype == torch.float64
    assert float(router.quantum.noise_strength) == 0.25
    assert router(torch.rand(3, 2, dtype=torch.float64)).dtype == torch.float64


def test_strength_of_noise_that_was_changed_stays_when_weights_are_loaded() -> None:
    router = QuantumRouter(2, 2, noise=0.1)
    router.quantum.noise_strength.fill_(0.25)
    router.load_state_dict(QuantumRouter(2, 2, noise=0.1).state_dict())
    assert float(router.quantum.noise_strength) == 0.25


def test_torch_layers_inside_are_reset_as_well() -> None:
    moe = MixtureOfExperts(LinearRouter(2, 2), LinearExperts(2, 3, 2), nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    with torch.no_grad():
        for p in moe.parameters():
            p.fill_(math.nan)
    moe.reset_parameters(generator())
    assert all(bool(p.isfinite().all()) for p in moe.parameters())


class Forgetful(SoftmaxRouter):
    """A router of someone else's, with a parameter and no `reset_parameters`."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scale = nn.Parameter(torch.ones(2))

    def logits(self, x: Tensor) -> Tensor:
        return self.scale * x


def test_a_router_that_does_not_say_how_to_reset_is_refused_by_name() -> None:
    for module in (Forgetful(), MixtureOfExperts(Forgetful(), LinearExperts(2, 2, 2))):
        with pytest.raises(
            UnsupportedError, match="Forgetful has parameters or buffers of its own, but no reset_param"
        ):
            module.reset_parameters()


def test_a_subclass_decides_how_it_starts() -> None:
    class Still(LinearRouter):
        def reset_parameters(self, generator: torch.Generator | None = None) -> None:
            del generator
            nn.init.zeros_(self.weight)
            nn.init.zeros_(self.bias)

    assert not any(p.any() for p in Still(3, 2).parameters())


# --- a state_dict of another function -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        (
            QuantumRouter(2, 2),
            QuantumRouter(2, 2, encoding=AngleEncoding("Y")),
            r"encoding=AngleEncoding\(rotation='X'",
        ),
        (QuantumRouter(2, 2), QuantumRouter(2, 2, encoding=AngleEncoding("X", 2)), "uploads=2"),
        (
            QuantumExperts(4, 2),
            QuantumExperts(4, 2, n_qubits=2, encoding="amplitude", ansatz="no_entangler"),
            "ansatz=",
        ),
        (QuantumRouter(4, 2), QuantumRouter(4, 2, encoding="amplitude", n_qubits=4), "this one has AmplitudeEncoding"),
        (MLPRouter(2, 2), MLPRouter(2, 2, activation="tanh"), "activation=relu, this one has tanh"),
        (MLPExperts(2, 2, 2), MLPExperts(2, 2, 2, activation="silu"), "activation=relu, this one has silu"),
        (
            TwinRouter(CIRCUIT, 2, without=["cos x0"]),
            TwinRouter(CIRCUIT, 2, without=["sin x0"]),
            "functions=7 functions",
        ),
        (
            qmoe.distill(QuantumRouter(2, 2)),
            qmoe.distill(QuantumRouter(2, 2, encoding=AngleEncoding("Z"))),
            "encoding=",
        ),
    ],
)
def test_a_state_dict_of_another_function_is_refused(one: nn.Module, other: nn.Module, name: str) -> None:
    before = [value.clone() for value in other.state_dict().values()]
    with pytest.raises(qmoe.ConfigError, match=name):
        other.load_state_dict(one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), before, strict=True))
    other.load_state_dict(dict(one.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), one.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, 0.1), (0.1, None), (0.1, 0.2), (0.1, NoiseModel(0.1, "gate")), (0.0, NoiseModel(0.0, dephasing="all"))],
)
def test_a_state_dict_from_other_noise_is_loaded_with_a_warning(one: Any, other: Any) -> None:
    first, second = (
        MixtureOfExperts(QuantumRouter(2, 2, noise=noise), LinearExperts(2, 2, 2)) for noise in (one, other)
    )
    with pytest.warns(qmoe.errors.StateWarning, match=r"at 'router.quantum' is of .* noise=.*, this one has") as caught:
        second.load_state_dict(first.state_dict())
    assert caught[0].filename == __file__
    assert torch.equal(second.get_parameter("router.quantum.weights"), first.get_parameter("router.quantum.weights"))


def test_a_state_dict_through_a_file_keeps_its_options(tmp_path: Any) -> None:
    torch.save(QuantumRouter(2, 2).state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    QuantumRouter(2, 2, frozen=True).load_state_dict(state)
    with pytest.raises(qmoe.ConfigError, match="rotation='X'"):
        QuantumRouter(2, 2, encoding=AngleEncoding("Y")).load_state_dict(state)


def test_an_encoding_without_a_text_of_its_own_is_known_by_its_class() -> None:
    class Own(qmoe.circuits.Encoding):
        name, uploads, max_frequency, period = "own", 1, 1, 2 * math.pi

        def n_features(self, n_qubits: int) -> int:
            return n_qubits

        def check_features(self, in_features: int, n_qubits: int) -> None: ...

        def operations(self, n_qubits: int) -> Any:
            return AngleEncoding().operations(n_qubits)

    first, second = (QuantumRouter(2, 2, encoding=Own()) for _ in range(2))
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.quantum.weights, first.quantum.weights)
    with pytest.raises(qmoe.ConfigError, match="encoding=Own"):
        QuantumRouter(2, 2).load_state_dict(first.state_dict())
