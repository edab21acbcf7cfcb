"""What an audit found."""

from __future__ import annotations

import dataclasses
import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qmoe.auditing.audit_claims import MAIN
from qmoe.auditing.first_weights import Starts
from qmoe.auditing.replacements import ARMS
from qmoe.claims import ArmKey, Outcome, StudyRuns, Universe, Verdict
from qmoe.errors import count, unknown
from qmoe.statistics import PairedDifference
from qmoe.studies.metrics import metric_facts

if TYPE_CHECKING:
    import pandas

_OUTCOMES = {
    "supported": "yes",
    "refuted": "no",
    "inconclusive": "undecided",
    "depends": "depends on the analysis",
}
_WIDTH = 100


@dataclass(frozen=True, eq=False)
class AuditResult:
    """The verdict on a layer, with all that it rests on. ``print(result)`` shows it as a card.

    Attributes:
        path: dotted path of the layer.
        layer: type of the layer, such as ``"QuantumLayer"``.
        verdict: on "the model needs what the layer computes from its input", by the judge of `qmoe.claims`.
        verdicts: that one, then on what the layer's effect needs: training, entanglement, interference, a circuit at all.
        by_loss: the same claims judged by the loss on held-out rows.
        universes: the runs by each recipe; the first is the one that is judged by itself.
        stand_ins: for each arm what stood in for the layer.
        left_out: for each arm that was left out, why.
        starts: how the models came to their first weights.
        margin: smallest difference of scores that matters.
        loss_words: what training lowered.
    """

    path: str
    layer: str
    verdict: Verdict
    verdicts: tuple[Verdict, ...]
    by_loss: tuple[Verdict, ...]
    universes: tuple[Universe, ...]
    stand_ins: dict[str, str]
    left_out: dict[str, str]
    starts: Starts
    margin: float
    loss_words: str

    @property
    def runs(self) -> StudyRuns:
        """The runs by the recipe that is judged by itself."""
        return self.universes[0].runs

    @property
    def metric(self) -> str:
        """The score: ``"test_accuracy"`` or ``"test_r2"``, on held-out rows."""
        return self.runs.arms[ArmKey("base")].metric

    @property
    def kept(self) -> tuple[str, ...]:
        """Modules whose first weights were the same in all runs, since they could not draw them anew."""
        return self.starts.kept

    @property
    def outcome(self) -> Outcome:
        """Whether the model needs the layer: ``"supported"``, ``"refuted"``, ``"inconclusive"`` or ``"depends"``."""
        return self.verdict.outcome

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(self.stand_ins)

    def scores(self, arm: str = "base") -> np.ndarray:
        """``(S,)`` score of an arm on the held-out rows of each draw; NaN for a run that failed.

        Raises:
            ConfigError: for an arm that the audit does not have.
        """
        if arm not in self.stand_ins:
            raise unknown("arm", arm, self.stand_ins)
        return self.runs.arms[ArmKey(arm)].values[self.metric]

    def difference(self, arm: str) -> PairedDifference | None:
        """The model as it is minus an arm: mean over draws with its 95% interval; None for fewer than two draws."""
        self.scores(arm)
        return self.runs.arms[ArmKey("base")].minus(self.runs.arms[ArmKey(arm)])

    @property
    def headline(self) -> str:
        """The verdict in a sentence or two."""
        outcome, main = self.outcome, {test.name: test for test in self.verdict.tests}
        if outcome == "depends":
            return "It depends on the analysis: sound choices give opposite verdicts."
        if outcome == "refuted":
            if main["mean"].outcome == "refuted":
                return "The layer does nothing that a constant does not."
            if "permuted" in main and main["permuted"].outcome == "refuted":
                return "The layer does nothing that its outputs, given to the wrong samples, do not."
            return self.verdict.claim.if_refuted  # by the other ways of training
        if outcome == "inconclusive":
            return f"Undecided: {self._why_open}."
        told = sorted(self.verdicts[1:], key=lambda verdict: verdict.claim.id != "twin")
        also = [text for verdict in told if (text := _also(verdict))]
        return " ".join(["The layer carries the effect.", *also, *_whether_quantum(self.verdicts)])

    @property
    def _why_open(self) -> str:
        if self.verdict.own != "inconclusive":
            return "too few of the analyses agree"
        found = [c.why_open for c in self.verdict.comparisons if c.outcome == "inconclusive"]
        return next((why for why in found if why), "the numbers decide nothing")

    @property
    def caveats(self) -> tuple[str, ...]:
        """What speaks against the verdicts, in sentences."""
        tests = tuple(test for verdict in self.verdicts for test in verdict.tests)
        found = list(dataclasses.replace(self.verdict, tests=tests).caveats)
        if self.runs.clustered:
            found.append("The draws are splits of one table, so the verdict is about these rows, over splits of them.")
        found += self._about_starts()
        for why in dict.fromkeys(self.left_out.values()):
            left = ", ".join(ARMS[name] for name, reason in self.left_out.items() if reason == why)
            found.append(f"Not tried: {left} ({why.rstrip('.')}).")
        return (*dict.fromkeys(found), *self.stability)

    def _about_starts(self) -> list[str]:
        """What is to be known of first weights."""
        found, starts = [], self.starts
        if starts.kept:
            found.append(
                f"{_layers(starts.kept)}: no reset_parameters, so that all runs began with the weights that were given. "
                "Give a function that builds the model to draw them anew."
            )
        for bounds in dict.fromkeys(starts.by_default.values()):
            names = _layers([name for name, theirs in starts.by_default.items() if theirs == bounds])
            low, high = (f"{bound:.3g}" for bound in bounds)
            found.append(
                f"{names}: first weights were drawn from {low} to {high}, as its library draws them by default. To draw "
                "them in another way, give a function that builds the model."
            )
        if starts.given:
            found.append("All runs began with the weights that were given, so the verdict is about that start alone.")
        elif starts.alike and not starts.kept:
            found.append(
                f"All runs began with the same weights of layer {self.path}, which it always draws; the verdict is "
                "about that start alone."
            )
        return found

    @property
    def stability(self) -> tuple[str, ...]:
        """Whether other sound choices change the verdict: the loss as a score, and other recipes."""
        found = []
        by_loss = next(v for v in self.by_loss if v.claim.id == MAIN)
        score = metric_facts(self.metric).words
        if by_loss.outcome == self.outcome:
            found.append(f"By the {self.loss_words} on held-out rows the verdict is the same.")
        else:
            found.append(
                f"By the {self.loss_words} on held-out rows it is '{_OUTCOMES[by_loss.outcome]}', by {score} "
                f"'{_OUTCOMES[self.outcome]}'."
            )
        multiverse = self.verdict.multiverse
        if multiverse is None:
            found.append("One way of training was tried; give several learning rates to see whether the verdict holds.")
        return tuple(found)

    def to_frame(self) -> pandas.DataFrame:
        """All runs as a table: a row for each arm, draw and recipe."""
        import pandas

        rows = [
            {**universe.choices, "arm": key.name, "draw": draw}
            | {name: float(values[draw]) for name, values in runs.values.items()}
            for universe in self.universes
            for key, runs in universe.runs.arms.items()
            for draw in range(len(runs.data_seeds))
        ]
        return pandas.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """The audit as plain data for JSON."""
        return {
            "path": self.path,
            "layer": self.layer,
            "outcome": self.outcome,
            "headline": self.headline,
            "metric": self.metric,
            "margin": self.margin,
            "verdicts": [verdict.as_dict() for verdict in self.verdicts],
            "by_loss": {verdict.claim.id: verdict.outcome for verdict in self.by_loss},
            "scores": {arm: [s if math.isfinite(s) else None for s in self.scores(arm).tolist()] for arm in self.arms},
            "stand_ins": dict(self.stand_ins),
            "left_out": dict(self.left_out),
            "caveats": list(self.caveats),
        }

    def __str__(self) -> str:
        lines = [f"Audit of layer {self.path}, {_with_article(self.layer)}", "", *_wrapped(self.headline), ""]
        words = metric_facts(self.metric).words
        lines += [f"{words}, {count(len(self.scores()), 'draw')}; differences below {self.margin:g} do not matter", ""]
        rows = [("", "parameters", "mean", "difference [95%]"), *(self._row(arm) for arm in self.arms)]
        wide = [max(len(row[i]) for row in rows) for i in range(4)]
        lines += [f"  {a:<{wide[0]}}  {b:>{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}".rstrip() for a, b, c, d in rows]
        lines.append("")
        for verdict in self.verdicts:
            lines += _wrapped(f"{_OUTCOMES[verdict.outcome]}: {verdict.claim.statement}", "* ")
            meanings = (verdict.claim.if_supported, verdict.claim.if_refuted)
            if not self._says_why(verdict):
                lines += [line for r in verdict.reasons if r not in meanings for line in _wrapped(r, "    ")]
        lines += ["", "Caveats"]
        lines += [line for caveat in self.caveats for line in _wrapped(caveat, "* ")]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _says_why(self, verdict: Verdict) -> bool:
        """Whether the headline says already why nothing was tested of a verdict, such as too few draws."""
        untested = [c for c in verdict.comparisons if c.decision is None]
        same = {c.why_open for c in untested} == {self._why_open}
        return self.outcome == "inconclusive" and len(untested) == len(verdict.comparisons) and same

    def _row(self, arm: str) -> tuple[str, str, str, str]:
        scores = self.scores(arm)
        known = scores[np.isfinite(scores)]
        mean = f"{known.mean():.3f}" if len(known) else "failed"
        d = None if arm == "base" else self.difference(arm)
        size = f"{self.runs.arms[ArmKey(arm)].values['trainable_parameters'][0]:.0f}"
        return ARMS[arm], size, mean, "" if d is None else f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"


