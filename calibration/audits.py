"""Audits on trial: two models of which it is known whether their quantum layer does anything.

``python -m calibration --audits`` audits each of them on fresh data many times, and counts the verdicts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import qmoe
from calibration.trying import Answer
from qmoe.auditing import AuditResult, audit
from qmoe.seeding import child, torch_generator
from qmoe.statistics.proportions import success_rate

PAGE = Path(__file__).parents[1] / "docs" / "audit.md"
OPEN, CLOSE = "<!-- audits -->", "<!-- /audits -->"
#: Audits of each model.
AUDITS = 100
#: Share of the verdicts that must be right.
REQUIRED = 0.95
#: Rows of a table, and splits of it.
ROWS, SPLITS = 320, 20
#: How models are trained.
TRAINING: dict[str, Any] = {"epochs": 40, "lr": 0.05, "batch_size": 64}
#: Root of all tables and seeds.
ROOT = 2612
#: What each audit compares with; the main verdict takes the first two.
ARMS = ("mean", "permuted", "twin")


class Beside(nn.Module):
    """A circuit beside the features: both go to a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = qmoe.QuantumLayer(qmoe.Circuit(4, 2))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 4)`` features to ``(B, 2)`` logits."""
        return self.head(torch.cat([x, self.circuit(x)], -1))


def through() -> nn.Module:
    """A circuit through which everything goes, then a linear classifier."""
    return nn.Sequential(qmoe.QuantumLayer(qmoe.Circuit(4, 2)), nn.Linear(4, 2))


def linear_table(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Four features in [0, pi] and labels of a logistic model: no function of them does better than a linear one."""
    x = math.pi * torch.rand(ROWS, 4, generator=generator)
    direction = torch.randn(4, generator=generator)
    logits = 2 * (x - math.pi / 2) @ (direction / direction.norm())
    return x, (torch.rand(ROWS, generator=generator) < torch.sigmoid(logits)).long()


def parity_table(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Four bits as angles near 0 and pi, and their parity: without the circuit a linear classifier can only guess."""
    bits = torch.randint(0, 2, (ROWS, 4), generator=generator)
    return math.pi * bits + 0.3 * torch.randn(ROWS, 4, generator=generator), bits.sum(1) % 2


#: Model -> what is true, path of the layer, the right verdict, how the model is built, and how a table is drawn.
_KNOWN: dict[str, tuple[str, str, str, Callable[[], nn.Module], Callable[[torch.Generator], tuple[Tensor, Tensor]]]] = {
    "idle": (
        "a circuit beside the features; labels are logistic in the features, so that it can add nothing",
        "circuit", "refuted", Beside, linear_table,
    ),
    "parity": (
        "a circuit before a linear classifier; labels are the parity of four bits, so that it carries everything",
        "0", "supported", through, parity_table,
    ),
}  # fmt: skip


def audited(name: str, number: int) -> AuditResult:
    """The audit of a number: a table of its own, and a seed of its own."""
    at = list(_KNOWN).index(name)
    _, path, _, build, draw = _KNOWN[name]
    x, y = draw(torch_generator(child(ROOT, at, number, 0)))
    seed = int(child(ROOT, at, number, 1).generate_state(1)[0])
    return audit(build, path, x, y, seeds=SPLITS, arms=ARMS, seed=seed, name=name, **TRAINING)


def try_audits(
    audits: int = AUDITS, report: Callable[[str], None] = lambda line: None, jobs: int = 1, first: int = 0
) -> dict[str, Any]:
    """Audits both models many times; the record as plain data.

    Args:
        audits: of each model.
        report: called with a line of progress.
        jobs: processes.
        first: number of the first audit.
    """
    found: dict[str, dict[str, int]] = {name: {} for name in _KNOWN}
    twins: dict[str, int] = {}
    tasks = [(name, number) for number in range(first, first + audits) for name in _KNOWN]
    for done, ((name, _), (outcome, twin)) in enumerate(zip(tasks, _play(tasks, jobs), strict=True), 1):
        found[name][outcome] = found[name].get(outcome, 0) + 1
        if name == "parity":
            twins[twin] = twins.get(twin, 0) + 1
        if done % 20 == 0:
            report(f"{done} of {len(tasks)} audits: {found}")
    return {
        "version": qmoe.__version__, "audits": audits, "rows": ROWS, "splits": SPLITS, **TRAINING,
        "outcomes": found, "twin_of_parity": twins,
    }  # fmt: skip


def audit_answers(record: dict[str, Any]) -> list[Answer]:
    """How often each verdict was right, and how often it was the opposite."""
    found = []
    for name, (about, _, right, _, _) in _KNOWN.items():
        wrong = "supported" if right == "refuted" else "refuted"
        for outcome, limit, at_most in ((right, REQUIRED, False), (wrong, 1 - REQUIRED, True)):
            n, times = record["audits"], record["outcomes"][name].get(outcome, 0)
            share = success_rate([1.0] * times + [0.0] * (n - times), 0.5)
            figures = share.value, share.low, share.high, limit, at_most, n, None
            found.append(Answer(name, about, "the model needs what the layer computes", outcome, *figures))
    return found


def write_audits(record: dict[str, Any]) -> None:
    """Replaces the committed record, and its table in docs/audit.md."""
    Path(__file__).with_name("audits.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    before, rest = PAGE.read_text(encoding="utf-8").split(OPEN)
    PAGE.write_text(f"{before}{OPEN}\n{audit_table(record)}\n{CLOSE}{rest.split(CLOSE)[1]}", encoding="utf-8")


def audit_table(record: dict[str, Any]) -> str:
    """The answers of a record as a Markdown table."""
    rows = ["| what is known | verdict | frequency [95% CI] | required | audits |", "|---|---|---|---|---|"]
    for a in audit_answers(record):
        limit = f"{'at most' if a.at_most else 'at least'} {a.limit:.0%}"
        rows.append(f"| {a.about} | {a.outcome} | {a.share:.1%} [{a.low:.1%}, {a.high:.1%}] | {limit} | {a.studies} |")
    return "\n".join(rows)


def load_audits() -> dict[str, Any]:
    """The committed record."""
    return json.loads(resources.files(__package__).joinpath("audits.json").read_text(encoding="utf-8"))


def _play(tasks: list[tuple[str, int]], jobs: int) -> Iterator[tuple[str, str]]:
    if jobs == 1:
        yield from map(_one, tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as workers:
        yield from workers.map(_one, tasks)


def _one(task: tuple[str, int]) -> tuple[str, str]:
    torch.set_num_threads(1)
    result = audited(*task)
    twin = next(v for v in result.verdicts if v.claim.id == "twin")
    return str(result.outcome), str(twin.outcome)
