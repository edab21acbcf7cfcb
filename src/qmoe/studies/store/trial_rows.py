"""What a trial left, and its row in the file, which a digest guards."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from qmoe.errors import StoreError
from qmoe.studies.store.digests import check_figures, check_history, check_weights
from qmoe.studies.trials import TrialSpec

#: How a trial fails.
Failure = Literal["diverged", "error", "memory", "died"]

#: Epochs at the end of training whose losses every row has: they show whether the loss was still falling.
RECENT = 4
#: Characters of a text at most.
_WORDS = 100_000
#: Bytes that a history is unpacked to at most: a million epochs of a few quantities.
_LARGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class Execution:
    """What trials have in common that were trained together.

    Attributes:
        seconds: wall time of the stack that they were trained in.
        stack_size: number of trials in that stack; 1 for a trial that was timed alone.
        threads: torch threads it ran on.
        engine: name of the engine that ran its circuits, or ``"none"``.
        version: version of qmoe.
        commit: commit of qmoe where it ran from a checkout, else None.
        finished_at: when it was saved, ISO 8601 in UTC; "" before that.
    """

    seconds: float
    stack_size: int
    threads: int
    engine: str
    version: str
    commit: str | None
    finished_at: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """What a finished trial left.

    Attributes:
        trial: what was run.
        metrics: final values by name, such as ``test_accuracy``.
        history: values by epoch, such as ``loss``; empty where the study keeps none.
        state: trained parameters as safetensors bytes; empty where the study keeps none.
        execution: what it has in common with those that were trained with it.
        error: why the trial failed, or None.
        failure: how it failed: its loss was no number any more, an error was raised, memory ran out, or its process died.
        attempts: how often it was tried; 0 before it is saved.
        recent: loss of the last `RECENT` epochs; empty where there were fewer.
    """

    trial: TrialSpec
    metrics: dict[str, float]
    history: dict[str, list[float]]
    state: bytes
    execution: Execution
    error: str | None = None
    failure: Failure | None = None
    attempts: int = 0
    recent: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.recent and "loss" in self.history:
            last = self.history["loss"][-RECENT:]
            object.__setattr__(self, "recent", tuple(last) if len(last) == RECENT else ())

    @property
    def done(self) -> bool:
        """Whether it ran to its end without failing."""
        return self.error is None

    def without(self, *, weights: bool = False, history: bool = False) -> Record:
        """The same without weights or history, for studies that do not keep them."""
        return dataclasses.replace(self, state=b"" if weights else self.state, history={} if history else self.history)


@dataclass(frozen=True, slots=True)
class TrialRow:
    """A row of ``trials`` in full, with what other tables keep of it in its place.

    Attributes:
        hash: of the trial.
        frame: JSON of the trial without its seeds.
        data_seed: its first seed.
        init_seed: its second seed.
        error: why it failed, or None.
        failure: how it failed, or None.
        attempts: how often it was tried.
        figures: its final values by name, those that it has.
        recent: the last losses as float32 bytes, or None.
        names: JSON list of the names of what its history has.
        history: ``(names, epochs)`` float32, compressed, or None.
        header: header of the safetensors file of its weights.
        weights: their content, or None.
        execution: what it has in common with those that were trained with it.
    """

    hash: str
    frame: str
    data_seed: int
    init_seed: int
    error: str | None
    failure: str | None
    attempts: int
    figures: dict[str, float]
    recent: bytes | None
    names: str
    history: bytes | None
    header: str
    weights: bytes | None
    execution: Execution

    def digest(self) -> bytes:
        """The first 16 bytes of the SHA-256 of all of it."""
        e, names = self.execution, sorted(self.figures)
        text = (
            f"{self.hash}\n{self.frame}\n{self.data_seed} {self.init_seed} {self.attempts}\n{self.failure}\n{self.error}\n"
            f"{' '.join(names)}\n{self.names}\n{self.header}\n{e.seconds!r} {e.stack_size} {e.threads}\n{e.engine}\n"
            f"{e.version}\n{e.commit}\n{e.finished_at}\n"
        )
        found = hashlib.sha256(text.encode(errors="surrogateescape"))
        found.update(struct.pack(f"<{len(names)}d", *[self.figures[name] for name in names]))
        for part in (self.recent, self.history, self.weights):
            found.update(b"-" if part is None else b"%d:%s" % (len(part), part))
        return found.digest()[:16]


def to_row(record: Record, finished_at: str, attempts: int) -> TrialRow:
    """The row of a trial."""
    names, history = packed(record.history)
    header, weights = split(record.state)
    return TrialRow(
        record.trial.hash, record.trial.frame, record.trial.data_seed, record.trial.init_seed, record.error,
        record.failure, attempts, {name: float(v) for name, v in record.metrics.items() if not math.isnan(v)},
        np.array(record.recent, dtype="<f4").tobytes() if record.recent else None, names, history, header, weights,
        dataclasses.replace(record.execution, finished_at=finished_at),
    )  # fmt: skip


def from_row(trial: TrialSpec, row: TrialRow) -> Record:
    """The record in a row that `check_row` and `check_history` took.

    Raises:
        StoreError: when its history or its weights cannot be read.
    """
    failure: Any = row.failure
    names, values = history_of(row)
    return Record(
        trial, row.figures, dict(zip(names, values.tolist(), strict=True)), _joined(row), row.execution, row.error,
        failure, row.attempts, recent_of(row),
    )  # fmt: skip


def check_row(row: TrialRow, digest: object, trial: TrialSpec | None = None) -> None:
    """Raises StoreError unless a row is as it was written, of ``trial``, and its figures can be."""
    try:
        fits = row.digest() == digest
    except (TypeError, ValueError, struct.error):  # a blob where text should be, or the other way round
        fits = False
    if not fits:
        raise StoreError("it is not as it was written: its digest differs")
    if trial is not None and (row.data_seed, row.init_seed) != (trial.data_seed, trial.init_seed):
        raise StoreError("it is of other seeds than its hash says")
    if (
        trial is not None
        and row.frame != trial.frame
        and _without_place(row.frame, trial) != _without_place(trial.frame, trial)
    ):
        raise StoreError("it is of another trial than its hash says")
    for name, text in (("error", row.error or ""), ("names", row.names), ("header", row.header)):
        if len(text) > _WORDS:
            raise StoreError(f"it has {len(text):,} characters of {name}")
    check_figures(row, trial)
    recent_of(row)


def check_whole(row: TrialRow, digest: object, trial: TrialSpec | None = None) -> None:
    """As `check_row`, its history and weights as well, which takes longer."""
    check_row(row, digest, trial)
    check_history(*history_of(row), trial)
    check_weights(row, trial)


def recent_of(row: TrialRow) -> tuple[float, ...]:
    """Loss of the last `RECENT` epochs; empty where the trial had fewer.

    Raises:
        StoreError: when they cannot be.
    """
    if row.recent is None:
        return ()
    if len(row.recent) != 4 * RECENT:
        raise StoreError(f"it has {len(row.recent)} bytes of last losses, not {4 * RECENT}")
    found = struct.unpack(f"<{RECENT}f", row.recent)
    if not all(map(math.isfinite, found)):
        raise StoreError(f"its last losses are {list(found)}")
    return found


def history_of(row: TrialRow) -> tuple[list[str], np.ndarray]:
    """Names, and ``(names, epochs)`` float32 values by epoch; none where no history is kept.

    Raises:
        StoreError: when they cannot be read.
    """
    if row.history is None:
        return [], np.zeros((0, 0), dtype=np.float32)
    try:
        names = json.loads(row.names)
        if not isinstance(names, list):
            raise ValueError("its names are no list")
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(row.history, _LARGEST)
        if not unpacker.eof or not names or len(content) % (4 * len(names)):
            raise ValueError(f"{len(content)} bytes for {len(names)} quantities")
        return names, np.frombuffer(content, dtype="<f4").reshape(len(names), -1)
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        raise StoreError(f"its history cannot be read: {error}") from None


def packed(history: dict[str, list[float]]) -> tuple[str, bytes | None]:
    """Names of quantities, and their values by epoch compressed; None where there are none."""
    if not history:
        return "[]", None
    values = np.array(list(history.values()), dtype="<f4")
    return json.dumps(list(history)), zlib.compress(values.tobytes(), 6)


def split(state: bytes) -> tuple[str, bytes | None]:
    """Header and content of a safetensors file."""
    if not state:
        return "", None
    size = 8 + int.from_bytes(state[:8], "little")
    return state[8:size].decode(), state[size:]


def _joined(row: TrialRow) -> bytes:
    if row.weights is None:
        return b""
    header = row.header.encode()
    return len(header).to_bytes(8, "little") + header + row.weights


def _without_place(frame: str, trial: TrialSpec) -> Any:
    """The JSON of a trial but for the place of its data file, which may have moved since."""
    try:
        values = json.loads(frame)
        values["data"].get("options", {}).pop(trial.data.kind.located, None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise StoreError("what it says of its trial cannot be read") from None
    return values
