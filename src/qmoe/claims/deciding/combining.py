"""From the outcomes of parts to that of the whole."""

from __future__ import annotations

from collections.abc import Sequence

from qmoe.claims.vocabulary import Combine, Outcome


def combined(outcomes: Sequence[Outcome], how: Combine) -> Outcome:
    """Joins the outcomes of tests; what is inconclusive might still turn out either way.

    ``"all"``: one refuted test refutes. ``"any"``: one supported test supports. ``"majority"``: more than half support;
    it is refuted once that is out of reach. What neither supports nor refutes depends on the analysis if any part does.
    """
    n, yes, no = len(outcomes), outcomes.count("supported"), outcomes.count("refuted")
    needed = needed_of(n, how)
    if n and yes >= needed:
        return "supported"
    if n and n - no < needed:
        return "refuted"
    return "depends" if "depends" in outcomes else "inconclusive"


def needed_of(n: int, how: Combine) -> int:
    """How many of n tests must support for the whole to be supported."""
    return {"all": n, "any": 1, "majority": n // 2 + 1}[how]
