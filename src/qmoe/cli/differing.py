"""What differs between two results folders, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer
from rich import box
from rich.table import Table

from qmoe.cli.console import make_console, say
from qmoe.cli.jobs import STORE, own_claims
from qmoe.errors import count
from qmoe.report.tables import outcome_words, signed
from qmoe.report.two_folders import (
    Deciding,
    ResultsDifference,
    StudyDifference,
    StudyFacts,
    VerdictDifference,
    compare_results,
)
from qmoe.report.words import join

#: Options of a study that are told; `--json` has all.
_TOLD = 12


def diff_job(a: Path, b: Path, as_json: bool, claims: Path | None) -> None:
    """Shows what differs between the results in ``a`` and ``b``."""
    found = compare_results(a / STORE, b / STORE, own_claims(claims))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    console = make_console()
    for folder, unreadable in zip((a, b), found.unreadable, strict=True):
        for name, reason in unreadable:
            say(console, f"The study {name} in {folder} cannot be read and is left out: {reason}")
    for line in _lines(found, a, b):
        say(console, line) if isinstance(line, str) else console.print(line)


def _lines(found: ResultsDifference, a: Path, b: Path) -> Iterator[str | Table]:
    yield f"A is {a}, B is {b}."
    changed = found.changed
    yield f"Verdicts that differ: {len(changed) or 'none'} of {len(found.verdicts)}."
    if changed:
        yield _verdicts(changed)
        for verdict in changed:
            yield from _why(verdict)
    if not found.differing:
        yield "Studies, numbers and versions are alike."
    for study in found.differing:
        yield f"Study {study.name}"
        yield from (f"  {line}" for line in _differences(study))


def _verdicts(changed: list[VerdictDifference]) -> Table:
    table = Table(title="Verdicts that differ", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("claim", "on", "A", "B"):
        table.add_column(column)
    for column in ("effect in A [95%]", "draws", "effect in B [95%]", "draws"):
        table.add_column(column, justify="right", no_wrap=True)
    for v in changed:
        table.add_row(v.claim, v.study or "all", _outcome(v.a), _outcome(v.b), *_numbers(v.by_a), *_numbers(v.by_b))
    return table


def _outcome(outcome: str | None) -> str:
    return "not judged" if outcome is None else outcome_words(outcome)


def _numbers(by: Deciding | None) -> tuple[str, str]:
    if by is None:
        return "", ""
    if by.scale == "ratio":
        return f"×{by.effect:.3g} [{by.low:.3g}, {by.high:.3g}]", str(by.draws)
    return signed(by.effect, by.low, by.high), str(by.draws)


def _why(verdict: VerdictDifference) -> Iterator[str]:
    yield f"{verdict.claim}{f' on {verdict.study}' if verdict.study else ''}: {verdict.statement}"
    for side, why in (("A", verdict.why_a), ("B", verdict.why_b)):
        yield f"  {side}: {why[0] if why else 'no study that it is about is there.'}"
    if not verdict.studies:
        yield (
            f"  No study that it rests on differs. Its p-values are corrected within its family, {verdict.family}, or by "
            "measurements beside the trials."
        )
    else:
        yield f"  It rests on {join(verdict.studies)}, of which differences follow."


def _differences(study: StudyDifference) -> Iterator[str]:
    a, b = study.a, study.b
    if a is None or b is None:
        yield f"only in {'B' if a is None else 'A'}."
        return
    for one in study.options[:_TOLD]:
        yield f"{one.key}: {_value(one.a)} in A, {_value(one.b)} in B."
    if len(study.options) > _TOLD:
        yield f"{len(study.options) - _TOLD} more options differ; --json names them."
    if study.differing:
        yield f"{count(study.differing, 'trial')} with the same options and seeds gave different numbers."
    for name, words in (
        ("draws", "finished draws of the data"),
        ("done", "finished trials"),
        ("failed", "failed trials"),
        ("missing", "missing trials"),
        ("versions", "version of qmoe"),
        ("commits", "commit of qmoe"),
    ):
        mine, other = _fact(a, name), _fact(b, name)
        if mine != other:
            yield f"{words}: {mine} in A, {other} in B."
    if a.numerics != b.numerics:
        yield (
            f"numerics: {a.numerics} in A, {b.numerics} in B. Trials of other numerics than this version's count as missing."
        )


def _fact(facts: StudyFacts, name: str) -> str:
    value = getattr(facts, name)
    return ", ".join(value) or "none" if isinstance(value, tuple) else f"{value:,}"


def _value(value: object) -> str:
    return "absent" if value is None else json.dumps(value) if isinstance(value, bool) else str(value)
