"""How a circuit is written down in a study file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from qmoe.circuits.encodings import AmplitudeEncoding, AngleEncoding
from qmoe.circuits.noise import NoiseModel
from qmoe.errors import ConfigError
from qmoe.part_spec import PartSpec, Probability, Size, Within

#: 24 qubits are 16 million amplitudes for each sample; a study batches thousands.
_Qubits = Annotated[int, Within(ge=1, le=24)]
_EngineName = Annotated[str, Within(pattern=r"^(auto|native|torch|reference|pennylane(:[\w.]+)?)$")]


@dataclass(frozen=True, kw_only=True)
class CircuitSpec(PartSpec):
    """What decides which functions of the features a circuit can give, whatever its weights."""

    n_qubits: _Qubits | None = None
    n_layers: Annotated[int, Within(ge=0)] = 3
    encoding: Literal["angle", "amplitude"] = "angle"
    rotation: Literal["X", "Y", "Z"] = "X"
    uploads: Size = 1
    ansatz: Literal["strongly_entangling", "basic_entangler", "no_entangler"] = "strongly_entangling"
    readout: Literal["expval", "born"] = "expval"

    def check(self) -> None:
        """Refuses options of angle encoding where there is none."""
        super().check()
        if self.encoding == "amplitude" and (self.rotation, self.uploads) != ("X", 1):
            raise ConfigError("rotation and uploads belong to angle encoding; drop them")

    def circuit_options(self) -> dict[str, Any]:
        """The circuit, as `qmoe.QuantumRouter` and `qmoe.QuantumExperts` take it."""
        angle = self.encoding == "angle"
        return {
            "n_qubits": self.n_qubits,
            "n_layers": self.n_layers,
            "encoding": AngleEncoding(self.rotation, self.uploads) if angle else AmplitudeEncoding(),
            "ansatz": self.ansatz,
            "readout": self.readout,
        }


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
