"""One self-contained page of what studies showed, with its figures and tables."""

from qmoe.report.building import build_report
from qmoe.report.comparison import HeadlineRow, headline

__all__ = ["HeadlineRow", "build_report", "headline"]
