"""Names for circuits: operations of torch take tensors, numbers and strings, so that a circuit and its engine go by a name.

Names are those of one process, and end with the module whose circuit they name.
"""

from __future__ import annotations

import itertools
import weakref

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine

_NUMBERS = itertools.count()
_NAMED: weakref.WeakValueDictionary[str, Named] = weakref.WeakValueDictionary()


class Named:
    """A circuit and its engine under a name, which ends with this.

    Two are equal: they stand in modules beside the circuit and the engine that they name, and add nothing to them.

    Args:
        engine: what runs the circuit, None to choose by the device.
        circuit: the circuit.

    Attributes:
        name: what operations call it.
    """

    def __init__(self, engine: Engine | None, circuit: Circuit) -> None:
        self.engine, self.circuit = engine, circuit
        self.name = f"{circuit.n_qubits} qubits, {circuit.readout.name}, number {next(_NUMBERS)}"
        _NAMED[self.name] = self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named)


def find(name: str) -> Named | None:
    """What goes by that name in this process; None if nothing does."""
    return _NAMED.get(name)
