"""One self-contained page of what studies showed, with its verdicts, figures and tables."""

from qmoe.report.build import build_report
from qmoe.report.findings.contents import Contents, read_store
from qmoe.report.findings.headline import HeadlineRow, headline
from qmoe.report.findings.judged import Judged, View, effect_words, judge_all, telling
from qmoe.report.tables import outcome_words

__all__ = [
    "Contents",
    "HeadlineRow",
    "Judged",
    "View",
    "build_report",
    "effect_words",
    "headline",
    "judge_all",
    "outcome_words",
    "read_store",
    "telling",
]
