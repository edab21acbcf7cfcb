"""The alternatives of an analysis, as a study file lists them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from qmoe.data import SCALINGS
from qmoe.errors import did_you_mean
from qmoe.studies.specs.base import Size, Spec

Iterations = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Tolerance = Annotated[float, Field(gt=0, lt=1, strict=True)]
Factor = Annotated[float, Field(gt=0, le=1e6, strict=True)]
Epochs = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]

#: The ways to train that a multiverse knows.
OPTIMISERS = ("adam", "adam-best", "lbfgs-best")
#: The choices of an analysis, in order; each is a list in the table.
CHOICES = ("scaling", "rotation", "optimiser", "epochs", "initial_scale")

#: Combinations of alternatives that one study may have.
MAX_COMBINATIONS = 1_000


class MultiverseSpec(Spec):
    """Other ways to analyse a study: alternatives for some of its choices, of which every combination is tried.

    Args:
        scaling: scalings of the features.
        rotation: axes of every angle encoding in an arm, that of a twin included.
        optimiser: ``"adam"`` as the study trains; ``"adam-best"``, each arm at that of several learning rates which has the
            least training loss; ``"lbfgs-best"``, for each draw of the data the start with the least training loss.
        epochs: passes of Adam over the training part.
        initial_scale: factors on the router's first weights.
        lr_factors: multiples of the study's learning rate that ``"adam-best"`` chooses from beside it; the study's own
            ``lr_factors`` if empty.
        arms: which arms are tried; all of the study's if empty.
        data: draws of the data at specifications with L-BFGS; as many as the study has if None.
        per_data: initialisations of each draw at the others; as many as the study has if None.
        starts: initialisations of each draw at specifications with L-BFGS.
        max_iterations: most iterations of L-BFGS from one start.
        tolerance: L-BFGS has converged once no component of the gradient is larger.
    """

    scaling: tuple[str, ...] = ()
    rotation: tuple[Literal["X", "Y", "Z"], ...] = ()
    optimiser: tuple[str, ...] = ()
    epochs: tuple[Epochs, ...] = ()
    initial_scale: tuple[Factor, ...] = ()
    lr_factors: Annotated[tuple[Factor, ...], Field(max_length=100)] = ()
    arms: tuple[str, ...] = ()
    data: Size | None = None
    per_data: Size | None = None
    starts: Size = 8
    max_iterations: Iterations = 2_000
    tolerance: Tolerance = 1e-5

    @field_validator("scaling", "optimiser")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        known = SCALINGS if info.field_name == "scaling" else OPTIMISERS
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise PydanticCustomError(
                    "unknown", "unknown {what} {name}{hint}",
                    {"what": info.field_name, "name": repr(name), "hint": hint},
                )  # fmt: skip
        return names

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for choice in (*CHOICES, "lr_factors", "arms"):
            alternatives = getattr(self, choice)
            if len(set(alternatives)) != len(alternatives):
                raise PydanticCustomError(
                    "twice", "{choice} lists an alternative twice: {alternatives}",
                    {"choice": choice, "alternatives": str(list(alternatives))},
                )  # fmt: skip
        n_combinations = math.prod(max(1, len(getattr(self, choice))) for choice in CHOICES)
        if n_combinations > MAX_COMBINATIONS:
            raise PydanticCustomError(
                "combinations", "{n} combinations of alternatives, and {most} is the most; leave out some of {choices}",
                {"n": n_combinations, "most": MAX_COMBINATIONS, "choices": ", ".join(CHOICES)},
            )  # fmt: skip
        if not any(getattr(self, choice) for choice in CHOICES):
            raise PydanticCustomError(
                "empty", "no choice has alternatives; list some for {choices}", {"choices": ", ".join(CHOICES)}
            )
        return self

    def check(self, optimiser: str, lr_factors: tuple[float, ...]) -> None:
        """Refuses alternatives that go with no study trained like this.

        Raises:
            PydanticCustomError: as validators of pydantic do.
        """
        if 1.0 in self.lr_factors:
            raise PydanticCustomError(
                "lr_factors", "multiverse: lr_factors names 1, which is training.lr itself; drop it"
            )
        if "adam-best" in self.optimiser and not (self.lr_factors or lr_factors):
            raise PydanticCustomError(
                "multiverse",
                'multiverse: "adam-best" chooses among learning rates, and the study has one; add lr_factors',
            )
        if optimiser == "lbfgs" and ("adam" in self.optimiser or self.epochs):
            raise PydanticCustomError(
                "multiverse",
                'multiverse: the study trains by L-BFGS, so "adam" and epochs have nothing to go by; drop them, or set '
                'training.optimiser = "adam"',
            )

    def shortened(self) -> Self:
        """The same with one list of two alternatives and the first of each other, by Adam: what ``--quick`` runs."""
        kept = {choice: getattr(self, choice)[:1] for choice in CHOICES} | {"optimiser": ()}
        several = [c for c in ("rotation", *CHOICES) if c != "optimiser" and len(getattr(self, c)) > 1]
        if several:
            kept[several[0]] = getattr(self, several[0])[:2]
        return self.model_copy(update=kept)
