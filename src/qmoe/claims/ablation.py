"""The ladder on your own table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qmoe.claims.spec import Claim, parse_claims
from qmoe.data import UserTable
from qmoe.errors import ConfigError, count
from qmoe.statistics.conventions import MARGIN
from qmoe.studies.files import parse_study
from qmoe.studies.specs.study import LADDER_TITLE, Study

#: Beyond this many features a qubit for each is slow, and the first principal components take their place.
MAX_QUBITS = 4


def ablation_study(
    path: str | Path,
    target: str,
    *,
    qubits: int | None = None,
    layers: int = 3,
    experts: int = 2,
    epochs: int = 50,
    lr: float = 0.1,
    seeds: int = 30,
    rungs: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
) -> Study:
    r"""The study of `qmoe ablate`: a quantum router with linear experts on a table, and the ladder of ablations.

    Args:
        path: a CSV file with a header and numeric features.
        target: the label column.
        qubits: number of qubits, each of which takes one principal component; by default a qubit for each feature, up to 4.
        layers: trainable layers.
        experts: number of experts.
        epochs: passes over the data.
        lr: Adam's learning rate; every arm is trained at a quarter and at four times that as well.
        seeds: splits of the table, each with two initialisations.
        rungs: names out of `qmoe.studies.RUNGS`; all of them by default.
        keep: columns that are features although they seem to number the rows.

    Raises:
        ConfigError: for a table that cannot be used, or sizes that do not fit.
    """
    # The same command goes on from wherever its user stands.
    table = UserTable(str(Path(path).resolve()), target, keep=tuple(keep))
    wanted = qubits or min(table.n_features, MAX_QUBITS)
    if wanted > table.n_features:
        raise ConfigError(
            f"{count(wanted, 'qubit')} for {count(table.n_features, 'feature')}; take at most as many qubits as features."
        )
    data: dict[str, Any] = {
        "name": "table",
        "options": {"path": str(table.path), "target": target, "digest": table.digest}
        | ({"keep": list(keep)} if keep else {}),
        "scaling": "minmax_pi",
    }
    reduced = wanted < table.n_features
    about = (
        f"Rows of {Path(path).name}, {count(table.n_features, 'feature')}, {count(table.n_classes, 'class', 'classes')} of "
        f"{target}. The router has {count(wanted, 'qubit')} and {count(layers, 'layer')}, and routes to {experts} linear "
        f"experts. Training takes {count(epochs, 'epoch')} at a learning rate of {lr:g}."
    )
    if reduced:
        data["components"] = wanted
        kept = (
            "their first principal component" if wanted == 1 else f"{wanted} principal components, one for each qubit"
        )
        about += f" The features are standardised and reduced to {kept}."
    router = {"kind": "quantum", "n_qubits": wanted, "n_layers": layers}
    values = {
        "name": _name(Path(path).stem, target),
        "title": f"{LADDER_TITLE}{target} in {Path(path).name}",
        "phase": "ladder",
        "protocol": "heldout",
        "about": about,
        "data": data,
        "seeds": {"data": seeds, "per_data": min(2, seeds)},
        "training": {"epochs": epochs, "lr": lr},
        "lr_factors": [0.25, 4.0],
        "ladder": list(rungs) or True,
        "arms": [
            {
                "name": "quantum",
                "label": "quantum router",
                "model": {"router": router, "experts": {"kind": "linear"}, "n_experts": experts},
            }
        ],
    }
    return parse_study(values, f"qmoe ablate {path}")


def is_ablation(study: Study) -> bool:
    """Whether a study looks like one of `ablation_study`."""
    return study.data.name == UserTable.name and bool(study.ladder) and study.title.startswith(LADDER_TITLE)


def ladder_claims(study: Study, first: int = 1) -> list[Claim]:
    """What a ladder is asked: does the quantum router win, and does it need what is quantum about it?

    Args:
        study: one with a ladder; a question is left out where its rung is not among the arms.
        first: number of the first question, for several ladders in one report.

    Example:
        >>> from qmoe.claims import ladder_claims
        >>> from qmoe.studies import load_preset
        >>> [claim.id for claim in ladder_claims(load_preset("ladder-moons"))][:2]
        ['A1', 'A2']
    """
    if not study.ladder:
        return []
    # An arm with several noise strengths is asked at the first of them.
    arms = {arm.name: {"arm": arm.name, "noise": arm.noise[0]} if arm.noise else arm.name for arm in study.arms}
    base = next((arms[arm.name] for arm in study.arms if arm.model.router.kind == "quantum"), None)
    asked = [
        ("wins", ("linear",), "beats the linear router", "It classifies better than a linear router.",
         "It does not classify better than a linear router."),
        ("entanglement", ("no-entangler",), "needs its entangling gates", "Accuracy falls without entangling gates.",
         "It does as well without entangling gates."),
        ("interference", ("dephased-all", "dephased-x", "dephased-y", "stochastic"), "needs interference",
         "Accuracy falls along whichever axis coherence is taken away, and a chain without interference does worse.",
         "A router without any interference does as well."),
        ("circuit", ("twin",), "beats its classical twin", "A linear gate on the same functions does worse.",
         "A classical linear gate on the same functions does as well."),
    ]  # fmt: skip
    found = [
        {
            "id": f"A{number}",
            "headline": True,
            "topic": words,
            "statement": f"On {study.data.name if study.data.name != 'table' else study.short_title}, the "
            f"quantum router {words}.",
            "source": "qmoe ablate",
            "studies": [study.name],
            "if_supported": yes,
            "if_refuted": no,
            "tests": [
                {"kind": "difference", "name": f"{key}-{rival}" if len(rivals) > 1 else key, "a": base, "b": arms[rival],
                 "direction": "greater", "margin": MARGIN}
                for rival in rivals
                if rival in arms
            ],
        }
        for number, (key, rivals, words, yes, no) in enumerate(asked, first)
        if base is not None and any(rival in arms for rival in rivals)
    ]  # fmt: skip
    return parse_claims({"claims": found}, study.name) if found else []


def _name(stem: str, target: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", f"ablate-{stem}-{target}".lower()).strip("-")
    return plain[:60].strip("-")
