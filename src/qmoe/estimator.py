"""The mixture of experts as a scikit-learn classifier."""

from __future__ import annotations

import copy
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

from qmoe.circuits import Ansatz, Encoding, Gate, NoiseModel, Readout, as_ansatz, as_encoding, as_noise, as_readout
from qmoe.data import SCALINGS, fit_scaling
from qmoe.engines import Engine, get_engine
from qmoe.errors import ConfigError, TrainingError, unknown
from qmoe.experts import Experts, LinearExperts, MLPExperts, QuantumExperts
from qmoe.layers import LinearHead, check_sizes
from qmoe.moe import MixtureOfExperts
from qmoe.routers import LinearRouter, MLPRouter, QuantumRouter, Router, UniformRouter
from qmoe.seeding import child, torch_generator
from qmoe.training import TrainingConfig, train_stack

_ROUTERS = ("quantum", "linear", "mlp", "uniform")
_EXPERTS = ("linear", "mlp", "quantum")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
#: Qubits of a router by default at most: more features than that go through a trainable linear map. Four is the paper's
#: largest circuit.
MAX_DEFAULT_QUBITS = 4
#: Rows that one evaluation handles at once; bounds its memory.
PREDICTION_CHUNK = 50_000


class QMoEClassifier(ClassifierMixin, BaseEstimator):
    """A mixture of experts with a quantum or classical router, trained with Adam on cross-entropy.

    Features are scaled by what `fit` saw, so they may have any range. Options are checked by `fit`.

    Args:
        router: ``"quantum"``, ``"linear"``, ``"mlp"``, ``"uniform"``, or a `qmoe.routers.Router` for as many features and
            experts, which is copied and trained from the weights it has; the options below that describe a circuit then do
            not apply to it.
        experts: ``"linear"``, ``"mlp"``, or ``"quantum"`` (amplitude encoding in as few qubits as hold the features, with
            ``n_layers``, ``ansatz``, ``noise`` and ``engine`` as below, and a linear layer from the mixture to the classes).
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
        scaling: ``"minmax_pi"`` (each feature to angles from 0 to pi), ``"standard"``, ``"unit_norm"`` or ``"none"``.
        epochs: passes over the training data.
        batch_size: samples a step.
        lr: Adam's learning rate.
        dtype: ``"float32"`` or ``"float64"``, in which the model trains. Predictions are computed in float64 from the
            trained parameters, so that rounding does not make them depend on the other rows of the batch.
        engine: what runs the circuits: an engine, its name, or ``"auto"``.
        random_state: an int for the same result at every call, a `numpy.random.RandomState`, or None for another result
            each time.

    Attributes:
        classes_: ``(C,)`` the labels, sorted.
        module_: the trained `MixtureOfExperts`, scaled features to C logits.
        scaler_: the fitted scaling.
        history_: ``"loss"`` (summed over the batches of the epoch) and ``"running_accuracy"``, a number for each epoch.
        loss_curve_: mean loss of a batch, for each epoch.
        n_iter_: number of epochs.
        n_features_in_: number of features F.
        feature_names_in_: their names, where X had names that are all strings.

    Example:
        >>> from sklearn.datasets import make_moons
        >>> X, y = make_moons(200, noise=0.1, random_state=0)
        >>> QMoEClassifier(random_state=0).fit(X, y).score(X, y) > 0.9
        True
    """

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

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on ``X`` ``(N, F)`` and labels ``y`` ``(N,)`` of any kind, of at least two classes.

        Raises:
            ConfigError: for options that are unknown, out of range or do not go together, or a single class.
            ShapeError: for rows that cannot be scaled or encoded.
            TrainingError: when the loss stops being finite.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ConfigError(f"y holds 1 class ({self.classes_[0]!r}), expected at least two classes.")
        # Checked also where the router does not use them: a misspelt option is a mistake either way.
        as_encoding(self.encoding), as_ansatz(self.ansatz), as_readout(self.readout), as_noise(self.noise)
        get_engine(self.engine)
        config = TrainingConfig(_plain(self.epochs), _plain(self.batch_size), _plain(self.lr))
        self.scaler_ = fit_scaling(_choice("scaling", self.scaling, SCALINGS), X)
        root = _root_seed(self.random_state)
        self.module_ = self._build(X.shape[1], len(self.classes_), torch_generator(child(root, 0)))
        rows = torch.from_numpy(self.scaler_(X)).to(_DTYPES[self.dtype])
        _logits(self.module_, rows)  # names rows that cannot be encoded, which training cannot look at
        target = torch.from_numpy(labels.astype(np.int64))
        result = train_stack([self.module_], rows[None], target[None], config, [child(root, 1)])
        if result.failures:
            raise TrainingError(f"QMoEClassifier did not train: {result.failures[0]}")
        self.history_ = {
            "loss": result.loss[0].tolist(),
            "running_accuracy": result.running_accuracy[0].tolist(),
        }
        n_batches = math.ceil(len(X) / config.batch_size)
        self.loss_curve_ = [loss / n_batches for loss in self.history_["loss"]]
        self.n_iter_ = config.epochs
        return self

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
        return _logits(copy.deepcopy(self.module_).double(), torch.from_numpy(self.scaler_(X))).numpy()

    def _build(self, n_features: int, n_classes: int, generator: torch.Generator) -> MixtureOfExperts:
        dtype = _DTYPES[_choice("dtype", self.dtype, _DTYPES)]
        check_sizes(n_experts=_plain(self.n_experts))
        make: dict[str, Any] = {"generator": generator, "dtype": dtype}
        router = self._router(n_features, make)
        experts = self._experts(n_features, n_classes, make)
        for part in (router, experts):
            if isinstance(part, (QuantumRouter, QuantumExperts)) and part.circuit.encoding.period is None:
                _check_amplitudes(n_features)
        head: nn.Module | None = None
        if isinstance(experts, QuantumExperts):
            head = LinearHead(experts.out_features, n_classes, **make)
        return MixtureOfExperts(router, experts, head, _plain(self.top_k))

    def _router(self, n_features: int, make: dict[str, Any]) -> Router:
        if isinstance(self.router, Router):
            return copy.deepcopy(self.router).to(make["dtype"])
        kind, n_experts = _choice("router", self.router, _ROUTERS), _plain(self.n_experts)
        if kind == "linear":
            return LinearRouter(n_features, n_experts, **make)
        if kind == "mlp":
            return MLPRouter(n_features, n_experts, _plain(self.hidden), **make)
        if kind == "uniform":
            return UniformRouter(n_features, n_experts)
        n_qubits = _plain(self.n_qubits)
        if n_qubits is None and as_encoding(self.encoding).period is not None and n_features > MAX_DEFAULT_QUBITS:
            # The default of the router, one per feature, would double its cost with every feature.
            n_qubits = max(MAX_DEFAULT_QUBITS, math.ceil(math.log2(n_experts)))
        circuit = {"encoding": self.encoding, "readout": self.readout, **self._circuit_options()}
        return QuantumRouter(n_features, n_experts, n_qubits, **circuit, **make)

    def _experts(self, n_features: int, n_classes: int, make: dict[str, Any]) -> Experts:
        kind, n_experts = _choice("experts", self.experts, _EXPERTS), _plain(self.n_experts)
        if kind == "linear":
            return LinearExperts(n_features, n_classes, n_experts, **make)
        if kind == "mlp":
            return MLPExperts(n_features, n_classes, n_experts, _plain(self.hidden), **make)
        return QuantumExperts(n_features, n_experts, **self._circuit_options(), **make)

    def _circuit_options(self) -> dict[str, Any]:
        return {
            "n_layers": _plain(self.n_layers),
            "ansatz": self.ansatz,
            "noise": _plain(self.noise),
            "engine": self.engine,
        }


@torch.no_grad()
def _logits(module: nn.Module, rows: Tensor) -> Tensor:
    return torch.cat([module(part) for part in rows.split(PREDICTION_CHUNK)])


def _plain(value: Any) -> Any:
    """Python's own kind of a number, since a grid search over a NumPy array hands out NumPy's."""
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
