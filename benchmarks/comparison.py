"""What is concluded from a record: ratios, who wins where, the share of the machine's rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.operations import gemm_flops, step_flops
from benchmarks.record import Record, Result
from benchmarks.sizes import Size


@dataclass(frozen=True)
class Ratio:
    """How many times longer than qmoe a peer takes.

    Attributes:
        value: median over median.
        wide: whether one of both has a wide spread.
    """

    value: float
    wide: bool

    def __str__(self) -> str:
        return f"{'~' if self.wide else ''}{significant(self.value)}x"


#: What does not stand for qmoe in ratios: what a module adds, and what autograd costs, which peers in torch pay too.
_BESIDE = ("qmoe-module", "qmoe-vjp")


def own_key(record: Record, result: Result) -> str | None:
    """The engine of qmoe that stands for it at a size: the quickest, called as a function that autograd differentiates."""
    own = [key for key in result.timings if record.contenders[key].ours and key not in _BESIDE]
    return min(own, key=lambda key: result.timings[key].median, default=None)


def ratio(record: Record, result: Result, key: str) -> Ratio | None:
    """A contender's time in units of qmoe's; None where one of both was not timed."""
    own = own_key(record, result)
    if own is None or key not in result.timings:
        return None
    ours, theirs = result.timings[own], result.timings[key]
    return Ratio(theirs.median / ours.median, ours.wide or theirs.wide)


def peers(record: Record) -> list[str]:
    """Keys of all that are not qmoe's."""
    return [key for key, profile in record.contenders.items() if not profile.ours]


def fastest_peer(record: Record, result: Result) -> str | None:
    """The quickest of the others at a size."""
    timed = [key for key in peers(record) if key in result.timings]
    return min(timed, key=lambda key: result.timings[key].median, default=None)


def wins(record: Record, key: str) -> list[Size]:
    """Sizes at which a peer is quicker than qmoe, those of the plots included."""
    measured = {result.size: result for results in record.sweeps.values() for result in results}
    measured |= {result.size: result for result in record.results}  # the longer look decides
    found = ((size, ratio(record, result, key)) for size, result in measured.items())
    return sorted((size for size, value in found if value is not None and value.value < 1), key=str)


def wide_spreads(results: Sequence[Result]) -> list[tuple[Size, str, float]]:
    """Size, contender and spread of all timings that should be taken again."""
    return [(r.size, key, t.spread) for r in results for key, t in r.timings.items() if t.wide]


def own_rate(record: Record, result: Result) -> float | None:
    """Operations per second of qmoe's quickest engine, by count; None for noise, which is not counted."""
    own = own_key(record, result)
    return None if own is None or result.size.is_mixed else step_flops(result.size) / result.timings[own].median


def gemm_share(record: Record, result: Result) -> float | None:
    """That rate as a share of the machine's float32 matrix product in the same rounds."""
    rate = own_rate(record, result)
    return None if rate is None or result.gemm is None else rate * result.gemm.median / gemm_flops()


def significant(value: float, digits: int = 2) -> str:
    """``1,234`` as ``1,200``, ``0.0123`` as ``0.012``, never in powers of ten."""
    rounded = float(f"{value:.{digits}g}")
    places = digits - 1 - math.floor(math.log10(abs(rounded))) if rounded else digits - 1
    return f"{rounded:,.{max(places, 0)}f}"


def duration(seconds: float) -> str:
    """``12 us``, ``3.4 ms``, ``5.6 s``."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * scale:
            return f"{significant(seconds / scale, 3)} {unit}"
    return f"{significant(seconds / 1e-6, 3)} us"
