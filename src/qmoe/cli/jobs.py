"""Running studies with a progress bar, and telling what came out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from qmoe.claims import CLAIMS, FURTHER_CLAIMS, Claim, Verdict, load_claims
from qmoe.cli.computing import Computing, Halted, Stop, until_stopped
from qmoe.cli.console import make_console, make_progress, say
from qmoe.engines.memory import in_words
from qmoe.errors import ConfigError, count
from qmoe.report import Contents, HeadlineRow, build_report, effect_words, headline, outcome_words, read_store, telling
from qmoe.report.findings.contents import study_titles
from qmoe.report.findings.rung_results import routing_sentences
from qmoe.report.findings.verdict_words import n_more_caveats, verdict_notes
from qmoe.report.sections.summary import missing_words
from qmoe.studies import (
    InProcess,
    LocalProcesses,
    RunSummary,
    Store,
    Study,
    continues,
    default_workers,
    preset_names,
    run_studies,
    with_free_name,
)
from qmoe.studies.admission.plan import PROCESS_BYTES, Prediction, duration, predict
from qmoe.studies.baselines import measure_baselines, missing_baselines
from qmoe.studies.boundary_measures import measure_boundaries, missing_boundaries
from qmoe.studies.measurements import measure, missing_measurements
from qmoe.studies.noise_measures import measure_noise, missing_noise
from qmoe.studies.run.executors import SizedExecutor, n_at_once, works
from qmoe.studies.run.runner import RunState
from qmoe.studies.run.stacks import Stack, kernels_to_compile, seconds
from qmoe.studies.specifications import specifications
from qmoe.studies.store.results import other_numerics
from qmoe.studies.trials import make_trials

STORE = "store.sqlite"
#: Exit status where all ran to the end and some trials failed.
FAILED = 3
#: Seconds that worker processes take to import what they need and to begin, side by side, each on a core of its own.
_START = 4.0
#: Seconds of one core that compiling a kernel takes: those of a study with quantum routers took 39 s for 7.
_KERNEL = 5.5
#: Arms of a ladder that the console tells of; the report has all of them.
_OF_A_LADDER = ("quantum", "twin", "linear")


def run_job(
    studies: Sequence[Study],
    out: Path,
    computing: Computing,
    as_json: bool,
    claims: Path | None = None,
    own_names: bool = False,
) -> None:
    """Runs ``studies`` into ``out`` and writes the report there.

    A study whose name belongs to another one in ``out`` takes its place, which is said; with ``own_names`` it is given
    another name instead.

    Raises:
        QMoEError: for anything that stops the job; what was finished is in the store.
    """
    with until_stopped() as stop:
        try:
            done = _run(studies, out, computing, as_json, claims, own_names, stop)
        except Halted:
            typer.echo(stop.told, err=True)
            raise typer.Exit(stop.status) from None
    if done.failed:
        raise typer.Exit(FAILED)


def _run(
    studies: Sequence[Study],
    out: Path,
    computing: Computing,
    as_json: bool,
    claims: Path | None,
    own_names: bool,
    stop: Stop,
) -> RunSummary:
    """What `run_job` does; `Halted` where it is told to stop."""
    console = make_console(stderr=as_json)
    own = own_claims(claims)
    begin = time.perf_counter()
    prediction = predict(studies)
    fitted = computing.fitted(prediction)
    if computing.workers is None and fitted.workers is not None and fitted.workers < default_workers():
        say(
            console,
            f"{fitted.workers} of {default_workers()} worker processes: each takes up to "
            f"{in_words(PROCESS_BYTES + prediction.stack)} of memory.",
        )
    computing = fitted
    with (
        Store(out / STORE) as store, store.alone(), make_progress(console) as progress, computing.open() as executor,
    ):  # fmt: skip
        studies = [_named(study, store, progress.console, own_names) for study in studies]
        bar = _TrainingBar(progress, executor)

        def on_plan(stacks: Sequence[Stack]) -> None:
            say(progress.console, f"{_ahead(studies, stacks, stop.stored, stop.total or 0)}; results go to {out}/")
            if stacks:
                say(progress.console, _predicted(prediction, stacks, executor))
            compiles = bool(kernels_to_compile(stacks))
            if compiles:
                say(progress.console, "Compiling the kernels of the native engine first, once for this machine.")
            if stacks:
                bar.begin(stop.stored, stop.total or 0, compiles)

        def on_state(state: RunState) -> None:
            stop.stored, stop.total = state.stored, state.total
            stop.finishing = lambda: works(executor)
            bar.update(state)

        with computing.trusting():  # not while the report is written, which is of all studies that the store has
            done = run_studies(
                studies, store, executor, on_plan=on_plan, on_state=on_state,
                stop=stop.event, retry=computing.retry, force=computing.force,
            )  # fmt: skip
            if stop.event.is_set():
                raise Halted
            stop.finishing = lambda: False  # each measurement is stored as it comes
            _measure(studies, store, executor, progress)
        page, contents = _write_report(store.path, out, progress, own, executor)
    asked = {study.name for study in studies}
    rows = headline([results for results in contents.results if results.study.name in asked])
    _tell(console, rows, contents, page, done, time.perf_counter() - begin, as_json)
    return done


class _TrainingBar:
    """How far training is, by trials that are in the store; there is none where nothing is to be trained.

    Args:
        progress: shows it.
        executor: what trains.
    """

    def __init__(self, progress: Progress, executor: Executor) -> None:
        self._progress, self._executor = progress, executor
        self._task: TaskID | None = None

    def begin(self, stored: int, total: int, compiles: bool) -> None:
        """Shows it, with what is done before the first trial trains."""
        waits = "compiling" if compiles else "starting workers"
        words = "training" if isinstance(self._executor, InProcess) and not compiles else waits
        self._task = self._progress.add_task(words, total=total, completed=stored, unit="trials", left=None)

    def update(self, state: RunState) -> None:
        """Moves it on, never back: only the time that is left is corrected."""
        if self._task is not None:
            left = state.left / n_at_once(self._executor)
            self._progress.update(
                self._task, description="training", completed=state.stored, left=left, told=self._progress.get_time()
            )


def _ahead(studies: Sequence[Study], stacks: Sequence[Stack], stored: int, total: int) -> str:
    """How many trials are to be trained, of the studies themselves and of their other analyses."""
    ahead = [trial.hash for stack in stacks for trial in stack]
    if not ahead:
        return f"All {count(total, 'trial')} are there" if total != 1 else "The one trial is there"
    words = f"{count(len(ahead), 'trial')} to train"
    if stored:
        words = f"{stored:,} of {count(total, 'trial')} are there, {len(ahead):,} to train"
    n_others = sum(max(0, len(specifications(study)) - 1) for study in studies)
    if n_others:
        own = {member.trial.hash for study in studies for member in make_trials(study)}
        n_own = sum(digest in own for digest in ahead)
        whose, of_whom = ("the study", "its") if len(studies) == 1 else ("the studies", "their")
        analyses = count(n_others, "other analysis", "other analyses")
        words += f": {n_own:,} of {whose}, {len(ahead) - n_own:,} of {of_whom} {analyses} (multiverse)"
    return words


def _predicted(prediction: Prediction, stacks: Sequence[Stack], executor: Executor) -> str:
    """What is ahead, by arithmetic; the progress bar goes by what was measured since."""
    n = executor.n if isinstance(executor, SizedExecutor) else None
    alone = " of one worker" if n is None else ""
    start = _START if isinstance(executor, LocalProcesses) else 0.0
    expected = start + sum(map(seconds, stacks)) / (n or 1)
    n_kernels = sum(len(kernels) for kernels, _ in kernels_to_compile(stacks))
    compiling = f"{duration(n_kernels * _KERNEL / (n or 1))} of compiling and " if n_kernels else ""
    words = f"Predicted: about {compiling}{duration(expected)} of training{alone}, then the report"
    if isinstance(executor, InProcess | LocalProcesses):
        n_workers = 0 if isinstance(executor, InProcess) else executor.n
        words += f"; at most {in_words(prediction.bytes(n_workers))} of memory"
    return f"{words}."


def _named(study: Study, store: Store, console: Console, own_name: bool) -> Study:
    """The study under the name it is run by; says so where that concerns another study in the store."""
    named = with_free_name(study, store) if own_name else study
    earlier = store.asked(named.name)
    words = ""
    if named.name != study.name:
        words = (
            f"{store.path.parent}/ already has another study {study.name}, with other data or settings; this one is named "
            f"{named.name}."
        )
    elif named.name in store.study_names() and (earlier is None or not continues(named, earlier)):
        words = (
            f"{store.path.parent}/ had another study {study.name}, with other data or settings. Its trials stay in the "
            "store, but the report shows the study as it is now; to see both, rename one of them."
        )
    elif (numerics := store.other_numerics(named.name, make_trials(named)[0].trial)) is not None:
        words = f"The study {named.name} was run here before: {other_numerics(numerics)}"
    if words:
        say(console, words)
    return named


def _measure(studies: Sequence[Study], store: Store, executor: Executor, progress: Progress) -> None:
    """Takes the measurements that studies ask for and the store does not have."""
    wanted, beside = missing_measurements(studies, store), missing_baselines(studies, store)
    for study, arms in missing_boundaries(studies, store):
        measure_boundaries(study, arms, store)
    noisy = missing_noise(studies, store)
    if wanted or beside or noisy:
        total = sum(study.seeds.data * len(arms) for study, arms in wanted) + sum(len(cells) for _, cells in noisy)
        task = progress.add_task("measuring", total=total + sum(study.seeds.data for study, _ in beside))
        for results, cells in noisy:
            measure_noise(results, cells, store, executor, lambda: progress.advance(task))
        for study, arms in wanted:
            measure(study, arms, store, executor, lambda: progress.advance(task))
        for study, names in beside:
            measure_baselines(study, names, store, executor, lambda: progress.advance(task))


def report_only(folder: Path, out: Path, as_json: bool, claims: Path | None = None) -> None:
    """Writes the report of the store in ``folder`` to ``out``."""
    console = make_console(stderr=as_json)
    own = own_claims(claims)
    begin = time.perf_counter()
    with Store(folder / STORE, create=False) as store, make_progress(console) as progress:
        page, contents = _write_report(store.path, out, progress, own, InProcess())
    _tell(console, contents.rows, contents, page, None, time.perf_counter() - begin, as_json)


def own_claims(path: Path | None) -> list[Claim]:
    """The user's own claims, refused before anything is trained where they bear a name that is taken."""
    own = [] if path is None else load_claims(path)
    for claim in own:
        if claim.id in (*CLAIMS, *FURTHER_CLAIMS):
            raise ConfigError(f"{path}: the claim {claim.id} ships with qmoe; give yours an id of its own.")
    return own


