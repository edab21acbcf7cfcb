"""The circuit of an estimator as one argument."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from sklearn.base import BaseEstimator

from qmoe.circuits import (
    Ansatz,
    Circuit,
    Encoding,
    Gate,
    NoiseModel,
    Readout,
    as_ansatz,
    as_encoding,
    as_noise,
    as_readout,
)
from qmoe.circuits.published_circuits import check_published
from qmoe.engines import Engine, get_engine
from qmoe.engines.shots import as_shots
from qmoe.errors import ConfigError, unknown
from qmoe.estimators.plain_options import plain
from qmoe.interop.imported import Imported

#: Qubits of a router by default at most: more features than that go through a trainable linear map. Four is the paper's
#: largest circuit.
MAX_DEFAULT_QUBITS = 4
#: Options that describe a circuit, in place of which one may be given.
DESCRIBING = ("n_qubits", "n_layers", "encoding", "ansatz", "readout", "noise")


class CircuitOptions(BaseEstimator):
    """The circuit of an estimator: what it is, and how it runs.

    It has ``get_params`` and ``set_params``, so a grid search reaches every option: ``{"circuit__n_layers": [1, 2, 3]}``.

    Args:
        n_qubits: number of qubits Q of the router. With angle encoding one per feature by default, but no more than 4; where
            it is not the number of features, a trainable linear map goes in front. With amplitude encoding, as few as hold
            the features.
        n_layers: number of trainable layers L.
        encoding: of the router, ``"angle"``, ``"amplitude"`` or an `Encoding`.
        ansatz: an `Ansatz`, its name, or a list of `Gate` that makes up one layer.
        readout: of the router, ``"expval"`` or ``"born"``.
        noise: a `NoiseModel`, a depolarizing probability, or None.
        shots: samples of each circuit, in training (by the parameter-shift rule) and in predictions; None for exact
            read-outs. Each call of a prediction draws the same numbers, in the order of its rows. So a whole ``predict``
            repeats, and with a ``random_state`` so does another fit's. One row gets other draws at another place or in
            another batch; what must not depend on that takes ``shots=None``.
        engine: what runs the circuit: an engine, its name, or ``"auto"``.
        circuit: a `qmoe.Circuit`, or what `qmoe.interop` imported, in place of the options from ``n_qubits`` to ``noise``,
            which keep their defaults. Another number of features than it takes puts a trainable linear map in front, and
            first values of imported weights are those of a quantum router. Or a published circuit by its name, such as
            ``"iqp"`` or ``{"name": "iqp", "n_layers": 2}``, which goes with ``noise``.

    Example:
        >>> CircuitOptions(n_layers=2, noise=0.01).get_params()["noise"]
        0.01
    """

    def __init__(
        self,
        n_qubits: int | None = None,
        n_layers: int = 3,
        encoding: str | Encoding = "angle",
        ansatz: str | Ansatz | Iterable[Gate] = "strongly_entangling",
        readout: str | Readout = "expval",
        noise: float | NoiseModel | None = None,
        shots: int | None = None,
        engine: str | Engine = "auto",
        circuit: Circuit | Imported | str | Mapping[str, Any] | None = None,
    ) -> None:
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.encoding = encoding
        self.ansatz = ansatz
        self.readout = readout
        self.noise = noise
        self.shots = shots
        self.engine = engine
        self.circuit = circuit

    def check(self) -> None:
        """Raises `qmoe.ConfigError` for options that are unknown or do not go together, whoever uses them."""
        as_encoding(self.encoding), as_ansatz(self.ansatz), as_readout(self.readout), as_noise(plain(self.noise))
        get_engine(self.engine), as_shots(plain(self.shots))
        if isinstance(self.circuit, (str, Mapping)):
            check_published(self.circuit)
        elif self.circuit is not None and not isinstance(self.circuit, (Circuit, Imported)):
            raise ConfigError(
                f"circuit is {self.circuit!r}, expected a qmoe.Circuit, what qmoe.interop.from_pennylane, from_qiskit or "
                "from_qasm3 returned, or the name of a published circuit, such as 'iqp'."
            )

    def of_router(self, n_features: int, n_experts: int) -> dict[str, Any]:
        """The options as `qmoe.QuantumRouter` takes them.

        Args:
            n_features: number of features F.
            n_experts: number of experts E.
        """
        n_qubits = plain(self.n_qubits)
        running = {"engine": self.engine, "shots": plain(self.shots)}
        if self.circuit is not None:
            beside = {"encoding": self.encoding, "readout": self.readout, "n_qubits": n_qubits, **self._layers()}
            return {"circuit": self.circuit, **beside, **running}  # which refuses options that decide nothing
        if n_qubits is None and as_encoding(self.encoding).period is not None and n_features > MAX_DEFAULT_QUBITS:
            # The default of the router, one per feature, would double its cost with every feature.
            n_qubits = max(MAX_DEFAULT_QUBITS, math.ceil(math.log2(n_experts)))
        what = {"n_qubits": n_qubits, "encoding": self.encoding, "readout": self.readout}
        return {**what, **self._layers(), **running}

    def of_experts(self) -> dict[str, Any]:
        """The options that quantum experts share with the router.

        Raises:
            ConfigError: where a circuit is given, which is the router's.
        """
        if self.circuit is not None:
            raise ConfigError(
                "The circuit that was given is the router's, and experts='quantum' have no options of theirs then; pass "
                "experts=qmoe.QuantumExperts(...)."
            )
        return {**self._layers(), "engine": self.engine, "shots": plain(self.shots)}

    def _layers(self) -> dict[str, Any]:
        return {"n_layers": plain(self.n_layers), "ansatz": self.ansatz, "noise": plain(self.noise)}


def as_circuit_options(circuit: Any) -> CircuitOptions:
    """The options that the argument ``circuit`` of an estimator stands for.

    Raises:
        ConfigError: for a dict with other keys, and anything else that is no circuit.
    """
    if circuit is None:
        return CircuitOptions()
    if isinstance(circuit, CircuitOptions):
        return circuit
    if isinstance(circuit, (Circuit, Imported, str)) or (isinstance(circuit, Mapping) and "name" in circuit):
        return CircuitOptions(circuit=circuit)
    if isinstance(circuit, Mapping):
        known = CircuitOptions._get_param_names()
        for name in circuit:
            if name not in known:
                raise unknown("option of the circuit", name, known)
        return CircuitOptions(**circuit)
    raise ConfigError(
        f"circuit is {circuit!r}, expected qmoe.CircuitOptions, a dict of its options, a qmoe.Circuit (of a list of gates: "
        "Circuit.from_operations), what qmoe.interop.from_pennylane, from_qiskit or from_qasm3 returned, the name of a "
        "published circuit, or None."
    )
