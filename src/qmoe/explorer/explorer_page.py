"""Writes the page: template, style sheet and JavaScript put into one file that needs no network."""

from __future__ import annotations

import json
import re
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from torch import nn

from qmoe.errors import QMoEError, unknown
from qmoe.explorer.explored_arms import SCALING, explored_arms
from qmoe.explorer.explored_data import SCALINGS, explored_data
from qmoe.explorer.page_data import page_data
from qmoe.safe_files import write_whole

#: JavaScript modules, each behind those that it imports.
MODULES = ("circuit", "shots", "arms", "training", "colours", "maps", "bloch", "settings", "controls", "main")
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./[a-z]+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|const|let|class)", re.MULTILINE)


def build_explorer(
    path: str | PathLike[str],
    *,
    data: str | PathLike[str] = "moons",
    target: str | None = None,
    seed: int = 0,
    model: nn.Module | None = None,
    scaling: str = SCALING,
) -> Path:
    """Writes a page on which a trained two-qubit router can be played with, and trains what it shows.

    The page is one HTML file. It simulates the circuit in the browser, and asks nothing of any server. Beside the quantum
    router stand its classical twin and a linear router, each in a mixture with two linear experts.

    Args:
        path: the file to write.
        data: a data set of `qmoe.data.DATASETS` with two features and two classes, or a CSV file.
        target: the label column of the file.
        seed: of the data, of first weights and of the order of the batches.
        model: a trained mixture of a quantum router on two qubits and two linear experts, to show in place of one that is
            trained here. The twin and the linear router are trained.
        scaling: ``"minmax_pi"``, ``"minmax_centred"``, ``"standard"`` or ``"none"``: what scales the features, also those
            that ``model`` takes.

    Returns:
        Path of the page.

    Raises:
        ConfigError: for an unknown data set or scaling, other than two features or classes, or a model that the page does
            not simulate.
        QMoEError: when the file cannot be written.
    """
    if scaling not in SCALINGS:
        raise unknown("scaling", scaling, SCALINGS)
    rows = explored_data(data, target, seed)
    return write_page(Path(path), page_data(rows, explored_arms(rows, seed, model, scaling)))


def write_page(path: Path, numbers: dict[str, Any]) -> Path:
    """Writes the page that holds these numbers.

    Raises:
        QMoEError: when the file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    page = environment.get_template("explorer.html.j2").render(
        numbers=Markup(as_json(numbers)),
        style=Markup(_palette() + _asset("explorer.css")),
        script=Markup(script()),
        layers=range(len(numbers["arms"]["quantum"]["angles"])),
        data=numbers,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)
    except OSError as error:
        raise QMoEError(f"{path} cannot be written: {error.strerror}; choose another file with --out.") from None
    return path


def as_json(numbers: dict[str, Any]) -> str:
    """JSON that may stand inside a script element, whatever names of columns are in it."""
    return json.dumps(numbers, allow_nan=False).replace("<", "\\u003c")


def script() -> str:
    """All modules as one: without their imports, which are all of each other, and without the word export."""
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", _asset(f"{name}.js"))) for name in MODULES)


def _palette() -> str:
    return resources.files("qmoe.report").joinpath("palette.css").read_text(encoding="utf-8")


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")
