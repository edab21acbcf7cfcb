"""How a study holds its quantum routers against noise and few shots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from qmoe.analysis.robustness.protocols import NOISE_PROTOCOLS
from qmoe.engines.mitigation import SCALES, Extrapolation
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.errors import ConfigError, did_you_mean
from qmoe.studies.specs.base import Name, Size, Spec

if TYPE_CHECKING:
    from qmoe.studies.specs.study import ArmSpec

Scale = Annotated[int, Field(ge=1, le=99, strict=True)]


class NoiseSpec(Spec):
    """What is measured of the trained models of arms with ``noise``: accuracy by several protocols, over noise and shots.

    Nothing more is trained: ``"retrained"`` takes the models that were trained at each strength, the other protocols those
    that were trained at 0.

    Args:
        protocols: names of `qmoe.analysis.NOISE_PROTOCOLS`.
        shots: numbers of shots for each read-out; exact expectation values are measured too.
        scales: of ``"mitigated"``: how many times over the noise acts in the circuits that it extrapolates from.
        against: an arm whose accuracy is the one to beat, such as that with a linear router.
    """

    protocols: Annotated[tuple[str, ...], Field(min_length=1)] = tuple(NOISE_PROTOCOLS)
    shots: Annotated[tuple[Size, ...], Field(max_length=100)] = ()
    scales: Annotated[tuple[Scale, ...], Field(max_length=10)] = SCALES
    against: Name | None = None

    @field_validator("protocols")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in NOISE_PROTOCOLS:
                hint = did_you_mean(name, NOISE_PROTOCOLS)
                raise PydanticCustomError(
                    "unknown", "unknown noise protocol {name}{hint}", {"name": repr(name), "hint": hint}
                )
        return names

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        for key in ("protocols", "shots"):
            if len(set(getattr(self, key))) != len(getattr(self, key)):
                raise PydanticCustomError(
                    "twice", "{key} lists one twice: {all}", {"key": key, "all": str(list(getattr(self, key)))}
                )
        try:
            Extrapolation(self.scales)
        except ConfigError as error:
            raise PydanticCustomError("scales", "{message}", {"message": str(error)}) from error
        if "mitigated" not in self.protocols and self.scales != SCALES:
            raise PydanticCustomError("scales", "scales is of 'mitigated', which protocols does not list; leave it out")
        if "mitigated" in self.protocols and self.shots and min(self.shots) < len(self.scales):
            raise PydanticCustomError(
                "shots",
                "shots lists {n}, and 'mitigated' runs {k} circuits; give each at least one shot, or drop 'mitigated'",
                {"n": min(self.shots), "k": len(self.scales)},
            )  # fmt: skip
        return self

    def check(self, arms: Iterable[ArmSpec]) -> None:
        """Refuses arms that have nothing to measure.

        Raises:
            PydanticCustomError: as validators of pydantic do.
        """
        found = list(arms)
        noisy = [arm for arm in found if arm.noise is not None and 0.0 in arm.noise]
        if not noisy:
            raise PydanticCustomError("noise", "[noise] measures arms that list noise = [0.0, ...], and there is none")
        if self.against is not None:
            names = {arm.name: arm for arm in found if arm.noise is None}
            if self.against not in names:
                hint = did_you_mean(self.against, names)
                raise PydanticCustomError(
                    "against", "against: no arm without noise is called {name}{hint}",
                    {"name": repr(self.against), "hint": hint},
                )  # fmt: skip
        for arm in noisy if "recalibrated" in self.protocols else []:
            router, n = arm.model.router, arm.model.n_experts
            reads = isinstance(router, QuantumSpec) and router.readout != "born"
            if not reads or arm.model.routing != "input" or (arm.model.top_k or n) < n:
                raise PydanticCustomError(
                    "recalibrated",
                    "arm {n}: 'recalibrated' fits the adapter of a router by expectation values, over all experts and for "
                    "each input by itself; list other protocols",
                    {"n": repr(arm.name)},
                )
