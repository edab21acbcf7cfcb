"""All that the judge is asked."""

from __future__ import annotations

from calibration.analyses import Analyses, ByAxis, Everywhere
from calibration.family import Family
from calibration.pools import Pools
from calibration.synthetic import bimodal, ceiling, failing, lossy, shifted, swapped, tied
from calibration.trying import ANY_CLAIM, Limit, Question, TwoArms, from_pool, from_pools
from qmoe.statistics.conventions import ALPHA, MARGIN

#: Shares that the judge must keep: of false verdicts, of planted effects found, of equivalence and of dependence shown.
FALSE, FOUND, EQUIVALENT, DEPENDS = ALPHA, 0.95, 0.90, 0.90
#: Initialisations for each draw of the data, as in the headline studies.
PER_DATA = 2
#: The same for equivalence within 0.02, which takes more of them where outcomes fall into two groups.
PER_DATA_EQUIVALENT = 6
#: A planted difference that flips with the encoding axis: along Z, and along X.
FLIP = 0.06, -0.01

_BETTER, _SAME = "a is better than b", "a and b are equivalent"
_NOT_LESS = "a is not worse than b"


def questions(pools: Pools) -> list[Question]:
    """All that the judge is asked."""
    return [*_of_two_arms(pools), *_of_a_family(), *_of_analyses()]


def _of_two_arms(pools: Pools) -> list[Question]:
    """One comparison, or five claims of one each."""
    quantum, same = pools["quantum"], pools["without-last-rz"]
    pair = "two identical arms"
    nulls = {
        "a/a": ("the paper's router on two moons", from_pool(quantum, PER_DATA)),
        "a/a, two groups": ("runs near 0.98 or 0.86", bimodal(0.7)),
        "a/a, ties": ("scores in tenths", tied()),
        "a/a, ceiling": ("most runs perfect", ceiling()),
        "a/a, losses": ("rare drops: one run of fifty loses 0.5", lossy(0.0)),
    }
    never = (Limit("supported", FALSE),)
    asked = [
        Question(name, f"{pair}: {about}", _BETTER, TwoArms(draw, "greater"), never)
        for name, (about, draw) in nulls.items()
    ]
    five = TwoArms(from_pool(quantum, PER_DATA), "greater", claims=5)
    about = f"{pair}: the paper's router on two moons, in five claims at once"
    asked.append(Question("a/a, five claims", about, _BETTER, five, never))
    planted = TwoArms(from_pools(pools["twin"], pools["crippled-twin"], PER_DATA), "greater")
    about = (
        "labels from a circuit; its full twin (a) against the twin without the function that the circuit uses most (b)"
    )
    asked.append(Question("planted effect", about, _BETTER, planted, (Limit("supported", FOUND, at_most=False),)))
    for n in (PER_DATA, 4, PER_DATA_EQUIVALENT):
        about = (
            f"the paper's router with and without its last RZ gates, exactly the same functions; {n} initialisations"
        )
        limit = Limit("supported", EQUIVALENT if n == PER_DATA_EQUIVALENT else None, at_most=False)
        play = TwoArms(from_pools(quantum, same, n), "equivalent")
        asked.append(Question(f"equivalence, {n} inits", about, _SAME, play, (limit,)))
    return [*asked, *_at_the_margin()]


