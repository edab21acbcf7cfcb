"""Training whole stacks of models at once."""

from qmoe.training.loop import TrainingConfig, TrainingResult, accuracy, train_stack
from qmoe.training.stack import ModelStack

__all__ = ["ModelStack", "TrainingConfig", "TrainingResult", "accuracy", "train_stack"]
