"""Logits of twins in compiled code: the same numbers and gradients as written out in operations of torch."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qmoe import AngleEncoding, Circuit
from qmoe.circuits import Gate, Weight
from qmoe.routers import TwinRouter
from qmoe.routers.sums import product_sums
from qmoe.training.stack import ModelStack

F64 = torch.float64
PAPER = Circuit(2, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, n_features: int, dtype: torch.dtype = F64, seed: int = 0) -> Tensor:
    return (6 * torch.rand(n, n_features, generator=generator(seed), dtype=F64) - 3).to(dtype)


def twin(circuit: Circuit = PAPER, n_experts: int = 2, in_features: int | None = None, **options: object) -> TwinRouter:
    return TwinRouter(circuit, n_experts, in_features, generator=generator(), **{"dtype": F64, **options})  # type: ignore[arg-type]


def is_compiled(logits: Tensor) -> bool:
    assert logits.grad_fn is not None
    return logits.grad_fn.name() == "SumProductsBackward"


def written(router: TwinRouter, x: Tensor) -> Tensor:
    """The logits from all values of all functions."""
    return router.functions(x) @ router.weight.mT + router.bias


# --- values and gradients ---------------------------------------------------------------------------------------------

CIRCUITS = {
    "one qubit": Circuit(1, 3),
    "paper": PAPER,
    "five qubits": Circuit(5, 3),
    "six qubits": Circuit(6, 3),
    "seven qubits": Circuit(7, 3),
    "three uploads": Circuit(3, 3, AngleEncoding("Y", 3)),
    "four uploads of one feature": Circuit(1, 4, AngleEncoding("X", 4)),
    "no entanglers": Circuit(5, 3, ansatz="no_entangler"),
    "pairs": Circuit(6, 1, ansatz=[Gate("CRX", (i, i + 1), (Weight(i),)) for i in range(5)]),
}


@pytest.mark.parametrize("n_rows", [1, 7, 16, 300])
@pytest.mark.parametrize("dtype", [torch.float32, F64], ids=str)
@pytest.mark.parametrize("name", CIRCUITS)
def test_logits_and_gradients_are_those_of_all_values(name: str, dtype: torch.dtype, n_rows: int) -> None:
    circuit = CIRCUITS[name]
    router = twin(circuit, 3, dtype=dtype).standardise(rows(50, circuit.in_features, dtype, 1))
    x, given = rows(n_rows, circuit.in_features, dtype).requires_grad_(), rows(n_rows, 3, dtype, 2)
    asked = [x, *router.parameters()]
    found, expected = router.logits(x), written(router, x)
    assert is_compiled(found)
    tolerance = {"rtol": 0, "atol": 1e-11} if dtype == F64 else {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(found, expected, **tolerance)
    pairs = zip(torch.autograd.grad(found, asked, given), torch.autograd.grad(expected, asked, given), strict=True)
    for own, other in pairs:
        torch.testing.assert_close(own, other, **tolerance)


@settings(deadline=None, max_examples=40)
@given(
    n_qubits=st.integers(1, 4),
    uploads=st.integers(1, 3),
    n_experts=st.integers(1, 9),
    batch=st.lists(st.integers(1, 5), max_size=3),
    in_features=st.sampled_from([None, 1, 5]),
    kept=st.floats(0.1, 1),
    seed=st.integers(0, 2**16),
)
def test_any_twin_computes_what_its_functions_say(
    n_qubits: int, uploads: int, n_experts: int, batch: list[int], in_features: int | None, kept: float, seed: int
) -> None:
    circuit = Circuit(n_qubits, uploads, AngleEncoding("Y", uploads))
    whole = twin(circuit, n_experts, in_features)
    draws = torch.rand(len(whole.basis) - 1, generator=generator(seed))
    without = [name for name, draw in zip(whole.basis.names[1:], draws, strict=True) if draw > kept]
    router = twin(circuit, n_experts, in_features, without=without)
    x = rows(int(torch.tensor(batch).prod()), router.in_features, F64, seed).reshape(*batch, router.in_features)
    x.requires_grad_()
    found, asked = router.logits(x), [x, *router.parameters()]
    assert is_compiled(found)
    torch.testing.assert_close(found, written(router, x), rtol=0, atol=1e-12)
    given = torch.randn(found.shape, generator=generator(seed), dtype=F64)
    other = torch.autograd.grad(written(router, x), asked, given)
    for own, expected in zip(torch.autograd.grad(found, asked, given), other, strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


def test_each_gradient_is_found_by_itself() -> None:
    for trained in (["weight"], ["bias"], []):
        router = twin().standardise(rows(50, 2))
        for name, parameter in router.named_parameters():
            parameter.requires_grad_(name in trained)
        x = rows(5, 2).requires_grad_(not trained)
        found = router.logits(x)
        assert is_compiled(found)
        found.square().sum().backward()
        own = [t.grad for t in (x, *router.parameters())]
        assert [g is not None for g in own] == [t.requires_grad for t in (x, *router.parameters())]
        asked = [t for t in (x, *router.parameters()) if t.requires_grad]
        expected = torch.autograd.grad(written(router, x).square().sum(), asked)
        torch.testing.assert_close([g for g in own if g is not None], list(expected), rtol=0, atol=1e-12)


def test_few_functions_that_hardly_vary_keep_the_digits_of_float32() -> None:
    x = 0.3 + 0.01 * rows(200, 2)
    router = twin().standardise(x)
    single = copy.deepcopy(router).float()
    double = copy.deepcopy(single).double()  # of the rounded weights
    own, exact = single.logits(x.float()), double.logits(x.float().double())
    assert is_compiled(own)
    assert (own - exact).abs().max() <= 2**-23 * exact.abs().max()


def test_a_sample_has_the_same_numbers_in_any_batch_and_without_gradients() -> None:
    router, x = twin(Circuit(6, 3), dtype=torch.float32), rows(40, 6, torch.float32)
    together = router(x)
    assert torch.equal(together, torch.stack([router(row) for row in x]))
    with torch.no_grad():
        assert torch.equal(together, router(x))
    with torch.inference_mode():
        assert torch.equal(together, router(x))


# --- what torch asks of an operation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["paper", "four uploads of one feature"])
def test_second_derivatives_are_right(name: str) -> None:
    router = twin(CIRCUITS[name]).standardise(rows(50, CIRCUITS[name].in_features))

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(router, {"weight": weight, "bias": bias}, (x,))
        return found

    inputs = [rows(2, router.in_features).requires_grad_(), *(p.detach().requires_grad_() for p in router.parameters())]
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_many_gradients_come_at_once() -> None:
    router, x = twin(), rows(4, 2).requires_grad_()
    given = torch.randn(3, 4, 2, generator=generator(), dtype=F64)
    at_once = torch.autograd.grad(router.logits(x), (x, router.weight), given, is_grads_batched=True)
    for index in range(3):
        one = torch.autograd.grad(router.logits(x), (x, router.weight), given[index])
        torch.testing.assert_close([g[index] for g in at_once], list(one), rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("transform", [torch.func.jacrev, torch.func.jacfwd, torch.func.hessian])
def test_transforms_take_the_written_operations(transform: Callable[..., Callable[[Tensor], Tensor]]) -> None:
    router, x = twin(), rows(1, 2)[0]
    expected = transform(lambda row: written(router, row))(x)
    torch.testing.assert_close(transform(router.logits)(x), expected, rtol=0, atol=1e-12)
    batched = torch.func.vmap(transform(router.logits))(x.expand(3, 2))
    torch.testing.assert_close(batched, expected.expand(3, *expected.shape), rtol=0, atol=1e-12)


def test_a_second_backward_pass_gives_the_same() -> None:
    router, x = twin(), rows(5, 2).requires_grad_()
    out = router.logits(x).sum()
    first = torch.autograd.grad(out, (x, router.weight), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(out, (x, router.weight)), first, rtol=0, atol=0)


def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    router = twin()
    out = router.logits(rows(5, 2)).sum()
    with torch.no_grad():
        router.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.T.contiguous().T,
        lambda x: x[:1].expand(6, 2),
        lambda x: torch.stack([x, x], -1)[..., 1],
        lambda x: torch.complex(x, -x).conj().imag,
        lambda x: x.reshape(2, 3, 1, 2),
        lambda x: x[0],
        lambda x: x[:0],
    ],
    ids=["transposed", "expanded", "strided", "negative", "more axes", "one row", "none"],
)
def test_features_may_lie_in_memory_in_any_way(change: Callable[[Tensor], Tensor]) -> None:
    router, x = twin(), change(rows(6, 2))
    torch.testing.assert_close(router.logits(x), written(router, x), rtol=0, atol=1e-14)


def test_weights_may_lie_in_memory_in_any_way() -> None:
    router, x = twin(), rows(6, 2)
    expected = router.logits(x)
    router.weight = nn.Parameter(router.weight.detach().T.contiguous().T)
    torch.testing.assert_close(router.logits(x), expected, rtol=0, atol=1e-14)


def test_calls_of_many_operations_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    router, x = twin(Circuit(6, 3)), rows(9, 6)
    assert is_compiled(router.logits(x))
    expected = router.logits(x).detach()
    monkeypatch.setattr(product_sums, "MAX_OPERATIONS", 1000)
    assert not is_compiled(router.logits(x))
    torch.testing.assert_close(router.logits(x).detach(), expected, rtol=0, atol=1e-12)


class _OwnFunctions(TwinRouter):
    def features(self, x: Tensor) -> Tensor:
        return super().features(x) + 1


@pytest.mark.parametrize("circuit", [PAPER, Circuit(6, 3)], ids=["few", "many"])
def test_a_subclass_with_other_functions_computes_these(circuit: Circuit) -> None:
    own = _OwnFunctions(circuit, 2, generator=generator(), dtype=F64)
    x = rows(5, circuit.in_features)
    expected = twin(circuit).logits(x) + own.weight.sum(-1)
    torch.testing.assert_close(own.logits(x), expected, rtol=0, atol=1e-12)


# --- models that were used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("circuit", [PAPER, Circuit(6, 3)], ids=["few", "many"])
def test_used_twins_copy_pickle_and_stack(circuit: Circuit) -> None:
    used, x = twin(circuit), rows(5, circuit.in_features)
    expected = used.logits(x)
    assert torch.equal(copy.deepcopy(used).logits(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(used)).logits(x), expected)
    fresh = twin(circuit)
    for models in ([used, fresh], [fresh, used]):
        stack = ModelStack(models)
        torch.testing.assert_close(stack(x.expand(2, *x.shape))[0], expected.softmax(-1), rtol=0, atol=1e-12)


def test_both_precisions_of_one_twin_run() -> None:
    router, x = twin(Circuit(6, 3)), rows(5, 6)
    expected = router.logits(x)
    torch.testing.assert_close(router.float().logits(x.float()).double(), expected, rtol=0, atol=1e-5)
    assert is_compiled(router.logits(x.float()))
