"""Training the models of an arm: the same side by side, one by one, and in a loop written here."""

import numpy as np
import pytest
import torch
from torch import nn

import qmoe
from helpers import generator
from qmoe.auditing import fitting, side_by_side
from qmoe.auditing.experiment import splits
from qmoe.auditing.fitting import ORDER, Recipe, batches, fit_arm
from qmoe.auditing.objective import Objective, objective_for
from qmoe.auditing.side_by_side import Together
from qmoe.errors import ConfigError
from qmoe.seeding import child, torch_generator

CLASSES = Objective(True, nn.functional.cross_entropy, "cross-entropy")


def table(n=50, seed=0):
    x = torch.rand(n, 2, generator=generator(seed))
    return x, (x[:, 0] > x[:, 1]).long()


def draws_of(n, seed=0):
    return list(splits(*table(), n, 0.3, seed))


def hybrid(seed=0):
    with fitting.seeded(seed):
        return nn.Sequential(nn.Linear(2, 2), qmoe.QuantumLayer(qmoe.Circuit(2, 1)), nn.Linear(2, 2))


RECIPE = Recipe(epochs=3, lr=0.05, batch_size=8)


def test_side_by_side_gives_what_each_model_gives_alone(monkeypatch):
    draws = draws_of(3)
    together = [hybrid(s) for s in range(3)]
    found = fit_arm(together, draws, RECIPE, CLASSES)
    monkeypatch.setattr(side_by_side, "MAX_NUMBERS", 0)
    alone = [hybrid(s) for s in range(3)]
    expected = fit_arm(alone, draws, RECIPE, CLASSES)
    for a, b in zip(found, expected, strict=True):
        assert a.loss == pytest.approx(b.loss, abs=1e-5)
        assert a.test_loss == pytest.approx(b.test_loss, abs=1e-5)
    for a, b in zip(together, alone, strict=True):
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-4)


def test_training_is_adam_on_shuffled_batches():
    draw = draws_of(1)[0]
    model, mine = nn.Linear(2, 2), nn.Linear(2, 2)
    mine.load_state_dict(model.state_dict())
    (found,) = fit_arm([model], [draw], RECIPE, CLASSES)
    optimiser, shuffle = torch.optim.Adam(mine.parameters(), lr=0.05), torch_generator(child(draw.seed, ORDER))
    for _ in range(3):
        losses = []
        for rows in torch.randperm(35, generator=shuffle).split(8):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(mine(draw.x[rows]), draw.y[rows])
            loss.backward()
            optimiser.step()
            losses.append((float(loss.detach()), len(rows)))
    torch.testing.assert_close(model.weight, mine.weight, rtol=0, atol=1e-7)
    assert found.loss == pytest.approx(sum(a * n for a, n in losses) / 35, abs=1e-6)
    assert found.score == float((mine(draw.x_test).argmax(-1) == draw.y_test).double().mean())


def test_every_row_stands_in_one_batch_of_an_epoch():
    draw = draws_of(1)[0]
    for parts in batches(draw, RECIPE):
        assert sorted(torch.cat(parts).tolist()) == list(range(35))
        assert [len(part) for part in parts] == [8, 8, 8, 8, 3]


class _LeavesTorch(nn.Module):
    def forward(self, x):
        return x + torch.from_numpy(x.detach().numpy())


class _ReadsValues(nn.Module):
    def forward(self, x):
        return 2 * x if float(x.sum()) > 0 else x


class _ComputesAnotherThing(nn.Module):
    """Is twice as large when it runs as one of many."""

    def forward(self, x):
        stacked = torch._C._functorch.is_batchedtensor(x)
        return x * (2.0 if stacked else 1.0)


@pytest.mark.parametrize(
    "odd", [_LeavesTorch(), _ReadsValues(), _ComputesAnotherThing(), nn.Dropout(0.5), nn.BatchNorm1d(2)]
)
def test_models_that_do_not_run_as_one_train_one_by_one(odd):
    models = [nn.Sequential(odd, nn.Linear(2, 2)) for _ in range(2)]
    x, y = table()
    assert Together.of(models, x[:8], y[:8], CLASSES.loss) is None
    draws = draws_of(2)
    found = fit_arm(models, draws, RECIPE, CLASSES)
    assert all(np.isfinite(f.score) for f in found)


