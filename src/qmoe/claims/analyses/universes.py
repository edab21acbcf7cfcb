"""From the results of a study to those at every specification of its multiverse, as the judge takes them."""

from __future__ import annotations

from qmoe.claims.from_records import runs_of
from qmoe.claims.runs import Universe
from qmoe.studies.store import StudyResults


def universes(results: StudyResults) -> tuple[Universe, ...]:
    """The results of a study at each of its specifications, its own first; none for a study without a multiverse.

    A specification of which no trial is finished is left out; one that is finished in part keeps what is missing as missing,
    so that the judge leaves it open.

    Args:
        results: the study with its store.
    """
    found = results.specifications
    return tuple(
        Universe(each.specification.choices, runs_of(each).selected(each.specification.select))
        for place, each in enumerate(found)
        if place == 0 or each.columns.done.any()
    )
