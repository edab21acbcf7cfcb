"""How a circuit and its engine are written down in a study file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from qmoe.circuits import CircuitSpec, NoiseModel, Placed
from qmoe.circuits.noise.noise_dicts import placed_from_dict
from qmoe.engines.selection import ENGINES
from qmoe.errors import ConfigError
from qmoe.part_spec import Probability, Within

_EngineName = Annotated[
    str, Within(pattern=rf"^(auto|{'|'.join(sorted(ENGINES))}|aer:[\w.]+|pennylane:[\w.]+|trajectories:\d+)$")
]


@dataclass(frozen=True, kw_only=True)
class QuantumSpec(CircuitSpec):
    """What quantum routers and quantum experts have in common; ``frozen`` circuits keep the weights they are drawn with.

    ``channels`` are tables such as ``{channel = "bit_flip", p = 0.01, place = "gate"}``, with ``wires`` and ``gates`` where
    they are limited to some.
    """

    frozen: bool = False
    noise: Probability | None = None
    placement: Literal["block", "gate"] = "block"
    dephasing: Literal["none", "encoding", "layers", "all"] = "none"
    dephasing_axis: Literal["X", "Y", "Z"] = "Z"
    channels: tuple[dict[str, Any], ...] = ()
    engine: _EngineName = "auto"

    def check(self) -> None:
        """Refuses an axis where nothing is dephased, and tables that make no channel."""
        super().check()
        self.placed()
        if self.dephasing_axis != "Z" and self.dephasing == "none":
            raise ConfigError(
                f'dephasing_axis = "{self.dephasing_axis}" belongs to a dephased circuit, and dephasing is "none"; set '
                'dephasing = "all", "encoding" or "layers", or drop dephasing_axis'
            )

    @property
    def mixed(self) -> bool:
        """Whether its states are mixed: whether there is noise, if only of strength 0, dephasing, or a channel."""
        return self.noise is not None or self.dephasing != "none" or bool(self.channels)

    def placed(self) -> tuple[Placed, ...]:
        """The channels at their places."""
        return tuple(placed_from_dict(table) for table in self.channels)

    def options(self) -> dict[str, Any]:
        """The circuit and how it runs, as `qmoe.QuantumRouter` and `qmoe.QuantumExperts` take it."""
        noise = NoiseModel(self.noise or 0.0, self.placement, self.dephasing, self.dephasing_axis, self.placed())
        running = {"frozen": self.frozen, "engine": self.engine, "noise": noise if self.mixed else None}
        return {**self.circuit_options(), **running}
