"""Study -> trials -> runner -> store."""

from qmoe.studies.presets import PHASES, load_preset, preset_names, preset_text, refuse_borrowed_name
from qmoe.studies.running import default_workers, plan_stacks, run_stack, run_studies
from qmoe.studies.spec import Study, load_study, parse_study
from qmoe.studies.store import Record, Store, StudyResults
from qmoe.studies.trials import Member, TrialSpec, make_trials

__all__ = [
    "PHASES",
    "Member",
    "Record",
    "Store",
    "Study",
    "StudyResults",
    "TrialSpec",
    "default_workers",
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
]
