"""The command line. Threads are limited before anything that computes is imported."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.machine import limit_threads, n_cores
from benchmarks.sizes import GPU_SIZES, QUICK_SIZES, SIZES, Size, SizeError, parse_sizes

if TYPE_CHECKING:
    from benchmarks.record import Record

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    sizes: Annotated[
        list[str] | None,
        typer.Option(help="Sizes Q,L,B,M, Q,L,B,M,noisy or Q,L,B,M,damped, separated by blanks.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Contenders by key, such as tensorcircuit; repeatable.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of every contender. Default: one per core.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=7, help="Rounds of contenders whose step is quick.")] = 11,
    quick: Annotated[bool, typer.Option("--quick", help="A few small sizes, no plots, no facts.")] = False,
    sweeps: Annotated[
        bool | None,
        typer.Option("--sweeps/--no-sweeps", help="Time the sizes of the plots too. Default: if all sizes are timed."),
    ] = None,
    facts: Annotated[
        bool | None,
        typer.Option("--facts/--no-facts", help="Measure memory and first use. Default: if all sizes are timed."),
    ] = None,
    trainings: Annotated[
        bool | None,
        typer.Option(
            "--trainings/--no-trainings",
            help="Time whole trainings and fits too, and threads beside a busy process. Default: if all is timed.",
        ),
    ] = None,
    imports: Annotated[
        bool | None,
        typer.Option("--imports/--no-imports", help="Time imported circuits too. Default: if all is timed."),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--trainings-again", help="Time whole trainings alone, and put them in the record that there is."),
    ] = False,
    gpu: Annotated[
        bool,
        typer.Option("--gpu", help="Time steps on this machine's GPU alone, and put them in the record that there is."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write the record. Default: benchmarks/record.json for a complete run, nowhere otherwise.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Time training steps and whole trainings of qmoe and its peers side by side.

    Example: python -m benchmarks --sizes "2,3,32,1 8,3,256,1" --only qmoe-torch --only tensorcircuit
    """
    if context.invoked_subcommand is not None:
        return
    try:
        chosen = parse_sizes(sizes) if sizes else list(QUICK_SIZES if quick else SIZES)
    except SizeError as error:
        raise typer.BadParameter(str(error), param_hint="--sizes") from None
    if again:
        _measure_trainings_again(threads or n_cores(), out)
        return
    if gpu:
        _measure_gpu(chosen if sizes or quick else GPU_SIZES, threads or n_cores(), rounds, out)
        return
    partial = quick or bool(sizes)
    sweeps, facts = (not partial if choice is None else choice for choice in (sweeps, facts))
    trainings, imports = (not partial and not only if choice is None else choice for choice in (trainings, imports))
    n_threads = threads or n_cores()
    limit_threads(n_threads)

    # Only now: these import torch, and with it the number of threads is settled.
    from benchmarks import record
    from benchmarks.show import show
    from benchmarks.suite import n_units, run_suite
    from benchmarks.timing import Plan

    plan = Plan(rounds=7, cap=3.0, slow=1.0, too_long=10.0) if quick else Plan(rounds=rounds)
    # A path of the user, or a reason in an error, may hold brackets; none of them is markup.
    console = Console(markup=False, emoji=False)
    with _bar(console) as bar:
        task = bar.add_task("", total=n_units(chosen, sweeps, facts, trainings, imports))

        def report(text: str, done: bool) -> None:
            bar.update(task, description=text, advance=int(done))

        try:
            made = run_suite(chosen, n_threads, plan, only or (), sweeps, facts, trainings, imports, report)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--only") from None
    show(made, console)
    if out is None and not partial and not only and sweeps and facts and trainings and imports:
        out = record.PATH
    if out is not None:
        _rewrite(made, out, console)


@app.command("spans")
def spans_of_large_circuits() -> None:
    """Time spans, twins and distilled routers of circuits of 50 and 100 qubits."""
    from benchmarks.spans import measure_spans, text

    for one in measure_spans():
        Console(markup=False, emoji=False).print(text(one), highlight=False, soft_wrap=True)