def test_ordinary_models_run_as_one():
    models = [hybrid(s) for s in range(2)]
    x, y = table()
    together = Together.of(models, x[:8], y[:8], CLASSES.loss)
    found = together.losses(torch.stack([x[8:12], x[12:16]]), torch.stack([y[8:12], y[12:16]]))
    each = [
        CLASSES.loss(model(rows), of)
        for model, rows, of in zip(models, x[8:16].split(4), y[8:16].split(4), strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(each), rtol=1e-5, atol=1e-6)
    assert Together.of(models[:1], x[:8], y[:8], CLASSES.loss) is None


def test_dropout_draws_the_same_again_and_leaves_torchs_generator_alone():
    draws, before = draws_of(1), torch.get_rng_state()
    scores = []
    for _ in range(2):
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
        nn.init.ones_(model[1].weight)
        nn.init.zeros_(model[1].bias)
        state = torch.get_rng_state()
        scores.append(fit_arm([model], draws, RECIPE, CLASSES)[0].loss)
        assert torch.equal(torch.get_rng_state(), state)
    assert scores[0] == scores[1]
    torch.set_rng_state(before)


def test_a_run_whose_loss_is_not_finite_has_failed():
    draws = draws_of(2)
    models = [nn.Linear(2, 2), nn.Linear(2, 2)]
    with torch.no_grad():
        models[1].weight.fill_(float("nan"))
    found = fit_arm(models, draws, RECIPE, CLASSES)
    assert [f.failed for f in found] == [False, True]


def test_a_model_without_parameters_is_scored_as_it_is():
    draws = draws_of(2)
    found = fit_arm([nn.Identity(), nn.Identity()], draws, RECIPE, CLASSES)
    for f, draw in zip(found, draws, strict=True):
        assert f.score == float((draw.x_test.argmax(-1) == draw.y_test).double().mean())


def test_the_loop_of_a_user_gets_training_rows_and_a_seed():
    draws, given = draws_of(2), []

    def fit(model, x, y, seed):
        given.append((x, y, seed, torch.initial_seed()))
        return nn.Sequential(model, nn.Identity()) if len(given) == 1 else None

    found = fit_arm([nn.Linear(2, 2), nn.Linear(2, 2)], draws, Recipe(0, 0.0, 0, fit), CLASSES)
    for (x, y, seed, torchs), draw in zip(given, draws, strict=True):
        assert x is draw.x
        assert y is draw.y
        assert seed == torchs == draw.number(fitting.TRAINING)
    assert all(np.isnan(f.recent).all() and np.isfinite(f.loss) for f in found)
    with pytest.raises(ConfigError, match="fit returned a int, expected the trained model"):
        fit_arm([nn.Linear(2, 2)], draws[:1], Recipe(0, 0.0, 0, lambda *_: 3), CLASSES)


def test_the_score_of_numbers_is_the_share_of_the_variance_that_is_explained():
    y = torch.tensor([1.0, 2.0, 3.0, 6.0])
    regression, targets = objective_for("auto", None, torch.zeros(4, 1), y)
    assert targets.shape == (4, 1)
    assert regression.metric == "test_r2"
    assert regression.score(targets, targets) == 1.0
    assert regression.score(targets.mean().expand(4, 1), targets) == pytest.approx(0.0)
    assert regression.guess(targets) == 0.0


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_a_single_output_is_the_logit_of_class_one(shape):
    y = torch.tensor([0, 1, 1, 0])
    found, targets = objective_for("auto", None, torch.zeros(shape), y)
    out = torch.tensor([-1.0, 2.0, -0.5, -3.0]).reshape(shape)
    assert found.score(out, targets) == 0.75
    assert found.guess(targets) == 0.5
    expected = nn.functional.binary_cross_entropy_with_logits(out.flatten(), y.float())
    torch.testing.assert_close(found.loss(out, targets), expected)
