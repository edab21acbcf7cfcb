"""What an audit asks, as claims for the judge: the same that judges the claims of studies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from qmoe.claims import Claim, Universe, Verdict, judge, parse_claims
from qmoe.statistics.bootstrap import MIN_CLUSTERS

#: Factor between losses that matters, where the verdicts are also asked by loss.
LOSS_MARGIN = 1.1
#: Id of the claim that an audit is about.
MAIN = "layer"

#: Id, arms to be better than, statement, if supported, if refuted.
_ASKED = (
    (MAIN, ("mean", "permuted"), "the model needs what the layer computes from its input",
     "The layer carries the effect: without what it computes from its input, the model is worse.",
     "The model does as well without what the layer computes from its input."),
    ("training", ("frozen",), "the model is better with the layer trained than left as drawn",
     "With the layer's parameters left as drawn, the model is worse.",
     "With the layer's parameters left as drawn, the model does as well."),
    ("mlp", ("mlp",), "the model is better with the layer than with an MLP of equal size",
     "With an MLP of equal size in the layer's place, the model is worse.",
     "With an MLP of equal size in the layer's place, the model does as well."),
    ("twin", ("twin",), "the model is better with the layer than with its classical twin",
     "Its classical twin does worse.",
     "Its classical twin does as well."),
    ("entanglement", ("no-entangler",), "the model is better with the layer's entangling gates than without",
     "Without entangling gates, the model is worse.",
     "Without entangling gates, the model does as well."),
    ("interference", ("dephased",), "the model is better with the layer as it is than with the layer dephased",
     "With all coherence between basis states taken away, the model is worse.",
     "With all coherence between basis states taken away, the model does as well."),
)  # fmt: skip


def audit_claims(
    study: str, arms: Collection[str], metric: str, margin: float, *, by_loss: bool = False, given: bool = False
) -> list[Claim]:
    """The claims of an audit; those without their arms are left out.

    Args:
        study: what claims call the data.
        arms: names of the arms that there are.
        metric: the score.
        margin: smallest difference of scores that matters.
        by_loss: whether to ask by the loss on held-out rows instead, which a factor of `LOSS_MARGIN` makes matter.
        given: whether first weights were given, not drawn.
    """
    how: dict[str, Any] = {"metric": metric, "margin": margin, "direction": "greater", "asks_need": True}
    if by_loss:
        how |= {"metric": "test_loss", "margin": LOSS_MARGIN, "direction": "less", "scale": "ratio"}
    found = [
        {
            "id": identity,
            "headline": identity == MAIN,
            "statement": f"On {study}, {as_begun(statement, given)}.",
            "source": "qmoe audit",
            "studies": [study],
            "min_seeds": MIN_CLUSTERS,
            "if_supported": as_begun(yes, given),
            "if_refuted": as_begun(no, given),
            "tests": [
                {"kind": "difference", "name": rival, "a": "base", "b": rival, **how}
                for rival in rivals
                if rival in arms
            ],
        }
        for identity, rivals, statement, yes, no in _ASKED
        if any(rival in arms for rival in rivals)
    ]
    return parse_claims({"claims": found}, "audit")


def as_begun(words: str, given: bool) -> str:
    """Words about a layer that is left "as drawn", where its first weights were given."""
    return words.replace("as drawn", "as given") if given else words


def verdicts_on(claims: Sequence[Claim], universes: Sequence[Universe], seed: int = 0) -> list[Verdict]:
    """Judges claims on the runs of an audit.

    The main claim is what an audit is for, and is judged by itself. The others are corrected for multiple comparisons
    together.

    Args:
        claims: from `audit_claims`.
        universes: the runs by each recipe, the one that counts first.
        seed: of the resampling.
    """
    base = universes[0].runs
    several = {base.name: universes} if len(universes) > 1 else None
    groups = [[c for c in claims if (c.id == MAIN) is is_main] for is_main in (True, False)]
    return [v for group in groups for v in judge(group, {base.name: base}, multiverse=several, seed=seed)]
