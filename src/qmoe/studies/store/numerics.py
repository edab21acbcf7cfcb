"""Which `NUMERICS` the trials of a stored study were planned by: others than today's make all of them count as missing."""

from __future__ import annotations

from qmoe.studies.store.database import Store, explained
from qmoe.studies.trials import NUMERICS, Member

#: Newer numerics than today's that are looked for.
_NEWER = 50


def numerics_of(store: Store, study: str, first: Member) -> int | None:
    """The `NUMERICS` of the version of qmoe that last ran a study; None where the store does not tell.

    Args:
        store: the store.
        study: name of the study.
        first: the first of its trials.
    """
    query = "SELECT hash FROM members WHERE study = ? AND specification = 0 ORDER BY rowid LIMIT 1"
    with explained(store.path):
        row = store.connection.execute(query, (study,)).fetchone()
    known = range(NUMERICS + _NEWER)
    return None if row is None else next((n for n in known if first.trial.hash_by(n) == row[0]), None)