def _write_report(
    store: Path, out: Path, progress: Progress, claims: Sequence[Claim], executor: Executor
) -> tuple[Path, Contents]:
    task = progress.add_task("report", total=1.0)
    contents = read_store(store, claims)
    page = build_report(contents, out, lambda _words, share: progress.update(task, completed=share), executor=executor)
    progress.update(task, completed=1.0)
    return page, contents


def _tell(
    console: Console,
    rows: Sequence[HeadlineRow],
    contents: Contents,
    page: Path,
    done: RunSummary | None,
    seconds: float,
    as_json: bool,
) -> None:
    judged = contents.judged
    failed = sum(len(results.failed) for results in contents.results) if done is None else done.failed
    for name, reason in contents.unreadable:
        say(console, f"The study {name} cannot be read and is left out: {reason}")
    if as_json:
        summary = {
            "report": str(page),
            "trials_trained": 0 if done is None else done.ran,
            "trials_failed": failed,
            "seconds": round(seconds, 2),
            "headline": [row.to_dict() for row in rows],
            "verdicts": [
                verdict.as_dict() | {"at_other_rates": {at.key: v.outcome for at, v in judged.elsewhere(verdict)}}
                for verdict in judged.verdicts
            ],
        }
        typer.echo(json.dumps(summary, indent=2))
        return
    studies = {results.study.name: results.study for results in contents.results}
    shown = [row for row in rows if not studies[row.study].ladder or row.arm in _OF_A_LADDER]
    console.print(_table(shown, studies))
    if contents.judged.verdicts:
        console.print(_verdicts(contents.judged.verdicts))
    for words in routing_sentences(contents.results, study_titles(contents.results)):
        say(console, words)
        console.print()
    if contents.judged.verdicts:
        _tell_notes(console, contents)
    else:
        say(console, "No claim is asked here. --claims FILE has claims of your own judged: docs/claims.md.")
    for words in missing_words(contents.results):
        say(console, words)
    say(console, f"Report: {page}  ({seconds:.0f} s)")
    if failed:
        say(
            console,
            f"{count(failed, 'trial')} failed, and no number counts them; the report names them. `qmoe run`, `ablate` or "
            "`reproduce` with --retry-failed trains them again.",
        )


