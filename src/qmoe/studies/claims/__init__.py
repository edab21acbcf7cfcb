"""Claims as data, and the judge that gives each a verdict."""

from __future__ import annotations

import tomllib
from importlib import resources

from qmoe.errors import unknown
from qmoe.studies.claims.deciding import Contrast, Decision, Evidence, Outcome, decide
from qmoe.studies.claims.judging import judge
from qmoe.studies.claims.measuring import effective_dimensions
from qmoe.studies.claims.runs import Runs, StudyRuns, runs_of
from qmoe.studies.claims.spec import Claim, load_claims, parse_claims
from qmoe.studies.claims.verdicts import Comparison, TestVerdict, Verdict

#: Claims that ship with qmoe: those of the paper, then our own.
CLAIMS: tuple[str, ...] = ("C1", "C2", "C3", "C4", "C5", "C6", "T1", "T2", "T3", "T4")

__all__ = [
    "CLAIMS",
    "Claim",
    "Comparison",
    "Contrast",
    "Decision",
    "Evidence",
    "Outcome",
    "Runs",
    "StudyRuns",
    "TestVerdict",
    "Verdict",
    "claim_text",
    "decide",
    "effective_dimensions",
    "judge",
    "load_claims",
    "parse_claims",
    "runs_of",
    "shipped_claims",
]


def shipped_claims(headline: bool | None = None) -> list[Claim]:
    """The claims that ship with qmoe.

    Args:
        headline: True for those of the paper alone (C1 to C6), False for the others, None for all.
    """
    claims = [claim for name in CLAIMS for claim in parse_claims(tomllib.loads(claim_text(name)), f"{name}.toml")]
    return [claim for claim in claims if headline is None or claim.headline == headline]


def claim_text(name: str) -> str:
    """The TOML text of a claim that ships with qmoe.

    Raises:
        ConfigError: for an unknown name.
    """
    if name not in CLAIMS:
        raise unknown("claim", name, CLAIMS)
    return resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
