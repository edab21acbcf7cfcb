"""First weights of the models of an audit: how each module of a model draws its own anew."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import nn

from qmoe.auditing.fitting import seeded
from qmoe.auditing.location import layer_at
from qmoe.errors import ConfigError, UnsupportedError, unknown

#: A model, or a function without arguments that builds one with first weights from torch's own generator.
Source = nn.Module | Callable[[], nn.Module]
#: Whether each run draws first weights of its own, or all begin with those that are given.
FirstWeights = Literal["drawn", "given"]


@dataclass
class Starts:
    """How the models of an audit came to their first weights.

    Attributes:
        given: whether they began with the weights that were given, because that was asked for.
        alike: whether the layer began with the same weights in all runs.
        kept: modules that cannot draw their weights anew, so that they began alike in all runs.
        by_default: modules of other libraries that do not tell how they are drawn, each with the bounds between which their
            library draws weights unless it is told otherwise.
    """

    given: bool = False
    alike: bool = False
    kept: tuple[str, ...] = ()
    by_default: dict[str, tuple[float, float]] = field(default_factory=dict)


class Models:
    """Gives the model of each draw, with first weights of its own.

    A model is copied, and all of its modules draw anew. A function builds each model; if it gives the layer the same weights
    every time, that layer draws anew.

    Args:
        source: a model, or what builds one.
        path: dotted path of the layer that is audited.
        first_weights: ``"drawn"``, or ``"given"`` where they stay as they are given.

    Raises:
        ConfigError: for any other ``first_weights``.
    """

    def __init__(self, source: Source, path: str, first_weights: FirstWeights = "drawn") -> None:
        if first_weights not in get_args(FirstWeights):
            raise unknown("first_weights", first_weights, get_args(FirstWeights))
        given = first_weights == "given"
        self.path = path
        self.starts = Starts(given=given)
        self._source = source
        self._first: nn.Module | None = None
        self._redraws = not given and isinstance(source, nn.Module)
        self._redraws_layer = False

    def fresh(self, seed: int) -> nn.Module:
        """A model whose first weights are those of a seed.

        Raises:
            ConfigError: when the source builds something else.
        """
        with seeded(seed):
            model = copy.deepcopy(self._source) if isinstance(self._source, nn.Module) else self._built(self._source())
            if self._redraws:
                self._redraw(model, "")
            elif self._redraws_layer:
                self._redraw(layer_at(model, self.path), self.path)
        return model

    def settle(self) -> None:
        """Finds out whether the layer begins alike in all runs; that of a function is drawn anew from here on if it does."""
        alike = self._begins_alike()
        if alike and not self._redraws and not self.starts.given:
            self._redraws_layer = True
            alike = self._begins_alike()
        self.starts.alike = alike

    def _begins_alike(self) -> bool:
        one, other = ([*layer_at(self.fresh(seed), self.path).parameters()] for seed in (0, 1))
        trained = [(p, q) for p, q in zip(one, other, strict=False) if p.requires_grad]
        return len(one) == len(other) and bool(trained) and all(torch.equal(p, q) for p, q in trained)

    def _built(self, built: object) -> nn.Module:
        if not isinstance(built, nn.Module):
            raise ConfigError(f"model() returned a {type(built).__name__}, expected a torch.nn.Module.")
        # A function may give a module that it holds, which one run would train for all that follow.
        held = set() if self._first is None else {id(p) for p in self._first.parameters()}
        if self._first is None:
            self._first = built
        return copy.deepcopy(built) if held.intersection(map(id, built.parameters())) else built

    def _redraw(self, module: nn.Module, name: str) -> None:
        """Gives a module its first weights again, wherever it can, and notes where not."""
        from qmoe.interop.layers_in import default_range

        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if callable(reset):
            try:
                reset()
            except UnsupportedError:
                pass
            else:
                return
        own = [p for p in module.parameters(recurse=False) if p.requires_grad]
        if own:
            here = name or type(module).__name__
            if (bounds := default_range(module)) is not None:
                self.starts.by_default[here] = bounds
                for weights in own:
                    nn.init.uniform_(weights, *bounds)
            elif here not in self.starts.kept:
                self.starts.kept = (*self.starts.kept, here)
        for part, inner in module.named_children():
            self._redraw(inner, f"{name}.{part}" if name else part)
