"""How the models of a study are trained, and how often."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.errors import ConfigError
from qmoe.studies.specs.base import Size, Spec, explain
from qmoe.studies.specs.multiverse import Factor, Iterations, Tolerance


class TrainingSpec(Spec):
    """How cross-entropy is minimised: by Adam in so many epochs, or by L-BFGS to convergence, in float64 from one start.

    ``balance_loss`` is the factor of the balance loss of each batch, by Adam. ``initial_scale`` is a factor on those first
    weights of the router that train; 1 leaves them as they are drawn.
    """

    optimiser: Literal["adam", "lbfgs"] = "adam"
    epochs: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 50
    batch_size: Size = 32
    lr: Annotated[float, Field(gt=0, le=1e30, strict=True)] = 0.1
    max_iterations: Iterations = 2_000
    tolerance: Tolerance = 1e-5
    initial_scale: Factor = 1.0
    dtype: Literal["float32", "float64"] = "float32"
    balance_loss: Annotated[float, Field(ge=0, le=1e6, strict=True)] = 0.0

    @model_validator(mode="after")
    def _used(self) -> Self:
        of_adam, of_lbfgs = ("epochs", "batch_size", "lr", "balance_loss"), ("max_iterations", "tolerance")
        others = of_adam if self.optimiser == "lbfgs" else of_lbfgs
        given = [n for n in others if getattr(self, n) != type(self).model_fields[n].default]
        if given:
            other = "adam" if self.optimiser == "lbfgs" else "lbfgs"
            raise PydanticCustomError(
                "unused", 'optimiser = "{own}" makes no use of {keys}, which belong to "{other}"; drop them',
                {"own": self.optimiser, "keys": ", ".join(given), "other": other},
            )  # fmt: skip
        if self.optimiser == "lbfgs":
            if "dtype" in self.model_fields_set and self.dtype != "float64":
                raise PydanticCustomError(
                    "dtype",
                    'optimiser = "lbfgs" takes dtype = "float64": near a minimum float32 cannot tell losses apart',
                )
            self.__dict__["dtype"] = "float64"
        return self


class SeedSpec(Spec):
    """How often a study is repeated.

    Draw d (0 .. data-1) decides points and split. Each draw has ``per_data`` initialisations k (0 .. per_data-1) of its own:
    first weights and batch order come from streams of (d, k), which no other trial of an arm shares. Router, experts and
    head draw from a stream each, so at one (d, k) all arms begin with the same experts whatever their router draws, and more
    initialisations leave those that there are as they were. ``fixed`` pins the data to what that integer gives, as the
    authors' seed 42.
    """

    root: Annotated[int, Field(ge=0)] = 0
    data: Size = 30
    per_data: Size = 2
    fixed: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_fixed(self) -> SeedSpec:
        if self.fixed is not None and self.data != 1:
            raise PydanticCustomError(
                "fixed", "fixed = {f} pins the data, so data must be 1, not {d}; raise per_data for more trials",
                {"f": self.fixed, "d": self.data},
            )  # fmt: skip
        return self

    def repeated(self, seeds: int) -> SeedSpec:
        """The same design with ``seeds`` repetitions: of the data where they vary, of the initialisation elsewhere."""
        field = "per_data" if self.data == 1 else "data"
        try:
            return SeedSpec(**{**self.model_dump(), field: seeds})
        except ValidationError as error:
            raise ConfigError("; ".join(f"seeds.{explain(e)}" for e in error.errors())) from None
