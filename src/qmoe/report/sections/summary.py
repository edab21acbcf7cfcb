"""The top of the page: what was seen, in one paragraph and one table, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence

from qmoe.report.findings.contents import Provenance
from qmoe.report.findings.headline import MIN_SEEDS, HeadlineRow
from qmoe.report.findings.paper import is_preset
from qmoe.report.pictures.style import join
from qmoe.report.tables import Column, Table, drop_empty, percentile, printed, printed_interval, printed_span, text
from qmoe.studies import StudyResults

_PHASES = {"phase1": "1", "phase2": "2", "phase3": "3"}
_DATA = {"phase1-synthetic-published": "synthetic, ", "phase1-mnist-published": "MNIST, "}


def summary(results: Sequence[StudyResults], rows: Sequence[HeadlineRow]) -> list[str]:
    """The figures in a few sentences, all made from the data."""
    compared = [row for row in rows if row.percentile is not None]
    own = [result.study.title for result in results if not is_preset(result.study)]
    done = any(record.error is None for result in results for record in result.records.values())
    lines = []
    if compared:
        outside = [row for row in compared if row.outside]
        runs = sorted({row.n for row in compared})
        each = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
        if runs[-1] < MIN_SEEDS:
            each += " runs, too few to say where a figure lies in it"
        else:
            each += " runs"
        verdict = "All of them lie" if not outside else f"{len(compared) - len(outside)} of them lie"
        lines.append(
            f"{len(compared)} figures that the paper publishes from single runs stand here beside the distribution that "
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
            "shown": _DATA.get(row.study, "") + row.what.replace(": test accuracy, epoch 7", ": test accuracy"),
            "outside": row.outside,
        }
        for row in rows
        if row.paper is not None
    ]
    if not body:
        return None
    columns = (
        Column("phase", ("shown_phase",), text, number=False),
        Column("figure", ("shown",), text, number=False),
        Column("paper", ("paper", "decimals"), printed),
        Column("ours, mean [95%]", ("mean", "low", "high", "decimals"), printed_interval),
        Column("min … max", ("minimum", "maximum", "decimals"), printed_span),
        Column("runs", ("n",), str),
        Column("percentile", ("percentile", "outside"), percentile),
    )
    caption = (
        "Each published figure beside our runs of the same protocol. Percentile: share of our runs below the published "
        "figure; near 50 it is typical; a star marks those outside the middle 98%."
    )
    return Table("headline", caption, drop_empty(columns, body), tuple(body))


def provenance_items(about: Provenance) -> list[tuple[str, str]]:
    """The provenance box: term and value."""
    items = [
        ("qmoe", join(about.versions)),
        ("commit", join(about.commits) or "installed package"),
        ("engine", join(about.engines) or "none (no circuit)"),
        ("threads", f"{join([str(t) for t in about.threads])} in each process"),
        ("numbers", join(about.dtypes)),
        ("trials", f"{about.n_trials:,}"),
        ("seeds", f"{about.n_data_seeds} draws of data, {about.n_init_seeds} initialisations"),
        ("training time", duration(about.seconds) + ", summed over processes"),
    ]
    if about.first:
        same = about.first[:10] == about.last[:10]
        items.append(("dates", about.first[:10] if same else f"{about.first[:10]} to {about.last[:10]}"))
    return items


def gaps(results: Sequence[StudyResults], unreadable: Sequence[tuple[str, str]] = ()) -> list[str]:
    """What is missing, failed or cannot be read, for the very top of the page."""
    total, missing = sum(len(r.members) for r in results), sum(r.n_missing for r in results)
    lines = [f"The study {name} cannot be read and is left out: {reason}" for name, reason in unreadable]
    if missing:
        where = join([f"{r.study.name} {r.n_missing} of {len(r.members)}" for r in results if r.n_missing])
        lines.append(f"{missing} of {total} trials missing: run the same command again. ({where})")
    beside = [f"{r.study.name} {n}" for r in results if (n := _missing_elsewhere(r))]
    if beside:
        lines.append(f"Trials of other analyses are missing: run the same command again. ({join(beside)})")
    failed = [(member, record) for r in results for member, record in r.failed]
    if failed:
        plural = "s" if len(failed) > 1 else ""
        lines.append(f"{len(failed)} of {total} trials failed and are left out of every figure:")
        lines += [f"{m.arm}{'' if m.strength is None else f', p = {m.strength:g}'}: {r.error}" for m, r in failed[:20]]
        if len(failed) > 20:
            lines.append(f"and {len(failed) - 20} more failed trial{plural}.")
    return lines


def _missing_elsewhere(results: StudyResults) -> int:
    """Trials that specifications other than the study's own still lack."""
    if results.study.multiverse is None:
        return 0
    own = {member.trial.hash for member in results.members}
    return len(
        {
            member.trial.hash
            for each in results.specifications
            for member in each.members
            if member.trial.hash not in each.records and member.trial.hash not in own
        }
    )


def duration(value: float) -> str:
    """Seconds as a reader would say them."""
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
