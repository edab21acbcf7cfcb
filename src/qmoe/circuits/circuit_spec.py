"""How a circuit is written down in a study file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from qmoe.circuits.encodings import AmplitudeEncoding, AngleEncoding
from qmoe.circuits.published_circuits import check_published
from qmoe.errors import ConfigError
from qmoe.part_spec import Depth, PartSpec, Within

#: 24 qubits are 16 million amplitudes for each sample; a study batches thousands.
_Qubits = Annotated[int, Within(ge=1, le=24)]


@dataclass(frozen=True, kw_only=True)
class CircuitSpec(PartSpec):
    """What decides which functions of the features a circuit can give, whatever its weights.

    Example:
        >>> from qmoe.circuits import CircuitSpec
        >>> CircuitSpec(n_qubits=2, rotation="Y", n_layers=1).ansatz
        'strongly_entangling'
    """

    n_qubits: _Qubits | None = None
    n_layers: Annotated[int, Within(ge=0, le=1_000)] = 3
    encoding: Literal["angle", "amplitude"] = "angle"
    rotation: Literal["X", "Y", "Z"] = "X"
    uploads: Depth = 1
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
class RouterCircuitSpec(CircuitSpec):
    """The circuit of a router, which may be a published one by name in place of the options that describe one.

    ``circuit`` is a name, or a table with ``name`` and arguments of `qmoe.circuits.published_circuit`.

    Example:
        >>> from qmoe.circuits import RouterCircuitSpec
        >>> RouterCircuitSpec(circuit={"name": "iqp", "n_layers": 2}).circuit_options()
        {'circuit': {'name': 'iqp', 'n_layers': 2}}
    """

    circuit: str | dict[str, Any] | None = None

    def check(self) -> None:
        """Refuses a circuit that does not exist, and options beside one that would make another."""
        super().check()
        if self.circuit is None:
            return
        beside = [f.name for f in fields(CircuitSpec) if getattr(self, f.name) != f.default]
        if beside:
            decide = "decides nothing; drop it" if len(beside) == 1 else "decide nothing; drop them"
            raise ConfigError(
                f"circuit was given, and so {', '.join(beside)} {decide}. Arguments of a published circuit "
                'go into its table: circuit = { name = "iqp", n_layers = 2 }'
            )
        check_published(self.circuit)

    def circuit_options(self) -> dict[str, Any]:
        """The circuit, as `qmoe.QuantumRouter` takes it."""
        return super().circuit_options() if self.circuit is None else {"circuit": self.circuit}
