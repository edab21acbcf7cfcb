"""The mixture of experts as a scikit-learn regressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import validate_data

from qmoe.errors import ShapeError
from qmoe.estimators.base import MixtureEstimator, check_same
from qmoe.estimators.given_targets import check_numbers
from qmoe.estimators.plain_options import plain
from qmoe.seeding import Seed
from qmoe.training import SquaredError
from qmoe.training.rows import held_out, weigh

#: Targets of more than this leave the range of float64 when they are summed or predicted.
LARGEST_TARGET = 1e300


class QMoERegressor(MultiOutputMixin, RegressorMixin, MixtureEstimator):
    """A mixture of experts with a quantum or classical router, trained with Adam on squared error.

    Features are scaled as fitted on the training rows, and targets have mean 0 and variance 1 in training, so both may have
    any range. A router of fixed functions, such as the twin, is standardised on the scaled training rows
    (`qmoe.routers.FeatureRouter.standardise`); behind a linear map, which a twin has where features and qubits differ in
    number, functions move and stay raw. `fit` checks the options.

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
        early_stopping: whether to hold out a share of the rows, stop once the loss on them has not improved for more
            than ``n_iter_no_change`` epochs, and keep the weights of the best epoch.
        validation_fraction: share of the rows that early stopping holds out.
        n_iter_no_change: number of epochs without improvement.
        tol: the smallest improvement that counts, of the loss in units of the targets' variance.
        warm_start: whether `fit` continues with the module and the scaling of the last call. The model keeps the options
            that it was built with, and functions stay standardised on the rows of the first call; Adam starts anew.
        verbose: 0 shows nothing; 1 or True a progress bar with the loss and the score of the last epoch, or about ten lines
            where the output is no terminal and no notebook; 2 the mean loss after every epoch, a line each.
        device: where the model trains and predicts, such as ``"cuda"``; None for the CPU.
        balance_loss: factor of `qmoe.moe.balance_loss`, which keeps the router from collapsing onto few experts; 0.01 is
            usual. Training then goes through autograd. ``loss_curve_`` leaves it out.
        **circuit_options: options of the circuit by the names that a grid search uses, such as ``circuit__n_layers``.

    Attributes:
        module_: the trained `MixtureOfExperts`, scaled features to standardised targets.
        scaler_: the fitted scaling of the features.
        target_mean_: ``(O,)`` means of the targets over the training rows.
        target_scale_: ``(O,)`` their standard deviations; 1 for a constant target.
        history_: ``"loss"`` (summed over the batches of the epoch) and ``"running_score"`` (1 minus the mean squared error
            of the rows as they were trained on), a number for each epoch, in units of the targets' variance.
        loss_curve_: mean loss of a batch, for each epoch.
        n_iter_: number of epochs. With ``warm_start`` it and the two above continue those of the last call.
        validation_scores_: 1 minus the loss on the held-out rows after each epoch; None without early stopping. That is R2,
            up to the difference between held-out and training variance.
        best_validation_score_: the highest of them; None without early stopping.
        n_features_in_: number of features F.
        feature_names_in_: their names, where X had names that are all strings.

    Example:
        >>> from sklearn.datasets import make_friedman1
        >>> X, y = make_friedman1(200, n_features=5, random_state=0)
        >>> QMoERegressor(random_state=0).fit(X, y).score(X, y) > 0.8
        True
    """

    target_mean_: np.ndarray
    target_scale_: np.ndarray
    _target_shape: tuple[int, ...]
    _loss = SquaredError()
    _score_name = "running_score"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains on ``X`` ``(N, F)`` and targets ``y``, ``(N,)`` or ``(N, O)``.

        Args:
            X: the features.
            y: the targets.
            sample_weight: ``(N,)`` factors of the rows' losses, of which only the ratios matter; a row of weight 0 is left
                out. None for equal weights.

        Raises:
            ConfigError: for options that are unknown, out of range or do not go together, or, with ``warm_start``, another
                number of features or targets than before.
            ShapeError: for rows that cannot be scaled or encoded.
            TrainingError: when the loss stops being finite.
        """
        warm = self._start()
        check_numbers(y)
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=not warm)
        X, y, weights = weigh(X, y.astype(np.float64), sample_weight, None)
        targets = y.reshape(len(y), -1)
        if warm:
            check_same("targets of the shape (N, *)", self._target_shape, y.shape[1:])
        self._target_shape = y.shape[1:]
        return self._train(X, targets, weights, targets.shape[1], warm)

    def _held_out(self, y: np.ndarray, seed: Seed) -> np.ndarray:
        return held_out(len(y), plain(self.validation_fraction), seed)

    def _targets(self, y: np.ndarray, trained: np.ndarray, weights: np.ndarray | None, warm: bool) -> np.ndarray:
        if not warm:
            rows, shares = y[trained], None if weights is None else weights[trained]
            if (size := float(np.abs(rows).max())) > LARGEST_TARGET:
                raise ShapeError(
                    f"y holds values of the size {size:.3g}, expected at most {LARGEST_TARGET}; rescale y."
                )
            self.target_mean_ = np.average(rows, axis=0, weights=shares)
            offsets = rows - self.target_mean_
            # As shares of the largest: squares of tiny offsets would be 0, and of huge ones infinite.
            largest = np.abs(offsets).max(axis=0)
            ratios = offsets / np.where(largest > 0, largest, 1.0)
            spread = largest * np.sqrt(np.average(ratios**2, axis=0, weights=shares))
            self.target_scale_ = np.where(rows.min(axis=0) < rows.max(axis=0), spread, 1.0)
        return (y - self.target_mean_) / self.target_scale_

    def predict(self, X: Any) -> np.ndarray:
        """Targets of each row of ``X`` ``(N, F)``: ``(N,)`` or ``(N, O)``, as ``y`` was in `fit`."""
        targets = self._outputs(X) * self.target_scale_ + self.target_mean_
        return targets.reshape(len(targets), *self._target_shape)
