"""Training whole stacks of models at once."""

from qmoe.training.autograd_trainer import accuracy
from qmoe.training.balanced import balanced_accuracy
from qmoe.training.lbfgs import LBFGSConfig, MinimizationResult, minimize_stack
from qmoe.training.loop import TrainingResult, train_stack
from qmoe.training.loss import CrossEntropy, Loss, SquaredError
from qmoe.training.stack import ModelStack
from qmoe.training.trainer import TrainingConfig

__all__ = [
    "CrossEntropy",
    "LBFGSConfig",
    "Loss",
    "MinimizationResult",
    "ModelStack",
    "SquaredError",
    "TrainingConfig",
    "TrainingResult",
    "accuracy",
    "balanced_accuracy",
    "minimize_stack",
    "train_stack",
]
