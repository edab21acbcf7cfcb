"""The ladder on your own table."""

from __future__ import annotations

import inspect
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qmoe.claims.spec import Claim, parse_claims
from qmoe.data import UserTable
from qmoe.data.base import rarest_classes
from qmoe.errors import ConfigError, count
from qmoe.statistics.conventions import MARGIN
from qmoe.studies.files import parse_study
from qmoe.studies.specs.study import LADDER_TITLE, DataSpec, Study

#: Beyond this many features a qubit for each is slow, and the first principal components take their place.
MAX_QUBITS = 4
#: Trainable layers of a circuit that has no name.
LAYERS = 3
#: Beyond this many different values a target that cannot be split is likely one of measurements.
_MANY_CLASSES = 20
#: How published circuits were given their features; see docs/qml-benchmarks.md.
_SCALINGS = {"data_reuploading": "minmax_centred", "dressed": "standard", "iqp": "minmax_centred"}


def ablation_study(
    path: str | Path,
    target: str,
    *,
    qubits: int | None = None,
    layers: int | None = None,
    circuit: str | None = None,
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
        target: the label column; its values are classes, not measurements.
        qubits: number of qubits, each of which takes one principal component, or three for ``"data_reuploading"``; by
            default as many as the features take, up to 4 features.
        layers: trainable layers; 3 by default, or those of the published circuit.
        circuit: name of a published circuit, of `qmoe.circuits.published_circuit`; by default an encoding and layers.
        experts: number of experts.
        epochs: passes over the data.
        lr: Adam's learning rate; every arm is trained at a quarter and at four times that as well.
        seeds: splits of the table, each with two initialisations.
        rungs: names out of `qmoe.studies.RUNGS`; all of them by default.
        keep: columns that are features although they seem to number the rows.

    Raises:
        ConfigError: for a table that cannot be used, or sizes that do not fit.
    """
    options: dict[str, Any] = {"qubits": qubits, "layers": layers, "circuit": circuit, "experts": experts}
    options |= {"epochs": epochs, "lr": lr, "seeds": seeds}
    # The same command goes on from wherever its user stands.
    table = UserTable(str(Path(path).resolve()), target, keep=tuple(keep))
    _refuse_unsplittable(table)
    router, wanted = _router(circuit, qubits, layers, table.n_features)
    data: dict[str, Any] = {
        "name": "table",
        "options": {"path": str(table.path), "target": target, "digest": table.digest}
        | ({"keep": list(keep)} if keep else {}),
        "scaling": _SCALINGS.get(circuit or "", "minmax_pi"),
    }
    reduced = wanted < table.n_features
    about = (
        f"Rows of {Path(path).name}, {count(table.n_features, 'feature')}, {count(table.n_classes, 'class', 'classes')} of "
        f"{target}. The router {_in_words(router, layers)}, and routes to {experts} linear experts. Training takes "
        f"{count(epochs, 'epoch')} at a learning rate of {lr:g}."
    )
    if reduced:
        data["components"] = wanted
        each = "" if circuit == "data_reuploading" else ", one for each qubit"
        kept = "their first principal component" if wanted == 1 else f"{wanted} principal components{each}"
        about += f" The features are standardised and reduced to {kept}."
    values = {
        "name": _name(Path(path).stem, target, circuit or ""),
        "title": f"{LADDER_TITLE}{target} in {Path(path).name}{'' if circuit is None else f', circuit {circuit}'}",
        "phase": "ladder",
        "protocol": "heldout",
        "about": about,
        "command": _command(Path(path).name, target, rungs, keep, options),
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


def _command(file: str, target: str, rungs: Sequence[str], keep: Sequence[str], options: Mapping[str, object]) -> str:
    """The command that makes this study, in the folder of its table, with the options that are not as by default."""
    known = inspect.signature(ablation_study).parameters
    words = ["qmoe", "ablate", "--data", file, "--target", target]
    for name, value in options.items():
        words += [] if value == known[name].default else [f"--{name}", str(value)]
    for rung in rungs:
        words += ["--rung", rung]
    for column in keep:
        words += ["--keep", column]
    return shlex.join(words)


def _refuse_unsplittable(table: UserTable) -> None:
    """Refuses a target that training would stumble over at its first split, such as the measurements of a regression."""
    try:
        table.split(0, DataSpec.model_fields["test_fraction"].default, 0)
    except ConfigError as error:
        what, remedy = "labels", "drop these rows, or merge classes"
        if table.n_classes > _MANY_CLASSES:
            what, remedy = _numbers_or_words(table.classes), "make a few classes of them first, such as low and high"
        raise ConfigError(
            f"column {table.target!r} holds {table.n_classes:,} different {what} in {count(table.n_rows, 'row')}: ablate "
            "compares classifiers, so it needs labels, each in several rows; "
            f"{remedy}. The rarest: {rarest_classes(table.content.y, table.classes)}."
        ) from error


def _numbers_or_words(classes: Sequence[str]) -> str:
    try:
        [float(word) for word in classes]
    except ValueError:
        return "words"
    return "numbers"


def _router(circuit: str | None, qubits: int | None, layers: int | None, n_features: int) -> tuple[dict[str, Any], int]:
    """The router of a study file, and how many features it takes."""
    each = 3 if circuit == "data_reuploading" else 1
    wanted = min(n_features, MAX_QUBITS) if qubits is None else qubits if each == 1 else min(3 * qubits, n_features)
    if wanted > n_features or (qubits is not None and qubits > math.ceil(n_features / each)):
        asked, given = count(qubits or wanted, "qubit"), count(n_features, "feature")
        raise ConfigError(f"{asked} for {given}; take at most as many qubits as features.")
    if circuit is None:
        return {"kind": "quantum", "n_qubits": wanted, "n_layers": LAYERS if layers is None else layers}, wanted
    named = circuit if layers is None else {"name": circuit, "n_layers": layers}
    return {"kind": "quantum", "circuit": named}, wanted


def _in_words(router: Mapping[str, Any], layers: int | None) -> str:
    """What the router has; layers of a circuit by name are told where they were given."""
    if "circuit" not in router:
        return f"has {count(router['n_qubits'], 'qubit')} and {count(router['n_layers'], 'layer')}"
    name = router["circuit"] if layers is None else router["circuit"]["name"]
    return f"is the published circuit {name}" + ("" if layers is None else f" of {count(layers, 'layer')}")


def ladder_claims(study: Study, first: int = 1, named: bool = False) -> list[Claim]:
    """What a ladder is asked: does the quantum router win, and does it need what is quantum about it?

    Args:
        study: one with a ladder; a question is left out where its rung is not among the arms.
        first: number of the first question, for several ladders in one report.
        named: whether the topics name the study, for several ladders in one report.

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
            "topic": f"{words} ({study.short_title})" if named else words,
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


def _name(*parts: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(["ablate", *parts]).lower()).strip("-")
    return plain[:60].strip("-")
