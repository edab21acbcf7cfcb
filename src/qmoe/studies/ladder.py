"""The ladder of ablations: arms that differ from a quantum router by one thing each.

Together they show which of the router's parts carries its effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.errors import unknown
from qmoe.studies.ladder_base import find_base
from qmoe.studies.rungs import STEPS
from qmoe.studies.specs.study import ArmSpec, Study

#: Names of all rungs, in order.
RUNGS = tuple(STEPS)


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Attributes:
        name: name of the rung.
        label: what readers call it.
        changes: the one thing that differs from the quantum arm, in plain words; "" where the rung is left out.
        arm: name of the arm that stands on it, which may be one that the study has anyway; None where it is left out.
        omitted: why it is left out, or "".
        router: the first part of the label, the router that stands on it; "" for the quantum router itself.
        variation: the rest of the label, which sets it apart from others of that kind; "" for nothing.
    """

    name: str
    label: str
    changes: str
    arm: str | None
    omitted: str = ""
    router: str = ""
    variation: str = ""


def with_ladder(study: Study, ladder: bool | Iterable[str] = True) -> Study:
    """The same study with the arms of its ladder, after its own.

    An arm that the study has already, by an equal model, is not doubled; a name that it uses for another is prefixed with
    ``ladder-``. So a study that has its ladder is left as it is.

    Args:
        study: a study with a quantum router; the first such arm is what all rungs are compared with.
        ladder: True for all rungs that apply, or names out of `RUNGS`.

    Raises:
        ConfigError: for an unknown rung, or a study without a quantum router or with a single expert behind it.

    Example:
        >>> from qmoe.studies import load_preset, with_ladder
        >>> len(with_ladder(load_preset("phase2-heldout"), ["twin"]).arms)
        3
    """
    names = _names(ladder)
    if not names:
        return study
    arms, _ = _climb(study, names)
    return study.model_copy(update={"arms": arms, "ladder": ladder if isinstance(ladder, bool) else names})


def ladder_rungs(study: Study) -> list[Rung]:
    """The rungs that a study asks for, in order, those that are left out included; none without ``ladder``.

    Raises:
        ConfigError: as `with_ladder`.

    Example:
        >>> from qmoe.studies import RUNGS, ladder_rungs, load_preset
        >>> [rung.name for rung in ladder_rungs(load_preset("ladder-moons"))][:2], len(RUNGS) > 10
        (['no-entangler', 'dephased-encoding'], True)
    """
    names = _names(study.ladder)
    return _climb(study, names)[1] if names else []


def ladder_omitted(study: Study) -> list[tuple[str, str]]:
    """Name and reason of each rung that a study asks for and that does not apply to it.

    Example:
        >>> from qmoe.studies import ladder_omitted, load_preset
        >>> ladder_omitted(load_preset("ladder-moons"))
        []
    """
    return [(rung.name, rung.omitted) for rung in ladder_rungs(study) if rung.omitted]


def _names(ladder: bool | Iterable[str]) -> tuple[str, ...]:
    """The rungs asked for, in the order of `RUNGS`."""
    if isinstance(ladder, bool):
        return RUNGS if ladder else ()
    asked = [ladder] if isinstance(ladder, str) else list(ladder)
    for name in asked:
        if name not in RUNGS:
            raise unknown("rung", name, RUNGS)
    return tuple(name for name in RUNGS if name in asked)


def _climb(study: Study, names: Iterable[str]) -> tuple[tuple[ArmSpec, ...], list[Rung]]:
    base = find_base(study)
    arms, rungs = list(study.arms), []
    for name in names:
        label, step = STEPS[name]
        found = step(base)
        if isinstance(found, str):
            rungs.append(Rung(name, str(label), "", None, found, label.router, label.variation))
            continue
        model, changes = found
        labels = "random" if name == "random-labels" else base.arm.labels
        noise = base.arm.noise if isinstance(model.router, QuantumSpec) else None
        arm = ArmSpec(name=name, label=str(label), model=model, noise=noise, labels=labels)
        same = [a.name for a in arms if _same(a, arm, study)]
        if not same:
            while arm.name in [a.name for a in arms]:
                arm = arm.model_copy(update={"name": f"ladder-{arm.name}"})
            arms.append(arm)
            same = [arm.name]
        rungs.append(Rung(name, str(label), changes, same[0], "", label.router, label.variation))
    return tuple(arms), rungs


def _same(one: ArmSpec, other: ArmSpec, study: Study) -> bool:
    """Whether two arms ask the same, whatever they are called."""
    labels = [arm.labels or study.data.labels for arm in (one, other)]
    return one.model == other.model and one.noise == other.noise and labels[0] == labels[1]
