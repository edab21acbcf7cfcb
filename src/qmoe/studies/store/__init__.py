"""Results in one SQLite file: its tables, a row for each trial, and what is read of a study."""

from qmoe.studies.store.database import Store
from qmoe.studies.store.merging import MergeSummary, merge_stores
from qmoe.studies.store.results import SpecificationResults, StudyResults
from qmoe.studies.store.status import StoreStatus, status_of
from qmoe.studies.store.trial_rows import Execution, Failure, Record

__all__ = [
    "Execution", "Failure", "MergeSummary", "Record", "SpecificationResults", "Store", "StoreStatus", "StudyResults",
    "merge_stores", "status_of",
]  # fmt: skip
