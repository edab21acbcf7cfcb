"""The end of the page: cost, how to repeat it, and how it was done."""

from __future__ import annotations

from collections.abc import Sequence

from qmoe.claims import registered
from qmoe.claims.registration import older_runs
from qmoe.errors import count
from qmoe.report.findings.arms import arms_of, finished
from qmoe.report.findings.contents import engines_of
from qmoe.report.findings.rung_results import has_ladder
from qmoe.report.sections.blocks import Block, Context, Section, Text
from qmoe.report.tables import Column, Table, drop_empty, general, seconds, text, times
from qmoe.studies import Study, StudyResults, load_preset, preset_names

#: How it was done: each sentence or two with the question whether they are about any of the studies.
_PUBLISHED = (
    "Published protocol: the authors' data (where a seed is known, with that seed) and their measure. Only the first "
    "weights and the order of the batches differ between our runs."
)
_HELD_OUT = (
    "Held-out protocol: new points for every data seed, scaling fitted on the training part, accuracy on held-out data. "
    "Planar and other sampled data sets have 5,000 new test points."
)
_OWN = (
    "Held-out protocol: every data seed is another {what}. Scaling is fitted on the training part, and accuracy is that on "
    "held-out data."
)
_SEEDS = (
    "Each draw of the data has initialisations of its own. All arms meet the same pairs of seeds, with the same first "
    "weights of the experts."
)
_PERCENTILE = (
    "Percentile: the share of our runs below the published number, ties counted half, after rounding ours to its decimals. "
    "A number below the 1st or above the 99th percentile lies outside the middle 98%."
)
_ALWAYS = (
    "Training: Adam on cross-entropy. The printed loss is summed over the batches of an epoch, as in the paper. Epochs are "
    "counted from 0, so 'after epoch 7' is the eighth. Analyses by L-BFGS train to convergence from several starts, and the "
    "start with the least training loss counts.",
    "Routers of fixed functions (the twin, trigonometric, random Fourier, quadratic) see these functions standardised on "
    "the training part.",
    "Confidence interval: 95% for the mean, by a bias-corrected and accelerated (BCa) bootstrap. Runs on the same data are "
    "averaged first, so that the interval is over data seeds. Where all runs share the data it is over initialisations.",
    "Differences between arms are paired: equal data seed and equal initialisation seed. In tables, 'clearly' means that "
    "the 95% interval of the difference excludes 0 on at least six independent seeds. These intervals are not corrected for "
    "multiple comparisons.",
    "Verdicts: each claim names its comparisons and the smallest difference that matters. 'Supported' and 'refuted' both "
    "have to be shown: by a sign-flip test, corrected for multiple comparisons over the claims of a family (Holm), and by "
    "the 95% interval. A difference that was not found refutes nothing; what shows neither is inconclusive. Where a study "
    "lists other analyses, the claim is judged at each of them. A verdict that turns with them 'depends on the analysis'.",
    "No seed was chosen for its result: single-seed pictures show the first seed.",
)


def cost_section(context: Context) -> list[Section]:
    """Seconds of one model for every arm, and of each study."""
    body = []
    for results in context.results:
        if has_ladder(results):
            body.append(_ladder_cost(results))
            continue
        arms = {arm.name: arm for arm in reversed(finished(results))}
        for arm in reversed(arms.values()):
            same = [a for a in arms_of(results) if a.name == arm.name]
            total = float(sum(a.columns.shares[a.done].sum() for a in same if a.columns is not None))
            n = sum(a.n for a in same)
            alone = context.contents.times.alone(arm)
            engine = "" if arm.columns is None else engines_of(arm.columns.take(arm.done))
            per_run = total / n
            body.append(
                {
                    "study": arm.study, "arm": arm.name, "label": arm.label, "engine": engine,
                    "epochs": arm.first.training.epochs, "alone_seconds": alone, "seconds_a_run": per_run,
                    "gain": alone / per_run if alone else None, "n": n, "total_seconds": total,
                }
            )  # fmt: skip
    columns = (
        Column("study", ("study",), text, number=False),
        Column("arm", ("label",), text, number=False),
        Column("engine", ("engine",), text, number=False),
        Column("epochs", ("epochs",), general),
        Column("one model alone, s", ("alone_seconds",), seconds),
        Column("in a stack, s a run", ("seconds_a_run",), seconds),
        Column("gain", ("gain",), times),
        Column("runs", ("n",), general),
        Column("all runs, s", ("total_seconds",), seconds),
    )
    caption = (
        "Training time by arm; of a ladder all arms together, at all learning rates. A stack trains many models side by "
        "side; studies may share trials."
    )
    table = Table("cost", caption, drop_empty(columns, body), tuple(body))
    blocks: list[Block] = [table] if body else [Text(("No trial is finished yet.",))]
    return [Section("cost", "Times and cost", "Times and cost", blocks)]


