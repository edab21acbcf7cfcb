"""What shots would cost on hardware: circuits and shots of an inference or a training, and the hours and price of these."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from numbers import Real

from qmoe.circuits import Circuit
from qmoe.engines.shots.measured_bases import bases_of
from qmoe.engines.shots.outcome_counts import check_shots
from qmoe.engines.shots.separate_angles import separated
from qmoe.engines.shots.shift_rules import rule_of
from qmoe.engines.shots.shot_sampling import asked_slots, check_rules
from qmoe.errors import ConfigError, check_sizes


@dataclass(frozen=True)
class Rates:
    """What a device takes and asks. None is known to qmoe: state those of your device and your contract.

    Devices are billed by circuits (often called tasks) and shots, or by the second.

    Args:
        seconds_per_shot: from one sample to the next, reset of the qubits included.
        seconds_per_circuit: beside its shots: loading and compiling.
        price_per_shot: in any currency, the same for all.
        price_per_circuit: of each circuit, beside its shots.
        price_per_second: of the time on the device.

    Raises:
        ConfigError: for a rate that is no finite number of at least 0.
    """

    seconds_per_shot: float = 0.0
    seconds_per_circuit: float = 0.0
    price_per_shot: float = 0.0
    price_per_circuit: float = 0.0
    price_per_second: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if not isinstance(rate, Real) or isinstance(rate, bool) or not math.isfinite(rate) or rate < 0:
                raise ConfigError(f"{field.name} is {rate!r}, expected a finite number of at least 0.")


@dataclass(frozen=True)
class Ledger:
    """Circuits and shots. Ledgers add up, and a number times a ledger is one.

    Attributes:
        circuits: how many run: each sample, basis and shifted angle is a circuit of its own.
        shots: of all of them.
    """

    circuits: int
    shots: int

    def __add__(self, other: Ledger) -> Ledger:
        if not isinstance(other, Ledger):
            return NotImplemented
        return Ledger(self.circuits + other.circuits, self.shots + other.shots)

    def __mul__(self, times: int) -> Ledger:
        if not isinstance(times, int):
            return NotImplemented
        return Ledger(times * self.circuits, times * self.shots)

    __rmul__ = __mul__

    def hours(self, rates: Rates) -> float:
        """Time on the device."""
        return self._seconds(rates) / 3600

    def price(self, rates: Rates) -> float:
        """In the currency of the rates."""
        by_number = self.shots * rates.price_per_shot + self.circuits * rates.price_per_circuit
        return by_number + self._seconds(rates) * rates.price_per_second

    def _seconds(self, rates: Rates) -> float:
        return self.shots * rates.seconds_per_shot + self.circuits * rates.seconds_per_circuit

    def __str__(self) -> str:
        return f"{self.circuits:,} circuits, {self.shots:,} shots"


def cost(
    circuit: Circuit,
    n_samples: int,
    shots: int,
    *,
    epochs: int | None = None,
    of_weights: bool = True,
    of_features: bool = False,
) -> Ledger:
    """Circuits and shots of a module with shots, exactly as many as it samples.

    Every sample runs once in each basis. In training it runs again for every shift of the parameter-shift rule: twice for
    each angle that depends on what trains, four times where it turns a controlled rotation.

    Args:
        circuit: of the module. Experts side by side take a ledger each.
        n_samples: rows of one inference, or of one epoch.
        shots: samples of each circuit.
        epochs: passes of a training; None for one inference.
        of_weights: whether weights train; a frozen circuit's do not.
        of_features: whether something in front of the circuit trains, such as the linear map of a router whose number of
            features is not that of the circuit.

    Raises:
        ConfigError: for sizes below 1.
        UnsupportedError: for gradients that no parameter-shift rule gives.

    Example:
        >>> from qmoe.circuits import Circuit
        >>> print(cost(Circuit(n_qubits=2, n_layers=3), n_samples=100, shots=1000))
        100 circuits, 100,000 shots
        >>> print(cost(Circuit(n_qubits=2, n_layers=3), n_samples=100, shots=1000, epochs=50))
        185,000 circuits, 185,000,000 shots
    """
    check_shots(shots)
    check_sizes(n_samples=n_samples)
    apart = separated(circuit)
    runs = 1
    if epochs is not None:
        check_sizes(epochs=epochs)
        slots = asked_slots(apart, of_features, of_weights)
        check_rules(circuit, of_features, slots)
        runs += sum(len(rule_of(slot.gate)) for slot in slots)
    circuits = len(bases_of(apart.circuit).circuits) * runs * n_samples * (epochs or 1)
    return Ledger(circuits, circuits * shots)
