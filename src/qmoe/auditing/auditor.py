"""The audit of a layer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real

from torch import Tensor, nn

from qmoe.auditing.audit_claims import MAIN, as_begun, audit_claims, verdicts_on
from qmoe.auditing.audited import AuditResult
from qmoe.auditing.experiment import Experiment, initialisations, splits
from qmoe.auditing.first_weights import FirstWeights, Models, Source
from qmoe.auditing.fitting import Fit, Recipe
from qmoe.auditing.location import layer_at, watch
from qmoe.auditing.objective import Loss, TaskName, as_tensor, objective_for
from qmoe.auditing.replacements import arms_for
from qmoe.claims import Universe
from qmoe.errors import ConfigError, ShapeError, check_sizes
from qmoe.seeding import seed_sequence
from qmoe.statistics.conventions import MARGIN

#: How models are trained, and rows held out, unless something else is asked for.
LR, EPOCHS, BATCH_SIZE, TEST_SHARE = 0.03, 60, 32, 0.3
#: Rows that the model is tried on before anything is trained.
_TRIED = 256


def audit(
    model: Source,
    path: str,
    X: object,
    y: object,
    *,
    task: TaskName = "auto",
    loss: Loss | None = None,
    fit: Fit | Mapping[str, Fit] | None = None,
    lr: float | Sequence[float] = LR,
    epochs: int = EPOCHS,
    batch_size: int = BATCH_SIZE,
    seeds: int = 20,
    test_share: float = TEST_SHARE,
    test: tuple[object, object] | None = None,
    arms: Iterable[str] | None = None,
    margin: float = MARGIN,
    first_weights: FirstWeights = "drawn",
    seed: int = 0,
    name: str = "your-data",
    on_progress: Callable[[int, int], None] | None = None,
) -> AuditResult:
    """Finds out whether a layer of a model does anything, and whether a circuit is needed for it.

    The layer is replaced, everything is retrained on several splits of the data, and the scores on held-out rows are
    compared. What stands in for the layer: a trained constant; its own outputs given to the wrong samples; itself with
    frozen parameters; an MLP of equal size. Of a circuit that qmoe knows also: its classical twin, the circuit without
    gates on two qubits, and dephased. All arms have the same splits, the same batches, and outside of the layer the same
    first weights. The verdict is that of the judge of `qmoe.claims`, with its corrections and caveats.

    Args:
        model: a torch model, of which every run trains a copy; or a function without arguments that builds one. It is
            called with rows of X, and returns ``(B, C)`` logits, ``(B,)`` or ``(B, 1)`` logits of class 1, or numbers of
            the shape of y.
        path: dotted path of the layer in the model, as ``model.get_submodule`` takes it: ``"1"``, ``"body.circuit"``.
        X: ``(N, ...)`` rows, a tensor or an array. Floats are given the dtype of the model's parameters.
        y: ``(N,)`` classes from 0 to C - 1, or ``(N,)`` or ``(N, O)`` numbers.
        task: ``"auto"`` (whole numbers are classes), ``"classification"`` or ``"regression"``.
        loss: mean loss of a batch from outputs and targets; None for cross-entropy or the mean squared error.
        fit: your own loop, ``fit(model, X_train, y_train, seed)``, which trains the model in place or returns another; in
            place of Adam with ``lr``, ``epochs`` and ``batch_size``. Several by name make a multiverse.
        lr: learning rate of Adam; several make a multiverse: the verdict must hold over them, the first counts by itself.
        epochs: passes over the training rows.
        batch_size: rows of a step.
        seeds: splits of the rows, each with first weights of its own. The judge decides nothing on fewer than 6.
        test_share: share of the rows that is held out.
        test: held-out rows and targets, to keep instead of splitting X; then only first weights and batches differ.
        arms: names of `qmoe.auditing.ARMS`; None for all that apply. ``"base"`` and ``"mean"`` are always among them.
        margin: smallest difference of accuracies (or of R²) that matters.
        first_weights: ``"drawn"``: each run has first weights of its own. Modules of a model draw theirs by
            ``reset_parameters``, layers of PennyLane and Qiskit as those do by default; what a function builds has drawn
            its own. ``"given"``: all runs begin with the weights that ``model`` gives, such as trained ones.
        seed: of all that is random; torch's own generators are left as they were.
        name: what sentences call the data: lower-case letters, digits, ``-``, ``_`` and ``.``.
        on_progress: called with the number of models that are trained, and of all.

    Returns:
        The verdict with scores, caveats and what was left out.

    Raises:
        ConfigError: for a path that is not there, options out of range, or a model that does not go with X and y.
        ShapeError: for rows and targets that do not go together.

    Example:
        >>> import torch, qmoe
        >>> from qmoe.auditing import audit
        >>> X = torch.rand(80, 2, generator=torch.Generator().manual_seed(0))
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 2))
        >>> audit(model, "1", X, (X.sum(-1) > 1).long(), seeds=6, epochs=5).arms
        ('base', 'mean', 'permuted')
    """
    check_sizes(epochs=epochs, batch_size=batch_size, seeds=seeds)
    _check_numbers(test_share, margin)
    if test is not None and test_share != TEST_SHARE:
        raise ConfigError("test was given, and so test_share decides nothing; leave it out.")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{,59}", name):
        raise ConfigError(f"name is {name!r}, expected up to 60 of a-z, 0-9, '-', '_' and '.', such as 'my-data'.")
    recipes, models = _recipes(lr, epochs, batch_size, fit), Models(model, path, first_weights)
    posed = _posed(models, _tables((X, y), test), seeds, test_share, seed, name, task, loss, arms)
    return _result(*posed, posed[0].run(recipes, on_progress), margin)


def _tables(data: tuple[object, object], test: tuple[object, object] | None) -> list[tuple[Tensor, Tensor]]:
    """Rows and targets, then held-out ones where they are given."""
    named = [("", data)] if test is None else [("", data), ("test ", test)]
    found = [(as_tensor(f"{what}X", X), as_tensor(f"{what}y", y)) for what, (X, y) in named]
    for (what, _), (rows, targets) in zip(named, found, strict=True):
        if len(rows) != len(targets):
            raise ShapeError(
                f"{what}X has {len(rows)} rows and {what}y {len(targets)}, expected as many; give a target for each row."
            )
    return found


def _posed(
    models: Models,
    tables: list[tuple[Tensor, Tensor]],
    seeds: int,
    test_share: float,
    seed: int,
    name: str,
    task: TaskName,
    loss: Loss | None,
    arms: Iterable[str] | None,
) -> tuple[Experiment, nn.Module, dict[str, str]]:
    """What is to be trained, the layer as it is in the first draw, and why arms are left out."""
    root, path = seed_sequence(seed), models.path
    first = models.fresh(0)
    layer = layer_at(first, path)
    xs = [_like_model(rows, first) for rows, _ in tables]
    seen, out = watch(first, path, xs[0][:_TRIED])
    fitted = [objective_for(task, loss, out, targets) for _, targets in tables]
    objective = fitted[0][0]
    data = [(x, y.to(x.device)) for x, (_, y) in zip(xs, fitted, strict=True)]
    chosen, left_out = arms_for(layer, seen, arms)
    models.settle()
    vary = len(data) == 1
    draws = splits(*data[0], seeds, test_share, root) if vary else initialisations(data[0], data[1], seeds, root)
    return Experiment(models, path, chosen, list(draws), vary, objective, name), layer, left_out


def _result(
    asked: Experiment, layer: nn.Module, left_out: dict[str, str], universes: list[Universe], margin: float
) -> AuditResult:
    arms = {arm.name: as_begun(arm.says, asked.models.starts.given) for arm in asked.arms}
    metric = asked.objective.metric
    starts = asked.models.starts
    verdicts, by_loss = (
        tuple(verdicts_on(audit_claims(asked.name, arms, metric, margin, by_loss=loss, given=starts.given), universes))
        for loss in (False, True)
    )
    main = next(v for v in verdicts if v.claim.id == MAIN)
    kind, words = type(layer).__name__, asked.objective.loss_words
    return AuditResult(
        asked.path, kind, main, verdicts, by_loss, tuple(universes), arms, left_out, starts, margin, words
    )


def _check_numbers(test_share: float, margin: float) -> None:
    if not isinstance(test_share, Real) or not 0 < test_share < 1:
        raise ConfigError(f"test_share is {test_share!r}, expected a number between 0 and 1, such as 0.3.")
    if not isinstance(margin, Real) or not 0 < margin < math.inf:
        raise ConfigError(
            f"margin is {margin!r}, expected a positive number: the smallest difference that matters, such as {MARGIN:g}."
        )


def _like_model(x: Tensor, model: nn.Module) -> Tensor:
    """Rows on the device of a model, and floats in the dtype of its parameters."""
    own = next((p for p in model.parameters() if p.is_floating_point()), None)
    if own is None:
        return x
    return x.to(own.device, own.dtype) if x.is_floating_point() else x.to(own.device)


def _recipes(
    lr: float | Sequence[float], epochs: int, batch_size: int, fit: Fit | Mapping[str, Fit] | None
) -> list[tuple[dict[str, str], Recipe]]:
    """Every way of training, with the choice that it stands for."""
    if fit is not None:
        named = fit if isinstance(fit, Mapping) else {"yours": fit}
        if not named or not all(callable(each) for each in named.values()):
            raise ConfigError(
                f"fit is {fit!r}, expected a function fit(model, X_train, y_train, seed), or several by name."
            )
        if (lr, epochs, batch_size) != (LR, EPOCHS, BATCH_SIZE):
            raise ConfigError("fit was given, and so lr, epochs and batch_size decide nothing; leave them out.")
        return [({"training": key}, Recipe(0, math.nan, 0, each)) for key, each in named.items()]
    rates = list(lr) if isinstance(lr, Sequence) else [lr]
    if (
        not rates
        or len(set(rates)) < len(rates)
        or not all(isinstance(r, Real) and 0 < float(r) < math.inf for r in rates)
    ):
        raise ConfigError(f"lr is {lr!r}, expected a positive number, or several that differ.")
    return [({"learning rate": f"{rate:g}"}, Recipe(epochs, float(rate), batch_size)) for rate in rates]
