"""One self-contained page of what studies showed, with its figures and tables."""

from qmoe.report.building import build_report
from qmoe.report.comparison import HeadlineRow, headline
from qmoe.report.reading import Contents, read_store

__all__ = ["Contents", "HeadlineRow", "build_report", "headline", "read_store"]
