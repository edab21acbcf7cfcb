"""States beyond the cache, and the split of work among threads: the same numbers whatever the road."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from qmoe.circuits import AngleEncoding, Circuit, Feature, Gate, NoiseModel, Operation, Weight
from qmoe.compiled import threads
from qmoe.engines import Engine, NativeEngine, TorchEngine
from qmoe.engines.native.plan import batch_plan as plans
from qmoe.engines.native.run import calls
from qmoe.testing import random_inputs

F32, F64 = torch.float32, torch.float64
TOLERANCES = {F64: 1e-10, F32: 1e-5}
DTYPES = pytest.mark.parametrize("dtype", [F64, F32], ids=str)
# A register holds 8 or 16 samples; half of them or fewer go one by one, with basis states in the lanes.
BATCHES = pytest.mark.parametrize("batch", [2, 9], ids=["basis states in the lanes", "samples in the lanes"])


class Entangled(AngleEncoding):
    """Also gates of two wires by features, whose phases lie across the lowest and the highest bits."""

    def operations(self, n_qubits: int) -> tuple[Operation, ...]:
        far = n_qubits - 1
        between = (Gate("IsingZZ", (0, far), (Feature(0),)), Gate("IsingXX", (1, far), (Feature(1),)))
        return (*super().operations(n_qubits), *between)


# Few gates, and all kinds of passes: rotations and phases, shared and of each sample, of high bits and low ones.
GATES = (
    Gate("RY", (0,), (Weight(0),)),
    Gate("IsingZZ", (0, 12), (Weight(1),)),
    Gate("PauliX", (5,)),
    Gate("CRX", (12, 3), (Weight(2),)),
    Gate("CNOT", (11, 0)),
    Gate("RX", (0,), (Weight(3),)),
    Gate("ISWAP", (6, 12)),
    Gate("ECR", (12, 2)),
    Gate("ECR", (1, 9)),
    Gate("RY", (12,), (Weight(4),)),
)
CIRCUITS = {
    "layer": Circuit(13, 1),
    "layer, born": Circuit(13, 1, readout="born"),
    "gates": Circuit(13, 2, AngleEncoding("Z", uploads=2), GATES),
    "gates, born": Circuit(13, 2, AngleEncoding("Y", uploads=2), GATES, readout="born"),
    "amplitude": Circuit(13, 1, "amplitude", GATES, in_features=700),
    "amplitude, born": Circuit(13, 1, "amplitude", GATES, readout="born"),
    "14 qubits": Circuit(14, 1, AngleEncoding("Y"), GATES),
}


@pytest.fixture
def large(fresh_plans: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every state goes the way of large ones, which takes at least 13 qubits: 8 parts of 1024 basis states."""
    monkeypatch.setattr(plans, "LARGE_VECTORS", 1)


@pytest.fixture
def n_threads() -> Callable[[int], None]:
    """`torch.set_num_threads`, for the length of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A thread is worth its while for some dozen blocks; collects among how many the work was shared."""
    counts: list[int] = []
    take_turns = calls.run_in_turns

    def counted(call: Callable[[int, int], None], n_items: int, n_threads: int, group: int) -> None:
        counts.append(n_threads)
        take_turns(call, n_items, n_threads, group)

    # Not for fewer, so that chunks stay more than a block, and would show if they depended on the threads.
    monkeypatch.setattr(calls, "THREAD_OPERATIONS", 5e4)
    monkeypatch.setattr(calls, "run_in_turns", counted)
    return counts


def run(engine: Engine, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None = None) -> list[Tensor]:
    """The read-out, and the gradients of all inputs."""
    inputs = [t.detach().requires_grad_() for t in (x, weights, strength) if t is not None]
    out = engine.evaluate(circuit, *inputs)
    cotangent = torch.linspace(-1, 1, out[..., 0, :].numel(), dtype=F64).view_as(out[..., 0, :]).to(out.dtype)
    cotangent = torch.cos(7 * cotangent)[..., None, :].expand_as(out)
    return [out.detach(), *torch.autograd.grad(out, inputs, cotangent, materialize_grads=True)]


def assert_near(got: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=tolerance, atol=tolerance)


def assert_same(got: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b), f"differs by up to {float((a - b).abs().max()):.1e}"


