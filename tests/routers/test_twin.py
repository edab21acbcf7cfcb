"""The classical twins of quantum routers: supersets of them, or samples that say so."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import qmoe
from qmoe import AngleEncoding, Circuit, ConfigError, LinearRouter, QuantumRouter, ShapeError, UnsupportedError
from qmoe.engines import Engine
from qmoe.errors import EncodingRangeWarning
from qmoe.interop import from_qasm3, to_qasm3
from qmoe.layers import runs_stacked
from qmoe.routers import Router, Sampling, TwinRouter, circuit_basis, sample_frequencies
from qmoe.testing import RouterConformance, random_circuit
from qmoe.training.stack import ModelStack


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def n_parameters(router: Router) -> int:
    return sum(p.numel() for p in router.parameters())


# --- conformance ----------------------------------------------------------------------------------------------------


class TestTwinAngle(RouterConformance):
    """The twin of the default circuit; the classes below change one option each."""

    options: ClassVar[dict[str, Any]] = {}
    twin: ClassVar[dict[str, Any]] = {}

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        router = QuantumRouter(in_features, n_experts, **self.options, dtype=dtype, generator=torch.Generator())
        return qmoe.twin(router, generator=generator, **self.twin)


class TestTwinReuploading(TestTwinAngle):
    in_features = 2
    options: ClassVar = {"encoding": AngleEncoding("Y", uploads=3)}


class TestTwinAmplitude(TestTwinAngle):
    options: ClassVar = {"encoding": "amplitude"}


class TestTwinAmplitudeWithoutEntanglers(TestTwinAngle):
    in_features = 4
    options: ClassVar = {"encoding": "amplitude", "ansatz": "no_entangler"}


class TestTwinBorn(TestTwinAngle):
    options: ClassVar = {"readout": "born"}


class TestTwinProjection(TestTwinAngle):
    in_features = 5
    options: ClassVar = {"n_qubits": 2}


class TestTwinCrippled(TestTwinAngle):
    twin: ClassVar = {"without": [(1, 1, 0), "sin x2"]}


class TestTwinDistinctSample(TestTwinAngle):
    twin: ClassVar = {"sampling": Sampling(10)}


class TestTwinTreeSample(TestTwinAngle):
    twin: ClassVar = {"sampling": Sampling(10, "tree")}


class TestTwinGridSampleProjection(TestTwinAngle):
    in_features = 5
    options: ClassVar = {"n_qubits": 2}
    twin: ClassVar = {"sampling": Sampling(10, "grid", 0.5)}


# --- the superset ---------------------------------------------------------------------------------------------------


def fitted_twin(router: QuantumRouter) -> TwinRouter:
    """The twin with the weights that least squares finds for the router's logits."""
    twin = qmoe.twin(router, generator=generator())
    with torch.no_grad():
        if twin.projection is not None:
            twin.projection.load_state_dict(router.projection.state_dict())
        x = points(router, 3 * twin.n_functions + 10, seed=1)
        design = torch.cat([twin.features(x), torch.ones(len(x), 1, dtype=x.dtype)], -1)
        found = torch.linalg.lstsq(design, router.logits(x), driver="gelsd").solution
        twin.weight.copy_(found[:-1].mT)
        twin.bias.copy_(found[-1])
    return twin


def points(router: Router, n: int, seed: int) -> Tensor:
    return (torch.rand(n, router.in_features, generator=generator(seed), dtype=torch.float64) - 0.5) * (2 * math.pi)


