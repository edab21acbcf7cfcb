"""The conformance suite must fail for engines that are wrong."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from qmoe.circuits import Body, Circuit, Disturb
from qmoe.engines import Engine, ReferenceEngine, TorchEngine
from qmoe.errors import UnsupportedError
from qmoe.testing.engine_suite import EngineConformance

F32, F64 = torch.float32, torch.float64


class WrongSign(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, -x, weights, strength)


class DetachedFeatures(TorchEngine):
    """Right values, but features get no gradient."""

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x.detach(), weights, strength)


class ForgetsNoise(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x, weights, None if strength is None else 0 * strength)


class OneStrengthForAll(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        shared = None if strength is None else strength[:1].expand_as(strength)
        return super()._evaluate(circuit, x, weights, shared)


class ForgetsDephasing(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        if circuit.noise is not None:
            circuit = circuit.with_noise(replace(circuit.noise, dephasing="none", dephasing_axis="Z"))
        return super()._evaluate(circuit, x, weights, strength)


class DephasesAlongZ(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        if circuit.noise is not None:
            circuit = circuit.with_noise(replace(circuit.noise, dephasing_axis="Z"))
        return super()._evaluate(circuit, x, weights, strength)


class ForgetsChannels(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        kept = tuple(op for op in circuit.operations if not isinstance(op, Disturb))
        if len(kept) < len(circuit.operations):
            body = Body(kept, circuit.weight_shape, is_noisy=True)
            circuit = Circuit(circuit.n_qubits, None, None, None, circuit.readout, 0.0, circuit.in_features, body)
        return super()._evaluate(circuit, x, weights, strength)


class MisreadsAlongZ(ReferenceEngine):
    """Errors of the measurement strike before the basis is changed."""

    def rewriting(self, circuit: Circuit) -> None:
        del circuit


class Promotes(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x, weights, strength).double()


class HalfPrecise(TorchEngine):
    """Float64 in name only, as results of lightning are on their way through PennyLane."""

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x, weights, strength).float().to(x.dtype)


class Jitters(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x, weights, strength) + 1e-6 * torch.rand((), dtype=x.dtype)


class FirstSampleOnly(TorchEngine):
    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        return super()._evaluate(circuit, x[:, :1].expand_as(x), weights, strength)


class PullsTwice(TorchEngine):
    def vjp(self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None) -> Any:
        out, pull = super().vjp(circuit, x, weights, noise_strength)
        return out, lambda given: 2 * pull(given)


def suite(engine: type[Engine]) -> EngineConformance:
    class Suite(EngineConformance):
        def make_engine(self) -> Engine:
            return engine()

    return Suite()


def complaint(check: Callable[[torch.dtype], None], dtype: torch.dtype) -> str | None:
    """What a test of the suite says against the engine; None if it passes."""
    try:
        check(dtype)
    except AssertionError as error:
        return str(error)
    return None


def test_suite_passes_the_engine_that_the_broken_ones_are_made_of() -> None:
    good = suite(TorchEngine)
    assert complaint(good.test_batch_and_stack_shapes_equal_reference, F64) is None
    assert complaint(good.test_noise_strength_of_each_model_equals_reference, F32) is None
    assert complaint(good.test_two_evaluations_and_backward_calls_are_equal, F32) is None


@pytest.mark.parametrize("engine", [WrongSign, DetachedFeatures, HalfPrecise, FirstSampleOnly])
def test_wrong_values_or_gradients_fail(engine: type[Engine]) -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        suite(engine).test_batch_and_stack_shapes_equal_reference(F64)


@pytest.mark.parametrize("engine", [ForgetsNoise, OneStrengthForAll])
def test_wrong_noise_fails(engine: type[Engine]) -> None:
    with pytest.raises(AssertionError):
        suite(engine).test_noise_strength_of_each_model_equals_reference(F32)


def test_dephasing_that_is_left_out_fails() -> None:
    good, bad = suite(TorchEngine), suite(ForgetsDephasing)
    for where in ("encoding", "layers", "all"):
        good.test_dephased_circuit_equals_reference_or_is_refused("Z", where, "angle", F32)
        with pytest.raises(AssertionError):
            bad.test_dephased_circuit_equals_reference_or_is_refused("Z", where, "angle", F32)


@pytest.mark.parametrize("axis", ["X", "Y"])
def test_dephasing_along_another_axis_than_asked_for_fails(axis: str) -> None:
    suite(TorchEngine).test_dephased_circuit_equals_reference_or_is_refused(axis, "all", "angle", F32)
    with pytest.raises(AssertionError):
        suite(DephasesAlongZ).test_dephased_circuit_equals_reference_or_is_refused(axis, "all", "angle", F32)


def test_channels_that_are_left_out_fail() -> None:
    def fails(engine: type[Engine], seed: int) -> bool:
        test = suite(engine).test_channel_at_any_place_equals_reference_or_is_refused
        return complaint(lambda dtype: test(seed, dtype), F32) is not None

    assert [seed for seed in range(12) if fails(TorchEngine, seed)] == []
    # In the others the channels struck nothing that is measured.
    assert len([seed for seed in range(12) if fails(ForgetsChannels, seed)]) >= 9


def test_errors_of_the_measurement_before_the_change_of_basis_fail() -> None:
    suite(ReferenceEngine).test_errors_of_the_measurement_strike_in_the_basis_that_is_measured(F64)
    with pytest.raises(AssertionError):
        suite(MisreadsAlongZ).test_errors_of_the_measurement_strike_in_the_basis_that_is_measured(F64)


def test_channels_where_an_error_is_declared_fail() -> None:
    class ClaimsNoChannels(EngineConformance):
        supports_channels = False

        def make_engine(self) -> Engine:
            return TorchEngine()

    claims = ClaimsNoChannels()
    with pytest.raises(AssertionError, match="why_not"):
        claims.test_unsupported_circuits_say_why()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        claims.test_channel_at_any_place_equals_reference_or_is_refused(0, F64)


def test_a_wrong_pullback_fails() -> None:
    suite(TorchEngine).test_vjp_gives_what_evaluate_and_autograd_give(F64)
    with pytest.raises(AssertionError):
        suite(PullsTwice).test_vjp_gives_what_evaluate_and_autograd_give(F64)


def test_promoted_dtype_fails() -> None:
    with pytest.raises(UnsupportedError, match=r"returned torch\.float64"):
        suite(Promotes).test_batch_and_stack_shapes_equal_reference(F32)


def test_randomness_fails() -> None:
    with pytest.raises(AssertionError, match="differ"):
        suite(Jitters).test_two_evaluations_and_backward_calls_are_equal(F32)


def test_numbers_where_an_error_is_declared_fail() -> None:
    class ClaimsLittle(EngineConformance):
        supports_born = False
        supports_noise = False
        supports_vmap = False

        def make_engine(self) -> Engine:
            return TorchEngine()

    claims = ClaimsLittle()
    with pytest.raises(AssertionError, match="why_not"):
        claims.test_unsupported_circuits_say_why()
    for test in (
        claims.test_noise_strength_of_each_model_equals_reference,
        claims.test_vmap_over_weights_equals_the_loop_or_raises,
        claims.test_vmap_over_samples_equals_the_loop_or_raises,
    ):
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            test(F64)


def test_dephasing_where_an_error_is_declared_fails() -> None:
    class ClaimsNoDephasing(EngineConformance):
        supports_dephasing = False

        def make_engine(self) -> Engine:
            return TorchEngine()

    claims = ClaimsNoDephasing()
    with pytest.raises(AssertionError, match="why_not"):
        claims.test_unsupported_circuits_say_why()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        claims.test_dephased_circuit_equals_reference_or_is_refused("Z", "all", "angle", F64)


def test_the_engine_gets_its_tensors_on_the_device_of_the_suite() -> None:
    class Elsewhere(EngineConformance):
        device = "meta"

        def make_engine(self) -> Engine:
            return Recording()

    class Recording(TorchEngine):
        def evaluate(
            self, circuit: Circuit, x: Tensor, weights: Tensor, noise_strength: Tensor | None = None
        ) -> Tensor:
            found.append((x.device.type, weights.device.type))
            raise UnsupportedError("seen enough")

    found: list[tuple[str, str]] = []
    names = [name for name in dir(EngineConformance) if name.startswith("test_")]
    tests = {name: inspect.signature(getattr(EngineConformance, name)).parameters for name in names}
    for name, parameters in tests.items():
        if name in (
            "test_unsupported_circuits_say_why",  # asks, and runs nothing
            "test_wrong_shapes_and_dtypes_raise_shape_error",  # wants another error
            "test_autocast_around_it_changes_nothing",  # there is no autocast on meta
        ):
            continue
        values = {"circuit_seed": 0, "dtype": F32, "dephasing": "all", "encoding": "angle", "axis": "Y"}
        with pytest.raises((UnsupportedError, pytest.fail.Exception)):
            getattr(Elsewhere(), name)(**{key: values[key] for key in parameters if key != "self"})
    assert set(found) == {("meta", "meta")}


def test_missing_make_engine_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match="define make_engine"):
        EngineConformance().test_gradcheck()


def test_unknown_name_in_qmoe_testing_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="EngineConformanc'"):
        _ = sys.modules["qmoe.testing"].EngineConformanc
