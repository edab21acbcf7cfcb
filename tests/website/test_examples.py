"""The examples in docstrings run, and every public name has one: there, on a page or in a notebook."""

import doctest
import importlib
import math
import pkgutil
from pathlib import Path
from unittest import mock

import pytest
import torch
from website.examples import Example, examples, shown, without_example
from website.extensions.blocks import WIDTH

import qmoe
from qmoe.interop.transformers import FAMILIES

MODULES = [
    ".".join(path.relative_to(Path(qmoe.__file__).parents[1]).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(Path(qmoe.__file__).parent.rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@mock.patch.dict(FAMILIES)  # an example makes one more known
@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings_print_what_they_say(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = importlib.import_module(module)
    tests = doctest.DocTestFinder(exclude_empty=True).find(
        found, found.__name__, globs={**vars(found), "qmoe": qmoe, "torch": torch}
    )
    results = [doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test) for test in tests if test.examples]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


def test_modules_with_examples_are_found() -> None:
    assert {"qmoe", "qmoe.moe.mixture", "qmoe.moe.routing"} <= set(MODULES)
    assert set(MODULES) <= {"qmoe", *(found.name for found in pkgutil.walk_packages(qmoe.__path__, "qmoe."))}


def test_every_public_name_has_an_example_that_runs() -> None:
    assert without_example() == []


def too_wide(example: Example) -> list[str]:
    """The lines of an example that do not fit the column of the site where the screen is wide, or that are for tools.

    Those of docstrings have a prompt and stand further in; those of notebooks go on in the next line, as in Jupyter.
    """
    width = 92 if ".py:" in example.where else math.inf if example.where.startswith("notebooks/") else WIDTH
    return [line for line in example.code.splitlines() if len(line) > width or "fmt: " in line]


def test_lines_of_examples_are_seen_whole_and_are_for_readers() -> None:
    assert {example.where: lines for example in examples() if (lines := too_wide(example))} == {}


def test_a_line_that_is_too_wide_is_seen() -> None:
    assert too_wide(Example("page", "x = 1\ny = 2  # fmt: skip")) == ["y = 2  # fmt: skip"]
    line = f"x = {'1' * 93}"
    assert too_wide(Example("page", line)) == []
    assert too_wide(Example("qmoe/a.py:f", line)) == [line]
    assert too_wide(Example("page", line + "1111")) == [line + "1111"]


def test_an_example_is_what_uses_a_name_and_what_it_gets_from_it() -> None:
    used = Example("here", "from qmoe.moe import z_loss as z\nimport qmoe.data\nz(qmoe.data.Moons(3).split, w)").used
    assert {"qmoe.moe.z_loss", "qmoe.data.Moons"} <= used
    assert not any("balance_loss" in name for name in Example("here", "from qmoe.moe import balance_loss").used)
    assert "claim-card" in shown()["qmoe.claims.Verdict"]
    assert len(examples()) > 40
