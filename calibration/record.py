"""The trial of the judge as a whole: what is asked, and the committed record of the answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context
from typing import Any

import numpy as np

import qmoe
from calibration.analyses import Analyses, ByAxis, Everywhere
from calibration.family import Family
from calibration.pools import Size, Teacher, moons, quantum_router, same_router, train_pool
from calibration.synthetic import bimodal, ceiling, failing, lossy, shifted, swapped, tied
from calibration.trying import (
    MARGIN,
    SEEDS,
    STUDIES,
    Answer,
    Limit,
    Played,
    Question,
    TwoArms,
    answered,
    from_pool,
    from_pools,
)

#: Shares that the judge must keep: of false verdicts, of planted effects found, of equivalence and of dependence shown.
FALSE, FOUND, EQUIVALENT, DEPENDS = 0.05, 0.95, 0.90, 0.90
#: Initialisations for each draw of the data, as in the headline studies.
PER_DATA = 2
#: The same for equivalence within 0.02, which takes more of them where outcomes fall into two groups.
PER_DATA_EQUIVALENT = 6
#: Seed of the teacher circuit.
TEACHER = 0
#: A planted difference that flips with the encoding axis: along Z, and along X.
FLIP = 0.06, -0.01
#: Studies that one process plays before it reports.
AT_ONCE = 50

_BETTER, _SAME = "a is better than b", "a and b are equivalent"
_NOT_LESS = "a is not worse than b"

Pools = dict[str, np.ndarray]


def train_pools(size: Size, report: Callable[[str], None] = lambda line: None) -> Pools:
    """Trains the four arms that simulated studies are drawn from.

    Args:
        size: how much is trained.
        report: called with a line after each arm.

    Returns:
        ``(data, inits)`` test accuracies by name: the paper's router, the same without its last RZ gates, both on two moons;
        the teacher's twin, whole and crippled, on the teacher's labels.
    """
    teacher = Teacher(TEACHER)
    arms = {
        "quantum": (quantum_router, moons(size.samples)),
        "without-last-rz": (same_router, moons(size.samples)),
        "twin": (teacher.twin(crippled=False), teacher.data(size.samples)),
        "crippled-twin": (teacher.twin(crippled=True), teacher.data(size.samples)),
    }
    pools = {}
    for number, (name, (make_router, make_data)) in enumerate(arms.items()):
        pools[name] = train_pool(make_router, make_data, size, number)
        report(f"trained {pools[name].size} x {name}: accuracy {pools[name].mean():.4f}")
    return pools


def questions(pools: Pools) -> list[Question]:
    """All that the judge is asked."""
    return [*_of_two_arms(pools), *_of_a_family(), *_of_analyses()]


def _of_two_arms(pools: Pools) -> list[Question]:
    """One comparison, or five claims of one each."""
    quantum, same = pools["quantum"], pools["without-last-rz"]
    pair = "two arms that are one and the same"
    nulls = {
        "a/a": ("the paper's router on two moons", from_pool(quantum, PER_DATA)),
        "a/a, two groups": ("runs near 0.98 or 0.86", bimodal(0.7)),
        "a/a, ties": ("scores in tenths", tied()),
        "a/a, ceiling": ("most runs perfect", ceiling()),
        "a/a, losses": ("one run of fifty loses 0.5", lossy(0.0)),
    }
    never = (Limit("supported", FALSE),)
    asked = [
        Question(name, f"{pair}: {about}", _BETTER, TwoArms(draw, "greater"), never)
        for name, (about, draw) in nulls.items()
    ]
    five = TwoArms(from_pool(quantum, PER_DATA), "greater", claims=5)
    asked.append(
        Question("a/a, five claims", f"{pair}: the paper's router on two moons, in five claims at once", _BETTER, five, never)
    )
    planted = TwoArms(from_pools(pools["twin"], pools["crippled-twin"], PER_DATA), "greater")
    about = "labels from a circuit; its twin against the twin without the function that the circuit uses most"
    asked.append(Question("planted effect", about, _BETTER, planted, (Limit("supported", FOUND, at_most=False),)))
    for n in (PER_DATA, 4, PER_DATA_EQUIVALENT):
        about = f"the paper's router with and without its last RZ gates, exactly the same functions; {n} initialisations"
        limit = Limit("supported", EQUIVALENT if n == PER_DATA_EQUIVALENT else None, at_most=False)
        play = TwoArms(from_pools(quantum, same, n), "equivalent")
        asked.append(Question(f"equivalence, {n} inits", about, _SAME, play, (limit,)))
    return [*asked, *_at_the_margin()]


def _at_the_margin() -> list[Question]:
    """Differences of exactly the margin: neither equivalent nor too small to matter."""
    edge = f"a is better by exactly the margin, {MARGIN:g}"
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
            Question(f"at the margin, {name}", f"{said} (a and b swapped)", _NOT_LESS, back, (Limit("supported", FALSE),)),
        ]
    hidden = TwoArms(lossy(MARGIN, only_b=True), "greater")
    about = f"{edge}, half of it by b alone: one run of b in fifty loses 0.5, and three studies of ten see none"
    asked.append(Question("losses of b alone", about, _BETTER, hidden, (Limit("refuted"),)))
    return asked


def _of_a_family() -> list[Question]:
    """The paper's claims as they ship, with five kinds of scores in turn."""
    kinds = "scores of five kinds in turn (normal, two groups, tenths, ceiling, losses of 0.5 in 2% of runs)"
    return [
        Question(
            "the paper's claims, none holds",
            f"all claims of the paper on studies as they ship, each with one comparison on the edge; {kinds}",
            "any claim", Family("supported"), (Limit("supported", FALSE),),
        ),
        Question(
            "the paper's claims, all hold",
            f"the same with all comparisons on the edge: every claim holds, barely; {kinds}",
            "any claim", Family("refuted"), (Limit("refuted", FALSE),),
        ),
    ]  # fmt: skip


