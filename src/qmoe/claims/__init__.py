"""Claims as data, and the judge that gives each a verdict."""

from __future__ import annotations

from qmoe.claims.ablation import ablation_study, ladder_claims
from qmoe.claims.analyses.over_analyses import ChoiceEffect, Multiverse, Point, Pool, SpecificationRow
from qmoe.claims.analyses.universes import universes
from qmoe.claims.deciding.evidence import Contrast, Decision, Evidence, decide
from qmoe.claims.from_records import runs_of
from qmoe.claims.judge import judge
from qmoe.claims.planning import DrawPlan, plan
from qmoe.claims.registration import Departure, Registration, register, root_seed, verify
from qmoe.claims.runs import ArmKey, ArmRuns, StudyRuns, Universe
from qmoe.claims.shipped import (
    CLAIMS,
    FURTHER_CLAIMS,
    Registered,
    claim_text,
    further_claims,
    registered,
    shipped_claims,
)
from qmoe.claims.spec import Claim, load_claims, parse_claims
from qmoe.claims.verdicts import Comparison, Estimate, TestVerdict, Verdict
from qmoe.claims.vocabulary import Outcome

__all__ = [
    "CLAIMS",
    "FURTHER_CLAIMS",
    "ArmKey",
    "ArmRuns",
    "ChoiceEffect",
    "Claim",
    "Comparison",
    "Contrast",
    "Decision",
    "Departure",
    "DrawPlan",
    "Estimate",
    "Evidence",
    "Multiverse",
    "Outcome",
    "Point",
    "Pool",
    "Registered",
    "Registration",
    "SpecificationRow",
    "StudyRuns",
    "TestVerdict",
    "Universe",
    "Verdict",
    "ablation_study",
    "claim_text",
    "decide",
    "further_claims",
    "judge",
    "ladder_claims",
    "load_claims",
    "parse_claims",
    "plan",
    "register",
    "registered",
    "root_seed",
    "runs_of",
    "shipped_claims",
    "universes",
    "verify",
]
