"""Which engine runs a circuit, and why."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from qmoe.circuits import Circuit
from qmoe.engines.batched import TorchEngine
from qmoe.engines.native import NativeEngine
from qmoe.engines.native.engine import MAX_NOISY_QUBITS
from qmoe.engines.protocol import Engine
from qmoe.engines.reference import ReferenceEngine
from qmoe.engines.tracing import traced
from qmoe.engines.trajectories import TrajectoryEngine
from qmoe.errors import ConfigError, UnsupportedError, unknown


def _pennylane(device: str | None = None) -> Engine:
    # PennyLane takes seconds to import, so only its own engine does it.
    from qmoe.engines.pennylane import PennyLaneEngine

    return PennyLaneEngine(device)


def _aer(backend: str | None = None) -> Engine:
    from qmoe.engines.aer import AerEngine

    return AerEngine(backend)


#: Engine -> what makes one, by the names that `get_engine` takes.
ENGINES: dict[str, Callable[[], Engine]] = {
    "reference": ReferenceEngine,
    "native": NativeEngine,
    "torch": TorchEngine,
    "pennylane": _pennylane,
    "aer": _aer,
    "trajectories": TrajectoryEngine,
}


@dataclass(frozen=True)
class Rule:
    """One line of the table behind ``engine="auto"``: the first that applies decides.

    Attributes:
        engine: the engine that it chooses.
        reason: why, in words; ``{device}`` stands for the kind of device, ``{qubits}`` for the number of qubits.
        record: the benchmark whose record in docs/benchmarks.md supports it; None where no other engine could do it.
        applies: whether it applies to a circuit on a device.
    """

    engine: Engine
    reason: str
    record: str | None
    applies: Callable[[Circuit, torch.device], bool]


_NATIVE, _TORCH = NativeEngine(), TorchEngine()

RULES = (
    Rule(_TORCH, "the tensors are on {device}", None, lambda circuit, device: device.type != "cpu"),
    Rule(
        _TORCH,
        "torch records operations instead of running them",
        None,
        lambda circuit, device: traced(),
    ),
    Rule(
        _TORCH,
        f"noise on {{qubits}} qubits, beyond the {MAX_NOISY_QUBITS} of the native engine",
        None,
        lambda circuit, device: circuit.noise is not None and circuit.n_qubits > MAX_NOISY_QUBITS,
    ),
    Rule(
        _NATIVE,
        "exact noise on the CPU",
        "noisy (4, 3, 32, 1)",
        lambda circuit, device: circuit.noise is not None,
    ),
    Rule(
        _NATIVE,
        "faster than the torch engine on the CPU at every size measured",
        "(2, 3, 32, 1)",
        lambda circuit, device: True,
    ),
)


def choose_engine(circuit: Circuit, device: torch.device) -> tuple[Engine, str]:
    """Returns the engine that ``engine="auto"`` uses for ``circuit`` on ``device``, and the reason in words.

    Example:
        >>> from qmoe.engines import choose_engine
        >>> engine, reason = choose_engine(qmoe.Circuit(2, 3), torch.device("cpu"))
        >>> type(engine).__name__
        'NativeEngine'
    """
    # Every forward pass asks, so the answer is kept; while torch traces it is another.
    return _choose(circuit, device) if traced() else _kept_choice(circuit, device)


def _choose(circuit: Circuit, device: torch.device) -> tuple[Engine, str]:
    rule = next(rule for rule in RULES if rule.applies(circuit, device))
    reason = rule.reason.format(device=device.type, qubits=circuit.n_qubits)
    return rule.engine, reason if rule.record is None else f"{reason}; benchmark {rule.record}"


_kept_choice = functools.lru_cache(maxsize=1024)(_choose)


def get_engine(engine: str | Engine) -> Engine | None:
    """Returns the engine of that name, ``engine`` itself, or None for ``"auto"`` (chosen at each call).

    Args:
        engine: an `Engine`, ``"auto"``, a key of `ENGINES`, or ``"pennylane:DEVICE"`` for a PennyLane device by name, such
            as ``"pennylane:lightning.qubit"`` (which differentiates by the adjoint method, as the paper does),
            ``"aer:SNAPSHOT"`` for the noise of an IBM device, such as ``"aer:fake_manila"``, or ``"trajectories:N"`` for so
            many trajectories.

    Raises:
        ConfigError: for an unknown name, or a number of trajectories that is none.

    Example:
        >>> from qmoe.engines import ENGINES, get_engine
        >>> get_engine("reference").name, "native" in ENGINES
        ('reference', True)
    """
    if isinstance(engine, Engine):
        return engine
    if not isinstance(engine, str):
        raise ConfigError(f"engine is {engine!r}, expected a name or an Engine.")
    if engine == "auto":
        return None
    kind, _, device = engine.partition(":")
    if kind == "pennylane" and device:
        return _pennylane(device)
    if kind == "aer" and device:
        return _aer(device)
    if kind == "trajectories" and device:
        if not device.isdecimal():
            raise ConfigError(f"engine is {engine!r}, expected a number of trajectories, as in 'trajectories:1000'.")
        return TrajectoryEngine(int(device))
    if engine not in ENGINES:
        raise unknown("engine", engine, ("auto", *ENGINES, "pennylane:DEVICE", "aer:SNAPSHOT", "trajectories:N"))
    return ENGINES[engine]()


def name_of(engine: Engine | None) -> str:
    """The name by which `get_engine` gives such an engine; ``"auto"`` for None.

    Raises:
        UnsupportedError: for an engine of a class of your own, or with options, which no name says.
    """
    if engine is None:
        return "auto"
    state = _plain_state(engine)
    details = [f"{engine.name}:{value}" for value in state.values() if isinstance(value, int | str)]
    for name in (engine.name, *details) if engine.name in ENGINES else ():
        with contextlib.suppress(ConfigError):  # a detail of another kind than the name has
            named = get_engine(name)
            if named == engine or (type(named) is type(engine) and _plain_state(named) == state):
                return name
    raise UnsupportedError(
        f"The engine {type(engine).__name__} is of a class of your own, or has options of its own, which no name says; use "
        f"one of auto, {', '.join(ENGINES)}, pennylane:DEVICE, aer:SNAPSHOT, trajectories:N."
    )


def _plain_state(engine: Engine) -> dict[str, object]:
    """The options that an engine was made with."""
    return {name: value for name, value in vars(engine).items() if not name.startswith("_")}
