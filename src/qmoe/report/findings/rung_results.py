"""The ladder of one study: its rungs with their runs, and what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qmoe.analysis import ParameterCount, count_parameters
from qmoe.claims import ArmRuns
from qmoe.report.findings.arms import finished
from qmoe.report.findings.paper import is_preset
from qmoe.report.words import join
from qmoe.statistics import PairedDifference, Proportion, success_rate
from qmoe.statistics.conventions import MARGIN, SUCCESS
from qmoe.studies import Rung, StudyResults, TrialSpec, ladder_rungs
from qmoe.studies.assembly import build_model
from qmoe.studies.specs.imported import ImportedRouterSpec

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
#: Rungs that do not route by the input, and those of them that have no router which could.
_UNROUTED = ("mean", "permuted", "uniform", "constant", "single-expert")
_ROUTERLESS = ("uniform", "constant", "single-expert")
_CONTROLS = ("mean", "permuted", "random-labels", "uniform", "constant", "random", "single-expert")


@dataclass(frozen=True, eq=False)
class RungResult:
    """A rung with its finished runs.

    Attributes:
        rung: the rung; for the quantum router itself one without a name.
        arm: its runs; None where it was left out or has no finished run.
        difference: its accuracy minus that of the quantum router over the seeds that both have.
        success: share of runs at or above `SUCCESS`.
        size: its router's parameters.
    """

    rung: Rung
    arm: ArmRuns | None
    difference: PairedDifference | None = None
    success: Proportion | None = None
    size: ParameterCount | None = None

    @property
    def group(self) -> str:
        """Which kind of rung it is."""
        return group_of(self.rung.name)

    @property
    def label(self) -> str:
        """What readers call it."""
        return self._with(self.rung.label)

    @property
    def short_label(self) -> str:
        """Its label below the heading of its group, whose words it leaves out."""
        return self._with(self.rung.variation) if self._is_a_part else self.label

    @property
    def label_in_text(self) -> str:
        """Its label where others stand beside it: ``MLP router (tanh)`` for ``MLP router, tanh``."""
        if self._is_a_part:
            return self.short_label
        rung = self.rung
        return self._with(f"{rung.router} ({rung.variation})" if rung.variation else rung.label)

    @property
    def _is_a_part(self) -> bool:
        return self.group == QUANTUM_PARTS and bool(self.rung.variation)

    def _with(self, words: str) -> str:
        """Adds the name of an arm that the study had before its ladder, under a name of its own."""
        own = self.arm.label if self.arm is not None else self.rung.label
        return words if own == self.rung.label else f"{words} ({own})"

    @property
    def verdict(self) -> str:
        """Clearly worse or better by more than the margin, clearly within it, or open; in one word."""
        d = self.difference
        if d is None or not d.enough:
            return ""
        if d.high < -MARGIN or d.low > MARGIN:
            return "worse" if d.mean < 0 else "better"
        return "alike" if d.low > -MARGIN and d.high < MARGIN else "open"


def routing_matters(rungs: Sequence[RungResult]) -> bool:
    """Whether switching the router off is shown to cost more than the margin, as far as that was tried.

    Where the rung ``mean`` was not run, it is whether no router that ignores the input does as well.
    """
    tried = [r.verdict for r in rungs if r.rung.name == "mean" and r.verdict]
    if tried:
        return tried[0] == "worse"
    return not any(r.rung.name in ("uniform", "constant") and r.verdict in ("alike", "better") for r in rungs)


def no_router_needed(rungs: Sequence[RungResult], place: str = "here") -> str:
    """That data need no router: a finding, and not only that nothing was found; "" where that is not established.

    The router switched off has to be as accurate within the margin; so has one without any router, where some were tried.
    Nothing that does not route by the input may be worse.

    Args:
        rungs: of a study.
        place: the data, as ``"on moons"``.
    """
    tried = {r.rung.name: r for r in rungs if r.rung.name in _UNROUTED and r.verdict}
    as_good = {name: r for name, r in tried.items() if r.verdict in ("alike", "better")}
    routerless = tried.keys() & set(_ROUTERLESS)
    base = next((r.arm for r in rungs if not r.rung.name), None)
    if (
        "mean" not in as_good
        or (routerless and routerless.isdisjoint(as_good))
        or any(r.verdict == "worse" for r in tried.values())
        or (base is not None and base.guesses)
    ):
        return ""
    better = ", or better" if any(r.verdict == "better" for r in as_good.values()) else ""
    named = join([r.label_in_text for r in as_good.values()])
    verb = "is" if len(as_good) == 1 else "are"
    return f"No router is needed {place}: {named} {verb} as accurate as the quantum router within {MARGIN:g}{better}."


def routing_sentences(results: Sequence[StudyResults], titles: Mapping[str, str]) -> list[str]:
    """What ladders show of routing as a whole, one sentence for each on whose data no router is needed.

    Args:
        results: studies of the user's own, and others.
        titles: what readers call them.
    """
    own = [r for r in results if has_ladder(r) and not is_preset(r.study)]
    found = [no_router_needed(rungs_of(r), "here" if len(own) == 1 else f"on {titles[r.study.name]}") for r in own]
    return [words for words in found if words]


def group_of(rung: str) -> str:
    """The group that a rung belongs to."""
    return QUANTUM_PARTS if rung in _REMOVED else CONTROLS if rung in _CONTROLS else COUNTERPARTS


def rung_verdict_words(better: str, worse: str) -> dict[str, str]:
    """What each verdict on a rung says: ``"better"`` and ``"worse"`` in the words given."""
    return {
        "better": f"{better} by more than {MARGIN:g}",
        "alike": f"the same within {MARGIN:g}",
        "worse": f"{worse} by more than {MARGIN:g}",
        "open": "inconclusive",
    }


def has_ladder(results: StudyResults) -> bool:
    """Whether a study asks for a ladder and has a finished run."""
    return bool(results.study.ladder) and bool(results.columns.done.any())


def quantum_name(results: StudyResults) -> str:
    """Name of the arm that all rungs are compared with."""
    return next(arm.name for arm in results.study.arms if arm.model.router.kind == "quantum")


def rungs_of(results: StudyResults, counted: dict[str, ParameterCount] | None = None) -> list[RungResult]:
    """The quantum router and all rungs, in order.

    Args:
        results: a study with a ladder.
        counted: parameters by router and number of features, so that studies share them; filled here. None does without
            sizes.
    """
    arms: dict[str, ArmRuns] = {}
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
            found.append(RungResult(rung, None))
            continue
        difference = None if base is None or not rung.name else here.minus(base)
        success = success_rate(here.scores, SUCCESS, here.clusters)
        size = None if counted is None else _size(trials[here.name], counted)
        found.append(RungResult(rung, here, difference, success, size))
    return found


def _size(trial: TrialSpec, counted: dict[str, ParameterCount]) -> ParameterCount | None:
    if isinstance(trial.model.router, ImportedRouterSpec):  # whose code a report does not run
        return None
    router = build_model(trial).router
    key = f"{trial.model.router.model_dump_json()} {trial.model.routing} {trial.model.n_experts} {router.in_features}"
    if key not in counted:
        counted[key] = count_parameters(router)
    return counted[key]


def ladder_sentences(rungs: Sequence[RungResult]) -> list[str]:
    """What the ladder shows, by rule."""
    compared = [r for r in rungs if r.rung.name and r.difference is not None and r.difference.enough]
    if not compared:
        return ["The rungs share too few seeds with the quantum router to tell anything."]
    lines = []
    base = next((r.arm for r in rungs if not r.rung.name), None)
    if base is not None and base.guesses:
        lines.append(
            f"The {base.label} does no better than guessing the commonest class, so nothing here is about its parts."
        )
    needless = no_router_needed(rungs)
    lines += [needless] if needless else []
    words = rung_verdict_words("better", "worse")
    for group, opening in (
        (QUANTUM_PARTS, "Parts of the circuit taken away"),
        (COUNTERPARTS, "Classical routers and models in its place"),
        (CONTROLS, "Controls that should fail"),
    ):
        members = [r for r in compared if r.group == group]
        said = [
            f"{words[verdict]}: {join(named)}"
            for verdict in ("worse", "alike", "better", "open")
            if (named := [r.label_in_text for r in members if r.verdict == verdict])
        ]
        lines += [f"{opening}: {'; '.join(said)}."] if said else []
    if not needless and not routing_matters(compared):
        lines.append(
            f"Switching the router off is not shown to cost more than {MARGIN:g} here. So routing is not shown to matter on "
            "these data, and equal accuracies say nothing about routers."
        )
    return lines
