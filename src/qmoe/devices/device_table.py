"""The table of devices: accuracy there and without noise, what was compiled, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qmoe.circuits.noise.ibm_snapshots import as_backend
from qmoe.claims import ArmKey, StudyRuns, Verdict, judge, parse_claims
from qmoe.claims.runs import ArmRuns
from qmoe.devices.device_runs import TrainedModel
from qmoe.errors import ConfigError
from qmoe.interop import Compiled, compiled_facts, on_device
from qmoe.statistics.bootstrap import MIN_CLUSTERS, mean_interval
from qmoe.statistics.conventions import MARGIN

if TYPE_CHECKING:
    import pandas

Survival = Literal["survives", "worse", "undecided"]
_SURVIVAL: dict[str, Survival] = {"supported": "survives", "refuted": "worse"}
CLEAN = "clean"
_STUDY = "devices"


@dataclass(frozen=True)
class DeviceRow:
    """What became of the models on one device.

    Attributes:
        device: name of the snapshot.
        qubits: numbers on the device of the circuit's wires.
        n_two_qubit_gates: compiled gates on two qubits.
        depth: compiled gates that follow one another at most.
        accuracy: mean over draws, with the device's noise.
        clean: the same without noise.
        difference: the mean of accuracy with noise minus without.
        low: lower bound of its 95% interval; None for one draw.
        high: upper bound.
        verdict: ``"survives"``: shown to lose less than the margin; ``"worse"``: shown to lose more; ``"undecided"``.
    """

    device: str
    qubits: tuple[int, ...]
    n_two_qubit_gates: int
    depth: int
    accuracy: float
    clean: float
    difference: float
    low: float | None
    high: float | None
    verdict: Survival


@dataclass(frozen=True, eq=False)
class DeviceTable:
    """Devices side by side. ``print(table)`` shows it.

    Attributes:
        rows: one for each device.
        verdicts: of the judge, in the same order.
        n_draws: draws of the data, each with a model.
        margin: the loss of accuracy that does not matter.
    """

    rows: tuple[DeviceRow, ...]
    verdicts: tuple[Verdict, ...]
    n_draws: int
    margin: float

    def to_frame(self) -> pandas.DataFrame:
        """The rows as a table."""
        import pandas

        listed = [{**asdict(row), "qubits": " ".join(map(str, row.qubits))} for row in self.rows]
        return pandas.DataFrame(listed)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data for JSON."""
        rows = [{**asdict(row), "qubits": list(row.qubits)} for row in self.rows]
        return {
            "n_draws": self.n_draws,
            "margin": self.margin,
            "devices": rows,
            "reasons": {v.claim.id: list(v.reasons) for v in self.verdicts},
        }

    def __str__(self) -> str:
        head = ("device", "qubits", "2-qubit gates", "depth", "accuracy", "clean", "difference [95%]", "verdict")
        lines = [head, *map(_cells, self.rows)]
        wide = [max(len(line[i]) for line in lines) for i in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(n) for cell, n in zip(line, wide, strict=True)).rstrip() for line in lines
        )


def _cells(row: DeviceRow) -> tuple[str, ...]:
    qubits = ",".join(map(str, row.qubits))
    interval = "" if row.low is None else f" [{row.low:+.4f}, {row.high:+.4f}]"
    difference = f"{row.difference:+.4f}{interval}"
    counts = str(row.n_two_qubit_gates), str(row.depth)
    return (row.device, qubits, *counts, f"{row.accuracy:.4f}", f"{row.clean:.4f}", difference, row.verdict)


def check_asked(devices: Sequence[str], margin: float) -> None:
    """Refuses what makes no table, before anything is trained for it.

    Raises:
        ConfigError: for no devices, one twice or unknown, or a margin that is none.

    Example:
        >>> from qmoe.devices import DEVICES, check_asked
        >>> check_asked(DEVICES[:1], margin=0.02)
    """
    if isinstance(margin, bool) or not isinstance(margin, Real) or not 0 < float(margin) < 1:
        raise ConfigError(f"margin is {margin!r}, expected a loss of accuracy between 0 and 1, such as 0.02.")
    if not devices or len(set(devices)) < len(devices):
        raise ConfigError(f"devices is {list(devices)!r}, expected different names of snapshots, at least one.")
    for name in devices:
        as_backend(name)


