"""The mixture of experts as a scikit-learn classifier."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import numbers
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from qmoe.circuits import (
    Ansatz,
    CircuitSpec,
    Encoding,
    Gate,
    NoiseModel,
    Readout,
    as_ansatz,
    as_encoding,
    as_noise,
    as_readout,
)
from qmoe.data import SCALINGS, fit_scaling
from qmoe.engines import Engine, get_engine
from qmoe.engines.shots import as_shots
from qmoe.errors import ConfigError, TrainingError, check_sizes, unknown
from qmoe.experts import EXPERTS, Experts, QuantumExperts
from qmoe.layers import Linear, Stackable
from qmoe.moe import MixtureOfExperts
from qmoe.part_spec import PartSpec
from qmoe.routers import ROUTERS, QuantumRouter, Router, TwinRouter, feature_router
from qmoe.seeding import child, torch_generator
from qmoe.training import TrainingConfig, TrainingResult, train_stack
from qmoe.training.rows import held_out, usable_device, weigh

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
#: Qubits of a router by default at most: more features than that go through a trainable linear map. Four is the paper's
#: largest circuit.
MAX_DEFAULT_QUBITS = 4
#: Rows that one evaluation handles at once; bounds its memory.
PREDICTION_CHUNK = 50_000


class QMoEClassifier(ClassifierMixin, BaseEstimator):
    """A mixture of experts with a quantum or classical router, trained with Adam on cross-entropy.

    Features are scaled as fitted on the training rows, so they may have any range. A router of fixed functions, such as the
    twin, is standardised on the scaled training rows (`qmoe.routers.FeatureRouter.standardise`). `fit` checks the options.

    Args:
        router: a name of `qmoe.routers.ROUTERS`, such as ``"quantum"``, ``"linear"``, ``"mlp"``, ``"uniform"``, ``"twin"``
            (the classical `TwinRouter` of the circuit that ``"quantum"`` would have with the same options) or
            ``"stochastic"`` (a `StochasticRouter` of ``n_layers``, for up to 6 features); or a `qmoe.routers.Router` for as
            many features and experts, which is copied and trained from what it computes, and to which the options below
            that describe a circuit do not apply.
        experts: ``"linear"``, ``"mlp"``, or ``"quantum"`` (amplitude encoding in as few qubits as hold the features, with
            ``n_layers``, ``ansatz``, ``noise``, ``shots``, ``engine`` as below, and a linear layer from the mixture to the
            classes).
        n_experts: number of experts E.
        n_qubits: number of qubits Q of a quantum router. With angle encoding one per feature by default, but no more than 4;
            where it is not the number of features, a trainable linear map goes in front. With amplitude encoding, as few as
            hold the features.
        n_layers: number of trainable layers L.
        encoding: of a quantum router, ``"angle"``, ``"amplitude"`` or an `Encoding`.
        ansatz: an `Ansatz`, its name, or a list of `Gate` that makes up one layer.
        readout: of a quantum router, ``"expval"`` or ``"born"``.
        noise: a `NoiseModel`, a depolarizing probability, or None.
        hidden: width of the hidden layer of an MLP router and of MLP experts.
        top_k: keep the K largest routing weights of each sample; None keeps all.
        scaling: ``"minmax_pi"`` (each feature to angles from 0 to pi), ``"minmax_centred"`` (from -pi/2 to pi/2),
            ``"standard"``, ``"unit_norm"`` or ``"none"``.
        epochs: passes over the training data.
        batch_size: samples per step.
        lr: Adam's learning rate.
        dtype: ``"float32"`` or ``"float64"``, in which the model trains. Predictions are computed in float64 from the
            trained parameters, so that rounding does not make them depend on the other rows of the batch.
        engine: what runs the circuits: an engine, its name, or ``"auto"``.
        random_state: an int for the same result at every call, a `numpy.random.RandomState`, or None for another result
            each time.
        norm_topk_prob: whether the weights that ``top_k`` keeps are rescaled to sum to 1; None rescales them from
            ``top_k=2`` on, since a single weight rescaled would never train.
        class_weight: None, ``"balanced"``, or a dict from label to weight; multiplied with the ``sample_weight`` of `fit`.
        early_stopping: whether to hold out a share of the rows, stop once the accuracy on them has not improved for more
            than ``n_iter_no_change`` epochs, and keep the weights of the best epoch.
        validation_fraction: share of the rows that early stopping holds out, stratified by class.
        n_iter_no_change: number of epochs without improvement.
        tol: the smallest rise in accuracy that counts as an improvement.
        warm_start: whether `fit` continues with the module and the scaling of the last call. The model keeps the options
            that it was built with, and functions stay standardised on the rows of the first call; Adam starts anew.
        verbose: whether to print the mean loss after every epoch.
        device: where the model trains and predicts, such as ``"cuda"``; None for the CPU. Without sample weights and on the
            CPU, whole epochs run as machine code.
        shots: samples of each circuit of a quantum router and of quantum experts, in training (by the parameter-shift rule)
            and in predictions; None for exact read-outs. Predictions of the same rows repeat: they draw the same numbers.

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
    history_: dict[str, list[float]]
    loss_curve_: list[float]
    n_iter_: int

    def __init__(
        self,
        router: str | Router = "quantum",
        experts: str = "linear",
        n_experts: int = 2,
        n_qubits: int | None = None,
        n_layers: int = 3,
        encoding: str | Encoding = "angle",
        ansatz: str | Ansatz | Iterable[Gate] = "strongly_entangling",
        readout: str | Readout = "expval",
        noise: float | NoiseModel | None = None,
        hidden: int = 16,
        top_k: int | None = None,
        scaling: str = "minmax_pi",
        epochs: int = 50,
        batch_size: int = 32,
        lr: float = 0.05,
        dtype: str = "float32",
        engine: str | Engine = "auto",
        random_state: int | np.random.RandomState | None = None,
        norm_topk_prob: bool | None = None,
        class_weight: str | dict[Any, float] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: bool = False,
        device: str | torch.device | None = None,
        shots: int | None = None,
    ) -> None:
        self.router = router
        self.experts = experts
        self.n_experts = n_experts
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.encoding = encoding
        self.ansatz = ansatz
        self.readout = readout
        self.noise = noise
        self.hidden = hidden
        self.top_k = top_k
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.dtype = dtype
        self.engine = engine
        self.random_state = random_state
        self.norm_topk_prob = norm_topk_prob
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.device = device
        self.shots = shots

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
        warm = bool(self.warm_start) and hasattr(self, "module_")
        X, y = validate_data(self, X, y, dtype=np.float64, reset=not warm)
        check_classification_targets(y)
        X, y, weights = weigh(X, y, sample_weight, self.class_weight)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ConfigError(f"y holds 1 class ({classes[0]!r}), expected at least two classes.")
        # Checked also where the router does not use them: a misspelt option is a mistake either way.
        as_encoding(self.encoding), as_ansatz(self.ansatz), as_readout(self.readout), as_noise(self.noise)
        get_engine(self.engine), as_shots(_plain(self.shots))
        dtype, device = _DTYPES[_choice("dtype", self.dtype, _DTYPES)], usable_device(self.device)
        config = self._config()
        root = _root_seed(self.random_state)
        if config.patience is None:
            held = np.zeros(len(X), dtype=bool)
        else:
            held = held_out(labels, _plain(self.validation_fraction), child(root, 2))
        if warm:
            _check_same_classes(self.classes_, classes)
        else:
            self.scaler_ = fit_scaling(_choice("scaling", self.scaling, SCALINGS), X[~held])
            self.module_ = self._build(X.shape[1], len(classes), torch_generator(child(root, 0)))
        self.classes_ = classes
        self.module_.to(device, dtype)
        rows = torch.from_numpy(self.scaler_(X)).to(device, dtype)
        _logits(self.module_, rows)  # names rows that cannot be encoded, which training cannot look at
        gate = feature_router(self.module_.router)
        if gate is not None and not warm:
            gate.standardise(rows[torch.from_numpy(~held).to(device)], keep=isinstance(self.router, Router))
        target = torch.from_numpy(labels.astype(np.int64)).to(device)
        n_batches = math.ceil(int((~held).sum()) / config.batch_size)
        apart = torch.from_numpy(held).to(device)
        result = train_stack(
            [self.module_],
            rows[None, ~apart],
            target[None, ~apart],
            config,
            [child(root, 1)],
            rows[None, apart],
            target[None, apart],
            sample_weight=None if weights is None else _factors(weights[~held], rows),
            on_epoch=functools.partial(_print_loss, n_batches) if self.verbose else None,
        )
        if result.failures:
            raise TrainingError(f"QMoEClassifier did not train: {result.failures[0]}")
        self._remember(result, n_batches, warm)
        return self

    def _config(self) -> TrainingConfig:
        stops: dict[str, Any] = {}
        if self.early_stopping:
            check_sizes(n_iter_no_change=_plain(self.n_iter_no_change))
            stops = {"patience": _plain(self.n_iter_no_change), "tolerance": _plain(self.tol)}
        return TrainingConfig(_plain(self.epochs), _plain(self.batch_size), _plain(self.lr), **stops)

    def _remember(self, result: TrainingResult, n_batches: int, warm: bool) -> None:
        n = int(result.n_epochs[0])
        before = self.history_ if warm else {"loss": [], "running_accuracy": []}
        new = {"loss": result.loss[0, :n].tolist(), "running_accuracy": result.running_accuracy[0, :n].tolist()}
        self.history_ = {name: before[name] + values for name, values in new.items()}
        self.loss_curve_ = (self.loss_curve_ if warm else []) + [loss / n_batches for loss in new["loss"]]
        self.n_iter_ = n + (self.n_iter_ if warm else 0)
        scores = result.test_accuracy[0, :n].tolist() if result.best_epoch is not None else None
        self.validation_scores_ = scores
        self.best_validation_score_ = None if scores is None else max(scores)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits ``(N, C)`` of the classes; for two classes ``(N,)``, positive for ``classes_[1]``."""
        logits = self._scores(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities ``(N, C)`` of the classes, in the order of ``classes_``."""
        return torch.from_numpy(self._scores(X)).softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label ``(N,)`` of each row of ``X`` ``(N, F)``."""
        scores = self._scores(X)
        return self.classes_[scores.argmax(1)]

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        double = copy.deepcopy(self.module_).double()
        device = next((p.device for p in double.parameters()), torch.device("cpu"))
        scores = _logits(double, torch.from_numpy(self.scaler_(X)).to(device)).cpu().numpy()
        for own, copied in zip(self.module_.modules(), double.modules(), strict=True):
            if isinstance(own, Stackable) and isinstance(copied, Stackable) and copied.warned_of_range:
                own.warned_of_range = True  # once for each model, not for each call
        return scores

    def _build(self, n_features: int, n_classes: int, generator: torch.Generator) -> MixtureOfExperts:
        check_sizes(n_experts=_plain(self.n_experts))
        make: dict[str, Any] = {"generator": generator, "dtype": _DTYPES[self.dtype]}
        router = self._router(n_features, make)
        experts = self._experts(n_features, n_classes, make)
        for part in (router, experts):
            if isinstance(part, (QuantumRouter, QuantumExperts)) and part.circuit.prepares:
                _check_amplitudes(n_features)
        head: nn.Module | None = None
        if isinstance(experts, QuantumExperts):
            head = Linear(experts.out_features, n_classes, **make)
        return MixtureOfExperts(router, experts, head, _plain(self.top_k), _plain(self.norm_topk_prob))

    def _router(self, n_features: int, make: dict[str, Any]) -> Router:
        if isinstance(self.router, Router):
            return copy.deepcopy(self.router).to(make["dtype"])
        kind, n_experts = _choice("router", self.router, ROUTERS), _plain(self.n_experts)
        spec = ROUTERS[kind]
        if not issubclass(spec, CircuitSpec):
            return spec(**self._options_of(spec)).build(n_features, n_experts, **make)
        n_qubits = _plain(self.n_qubits)
        if n_qubits is None and as_encoding(self.encoding).period is not None and n_features > MAX_DEFAULT_QUBITS:
            # The default of the router, one per feature, would double its cost with every feature.
            n_qubits = max(MAX_DEFAULT_QUBITS, math.ceil(math.log2(n_experts)))
        circuit = {"encoding": self.encoding, "readout": self.readout, **self._circuit_options()}
        if kind == "twin":
            # Only its description counts; a generator of its own leaves the draws of other parts as they are.
            described = QuantumRouter(n_features, n_experts, n_qubits=n_qubits, **circuit, generator=torch.Generator())
            return TwinRouter(described.circuit, n_experts, n_features, **make)
        return QuantumRouter(n_features, n_experts, n_qubits=n_qubits, **circuit, **make)

    def _experts(self, n_features: int, n_classes: int, make: dict[str, Any]) -> Experts:
        kind, n_experts = _choice("experts", self.experts, EXPERTS), _plain(self.n_experts)
        spec = EXPERTS[kind]
        if not issubclass(spec, CircuitSpec):
            return spec(**self._options_of(spec)).build(n_features, n_classes, n_experts, **make)
        return QuantumExperts(n_features, n_experts, **self._circuit_options(), **make)

    def _options_of(self, spec: type[PartSpec]) -> dict[str, Any]:
        """Those of the estimator's options that a router or experts take; their others keep their defaults."""
        known = {field.name for field in dataclasses.fields(spec)}
        return {name: _plain(getattr(self, name)) for name in ("hidden", "n_layers") if name in known}

    def _circuit_options(self) -> dict[str, Any]:
        return {
            "n_layers": _plain(self.n_layers),
            "ansatz": self.ansatz,
            "noise": _plain(self.noise),
            "engine": self.engine,
            "shots": _plain(self.shots),
        }


