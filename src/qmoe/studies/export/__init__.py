"""Trials for other programs: pandas frames, and runs of MLflow and TensorBoard, by their own libraries."""

from qmoe.studies.export.event_files import to_tensorboard
from qmoe.studies.export.mlflow_runs import to_mlflow
from qmoe.studies.export.run_facts import RunFacts, facts_of

__all__ = ["RunFacts", "facts_of", "to_mlflow", "to_tensorboard"]
