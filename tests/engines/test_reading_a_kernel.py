"""The call that docs/engines.md works through: what it prints, and that its numbers are the right ones."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch

from qmoe.circuits import Circuit
from qmoe.engines import ReferenceEngine
from qmoe.engines.native import layout

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


@pytest.fixture(scope="module")
def names() -> dict[str, object]:
    """What the examples of the section leave behind."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## Reading a kernel\n")[2].partition("\n## ")[0]
    examples = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", section, re.DOTALL)
    assert len(examples) == section.count("```python") == 5
    found: dict[str, object] = {}
    for code, expected in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "docs/engines.md", "exec"), found)
        assert printed.getvalue() == expected
    return found


def test_the_call_gives_the_numbers_of_the_reference(names) -> None:
    x, weights = (names[name].clone().requires_grad_() for name in ("x", "weights"))
    out = ReferenceEngine().evaluate(Circuit(1, 1), x[None], weights.view(1, 1, 3)[0][None])
    gx, gw = torch.autograd.grad(out.sum(), (x, weights))
    for name, expected in (("out", out[0]), ("gx", gx), ("gw", gw)):
        torch.testing.assert_close(names[name], expected.detach(), rtol=0, atol=1e-12)


def test_sections_of_the_scratch_memory_do_not_overlap(names) -> None:
    program, parts = names["program"], names["parts"]
    assert len(parts) == len(layout.Scratch._fields) + 1
    assert (parts % 64 == 0).all()
    assert parts[1] - parts[0] >= 2 * program.sizes.n_vectors * 64
    assert (parts[1:] >= parts[:-1]).all()
