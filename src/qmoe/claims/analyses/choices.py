"""The choices of an analysis in words, for sentences, tables and pictures alike."""

from __future__ import annotations

from qmoe.errors import count

#: Choice -> what it is called.
_CHOICES = {
    "scaling": "scaling",
    "rotation": "encoding axis",
    "optimiser": "training",
    "epochs": "epochs",
    "initial_scale": "first weights",
    "noise_protocol": "noise protocol",
}
#: Choice -> alternative -> in a sentence, in a heading or a picture.
_ALTERNATIVES: dict[str, dict[str, tuple[str, str]]] = {
    "scaling": {
        "minmax_pi": ("scaled to [0, π]", "[0, π]"),
        "minmax_centred": ("scaled to [−π/2, π/2]", "[−π/2, π/2]"),
        "standard": ("standardised", "standardised"),
        "none": ("not scaled", "none"),
    },
    "optimiser": {
        "adam": ("Adam", "Adam"),
        "adam-best": ("Adam, each arm at its best rate", "Adam, best rate"),
        "lbfgs": ("L-BFGS", "L-BFGS"),
        "lbfgs-best": ("L-BFGS, best of {starts} starts", "L-BFGS, best start"),
    },
    "noise_protocol": {
        "retrained": ("trained with the noise", "retrained"),
        "evaluated": ("trained without noise", "trained clean"),
        "recalibrated": ("trained without noise, adapter recalibrated", "recalibrated"),
        "mitigated": ("trained without noise, mitigated", "mitigated"),
    },
    # What stores call it; it stays, so that their specifications are found again.
    "epochs": {"to a minimum": ("trained to convergence", "to convergence")},
}


def choice_words(choice: str) -> str:
    """What a choice is called: ``"encoding axis"`` for ``"rotation"``."""
    return _CHOICES.get(choice, choice.replace("_", " "))


def alternative_words(choice: str, alternative: str, *, starts: int = 0, short: bool = False) -> str:
    """An alternative in words that need no heading, such as ``"standardised"`` or ``"rotation X"``.

    Args:
        choice: which choice it is one of.
        alternative: as `qmoe.studies.Specification.choices` has it.
        starts: of how many starts the best is taken; 0 where that is not known.
        short: words for a place where the choice is named beside them, such as ``"X"``.
    """
    known = _ALTERNATIVES.get(choice, {}).get(alternative)
    if known is not None:
        return known[short].format(starts=starts or "several")
    if short or choice not in ("rotation", "epochs", "initial_scale"):
        return alternative.replace("_", " ")
    if choice == "rotation":
        return f"rotation {alternative}"
    if choice == "epochs":
        return count(int(alternative), "epoch") if alternative.isdigit() else f"trained {alternative}"
    return f"first weights times {alternative}"
