"""Private names of torch stand in one file, and what it asks by them is answered."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad

import qmoe
from qmoe import torch_internals as internals

SOURCE = Path(qmoe.__file__).parent
HOME = SOURCE / "torch_internals.py"
#: Attributes of tensors that torch does not document, and that no class of qmoe has.
OF_TENSORS = {"_is_zerotensor", "_is_view", "_version"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def of_torch(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is a module of torch, by one of the names that it was imported by, or a part of one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in names


def private_names(source: str) -> Iterator[str]:
    """Names of torch in a module that begin with an underscore."""
    tree = ast.parse(source)
    modules = {"torch"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            modules |= {alias.asname or alias.name for alias in node.names}
            yield from (part for part in (node.module or "").split(".") if is_private(part))
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.split(".")[0] == "torch"]
            modules |= {alias.asname for alias in ours if alias.asname is not None}
            yield from (part for alias in ours for part in alias.name.split(".") if is_private(part))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and is_private(node.attr)):
            continue
        if node.attr in OF_TENSORS or of_torch(node.value, modules):
            yield node.attr


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_private_names_of_torch_stand_in_one_file(path: Path) -> None:
    found = list(private_names(path.read_text(encoding="utf-8")))
    assert bool(found) == (path == HOME), found


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch._C._len_torch_dispatch_stack()",
        "import torch._dynamo",
        "import torch._inductor as inductor",
        "from torch._C import _is_tracing",
        "from torch.autograd import forward_ad\nforward_ad._current_level",
        "from torch import autograd as ad\nad.forward_ad._current_level",
        "from torch import nn\nnn.functional._canonical_mask",
        "def f(x):\n    return x._is_zerotensor()",
    ],
)
def test_a_private_name_is_seen(code: str) -> None:
    assert list(private_names(code))


@pytest.mark.parametrize(
    "code",
    [
        "import torch\ntorch.func.vmap(torch.__version__)",
        "from torch import nn\n\nclass A(nn.Module):\n    def f(self):\n        self._own = self._parameters",
    ],
)
def test_public_names_and_those_of_a_class_are_not(code: str) -> None:
    assert list(private_names(code)) == []


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # which torch.func.jvp uses
def test_transforms_are_seen_from_inside() -> None:
    seen: list[tuple[bool, bool, bool]] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append((internals.is_transformed(), internals.is_wrapped(x), internals.differentiates_forwards()))
        return x.sum()

    x = torch.ones(3)
    look(x)
    torch.func.grad(look)(x)
    torch.func.vmap(look)(x.view(3, 1))
    torch.func.jvp(look, (x,), (x,))
    torch.func.jacfwd(torch.func.grad(look))(x)
    assert seen[0] == (False, False, False)
    assert seen[1:3] == [(True, True, False)] * 2
    assert all(is_transformed and forwards for is_transformed, _, forwards in seen[3:])


def test_tensors_made_outside_transforms_outlive_them() -> None:
    made: list[torch.Tensor] = []

    def make(x: torch.Tensor) -> torch.Tensor:
        with internals.outside_transforms():
            made.append(torch.ones(2) * 3)
        return x

    torch.func.vmap(make)(torch.ones(2))
    assert not internals.is_wrapped(made[0])
    assert made[0].tolist() == [3, 3]


def test_dual_levels_are_seen() -> None:
    assert not internals.is_in_dual_level()
    with forward_ad.dual_level():
        assert internals.is_in_dual_level()
        assert internals.differentiates_forwards()


def test_recording_is_seen() -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(internals.is_recorded())
        return x + 1

    look(torch.ones(1))
    torch.fx.experimental.proxy_tensor.make_fx(look)(torch.ones(1))
    assert seen == [False, True]


def test_autocast_of_any_device_is_seen() -> None:
    assert not internals.is_autocast_anywhere()
    with torch.autocast("cpu", torch.bfloat16):
        assert internals.is_autocast_anywhere()


def test_zeros_without_memory_are_seen() -> None:
    assert internals.is_symbolic_zero(torch._efficientzerotensor(3))
    assert not internals.is_symbolic_zero(torch.zeros(3))


def test_batches_of_gradients_are_seen() -> None:
    seen: list[bool] = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x.clone()

        @staticmethod
        def backward(ctx, given):  # type: ignore[no-untyped-def]
            seen.append(internals.is_batch_of_gradients(given))
            return given

    x = torch.ones(2, requires_grad=True)
    for given, batched in ((torch.ones(2), False), (torch.eye(2), True)):
        torch.autograd.grad(Look.apply(x), x, given, is_grads_batched=batched)
    assert seen == [False, True]


def test_each_tensor_is_copied_to_its_place() -> None:
    targets = [torch.zeros(2), torch.zeros(3)]
    internals.copy_all(targets, [torch.ones(2), torch.full((3,), 2.0)])
    assert [target.tolist() for target in targets] == [[1, 1], [2, 2, 2]]


def test_a_constant_is_marked_as_torch_itself_does() -> None:
    def ours() -> None: ...
    def theirs() -> None: ...

    internals.constant_when_compiled(ours)
    torch.compiler.assume_constant_result(theirs)
    assert vars(ours) == vars(theirs)
    assert vars(ours) != {}
