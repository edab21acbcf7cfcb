"""One name, one question: whether a study goes on with another, and a name of its own for one that does not."""

from __future__ import annotations

import itertools

from qmoe.studies.specifications import all_members
from qmoe.studies.specs.study import Study
from qmoe.studies.store import Store

_LONGEST = 60


def continues(study: Study, earlier: Study) -> bool:
    """Whether a study trains all that an earlier one trained, so that in its place nothing of that is lost from sight.

    How often they are repeated does not matter, nor do words.

    Example:
        >>> from qmoe.studies import continues, load_preset
        >>> study = load_preset("phase2-heldout")
        >>> continues(study.resized(seeds=5), study.resized(seeds=2))
        True
    """
    return _trials(earlier) <= _trials(study)


def with_free_name(study: Study, store: Store) -> Study:
    """The study, under a numbered name and title where its own name belongs to a study that it does not continue.

    A study that was given such a name before is given it again, so that the same command goes on.
    """
    taken = set(store.study_names())
    for number in itertools.count(1):
        suffix = "" if number == 1 else f"-{number}"
        name = study.name[: _LONGEST - len(suffix)].rstrip("-") + suffix
        earlier = store.asked(name)
        if name not in taken or (earlier is not None and continues(study, earlier)):
            break
    if number == 1:
        return study
    return study.model_copy(update={"name": name, "title": f"{study.title} ({number})"})


def _trials(study: Study) -> set[str]:
    once = study.seeds.model_copy(update={"data": 1, "per_data": 1})
    return {member.trial.hash for member in all_members(study.model_copy(update={"seeds": once}))}
