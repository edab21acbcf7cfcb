"""The judge on trial: simulated studies of known truth, and how often the verdict is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qmoe.claims import ArmKey, ArmRuns, Claim, StudyRuns, judge
from qmoe.claims.vocabulary import Direction
from qmoe.seeding import child, numpy_generator
from qmoe.statistics.conventions import MARGIN
from qmoe.statistics.proportions import success_rate

#: Data seeds of a simulated study, as in the headline studies.
SEEDS = 30
#: Simulated studies for each question.
STUDIES = 2000
#: What is asked of many claims at once, which is no sentence as the others are.
ANY_CLAIM = "any claim"

#: Draws the scores of both arms, ``(seeds, per_data)`` each.
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
#: What came of one simulated study: the outcomes that did, and the mean difference (None where that says nothing).
Played = tuple[frozenset[str], float | None]


@dataclass(frozen=True)
class Limit:
    """What a share must keep.

    Attributes:
        outcome: the outcome whose share counts.
        share: what it must not exceed, or must reach; None where it is told for information.
        at_most: whether the limit is an upper one.
    """

    outcome: str
    share: float | None = None
    at_most: bool = True


@dataclass(frozen=True)
class Question:
    """What is asked of many simulated studies.

    Attributes:
        name: short name.
        about: what is simulated, and what is true of it.
        asked: what is claimed, in words.
        play: simulates and judges the study of a number.
        limits: the outcomes that are counted, and what their shares must keep.
    """

    name: str
    about: str
    asked: str
    play: Callable[[int], Played]
    limits: tuple[Limit, ...]


@dataclass(frozen=True)
class Answer:
    """How often an outcome came out.

    Attributes:
        name: name of the question.
        about: what was simulated.
        asked: what was claimed, in words.
        outcome: the outcome that was counted.
        share: its share among the studies.
        low: lower bound of the 95% Wilson interval of that share.
        high: upper bound.
        limit: what the share must not exceed, or must reach; None where it is told for information.
        at_most: whether the limit is an upper one.
        studies: number of studies.
        effect: mean difference of the arms over all studies; None where that says nothing.
    """

    name: str
    about: str
    asked: str
    outcome: str
    share: float
    low: float
    high: float
    limit: float | None
    at_most: bool
    studies: int
    effect: float | None

    @property
    def holds(self) -> bool:
        """Whether the share keeps its limit."""
        if self.limit is None:
            return True
        return self.share <= self.limit if self.at_most else self.share >= self.limit


def ask(question: Question, studies: int = STUDIES) -> list[Answer]:
    """Plays a question many times; an answer for each of its limits."""
    return answered(question, [question.play(number) for number in range(studies)])


def answered(question: Question, played: Sequence[Played]) -> list[Answer]:
    """The answers to a question from what came of its studies."""
    effects = [effect for _, effect in played if effect is not None]
    found = []
    for limit in question.limits:
        share = success_rate([float(limit.outcome in outcomes) for outcomes, _ in played], 0.5)
        found.append(
            Answer(
                question.name, question.about, question.asked, limit.outcome, share.value, share.low, share.high,
                limit.share, limit.at_most, len(played), float(np.mean(effects)) if effects else None,
            )
        )  # fmt: skip
    return found


@dataclass(frozen=True)
class TwoArms:
    """Two arms of one study, and a claim on them.

    Attributes:
        draw: gives the scores.
        direction: what is claimed of a against b.
        claims: claims judged together, each on a draw of its own; an outcome counts if any has it.
    """

    draw: Draw
    direction: Direction
    claims: int = 1

    def __call__(self, number: int, seed: int = 0) -> Played:
        """Judges the study of a number."""
        generator = numpy_generator(child(seed, number))
        claims = [_claim(f"claim{i}", self.direction) for i in range(self.claims)]
        drawn = [self.draw(generator) for _ in claims]
        results = {claim.id: as_study(claim.id, *pair) for claim, pair in zip(claims, drawn, strict=True)}
        verdicts = judge(claims, results, facts=False)
        outcomes = frozenset(str(verdict.outcome) for verdict in verdicts)
        return outcomes, float(np.mean([a.mean() - b.mean() for a, b in drawn]))


def as_study(name: str, a: np.ndarray, b: np.ndarray) -> StudyRuns:
    """Scores ``(seeds, per_data)`` of two arms as a study that the judge reads."""
    seeds, per_data = np.divmod(np.arange(a.size), a.shape[1])
    arms = {
        ArmKey(arm): ArmRuns(f"arm {arm}", seeds, per_data, {"test_accuracy": scores.ravel()})
        for arm, scores in (("a", a), ("b", b))
    }
    return StudyRuns(name, arms, chance=0.5)


def from_pool(pool: np.ndarray, per_data: int, seeds: int = SEEDS) -> Draw:
    """Two arms that are one: data seeds and initialisations of one pool ``(data, inits)``, without replacement."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        both = _picked(pool, 2 * per_data, seeds, generator)
        return both[:, :per_data], both[:, per_data:]

    return draw


def from_pools(pool_a: np.ndarray, pool_b: np.ndarray, per_data: int, seeds: int = SEEDS) -> Draw:
    """Two arms from two pools ``(data, inits)`` of the same data seeds, without replacement."""

    def draw(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        both = np.concatenate([pool_a, pool_b], axis=1)
        rows = generator.choice(len(both), seeds, replace=False)
        halves = np.split(both[rows], [pool_a.shape[1]], axis=1)
        a, b = (generator.permuted(half, axis=1)[:, :per_data] for half in halves)
        return a, b

    return draw


def _picked(pool: np.ndarray, count: int, seeds: int, generator: np.random.Generator) -> np.ndarray:
    rows = generator.choice(len(pool), seeds, replace=False)
    return generator.permuted(pool[rows], axis=1)[:, :count]


def _claim(name: str, direction: Direction) -> Claim:
    test = {"kind": "difference", "name": "test", "a": "a", "b": "b", "direction": direction, "margin": MARGIN}
    return Claim.model_validate({
        "id": name, "statement": f"a is {direction} b", "source": "simulated", "studies": [name], "tests": [test],
    })  # fmt: skip
