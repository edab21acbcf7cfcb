"""Training whole stacks of models at once."""

from qmoe.training.autograd import accuracy
from qmoe.training.loop import TrainingResult, train_stack
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import TrainingConfig

__all__ = ["ModelStack", "TrainingConfig", "TrainingResult", "accuracy", "train_stack"]
