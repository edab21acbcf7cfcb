"""Every test says what it asserts: one whose assertions nobody sees may have none."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
#: Calls that assert: pytest's, PyTorch's and NumPy's, suites' tests, and helpers that are named after it.
ASSERTING = ("raises", "warns", "fail", "gradcheck")
PREFIXES = ("assert_", "_assert_", "test_")
#: Tests of scikit-learn's checks, which assert.
OF_LIBRARIES = {"test_scikit_learn_check"}


def asserts(test: ast.AST) -> bool:
    """Whether a test holds an assertion, or a call that is named as one."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name in ASSERTING or name.startswith(PREFIXES):
                return True
    return False


def silent(source: str) -> list[str]:
    """Names of the tests of a module that assert nothing that can be seen."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if f.name.startswith("test_") and not asserts(f)]


def test_every_test_asserts() -> None:
    found = {name for path in TESTS.rglob("test_*.py") for name in silent(path.read_text(encoding="utf-8"))}
    assert found == OF_LIBRARIES


def test_a_test_that_asserts_nothing_is_seen() -> None:
    source = "def test_a():\n    run()\ndef test_b():\n    assert_same(1, 1)\ndef test_c():\n    assert run()\n"
    assert silent(source) == ["test_a"]
