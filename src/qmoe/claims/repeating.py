"""The command that repeats an ablation, from what its study says."""

from __future__ import annotations

import inspect
import re
import shlex

from qmoe.claims.ablation import LAYERS, MAX_QUBITS, ablation_study
from qmoe.data import UserTable
from qmoe.routers.quantum import QuantumRouterSpec
from qmoe.studies.specs.study import LADDER_TITLE, Study

#: How `ablation_study` begins to tell of its study.
_ROWS_OF = re.compile(r"Rows of (?P<file>.+?), [\d,]+ features?, ")


def ablation_command(study: Study) -> str:
    """The whole command that repeats an ablation, in the folder of its table; "" for any other study.

    Args:
        study: as a store gives it back: with the name of its table, whose place is the store by now.

    Example:
        >>> from qmoe.claims.repeating import ablation_command
        >>> from qmoe.studies import load_preset
        >>> ablation_command(load_preset("ladder-moons"))
        ''
    """
    told = _ROWS_OF.match(study.about)
    router = study.arms[0].model.router
    if (
        told is None
        or study.data.name != UserTable.name
        or not study.title.startswith(LADDER_TITLE)
        or not study.ladder
        or not isinstance(router, QuantumRouterSpec)
    ):
        return ""
    options = study.data.options
    words = ["qmoe", "ablate", "--data", told["file"], "--target", options["target"]]
    for name, value in _options(study, router).items():
        words += [f"--{name}", str(value)]
    for rung in study.ladder if isinstance(study.ladder, tuple) else ():
        words += ["--rung", rung]
    for column in options.get("keep", ()):
        words += ["--keep", column]
    return shlex.join(words)


def _options(study: Study, router: QuantumRouterSpec) -> dict[str, str | int | float]:
    """The options of the command that have other values than its defaults."""
    known = inspect.signature(ablation_study).parameters
    n_features = study.sizes[0]
    taken = study.data.components or n_features
    circuit, layers = router.circuit, None if router.n_layers == LAYERS else router.n_layers
    if isinstance(circuit, dict):
        circuit, layers = circuit["name"], circuit["n_layers"]
    found: dict[str, str | int | float | None] = {}
    if taken != min(n_features, MAX_QUBITS):
        found["qubits"] = -(-taken // 3) if circuit == "data_reuploading" else taken
    found |= {"layers": layers, "circuit": circuit, "experts": study.arms[0].model.n_experts}
    found |= {"epochs": study.training.epochs, "lr": study.training.lr, "seeds": study.seeds.data}
    return {name: value for name, value in found.items() if value is not None and value != known[name].default}
