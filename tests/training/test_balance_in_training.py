"""The balance loss in trainings of stacks, estimators and studies."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qmoe
from helpers import generator
from qmoe import ConfigError, LinearExperts, LinearRouter, MixtureOfExperts, QMoEClassifier
from qmoe.errors import UnsupportedError
from qmoe.moe import balance_loss
from qmoe.seeding import child, numpy_generator
from qmoe.studies import make_trials
from qmoe.studies.admission.footprint import footprint
from qmoe.studies.files import parse_study
from qmoe.studies.run.stack_run import train_safely
from qmoe.training import TrainingConfig, train_stack
from tiny_study import tiny_values


def mixture(seed: int, **options: Any) -> MixtureOfExperts:
    make: dict[str, Any] = {"generator": generator(seed), "dtype": torch.float64}
    return MixtureOfExperts(LinearRouter(2, 3, **make), LinearExperts(2, 2, 3, **make), **options)


def blobs(n_models: int) -> tuple[Tensor, Tensor]:
    y = torch.randint(2, (n_models, 24), generator=generator())
    x = torch.randn(n_models, 24, 2, generator=generator(1), dtype=torch.float64) * 0.3
    return x + torch.stack([y, -y], -1), y


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_k": 1}])
def test_each_model_of_a_stack_trains_as_a_plain_loop_with_its_own_balance_loss(options: dict[str, Any]) -> None:
    models, plain = ([mixture(seed, **options) for seed in range(2)] for _ in range(2))
    x, y = blobs(2)
    seeds = [child(7, k) for k in range(2)]
    result = train_stack(models, x, y, TrainingConfig(2, 10, 0.1, balance_loss=0.5), seeds)
    for m, net in enumerate(plain):
        optimizer, order = torch.optim.Adam(net.parameters(), lr=0.1), numpy_generator(seeds[m])
        for epoch in range(2):
            total = 0.0
            for rows in torch.from_numpy(order.permuted(torch.arange(24).numpy())).split(10):
                loss = nn.functional.cross_entropy(net(x[m, rows]), y[m, rows])
                balance = balance_loss(net.router(x[m, rows]), options.get("top_k", 1))
                optimizer.zero_grad()
                (loss + 0.5 * balance).backward()
                optimizer.step()
                total += loss.item()
            assert result.loss[m, epoch] == pytest.approx(total, abs=1e-9)
        for own, right in zip(models[m].parameters(), net.parameters(), strict=True):
            torch.testing.assert_close(own, right, rtol=0, atol=1e-9)
        assert models[m].recorded_in is None


def test_a_router_that_would_collapse_stays_balanced() -> None:
    x, y = blobs(1)
    found = []
    for factor in (0.0, 1.0):
        model = mixture(0, top_k=1)
        with torch.no_grad():
            model.router.get_parameter("bias")[0] += 2  # nearly all rows go to the first expert
        train_stack([model], x, y, TrainingConfig(15, 24, 0.1, balance_loss=factor), [child(0, 0)])
        found.append(model.diagnostics(x[0]).balance_loss.item())
    assert found[1] < found[0] - 0.2


@pytest.mark.parametrize("value", [-0.1, "much", True, float("nan")])
def test_factors_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"balance_loss is .*expected a finite number"):
        TrainingConfig(balance_loss=value)


def test_models_without_a_routing_to_balance_are_refused() -> None:
    x, y = blobs(1)
    config = TrainingConfig(1, balance_loss=0.1)
    for model in (nn.Linear(2, 2, dtype=torch.float64), mixture(0, top_k=1, dispatch="sparse")):
        with pytest.raises(UnsupportedError, match=rf"dispatch='dense' .* got a {type(model).__name__}"):
            train_stack([model], x, y, config, [child(0, 0)])


def test_estimators_balance_their_routing() -> None:
    x, y = blobs(1)
    fits = [
        QMoEClassifier("linear", n_experts=3, epochs=8, lr=0.1, random_state=0, balance_loss=factor).fit(x[0], y[0])
        for factor in (0.0, 2.0)
    ]
    before, after = (balance_loss(torch.from_numpy(fit.route(x[0].numpy()))) for fit in fits)
    assert after < before
    with pytest.raises(ConfigError, match="balance_loss is -1"):
        QMoEClassifier(balance_loss=-1).fit(x[0], y[0])
    assert qmoe.QMoERegressor(epochs=1, balance_loss=0.1, random_state=0).fit(x[0], y[0]).n_iter_ == 1


def test_studies_balance_their_routing_and_say_so_in_the_hash() -> None:
    plain, balanced = (
        make_trials(parse_study(tiny_values(training={"epochs": 1, "balance_loss": factor})))[0].trial
        for factor in (0.0, 0.2)
    )
    assert plain.hash != balanced.hash
    assert "balance_loss" not in plain.training.canonical
    assert footprint(balanced).operations > footprint(plain).operations
    losses = [train_safely((trial,)).records[0].metrics["loss"] for trial in (plain, balanced)]
    assert losses[0] != losses[1]
    multiverse = {"optimiser": ["adam", "lbfgs-best"]}
    with pytest.raises(ConfigError, match='"lbfgs-best" minimises no balance_loss'):
        parse_study(tiny_values(training={"balance_loss": 0.1}, multiverse=multiverse))
    with pytest.raises(ConfigError, match=r"makes no use of balance_loss"):
        parse_study(tiny_values(training={"optimiser": "lbfgs", "balance_loss": 0.1}))
