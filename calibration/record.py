"""The trial of the judge as a whole: what is asked, and the committed record of the answers."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

import qmoe
from calibration.pools import Size, Teacher, moons, quantum_router, same_router, train_pool
from calibration.synthetic import bimodal, ceiling, failing, shifted, tied
from calibration.trying import MARGIN, SEEDS, STUDIES, Answer, Question, ask, from_pool, from_pools

#: Shares that the judge must keep.
FALSE, FOUND, EQUIVALENT = 0.05, 0.95, 0.90
#: Initialisations for each draw of the data, as in the headline studies.
PER_DATA = 2
#: The same for equivalence within 0.02, which takes more of them where outcomes fall into two groups.
PER_DATA_EQUIVALENT = 6
#: Seed of the teacher circuit.
TEACHER = 0

_SAID = {"greater": "a is better than b", "equivalent": "a and b are equivalent"}

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
    quantum, same = pools["quantum"], pools["without-last-rz"]
    pair = "two arms that are one and the same"
    never = functools.partial(Question, direction="greater", outcome="supported", limit=FALSE, at_most=True)
    asked = [
        never("a/a", f"{pair}: the paper's router on two moons", from_pool(quantum, PER_DATA)),
        never("a/a, five claims", f"{pair}, in five claims at once", from_pool(quantum, PER_DATA), claims=5),
        never("a/a, two groups", f"{pair}: runs near 0.98 or 0.86", bimodal(0.7)),
        never("a/a, ties", f"{pair}: scores in tenths", tied()),
        never("a/a, ceiling", f"{pair}: most runs perfect", ceiling()),
        Question(
            "planted effect",
            "labels from a circuit; its twin against the twin without the function that the circuit uses most",
            from_pools(pools["twin"], pools["crippled-twin"], PER_DATA),
            "greater", "supported", FOUND, at_most=False,
        ),
    ]  # fmt: skip
    for n in (PER_DATA, 4, PER_DATA_EQUIVALENT):
        asked.append(
            Question(
                f"equivalence, {n} inits",
                f"the paper's router with and without its last RZ gates, exactly the same functions; {n} initialisations",
                from_pools(quantum, same, n),
                "equivalent", "supported", EQUIVALENT if n == PER_DATA_EQUIVALENT else None, at_most=False,
            )
        )  # fmt: skip
    edge = f"a is better by exactly the margin, {MARGIN:g}"
    draws = {
        "normal": ("normal scores", shifted(MARGIN)),
        "two groups": ("runs near 0.98 or 0.86", bimodal(0.7, MARGIN)),
        "rare failures": ("one run of b in ten loses 0.2", failing(MARGIN, 0.2)),
        "rarer failures": ("one run of b in twenty loses 0.4", failing(MARGIN, 0.4)),
    }
    for name, (about, draw) in draws.items():
        asked += [
            Question(
                f"at the margin, {name}", f"{edge}: {about}", draw, "equivalent", "supported", FALSE, at_most=True
            ),
            Question(f"at the margin, {name}", f"{edge}: {about}", draw, "greater", "refuted", FALSE, at_most=True),
        ]
    return asked


def try_judge(
    size: Size | None = None, studies: int = STUDIES, report: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Trains, simulates and judges; the record as plain data.

    Args:
        size: how much is trained.
        studies: simulated studies for each question.
        report: called with a line of progress.
    """
    size = size or Size()
    pools = train_pools(size, report)
    answers = []
    for question in questions(pools):
        answers.append(ask(question, studies))
        report(line(answers[-1]))
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
    return f"{answer.name:<32} {answer.outcome:<10} {share:<24} {limit:<7} {mark:<6} effect {answer.effect:+.4f}"


def table(record: dict[str, Any]) -> str:
    """The answers of a record as a Markdown table."""
    rows = ["| what is simulated | verdict | share | to keep |", "|---|---|---|---|"]
    for a in answers_of(record):
        limit = "" if a.limit is None else f"{'at most' if a.at_most else 'at least'} {a.limit:.0%}"
        rows.append(
            f"| {a.about} | '{_SAID[a.direction]}' {a.outcome} | {a.share:.1%} [{a.low:.1%}, {a.high:.1%}] | {limit} |"
        )
    return "\n".join(rows)