def _of_analyses() -> list[Question]:
    """A claim over 18 specifications, with the same five kinds of scores in turn."""
    found = []
    for c in (0.9, 0.3):
        told = f"18 analyses of one study, whose luck has correlation {c:g}"
        for name, effect, about, side in (
            ("nothing", 0.0, "no difference at any", "supported"),
            ("margin", MARGIN, f"a difference of exactly the margin, {MARGIN:g}, at all", "refuted"),
        ):
            play = Analyses(Everywhere(effect), c)
            limits = Limit(side, FALSE), Limit("depends", FALSE)
            found.append(Question(f"18 analyses, {name}, {c:g}", f"{told}: {about}", _BETTER, play, limits))
    told = "18 analyses of one study, one claim of the paper's family"
    real = ("normal", "two groups", "ceiling")
    shown = Limit("depends", DEPENDS, at_most=False)
    for name, shapes, limit in (
        ("flips", real, shown), ("flips, losses", ("losses of 0.5",), Limit("depends", at_most=False)),
    ):  # fmt: skip
        about = f"{told}: a is better by {FLIP[0]:g} with one axis, and worse by {-FLIP[1]:g} with the other; scores: {', '.join(shapes)}"
        play = Analyses(ByAxis(*FLIP), 0.6, shapes, family=True)
        found.append(Question(f"18 analyses, {name}", about, _BETTER, play, (limit,)))
    about = f"{told}: a is better by {FLIP[0]:g} at all; scores: {', '.join(real)}"
    play = Analyses(Everywhere(FLIP[0]), 0.6, real, family=True)
    found.append(
        Question("18 analyses, found", about, _BETTER, play, (Limit("supported", DEPENDS, at_most=False), Limit("depends", FALSE)))
    )
    return found


def try_judge(
    pools: Pools,
    size: Size,
    studies: int = STUDIES,
    report: Callable[[str], None] = lambda line: None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Simulates and judges; the record as plain data.

    Args:
        pools: the trained arms, by `train_pools`.
        size: how much was trained.
        studies: simulated studies for each question.
        report: called with a line of progress.
        jobs: processes.
    """
    asked = questions(pools)
    parts = [(i, range(at, min(at + AT_ONCE, studies))) for i in range(len(asked)) for at in range(0, studies, AT_ONCE)]
    answers: list[Answer] = []
    played: list[Played] = []
    for (i, _), part in zip(parts, _play_all(pools, parts, jobs), strict=True):
        played += part
        if len(played) == studies:
            answers += answered(asked[i], played)
            played = []
            for answer in answers[-len(asked[i].limits) :]:
                report(line(answer))
    return {
        "version": qmoe.__version__,
        "margin": MARGIN,
        "seeds": SEEDS,
        "size": dataclasses.asdict(size),
        "pools": {
            name: {
                "models": pool.size,
                "mean": round(float(pool.mean()), 5),
                "sd": round(float(pool.std(ddof=1)), 5),
                "sd_within_data": round(float(np.sqrt(pool.var(axis=1, ddof=1).mean())), 5),
            }
            for name, pool in pools.items()
        },
        "answers": [
            {
                key: round(value, 5) if isinstance(value, float) else value
                for key, value in dataclasses.asdict(a).items()
            }
            for a in answers
        ],
    }


def _play_all(pools: Pools, parts: list[tuple[int, range]], jobs: int) -> Iterator[list[Played]]:
    if jobs == 1:
        _prepare(pools)
        yield from map(_play, parts)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _prepare, (pools,)) as workers:
        yield from workers.map(_play, parts)


_asked: list[Question] = []


def _prepare(pools: Pools) -> None:
    """Makes the questions of a process, which holds them since what they close over does not travel."""
    _asked[:] = questions(pools)


def _play(part: tuple[int, range]) -> list[Played]:
    question, numbers = part
    return [_asked[question].play(number) for number in numbers]


def load_record() -> dict[str, Any]:
    """The committed record, as `try_judge` wrote it."""
    return json.loads(resources.files(__package__).joinpath("record.json").read_text(encoding="utf-8"))


def answers_of(record: dict[str, Any]) -> list[Answer]:
    """The answers of a record."""
    return [Answer(**answer) for answer in record["answers"]]


def line(answer: Answer) -> str:
    """An answer on one line."""
    limit = "" if answer.limit is None else f"{'<=' if answer.at_most else '>='} {answer.limit:.0%}"
    mark = "" if answer.limit is None else "holds" if answer.holds else "FAILS"
    share = f"{answer.share:6.1%} [{answer.low:.1%}, {answer.high:.1%}]"
    effect = "" if answer.effect is None else f"effect {answer.effect:+.4f}"
    return f"{answer.name:<32} {answer.outcome:<10} {share:<24} {limit:<7} {mark:<6} {effect}".rstrip()


def table(record: dict[str, Any]) -> str:
    """The answers of a record as a Markdown table."""
    rows = ["| what is simulated | verdict | share | to keep |", "|---|---|---|---|"]
    for a in answers_of(record):
        limit = "" if a.limit is None else f"{'at most' if a.at_most else 'at least'} {a.limit:.0%}"
        rows.append(
            f"| {a.about} | {_said(a)} | {a.share:.1%} [{a.low:.1%}, {a.high:.1%}] | {limit} |"
        )
    return "\n".join(rows)


def _said(answer: Answer) -> str:
    claim = answer.asked if answer.asked.startswith("any") else f"'{answer.asked}'"
    return f"{claim} {'depends on the analysis' if answer.outcome == 'depends' else answer.outcome}"
