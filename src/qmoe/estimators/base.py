"""What the classifier and the regressor share: options, the training, and what is asked of a trained mixture."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.data import SCALINGS, fit_scaling
from qmoe.data.scaling import Scaler, UnitNorm
from qmoe.errors import ConfigError, TrainingError, check_sizes, did_you_mean
from qmoe.estimators.chosen_parts import PartChoices, encodable
from qmoe.estimators.circuit_options import CircuitOptions, as_circuit_options
from qmoe.estimators.epochs_shown import shown_epochs
from qmoe.estimators.plain_options import choice, plain, root_seed
from qmoe.experts import Experts
from qmoe.interop.imported import Imported
from qmoe.layers import Stackable
from qmoe.moe import MixtureOfExperts
from qmoe.part_spec import Drawn
from qmoe.routers import Router, feature_router
from qmoe.seeding import Seed, child, torch_generator
from qmoe.training import Loss, TrainingConfig, TrainingResult, train_stack
from qmoe.training.rows import usable_device

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
#: Rows that one evaluation handles at once; bounds its memory.
PREDICTION_CHUNK = 50_000
_CIRCUIT = "circuit__"


class MixtureEstimator(BaseEstimator, ABC):
    """A mixture of experts that trains on tables; arguments and attributes are those of its two kinds."""

    module_: MixtureOfExperts
    scaler_: Scaler
    history_: dict[str, list[float]]
    loss_curve_: list[float]
    n_iter_: int
    #: What is minimised, and what its score is called in the history.
    _loss: ClassVar[Loss]
    _score_name: ClassVar[str]
    __signature__: ClassVar[inspect.Signature]

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
        self.router = router
        self.experts = experts
        self.n_experts = n_experts
        self.circuit = circuit
        self.hidden = hidden
        self.top_k = top_k
        self.scaling = scaling
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.dtype = dtype
        self.random_state = random_state
        self.norm_topk_prob = norm_topk_prob
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.device = device
        self.balance_loss = balance_loss
        if circuit_options:
            self._set_circuit(circuit_options)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Options by name, as scikit-learn lists them; those of the circuit are options of one of these.
        signature = inspect.signature(cls.__init__)
        own = [p for p in signature.parameters.values() if p.name != "self" and p.kind is not p.VAR_KEYWORD]
        cls.__signature__ = signature.replace(parameters=own, return_annotation=signature.empty)

    def _set_circuit(self, options: dict[str, Any]) -> None:
        """Keyword arguments such as ``circuit__n_layers=2``, which a grid search has written down."""
        known, kind = CircuitOptions._get_param_names(), type(self).__name__
        for name in options:
            if name in known:
                raise TypeError(f"{kind} takes {name} as an option of its circuit; write {_CIRCUIT}{name}=...")
            if not name.startswith(_CIRCUIT) or name.removeprefix(_CIRCUIT) not in known:
                names = (
                    [f"{_CIRCUIT}{option}" for option in known]
                    if name.startswith(_CIRCUIT)
                    else self._get_param_names()
                )
                raise TypeError(f"{kind} got an unexpected keyword argument {name!r}{did_you_mean(name, names)}")
        self.circuit = copy.copy(as_circuit_options(self.circuit))
        for name, value in options.items():
            setattr(self.circuit, name.removeprefix(_CIRCUIT), value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options by name; those of the circuit as ``circuit__n_layers`` and so on, also where it is None or a dict.

        Args:
            deep: whether the circuit's are among them.
        """
        found = super().get_params(deep)
        if deep and (self.circuit is None or isinstance(self.circuit, (Mapping, Circuit, Imported, str))):
            options = as_circuit_options(self.circuit).get_params(deep=False)
            found |= {f"{_CIRCUIT}{name}": value for name, value in options.items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Sets options by name; ``circuit__n_layers`` is one of the circuit, whatever the circuit was given as."""
        if any(name.startswith(_CIRCUIT) for name in params):
            # A copy: the object may be that of other estimators too.
            params["circuit"] = copy.copy(as_circuit_options(params.get("circuit", self.circuit)))
        return super().set_params(**params)

    def route(self, X: Any) -> np.ndarray:
        """Routing weights ``(N, E)`` of the rows of ``X`` ``(N, F)``, as the mixture uses them: 0 for experts not chosen."""
        double, rows = self._in_double(X)
        return self._evaluated(double, lambda part: double.routed(part)[1].weights, rows)

    @abstractmethod
    def _held_out(self, y: np.ndarray, seed: Seed) -> np.ndarray:
        """``(N,)``: which rows early stopping sets aside."""

    @abstractmethod
    def _targets(self, y: np.ndarray, trained: np.ndarray, weights: np.ndarray | None, warm: bool) -> np.ndarray:
        """``y`` as the loss takes it, with what ``trained`` ``(N,)`` rows say of it."""

    def _start(self) -> bool:
        """Whether `fit` goes on with the module of the last call; else nothing is fitted until it has trained another."""
        warm = bool(self.warm_start) and hasattr(self, "module_")
        if not warm:
            self.__dict__.pop("module_", None)
        return warm

    def _train(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None, n_outputs: int, warm: bool) -> Self:
        """Trains on rows that are checked and weighed."""
        circuit = as_circuit_options(self.circuit)
        circuit.check()  # also where nothing uses it: a misspelt option is a mistake either way
        dtype, device = _DTYPES[choice("dtype", self.dtype, _DTYPES)], usable_device(self.device)
        scaling, config = choice("scaling", self.scaling, SCALINGS), self._config()
        root = root_seed(self.random_state)
        held = np.zeros(len(X), dtype=bool) if config.patience is None else self._held_out(y, child(root, 2))
        counts = None if weights is None else weights[~held]
        targets = self._targets(y, ~held, weights, warm)
        if warm:
            module = copy.deepcopy(self.module_)  # which stays as it is if this training fails
        else:
            self.scaler_ = fit_scaling(scaling, _with_directions(scaling, X[~held])[0], weights=counts)
            chosen = (self.router, self.experts, self.n_experts, circuit, self.hidden, self.top_k, self.norm_topk_prob)
            drawn: Drawn = {"generator": torch_generator(child(root, 0)), "dtype": dtype}
            module = PartChoices(*chosen).build(X.shape[1], n_outputs, drawn)
        module.to(device, dtype).train()
        rows = torch.from_numpy(self._scaled(X, module)).to(device, dtype)
        with torch.no_grad():
            for part in rows.split(PREDICTION_CHUNK):
                module(part)  # names rows that cannot be encoded, which training cannot look at
        apart = torch.from_numpy(held).to(device)
        factors = None if counts is None else torch.from_numpy(counts / counts.mean()).to(device, dtype)
        gate = feature_router(module.router)
        if gate is not None and not warm and not gate.functions_train:
            gate.standardise(rows[~apart], keep=isinstance(self.router, Router), weights=factors)
        target = torch.from_numpy(targets).to(device, dtype if targets.dtype.kind == "f" else torch.int64)
        n_batches = math.ceil(int((~held).sum()) / config.batch_size)
        # Of mean 1, so that the learning rate means what it does without them.
        train = functools.partial(
            train_stack, [module], rows[None, ~apart], target[None, ~apart], config, [child(root, 1)], rows[None, apart],
            target[None, apart], sample_weight=None if factors is None else factors[None],
        )  # fmt: skip
        score = f"{'validation ' if held.any() else ''}{self._score_name.removeprefix('running_')}"
        shown = shown_epochs(self.verbose, config.epochs, n_batches, score)
        if shown is None:
            result = train()
        else:
            with shown:
                result = train(on_epoch=shown)
        if result.failures:
            raise TrainingError(f"{type(self).__name__} did not train: {result.failures[0]}")
        if warm:  # it stays the same object
            self.module_.to(device, dtype).load_state_dict(module.state_dict())
        else:
            self.module_ = module.eval()
        self._remember(result, n_batches, warm)
        return self

    def _config(self) -> TrainingConfig:
        more: dict[str, Any] = {"loss": self._loss, "balance_loss": plain(self.balance_loss)}
        if not isinstance(plain(self.early_stopping), bool | int):
            raise ConfigError(f"early_stopping is {self.early_stopping!r}, expected True or False.")
        if self.early_stopping:
            tol = plain(self.tol)
            check_sizes(n_iter_no_change=plain(self.n_iter_no_change))
            if isinstance(tol, bool) or not isinstance(tol, int | float) or not 0 <= tol < 1:
                raise ConfigError(f"tol is {self.tol!r}, expected a number from 0 to 1, such as 1e-4.")
            more |= {"patience": plain(self.n_iter_no_change), "tolerance": tol}
        return TrainingConfig(plain(self.epochs), plain(self.batch_size), plain(self.lr), **more)

    def _remember(self, result: TrainingResult, n_batches: int, warm: bool) -> None:
        n = int(result.n_epochs[0])
        new = {"loss": result.loss[0, :n].tolist(), self._score_name: result.running_accuracy[0, :n].tolist()}
        before = self.history_ if warm else {name: [] for name in new}
        self.history_ = {name: before[name] + values for name, values in new.items()}
        self.loss_curve_ = (self.loss_curve_ if warm else []) + [loss / n_batches for loss in new["loss"]]
        self.n_iter_ = n + (self.n_iter_ if warm else 0)
        scores = result.test_accuracy[0, :n].tolist() if result.best_epoch is not None else None
        self.validation_scores_ = scores
        self.best_validation_score_ = None if scores is None else max(scores)

    def _scaled(self, X: np.ndarray, module: MixtureOfExperts) -> np.ndarray:
        """Rows as the module takes them."""
        rows, zero = _with_directions(self.scaler_.name, X)
        scaled = self.scaler_(rows)
        scaled[zero] = 0.0
        return encodable(module, scaled)

    def _outputs(self, X: Any) -> np.ndarray:
        """Outputs ``(N, C)`` of the module."""
        double, rows = self._in_double(X)
        return self._evaluated(double, double, rows)

    def _in_double(self, X: Any) -> tuple[MixtureOfExperts, Tensor]:
        """The module in float64, so that rounding does not make a row depend on others of its batch, and rows for it."""
        check_is_fitted(self, "module_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        double = copy.deepcopy(self.module_).double().eval()
        device = next((p.device for p in double.parameters()), torch.device("cpu"))
        return double, torch.from_numpy(self._scaled(X, double)).to(device)

    @torch.no_grad()
    def _evaluated(self, double: MixtureOfExperts, function: Any, rows: Tensor) -> np.ndarray:
        found = torch.cat([function(part) for part in rows.split(PREDICTION_CHUNK)]).cpu().numpy()
        for own, copied in zip(self.module_.modules(), double.modules(), strict=True):
            if isinstance(own, Stackable) and isinstance(copied, Stackable) and copied.warned_of_range:
                own.warned_of_range = True  # once for each model, not for each call
        return found


def _with_directions(scaling: str, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that the scaling can take, and which ``(N,)`` of them were zeros that it could not: they stay zeros."""
    zero = (X == 0).all(axis=1) if scaling == UnitNorm.name else np.zeros(len(X), dtype=bool)
    return (np.where(zero[:, None], 1.0, X) if zero.any() else X), zero


def check_same(what: str, known: Any, found: Any) -> None:
    """Raises `qmoe.ConfigError` where a warm start gets something else than before."""
    if not np.array_equal(known, found):
        raise ConfigError(
            f"warm_start goes on with a module for {what} {known}, but y holds {found}; use warm_start=False for other ones."
        )