@pytest.mark.parametrize(
    ("in_features", "options"),
    [
        (2, {}),
        (4, {}),
        (2, {"noise": 0.1}),
        (2, {"ansatz": "no_entangler"}),
        (2, {"ansatz": "basic_entangler"}),
        (5, {"n_qubits": 2}),
        (3, {"encoding": AngleEncoding("Y", 2)}),
        (2, {"encoding": AngleEncoding("Z", 3)}),
        (4, {"encoding": "amplitude"}),
        (6, {"encoding": "amplitude"}),
        (8, {"encoding": "amplitude", "ansatz": "no_entangler"}),
    ],
)
def test_a_twin_can_be_any_router_of_its_circuit(in_features: int, options: dict[str, Any]) -> None:
    router = QuantumRouter(in_features, 3, **options, generator=generator(2), dtype=torch.float64)
    twin, x = fitted_twin(router), points(router, 50, seed=3)
    torch.testing.assert_close(twin.logits(x), router.logits(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(twin(x), router(x), rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_twins_of_random_circuits_are_supersets(seed: int) -> None:
    circuit = random_circuit(seed, max_qubits=3, readout="expval")
    if not len(circuit_basis(circuit)):
        return
    router = QuantumRouter(
        circuit.in_features,
        2,
        n_qubits=circuit.n_qubits,
        n_layers=circuit.n_layers,
        encoding=circuit.encoding,
        ansatz=circuit.ansatz,
        noise=circuit.noise,
        generator=generator(seed),
        dtype=torch.float64,
    )
    x = points(router, 20, seed + 1)
    torch.testing.assert_close(fitted_twin(router).logits(x), router.logits(x), rtol=0, atol=1e-10)


def test_papers_twin_has_18_parameters() -> None:
    twin = qmoe.twin(QuantumRouter(2, 2))
    assert n_parameters(twin) == 2 * (8 + 1)
    assert twin.basis == circuit_basis(Circuit(2, 3))
    assert n_parameters(qmoe.twin(QuantumRouter(2, 2, ansatz="no_entangler"))) == 2 * (4 + 1)
    assert n_parameters(qmoe.twin(QuantumRouter(5, 2, n_qubits=2))) == 2 * (8 + 1) + 2 * 5 + 2


def test_features_are_the_named_functions() -> None:
    twin = TwinRouter(Circuit(2, 2, AngleEncoding("X", 2)), 2, dtype=torch.float64)
    x = points(twin, 7, seed=0)
    for name, column in zip(twin.basis.names, twin.features(x).T, strict=True):
        expected = torch.ones(7, dtype=torch.float64)
        for function, argument in _pairs(name):
            k, feature = argument.split("x")
            expected = expected * getattr(torch, function)(int(k or 1) * x[:, int(feature)])
        torch.testing.assert_close(column, expected, rtol=0, atol=1e-14)


def _pairs(name: str) -> list[tuple[str, str]]:
    words = name.split()
    return list(zip(words[::2], words[1::2], strict=True))


def test_amplitude_features_are_blind_to_sign_and_length() -> None:
    twin = TwinRouter(Circuit(2, 3, "amplitude"), 2, dtype=torch.float64)
    x = points(twin, 5, seed=0)
    torch.testing.assert_close(twin(x), twin(-3 * x), rtol=0, atol=1e-14)
    y = x / x.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(twin.features(x)[:, :2], torch.stack([y[:, 0] ** 2, 2 * y[:, 0] * y[:, 1]], -1))


def test_forward_runs_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an engine ran")

    monkeypatch.setattr(Engine, "evaluate", refuse)
    twin = qmoe.twin(QuantumRouter(2, 2))
    assert twin(torch.rand(3, 2)).shape == (3, 2)


def test_twins_differ_from_their_circuit_in_neither_checks_nor_sizes() -> None:
    twin = TwinRouter(Circuit(2, 3), 2)
    with pytest.warns(EncodingRangeWarning, match="from 0 to 7 radians"):
        twin(torch.tensor([[0.0, 7.0]]))
    with pytest.raises(ShapeError, match="Row 0 of x is all zeros"):
        TwinRouter(Circuit(2, 3, "amplitude"), 2)(torch.zeros(1, 4))
    TwinRouter(Circuit(2, 3), 2, in_features=1)(torch.tensor([[50.0]]))  # the projection rescales


# --- left out on purpose --------------------------------------------------------------------------------------------


def test_a_frequency_left_out_takes_all_its_products() -> None:
    twin = qmoe.twin(QuantumRouter(2, 2), without=[(1, 1)])
    assert twin.basis.names == ("cos x0", "sin x0", "cos x1", "sin x1")
    assert not twin.basis.complete
    assert "not a superset" in repr(twin)
    assert "some left out, not a superset" in str(qmoe.span(twin))


def test_a_function_left_out_by_name_is_the_only_one() -> None:
    twin = TwinRouter(Circuit(2, 3), 2, without=["cos x0 sin x1"])
    assert len(twin.basis) == 7
    assert "cos x0 sin x1" not in twin.basis.names
    assert "y0^2" not in TwinRouter(Circuit(1, 3, "amplitude"), 2, without=["y0^2"]).basis.names


def test_the_span_of_a_crippled_twin_shows_what_it_lacks() -> None:
    router = QuantumRouter(2, 2)
    assert qmoe.span(qmoe.twin(router)).residual < 1e-10
    found = qmoe.span(qmoe.twin(router, without=[(1, 1)]))
    assert found.residual > 0.1
    assert (found.theoretical_rank, found.numerical_rank, found.jacobian_rank) == (4, 8, 5)


# --- samples --------------------------------------------------------------------------------------------------------


def test_a_whole_distinct_sample_is_the_span() -> None:
    circuit = Circuit(2, 2, AngleEncoding("X", 2))
    twin = TwinRouter(circuit, 2, sampling=Sampling(24), generator=generator(), dtype=torch.float64)
    found = qmoe.span(twin)
    assert found.residual < 1e-10
    assert found.sampled
    assert not found.complete
    assert "a random sample, not a superset" in str(found)
    assert "a distinct sample of the circuit's frequencies, not a superset" in repr(twin)


@pytest.mark.parametrize("strategy", ["distinct", "tree", "grid"])
@pytest.mark.parametrize("n_qubits", [2, 40])
def test_samples_lie_in_the_spectrum_and_none_is_zero(strategy: str, n_qubits: int) -> None:
    circuit = Circuit(n_qubits, 3, AngleEncoding("X", 3))
    waves = sample_frequencies(circuit, Sampling(40, strategy), generator())
    assert waves.shape == (20, n_qubits)
    assert waves.abs().max() <= 3
    assert torch.equal(waves, waves.round())
    assert all(next(float(k) for k in wave if k) > 0 for wave in waves)
    if strategy == "distinct":
        assert len({tuple(wave.tolist()) for wave in waves}) == 20


@pytest.mark.parametrize("strategy", ["distinct", "tree"])
def test_samples_know_which_wires_are_joined(strategy: str) -> None:
    waves = sample_frequencies(Circuit(30, 3, ansatz="no_entangler"), Sampling(60, strategy), generator())
    assert ((waves != 0).sum(1) == 1).all()


def test_tree_samples_prefer_low_frequencies_as_circuits_do() -> None:
    # Two uploads: of 16 pairs of paths 4 + 4 lead to +-1, 1 + 1 to +-2, and 6 to 0, which is drawn again.
    waves = sample_frequencies(Circuit(1, 2, AngleEncoding("X", 2)), Sampling(8000, "tree"), generator())
    assert abs(float((waves == 1).double().mean()) - 0.8) < 0.02
    grid = sample_frequencies(Circuit(1, 2, AngleEncoding("X", 2)), Sampling(8000, "grid", 0.5), generator())
    assert set(grid.flatten().tolist()) == {0.5, 1.0, 1.5, 2.0}


def test_sampled_functions_are_the_named_ones() -> None:
    twin = TwinRouter(Circuit(3, 2), 2, sampling=Sampling(8), generator=generator(), dtype=torch.float64)
    x = points(twin, 6, seed=0)
    torch.testing.assert_close(twin.basis.values(x), twin.features(x), rtol=0, atol=1e-14)
    assert all(name.startswith("cos(") for name in twin.basis.names[:4])
    twin.waves.copy_(torch.tensor([[1.0, -2.0, 0.0]] * 4))
    assert twin.basis.names[0] == "cos(x0 - 2x1)"
    assert twin.basis.names[-1] == "sin(x0 - 2x1)"


# --- stacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"in_features": 4},
        {"sampling": Sampling(6, "tree")},
        {"sampling": Sampling(6, "grid"), "in_features": 3},
        {"without": [(1, 1)]},
    ],
)
def test_a_stack_of_twins_computes_each_by_itself(options: dict[str, Any]) -> None:
    twins = [TwinRouter(Circuit(2, 3), 2, **options, generator=generator(seed)) for seed in range(3)]
    x = torch.rand(3, 9, twins[0].in_features, generator=generator())
    stack = ModelStack(twins)
    assert stack.module is not None
    torch.testing.assert_close(stack(x), torch.stack([t(rows) for t, rows in zip(twins, x, strict=True)]))


def test_a_stack_of_amplitude_twins_computes_each_by_itself() -> None:
    circuit = Circuit(2, 3, "amplitude", "no_entangler")
    twins = [TwinRouter(circuit, 2, generator=generator(seed)) for seed in range(3)]
    x = torch.rand(3, 9, 4, generator=generator())
    torch.testing.assert_close(ModelStack(twins)(x), torch.stack([t(rows) for t, rows in zip(twins, x, strict=True)]))


def test_mixtures_with_twins_train_as_one_stack() -> None:
    models = [
        qmoe.MixtureOfExperts(
            TwinRouter(Circuit(2, 3), 2, generator=generator(seed)),
            qmoe.LinearExperts(2, 2, 2, generator=generator(seed)),
        )
        for seed in range(3)
    ]
    assert all(runs_stacked(model) for model in models)
    x = torch.rand(3, 9, 2, generator=generator())
    torch.testing.assert_close(ModelStack(models)(x), torch.stack([m(rows) for m, rows in zip(models, x, strict=True)]))


# --- refusals -------------------------------------------------------------------------------------------------------

PAPER = Circuit(2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qmoe.twin(LinearRouter(2, 2)), r"twin takes a qmoe.QuantumRouter, got a LinearRouter"),
        (lambda: TwinRouter(Circuit(20, 3), 2), r"sampling=Sampling\(n_functions=512\)"),
        (lambda: TwinRouter(PAPER, 0), "n_experts is 0"),
        (
            lambda: TwinRouter(PAPER, 2, sampling="distinct"),
            r"expected None or a .*, such as Sampling\(n_functions=512\)",
        ),
        (lambda: Sampling(None), "n_functions is None, expected an even number"),  # type: ignore[arg-type]
        (lambda: Sampling(3), "n_functions is 3, expected an even number"),
        (lambda: TwinRouter(PAPER, 2, sampling=Sampling(10)), "the spectrum has 4: .* up to 8"),
        (lambda: Sampling(4, "trees"), "did you mean 'tree'"),
        (lambda: TwinRouter(PAPER, 2, sampling=Sampling(4, "grid", 2)), "grid_step is 2"),
        (lambda: TwinRouter(PAPER, 2, sampling=Sampling(4, "tree"), without=["cos x0"]), "leave out sampling"),
        (lambda: TwinRouter(PAPER, 2, without=["cos x0 cosx1"]), "near it: 'cos x0 cos x1'"),
        (lambda: TwinRouter(PAPER, 2, without=[(2, 0)]), r"the frequency \(2, 0\), which no function"),
        (lambda: TwinRouter(PAPER, 2, without="cos x0"), r"expected a list .* without=\['cos x0'\]"),
        (lambda: TwinRouter(PAPER, 2, without=[3]), "without holds 3"),  # type: ignore[list-item]
        (lambda: TwinRouter(PAPER, 2, without=[(1, 0), (0, 1), (1, 1)]), "leaves out all 8 functions"),
        (lambda: TwinRouter(Circuit(1, 0, AngleEncoding("Z")), 2), "nothing but constants"),
        (lambda: TwinRouter(Circuit(2, 3, "amplitude"), 2, in_features=3), "build the circuit for as many features"),
    ],
)
def test_bad_options_are_refused_with_the_remedy(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_amplitudes_have_no_frequencies_to_sample() -> None:
    with pytest.raises(UnsupportedError, match="amplitude encoding has none"):
        TwinRouter(Circuit(2, 3, "amplitude"), 2, sampling=Sampling(4, "tree"))


@pytest.mark.parametrize("make", [qmoe.twin, qmoe.distill, qmoe.span])
def test_a_layer_is_refused_with_the_router_of_its_circuit_which_is_taken(make: Any) -> None:
    layer = qmoe.QuantumLayer(Circuit(n_qubits=2, n_layers=1))
    remedy = r"got a QuantumLayer; .*qmoe\.QuantumRouter\(in_features, n_experts, circuit=layer\.circuit\)"
    with pytest.raises(ConfigError, match=remedy):
        make(layer)
    assert make(QuantumRouter(2, 2, circuit=layer.circuit)).n_experts == 2


def test_a_router_takes_an_import_and_refuses_a_layer_shortly() -> None:
    imported = from_qasm3(to_qasm3(Circuit(n_qubits=2, n_layers=3)), inputs=["x0", "x1"])
    assert QuantumRouter(2, 2, circuit=imported).circuit == imported.circuit
    with pytest.raises(ConfigError, match=r"pass quantumlayer\.circuit") as found:
        QuantumRouter(2, 2, circuit=qmoe.QuantumLayer(imported.circuit))  # type: ignore[arg-type]
    assert len(str(found.value)) < 100