def _also(verdict: Verdict) -> str:
    """What does as well as a layer that carries the effect, and how its twin does; "" for all else."""
    claim, key = verdict.claim, verdict.key
    if verdict.outcome == "supported" and claim.id == "twin":
        return claim.if_supported
    if verdict.outcome != "refuted":
        return ""
    better = key is not None and key.high is not None and key.high < 0
    return claim.if_refuted.replace("does as well", "does better") if better else claim.if_refuted


def _whether_quantum(verdicts: Sequence[Verdict]) -> list[str]:
    """Whether the effect of a circuit has to be quantum, as far as no sentence about what does as well says it.

    Nothing for a layer whose circuit qmoe does not know, or where no classical stand-in of the circuit was tried.
    """
    found = {verdict.claim.id: verdict.outcome for verdict in verdicts}
    classical = [found[name] for name in ("twin", "mlp", "interference") if name in found]
    if not found.keys() & {"twin", "interference"} or "refuted" in classical:
        return []
    if any(outcome != "supported" for outcome in classical):
        return ["Whether it has to be quantum is undecided."]
    return ["Nothing classical that was tried does as well."] if classical[1:] or "twin" not in found else []


def _with_article(kind: str) -> str:
    """The name of a type with its article: "a QuantumLayer", "an MLP"."""
    spelt = kind[:2].isupper()
    return f"{'an' if kind[:1] in ('AEFHILMNORSX' if spelt else 'AEIOaeio') else 'a'} {kind}"


def _layers(names: Sequence[str]) -> str:
    return f"Layer{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _wrapped(text: str, first: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
