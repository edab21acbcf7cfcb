"""Runs the trials of studies: plans stacks, hands them to an executor, and stores what comes back."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Sequence, Set
from concurrent.futures import Executor
from dataclasses import dataclass

from qmoe.compiled.cache import Kernel, compile_kernels
from qmoe.errors import ConfigError, QMoEError
from qmoe.studies.admission.plan import admit, predict
from qmoe.studies.assembly import build_model
from qmoe.studies.run.dispatch import Died, Ended, outcomes, results
from qmoe.studies.run.executors import InProcess, LocalProcesses, n_at_once
from qmoe.studies.run.keeping import Keeping
from qmoe.studies.run.portions import Portions
from qmoe.studies.run.stack_run import Trained, failed, train_safely
from qmoe.studies.run.stacks import Stack, cost, kernels_to_compile, plan_stacks
from qmoe.studies.specifications import all_members
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Record, Store


def check_models(study: Study) -> None:
    """Builds one model of each arm at each specification, so that what does not fit together shows before training.

    Raises:
        ConfigError: naming the study and the arm.
    """
    for member in {(m.arm, m.trial.model.canonical): m for m in all_members(study)}.values():
        try:
            build_model(member.trial)
        except QMoEError as error:
            raise ConfigError(f"Study {study.name}, arm {member.arm}: {error}") from None


#: Seconds up to which the first portion of a process says nothing of those after it: most of them it spent beginning.
_BEGINNING = 20.0


@dataclass(frozen=True)
class RunSummary:
    """What `run_studies` did.

    Attributes:
        ran: trials that were run, those that failed among them.
        failed: trials of the studies that have failed, now or before, and count in no figure.
        interrupted: whether it was told to stop before all was done.
    """

    ran: int
    failed: int
    interrupted: bool = False


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        stored: trials that are in the store.
        total: trials that the studies have.
        spent: seconds of one core that training has taken.
        left: seconds of one core that it takes from here on, by what was measured so far.
    """

    stored: int
    total: int
    spent: float
    left: float


def run_studies(
    studies: Sequence[Study],
    store: Store,
    executor: Executor | None = None,
    *,
    on_plan: Callable[[Sequence[Stack]], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
    on_state: Callable[[RunState], None] | None = None,
    stop: threading.Event | None = None,
    retry: bool = False,
    force: bool = False,
) -> RunSummary:
    """Runs what is missing of ``studies``; safe to interrupt and to call again.

    A trial that fails is stored with its reason, and takes no other with it. One that diverged or raised an error is not
    trained again by a later call, since it would do so again; one whose process died or ran out of memory is, up to
    `MAX_ATTEMPTS` times in all.

    Args:
        studies: what to run.
        store: where results go, as they come; this process alone writes to it.
        executor: what computes: any `concurrent.futures.Executor` whose processes can import qmoe. By default this process.
        on_plan: called once with the stacks ahead.
        on_progress: called with the part of their `cost` that was done since the last call.
        on_state: called with how far the run is: before the first trial, and whenever results were stored.
        stop: once it is set nothing more begins, what runs is stored, and the function returns.
        retry: whether to train again what failed.
        force: whether to run also what is predicted to need more memory than is free, or more than a year.

    Raises:
        ConfigError: for two studies of one name, and for models that do not fit together.
        StoreError: when another process runs studies into the same store.
        UnsupportedError: for what is predicted not to fit this machine; nothing has been built or stored then.
        QMoEError: when the executor cannot run tasks.
    """
    executor = executor or InProcess()
    named: dict[str, Study] = {}
    for study in studies:
        if named.setdefault(study.name, study) != study:
            raise ConfigError(f"Two studies are named {study.name!r}; give each a name of its own.")
    if not force:
        admit(
            predict(named.values()), _workers_here(executor), n_at_once(executor), "; force=True runs it all the same"
        )
    for study in named.values():
        check_models(study)
    with store.alone():
        for study in studies:
            store.save_study(study)
        here = [store.at_hand(study) for study in studies]
        trials = {member.trial.hash: member.trial for study in here for member in all_members(study)}
        keeping = Keeping(here)
        # What is trained once more, as for its time, keeps what another study of the store wants of it.
        others = [
            other for name in store.study_names() if name not in named and (other := store.asked(name)) is not None
        ]
        cut = Keeping([*here, *others]).cut
        settled = store.settled(trials, retry, keeping.has)
        # Of these only the time is wanted, if at all: what they gave is not given up for a failure.
        kept = store.trained_together() & settled if any(study.timed for study in here) else set[str]()
        stacks = plan_stacks(here, settled, kept)
        portions = Portions(stacks, n_at_once(executor))
        tally = _Tally(portions, trials.keys(), settled, on_state or (lambda _: None))
        tally.tell()
        if on_plan is not None:
            on_plan(stacks)
        # Once for all: processes that meet a missing kernel at the same time would each compile it.
        if not isinstance(executor, InProcess):
            collections.deque(results(executor, _compile, kernels_to_compile(stacks), stop), maxlen=0)
        for outcome in outcomes(executor, train_safely, portions.take, stop, _halves):
            records = tally.records_of(outcome)
            store.save(cut(r) for r in records if r.done or r.trial.hash not in kept)
            tally.add(records)
            if on_progress is not None:
                on_progress(cost(outcome.task))
        return RunSummary(tally.ran, len(store.failures() & trials.keys()), stop is not None and stop.is_set())


class _Tally:
    """Counts what a run has done and how long that took.

    Args:
        portions: what the run is cut into.
        trials: hashes of all trials of the studies.
        settled: hashes of those that were in the store before.
        on_state: told how far the run is.
    """

    def __init__(
        self, portions: Portions, trials: Set[str], settled: Set[str], on_state: Callable[[RunState], None]
    ) -> None:
        self.ran = 0
        self._portions, self._settled, self._on_state = portions, settled, on_state
        self._stored, self._total, self._spent = len(trials & settled), len(trials), 0.0

    def records_of(self, outcome: Ended[Stack, Trained] | Died[Stack]) -> list[Record]:
        """The records of a portion that ended."""
        self._portions.over(outcome.task)
        if isinstance(outcome, Died):
            return [failed(trial, "died", outcome.why) for trial in outcome.task]
        if not outcome.result.first or outcome.result.seconds > _BEGINNING:
            self._portions.took(outcome.task, outcome.result.seconds)
        self._spent += outcome.result.seconds
        return outcome.result.records

    def add(self, records: Sequence[Record]) -> None:
        """Takes records that were stored."""
        self.ran += len(records)
        self._stored += sum(record.trial.hash not in self._settled for record in records)
        self.tell()

    def tell(self) -> None:
        """Tells how far the run is."""
        self._on_state(RunState(self._stored, self._total, self._spent, self._portions.seconds_left()))


def _workers_here(executor: Executor) -> int | None:
    """Worker processes of this machine; 0 for this process alone, None for work that is done elsewhere."""
    if isinstance(executor, InProcess):
        return 0
    return executor.n if isinstance(executor, LocalProcesses) else None


def _halves(stack: Stack) -> list[Stack]:
    half = (len(stack) + 1) // 2
    return [part for part in (stack[:half], stack[half:]) if part]


def _compile(kind: tuple[list[Kernel], int]) -> None:
    compile_kernels(*kind)