def _ladder_cost(results: StudyResults) -> dict[str, object]:
    done = results.columns.take(results.columns.done)
    total, n = float(done.shares.sum()), len(done)
    return {
        "study": results.study.name, "arm": None, "label": f"all {len(results.study.arms)} arms of the ladder",
        "engine": engines_of(done), "epochs": results.study.training.epochs,
        "alone_seconds": None, "seconds_a_run": total / n, "gain": None, "n": n,
        "total_seconds": total,
    }  # fmt: skip


def methods_section(context: Context) -> list[Section]:
    """How to repeat the page, and how it was done."""
    blocks: list[Block] = [
        Text(tuple(_repeating(context.results)), points=True, title="How to repeat this"),
        Text(tuple(_protocol(context)), points=True, title="How it was done"),
        Text(tuple(_seeds(r.study) for r in context.results), points=True, title="Seeds of each study"),
        Text(tuple(_registered(context.results)), points=True, title="Registration"),
    ]
    return [Section("methods", "Methods", "Methods", blocks)]


def _protocol(context: Context) -> list[str]:
    """How it was done, as far as it is about studies that are here."""
    presets = context.presets
    own = [r for r in context.results if r not in presets and r.study.data.holds_out]
    lines = [_PUBLISHED] if any(r.study.protocol == "published" for r in presets) else []
    lines += [_HELD_OUT] if any(r.study.protocol == "heldout" for r in presets) else []
    given = {r.study.data.test_samples is None and bool(r.study.data.kind.located) for r in own}
    lines += [_OWN.format(what="split of the rows" if at else "draw of the data") for at in sorted(given)]
    lines.append(_SEEDS)
    lines += [_ALWAYS[0], _ALWAYS[1], *([_PERCENTILE] if presets else []), *_ALWAYS[2:]]
    return lines


def _repeating(results: Sequence[StudyResults]) -> list[str]:
    names = [r.study.name for r in results]
    own = [r.study for r in results if r.study.name not in preset_names()]
    commands = {study.name: study.command for study in own if study.command}
    files = [study.name for study in own if study.name not in commands]
    lines = []
    if len(own) < len(names):
        lines.append("qmoe reproduce repeats the paper's studies into a store and makes this page.")
    lines += [f"In the folder of the table, {command} repeats {name}." for name, command in commands.items()]
    if files:
        lines.append(f"qmoe run FILE.toml repeats a study of your own (here: {', '.join(files)}).")
    lines.append("A run that was interrupted goes on where it stopped when the same command is given again.")
    lines.append("Every table is in tables/ as CSV and LaTeX, every figure in figures/ as SVG and PNG.")
    return lines


def _registered(results: Sequence[StudyResults]) -> list[str]:
    """Whether what is shown was registered before it was run."""
    known = registered()
    presets = {name: load_preset(name) for name in preset_names()}
    ours = [r for r in results if r.study.name in presets]
    as_registered = [r for r in ours if r.study == presets[r.study.name]]
    lines = [
        f"The claims and studies that ship were preregistered on {known.date[:10]} under the SHA-256 {known.digest}; their "
        f"root seed, {known.root_seed}, comes from it."
    ]
    early = older_runs(known.date, ours)
    lines.append(
        f"{count(early, 'run')} of these studies here {'is' if early == 1 else 'are'} older than that."
        if early
        else "No run of them here is older than that."
    )
    changed = [r.study.name for r in ours if r not in as_registered]
    if changed:
        lines.append(f"Run otherwise than registered (fewer seeds, or options): {', '.join(changed)}.")
    return lines if ours else ["None of the studies here is one that ships, and registered with its claims."]


def _seeds(study: Study) -> str:
    seeds = study.seeds
    data = count(seeds.data, "data seed")
    pinned = "" if seeds.fixed is None else f" (pinned to the authors' seed {seeds.fixed})"
    return f"{study.name}: {data}{pinned}, {count(seeds.per_data, 'initialisation')} each, root seed {seeds.root}."
