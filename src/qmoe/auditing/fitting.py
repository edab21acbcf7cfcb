"""Training the models of one arm, one for each draw: by Adam, side by side or one by one, or by the user's own loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.auditing.objective import Objective
from qmoe.auditing.side_by_side import Together
from qmoe.errors import ConfigError
from qmoe.routers.controls import permutation_of
from qmoe.seeding import child, torch_generator
from qmoe.studies.store.trial_rows import RECENT

#: The user's own loop: model, training rows, their targets and a seed; returns the trained model, or None for the same one.
Fit = Callable[[nn.Module, Tensor, Tensor, int], "nn.Module | None"]

#: Streams of random numbers of one draw; a number each, never reused.
SPLIT, INIT, ORDER, LAYER, TRAINING = range(5)
#: Rows that are evaluated at once.
_AT_ONCE = 4096


@dataclass(frozen=True)
class Recipe:
    """How models are trained.

    Attributes:
        epochs: passes over the training rows.
        lr: learning rate of Adam.
        batch_size: rows of a step; the last batch of an epoch may be smaller.
        fit: the user's own loop, in place of all of these.
    """

    epochs: int
    lr: float
    batch_size: int
    fit: Fit | None = None


@dataclass(frozen=True)
class PairedDraw:
    """One split of the data with the seed of all that is random in it.

    Attributes:
        seed: the draw's own seed; `child` of it at a stream is that stream.
        x: ``(n, ...)`` training rows.
        y: ``(n, ...)`` their targets.
        x_test: ``(m, ...)`` held-out rows.
        y_test: ``(m, ...)`` their targets.
    """

    seed: np.random.SeedSequence
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor

    def number(self, stream: int) -> int:
        """A stream as one number, for loops that take a number; below ``2**31``, so that every library takes it."""
        return int(child(self.seed, stream).generate_state(1)[0] >> 1)


@dataclass(frozen=True)
class FittedModel:
    """What became of one model.

    Attributes:
        score: accuracy or R² on held-out rows; NaN where the loss was not finite.
        test_loss: the loss on held-out rows.
        loss: the mean loss of the last epoch; after the user's own loop, the loss on the training rows.
        recent: ``(4,)`` mean losses of the last four epochs, NaN where not known.
    """

    score: float
    test_loss: float
    loss: float
    recent: np.ndarray

    @property
    def failed(self) -> bool:
        """Whether training gave numbers that are not finite."""
        return not (math.isfinite(self.score) and math.isfinite(self.loss))


def fit_arm(
    models: Sequence[nn.Module], draws: Sequence[PairedDraw], recipe: Recipe, objective: Objective
) -> list[FittedModel]:
    """Trains the model of each draw and scores it on held-out rows.

    Args:
        models: untrained; they are trained in place.
        draws: as many. Equal draws give models of different arms the same batches in the same order.
        recipe: how.
        objective: for what.

    Raises:
        ConfigError: when the user's own loop returns something else than a model.
    """
    if recipe.fit is not None:
        return [_fitted_by_user(model, draw, recipe.fit, objective) for model, draw in zip(models, draws, strict=True)]
    n = len(draws[0].x)
    for size in {min(recipe.batch_size, n), n % recipe.batch_size} - {0}:
        permutation_of(size)  # kept from here on; side by side, nothing random can be drawn
    with seeded(draws[0].number(TRAINING)):
        together = Together.of(models, draws[0].x[: recipe.batch_size], draws[0].y[: recipe.batch_size], objective.loss)
    if together is not None:
        histories = _train_together(together, draws, recipe)
        together.unload(models)
    else:
        histories = np.stack([_train(m, d, recipe, objective) for m, d in zip(models, draws, strict=True)])
    return [
        _scored(model, draw, objective, history) for model, draw, history in zip(models, draws, histories, strict=True)
    ]


def batches(draw: PairedDraw, recipe: Recipe) -> Iterator[list[Tensor]]:
    """The batches of each epoch, as places of rows."""
    generator = torch_generator(child(draw.seed, ORDER))
    for _ in range(recipe.epochs):
        yield list(torch.randperm(len(draw.x), generator=generator).split(recipe.batch_size))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's own generators, which dropout and others draw from, begin at ``seed`` within the block; then as before."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed, which would also decide what a GPU draws that is used only later.
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        yield


def _train(model: nn.Module, draw: PairedDraw, recipe: Recipe, objective: Objective) -> np.ndarray:
    """Trains one model; ``(epochs,)`` mean losses."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trained, lr=recipe.lr) if trained else None
    losses = np.full(recipe.epochs, math.nan)
    model.train()
    with seeded(draw.number(TRAINING)):
        for epoch, parts in enumerate(batches(draw, recipe)):
            total = 0.0
            for rows in parts:
                loss = objective.loss(model(draw.x[rows]), draw.y[rows])
                if optimiser is not None and loss.requires_grad:
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                total += float(loss.detach()) * len(rows)
            losses[epoch] = total / len(draw.x)
    return losses


def _train_together(models: Together, draws: Sequence[PairedDraw], recipe: Recipe) -> np.ndarray:
    """Trains all models at once; ``(M, epochs)`` mean losses."""
    optimiser = torch.optim.Adam(models.trained, lr=recipe.lr) if models.trained else None
    x, y = torch.stack([d.x for d in draws]), torch.stack([d.y for d in draws])
    which = torch.arange(len(draws), device=x.device).unsqueeze(-1)
    losses = np.full((len(draws), recipe.epochs), math.nan)
    for epoch, parts in enumerate(zip(*(batches(draw, recipe) for draw in draws), strict=True)):
        total = torch.zeros(len(draws), device=x.device, dtype=torch.float64)
        for places in zip(*parts, strict=True):
            rows = torch.stack(places).to(x.device)
            loss = models.losses(x[which, rows], y[which, rows])
            if optimiser is not None and loss.requires_grad:
                optimiser.zero_grad()
                loss.sum().backward()
                optimiser.step()
            total += loss.detach() * rows.shape[1]
        losses[:, epoch] = (total / x.shape[1]).cpu().numpy()
    return losses


def _fitted_by_user(model: nn.Module, draw: PairedDraw, fit: Fit, objective: Objective) -> FittedModel:
    seed = draw.number(TRAINING)
    with seeded(seed):
        returned = fit(model, draw.x, draw.y, seed)
    if returned is not None and not isinstance(returned, nn.Module):
        raise ConfigError(
            f"fit returned a {type(returned).__name__}, expected the trained model, or None for the same one."
        )
    return _scored(returned or model, draw, objective, np.zeros(0))


def _scored(model: nn.Module, draw: PairedDraw, objective: Objective, history: np.ndarray) -> FittedModel:
    model.eval()
    recent = np.full(RECENT, math.nan)
    if len(history) >= RECENT:
        recent[:] = history[-RECENT:]
    with torch.no_grad():
        out = _run(model, draw.x_test)
        loss = float(history[-1]) if len(history) else float(objective.loss(_run(model, draw.x), draw.y))
        test_loss = float(objective.loss(out, draw.y_test))
    finite = math.isfinite(loss) and bool(out.isfinite().all())
    return FittedModel(objective.score(out, draw.y_test) if finite else math.nan, test_loss, loss, recent)


def _run(model: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([model(rows) for rows in x.split(_AT_ONCE)])
