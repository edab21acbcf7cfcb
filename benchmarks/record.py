"""What a run leaves behind: measurements, and where and how they were made. Ratios are computed when they are shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.first_use import FirstUse
from benchmarks.imported.results import ImportedTimes, read_imported
from benchmarks.memory import Memory
from benchmarks.sizes import Size, parse_size
from benchmarks.spans import SpanTimes
from benchmarks.timing import Timing
from benchmarks.trainings.results import Trainings, read_trainings

#: Raised when the meaning of a field changes; older records are refused. A field that is added has a default for them.
FORMAT = 1
PATH = Path(__file__).with_name("record.json")


@dataclass(frozen=True)
class Profile:
    """What a reader needs to know of a contender.

    Attributes:
        title: its name.
        advice: how it was used.
        ours: whether it belongs to qmoe.
        compiles: whether its first step compiles.
    """

    title: str
    advice: str
    ours: bool
    compiles: bool = False


@dataclass(frozen=True)
class Result:
    """One size.

    Attributes:
        size: what was computed.
        timings: contender -> seconds of a step.
        left_out: contender -> why it was not run.
        errors: contender -> what went wrong, disagreement included.
        gemm: seconds of the matrix product in the same rounds; None where it was not asked for.
    """

    size: Size
    timings: dict[str, Timing] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    gemm: Timing | None = None


@dataclass(frozen=True)
class Gpu:
    """Steps on a GPU.

    Attributes:
        name: what it is.
        cuda: version of CUDA that torch is built with.
        machine: as in `Record`, and the threads of the processor.
        date: in UTC.
        commit: of qmoe; a ``+`` where the tree had changes.
        versions: distribution -> version.
        contenders: key -> profile, in the order of the table.
        missing: peers that could not take part, with the reason.
        results: the sizes.
    """

    name: str
    cuda: str
    machine: dict[str, str | int | float]
    date: str
    commit: str
    versions: dict[str, str]
    contenders: dict[str, Profile]
    missing: dict[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()


@dataclass(frozen=True)
class Record:
    """A whole run.

    Attributes:
        date: in UTC.
        commit: of qmoe; a ``+`` where the tree had changes.
        machine: processor, cores, memory, system, Python.
        load: mean number of busy processes in the minute before the run.
        threads: what every contender was limited to.
        versions: distribution -> version.
        contenders: key -> profile, in the order of the tables.
        missing: peers that could not be imported, with the reason.
        results: the sizes.
        sweeps: ``qubits``, ``batch``, ``models`` -> the sizes of a plot.
        memory: peak memory of a step.
        first_use: what a fresh process waits for.
        spans: functions of circuits that are too large to run.
        trainings: whole trainings, fits, and the native engine's threads; None where they were not measured.
        trainings_run: commit and date of the run that measured these, where it was another.
        imported: circuits of other libraries; None where they were not timed.
        imported_run: commit and date of the run that timed these, where it was another.
        seconds: of the whole run.
        gpu: steps on a GPU; None where they were not measured.
    """

    date: str
    commit: str
    machine: dict[str, str | int | float]
    load: float
    threads: int
    versions: dict[str, str]
    contenders: dict[str, Profile]
    missing: dict[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    sweeps: dict[str, tuple[Result, ...]] = field(default_factory=dict)
    memory: tuple[Memory, ...] = ()
    first_use: tuple[FirstUse, ...] = ()
    trainings: Trainings | None = None
    trainings_run: str = ""
    seconds: float = 0.0
    gpu: Gpu | None = None
    spans: tuple[SpanTimes, ...] = ()
    imported: ImportedTimes | None = None
    imported_run: str = ""

    def title(self, key: str) -> str:
        """The name of a contender in tables."""
        return self.contenders[key].title if key in self.contenders else key

    def result(self, size: Size) -> Result | None:
        """The result of a size; None where it was not timed."""
        return next((result for result in self.results if result.size == size), None)


def save(record: Record, path: Path = PATH) -> None:
    """Writes JSON with seconds to four significant digits: more than the spread bears, and quieter when compared."""
    content = {"format": FORMAT, **_plain(asdict(record))}
    swept = (result for sweep in content["sweeps"].values() for result in sweep)
    on_gpu = (content["gpu"] or {}).get("results", ())
    for result in [*content["results"], *swept, *on_gpu]:
        result["size"] = str(Size(**result["size"]))
    for step in (content["trainings"] or {}).get("steps", ()):
        step["size"] = str(Size(**step["size"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path = PATH) -> Record:
    """Reads what `save` wrote.

    Raises:
        ValueError: for a record of another format.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content.pop("format", None)
    if found != FORMAT:
        raise ValueError(f"{path.name} has format {found}, expected {FORMAT}; run `make bench` again.")
    # Before profiles said who compiles, this peer alone did.
    content["contenders"] = {
        key: Profile(**{"compiles": key == "tensorcircuit", **value}) for key, value in content["contenders"].items()
    }
    content["results"] = tuple(map(_result, content["results"]))
    content["sweeps"] = {axis: tuple(map(_result, sweep)) for axis, sweep in content["sweeps"].items()}
    content["memory"] = tuple(Memory(**value) for value in content["memory"])
    content["first_use"] = tuple(FirstUse(**value) for value in content["first_use"])
    content["spans"] = tuple(SpanTimes(**value) for value in content.get("spans", ()))
    if content.get("trainings") is not None:
        content["trainings"] = read_trainings(content["trainings"])
    if content.get("imported") is not None:
        content["imported"] = read_imported(content["imported"])
    if content.get("gpu") is not None:
        content["gpu"] = _gpu(content["gpu"])
    return Record(**content)


def _gpu(content: dict[str, Any]) -> Gpu:
    contenders = {key: Profile(**value) for key, value in content["contenders"].items()}
    return Gpu(**{**content, "contenders": contenders, "results": tuple(map(_result, content["results"]))})


def _result(content: dict[str, Any]) -> Result:
    timings = {key: Timing(**value) for key, value in content["timings"].items()}
    gemm = None if content["gemm"] is None else Timing(**content["gemm"])
    return Result(parse_size(content["size"]), timings, content["left_out"], content["errors"], gemm)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
