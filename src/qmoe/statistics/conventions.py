"""What counts as certain, as large and as equal, unless a study or a claim says otherwise."""

from __future__ import annotations

#: Coverage of intervals.
LEVEL = 0.95
#: Chance of a false outcome that a test may have.
ALPHA = 0.05
#: Smallest difference of accuracies that matters.
MARGIN = 0.02
#: Accuracy at or above which a run counts as a success.
SUCCESS = 0.95
#: Ratio of numbers of parameters beyond which two arms are of unequal size.
UNEQUAL = 1.5
#: Chance to find an effect that a study is planned for.
POWER = 0.8
