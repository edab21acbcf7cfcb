"""What is kept of it. Ratios are computed when they are shown, as everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import Timing


@dataclass(frozen=True)
class Entry:
    """What a reader needs to know of a contender.

    Attributes:
        title: its name.
        advice: how it was used.
        ours: whether it belongs to qmoe.
        kinds: of the cases that it takes part in.
    """

    title: str
    advice: str
    ours: bool
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class CaseTimes:
    """One case.

    Attributes:
        kind: ``map``, ``template`` or ``epoch``.
        title: what was computed.
        timings: contender -> seconds of all of it.
        scaled: contender -> what these seconds were measured on, where not on all of it, such as "4 of 32 samples".
        left_out: contender -> why it was not run.
        errors: contender -> what went wrong, disagreement included.
    """

    kind: str
    title: str
    timings: dict[str, Timing] = field(default_factory=dict)
    scaled: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportedTimes:
    """All of it.

    Attributes:
        versions: distribution -> version.
        entrants: contender -> profile, in the order of the tables.
        missing: contenders that are not installed, with the reason.
        cases: what was timed.
    """

    versions: dict[str, str]
    entrants: dict[str, Entry]
    missing: dict[str, str] = field(default_factory=dict)
    cases: tuple[CaseTimes, ...] = ()


def read_imported(content: dict[str, Any]) -> ImportedTimes:
    """From what `dataclasses.asdict` made."""
    cases = (
        CaseTimes(**{**case, "timings": {key: Timing(**value) for key, value in case["timings"].items()}})
        for case in content["cases"]
    )
    entrants = {key: Entry(**{**value, "kinds": tuple(value["kinds"])}) for key, value in content["entrants"].items()}
    return ImportedTimes(**{**content, "entrants": entrants, "cases": tuple(cases)})