def _factors(weights: np.ndarray, rows: Tensor) -> Tensor:
    """``(1, N)`` weights whose mean is 1, so that the learning rate means what it does without them."""
    return torch.from_numpy(weights / weights.mean())[None].to(rows.device, rows.dtype)


def _check_same_classes(known: np.ndarray, found: np.ndarray) -> None:
    if not np.array_equal(known, found):
        raise ConfigError(
            f"warm_start goes on with a module for the classes {known.tolist()}, but y holds {found.tolist()}; use "
            "warm_start=False for other classes."
        )


def _print_loss(n_batches: int, epoch: int, losses: np.ndarray, accuracies: np.ndarray) -> None:
    del accuracies
    print(f"Epoch {epoch}, loss = {losses[0] / n_batches:.8f}")  # noqa: T201  # what verbose asks for


@torch.no_grad()
def _logits(module: nn.Module, rows: Tensor) -> Tensor:
    return torch.cat([module(part) for part in rows.split(PREDICTION_CHUNK)])


def _plain(value: Any) -> Any:
    """Python's own kind of a number, since a grid search over a NumPy array hands out NumPy's."""
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _check_amplitudes(n_features: int) -> None:
    if n_features == 1:
        raise ConfigError(
            "Amplitude encoding of 1 feature(s) gives the same state for every row; use encoding='angle' for the router, "
            "experts='linear' or 'mlp'."
        )


def _choice(kind: str, name: Any, known: Iterable[str]) -> str:
    known = tuple(known)
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, name, known)
    return name


def _root_seed(random_state: Any) -> np.random.SeedSequence:
    if random_state is None:
        return np.random.SeedSequence()  # fresh entropy; numpy's global generator is left alone
    words = check_random_state(random_state).randint(0, 2**32, size=4, dtype=np.uint32)
    return np.random.SeedSequence(words.tolist())
