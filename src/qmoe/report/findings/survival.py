"""Which claims survive which choices of the analysis: a row for each claim, a column for each alternative."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import Outcome, Verdict
from qmoe.claims.analyses.choices import alternative_words, choice_words
from qmoe.claims.analyses.over_analyses import SpecificationRow
from qmoe.claims.deciding.combining import combined
from qmoe.report.findings.judged import Judged
from qmoe.report.findings.other_analyses import Analysed, analysed, decided_once
from qmoe.report.tables import DASH, Column, Table, outcome_words, text
from qmoe.report.words import join

#: The choices of a specification, and what it says of a claim.
_Said = tuple[Mapping[str, str], Outcome]


@dataclass(frozen=True)
class Cell:
    """What the analyses with one alternative say.

    Attributes:
        outcome: what more than half of them say; ``"split"`` where none has so many.
        n: how many say it; of a split, how many support.
        total: how many there are.
    """

    outcome: str
    n: int
    total: int

    @property
    def words(self) -> str:
        """``"refuted 5/6"``, as a table of words has it."""
        return self.outcome if self.outcome == "split" else f"{self.outcome} {self.n}/{self.total}"


@dataclass(frozen=True)
class Row:
    """A claim, or a claim on one study.

    Attributes:
        claim: its id.
        about: what it is about; of a claim on one study, that study.
        outcome: its verdict.
        cells: a cell for each column; None where no analysis has that alternative.
        part: whether it is a claim on one study, below the claim.
    """

    claim: str
    about: str
    outcome: Outcome
    cells: tuple[Cell | None, ...]
    part: bool = False


@dataclass(frozen=True)
class Survival:
    """The whole of it.

    Attributes:
        columns: choice and alternative of each column, as specifications name them.
        rows: claims in their order, each with its studies below it.
        single: ids of the claims that rest on one analysis.
        once: ids of those refuted at every analysis by what was compared at the study's own choices alone.
        starts: as `Judged.starts`.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    single: tuple[str, ...]
    once: tuple[str, ...] = ()
    starts: int = 0

    @property
    def choices(self) -> list[tuple[str, list[str]]]:
        """The choices in words, each with the words of its alternatives."""
        found: dict[str, list[str]] = {}
        for choice, alternative in self.columns:
            words = alternative_words(choice, alternative, starts=self.starts, short=True)
            found.setdefault(choice, []).append(words)
        return [(choice_words(choice), alternatives) for choice, alternatives in found.items()]

    @property
    def note(self) -> str:
        """Which claims rest on one analysis; "" where none does."""
        told = []
        if self.once:
            told.append(f"{join(self.once)}: refuted by what was compared at the study's own choices alone.")
        if self.single:
            told.append(f"{join(self.single)}: analysed in one way only, so nothing is known about other choices.")
        return " ".join(told)

    def table(self) -> Table:
        """The same in words, for CSV and LaTeX."""
        keys = [f"{choice}: {alternative}" for choice, alternative in self.columns]
        heads = [alternative_words(c, a, starts=self.starts) for c, a in self.columns]
        body = []
        for row in self.rows:
            values: dict[str, object] = {"claim": row.claim, "about": row.about, "verdict": row.outcome}
            cells = zip(keys, row.cells, strict=True)
            body.append(values | {key: None if cell is None else cell.words for key, cell in cells})
        columns = (
            Column("claim", ("claim",), text, number=False),
            Column("about", ("about",), text, number=False, wraps=True),
            Column("verdict", ("verdict",), outcome_words, number=False),
            *(Column(head, (key,), _shown, number=False) for head, key in zip(heads, keys, strict=True)),
        )
        caption = "Claims and choices: what the analyses with each alternative say, and how many of them."
        return Table("analyses", caption, columns, tuple(body))


def survival(judged: Judged, titles: Mapping[str, str]) -> Survival | None:
    """Claims against choices; None where no claim rests on several analyses.

    Args:
        judged: all verdicts.
        titles: what readers call the studies.
    """
    ordered = [v for v in judged.verdicts if v.claim.headline] + [v for v in judged.verdicts if not v.claim.headline]
    several = [v for v in ordered if analysed(v)]
    if not several:
        return None
    analyses = [row for v in several for part in analysed(v) for row in part.multiverse.rows]
    columns = _columns(analyses)
    rows: list[Row] = []
    for v in several:
        parts = analysed(v)
        about = v.claim.topic or v.claim.statement
        rows.append(Row(v.claim.id, about, v.outcome, _cells(_whole(v, parts), columns)))
        if v.per_study:
            rows += [
                Row(v.claim.id, titles.get(p.verdict.study, p.verdict.study), p.verdict.outcome,
                    _cells([(row.choices, row.outcome) for row in p.multiverse.rows], columns), True)
                for p in parts
            ]  # fmt: skip
    single = tuple(v.claim.id for v in ordered if v not in several)
    once = tuple(v.claim.id for v in several if any(decided_once(part.multiverse) for part in analysed(v)))
    return Survival(columns, tuple(rows), single, once, judged.starts)


def _whole(verdict: Verdict, parts: Sequence[Analysed]) -> list[_Said]:
    """What each specification says of a claim; of one with a verdict for each study, all studies together."""
    if not verdict.per_study:
        return [(row.choices, row.outcome) for part in parts for row in part.multiverse.rows]
    by_part = [{frozenset(row.choices.items()): row.outcome for row in part.multiverse.rows} for part in parts]
    names = {part.verdict.study for part in parts}
    rest = [v.own for v in verdict.per_study if v.study not in names]
    found: list[_Said] = []
    for key in dict.fromkeys(key for outcomes in by_part for key in outcomes):
        # A study that has not this specification keeps what it says at its own.
        told = [outcomes.get(key, part.verdict.own) for outcomes, part in zip(by_part, parts, strict=True)]
        found.append((dict(key), combined([*told, *rest], verdict.claim.combine)))
    return found


def _columns(rows: Sequence[SpecificationRow]) -> tuple[tuple[str, str], ...]:
    """Every alternative of every choice that has several, choices and alternatives in their order of first sight."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for choice, alternative in row.choices.items():
            found.setdefault(choice, {})[alternative] = None
    return tuple(
        (choice, one) for choice, alternatives in found.items() if len(alternatives) > 1 for one in alternatives
    )


def _cells(said: Sequence[_Said], columns: Sequence[tuple[str, str]]) -> tuple[Cell | None, ...]:
    found: list[Cell | None] = []
    for choice, alternative in columns:
        outcomes = Counter(outcome for choices, outcome in said if choices.get(choice) == alternative)
        total = sum(outcomes.values())
        if not total:
            found.append(None)
            continue
        commonest, n = outcomes.most_common(1)[0]
        found.append(Cell(commonest, n, total) if 2 * n > total else Cell("split", outcomes["supported"], total))
    return tuple(found)


def _shown(words: str | None) -> str:
    return DASH if words is None else words
