"""Standardised functions: mean 0 and standard deviation 1 over the training rows, in the same span."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import qmoe
from qmoe import AngleEncoding, Circuit, LinearExperts, LinearRouter, MixtureOfExperts, ShapeError
from qmoe.errors import ConfigError, StateWarning
from qmoe.routers import (
    FeatureRouter,
    MeanRouting,
    PermutedRouting,
    QuadraticRouter,
    RandomFourierRouter,
    Sampling,
    TrigonometricRouter,
    TwinRouter,
    feature_router,
)
from qmoe.testing import RouterConformance
from qmoe.training import ModelStack, TrainingConfig, train_stack
from qmoe.training.compiled import compiled_parts

F64 = torch.float64
PAPER = Circuit(n_qubits=2, n_layers=3)
GATES: dict[str, Callable[..., FeatureRouter]] = {
    "quadratic": lambda **o: QuadraticRouter(2, 2, **o),
    "trigonometric": lambda **o: TrigonometricRouter(2, 2, max_frequency=2, **o),
    "fourier": lambda **o: RandomFourierRouter(2, 2, n_functions=5, **o),
    "twin": lambda **o: TwinRouter(PAPER, 2, **o),
    "two uploads": lambda **o: TwinRouter(Circuit(2, 2, AngleEncoding("X", 2)), 2, **o),
    "sampled": lambda **o: TwinRouter(PAPER, 2, sampling=Sampling(6), **o),
    "projected": lambda **o: TwinRouter(Circuit(3, 2), 2, 2, **o),
    "amplitude": lambda **o: TwinRouter(Circuit(1, 3, "amplitude"), 2, **o),
}
EACH = pytest.mark.parametrize("kind", GATES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int = 300, dtype: torch.dtype = F64, seed: int = 0, *before: int) -> Tensor:
    """Features like those of a small corner of the range, where cosines hardly vary."""
    x = torch.rand(*before, n, 2, generator=generator(seed), dtype=F64)
    return (0.2 + x * torch.tensor([0.5, 2.0], dtype=F64)).to(dtype)


def gate(kind: str, seed: int = 0, dtype: torch.dtype = F64) -> FeatureRouter:
    return GATES[kind](generator=generator(seed), dtype=dtype)


# --- what is fitted --------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_centre_and_scale_are_mean_and_deviation_of_the_functions(kind: str, dtype: torch.dtype) -> None:
    router, x = gate(kind, dtype=dtype), rows(20_000, dtype)  # more rows than are taken at once
    assert torch.equal(router.functions(x), router.features(x))
    assert not router.is_standardised
    raw = router.features(x).detach().double()
    assert router.standardise(x) is router
    assert router.is_standardised
    assert router.centre.dtype == router.scale.dtype == dtype
    torch.testing.assert_close(router.centre, raw.mean(0).to(dtype), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(router.scale, raw.std(0, correction=0).to(dtype), rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(router.features(x).detach().double(), raw, rtol=0, atol=0)
    assert "standardised" in repr(router)


@EACH
def test_the_result_depends_on_the_rows_alone_and_the_weights_stay(kind: str) -> None:
    router, other = gate(kind), gate(kind)
    weights = router.weight.detach().clone()
    router.standardise(rows(seed=1)).standardise(rows())
    other.standardise(rows())
    assert torch.equal(router.centre, other.centre)
    assert torch.equal(router.scale, other.scale)
    assert torch.equal(router.weight, weights)


@EACH
def test_keep_is_exact_from_one_fit_to_the_next_and_off_the_rows(kind: str) -> None:
    router = gate(kind)
    x = rows(seed=3)
    expected = router.logits(x).detach()
    for seed in range(4):
        router.standardise(rows(50, seed=seed), keep=True)
        torch.testing.assert_close(router.logits(x).detach(), expected, rtol=0, atol=1e-12)


def test_a_constant_function_keeps_scale_1_up_to_its_rounding() -> None:
    for dtype, eps in ((torch.float32, 2**-23), (F64, 2**-52)):
        x = rows(100, dtype)
        x[:, 0] = 1000.0
        x[::2, 0] *= 1 + 40 * eps  # a deviation of 20 roundings, 40 in the square
        router = QuadraticRouter(2, 2, generator=generator(), dtype=dtype).standardise(x)
        assert router.scale[0] == router.scale[2] == 1
        assert router.scale[1] == pytest.approx(float(x[:, 1].std(correction=0)), rel=1e-5)
        assert router.functions(x)[:, 0].abs().max() < 1000 * 100 * eps
        x[::2, 0] = 1000.0 * (1 + 400 * eps)
        assert router.standardise(x).scale[0] == pytest.approx(1000 * 200 * eps, rel=0.05)
    one = QuadraticRouter(2, 2).standardise(torch.rand(1, 2))  # a single row has no spread at all
    assert torch.equal(one.scale, torch.ones(5))


def test_numbers_of_the_smallest_size_do_not_divide_by_zero() -> None:
    x = torch.zeros(4000, 2, dtype=torch.float32)
    x[0] = 1e-45
    router = QuadraticRouter(2, 2, dtype=torch.float32).standardise(x)
    assert router.functions(x).isfinite().all()


def test_all_of_the_functions_may_be_zero() -> None:
    router = QuadraticRouter(2, 2).standardise(torch.zeros(9, 2))
    assert torch.equal(router(torch.rand(4, 2)).isfinite(), torch.ones(4, 2, dtype=torch.bool))
    assert not router.is_standardised


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2), r"x has shape \(2,\), expected \(N, 2\), N at least 1"),
        (torch.rand(0, 2), r"x has shape \(0, 2\), expected \(N, 2\)"),
        (torch.rand(3, 4, 2), r"x has shape \(3, 4, 2\), expected \(N, 2\)"),
        (torch.rand(3, 5), "expected"),
        (torch.rand(3, 2, dtype=F64), "nothing is converted silently"),
        (torch.tensor([[0.0, float("nan")]]), "nan"),
        (torch.full((3, 2), 1e30), "Function 2 of QuadraticRouter leaves the range of its numbers"),
    ],
)
def test_rows_that_cannot_be_fitted_to_are_refused_and_nothing_changes(x: Tensor, message: str) -> None:
    router = QuadraticRouter(2, 2, dtype=torch.float32)
    with pytest.raises(ShapeError, match=message):
        router.standardise(x)
    assert not router.is_standardised


def test_names_that_are_taken_are_refused() -> None:
    class Stretched(QuadraticRouter):
        def __init__(self) -> None:
            super().__init__(2, 2)
            self.scale = nn.Parameter(torch.ones(1))  # type: ignore[assignment]

    with pytest.raises(ConfigError, match=r"Stretched has .* scale of shape \(1,\); expected \(..., 5\)"):
        Stretched()(torch.rand(3, 2))
    with pytest.raises(ShapeError, match="nothing is converted silently"):
        gate("twin").functions(torch.rand(3, 2))


# --- span ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["twin", "two uploads", "sampled", "projected", "amplitude"])
def test_the_span_is_what_it_was(kind: str) -> None:
    router = gate(kind)
    assert isinstance(router, TwinRouter)
    before = qmoe.span(router)
    router.standardise(rows())
    after = qmoe.span(router)
    assert after.basis == before.basis
    assert (after.jacobian_rank, after.logit_rank) == (before.jacobian_rank, before.logit_rank)
    assert (after.numerical_rank, after.n_parameters, after.dead) == (
        before.numerical_rank,
        before.n_parameters,
        before.dead,
    )


def test_a_standardised_twin_is_the_router_for_some_weights() -> None:
    quantum, x = qmoe.QuantumRouter(2, 2, generator=generator(), dtype=F64), rows()
    router = qmoe.twin(quantum, generator=generator()).standardise(x)
    design = torch.cat([router.functions(x), torch.ones(len(x), 1, dtype=F64)], -1)
    found = torch.linalg.lstsq(design, quantum.logits(x).detach()).solution
    with torch.no_grad():
        router.weight.copy_(found[:-1].mT)
        router.bias.copy_(found[-1])
    elsewhere = rows(seed=9)
    torch.testing.assert_close(router(elsewhere), quantum(elsewhere), rtol=0, atol=1e-7)


def test_functions_are_found_inside_of_controls() -> None:
    router = gate("twin")
    assert feature_router(router) is router
    assert feature_router(PermutedRouting(MeanRouting(router))) is router
    assert feature_router(MeanRouting(LinearRouter(2, 2))) is None


# --- stacks and training ---------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("keep", [True, False])
def test_a_stack_is_standardised_as_each_of_its_models(kind: str, keep: bool) -> None:
    n, x = 3, rows(40, F64, 0, 3)
    models = [gate(kind, seed) for seed in range(n)]
    stack = ModelStack(models).module
    assert isinstance(stack, FeatureRouter)
    stack.standardise(x, keep=keep)
    for model, part in zip(models, x, strict=True):
        model.standardise(part, keep=keep)
    assert stack.centre.shape == stack.scale.shape == (n, stack.n_functions)
    for name, value in stack.state_dict().items():
        torch.testing.assert_close(value, torch.stack([m.state_dict()[name] for m in models]), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(stack(x), torch.stack([m(part) for m, part in zip(models, x, strict=True)]))
    torch.testing.assert_close(ModelStack(models)(x), stack(x))
    with pytest.raises(ShapeError, match=rf"expected \({n}, N, 2\)"):
        stack.standardise(x[0])


@pytest.mark.parametrize("kind", [kind for kind in GATES if kind != "projected"])
def test_the_compiled_step_trains_on_standardised_functions(kind: str) -> None:
    x, y = rows(60, F64, 0, 2), torch.randint(2, (2, 60), generator=generator())
    models = [
        MixtureOfExperts(gate(kind, s).standardise(x[s]), LinearExperts(2, 2, 2, generator=generator(s), dtype=F64))
        for s in range(2)
    ]
    centres = [feature_router(model.router).centre.clone() for model in models]
    parts = compiled_parts(ModelStack(models), 60, 16)
    given = parts.router.functions(x)
    torch.testing.assert_close(given.mean(1), torch.zeros_like(given[:, 0]), rtol=0, atol=1e-10)
    expected = [copy.deepcopy(model) for model in models]
    result = train_stack(models, x, y, TrainingConfig(epochs=3, batch_size=60, lr=0.1), [0, 1])
    for seed, model in enumerate(expected):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(x[seed]), y[seed])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for name, value in model.named_parameters():
            torch.testing.assert_close(models[seed].get_parameter(name), value, rtol=0, atol=1e-8)
        assert torch.equal(feature_router(models[seed].router).centre, centres[seed])  # training fits no buffer
    assert not result.failures


# --- copies and files ------------------------------------------------------------------------------------------------


@EACH
def test_copies_and_state_dicts_hold_centre_and_scale(kind: str, tmp_path: Path) -> None:
    router, x = gate(kind).standardise(rows()), rows(20, seed=5)
    expected = router(x)
    for other in (copy.deepcopy(router), pickle.loads(pickle.dumps(router))):
        assert torch.equal(other(x), expected)
    torch.save(router.state_dict(), tmp_path / "state.pt")
    for state in (
        router.state_dict(),
        torch.load(tmp_path / "state.pt", weights_only=True),
        safetensors.torch.load(safetensors.torch.save(router.state_dict())),
    ):
        fresh = gate(kind, 1)
        fresh.load_state_dict(state)
        assert torch.equal(fresh(x), expected)


def old_state(module: nn.Module) -> dict[str, Any]:
    """What versions without centre and scale saved."""
    state = module.state_dict()
    for name in [name for name in state if name.split(".")[-1] in ("centre", "scale")]:
        del state[name]
    for metadata in state._metadata.values():  # type: ignore[attr-defined]
        metadata["version"] = 1
    return state


@pytest.mark.parametrize("wrap", [lambda r: r, MeanRouting, lambda r: MixtureOfExperts(r, LinearExperts(2, 2, 2))])
@pytest.mark.parametrize("plain", [False, True], ids=["with metadata", "plain"])
def test_an_old_state_dict_means_functions_as_they_are(wrap: Callable[[Any], nn.Module], plain: bool) -> None:
    kind = "quadratic"
    old, fresh, standardised = wrap(gate(kind)), wrap(gate(kind, 1)), wrap(gate(kind, 1).standardise(rows()))
    state = dict(old_state(old)) if plain else old_state(old)
    n_before = len(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.load_state_dict(state)
    with pytest.warns(StateWarning, match="has no centre and scale.* of a QuadraticRouter that is not") as caught:
        standardised.load_state_dict(state)
    assert caught[0].filename == __file__
    assert len(state) == n_before  # the caller's own is left alone
    for module in (fresh, standardised):
        for name, value in old.state_dict().items():
            assert torch.equal(module.state_dict()[name], value)


def test_a_state_dict_that_lost_its_centre_is_refused() -> None:
    state = gate("twin").state_dict()
    del state["centre"]
    with pytest.raises(RuntimeError, match="centre"):
        gate("twin").load_state_dict(state)
    del state["scale"]
    with pytest.raises(RuntimeError, match="centre"):  # by its version it should have both
        gate("twin").load_state_dict(state)


@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
def test_an_old_state_dict_is_assigned_to_a_module_without_memory(dtype: torch.dtype) -> None:
    router = gate("twin", dtype=dtype).to("meta")
    router.load_state_dict(dict(old_state(gate("twin", 1))), assign=True)
    assert torch.equal(router(rows()), gate("twin", 1)(rows()))


def test_reset_parameters_makes_a_new_router_of_it() -> None:
    router = gate("fourier").standardise(rows())
    router.reset_parameters(generator(4))
    assert not router.is_standardised
    assert all(torch.equal(v, gate("fourier", 4).state_dict()[k]) for k, v in router.state_dict().items())


def test_a_change_of_dtype_takes_centre_and_scale_along() -> None:
    router = gate("twin").standardise(rows())
    torch.testing.assert_close(router.float()(rows().float()).double(), gate("twin").standardise(rows())(rows()))


# --- export ----------------------------------------------------------------------------------------------------------


@EACH
def test_an_exported_program_is_standardised(kind: str) -> None:
    router, x = gate(kind).standardise(rows()), rows(5)
    dynamic: Any = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(router, (x,), dynamic_shapes=dynamic).module()
    torch.testing.assert_close(program(rows(9)), router(rows(9)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_an_onnx_program_is_standardised(tmp_path: Path) -> None:
    router, x = gate("twin", dtype=torch.float32).standardise(rows(dtype=torch.float32)), rows(5, torch.float32)
    path, dynamic = tmp_path / "twin.onnx", ({0: torch.export.Dim.DYNAMIC},)
    torch.onnx.export(router, (x,), path, dynamic_shapes=dynamic, verbose=False)
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {session.get_inputs()[0].name: rows(9, torch.float32).numpy()})
    torch.testing.assert_close(torch.from_numpy(found), router(rows(9, torch.float32)).detach())


class TestStandardisedTwin(RouterConformance):
    """All promises of a router, but those about new ones: its first values depend on rows."""

    in_features = 2

    def make_router(
        self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator
    ) -> FeatureRouter:
        del in_features
        return TwinRouter(PAPER, n_experts, generator=generator, dtype=dtype).standardise(rows(dtype=dtype))

    test_reset_parameters_gives_the_values_of_a_new_router = None  # type: ignore[assignment]
    test_a_router_without_memory_works_once_it_has_some_and_is_reset = None  # type: ignore[assignment]
    test_standardising_leaves_the_span_and_the_number_of_parameters_as_they_are = None  # type: ignore[assignment]