# --- large states ----------------------------------------------------------------------------------------------------


@DTYPES
@BATCHES
@pytest.mark.parametrize("name", list(CIRCUITS))
@pytest.mark.usefixtures("large")
def test_large_states_equal_the_torch_engine(name: str, batch: int, dtype: torch.dtype) -> None:
    circuit = CIRCUITS[name]
    x, weights = random_inputs(circuit, 1, batch=(batch,), dtype=dtype)
    expected = run(TorchEngine(), circuit, x.double(), weights.double())
    assert_near(run(NativeEngine(), circuit, x, weights), expected, TOLERANCES[dtype])
    assert all(float(gradient.abs().max()) > 1e-6 for gradient in expected)


@BATCHES
def test_large_states_equal_the_same_circuit_in_the_cache(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The torch engine refuses features in gates of two wires.
    circuit = Circuit(13, 2, Entangled("X", uploads=2), GATES)
    x, weights = random_inputs(circuit, 2, batch=(batch,))
    assert not plans.make_plan(circuit, batch, 8).is_large
    expected = run(NativeEngine(), circuit, x, weights)
    monkeypatch.setattr(plans, "LARGE_VECTORS", 1)
    assert plans.make_plan(circuit, batch, 8).is_large
    assert_near(run(NativeEngine(), circuit, x, weights), expected, 1e-12)


@pytest.mark.usefixtures("large")
def test_blocks_of_large_states_are_independent() -> None:
    # 21 samples are blocks of 8, 8 and 5.
    circuit = CIRCUITS["layer"]
    x, weights = random_inputs(circuit, 3, stack=(2,), batch=(3, 7))
    expected = run(TorchEngine(), circuit, x, weights)
    assert_near(run(NativeEngine(), circuit, x, weights), expected, 1e-10)


@pytest.mark.usefixtures("large")
def test_large_states_without_feature_gradients_give_the_same_weight_gradients() -> None:
    for circuit in (CIRCUITS["gates"], CIRCUITS["amplitude"]):
        for batch in (2, 9):
            x, weights = random_inputs(circuit, 4, batch=(batch,), dtype=F32)
            both = run(NativeEngine(), circuit, x, weights)
            weights.requires_grad_()
            out = NativeEngine().evaluate(circuit, x, weights)
            cotangent = torch.cos(7 * torch.linspace(-1, 1, circuit.n_outputs, dtype=F64).to(F32)).expand_as(out)
            (alone,) = torch.autograd.grad(out, weights, cotangent)
            assert torch.equal(alone, both[2])


@pytest.mark.usefixtures("large")
def test_large_states_are_read_where_the_inputs_lie() -> None:
    circuit = CIRCUITS["gates"]
    for batch in (2, 9):
        x, weights = random_inputs(circuit, 5, stack=(2,), batch=(batch,), dtype=F32)
        expected = run(NativeEngine(), circuit, x, weights)
        x_there = torch.stack([x, x], -1)[..., 1].transpose(0, 1).contiguous().transpose(0, 1)
        weights_there = torch.cat([weights, weights], 1)[:, : weights.shape[1]]
        assert not x_there.is_contiguous()
        assert not weights_there.is_contiguous()
        assert_same(run(NativeEngine(), circuit, x_there, weights_there), expected)


# --- threads ---------------------------------------------------------------------------------------------------------


@BATCHES
@pytest.mark.parametrize("name", ["gates", "amplitude, born"])
@pytest.mark.usefixtures("large")
def test_large_states_are_bitwise_the_same_on_any_number_of_threads(
    name: str, batch: int, n_threads: Callable[[int], None]
) -> None:
    x, weights = random_inputs(CIRCUITS[name], 6, batch=(batch,), dtype=F32)
    results = []
    for count in (1, 2, 3):
        n_threads(count)
        results.append(run(NativeEngine(), CIRCUITS[name], x, weights))
    for other in results[1:]:
        assert_same(other, results[0])


SMALL = {
    "clean": Circuit(3, 2),
    "born": Circuit(2, 1, AngleEncoding("Z"), readout="born"),
    "amplitude": Circuit(3, 1, "amplitude"),
    "noisy": Circuit(2, 1, noise=NoiseModel(0.1, "gate")),
    "basis states in the lanes": Circuit(8, 1),
}


@DTYPES
@pytest.mark.parametrize("name", list(SMALL))
def test_small_states_are_bitwise_the_same_on_any_number_of_threads(
    name: str, dtype: torch.dtype, n_threads: Callable[[int], None], shares: list[int]
) -> None:
    circuit = SMALL[name]
    few = name.endswith("lanes")
    stack, batch = ((5,), (2,)) if few else ((), (16 * 8 * 4 + 3,))  # blocks by the dozen, in several chunks
    inputs = list(random_inputs(circuit, 7, stack=stack, batch=batch, dtype=dtype))
    if circuit.noise is not None:
        inputs.append(torch.tensor(0.2, dtype=dtype))
    n_threads(1)
    expected = run(NativeEngine(), circuit, *inputs)
    assert shares == []
    for count in (2, 3):
        n_threads(count)
        shares.clear()
        assert_same(run(NativeEngine(), circuit, *inputs), expected)
        assert shares == [count, count]  # forward and backward


def test_threads_are_left_alone_where_there_is_little_to_do(
    n_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[object] = []
    monkeypatch.setattr(calls, "run_in_turns", lambda *arguments: turns.append(arguments))
    n_threads(2)
    run(NativeEngine(), Circuit(2, 3), *random_inputs(Circuit(2, 3), 8, batch=(300,), dtype=F32))
    assert turns == []


def test_failure_in_one_thread_is_raised_and_leaves_no_other_waiting(n_threads: Callable[[int], None]) -> None:
    def stage(part: int) -> None:
        if part == 5:
            raise ArithmeticError("part 5")

    with pytest.raises(ArithmeticError, match="part 5"):
        threads.run_in_parts([stage, stage], 8, 1)
    # Which of the two speaks first is open: the part that failed, or the thread that waited for it.
    with pytest.raises((ArithmeticError, RuntimeError)):
        threads.run_in_parts([stage, stage], 8, 2)


# --- stacks ----------------------------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("batch", [1, 5, 40, 300])
@pytest.mark.parametrize("name", list(SMALL))
def test_a_model_gets_bitwise_the_same_alone_and_anywhere_in_a_stack(
    name: str, batch: int, dtype: torch.dtype, n_threads: Callable[[int], None], shares: list[int]
) -> None:
    circuit = SMALL[name]
    if circuit.n_qubits == 8 and batch > 40:
        batch = 41
    x, weights = random_inputs(circuit, 9, stack=(5,), batch=(batch,), dtype=dtype)
    strength = None if circuit.noise is None else torch.linspace(0.1, 0.5, 5, dtype=dtype)
    n_threads(2)
    for in_a_stack, alone in by_place(circuit, x, weights, strength):
        assert all(map(torch.equal, in_a_stack, alone))


@BATCHES
@pytest.mark.usefixtures("large")
def test_a_large_model_gets_bitwise_the_same_alone_and_anywhere_in_a_stack(batch: int) -> None:
    circuit = CIRCUITS["layer"]
    for in_a_stack, alone in by_place(circuit, *random_inputs(circuit, 10, stack=(3,), batch=(batch,), dtype=F32)):
        assert all(map(torch.equal, in_a_stack, alone))


def by_place(
    circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None = None
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """What the first and the last model give in a stack, and alone: read-outs and gradients."""
    inputs = [x, weights, *([] if strength is None else [strength])]

    def results(places: list[int] | int) -> list[Tensor]:
        ins = [t[places].detach().requires_grad_() for t in inputs]
        out = NativeEngine().evaluate(circuit, *ins)
        return [out.detach(), *torch.autograd.grad(out, ins, torch.cos(5 * out.detach()))]

    last = len(x) - 1
    stacked = results(list(range(last + 1)))
    mixed = results([last, 0, 1])
    for place in (0, last):
        alone = results(place)
        yield [t[place] for t in stacked], alone
        yield [t[0 if place == last else 1] for t in mixed], alone


def test_deep_circuits_whose_tables_would_outgrow_the_state_go_the_way_of_large_ones() -> None:
    assert not plans.make_plan(Circuit(16, 3), 1, 4).is_large
    assert plans.make_plan(Circuit(16, 30), 1, 4).is_large
    assert not plans.make_plan(Circuit(12, 400), 1, 4).is_large  # too few qubits for its parts
