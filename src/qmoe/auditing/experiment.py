"""Running an audit: every arm on every draw, by every recipe, as the runs that the judge takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from qmoe.auditing.first_weights import Models
from qmoe.auditing.fitting import INIT, LAYER, SPLIT, FittedModel, PairedDraw, Recipe, fit_arm, seeded
from qmoe.auditing.location import Seen, layer_at, replace_layer, watch
from qmoe.auditing.objective import Objective
from qmoe.auditing.replacements import ARMS, Arm, n_trainable
from qmoe.claims.runs import ArmKey, ArmRuns, StudyRuns, Universe
from qmoe.errors import ConfigError, EncodingRangeWarning, ShapeError
from qmoe.seeding import Seed, child, torch_generator


def splits(x: Tensor, y: Tensor, n: int, share: float, seed: Seed) -> Iterator[PairedDraw]:
    """``n`` splits of a table into training and held-out rows.

    Args:
        x: ``(N, ...)`` rows.
        y: ``(N, ...)`` targets.
        n: how many.
        share: of the rows that are held out.
        seed: of all.
    """
    held_out = min(len(x) - 1, max(1, round(share * len(x))))
    for k in range(n):
        own = child(seed, k)
        order = torch.randperm(len(x), generator=torch_generator(child(own, SPLIT))).to(x.device)
        test, train = order[:held_out], order[held_out:]
        yield PairedDraw(own, x[train], y[train], x[test], y[test])


def initialisations(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], n: int, seed: Seed
) -> Iterator[PairedDraw]:
    """``n`` draws that differ in first weights and batch order alone; rows are shuffled once, in case they are sorted."""
    (x, y), (x_test, y_test) = (
        (a[order], b[order])
        for (a, b), order in (
            (part, torch.randperm(len(part[0]), generator=torch_generator(seed)).to(part[0].device))
            for part in (train, test)
        )
    )
    for k in range(n):
        yield PairedDraw(child(seed, k), x, y, x_test, y_test)


@dataclass(frozen=True, eq=False)
class Experiment:
    """All that an audit trains.

    Attributes:
        models: gives the models.
        path: dotted path of the layer.
        arms: what stands in for the layer.
        draws: splits of the data with their seeds.
        vary: whether the data differ between draws.
        objective: loss and score.
        name: what claims call the data.
    """

    models: Models
    path: str
    arms: Sequence[Arm]
    draws: Sequence[PairedDraw]
    vary: bool
    objective: Objective
    name: str

    def run(
        self, recipes: Sequence[tuple[Mapping[str, str], Recipe]], on_arm: Callable[[int, int], None] | None = None
    ) -> list[Universe]:
        """Trains every arm by every recipe.

        Args:
            recipes: each with its choices in words; the first is the one that is judged by itself.
            on_arm: called with the number of models that are trained and of all, after each arm.
        """
        found, total = [], len(recipes) * len(self.arms) * len(self.draws)
        done = 0
        for choices, recipe in recipes:
            arms = {}
            for arm in self.arms:
                with warnings.catch_warnings():
                    # The model itself was run before, and has warned of what there is to warn of.
                    warnings.simplefilter("ignore", EncodingRangeWarning)
                    models = [self._model(arm, draw) for draw in self.draws]
                    size = n_trainable(models[0])
                    fitted = fit_arm(models, self.draws, recipe, self.objective)
                arms[ArmKey(arm.name)] = self._runs(arm, fitted, recipe, size)
                done += len(models)
                if on_arm is not None:
                    on_arm(done, total)
            chance = float(np.mean([self.objective.guess(draw.y_test) for draw in self.draws]))
            found.append(Universe(choices, StudyRuns(self.name, arms, chance, part="layer")))
        return found

    def _model(self, arm: Arm, draw: PairedDraw) -> nn.Module:
        """The model of an arm; what is not the layer has the same first weights in all arms."""
        model = self.models.fresh(draw.number(INIT))
        if arm.name != "base":
            seen, _ = watch(model, self.path, draw.x)
            generator = torch_generator(child(draw.seed, LAYER, list(ARMS).index(arm.name)))
            # Made on the CPU, where the generator draws, so that a model has the same first weights wherever it is.
            made = arm.make(layer_at(model, self.path).cpu(), seen.cpu(), generator)
            replace_layer(model, self.path, made.to(draw.x.device))
            self._try(model, arm, draw, seen)
        return model

    def _try(self, model: nn.Module, arm: Arm, draw: PairedDraw, seen: Seen) -> None:
        """Raises `ConfigError` where what stands in for the layer gives another shape, or the model does not run with it."""

        def check(module: nn.Module, given: object, out: Tensor) -> None:
            hook.remove()  # of several calls `seen` is the first
            # A loss would spread another shape over the batch, without a word.
            if out.shape[1:] != seen.outputs.shape[1:]:
                found, expected = tuple(out.shape[1:]), tuple(seen.outputs.shape[1:])
                raise ShapeError(f"it gives outputs of shape {found} for a sample, the layer {expected}")

        hook = layer_at(model, self.path).register_forward_hook(check)
        try:
            with torch.no_grad(), seeded(draw.number(INIT)):
                model.eval()(draw.x[:2])
        except Exception as error:  # whatever a model of the user's raises
            others = ", ".join(repr(each.name) for each in self.arms if each.name != arm.name)
            raise ConfigError(
                f"The model does not run with the arm {arm.name!r} in the place of {self.path!r} ({arm.says}). It raised "
                f"{type(error).__name__}: {error}. Audit a layer of which the model uses the output alone, or leave the arm "
                f"out: arms=[{others}]."
            ) from error
        finally:
            hook.remove()

    def _runs(self, arm: Arm, fitted: Sequence[FittedModel], recipe: Recipe, size: int) -> ArmRuns:
        n, metric = len(fitted), self.objective.metric
        places, zeros = np.arange(n), np.zeros(n, dtype=np.int64)
        failed = np.array([f.failed for f in fitted])
        ours = recipe.fit is None
        return ArmRuns(
            arm.label,
            places if self.vary else zeros,
            zeros if self.vary else places,
            {
                metric: np.array([f.score for f in fitted]),
                "test_loss": np.array([f.test_loss for f in fitted]),
                "loss": np.array([f.loss for f in fitted]),
                "trainable_parameters": np.full(n, float(size)),
            },
            ~failed,
            failed,
            np.full(n, recipe.lr if ours else np.nan),
            np.full(n, recipe.epochs if ours else 0),
            np.full(n, recipe.batch_size if ours else 0),
            np.stack([f.recent for f in fitted]),
            study=self.name,
            name=arm.name,
            metric=metric,
        )
