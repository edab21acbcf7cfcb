"""Study -> trials -> stacks -> executor -> store."""

from qmoe.studies.files import load_study, parse_study
from qmoe.studies.ladder import RUNGS, Rung, ladder_omitted, ladder_rungs, with_ladder
from qmoe.studies.naming import continues, with_free_name
from qmoe.studies.presets import PHASES, load_preset, preset_names, preset_text, refuse_borrowed_name
from qmoe.studies.run.executors import InProcess, LocalProcesses, default_workers
from qmoe.studies.run.runner import RunSummary, run_studies
from qmoe.studies.run.stack_run import run_stack
from qmoe.studies.run.stacks import plan_stacks
from qmoe.studies.specifications import Specification, specifications
from qmoe.studies.specs.imported import allow_imports
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Record, Store, StudyResults
from qmoe.studies.trials import Member, TrialSpec, make_trials

__all__ = [
    "PHASES",
    "RUNGS",
    "InProcess",
    "LocalProcesses",
    "Member",
    "Record",
    "RunSummary",
    "Rung",
    "Specification",
    "Store",
    "Study",
    "StudyResults",
    "TrialSpec",
    "allow_imports",
    "continues",
    "default_workers",
    "ladder_omitted",
    "ladder_rungs",
    "load_preset",
    "load_study",
    "make_trials",
    "parse_study",
    "plan_stacks",
    "preset_names",
    "preset_text",
    "refuse_borrowed_name",
    "run_stack",
    "run_studies",
    "specifications",
    "with_free_name",
    "with_ladder",
]
