"""Verdicts in plain sentences."""

from __future__ import annotations

from qmoe.claims.evidence import Decision, Evidence

_METRICS = {
    "test_accuracy": "test accuracy",
    "test_balanced_accuracy": "balanced test accuracy",
    "train_accuracy": "training accuracy",
    "loss": "final training loss",
    "mean_loss": "training loss, mean over the epochs",
    "seconds": "seconds to train one model",
    "parameters": "trainable parameters",
    "router_parameters": "trainable parameters of the router",
}

#: How a metric says above, below, not above and not below, by how its name ends.
_WORDS = {
    "accuracy": (
        "is more accurate than",
        "is less accurate than",
        "is not more accurate than",
        "is not less accurate than",
    ),
    "seconds": ("is slower than", "is faster than", "is not slower than", "is not faster than"),
    "loss": ("has a higher loss than", "has a lower loss than", "has no higher loss than", "has no lower loss than"),
    "parameters": ("has more than", "has fewer than", "does not have more than", "does not have fewer than"),
    "": ("lies above", "lies below", "does not lie above", "does not lie below"),
}


def metric_words(metric: str) -> str:
    """A metric in words."""
    return _METRICS.get(metric, metric.replace("_", " "))


def sentence(decision: Decision, a: str, b: str, metric: str, study: str, unit: str, open_because: str = "") -> str:
    """What two sides compared have shown, in one sentence with the figures.

    Args:
        decision: the statistics.
        a: label of a.
        b: label of b.
        metric: name of the metric.
        study: name of the study, or "".
        unit: what a cluster is, in words.
        open_because: why an inconclusive outcome is one, where that lies outside of the statistics.
    """
    e = decision.evidence
    figures = _figures(e, metric, unit)
    on = f"On {study}, " if study else ""
    if decision.outcome == "inconclusive":
        why = open_because or decision.why_open
        return _capital(f"{on}the {a} against the {b} stays open: {why} ({figures}).")
    return _capital(f"{on}the {a} {_relation(decision, metric)} the {b}{_qualified(decision)} ({figures}).")


def untested(a: str, b: str, study: str, why: list[str]) -> str:
    """Why two sides could not be compared."""
    on = f"On {study}, " if study else ""
    return _capital(f"{on}the {a} against the {b} stays open: {'; '.join(why)}.")


def _relation(decision: Decision, metric: str) -> str:
    above, below, not_above, not_below = next(words for end, words in _WORDS.items() if metric.endswith(end))
    e = decision.evidence
    direction, supported = e.contrast.direction, decision.outcome == "supported"
    up = e.effect > (1 if e.contrast.scale == "ratio" else 0)
    if direction == "equivalent":
        return "does the same as" if supported else above if up else below
    if direction in ("not_less", "not_more"):
        held, broken = (not_below, below) if direction == "not_less" else (not_above, above)
        return held if supported else broken
    if supported:
        return above if direction == "greater" else below
    wrong_side = e.high < _null(e) if direction == "greater" else e.low > _null(e)
    if wrong_side:
        return below if direction == "greater" else above
    if decision.equivalent:
        return "does the same as"
    return not_above if direction == "greater" else not_below


def _qualified(decision: Decision) -> str:
    """The margin, where it decides what the sentence means."""
    e = decision.evidence
    direction, supported = e.contrast.direction, decision.outcome == "supported"
    least = e.contrast.at_least
    if direction in ("greater", "less") and supported:
        return f" by more than {_bound(e, least)}" if least is not None and least > _null(e) else ""
    crossed = e.high < _null(e) if direction == "greater" else e.low > _null(e)
    if direction in ("greater", "less") and crossed:
        return ""
    bound = max(e.contrast.margin, least or 0.0)
    if bound <= _null(e):
        return ""
    if direction == "equivalent" and supported:
        return f" within {_bound(e, bound)}"
    if direction in ("greater", "less") and decision.equivalent:
        return f" within {_bound(e, bound)}, the smallest difference that matters"
    return f" by more than {_bound(e, bound)}"


def _null(e: Evidence) -> float:
    return 1.0 if e.contrast.scale == "ratio" else 0.0


def _bound(e: Evidence, value: float | None) -> str:
    return f"a factor of {value:g}" if e.contrast.scale == "ratio" else f"{value:g}"


def _figures(e: Evidence, metric: str, unit: str) -> str:
    digits = 4 if abs(e.effect) < 0.01 and e.contrast.scale == "difference" else 3
    means = f"{metric_words(metric)} {_number(e.mean_a)} against {_number(e.mean_b)}"
    if e.exact:
        return means
    if e.contrast.scale == "ratio":
        shown = f"ratio {e.effect:.3g} [{e.low:.3g}, {e.high:.3g}]"
    else:
        values = (f"{value:+.{digits}f}" for value in (e.effect, e.low, e.high))
        shown = "difference {} [{}, {}]".format(*values).replace("-", "−")
    return f"{means}, {shown} over {e.n_clusters} {unit}{_success(e)}"


def _success(e: Evidence) -> str:
    if e.success_a is None or e.success_b is None:
        return ""
    return f"; successful runs {e.success_a.value:.0%} against {e.success_b.value:.0%}"


def _number(value: float) -> str:
    if value == round(value) and abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.3f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
