"""The ladder of one study: what each rung changes, what it costs in accuracy, and how many parameters it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

from qmoe.analysis import ParameterCount, count_parameters
from qmoe.report.findings.arms import Arm, finished, metric_name
from qmoe.report.pictures.forest import ForestAxis, ForestGroup, ForestRow, forest_plot
from qmoe.report.pictures.style import CLASSICAL, MUTED, OTHER, QUANTUM, FigureBlock, Panel, join
from qmoe.report.sections.beside_ladder import AXES, Baseline, baseline_words, baselines_of, dephasing_blocks
from qmoe.report.sections.blocks import Block, Context, Section, Text
from qmoe.report.tables import DASH, Column, Table, fixed, text, with_interval
from qmoe.statistics import PairedDifference, Proportion, success_rate
from qmoe.studies import Rung, StudyResults, TrialSpec, ladder_rungs
from qmoe.studies.assembly import build_model

#: The smallest difference in accuracy that matters, as in the claims on accuracy that ship with qmoe.
MARGIN = 0.02
#: A run above this accuracy is a success: outcomes of training are often good or bad, and not in between.
SUCCESS = 0.95

BESIDE = "Other classifiers"
QUANTUM_PARTS, COUNTERPARTS, CONTROLS = "Parts of the circuit taken away", "Classical in its place", "Controls"
_REMOVED = (
    "no-entangler",
    "dephased-encoding",
    "dephased-layers",
    "dephased-all",
    "dephased-x",
    "dephased-y",
    "frozen",
    "embedding-only",
)
_CONTROLS = ("mean", "permuted", "random-labels", "uniform", "constant", "random", "single-expert")
#: Title, colour and marker of each group of rungs.
GROUPS = {QUANTUM_PARTS: (QUANTUM, "s"), COUNTERPARTS: (CLASSICAL, "o"), CONTROLS: (MUTED, "D")}


@dataclass(frozen=True, eq=False)
class Step:
    """A rung with its finished runs.

    Attributes:
        rung: the rung; for the quantum router itself one without a name.
        arm: its runs; None where it was left out or has no finished run.
        difference: its accuracy minus that of the quantum router over the seeds that both have.
        success: share of runs above `SUCCESS`.
        size: its router's parameters.
    """

    rung: Rung
    arm: Arm | None
    difference: PairedDifference | None = None
    success: Proportion | None = None
    size: ParameterCount | None = None

    @property
    def group(self) -> str:
        """Which kind of rung it is."""
        return group_of(self.rung.name)

    @property
    def verdict(self) -> str:
        """Clearly worse or better by more than the margin, clearly within it, or open; in one word."""
        d = self.difference
        if d is None or not d.enough:
            return ""
        if d.high < -MARGIN or d.low > MARGIN:
            return "worse" if d.mean < 0 else "better"
        return "alike" if d.low > -MARGIN and d.high < MARGIN else "open"


def routing_matters(steps: Sequence[Step]) -> bool:
    """Whether switching the router off is shown to cost more than the margin, as far as that was tried.

    Where the rung ``mean`` was not run, it is whether no router without a look at the input does as well.
    """
    tried = [s.verdict for s in steps if s.rung.name == "mean" and s.verdict]
    if tried:
        return tried[0] == "worse"
    return not any(s.rung.name in ("uniform", "constant") and s.verdict in ("alike", "better") for s in steps)


def group_of(rung: str) -> str:
    """The group that a rung belongs to."""
    return QUANTUM_PARTS if rung in _REMOVED else CONTROLS if rung in _CONTROLS else COUNTERPARTS


def has_ladder(results: StudyResults) -> bool:
    """Whether a study asks for a ladder and has a finished run."""
    return bool(results.study.ladder) and bool(finished(results))


def quantum_name(results: StudyResults) -> str:
    """Name of the arm that all rungs are compared with."""
    return next(arm.name for arm in results.study.arms if arm.model.router.kind == "quantum")


def steps_of(results: StudyResults, counted: dict[str, ParameterCount]) -> list[Step]:
    """The quantum router and all rungs, in order.

    Args:
        results: a study with a ladder.
        counted: parameters by router and number of features, so that studies share them; filled here.
    """
    arms: dict[str, Arm] = {}
    for arm in finished(results):
        arms.setdefault(arm.name, arm)  # of an arm under noise, the first strength
    trials: dict[str, TrialSpec] = {}
    for member in results.members:
        trials.setdefault(member.arm, member.trial)
    base = arms.get(quantum_name(results))
    label = base.label if base is not None else "quantum router"
    found = []
    for rung in [Rung("", label, "", quantum_name(results)), *ladder_rungs(results.study)]:
        here = arms.get(rung.arm or "")
        if here is None:
            found.append(Step(rung, None))
            continue
        if here.label != rung.label:  # an arm that the study had before its ladder, under a name of its own
            rung = replace(rung, label=f"{rung.label} ({here.label})")
        difference = None if base is None or not rung.name else here.minus(base)
        success = success_rate(here.scores, SUCCESS, here.clusters)
        found.append(Step(rung, here, difference, success, _size(trials[here.name], counted)))
    return found


def ladder_section(context: Context, results: StudyResults, steps: Sequence[Step], rest: Sequence[Block]) -> Section:
    """The section of one study.

    Args:
        context: of the page.
        results: the study.
        steps: its rungs.
        rest: what is to follow them.
    """
    study = results.study
    stem = study.name.replace(".", "-")
    context.step(study.name)
    title = study.title.split(": ")[-1]
    section = Section(stem, f"The ladder: {title}" if study.title != title else study.title, short=f"Ladder: {title}")
    section.studies = (study.name,)
    done = [s for s in steps if s.arm is not None]
    section.blocks += [Text((study.about,))] if study.about else []
    quantum = next((s.arm for s in done if not s.rung.name), None)
    beside = baselines_of(study, context.measurements, quantum)
    words = baseline_words(beside)
    section.blocks.append(Text((*sentences(steps), *([words] if words else []))))
    rungs = [s for s in done if s.rung.name]
    if rungs:
        section.blocks.append(_figure(stem, title, rungs, quantum, beside))
    if done:
        section.blocks.append(_table(stem, title, done, beside))
    axes = {s.rung.name: (s.arm, s.difference) for s in done if s.rung.name in AXES and s.arm is not None}
    base = None if quantum is None else (quantum, quantum.records[0].trial)
    section.blocks += dephasing_blocks(stem, axes, base)
    omitted = tuple(f"{s.rung.label}: {s.rung.omitted}." for s in steps if s.rung.omitted)
    if omitted:
        section.blocks.append(Text(omitted, points=True, title="Rungs that do not apply here"))
    section.blocks += rest
    return section


def sentences(steps: Sequence[Step]) -> list[str]:
    """What the ladder shows, by rule."""
    rungs = [s for s in steps if s.rung.name and s.difference is not None and s.difference.enough]
    if not rungs:
        return ["The rungs share too few seeds with the quantum router to tell anything."]
    lines = []
    base = next((s.arm for s in steps if not s.rung.name), None)
    if base is not None and base.guesses:
        lines.append(
            f"The {base.label} does no better than guessing the commonest class, so nothing here is about its parts."
        )
    for group, opening in (
        (QUANTUM_PARTS, "Parts of the circuit taken away"),
        (COUNTERPARTS, "Classical routers and models in its place"),
        (CONTROLS, "Controls that should fail"),
    ):
        members = [s for s in rungs if s.group == group]
        said = [
            f"{words}: {join(named)}"
            for verdict, words in (
                ("worse", f"worse by more than {MARGIN:g}"),
                ("alike", f"the same within {MARGIN:g}"),
                ("better", f"better by more than {MARGIN:g}"),
                ("open", "not decided by these runs"),
            )
            if (named := [_in_text(s) for s in members if s.verdict == verdict])
        ]
        lines += [f"{opening}: {'; '.join(said)}."] if said else []
    if not routing_matters(rungs):
        lines.append(
            f"Switching the router off is not shown to cost more than {MARGIN:g} here. So routing is not shown to matter on "
            "these data, and equal accuracies say nothing about routers."
        )
    return lines


def _short(step: Step) -> str:
    """The label of a rung; without the words that those under the heading "parts of the circuit" have in common."""
    label = step.rung.label
    return label.removeprefix("quantum router").removeprefix(",").strip() if step.group == QUANTUM_PARTS else label


def _in_text(step: Step) -> str:
    """The label of a rung where others stand beside it: ``MLP router (tanh)`` for ``MLP router, tanh``."""
    what, _, which = _short(step).partition(", ")
    return f"{what} ({which})" if which else what


def _size(trial: TrialSpec, counted: dict[str, ParameterCount]) -> ParameterCount | None:
    router = build_model(trial).router
    key = f"{trial.model.router.model_dump_json()} {trial.model.routing} {trial.model.n_experts} {router.in_features}"
    if key not in counted:
        counted[key] = count_parameters(router)
    return counted[key]


def _figure(
    stem: str, title: str, rungs: Sequence[Step], quantum: Arm | None, beside: Sequence[Baseline]
) -> FigureBlock:
    groups = []
    for group, (colour, marker) in GROUPS.items():
        rows = tuple(
            ForestRow(_short(s), None, nan, nan)
            if s.difference is None
            else ForestRow(_short(s), s.difference.mean, s.difference.low, s.difference.high, colour, marker)
            for s in rungs
            if s.group == group
        )
        groups += [ForestGroup(group, rows)] if rows else []
    others = [(b.label, d) for b in beside if (d := b.difference) is not None]
    if others:
        rows = tuple(ForestRow(label, d.mean, d.low, d.high, OTHER, "^") for label, d in others)
        groups.append(ForestGroup(BESIDE, rows))
    arm = rungs[0].arm
    assert arm is not None
    against = quantum.label if quantum is not None else "quantum router"
    axis = ForestAxis(
        f"{metric_name(arm.metric)}: difference to the {against}", MARGIN, below="worse", above="better",
        limits=_limits(rungs, [d for _, d in others]),
    )  # fmt: skip
    told = "; ".join(
        f"{s.rung.label} {s.difference.mean:+.3f} from {s.difference.low:+.3f} to {s.difference.high:+.3f}"
        for s in rungs
        if s.difference is not None
    )
    panel = Panel(
        f"{stem}-ladder", forest_plot([(axis, groups)], 6.6), f"Forest plot of the ladder on {title}. {told}."
    )
    caption = (
        f"Each rung minus the quantum router, on the same seeds: mean and 95% interval over {_units(arm)}. The vertical "
        f"line is no difference; within the grey band it is too small to matter ({MARGIN:g}). Arrows at the edge lie "
        "beyond it, with their mean."
    )
    if others:
        caption += (
            " Triangles are other classifiers on the same draws of the data; no classifier beats the best possible."
        )
    return FigureBlock((panel,), caption, wide=True)


def _limits(rungs: Sequence[Step], others: Sequence[PairedDifference] = ()) -> tuple[float, float]:
    """Wide enough for all but the controls, which may lie far out."""
    inner = [s.difference for s in rungs if s.difference is not None and s.group != CONTROLS] + list(others)
    values = [v for d in inner for v in (d.mean, d.low, d.high) if not isnan(v)]
    low, high = min([*values, -4 * MARGIN]), max([*values, 2 * MARGIN])
    return low - 0.1 * (high - low), high + 0.05 * (high - low)


def _units(arm: Arm) -> str:
    n = len(set(arm.clusters.tolist()))
    return f"{n} {'draws of the data' if arm.clustered else 'initialisations'}"


def _table(stem: str, title: str, steps: Sequence[Step], beside: Sequence[Baseline]) -> Table:
    body = []
    for s in steps:
        assert s.arm is not None
        assert s.success is not None
        d, size = s.difference, s.size
        row: dict[str, object] = {"rung": s.rung.name or "quantum", "arm": s.arm.name, "label": s.rung.label}
        row |= {"group": s.group if s.rung.name else "", "changes": s.rung.changes, "n": s.arm.n}
        row |= {"nominal": size.nominal if size else None, "live": size.live if size else None}
        row |= {"rank": size.rank if size else None, "frozen": size.frozen if size else None}
        row |= {"mean": s.arm.summary.mean, "low": _known(s.arm.interval[0]), "high": _known(s.arm.interval[1])}
        row |= {"success": s.success.value, "success_low": s.success.low, "success_high": s.success.high}
        row |= {"difference": d.mean if d else None, "difference_low": _known(d.low) if d else None}
        row |= {"difference_high": _known(d.high) if d else None, "compared": s.verdict}
        body.append(row)
    for b in beside:
        d = b.difference
        known = b.name == "bayes"
        row = {"rung": b.name, "label": b.label, "group": BESIDE, "n": b.n, "mean": b.mean}
        row |= {"changes": "what is known of the data set" if known else "scikit-learn, on the same draws of the data"}
        row |= {"low": None if known else _known(b.low), "high": None if known else _known(b.high)}
        row |= {"difference": d.mean if d else None, "difference_low": _known(d.low) if d else None}
        row |= {"difference_high": _known(d.high) if d else None}
        body.append(row)
    metric = metric_name(steps[0].arm.metric) if steps[0].arm else "accuracy"
    columns = (
        Column("router", ("label",), text, number=False, wraps=True),
        Column("what changes", ("changes",), text, number=False, wraps=True),
        Column("parameters / live / rank", ("nominal", "live", "rank"), _sizes),
        Column(f"{metric} [95%]", ("mean", "low", "high"), with_interval(3)),
        Column(f"runs above {SUCCESS:g} [95%]", ("success", "success_low", "success_high"), _share),
        Column("difference to quantum [95%]", ("difference", "difference_low", "difference_high"), _difference),
    )
    caption = (
        f"The ladder on {title}. Parameters of the router: how many are trained, how many of them have any effect, and in "
        "how many independent directions they move its output (rank)."
    )
    return Table(f"{stem}-ladder", caption, columns, tuple(body))


def _sizes(nominal: int | None, live: int | None, rank: int | None) -> str:
    return DASH if nominal is None else f"{nominal} / {live} / {rank}"


def _share(value: float | None, low: float | None, high: float | None) -> str:
    return DASH if value is None else f"{value:.0%} [{low:.0%}, {high:.0%}]"


def _difference(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None or low is None or high is None:
        return fixed(3)(mean).replace("-", "−")
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def _known(value: float) -> float | None:
    return None if isnan(value) else value
