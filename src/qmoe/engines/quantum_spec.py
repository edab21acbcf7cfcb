"""How a circuit and its engine are written down in a study file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from qmoe.circuits import CircuitSpec, NoiseModel
from qmoe.engines.selection import ENGINES
from qmoe.errors import ConfigError
from qmoe.part_spec import Probability, Within

_EngineName = Annotated[str, Within(pattern=rf"^(auto|{'|'.join(sorted(ENGINES))}|aer:[\w.]+|pennylane:[\w.]+)$")]


@dataclass(frozen=True, kw_only=True)
class QuantumSpec(CircuitSpec):
    """What quantum routers and quantum experts have in common; ``frozen`` circuits keep the weights they are drawn with."""

    frozen: bool = False
    noise: Probability | None = None
    placement: Literal["block", "gate"] = "block"
    dephasing: Literal["none", "encoding", "layers", "all"] = "none"
    dephasing_axis: Literal["X", "Y", "Z"] = "Z"
    engine: _EngineName = "auto"

    def check(self) -> None:
        """Refuses an axis where nothing is dephased."""
        super().check()
        if self.dephasing_axis != "Z" and self.dephasing == "none":
            raise ConfigError(
                f'dephasing_axis = "{self.dephasing_axis}" belongs to a dephased circuit, and dephasing is "none"; set '
                'dephasing = "all", "encoding" or "layers", or drop dephasing_axis'
            )

    @property
    def mixed(self) -> bool:
        """Whether its states are mixed: whether there is noise, if only of strength 0, or dephasing."""
        return self.noise is not None or self.dephasing != "none"

    def options(self) -> dict[str, Any]:
        """The circuit and how it runs, as `qmoe.QuantumRouter` and `qmoe.QuantumExperts` take it."""
        noise = NoiseModel(self.noise or 0.0, self.placement, self.dephasing, self.dephasing_axis)
        running = {"frozen": self.frozen, "engine": self.engine, "noise": noise if self.mixed else None}
        return {**self.circuit_options(), **running}