def _at_the_margin() -> list[Question]:
    """Differences of exactly the margin: neither equivalent nor too small to matter."""
    edge, exchanged = f"a is better by exactly the margin, {MARGIN:g}", "roles of a and b exchanged"
    draws = {
        "normal": ("normal scores", shifted(MARGIN)),
        "two groups": ("runs near 0.98 or 0.86", bimodal(0.7, MARGIN)),
        "rare failures": ("one run of b in ten loses 0.2", failing(MARGIN, 0.2)),
        "rarer failures": ("one run of b in twenty loses 0.4", failing(MARGIN, 0.4)),
        "losses": ("one run of either in fifty loses 0.5", lossy(MARGIN)),
    }
    asked = []
    for name, (about, draw) in draws.items():
        said = f"{edge}: {about}"
        back = TwoArms(swapped(draw), "not_less")
        asked += [
            Question(f"at the margin, {name}", said, _SAME, TwoArms(draw, "equivalent"), (Limit("supported", FALSE),)),
            Question(f"at the margin, {name}", said, _BETTER, TwoArms(draw, "greater"), (Limit("refuted", FALSE),)),
            Question(f"at the margin, {name}", f"{said}; {exchanged}", _NOT_LESS, back, (Limit("supported", FALSE),)),
        ]
    hidden = TwoArms(lossy(MARGIN, only_b=True), "greater")
    about = (
        f"{edge}, half of it from rare drops of b alone: one run of b in fifty loses 0.5, and three studies of ten "
        "contain none"
    )
    asked.append(Question("losses of b alone", about, _BETTER, hidden, (Limit("refuted"),)))
    return asked


def _of_a_family() -> list[Question]:
    """The paper's claims as they ship, with five kinds of scores in turn."""
    kinds = "scores of five kinds in turn (normal, two groups, tenths, ceiling, drops of 0.5 in 2% of runs)"
    return [
        Question(
            "the paper's claims, none holds",
            f"all claims of the paper on the shipped studies, each with one comparison exactly on its bound; {kinds}",
            ANY_CLAIM, Family("supported"), (Limit("supported", FALSE),),
        ),
        Question(
            "the paper's claims, all hold",
            f"the same with all comparisons exactly on their bounds, so that every claim just holds; {kinds}",
            ANY_CLAIM, Family("refuted"), (Limit("refuted", FALSE),),
        ),
    ]  # fmt: skip


def _of_analyses() -> list[Question]:
    """A claim over 18 specifications, with the same five kinds of scores in turn."""
    found = []
    for c in (0.9, 0.3):
        told = f"18 analyses of one study, seed noise correlated between analyses at {c:g}"
        for name, effect, about, side in (
            ("nothing", 0.0, "no difference in any analysis", "supported"),
            ("margin", MARGIN, f"a difference of exactly the margin, {MARGIN:g}, in all analyses", "refuted"),
        ):
            play = Analyses(Everywhere(effect), c)
            limits = Limit(side, FALSE), Limit("depends", FALSE)
            found.append(Question(f"18 analyses, {name}, {c:g}", f"{told}: {about}", _BETTER, play, limits))
    told = "18 analyses of one study, one claim of the paper's family"
    real = ("normal", "two groups", "ceiling")
    shown = Limit("depends", DEPENDS, at_most=False)
    flips = f"{told}: a is better by {FLIP[0]:g} with one axis, and worse by {-FLIP[1]:g} with the other"
    for name, shapes, scores in (
        ("flips", real, ", ".join(real)),
        ("flips, losses", ("losses of 0.5",), "rare drops of 0.5"),
    ):
        about = f"{flips}; scores: {scores}"
        play = Analyses(ByAxis(*FLIP), 0.6, shapes, family=True)
        found.append(Question(f"18 analyses, {name}", about, _BETTER, play, (shown,)))
    about = f"{told}: a is better by {FLIP[0]:g} in all analyses; scores: {', '.join(real)}"
    play = Analyses(Everywhere(FLIP[0]), 0.6, real, family=True)
    limits = Limit("supported", DEPENDS, at_most=False), Limit("depends", FALSE)
    found.append(Question("18 analyses, found", about, _BETTER, play, limits))
    about = (
        f"18 analyses of one study, seed noise correlated between analyses at 0.3: a is better by {MARGIN / 2:g}, too "
        "little to matter"
    )
    play = Analyses(Everywhere(MARGIN / 2), 0.3)
    found.append(Question("18 analyses, half the margin", about, _BETTER, play, (Limit("depends", FALSE),)))
    return found
