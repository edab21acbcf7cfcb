"""The trial of the judge as a whole: what is asked, and the committed record of the answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context
from typing import Any

import numpy as np

import qmoe
from calibration.pools import Pools, Size, Teacher, moons, quantum_router, same_router, train_pool
from calibration.questions import questions
from calibration.trying import ANY_CLAIM, SEEDS, STUDIES, Answer, Played, Question, answered
from qmoe.statistics.conventions import MARGIN

#: Seed of the teacher circuit.
TEACHER = 0
#: Studies that one process plays before it reports.
AT_ONCE = 50


def train_pools(size: Size, report: Callable[[str], None] = lambda line: None) -> Pools:
    """Trains the four arms that simulated studies are drawn from.

    Args:
        size: how much is trained.
        report: called with a line after each arm.

    Returns:
        ``(data, inits)`` test accuracies by name: the paper's router, the same without its last RZ gates, both on two moons;
        the teacher's twin, whole and reduced, on the teacher's labels.
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
    return as_record(pools, size, answers)


def as_record(pools: Pools, size: Size, answers: Sequence[Answer]) -> dict[str, Any]:
    """The record as plain data.

    Args:
        pools: the trained arms.
        size: how much was trained.
        answers: what came of the questions.
    """
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
    rows = ["| simulated truth | verdict | frequency [95% CI] | required | studies |", "|---|---|---|---|---|"]
    for a in answers_of(record):
        limit = "" if a.limit is None else f"{'at most' if a.at_most else 'at least'} {a.limit:.0%}"
        rows.append(f"| {a.about} | {_said(a)} | {a.share:.1%} [{a.low:.1%}, {a.high:.1%}] | {limit} | {a.studies:,} |")
    return "\n".join(rows)


def _said(answer: Answer) -> str:
    claim = answer.asked if answer.asked == ANY_CLAIM else f"'{answer.asked}'"
    return f"{claim} {'depends on the analysis' if answer.outcome == 'depends' else answer.outcome}"