def device_table(
    models: Sequence[TrainedModel],
    devices: Sequence[str],
    *,
    margin: float = MARGIN,
    optimization_level: int = 3,
    seed: int = 0,
    on_progress: Callable[[int, int], object] | None = None,
) -> DeviceTable:
    """Evaluates models that were trained without noise on devices, and judges whether they keep their accuracy.

    Models are paired with themselves, a draw of the data at a time. Read-outs are exact expectation values: what shots add
    is not in it. Verdicts are corrected for multiple comparisons over the devices.

    Args:
        models: what was trained; see `trained_models`.
        devices: names of snapshots.
        margin: the loss of accuracy that does not matter.
        optimization_level: of Qiskit, 0 to 3; see `qmoe.interop.on_device`.
        seed: of Qiskit's search, and of the resampling.
        on_progress: called with evaluations done and their number.

    Raises:
        ConfigError: for no devices, one twice or unknown, or models with several circuits.
        UnsupportedError: where Qiskit is missing, or a circuit does not fit.

    Example:
        >>> from qmoe.devices import TrainedModel, device_table
        >>> points = torch.rand(60, 2) * 3
        >>> labels, router = torch.arange(60) % 2, qmoe.QuantumRouter(2, 2)
        >>> models = [TrainedModel(router, points, labels, seed, seed) for seed in range(6)]
        >>> table = device_table(models, ["fake_manila"])
        >>> table.rows[0].device
        'fake_manila'
    """
    if not models:
        raise ConfigError("models is empty, expected trained models, such as trained_models(study) gives.")
    check_asked(devices, margin)
    clean = np.array([one.accuracy() for one in models])
    scores: dict[str, np.ndarray] = {}
    facts: dict[str, Compiled] = {}
    for number, device in enumerate(devices):
        found = []
        for place, one in enumerate(models):
            there = on_device(one.model, device, optimization_level=optimization_level, seed=seed)
            compiled = compiled_facts(there)
            if len(compiled) != 1:
                raise ConfigError(f"The model has {len(compiled)} circuits, and a row of the table is about one.")
            facts[device] = compiled[0]
            found.append(one.accuracy(there))
            if on_progress is not None:
                on_progress(number * len(models) + place + 1, len(devices) * len(models))
        scores[device] = np.array(found)
    verdicts = _judged(models, {CLEAN: clean, **scores}, margin, seed)
    rows = [
        _row(facts[device], scores[device], clean, verdict) for device, verdict in zip(devices, verdicts, strict=True)
    ]
    return DeviceTable(tuple(rows), tuple(verdicts), len(models), margin)


def _judged(models: Sequence[TrainedModel], scores: dict[str, np.ndarray], margin: float, seed: int) -> list[Verdict]:
    """By the judge of studies: is the accuracy on each device not less than without noise?"""
    seeds = np.array([one.data_seed for one in models]), np.array([one.init_seed for one in models])
    arms = {
        ArmKey(name): ArmRuns(
            "router without noise" if name == CLEAN else f"router on {name}",
            *seeds,
            {"test_accuracy": values},
            study=_STUDY,
            name=name,
        )
        for name, values in scores.items()
    }
    chance = float(np.mean([float(one.y.bincount().max()) / len(one.y) for one in models]))
    claims = parse_claims(
        {
            "claims": [
                {
                    "id": device,
                    "statement": f"The router keeps its accuracy with the noise of {device}.",
                    "source": "qmoe devices",
                    "studies": [_STUDY],
                    "min_seeds": MIN_CLUSTERS,
                    "if_supported": f"The noise of {device} costs less accuracy than matters.",
                    "if_refuted": f"The noise of {device} costs accuracy that matters.",
                    "tests": [
                        {
                            "kind": "difference",
                            "name": "kept",
                            "a": device,
                            "b": CLEAN,
                            "metric": "test_accuracy",
                            "direction": "not_less",
                            "margin": margin,
                        }
                    ],
                }
                for device in scores
                if device != CLEAN
            ]
        },
        "devices",
    )
    return judge(claims, {_STUDY: StudyRuns(_STUDY, arms, chance)}, seed=seed)


def _row(facts: Compiled, there: np.ndarray, clean: np.ndarray, verdict: Verdict) -> DeviceRow:
    low, high = mean_interval(there - clean) if len(clean) > 1 else (None, None)
    return DeviceRow(
        facts.device,
        facts.qubits,
        facts.n_two_qubit_gates,
        facts.depth,
        float(there.mean()),
        float(clean.mean()),
        float((there - clean).mean()),
        low,
        high,
        _SURVIVAL.get(verdict.outcome, "undecided"),
    )
