"""What a comparison shows taken by itself, before the correction for multiple comparisons, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qmoe.claims.deciding.evidence import Contrast

#: What lies beyond the bound that a direction is held against.
_BEYOND = {
    "greater": "a lead",
    "less": "a lead",
    "equivalent": "a difference",
    "not_less": "a deficit",
    "not_more": "an excess",
}


def shown_alone(contrast: Contrast, supports: bool) -> str:
    """What one comparison shows by itself, as a phrase such as "rules out a lead that matters (0.02 or more)".

    Args:
        contrast: what was asked.
        supports: whether the test that could support is significant by itself; else the one that could refute is.
    """
    what, claimed = _BEYOND[contrast.direction], contrast.direction in ("greater", "less")
    none = contrast.back(0.0)
    least = contrast.at_least if claimed and contrast.at_least is not None else none
    # A lead is shown beyond `at_least`, whether or not it reaches the margin; all else is held against both.
    bound = least if claimed and supports else max(contrast.margin, least)
    size = f"a factor of {bound:g}" if contrast.scale == "ratio" else f"{bound:g}"
    if supports == claimed:
        return f"shows {what}" + (f" of more than {size}" if bound > none else "")
    return f"rules out {what}" + (f" that matters ({size} or more)" if bound > none else "")