@app.command("twins")
def twins_beside_routers(
    threads: Annotated[int, typer.Option(min=1, help="Threads of both.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.01, help="How long each size is timed.")] = 2.0,
) -> None:
    """Time twins beside the quantum routers that they replace."""
    limit_threads(threads)
    from benchmarks.twins import measure_epochs, measure_twins, text

    for one in itertools.chain(measure_twins(seconds), measure_epochs(seconds)):
        Console(markup=False, emoji=False).print(text(one), highlight=False, soft_wrap=True)


@app.command("trajectories")
def noise_by_trajectories(
    quick: Annotated[bool, typer.Option("--quick", help="Six and eight qubits, without peers.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of all.")] = 1,
) -> None:
    """Time noise by trajectories beside density matrices, default.mixed and qiskit-aer, at one accuracy."""
    limit_threads(threads)
    from benchmarks.trajectories import QUBITS, measure_trajectories, text

    for one in measure_trajectories((6, 8) if quick else QUBITS, peers=not quick):
        Console(markup=False, emoji=False).print(text(one), highlight=False, soft_wrap=True)


@app.command("imported")
def imported_circuits(
    quick: Annotated[bool, typer.Option("--quick", help="A few small cases, timed briefly.")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Put them in the record that there is, and write the page from it.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of every contender. Default: one per core.", show_default=False)
    ] = None,
    rounds: Annotated[int, typer.Option(min=7, help="Rounds of contenders whose step is quick.")] = 11,
) -> None:
    """Time circuits of PennyLane and Qiskit, imported by qmoe and in their own libraries.

    Example: python -m benchmarks imported --quick
    """
    if quick and write:
        raise typer.BadParameter("a quick look is not worth keeping; leave one of both away.", param_hint="--write")
    limit_threads(threads or n_cores())
    import torch

    from benchmarks import machine, record
    from benchmarks.imported import text
    from benchmarks.imported.cases import CASES, QUICK_CASES
    from benchmarks.imported.run import run_imported
    from benchmarks.timing import Plan

    torch.set_num_threads(threads or n_cores())
    plan = Plan(rounds=7, cap=1.0, slow=1.0, too_long=20.0) if quick else Plan(rounds=rounds)
    cases, console = QUICK_CASES if quick else CASES, Console(markup=False, emoji=False)
    with _bar(console) as bar:
        task = bar.add_task("", total=len(cases))
        measured = run_imported(cases, plan, lambda text, done: bar.update(task, description=text, advance=int(done)))
    for line in text.lines(measured):
        console.print(line, highlight=False, soft_wrap=True)
    if write:
        run = f"commit {machine.commit()}, {machine.today()}"
        _rewrite(dataclasses.replace(record.load(), imported=measured, imported_run=run), record.PATH, console)


@app.command("shots")
def steps_with_shots(
    threads: Annotated[int, typer.Option(min=1, help="Threads of every contender.")] = 1,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of every contender.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="The smallest size alone.")] = False,
) -> None:
    """Time training steps with finite shots beside PennyLane's simulators.

    Example: python -m benchmarks shots --quick
    """
    limit_threads(threads)
    import torch

    from benchmarks.shots import SIZES as SHOT_SIZES
    from benchmarks.shots import measure_shots, text

    torch.set_num_threads(threads)
    for size in SHOT_SIZES[:1] if quick else SHOT_SIZES:
        for line in text(*measure_shots([size], rounds)):
            Console(markup=False, emoji=False).print(line, highlight=False, soft_wrap=True)


@app.command("dispatch")
def steps_of_mixtures(
    threads: Annotated[int, typer.Option(min=1, help="Threads of both ways.")] = 1,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of each way.")] = 7,
) -> None:
    """Time training steps of mixtures of experts with sparse and with dense dispatch.

    Example: python -m benchmarks dispatch
    """
    limit_threads(threads)
    import torch

    from benchmarks.dispatch import SIZES as MIXTURES
    from benchmarks.dispatch import measure_dispatch, text

    torch.set_num_threads(threads)
    for size in MIXTURES:
        for found in measure_dispatch([size], rounds):
            Console(markup=False, emoji=False).print(text(found), highlight=False, soft_wrap=True)


@app.command("gates")
def steps_of_language_models(
    threads: Annotated[int, typer.Option(min=1, help="Threads of every kind of gate.")] = 1,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of every kind of gate.")] = 7,
    quick: Annotated[bool, typer.Option("--quick", help="A tiny model alone.")] = False,
) -> None:
    """Time training steps of a small Mixtral with linear and quantum gates, and with the twins of these.

    Example: python -m benchmarks gates --quick
    """
    limit_threads(threads)
    import torch

    from benchmarks.gates import QUICK_SIZES as TINY_MODELS
    from benchmarks.gates import SIZES as MODELS
    from benchmarks.gates import measure_gates, text

    torch.set_num_threads(threads)
    for size in TINY_MODELS if quick else MODELS:
        for line in text(*measure_gates([size], rounds)):
            Console(markup=False, emoji=False).print(line, highlight=False, soft_wrap=True)


def _measure_trainings_again(n_threads: int, out: Path | None) -> None:
    """Puts whole trainings in place of those in a record; the rest of a run takes three times as long."""
    limit_threads(n_threads)
    from benchmarks import machine, record
    from benchmarks.trainings import run as whole

    path, console = out or record.PATH, Console(markup=False, emoji=False)
    earlier = record.load(path)
    with _bar(console) as bar:
        task = bar.add_task("", total=whole.n_units())
        trained = whole.run_trainings(lambda text, done: bar.update(task, description=text, advance=int(done)))
    run = f"commit {machine.commit()}, {machine.today()}"
    _rewrite(dataclasses.replace(earlier, trainings=trained, trainings_run=run), path, console)


def _measure_gpu(sizes: Sequence[Size], n_threads: int, rounds: int, out: Path | None) -> None:
    """Puts steps on the GPU in a record; into that of the page only where all sizes were timed."""
    limit_threads(n_threads)
    from benchmarks import gpu, record
    from benchmarks.show import show_gpu
    from benchmarks.timing import Plan

    console = Console(markup=False, emoji=False)
    plan = Plan(rounds=rounds, cap=4.0, slow=1.0, too_long=10.0)
    with _bar(console) as bar:
        task = bar.add_task("", total=len(sizes))
        try:
            measured = gpu.run_gpu(
                sizes, n_threads, plan, lambda text, done: bar.update(task, description=text, advance=int(done))
            )
        except gpu.NoGpuError as error:
            raise typer.BadParameter(str(error), param_hint="--gpu") from None
    show_gpu(measured, console)
    if out is None and tuple(sizes) == GPU_SIZES:
        out = record.PATH
    if out is not None:
        earlier = record.load(out if out.exists() else record.PATH)
        _rewrite(dataclasses.replace(earlier, gpu=measured), out, console)


def _rewrite(made: Record, path: Path, console: Console) -> None:
    """Writes a record, and the page where it is the page's."""
    from benchmarks import page, plots, record

    record.save(made, path)
    console.print(f"Written: {path}", soft_wrap=True)
    if path == record.PATH:
        made = record.load(path)  # with the digits that it keeps, so that the page is that of the record
        console.print(f"Written from it: {', '.join(path.name for path in [page.write(made), *plots.write(made)])}")


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
