"""Studies and what came of them in one file: each trial committed as it ends, never written twice."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qmoe
from qmoe.data import UserTable
from qmoe.data.sources import only_from
from qmoe.data.tables.kept import keep_table, keeps, keeps_whole, key_of
from qmoe.errors import QMoEError, StateWarning, StoreError, warn_caller
from qmoe.studies.specifications import all_members, specifications
from qmoe.studies.specs.study import Study
from qmoe.studies.store.columns import Columns
from qmoe.studies.store.digests import measured, of_measurement, of_study
from qmoe.studies.store.file import StoreFile
from qmoe.studies.store.results import StudyResults, later_keys, other_numerics
from qmoe.studies.store.stored_study import read_study
from qmoe.studies.store.trial_rows import Record, TrialRow, check_whole
from qmoe.studies.store.trial_table import TrialTable
from qmoe.studies.trials import Member, TrialSpec, make_trials

if TYPE_CHECKING:
    import pandas

#: How often a trial is tried whose process died or ran out of memory.
MAX_ATTEMPTS = 3


class Store(StoreFile):
    """Opens or makes the result file ``path``.

    One process writes at a time. A trial is stored under the hash of its spec, whichever study asked for it.

    Args:
        path: the file.
        create: whether to make it where it is not there, and to write to it; if not, nothing is ever written, not even to
            bring an older file up to date.

    Raises:
        StoreError: when the folder cannot be written, the file is damaged, no store, or of a newer version.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        super().__init__(path, create)
        self._trials = TrialTable(self._db)
        if self.is_salvaged:
            studies = [self.asked(name) for name in self.study_names()]
            with self._explained(), self._db:
                for study in studies:
                    if study is not None:
                        self._save_places(study)

    def save_study(self, study: Study) -> None:
        """Writes down a study, in place of an earlier version of the same name, and keeps the table it is about."""
        with self._explained(), self._db:
            row = self._db.execute("SELECT position FROM studies WHERE name = ?", (study.name,)).fetchone()
            count = self._db.execute("SELECT COUNT(*) FROM studies").fetchone()
            position, spec = row[0] if row else count[0], study.model_dump_json(exclude_defaults=True)
            self._db.execute(
                "REPLACE INTO studies VALUES (?, ?, ?, ?)", (study.name, position, spec, of_study(study.name, spec))
            )
            self._save_places(study)
            if study.data.kind is UserTable:
                table = UserTable(**study.data.options)
                if not keeps_whole(self._db, table.key):
                    keep_table(self._db, table.key, table.content)

    def _save_places(self, study: Study) -> None:
        """Writes down the specifications of a study and the place of every trial in it."""
        arms = "SELECT arm FROM arms WHERE study = ?"
        self._db.execute(f"DELETE FROM members WHERE arm IN ({arms})", (study.name,))
        for table in ("specifications", "arms"):
            self._db.execute(f"DELETE FROM {table} WHERE study = ?", (study.name,))
        # Its own one has all learning rates that it lists, of which `own_rate` marks the one that counts.
        plain = [(study, {}, "all"), *((s.study, s.choices, s.select) for s in specifications(study))]
        if len(plain) > 1:
            plain = [(study, plain[1][1], "all"), *plain[2:]]
        for number, (one, choices, selects) in enumerate(plain):
            row = (study.name, number, json.dumps(dict(choices)), selects)
            self._db.execute("INSERT INTO specifications VALUES (?, ?, ?, ?)", row)
            has_rate = one.training.optimiser != "lbfgs"
            for (name, strength, rate), members in itertools.groupby(make_trials(one), _arm_of):
                shown = rate if has_rate else None
                values = (study.name, number, name, strength, shown, rate == one.training.lr)
                arm = self._db.execute(
                    "INSERT INTO arms (study, specification, name, strength, learning_rate, own_rate) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                ).lastrowid
                rows = ((arm, m.trial.data_seed, m.trial.init_seed, m.trial.hash) for m in members)
                self._db.executemany("INSERT INTO members VALUES (?, ?, ?, ?)", rows)

    def at_hand(self, study: Study) -> Study:
        """The same study with its table from this store, where that keeps it; its trials have the same hashes.

        So neither a worker nor a report goes back to the file, which may have moved or changed by then.
        """
        if study.data.kind is not UserTable:
            return study
        data = study.data.model_copy(update={"options": self._from_here(study.data.options)})
        return study.model_copy(update={"data": data})

    def asked(self, name: str) -> Study | None:
        """The study of that name as it was last run; None where there is none, or none that can be read."""
        with self._explained():
            row = self._db.execute("SELECT spec, digest FROM studies WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else self._study(name, *row)[0]
        except QMoEError:
            return None

    def _study(self, name: str, text: str, digest: str) -> tuple[Study, tuple[str, ...]]:
        if digest != of_study(name, text):
            raise StoreError(f"{self.path}: the study {name} is not as it was written; run it again.")
        return read_study(name, text, self.path, self._from_here, writes=self._writes)

    def _from_here(self, options: dict[str, Any]) -> dict[str, Any]:
        """Options of a table, with this store in place of its file where it keeps that table."""
        key = key_of(options.get("digest", ""), options["target"], options.get("keep", ()))
        with self._explained():
            return {**options, UserTable.located: str(self.path.resolve())} if keeps(self._db, key) else options

    def save(self, records: Iterable[Record]) -> None:
        """Commits finished trials, all or none."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self._explained(), self._db:
            self._trials.save(records, now)

    def settled(
        self,
        wanted: Mapping[str, TrialSpec],
        retry: bool = False,
        is_whole: Callable[[TrialRow, TrialSpec], bool] | None = None,
    ) -> set[str]:
        """Hashes of the trials that are not to be run again: those that are done, and those that would fail again.

        A trial that diverged or raised an error does so again under the same version of qmoe. One whose process died, or
        that ran out of memory, is tried `MAX_ATTEMPTS` times in all. A damaged row is no result, nor is one without what is
        to be kept.

        Args:
            wanted: trials by their hashes.
            retry: whether those that failed are to be run again as well.
            is_whole: whether a row has all that is to be kept of its trial; by default every row has.
        """
        found = set()
        with self._explained():
            for row, digest in self._trials.rows(wanted):
                try:
                    check_whole(row, digest, wanted[row.hash])
                except StoreError:
                    continue
                if row.error is not None:
                    may_differ = row.failure in ("memory", "died") and row.attempts < MAX_ATTEMPTS
                    if retry or may_differ or row.execution.version != qmoe.__version__:
                        continue
                elif is_whole is not None and not is_whole(row, wanted[row.hash]):
                    continue
                found.add(row.hash)
        return found

    def damaged(self) -> dict[str, str]:
        """Trials whose row is not as it was written, each with what is wrong; `run_studies` runs them again."""
        studies = [study for name in self.study_names() if (study := self.asked(name)) is not None]
        trials = {member.trial.hash: member.trial for study in studies for member in all_members(study)}
        found: dict[str, str] = {}
        with self._explained():
            readings = (lambda: self._trials.rows(trials)), self._trials.others
            for row, digest in itertools.chain.from_iterable(read() for read in readings):
                try:
                    check_whole(row, digest, trials.get(row.hash))
                except StoreError as error:
                    found[row.hash] = str(error)
        return found

    def hashes(self) -> set[str]:
        """Hashes of the trials that are done."""
        with self._explained():
            return {row[0] for row in self._db.execute("SELECT hash FROM trials WHERE status = 'done'")}

    def failures(self) -> set[str]:
        """Hashes of the trials that failed."""
        with self._explained():
            return {row[0] for row in self._db.execute("SELECT hash FROM trials WHERE status = 'failed'")}

    def trained_together(self) -> set[str]:
        """Hashes of the trials that are done and were trained beside others, so that their time is not that of one."""
        query = "SELECT hash FROM trials JOIN executions USING (execution) WHERE status = 'done' AND stack_size > 1"
        with self._explained():
            return {row[0] for row in self._db.execute(query)}

    def save_measurement(self, key: str, quantity: str, name: str, values: Sequence[float]) -> None:
        """Commits repeated measurements of a quantity, under a hash of what decides them."""
        with self._explained(), self._db:
            row = (key, quantity, name, json.dumps(list(values)))
            self._db.execute("REPLACE INTO measurements VALUES (?, ?, ?, ?, ?)", (*row, of_measurement(*row)))

    def has_measurement(self, key: str) -> bool:
        """Whether there are measurements under that hash, as they were written."""
        with self._explained():
            # An index of before a row was damaged would give its hash as it was.
            row = self._db.execute("SELECT * FROM measurements NOT INDEXED WHERE hash = ?", (key,)).fetchone()
        try:
            return row is not None and bool(len(measured(*row)))
        except StoreError:
            return False

    def measurements(self) -> dict[str, dict[str, np.ndarray]]:
        """All measurements: quantity -> name -> ``(n,)`` numbers, the latest of each.

        One that is not as it was written is left out, with a warning.
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        with self._explained():
            rows = self._db.execute("SELECT * FROM measurements ORDER BY rowid").fetchall()
        wrong = {}
        for row in rows:
            try:
                found.setdefault(row[1], {})[row[2]] = measured(*row)
            except StoreError as error:
                wrong[row[0]] = str(error)
        self._warn_of(wrong)
        return found

    def study_names(self) -> list[str]:
        """Names of the studies, in the order they were first run."""
        with self._explained():
            return [row[0] for row in self._db.execute("SELECT name FROM studies ORDER BY position")]

    def first_hash(self, name: str) -> str | None:
        """The hash of the first trial of a study as it was planned when it last ran; None where that is not kept."""
        query = (
            "SELECT hash FROM arms JOIN members USING (arm) WHERE study = ? AND specification = 0 "
            "ORDER BY arm, data_seed, init_seed LIMIT 1"
        )
        with self._explained():
            row = self._db.execute(query, (name,)).fetchone()
        return None if row is None else row[0]

    def other_numerics(self, name: str, trial: TrialSpec) -> int | None:
        """The `NUMERICS` by which ``trial``, a study's first, was planned here, if other than today's; else None."""
        first = self.first_hash(name)
        return None if first in (None, trial.hash) else trial.numerics_of(first)

    def load(self, name: str) -> StudyResults:
        """Reads a study with what its trials left.

        Raises:
            StoreError: when there is no such study in the store.
            ConfigError: when it is not valid any more, such as one on a table that is neither kept nor where it was.
        """
        with self._explained():
            row = self._db.execute("SELECT spec, digest FROM studies WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise StoreError(
                    f"{self.path} has no study {name!r}; it has {', '.join(self.study_names()) or 'none'}."
                )
            study, unknown = self._study(name, *row)
            with nullcontext() if self._writes else only_from(self.path):
                members = tuple(make_trials(study))
        if unknown:
            warn_caller(f"{self.path}: study {name}: {later_keys(unknown)}", StateWarning)
        columns = self.columns([m.trial for m in members])
        numerics = self.other_numerics(name, members[0].trial)
        if numerics is not None:
            warn_caller(f"{self.path}: study {name}: {other_numerics(numerics)}", StateWarning)
        return StudyResults(study, members, columns, StoreReader(self.path.resolve()), unknown, numerics)

    def frame(self, study: str | None = None, history: bool = False) -> pandas.DataFrame:
        """The trials of a study, or of all that can be read, as a pandas frame; see `StudyResults.frame`."""
        import pandas

        names = self.study_names() if study is None else [study]
        loaded = [self.load(name) for name in names if study is not None or self.asked(name) is not None]
        frames = [one for results in loaded if not (one := results.frame(history)).empty]
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    def records(self, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
        """Reads the records of trials, given by their hashes, as far as they have run.

        A row that is not as it was written is left out, with a warning: it counts as not run, and `run_studies` runs it.
        """
        wrong: dict[str, str] = {}
        with self._explained():
            found = {record.trial.hash: record for record in self._trials.records(wanted, wrong.__setitem__)}
        self._warn_of(wrong)
        return found

    def columns(self, trials: Sequence[TrialSpec]) -> Columns:
        """Reads what trials left, in their order; as `records`, without histories and weights."""
        wrong: dict[str, str] = {}
        with self._explained():
            found = self._trials.columns(trials, wrong.__setitem__)
        self._warn_of(wrong)
        return found

    def histories(self, trials: Sequence[TrialSpec], quantity: str) -> np.ndarray:
        """``(m, epochs)`` values by epoch of those of the trials that keep them, in their order."""
        wrong: dict[str, str] = {}
        with self._explained():
            found = self._trials.histories(trials, quantity, wrong.__setitem__)
        self._warn_of(wrong)
        return found

    def _warn_of(self, wrong: Mapping[str, str]) -> None:
        if wrong:
            first = "; ".join(f"trial {key}: {reason}" for key, reason in list(wrong.items())[:3])
            warn_caller(
                f"{self.path}: {len(wrong)} rows are damaged and left out; `qmoe run` makes them again. {first}",
                StateWarning,
            )


class StoreReader:
    """Reads more of the trials of a study from the store at ``path``, which is opened for each reading."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self, wanted: Mapping[str, TrialSpec]) -> dict[str, Record]:
        """As `Store.records`."""
        with Store(self._path, create=False) as store:
            return store.records(wanted)

    def columns(self, trials: Sequence[TrialSpec]) -> Columns:
        """As `Store.columns`."""
        with Store(self._path, create=False) as store:
            return store.columns(trials)

    def histories(self, trials: Sequence[TrialSpec], quantity: str) -> np.ndarray:
        """As `Store.histories`."""
        with Store(self._path, create=False) as store:
            return store.histories(trials, quantity)


def _arm_of(member: Member) -> tuple[str, float | None, float]:
    return member.arm, member.strength, member.trial.training.lr
