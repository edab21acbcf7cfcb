"""A record in the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.comparison import duration, gemm_share, own_key, ratio, wide_spreads
from benchmarks.imported.text import lines as imported_lines
from benchmarks.record import Gpu, Record, Result
from benchmarks.spans import text
from benchmarks.trainings.text import lines


def show(record: Record, console: Console) -> None:
    """Prints a table for each size, then what speaks against the numbers."""
    for result in record.results:
        console.print(_table(record, result))
        share = gemm_share(record, result)
        if share is not None:
            console.print(f"  by counted operations {share:.0%} of the machine's float32 matrix product")
        for key, reason in result.left_out.items():
            console.print(f"  {record.title(key)}: left out, {reason}", highlight=False, markup=False)
        for key, reason in result.errors.items():
            console.print(f"  {record.title(key)}: FAILED, {reason}", highlight=False, markup=False)
    for memory in record.memory:
        console.print(f"peak memory of qmoe {memory.engine} at {memory.size}: {memory.states:.1f} state vectors")
    for use in record.first_use:
        console.print(
            f"first use of qmoe {use.engine}: import {use.imports:.2f} s, first step {use.cold:.2f} s with an empty cache, "
            f"{use.warm:.2f} s with a filled one"
        )
    for one in record.spans:
        console.print(text(one), highlight=False)
    for line in lines(record.trainings) if record.trainings is not None else ():
        console.print(line, highlight=False, markup=False)
    for line in imported_lines(record.imported) if record.imported is not None else ():
        console.print(line, highlight=False, markup=False)
    for key, reason in record.missing.items():
        console.print(f"{key} takes no part: {reason}", highlight=False, markup=False)
    _warn(record, console)


def show_gpu(gpu: Gpu, console: Console) -> None:
    """Prints a line for each timing, and what has none."""
    for result in gpu.results:
        for key, timing in result.timings.items():
            console.print(
                f"{result.size}: {gpu.contenders[key].title} {duration(timing.median)}, spread {timing.spread:.0%}, "
                f"first {duration(timing.first)}",
                highlight=False,
            )
        for key, reason in {**result.left_out, **result.errors}.items():
            console.print(f"{result.size}: {gpu.contenders[key].title} not timed, {reason}", highlight=False)
    for key, reason in gpu.missing.items():
        console.print(f"{key} takes no part: {reason}", highlight=False)


def _table(record: Record, result: Result) -> Table:
    size = result.size
    noise = ", noisy" * size.noisy + ", damped" * size.damped
    title = f"Q={size.n_qubits} L={size.n_layers} B={size.n_batch} M={size.n_models}{noise}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "median", "min", "spread", "rounds", "first step", "ratio"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    own = own_key(record, result)
    for key, timing in sorted(result.timings.items(), key=lambda item: item[1].median):
        against = ratio(record, result, key)
        table.add_row(
            record.title(key), duration(timing.median), duration(timing.minimum),
            f"{timing.spread:.0%}{' !' if timing.wide else ''}", str(timing.rounds), duration(timing.first),
            "1" if key == own else str(against or ""),
        )  # fmt: skip
    return table


def _warn(record: Record, console: Console) -> None:
    wide = wide_spreads(record.results)
    if wide:
        worst = max(wide, key=lambda item: item[2])
        _alarm(
            console,
            "The results may be unstable",
            f": {len(wide)} of {sum(len(r.timings) for r in record.results)} timings spread by more than 15% between "
            f"rounds, the worst {record.title(worst[1])} at {worst[0]} by {worst[2]:.0%}. "
            "Run it again on a quieter machine.",
        )
    busy = record.load / record.threads
    if busy > 0.25:
        _alarm(console, "The machine was busy", f" before the run began (load {record.load}).")


def _alarm(console: Console, what: str, rest: str) -> None:
    console.print(Text.assemble((what, "bold yellow"), rest))
