"""What was seen, beside what the paper states: sentences made from the data by rules."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qmoe.analysis import PairedDifference
from qmoe.analysis.statistics import MIN_CLUSTERS
from qmoe.report.arms import Arm, finished, metric_name
from qmoe.report.figures import join
from qmoe.studies import StudyResults

Status = Literal["seen", "seen in part", "not seen", "cannot tell"]
_TOO_FEW = f"The arms share fewer than {MIN_CLUSTERS} independent seeds: too few to tell."
NEGLIGIBLE = 0.002  # an accuracy that differs by less is the same for whoever uses the model
PAPER_NOISE = 0.20  # where the paper's range of depolarizing strengths ended


@dataclass(frozen=True)
class Finding:
    """A statement of the paper and what our runs show of it.

    Attributes:
        claim: number of the claim.
        statement: what the paper states.
        status: whether our runs show it.
        text: what they show, in a few sentences.
        brief: the figure that matters.
        topic: what it is about, in a few words.
        data: the data set, where a claim is tested on several.
    """

    claim: str
    statement: str
    status: Status
    text: str
    brief: str
    topic: str
    data: str = ""

    @property
    def css(self) -> str:
        """The status as a class name."""
        return self.status.replace(" ", "-")


def preferred(published: StudyResults | None, heldout: StudyResults | None) -> list[Arm]:
    """The arms to judge by: of the held-out study where it has results, else of the published protocol."""
    return finished(heldout) or finished(published)


def speed_and_convergence(data: str, arms: Sequence[Arm], alone: dict[str, float]) -> Finding | None:
    """C1: whether the classical mixture is faster than every quantum model and ends with a lower loss.

    Args:
        data: the data set in words.
        arms: arms of one study, "classical" among them.
        alone: seconds that one model took alone, by arm; arms timed too seldom for a verdict left out.
    """
    by_name = {arm.name: arm for arm in arms}
    classical = by_name.get("classical")
    rivals = [by_name[name] for name in ("qmoe", "qnn") if name in by_name]
    if classical is None or not rivals:
        return None
    statement = f"On simple data ({data}) classical models beat quantum ones in training time and convergence."
    reached = join([f"the {arm.label} {_number(arm.summary.mean)}" for arm in (classical, *rivals)])
    sentences = [f"Mean {metric_name(classical.metric)}: {reached} ({classical.n} runs each)."]
    verdicts: list[bool | None] = []
    for rival in rivals:
        loss = classical.minus(rival, "loss")
        score = classical.minus(rival)
        if loss is None or score is None:
            verdicts.append(None)
            continue
        verdicts.append(True if loss.below else False if loss.above else None)
        lower = "clearly lower" if loss.below else "clearly higher" if loss.above else "not clearly different"
        sentences.append(
            f"Against the {rival.label}, the classical mixture's final training loss is {lower}; in accuracy it is "
            f"{_ahead(score)} ({signed(score)}){_how_much(score)}."
        )
        if rival.name in alone and alone.get("classical"):
            ratio = alone[rival.name] / alone["classical"]
            verdicts.append(True if ratio > 1.1 else False if ratio < 0.9 else None)
            slower = (
                f"{ratio:.1f} times as long as" if ratio > 1.1 else "no longer than" if ratio < 0.9 else "as long as"
            )
            sentences.append(f"One {rival.label} trained {slower} one classical mixture.")
    brief = f"accuracy {_number(classical.summary.mean)} against " + join([_number(r.summary.mean) for r in rivals])
    few = any((d := classical.minus(rival)) is None or not d.enough for rival in rivals)
    if few:
        sentences.append(_TOO_FEW)
    status: Status = "cannot tell" if few else _verdict(verdicts)
    return Finding("C1", statement, status, " ".join(sentences), brief, "speed and convergence", data)


def router_accuracy(arms: Sequence[Arm]) -> Finding | None:
    """C2: whether the quantum router beats the linear one."""
    by_name = {arm.name: arm for arm in arms}
    if not {"linear", "quantum"} <= set(by_name):
        return None
    linear, quantum = by_name["linear"], by_name["quantum"]
    statement = "On two moons, with the same classical experts, the quantum router beats the linear router."
    difference = quantum.minus(linear)
    brief = f"accuracy {_number(quantum.summary.mean)} against {_number(linear.summary.mean)}"
    topic = "accuracy of the routers"
    lead = (
        f"Mean {metric_name(quantum.metric)}: quantum router {_number(quantum.summary.mean)}, linear router "
        f"{_number(linear.summary.mean)}."
    )
    if difference is None or not difference.enough:
        return Finding("C2", statement, "cannot tell", f"{lead} {_TOO_FEW}", brief, topic)
    as_good = int((linear.scores >= quantum.summary.mean).sum())
    lead += (
        f" The quantum router is {_ahead(difference)} ({signed(difference)}). In {as_good} of {linear.n} runs the linear "
        "router reaches the quantum router's mean or more."
    )
    status: Status = "seen" if difference.above else "not seen" if difference.below else "cannot tell"
    return Finding("C2", statement, status, lead, brief, topic)


def straightness(n_straight: int, n: int, n_straight_quantum: int, n_quantum: int) -> Finding:
    """C2: whether the linear router's boundary is a straight line and the quantum router's bends.

    Args:
        n_straight: linear-router runs whose boundary is straight.
        n: linear-router runs.
        n_straight_quantum: quantum-router runs whose boundary is straight.
        n_quantum: quantum-router runs.
    """
    bends = n_straight_quantum <= 0.1 * n_quantum
    status: Status = "not seen" if n_straight <= 0.1 * n or not bends else "seen in part"
    if n_straight >= 0.9 * n and bends:
        status = "seen"
    if min(n, n_quantum) < MIN_CLUSTERS:
        status = "cannot tell"
    text = (
        f"The linear router's boundary is a straight line in {n_straight} of {n} runs, the quantum router's in "
        f"{n_straight_quantum} of {n_quantum}. Straight means: one line predicts 99% of the plane alike. "
    )
    if n_straight < n:
        text += "A soft linear gate between two linear experts can bend a boundary too: the mixture is not linear."
    statement = "The linear router draws straight lines; the quantum router wraps the data."
    brief = f"straight in {n_straight} of {n} and in {n_straight_quantum} of {n_quantum} runs"
    return Finding("C2", statement, status, text, brief, "shape of the boundaries")


def parameter_efficiency(arms: Sequence[Arm]) -> Finding | None:
    """C3: whether every classical router of equal accuracy needs more parameters than the quantum router."""
    quantum = next((arm for arm in arms if arm.name == "quantum"), None)
    rivals = sorted((a for a in arms if a.name.startswith("mlp")), key=lambda arm: arm.parameters)
    if quantum is None or not rivals:
        return None
    statement = "The quantum router needs significantly fewer parameters than a classical router of equal accuracy."
    differences = [(arm, d) for arm in rivals if (d := arm.minus(quantum)) is not None and d.enough]
    if not differences:
        return Finding("C3", statement, "cannot tell", _TOO_FEW, "", "parameters")
    lead = (
        f"Mean {metric_name(quantum.metric)} of the quantum router with {quantum.parameters} parameters: "
        f"{_number(quantum.summary.mean)}."
    )
    level = next(((arm, d) for arm, d in differences if not d.below), None)
    higher = next((arm for arm, d in differences if d.mean >= 0), None)
    if level is None:
        largest = differences[-1][0]
        text = f"{lead} Every classical router tried, up to {largest.parameters} parameters, is clearly below it."
        reached = next((a for a in rivals if (a.scores >= quantum.summary.mean).any()), None)
        if reached is not None:
            count = int((reached.scores >= quantum.summary.mean).sum())
            text += (
                f" Single runs do reach it: {count} of {reached.n} with {reached.parameters} parameters ({reached.label}). "
                "So that router can draw such a boundary; training mostly does not find it."
            )
        text += " None of equal accuracy was found, so how many parameters one would need stays open."
        brief = f"{quantum.parameters} parameters; no classical router up to {largest.parameters} is level"
        return Finding("C3", statement, "seen in part", text, brief, "parameters")
    arm, difference = level
    text = (
        f"{lead} The smallest classical router that is not clearly below it has {arm.parameters} parameters "
        f"({arm.label}: {_number(arm.summary.mean)}, difference {signed(difference)}), "
        f"{_ratio(arm.parameters, quantum.parameters)}. "
    )
    if higher is None:
        text += f"None of the classical routers up to {rivals[-1].parameters} parameters has a higher mean."
    else:
        text += f"The smallest with an equal or higher mean has {higher.parameters}."
    wide = difference.high - difference.low > 0.04 and difference.low < 0
    if arm.parameters <= quantum.parameters:
        status: Status = "cannot tell" if wide else "not seen"
    else:
        status = "seen in part" if wide or arm.parameters < 1.5 * quantum.parameters else "seen"
    if wide:
        text += " The interval of that difference is wide, so more seeds may move this."
    brief = f"{quantum.parameters} parameters; a classical router is level with {arm.parameters}"
    return Finding("C3", statement, status, text, brief, "parameters")


def noise_breakdown(arms: Sequence[Arm]) -> Finding | None:
    """C5: the noise strength from which on accuracy is clearly below that without noise."""
    noisy = [arm for arm in arms if arm.variant]
    clean = next((arm for arm in arms if arm.variant == 0), None)
    if clean is None or not noisy:
        return None
    statement = "The router is robust to depolarizing noise up to a breakdown point."
    differences = [(arm, d) for arm in noisy if (d := arm.minus(clean)) is not None and d.enough]
    if not differences:
        return Finding("C5", statement, "cannot tell", _TOO_FEW, "", "noise")
    lead = f"Without noise the mean {metric_name(clean.metric)} is {_number(clean.summary.mean)}."
    lasting = list(itertools.takewhile(lambda pair: pair[1].below, reversed(differences)))
    alone = [a for a, d in differences[: len(differences) - len(lasting)] if d.below]
    passing = ""
    if alone:
        passing = (
            f" At {join([f'p = {a.variant:g}' for a in alone])} the interval excludes 0 too, but stronger noise does not "
            "confirm it."
        )
    if not lasting:
        text = f"{lead} No noise strength up to p = {noisy[-1].variant:g} lowers it clearly and lastingly.{passing}"
        return Finding("C5", statement, "not seen", text, f"level up to p = {noisy[-1].variant:g}", "noise")
    arm, difference = lasting[-1]
    assert arm.variant is not None
    text = (
        f"{lead} It is clearly lower from p = {arm.variant:g} on ({_number(arm.summary.mean)} there, difference "
        f"{signed(difference)}).{passing}"
    )
    brief = f"clearly lower from p = {arm.variant:g} on"
    if arm.variant > PAPER_NOISE:
        text += (
            f" The paper's range ended at p = {PAPER_NOISE:.2f}, below it: the breakdown it states cannot show there."
        )
        return Finding("C5", statement, "seen in part", text, brief, "noise")
    text += f" The paper's range ended at p = {PAPER_NOISE:.2f}."
    return Finding("C5", statement, "seen", text, brief, "noise")


def signed(difference: PairedDifference) -> str:
    """A difference with its interval."""
    digits = 3 if abs(difference.mean) >= 0.01 else 4
    parts = (f"{value:+.{digits}f}" for value in (difference.mean, difference.low, difference.high))
    return "{} [{}, {}]".format(*parts).replace("-", "−")


def _ahead(difference: PairedDifference) -> str:
    if difference.above:
        return "clearly ahead"
    if not difference.enough:
        return f"undecided on {difference.n_clusters} seeds"
    return "clearly behind" if difference.below else "level within the uncertainty"


def _how_much(difference: PairedDifference) -> str:
    clear = difference.above or difference.below
    return ", by too little to matter in use" if clear and abs(difference.mean) < NEGLIGIBLE else ""


def _verdict(verdicts: Sequence[bool | None]) -> Status:
    if all(v is True for v in verdicts) and verdicts:
        return "seen"
    if all(v is None for v in verdicts):
        return "cannot tell"
    return "seen in part" if any(v is True for v in verdicts) else "not seen"


def _ratio(classical: int, quantum: int) -> str:
    if classical == quantum:
        return "as many"
    more = classical > quantum
    factor = classical / quantum if more else quantum / classical
    return f"{factor:.2g} times as many" if more else f"{factor:.2g} times fewer"


def _number(value: float) -> str:
    return f"{value:.4f}" if 0.99 <= value < 1 else f"{value:.3f}"
