"""Which engine runs a circuit, and why."""

from __future__ import annotations

from collections.abc import Callable

import torch

from qmoe.circuits import Circuit
from qmoe.engines.batched import TorchEngine
from qmoe.engines.protocol import Engine
from qmoe.engines.reference import ReferenceEngine
from qmoe.errors import ConfigError, unknown


def _pennylane(device: str | None = None) -> Engine:
    # PennyLane takes seconds to import, so only its own engine does it.
    from qmoe.engines.pennylane import PennyLaneEngine

    return PennyLaneEngine(device)


ENGINES: dict[str, Callable[[], Engine]] = {
    "reference": ReferenceEngine,
    "torch": TorchEngine,
    "pennylane": _pennylane,
}

_TORCH = TorchEngine()


def choose_engine(circuit: Circuit, device: torch.device) -> tuple[Engine, str]:
    """Returns the engine that ``engine="auto"`` uses for ``circuit`` on ``device``, and the reason in words."""
    del circuit
    return _TORCH, f"batched torch on {device.type}: the only fast engine of this version, on every device"


def get_engine(engine: str | Engine) -> Engine | None:
    """Returns the engine of that name, ``engine`` itself, or None for ``"auto"`` (chosen at each call).

    Args:
        engine: an `Engine`, ``"auto"``, a key of `ENGINES`, or ``"pennylane:DEVICE"`` for a PennyLane device by name, such
            as ``"pennylane:lightning.qubit"`` (which differentiates by the adjoint method, as the paper does).

    Raises:
        ConfigError: for an unknown name.
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
    if engine not in ENGINES:
        raise unknown("engine", engine, ("auto", *ENGINES, "pennylane:DEVICE"))
    return ENGINES[engine]()
