"""Full batches measure a circuit at nodes and interpolate; what they give is what single samples give."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qmoe import LinearExperts, MixtureOfExperts, QuantumRouter
from qmoe.circuits import AngleEncoding
from qmoe.routers import MeanRouting, PermutedRouting, Router
from qmoe.training import LBFGSConfig, TrainingConfig, minimize_stack, train_stack
from qmoe.training.checked import checked_parts
from qmoe.training.compiled import layout as at
from qmoe.training.compiled.parts import MixtureParts
from qmoe.training.compiled.step import compiled_parts


def options(seed: int, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    return {"generator": torch.Generator().manual_seed(seed), "dtype": dtype}


def rows(n: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 4 * torch.rand(1, n, 2, generator=generator, dtype=dtype) - 1
    return x, (x[..., 0].sin() > x[..., 1].cos()).long()


def parts(model: nn.Module, n: int, batch_size: int) -> MixtureParts:
    stack, train, _ = checked_parts([model], *rows(n), None, None)
    found = compiled_parts(stack, train.x.shape[1], batch_size)
    assert found is not None
    return found


ROUTERS = {
    "one upload": lambda: QuantumRouter(2, 2, **options(0)),
    "two uploads": lambda: QuantumRouter(2, 2, encoding=AngleEncoding(uploads=2), n_layers=2, **options(0)),
    "rotation Z": lambda: QuantumRouter(2, 2, encoding=AngleEncoding(rotation="Z"), **options(0)),
    "born": lambda: QuantumRouter(2, 2, readout="born", **options(0)),
    "noise": lambda: QuantumRouter(2, 2, noise=0.1, **options(0)),
    "mean": lambda: MeanRouting(QuantumRouter(2, 2, **options(0))),
    "permuted": lambda: PermutedRouting(QuantumRouter(2, 2, **options(0))),
}


@pytest.mark.parametrize("name", ROUTERS)
def test_the_loss_of_a_full_batch_falls_to_where_single_samples_say(name: str) -> None:
    router: Router = ROUTERS[name]()
    model = MixtureOfExperts(router, LinearExperts(2, 2, 2, **options(1)))
    assert parts(model, 120, 120).router.source == at.INTERPOLATED
    x, y = rows(120)
    result = minimize_stack([model], x, y, LBFGSConfig(max_iterations=12), x, y)
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(x[0]), y[0])
    loss.backward()
    largest = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
    assert result.loss[0] == pytest.approx(float(loss.detach()), abs=1e-12)
    assert result.gradient[0] == pytest.approx(largest, abs=1e-12)
    assert (
        result.train_accuracy[0] == result.test_accuracy[0] == float((model(x[0]).argmax(-1) == y[0]).double().mean())
    )


@pytest.mark.parametrize(
    ("n", "source"), [(32, at.CIRCUIT), (35, at.CIRCUIT), (36, at.INTERPOLATED), (400, at.INTERPOLATED)]
)
def test_batches_of_four_times_as_many_samples_as_nodes_are_interpolated(n: int, source: int) -> None:
    model = MixtureOfExperts(QuantumRouter(2, 2, **options(0)), LinearExperts(2, 2, 2, **options(1)))
    assert parts(model, 400, n).router.source == source


def test_a_trainable_map_in_front_of_the_circuit_and_amplitudes_are_measured_sample_by_sample() -> None:
    experts = LinearExperts(2, 2, 2, **options(1))
    for router in (
        QuantumRouter(2, 2, n_qubits=3, **options(0)),
        QuantumRouter(2, 2, encoding="amplitude", **options(0)),
    ):
        assert parts(MixtureOfExperts(router, experts), 400, 400).router.source == at.CIRCUIT


def test_epochs_in_float32_end_where_autograd_ends() -> None:
    x, y = rows(200, torch.float32)

    def logits(engine: str) -> Tensor:
        router = QuantumRouter(2, 2, engine=engine, **options(0, torch.float32))
        model = MixtureOfExperts(router, LinearExperts(2, 2, 2, **options(1, torch.float32)))
        train_stack([model], x, y, TrainingConfig(epochs=5, batch_size=100), [0])
        return model(x[0]).detach()

    # Weights themselves may differ: Adam makes whole steps of the rounding errors in which dead parameters drift.
    torch.testing.assert_close(logits("auto"), logits("torch"), rtol=0, atol=2e-4)


def test_a_feature_that_is_not_finite_is_refused_before() -> None:
    model = MixtureOfExperts(QuantumRouter(2, 2, **options(0)), LinearExperts(2, 2, 2, **options(1)))
    x, y = rows(100)
    x[0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="finite"):
        minimize_stack([model], x, y)
