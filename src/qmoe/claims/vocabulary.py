"""The words that claims, evidence and verdicts share."""

from __future__ import annotations

from typing import Literal

#: How side a is claimed to stand to side b.
Direction = Literal["greater", "less", "equivalent", "not_less", "not_more"]
#: Whether differences or ratios are taken.
Scale = Literal["difference", "ratio"]
#: How the tests of a claim make its outcome.
Combine = Literal["all", "any", "majority"]
#: What of the runs on one draw of the data is compared.
Estimand = Literal["mean", "success", "best"]
#: Claims of one family are corrected for multiple comparisons together.
Family = Literal["paper", "qmoe", "own"]
#: Comparisons and tests never *depend*; a claim that is judged at several specifications may (on the analysis).
Outcome = Literal["supported", "refuted", "inconclusive", "depends"]
