"""The top of the page: which claims held, the paper's numbers compared with ours, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.claims import CLAIMS, Verdict
from qmoe.errors import count
from qmoe.report.findings.contents import Provenance
from qmoe.report.findings.headline import MIN_SEEDS, HeadlineRow
from qmoe.report.findings.judged import Judged, effect_words, telling
from qmoe.report.findings.other_analyses import analysed
from qmoe.report.findings.paper import is_preset
from qmoe.report.findings.verdict_words import by_study_words, changing
from qmoe.report.tables import (
    Column,
    Table,
    drop_empty,
    outcome_words,
    percentile,
    printed,
    printed_interval,
    printed_span,
    text,
)
from qmoe.report.words import join
from qmoe.studies import StudyResults
from qmoe.studies.store.results import later_keys, other_numerics

_PHASES = {"phase1": "1", "phase2": "2", "phase3": "3"}
_DATA = {"phase1-synthetic-published": "synthetic, ", "phase1-mnist-published": "MNIST, "}
#: What one claim did, and what several did.
_HELD = {
    "supported": ("held", "held"),
    "refuted": ("did not hold", "did not hold"),
    "depends": ("depends on the analysis", "depend on the analysis"),
    "inconclusive": ("is inconclusive", "are inconclusive"),
}
_LEADS = {
    "supported": "What held",
    "refuted": "What did not hold",
    "depends": "What depends on the analysis",
    "inconclusive": "What is inconclusive",
}


@dataclass(frozen=True)
class Lead:
    """One line at the very top.

    Attributes:
        outcome: which verdict it tells of; "" for all.
        label: what opens it.
        items: id of a claim, its statement, and what its verdict means, or "".
    """

    outcome: str
    label: str
    items: tuple[tuple[str, str, str], ...]


#: Studies that a title names one by one.
_NAMED = 3


def page_title(results: Sequence[StudyResults]) -> str:
    """What the page is about: studies of the user's own by their titles, the paper's and others together as a whole."""
    own = [result.study.title for result in results if not is_preset(result.study)]
    if not own or len(own) < len(results):
        return "Quantum routers for mixtures of experts: what was seen"
    return "; ".join(own) if len(own) <= _NAMED else f"{'; '.join(own[:_NAMED])}; and {len(own) - _NAMED} more"


def opening_sentence(judged: Judged) -> str:
    """How many claims held, did not, and are inconclusive; "" where none is shown."""
    verdicts = [v for v in judged.verdicts if v.claim.headline]
    others = [v for v in judged.verdicts if not v.claim.headline]
    parts = []
    if verdicts:
        whose = f" that matter{'s' * (len(verdicts) == 1)} most" if others else ""
        whose = " of the paper" if all(v.claim.id in CLAIMS for v in verdicts) else whose
        parts.append(f"Of {count(len(verdicts), 'claim')}{whose}, {_counted(verdicts)}.{_how_often(verdicts)}")
    if others:
        parts.append(f"Of {count(len(others), 'further claim')}, {_counted(others)}.")
    turning = changing(judged, verdicts or others)
    if turning:
        at_best = changing(judged, verdicts or others, "best")
        stand = f"{join(at_best)} {'does' if len(at_best) == 1 else 'do'} too" if at_best else "all verdicts stand"
        parts.append(
            f"{join(turning)} would get another verdict at some other learning rate than the study's own; with every arm "
            f"at its own best rate, {stand}."
        )
    return " ".join(parts)


def leads(judged: Judged, titles: Mapping[str, str] | None = None) -> list[Lead]:
    """What held, what did not, what is inconclusive: the headline claims where there are any, else all.

    Args:
        judged: all verdicts.
        titles: what readers call the studies.
    """
    verdicts = [v for v in judged.verdicts if v.claim.headline] or list(judged.verdicts)
    found = []
    for outcome, label in _LEADS.items():
        members = [v for v in verdicts if v.outcome == outcome]
        items = [(v.claim.id, v.claim.statement, _instead(v, titles or {})) for v in members]
        found += [Lead(outcome, label, tuple(items))] if items else []
    return found


def unexamined_sentence(judged: Judged) -> str:
    """Which headline claims have no study here; "" where all have, or where no claim is shown at all.

    Claims of the paper are missing only where some of them are shown: a study of the user's own does not ask them.
    """
    about_paper = any(v.claim.id in CLAIMS for v in judged.verdicts)
    missing = [c for c in judged.unexamined if c.headline and (about_paper or c.id not in CLAIMS)]
    if not missing or not judged.verdicts:
        return ""
    named = [f"{c.id} ({c.topic})" if c.topic else c.id for c in missing]
    return f"Not examined on this page, because their results are not in the store: {join(named)}."


def verdict_table(judged: Judged) -> Table | None:
    """A row for each claim: verdict and effect."""
    body = []
    for v in judged.verdicts:
        key = telling(v)
        effect = key.interval if key is not None and key.interval is not None else (None, None, None)
        row: dict[str, object] = {"claim": v.claim.id, "statement": v.claim.statement, "verdict": v.outcome}
        row |= {"effect": effect[0], "low": effect[1], "high": effect[2], "shown": effect_words(key)}
        row |= {"study": key.study if key else None, "metric": key.metric if key else None}
        row |= {"a": key.a if key else None, "b": key.b if key else None}
        body.append(row)
    columns = (
        Column("claim", ("claim",), text, number=False),
        Column("statement", ("statement",), text, number=False, wraps=True),
        Column("verdict", ("verdict",), outcome_words, number=False),
        Column("effect [95%]", ("shown",), text),
    )
    caption = "Verdicts, each with the difference or ratio that decides it or comes nearest to deciding it."
    return Table("verdicts", caption, columns, tuple(body)) if body else None


def summary(results: Sequence[StudyResults], rows: Sequence[HeadlineRow]) -> list[str]:
    """The figures in a few sentences, all made from the data."""
    compared = [row for row in rows if row.percentile is not None]
    own = [result.study.title for result in results if not is_preset(result.study)]
    own = [] if len(own) == len(results) else own  # where nothing else is here, they are what the page is about
    done = any(result.columns.done.any() for result in results)
    lines = []
    if compared:
        outside = [row for row in compared if row.outside]
        runs = sorted({row.n for row in compared})
        each = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
        if runs[-1] < MIN_SEEDS:
            each += " runs, too few to say where a number lies in it"
        else:
            each += " runs"
        verdict = "All of them lie" if not outside else f"{len(compared) - len(outside)} of them lie"
        lines.append(
            f"{len(compared)} numbers that the paper publishes from single runs stand here beside the distribution that "
            f"the same protocol gives over {each}."
        )
        if runs[-1] >= MIN_SEEDS:
            rest = f"; {len(outside)} {'does' if len(outside) == 1 else 'do'} not." if outside else "."
            lines.append(f"{verdict} within the middle 98% of our runs{rest}")
    if own:
        lines.append(f"Studies beyond the paper: {join(own)}.")
    return [" ".join(lines)] if lines or done else ["No trial is finished yet."]


def headline_table(rows: Sequence[HeadlineRow]) -> Table | None:
    """Every published figure beside ours."""
    body = [
        {
            **row.to_dict(),
            "shown_phase": _PHASES.get(row.phase, row.phase),
            "shown": _DATA.get(row.study, "") + (row.what if row.quantity == "loss" else row.measured),
            "outside": row.outside,
        }
        for row in rows
        if row.paper is not None
    ]
    if not body:
        return None
    columns = (
        Column("phase", ("shown_phase",), text, number=False),
        Column("quantity", ("shown",), text, number=False),
        Column("paper", ("paper", "decimals"), printed),
        Column("ours, mean [95%]", ("mean", "low", "high", "decimals"), printed_interval),
        Column("min … max", ("minimum", "maximum", "decimals"), printed_span),
        Column("runs", ("n",), str),
        Column("percentile", ("percentile",), percentile, starred="outside"),
    )
    caption = (
        "Each published number beside our runs of the same protocol. Percentile: share of our runs below the published "
        "number; near 50 it is typical; a star marks those outside the middle 98%."
    )
    return Table("headline", caption, drop_empty(columns, body), tuple(body))


def provenance_items(about: Provenance, digest: str = "") -> list[tuple[str, str]]:
    """The provenance box: term and value; with the SHA-256 of the store if that is known."""
    items = [
        ("qmoe", join(about.versions)),
        ("commit", join(about.commits) or "installed package"),
        ("engine", join(about.engines) or "none (no circuit)"),
        ("threads", f"{join([str(t) for t in about.threads])} in each process"),
        ("precision", join(about.dtypes)),
        ("trials", f"{about.n_trials:,}"),
        ("seeds", f"{count(about.n_data_seeds, 'draw')} of data, {count(about.n_init_seeds, 'initialisation')}"),
        ("training time", duration(about.seconds) + ", summed over processes"),
    ]
    if about.first:
        same = about.first[:10] == about.last[:10]
        items.append(("dates", about.first[:10] if same else f"{about.first[:10]} to {about.last[:10]}"))
    if digest:
        items.append(("SHA-256 of the store", digest))
    return items


#: As many seeds as ``--quick`` has, which are too few for any test.
QUICK_SEEDS = 3


def quick_check(results: Sequence[StudyResults]) -> list[str]:
    """That studies with few seeds decide nothing, for the very top of the page."""
    quick = [r.study.name for r in results if max(r.study.seeds.data, r.study.seeds.per_data) <= QUICK_SEEDS]
    if not quick:
        return []
    which = "" if len(quick) == len(results) else f" ({join(quick)})"
    return [f"A quick check: {QUICK_SEEDS} seeds or fewer show that everything runs, and decide nothing.{which}"]


def gaps(results: Sequence[StudyResults], unreadable: Sequence[tuple[str, str]] = ()) -> list[str]:
    """What is missing, failed or cannot be read, for the very top of the page."""
    total = sum(len(r.members) for r in results)
    lines = [f"The study {name} cannot be read and is left out: {reason}" for name, reason in unreadable]
    lines += [f"The study {r.study.name}: {later_keys(r.unknown)}" for r in results if r.unknown]
    lines += [f"The study {r.study.name}: {other_numerics(r.numerics)}" for r in results if r.numerics is not None]
    lines += missing_words(results)
    failed = [(member, record) for r in results for member, record in r.failed]
    if failed:
        plural = "s" if len(failed) > 1 else ""
        lines.append(f"{len(failed):,} of {count(total, 'trial')} failed and are left out of every number:")
        lines += [
            f"{m.arm}{'' if m.strength is None else f' at p = {m.strength:g}'}: {r.error}" for m, r in failed[:20]
        ]
        if len(failed) > 20:
            lines.append(f"and {len(failed) - 20} more failed trial{plural}.")
    return lines


def missing_words(results: Sequence[StudyResults]) -> list[str]:
    """How many trials are still to train, and of which studies."""
    total, missing = sum(len(r.members) for r in results), sum(r.n_missing for r in results)
    lines = []
    if missing:
        where = join([f"{r.study.name} {r.n_missing} of {len(r.members)}" for r in results if r.n_missing])
        lines.append(f"{missing:,} of {count(total, 'trial')} missing: run the same command again. ({where})")
    beside = [f"{r.study.name} {n}" for r in results if (n := _missing_elsewhere(r))]
    if beside:
        lines.append(f"Trials of other analyses are missing: run the same command again. ({join(beside)})")
    return lines


def _missing_elsewhere(results: StudyResults) -> int:
    """Trials that specifications other than the study's own still lack."""
    if results.study.multiverse is None:
        return 0
    own = {member.trial.hash for member in results.members}
    missing = {
        trial.hash
        for each in results.specifications
        for trial in each.columns.trials[~each.columns.done & ~each.columns.failed]
    }
    return len(missing - own)


def duration(value: float) -> str:
    """Seconds as a reader would say them."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


def _how_often(verdicts: Sequence[Verdict]) -> str:
    """At how many analyses claims were judged; "" where each was at one."""
    several = [v for v in verdicts if analysed(v)]
    if not several:
        return ""
    n = max(len(part.multiverse.rows) for v in several for part in analysed(v))
    if len(verdicts) == 1:
        return f" It was judged at up to {n} analyses."
    who = "All" if len(several) == len(verdicts) else f"{len(several)}"
    return f" {who} of them {'was' if who == '1' else 'were'} judged at up to {n} analyses each."


def _instead(verdict: Verdict, titles: Mapping[str, str]) -> str:
    claim = verdict.claim
    words = {"supported": claim.if_supported, "refuted": claim.if_refuted}.get(verdict.outcome, "")
    return f"{words} {by_study_words(verdict, titles)}".strip()


def _counted(verdicts: Sequence[Verdict]) -> str:
    counts = {outcome: sum(v.outcome == outcome for v in verdicts) for outcome in _HELD}
    return join([f"{n} {_HELD[outcome][n > 1]}" for outcome, n in counts.items() if n])