def _tell_notes(console: Console, contents: Contents) -> None:
    """Why verdicts are inconclusive, and what weakens the others; the rest is in the report."""
    judged = contents.judged
    table = Table(title="Beside these verdicts", title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for ids, words in verdict_notes(judged, study_titles(contents.results)):
        table.add_row(", ".join(ids), words)
    if table.row_count:
        console.print(table)
        console.print()
    if n := n_more_caveats(judged):
        say(console, f"The report has {count(n, 'more caveat')}.")


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    """One line for each claim."""
    table = Table(title="Claims", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("about")
    table.add_column("verdict", no_wrap=True)
    table.add_column("effect [95%]", justify="right", no_wrap=True)
    for verdict in verdicts:
        claim, effect = verdict.claim, effect_words(telling(verdict))
        table.add_row(claim.id, claim.topic or claim.statement, outcome_words(verdict.outcome), effect)
        for part in verdict.per_study:
            if not all(test.absent for test in part.tests):
                table.add_row("", f"  on {part.study}", outcome_words(part.outcome), effect_words(telling(part)))
    return table


def _table(rows: Sequence[HeadlineRow], studies: Mapping[str, Study]) -> Table:
    """Accuracies by arm: the paper's, ours under its protocol, ours on held-out data."""
    presets = preset_names()
    compared = any(
        row.paper is not None or (row.study in presets and studies[row.study].protocol == "published") for row in rows
    )
    title = (
        "Accuracy: the paper's numbers, and ours (mean, 95% interval)" if compared else "Accuracy (mean, 95% interval)"
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("study")
    table.add_column("arm")
    for column in ("paper", "ours, same protocol", "percentile", "ours, held-out data") if compared else ("accuracy",):
        table.add_column(column, justify="right", no_wrap=True)
    # Both protocols of one experiment share a row. The percentile is of the paper's figure among ours of its protocol.
    merged: dict[tuple[str, str, float | None], dict[str, HeadlineRow]] = {}
    for row in rows:
        if row.quantity != "loss":
            study = studies[row.study]
            key = study.experiment if compared else study.name, row.arm, row.strength
            merged.setdefault(key, {})[study.protocol] = row
    for (name, arm, strength), found in merged.items():
        published, heldout = found.get("published"), found.get("heldout")
        first = published or heldout
        assert first is not None
        paper = "" if first.paper is None else f"{first.paper:.{first.decimals}f}"
        percentile = "" if published is None or published.percentile is None else f"{published.percentile:.0f}"
        shown = arm if strength is None else f"{arm} at p = {strength:g}"
        cells = (paper, _figure(published), percentile, _figure(heldout)) if compared else (_figure(first),)
        table.add_row(name, shown, *cells)
    return table


def _figure(row: HeadlineRow | None) -> str:
    if row is None or row.mean is None:
        return ""
    digits = max(3, row.decimals)
    # Fewer seeds give an interval that promises more than they can hold.
    few = row.low is None or row.high is None or row.n < 6
    interval = f" ({count(row.n, 'run')})" if few else f" [{row.low:.{digits}f}, {row.high:.{digits}f}]"
    return f"{row.mean:.{digits}f}{interval}"
