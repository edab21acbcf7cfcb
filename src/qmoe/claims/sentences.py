"""Verdicts in plain sentences, made from their facts; nothing reads them back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.deciding.assay import not_shown_to_matter
from qmoe.claims.deciding.evidence import Decision, Evidence
from qmoe.statistics.conventions import POWER
from qmoe.studies.metrics import Kind, metric_facts

if TYPE_CHECKING:
    from qmoe.claims.analyses.over_analyses import Multiverse
    from qmoe.claims.verdicts import Comparison, TestVerdict, Verdict

#: How a kind of metric says above, below, not above and not below.
_WORDS = {
    "accuracy": (
        "is more accurate than",
        "is less accurate than",
        "is not more accurate than",
        "is not less accurate than",
    ),
    "seconds": ("is slower than", "is faster than", "is not slower than", "is not faster than"),
    "loss": ("has a higher loss than", "has a lower loss than", "has no higher loss than", "has no lower loss than"),
    "count": ("has more than", "has fewer than", "does not have more than", "does not have fewer than"),
    "other": ("lies above", "lies below", "does not lie above", "does not lie below"),
}


def metric_words(metric: str) -> str:
    """A metric in words."""
    return metric_facts(metric).words


def compared(comparison: Comparison) -> str:
    """What two sides compared have shown, in one sentence with the figures."""
    on = f"On {comparison.study}, " if comparison.study else ""
    a, b, decision = f"the {comparison.a}", f"the {comparison.b}", comparison.decision
    if decision is None:
        return _capital(f"{on}{a} against {b} is inconclusive: {comparison.why_open}.")
    metric = estimand_words(comparison.metric, comparison.estimand)
    figures = _figures(decision.evidence, metric, comparison.unit)
    if comparison.outcome == "inconclusive":
        # Where something forbids a verdict whatever the figures, such as arms that guess, more draws are no remedy.
        power = "" if comparison.obstacles else _power(decision, comparison.unit)
        return _capital(f"{on}{a} against {b} is inconclusive: {comparison.why_open} ({figures}{power}).")
    # A share of runs lies above or below another, whatever it is a share by.
    kind = metric_facts(comparison.metric).kind if comparison.estimand != "success" else "other"
    relation = _relation(decision, kind)
    return _capital(f"{on}{a} {relation} {b}{_qualified(decision)} ({figures}).")


def estimand_words(metric: str, estimand: str) -> str:
    """What is compared, in words: a metric, or what of its runs."""
    words = metric_words(metric)
    return {"success": f"share of successful runs by {words}", "best": f"{words} of the best run"}.get(estimand, words)


def tested(test: TestVerdict) -> str:
    """Why a test has its outcome, in one or two sentences."""
    if test.obstacle:
        return f"Not tested: {test.obstacle}."
    return test.test.reason(test)


def reasons(verdict: Verdict) -> tuple[str, ...]:
    """Why a claim has its verdict; what decided comes first."""
    claim = verdict.claim
    meaning = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(verdict.outcome, "")
    found = dict.fromkeys([meaning] if meaning else [])
    if verdict.multiverse is not None:
        found |= dict.fromkeys(over_specifications(verdict.multiverse))
    told = [test for test in verdict.tests if not test.absent]
    ordered = sorted(told, key=lambda test: test.outcome != verdict.own)  # stable: those that decided come first
    found |= dict.fromkeys(test.reason for test in ordered)
    absent = dict.fromkeys(test.study for test in verdict.tests if test.absent)
    if absent:
        found[f"There are no results of {', '.join(absent)}."] = None
    return tuple(found)


def over_specifications(multiverse: Multiverse) -> list[str]:
    """How many specifications say what, and the choice that it depends on."""
    counts = multiverse.counts
    told = [f"{counts[o]} {words}" for o, words in _SPECIFICATIONS.items() if counts.get(o)]
    n = len(multiverse.rows)
    found = [f"Of {n} specification{'s' if n != 1 else ''} of the analysis, {_listed(told)}."]
    if multiverse.outcome == "depends" and (choice := multiverse.deciding) is not None:
        sides = [
            f"{alternative_words(choice.choice, name)}: {_counted(count)}" for name, count in choice.outcomes.items()
        ]
        found.append(f"It depends most on the {choice_words(choice.choice)} ({'; '.join(sides)}).")
    return found


def idle_caveats(verdict: Verdict) -> tuple[str, ...]:
    """That routing is not shown to matter on studies where a lead is; nothing where no comparison says so."""
    if verdict.outcome not in ("supported", "depends"):
        return ()
    found = {c.study: (c.idle, c.evidence.contrast) for c in verdict.comparisons if c.idle and c.evidence is not None}
    return tuple(
        f"{study}: {not_shown_to_matter(part, max(asked.margin, asked.at_least or 0.0))}. So being ahead is not shown to "
        f"come from the {part}."
        for study, (part, asked) in found.items()
    )


def caveats(verdict: Verdict) -> tuple[str, ...]:
    """What speaks against a verdict."""
    found = list(idle_caveats(verdict))
    found += [
        words for test in verdict.tests for words in [*(w for c in test.comparisons for w in c.caveats), *test.caveats]
    ]
    falling: dict[str, dict[str, None]] = {}
    for c in verdict.comparisons:
        falling.setdefault(c.study, {}).update(dict.fromkeys(c.falling))
    found += [
        f"{study}: the loss was still falling at the end of training ({_some(list(labels))}); more epochs may change this."
        for study, labels in falling.items()
        if labels
    ]
    return tuple(dict.fromkeys(found))


_SPECIFICATIONS = {"supported": "support it", "refuted": "refute it", "inconclusive": "are inconclusive"}


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _counted(outcomes: Mapping[str, int]) -> str:
    if sum(outcomes.values()) == 1:
        return next(o for o in _SPECIFICATIONS if outcomes.get(o))
    return ", ".join(f"{outcomes[o]} {o}" for o in _SPECIFICATIONS if outcomes.get(o))


def _some(labels: list[str], most: int = 4) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _power(decision: Decision, unit: str) -> str:
    """What an inconclusive comparison could have found."""
    e = decision.evidence
    smallest, needed = e.smallest_effect, e.draws_needed
    if smallest is None or not math.isfinite(smallest):
        return ""
    least = f"a factor of {smallest:.3g}" if e.contrast.scale == "ratio" else f"{smallest:.2g}"
    words = f"; the smallest effect found with a power of {POWER:.0%} is {least}"
    return words + (f", and an effect as large as the margin needs {needed} {unit}" if needed is not None else "")


def _relation(decision: Decision, kind: Kind) -> str:
    above, below, not_above, not_below = _WORDS[kind]
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
    means = f"{metric} {_number(e.mean_a)} against {_number(e.mean_b)}"
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
