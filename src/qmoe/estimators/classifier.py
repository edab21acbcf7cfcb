"""The mixture of experts as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from qmoe.circuits import Circuit
from qmoe.errors import ConfigError
from qmoe.estimators.base import MixtureEstimator, check_same
from qmoe.estimators.circuit_options import CircuitOptions
from qmoe.estimators.given_targets import check_labels
from qmoe.estimators.plain_options import plain
from qmoe.experts import Experts
from qmoe.interop.imported import Imported
from qmoe.routers import Router
from qmoe.seeding import Seed
from qmoe.training import CrossEntropy
from qmoe.training.rows import held_out, weigh


class QMoEClassifier(ClassifierMixin, MixtureEstimator):
    """A mixture of experts with a quantum or classical router, trained with Adam on cross-entropy.

    Features are scaled as fitted on the training rows, so they may have any range. A router of fixed functions, such as the
    twin, is standardised on the scaled training rows (`qmoe.routers.FeatureRouter.standardise`); behind a linear map, which
    a twin has where features and qubits differ in number, functions move and stay raw. `fit` checks the options.

    Args:
        router: a name of `qmoe.routers.ROUTERS`, such as ``"quantum"``, ``"linear"``, ``"mlp"``, ``"uniform"``, ``"twin"``
            (the classical `TwinRouter` of the circuit that ``"quantum"`` would have) or ``"stochastic"`` (a
            `StochasticRouter` of as many layers as the circuit, for up to 6 features); or a `qmoe.routers.Router` for as
            many features and experts, which is copied and trained from what it computes.
        experts: ``"linear"``, ``"mlp"``, or ``"quantum"`` (amplitude encoding in as few qubits as hold the features, with
            the layers, ansatz, noise, shots and engine of ``circuit``); or `qmoe.Experts` for as many features and experts,
            which are copied and trained. Behind quantum experts, and others with another number of outputs, stands a linear
            layer.
        n_experts: number of experts E.
        circuit: of a quantum router or its twin, and as far as said above of quantum experts: a `CircuitOptions`, a dict of
            its options, a `qmoe.Circuit`, what `qmoe.interop` imported, or the name of a published circuit, such as
            ``"iqp"``; None for the paper's. Each option can be set by
            itself: ``circuit__n_layers=2``.
        hidden: width of the hidden layer of an MLP router and of MLP experts.
        top_k: keep the K largest routing weights of each sample; None keeps all.
        scaling: of the features: ``"minmax_pi"`` (each to angles from 0 to pi), ``"minmax_centred"`` (from -pi/2 to pi/2),
            ``"standard"``, ``"unit_norm"`` or ``"none"``. Where features are amplitudes, a row that is scaled to zeros has
            no direction and is encoded as a row of equal features.
        epochs: passes over the training data.
        batch_size: samples per step.
        lr: Adam's learning rate.
        dtype: ``"float64"`` or ``"float32"``, in which the model trains. Predictions are computed in float64 from the
            trained parameters, so that rounding does not make them depend on the other rows of the batch.
        random_state: an int for the same result at every call, a `numpy.random.RandomState`, or None for another result
            each time.
        norm_topk_prob: whether the weights that ``top_k`` keeps are rescaled to sum to 1; None rescales them from
            ``top_k=2`` on, since a single weight rescaled would never train.
        class_weight: None, ``"balanced"``, or a dict from label to weight; multiplied with the ``sample_weight`` of `fit`.
        early_stopping: whether to hold out a share of the rows, stop once the accuracy on them has not improved for more
            than ``n_iter_no_change`` epochs, and keep the weights of the best epoch.
        validation_fraction: share of the rows that early stopping holds out, stratified by class.
        n_iter_no_change: number of epochs without improvement.
        tol: the smallest improvement that counts.
        warm_start: whether `fit` continues with the module and the scaling of the last call. The model keeps the options
            that it was built with, and functions stay standardised on the rows of the first call; Adam starts anew.
        verbose: 0 shows nothing; 1 or True a progress bar with the loss and the score of the last epoch, or about ten lines
            where the output is no terminal and no notebook; 2 the mean loss after every epoch, a line each.
        device: where the model trains and predicts, such as ``"cuda"``; None for the CPU.
        balance_loss: factor of `qmoe.moe.balance_loss`, which keeps the router from collapsing onto few experts; 0.01 is
            usual. Training then goes through autograd. ``loss_curve_`` leaves it out.
        **circuit_options: options of the circuit by the names that a grid search uses, such as ``circuit__n_layers``.

    Attributes:
        classes_: ``(C,)`` the labels, sorted.
        module_: the trained `MixtureOfExperts`, scaled features to C logits.
        scaler_: the fitted scaling.
        history_: ``"loss"`` (summed over the batches of the epoch) and ``"running_accuracy"``, a number for each epoch.
        loss_curve_: mean loss of a batch, for each epoch.
        n_iter_: number of epochs. With ``warm_start`` it and the two above continue those of the last call.
        validation_scores_: accuracy on the held-out rows after each epoch; None without early stopping.
        best_validation_score_: the highest of them; None without early stopping.
        n_features_in_: number of features F.
        feature_names_in_: their names, where X had names that are all strings.

    Example:
        >>> from sklearn.datasets import make_moons
        >>> X, y = make_moons(200, noise=0.1, random_state=0)
        >>> QMoEClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
        True
    """

    classes_: np.ndarray
    _loss = CrossEntropy()
    _score_name = "running_accuracy"

    def __init__(
        self,
        router: str | Router = "quantum",
        experts: str | Experts = "linear",
        n_experts: int = 2,
        circuit: CircuitOptions | Mapping[str, Any] | Circuit | Imported | str | None = None,
        hidden: int = 16,
        top_k: int | None = None,
        scaling: str = "minmax_pi",
        epochs: int = 50,
        batch_size: int = 32,
        lr: float = 0.05,
        dtype: str = "float64",
        random_state: int | np.random.RandomState | None = None,
        norm_topk_prob: bool | None = None,
        class_weight: str | dict[Any, float] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: bool | int = 0,
        device: str | torch.device | None = None,
        balance_loss: float = 0.0,
        **circuit_options: Any,
    ) -> None:
        super().__init__(
            router=router,
            experts=experts,
            n_experts=n_experts,
            circuit=circuit,
            hidden=hidden,
            top_k=top_k,
            scaling=scaling,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            dtype=dtype,
            random_state=random_state,
            norm_topk_prob=norm_topk_prob,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            balance_loss=balance_loss,
            **circuit_options,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains on ``X`` ``(N, F)`` and labels ``y`` ``(N,)`` of any kind, of at least two classes.

        Args:
            X: the features.
            y: the labels.
            sample_weight: ``(N,)`` factors of the rows' losses, of which only the ratios matter; a row of weight 0 is left
                out. None for equal weights.

        Raises:
            ConfigError: for options that are unknown, out of range or do not go together, a single class, or, with
                ``warm_start``, other classes or features than before.
            ShapeError: for rows that cannot be scaled or encoded.
            TrainingError: when the loss stops being finite.
        """
        warm = self._start()
        check_labels(y)
        X, y = validate_data(self, X, y, dtype=np.float64, reset=not warm)
        check_classification_targets(y)
        X, y, weights = weigh(X, y, sample_weight, self.class_weight)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ConfigError(f"y holds 1 class ({classes[0]!r}), expected at least two classes.")
        if warm:
            check_same("the classes", self.classes_.tolist(), classes.tolist())
        self.classes_ = classes
        return self._train(X, labels.astype(np.int64), weights, len(classes), warm)

    def _held_out(self, y: np.ndarray, seed: Seed) -> np.ndarray:
        return held_out(len(y), plain(self.validation_fraction), seed, y)

    def _targets(self, y: np.ndarray, trained: np.ndarray, weights: np.ndarray | None, warm: bool) -> np.ndarray:
        return y

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits ``(N, C)`` of the classes; for two classes ``(N,)``, positive for ``classes_[1]``."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``(N, C)`` of the classes, in the order of ``classes_``."""
        return torch.from_numpy(self._outputs(X)).softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label ``(N,)`` of each row of ``X`` ``(N, F)``."""
        logits = self._outputs(X)
        return self.classes_[logits.argmax(1)]
