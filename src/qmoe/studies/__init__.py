"""Study -> trials -> stacks -> executor -> store."""

from typing import TYPE_CHECKING

from qmoe.lazy import lazy

if TYPE_CHECKING:
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

_HOMES = {
    "load_study": "qmoe.studies.files",
    "parse_study": "qmoe.studies.files",
    "RUNGS": "qmoe.studies.ladder",
    "Rung": "qmoe.studies.ladder",
    "ladder_omitted": "qmoe.studies.ladder",
    "ladder_rungs": "qmoe.studies.ladder",
    "with_ladder": "qmoe.studies.ladder",
    "continues": "qmoe.studies.naming",
    "with_free_name": "qmoe.studies.naming",
    "PHASES": "qmoe.studies.presets",
    "load_preset": "qmoe.studies.presets",
    "preset_names": "qmoe.studies.presets",
    "preset_text": "qmoe.studies.presets",
    "refuse_borrowed_name": "qmoe.studies.presets",
    "InProcess": "qmoe.studies.run.executors",
    "LocalProcesses": "qmoe.studies.run.executors",
    "default_workers": "qmoe.studies.run.executors",
    "RunSummary": "qmoe.studies.run.runner",
    "run_studies": "qmoe.studies.run.runner",
    "run_stack": "qmoe.studies.run.stack_run",
    "plan_stacks": "qmoe.studies.run.stacks",
    "Specification": "qmoe.studies.specifications",
    "specifications": "qmoe.studies.specifications",
    "allow_imports": "qmoe.studies.specs.imported",
    "Study": "qmoe.studies.specs.study",
    "Record": "qmoe.studies.store",
    "Store": "qmoe.studies.store",
    "StudyResults": "qmoe.studies.store",
    "Member": "qmoe.studies.trials",
    "TrialSpec": "qmoe.studies.trials",
    "make_trials": "qmoe.studies.trials",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, _HOMES)
