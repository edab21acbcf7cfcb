"""Planning a study from a pilot: how many draws of the data each test of a claim needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims.deciding.assay import Assays
from qmoe.claims.deciding.evidence import draws_for
from qmoe.claims.questions import Measurements, Poser
from qmoe.claims.runs import StudyRuns
from qmoe.claims.spec import Claim
from qmoe.claims.verdicts import Sides
from qmoe.statistics.conventions import ALPHA, POWER
from qmoe.statistics.power import smallest_effect


@dataclass(frozen=True)
class DrawPlan(Sides):
    """What one comparison of a claim needs.

    Attributes:
        claim: id of the claim.
        margin: smallest difference that matters (a factor on the ratio scale).
        scale: ``"difference"`` or ``"ratio"``.
        sd: standard deviation of the differences of the pilot's draws (of log ratios on the ratio scale); None where the
            pilot cannot tell.
        pilot_draws: draws of the data that it rests on.
        smallest_effect: what so many draws find with the power asked for.
        draws_needed: draws that a difference of the margin needs for it; None where sd or margin is missing.
        obstacle: why the pilot cannot tell, as a phrase; else "".
    """

    claim: str
    margin: float
    scale: str
    sd: float | None = None
    pilot_draws: int = 0
    smallest_effect: float | None = None
    draws_needed: int | None = None
    obstacle: str = ""


def plan(
    claims: Sequence[Claim],
    pilot: Mapping[str, StudyRuns],
    measurements: Measurements | None = None,
    *,
    power: float = POWER,
    alpha: float = ALPHA,
) -> list[DrawPlan]:
    """What every comparison of some claims needs, from a pilot whose seeds are not those of the study itself.

    Args:
        claims: the claims; their tests on studies that the pilot does not have are left out.
        pilot: studies by name.
        measurements: for each quantity and name ``(n,)`` repeated measurements of the pilot.
        power: chance to find a difference of the margin.
        alpha: two-sided level; divide it by the number of tests where a correction for multiple comparisons is to come.
    """
    poser = Poser(Assays(pilot, alpha), alpha, most=2, facts=False)
    found = []
    for claim in claims:
        for posed in poser.all(claim, pilot, measurements or {}):
            for q in [] if posed.absent else posed.questions:
                c, e = q.contrast, q.evidence
                told = DrawPlan(
                    posed.test.name, q.study, q.metric, q.estimand, q.a_key, q.b_key, q.a, q.b, claim.id, c.margin, c.scale
                )  # fmt: skip
                if e is None or e.exact:
                    obstacle = "; ".join(q.obstacles) or "a count has no spread"
                    found.append(DrawPlan(**{**vars(told), "obstacle": obstacle}))
                    continue
                margin = c.distance(c.margin)
                smallest = c.back(smallest_effect(e.sd, e.n_clusters, power, alpha))
                needed = draws_for(e.sd, margin, power, alpha) if margin > 0 else None
                figures = {"sd": e.sd, "pilot_draws": e.n_clusters, "smallest_effect": smallest, "draws_needed": needed}
                found.append(DrawPlan(**{**vars(told), **figures}))
    return found
