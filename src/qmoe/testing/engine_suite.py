"""The tests that every engine must pass, inherited by subclassing."""

# ruff: noqa: D102  # a test's name says what it tests

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from qmoe.circuits import Circuit, Disturb, NoiseModel, Pauli, ReadoutConfusion, ReadoutError
from qmoe.circuits.noise import AXES, DEPHASINGS
from qmoe.engines import Engine, ReferenceEngine
from qmoe.errors import ConfigError, ShapeError, UnsupportedError
from qmoe.testing.random_circuits import random_circuit, random_inputs
from qmoe.testing.random_noise import random_placed
from qmoe.testing.random_operations import random_operations
from qmoe.testing.reference_answers import Frozen, gradients_of, projection, reference_answer
from qmoe.testing.showcase import BATCHES, NOISY, SHOWCASE, asks_for_probabilities


class EngineConformance:
    """The conformance suite of engines: subclass it, name the subclass ``Test...``, and supply `make_engine`.

    Values and gradients are compared with `ReferenceEngine`. What the engine declares not to support must raise
    `UnsupportedError`; numbers instead of the error fail the test.

    Example:
        ``class TestMyEngine(EngineConformance): make_engine = lambda self: MyEngine()``

    Example:
        >>> from qmoe.testing import EngineConformance
        >>> class TestMine(EngineConformance):
        ...     engine = "reference"
    """

    #: where the engine gets its tensors; the reference runs on the CPU.
    device: ClassVar[str] = "cpu"
    #: the most qubits to try.
    max_qubits: ClassVar[int] = 4
    #: how many random circuits to try.
    n_random: ClassVar[int] = 24
    supports_noise: ClassVar[bool] = True
    #: whether it dephases qubits; only asked of engines with noise.
    supports_dephasing: ClassVar[bool] = True
    #: whether it runs other channels than these; only asked of engines with noise.
    supports_channels: ClassVar[bool] = True
    #: False for an engine that runs noisy circuits only.
    supports_noise_free: ClassVar[bool] = True
    supports_born: ClassVar[bool] = True
    #: whether amplitude-encoded features have gradients.
    supports_amplitude_gradients: ClassVar[bool] = True
    #: whether `torch.func.vmap` and its kin work; if not they must raise.
    supports_vmap: ClassVar[bool] = True
    #: largest deviation from the reference for each dtype that the engine takes.
    tolerances: ClassVar[dict[torch.dtype, float]] = {torch.float64: 1e-10, torch.float32: 1e-5}

    def make_engine(self) -> Engine:
        """Returns the engine under test."""
        raise NotImplementedError("EngineConformance: define make_engine(self) in your subclass.")

    # --- helpers ---------------------------------------------------------------------------------------------------

    def supports(self, circuit: Circuit) -> bool:
        """Whether the declared limits allow ``circuit``."""
        noise = circuit.noise
        allowed = self.supports_noise_free if noise is None else self.supports_noise
        if noise is not None and noise.dephasing != "none":
            allowed = allowed and self.supports_dephasing
        if any(isinstance(op, Disturb) for op in circuit.operations):
            allowed = allowed and self.supports_channels
        return allowed and (self.supports_born or not asks_for_probabilities(circuit.readout))

    def inputs(self, circuit: Circuit, seed: int, **options: Any) -> tuple[Tensor, Tensor]:
        """Random inputs that ask for every gradient the engine declares."""
        x, weights = self._drawn(circuit, seed, **options)
        return x.requires_grad_(self._has_feature_gradients(circuit)), weights.requires_grad_(True)

    def _drawn(self, circuit: Circuit, seed: int, **options: Any) -> tuple[Tensor, Tensor]:
        """Random inputs on the engine's device."""
        x, weights = random_inputs(circuit, seed, **options)
        return x.to(self.device), weights.to(self.device)

    def _why_not(self, circuit: Circuit) -> str | None:
        return self.make_engine().why_not(circuit, torch.device(self.device))

    def _has_feature_gradients(self, circuit: Circuit) -> bool:
        return self.supports_amplitude_gradients or not circuit.prepares

    def _showcase(self) -> list[Circuit]:
        circuits = [circuit for circuit in SHOWCASE if self.supports(circuit)]
        assert circuits, "the declared limits leave no circuit to test"
        return circuits

    def _compare(
        self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None = None, seed: int = 0
    ) -> None:
        """Value and gradients of a random projection against the reference, which runs in float64 on the CPU."""
        out = self.make_engine().evaluate(circuit, x, weights, strength)
        expected, exact = reference_answer(circuit, Frozen(x), Frozen(weights), Frozen(strength), seed)
        assert out.shape == expected.shape, f"shape {tuple(out.shape)}, expected {tuple(expected.shape)}"
        assert out.dtype == x.dtype, f"dtype {out.dtype}, expected that of x, {x.dtype}"
        assert out.device == x.device, f"device {out.device}, expected that of x, {x.device}"
        tolerance = self.tolerances[x.dtype]
        torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=tolerance)
        gradients = gradients_of(out, [x, weights], projection(out, x.dtype, seed).to(x.device))
        for got, want in zip(gradients, exact, strict=True):
            torch.testing.assert_close(got.cpu().double(), want, rtol=tolerance, atol=tolerance)

    def _compare_vmap(self, circuit: Circuit, inputs: Sequence[Tensor], over: int) -> None:
        """`torch.func.vmap` over the first axis of one input against the loop over it; must raise if not supported."""
        engine = self.make_engine()

        def run(*tensors: Tensor) -> Tensor:
            return engine.evaluate(circuit, *tensors)

        mapped = torch.func.vmap(run, in_dims=tuple(0 if place == over else None for place in range(len(inputs))))
        if not self.supports_vmap:
            with pytest.raises(UnsupportedError):
                mapped(*inputs)
            return
        loop = torch.stack([run(*inputs[:over], value, *inputs[over + 1 :]) for value in inputs[over]])
        torch.testing.assert_close(mapped(*inputs), loop, rtol=0, atol=self.tolerances[loop.dtype])

    # --- against the reference -------------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Spreads the random circuits and the dtypes over tests, as far as the subclass declares them."""
        if "dtype" in metafunc.fixturenames:
            metafunc.parametrize("dtype", list(self.tolerances), ids=str)
        if "circuit_seed" in metafunc.fixturenames:
            metafunc.parametrize("circuit_seed", range(self.n_random))

    def test_random_circuit_equals_reference_or_is_refused(self, circuit_seed: int, dtype: torch.dtype) -> None:
        circuit = random_circuit(circuit_seed, max_qubits=self.max_qubits)
        x, weights = self.inputs(circuit, circuit_seed, batch=(2,), dtype=dtype)
        if self.supports(circuit):
            assert self._why_not(circuit) is None
            self._compare(circuit, x, weights, seed=circuit_seed)
        else:
            with pytest.raises(UnsupportedError):
                self.make_engine().evaluate(circuit, x, weights)

    def test_random_operations_equal_reference_or_are_refused(self, circuit_seed: int, dtype: torch.dtype) -> None:
        circuit = random_operations(circuit_seed, max_qubits=min(self.max_qubits, 3))
        x, weights = self.inputs(circuit, circuit_seed, stack=(2,), batch=(2,), dtype=dtype)
        if self.supports(circuit):
            assert self.make_engine().reason_against(circuit, torch.device(self.device)) is None
            self._compare(circuit, x, weights, seed=circuit_seed)
        else:
            with pytest.raises(UnsupportedError):
                self.make_engine().evaluate(circuit, x, weights)

    @pytest.mark.parametrize("encoding", ["angle", "amplitude"])
    @pytest.mark.parametrize("dephasing", DEPHASINGS[1:])
    @pytest.mark.parametrize("axis", AXES)
    def test_dephased_circuit_equals_reference_or_is_refused(
        self, axis: str, dephasing: str, encoding: str, dtype: torch.dtype
    ) -> None:
        for seed in range(6):
            circuit = random_circuit(
                seed,
                n_qubits=2 + seed % 2,
                encoding=encoding,
                dephasing=dephasing,
                dephasing_axis=axis,
                noise=seed > 3,
            )
            x, weights = self.inputs(circuit, seed, batch=(2,), dtype=dtype)
            if self.supports(circuit):
                self._compare(circuit, x, weights, seed=seed)
            else:
                with pytest.raises(UnsupportedError):
                    self.make_engine().evaluate(circuit, x, weights)

    def test_channel_at_any_place_equals_reference_or_is_refused(self, circuit_seed: int, dtype: torch.dtype) -> None:
        rng = np.random.default_rng(circuit_seed)
        circuit = random_circuit(rng, n_qubits=1 + circuit_seed % min(self.max_qubits, 3), noise=True, dephasing="none")
        assert circuit.noise is not None
        placed = tuple(random_placed(rng, circuit.n_qubits) for _ in range(3))
        circuit = circuit.with_noise(replace(circuit.noise, channels=placed))
        x, weights = self.inputs(circuit, circuit_seed, batch=(2,), dtype=dtype)
        if self.supports(circuit):
            self._compare(circuit, x, weights, seed=circuit_seed)
        else:
            with pytest.raises(UnsupportedError):
                self.make_engine().evaluate(circuit, x, weights)

    def test_errors_of_the_measurement_strike_in_the_basis_that_is_measured(self, dtype: torch.dtype) -> None:
        confusion = ReadoutConfusion(((0.9, 0.1, 0, 0), (0, 0.8, 0.2, 0), (0, 0.1, 0.9, 0), (0.2, 0, 0, 0.8)))
        for placed in (ReadoutError(0.1, 0.3).before_readout(), confusion.before_readout((1, 0))):
            for word in ("X0 Y1", "Y0", "Z0 Z1"):
                circuit = Circuit(2, 2, noise=NoiseModel(channels=(placed,))).with_readout([Pauli(word)])
                x, weights = self.inputs(circuit, 18, batch=(2,), dtype=dtype)
                if self.supports(circuit):
                    self._compare(circuit, x, weights)
                else:
                    with pytest.raises(UnsupportedError):
                        self.make_engine().evaluate(circuit, x, weights)

    def test_batch_and_stack_shapes_equal_reference(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            for stack in ((), (2,), (1, 2)):
                for batch in BATCHES:
                    x, weights = self.inputs(circuit, 1, stack=stack, batch=batch, dtype=dtype)
                    self._compare(circuit, x, weights)

    def test_noise_strength_of_each_model_equals_reference(self, dtype: torch.dtype) -> None:
        if not self.supports_noise:
            circuit = Circuit(2, 1, noise=0.1)
            x, weights = self.inputs(circuit, 2, dtype=dtype)
            with pytest.raises(UnsupportedError):
                self.make_engine().evaluate(circuit, x, weights)
            return
        for circuit in filter(self.supports, NOISY):
            x, weights = self.inputs(circuit, 2, stack=(4,), dtype=dtype)
            strength = x.new_tensor([0.0, 0.05, 0.3, 0.75])
            self._compare(circuit, x, weights, strength)

    def test_vjp_gives_what_evaluate_and_autograd_give(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            for stack, batch in (((), (3,)), ((2,), (5,)), ((2, 3), (4,))):
                x, weights = self._drawn(circuit, 17, stack=stack, batch=batch, dtype=dtype)
                weights.requires_grad_()
                strength = None if circuit.noise is None else x.new_full(stack, 0.2)
                engine = self.make_engine()
                expected = engine.evaluate(circuit, x, weights, strength)
                # Rows that are not contiguous, as gradients that come out of a permutation are.
                given = torch.randn(*expected.shape[::-1], generator=torch.Generator().manual_seed(1), dtype=dtype)
                given = given.to(x.device).permute(*range(given.dim())[::-1])
                with torch.no_grad():
                    out, pull = engine.vjp(circuit, x, weights, strength)
                    gradient = pull(given)
                assert not out.requires_grad
                tolerance = self.tolerances[dtype]
                torch.testing.assert_close(out, expected.detach(), rtol=0, atol=tolerance)
                (wanted,) = gradients_of(expected, [weights], given)
                torch.testing.assert_close(gradient, wanted, rtol=tolerance, atol=tolerance)

    def test_unsupported_circuits_say_why(self) -> None:
        for circuit in SHOWCASE:
            reason = self._why_not(circuit)
            assert (reason is None) == self.supports(circuit), f"why_not says {reason!r} of {circuit}"

    def test_unsupported_feature_gradients_raise(self, dtype: torch.dtype) -> None:
        circuit = Circuit(2, 1, "amplitude", noise=None if self.supports_noise_free else 0.1)
        x, weights = self._drawn(circuit, 3, dtype=dtype)
        x.requires_grad_(), weights.requires_grad_()
        if self.supports_amplitude_gradients:
            self._compare(circuit, x, weights)
        else:
            with pytest.raises(UnsupportedError):
                self.make_engine().evaluate(circuit, x, weights)

    # --- the contract of tensors -----------------------------------------------------------------------------------

    def test_empty_batch_has_shape_and_backward(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            for stack, batch in (((), (0,)), ((2,), (3, 0)), ((0,), (2,))):
                x, weights = self.inputs(circuit, 4, stack=stack, batch=batch, dtype=dtype)
                out = self.make_engine().evaluate(circuit, x, weights)
                assert out.shape == (*stack, *batch, circuit.n_outputs)
                assert out.dtype == dtype
                for gradient in gradients_of(out, [x, weights], out.detach()):
                    assert not gradient.any(), "an empty batch must leave gradients of zero"

    def test_two_evaluations_and_backward_calls_are_equal(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            engine, runs = self.make_engine(), []
            x, weights = self.inputs(circuit, 5, stack=(2,), dtype=dtype)
            for _ in range(2):
                out = engine.evaluate(circuit, x, weights)
                runs.append([out.detach(), *gradients_of(out, [x, weights], torch.ones_like(out))])
            for first, second in zip(*runs, strict=True):
                assert torch.equal(first, second), "two runs on the same input differ"

    def test_result_is_the_same_without_gradients(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            x, weights = self.inputs(circuit, 6, dtype=dtype)
            with torch.no_grad():
                out = self.make_engine().evaluate(circuit, x, weights)
            assert not out.requires_grad
            expected = ReferenceEngine().evaluate(circuit, *(t.detach().cpu().double() for t in (x, weights)))
            torch.testing.assert_close(out.cpu().double(), expected, rtol=0, atol=self.tolerances[dtype])

    def test_inputs_are_left_alone(self, dtype: torch.dtype) -> None:
        circuit = self._showcase()[0]
        x, weights = self._drawn(circuit, 7, dtype=dtype)
        before = x.clone(), weights.clone()
        self.make_engine().evaluate(circuit, x, weights)
        assert torch.equal(x, before[0])
        assert torch.equal(weights, before[1])

    def test_gradcheck(self) -> None:
        if torch.float64 not in self.tolerances:
            pytest.skip("gradcheck needs float64, which this engine does not take")
        engine = self.make_engine()
        for circuit in self._showcase():
            x, weights = self.inputs(circuit, 8, batch=(2,))

            def run(*inputs: Tensor, circuit: Circuit = circuit) -> Tensor:
                return engine.evaluate(circuit, *inputs)

            assert torch.autograd.gradcheck(run, (x, weights), atol=1e-6)

    def test_pickled_engine_gives_the_same_result(self) -> None:
        circuit, engine = self._showcase()[0], self.make_engine()
        x, weights = self._drawn(circuit, 9, dtype=next(iter(self.tolerances)))
        first = engine.evaluate(circuit, x, weights)
        copy = pickle.loads(pickle.dumps(engine))
        assert torch.equal(copy.evaluate(circuit, x, weights), first)

    # --- torch.func ------------------------------------------------------------------------------------------------

    def test_vmap_over_weights_equals_the_loop_or_raises(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            x, _ = self._drawn(circuit, 10, dtype=dtype)
            _, weights = self._drawn(circuit, 11, stack=(3,), dtype=dtype)
            self._compare_vmap(circuit, (x, weights), over=1)

    def test_vmap_over_samples_equals_the_loop_or_raises(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            x, weights = self._drawn(circuit, 12, dtype=dtype)
            self._compare_vmap(circuit, (x, weights), over=0)

    def test_vmap_over_noise_strengths_equals_the_loop_or_raises(self, dtype: torch.dtype) -> None:
        for circuit in filter(self.supports, NOISY):
            x, weights = self._drawn(circuit, 16, dtype=dtype)
            self._compare_vmap(circuit, (x, weights, x.new_tensor([0.0, 0.1, 0.75])), over=2)

    def test_per_sample_jacobians_equal_autograd_or_raise(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            engine = self.make_engine()
            x, weights = self._drawn(circuit, 13, dtype=dtype)
            jacobian = torch.func.jacrev(lambda row, w, e=engine, c=circuit: e.evaluate(c, row, w), argnums=1)
            mapped = torch.func.vmap(jacobian, in_dims=(0, None))
            if not self.supports_vmap:
                with pytest.raises(UnsupportedError):
                    mapped(x, weights)
                continue
            rows = [
                torch.autograd.functional.jacobian(lambda w, e=engine, c=circuit, r=row: e.evaluate(c, r, w), weights)
                for row in x
            ]
            torch.testing.assert_close(mapped(x, weights), torch.stack(rows), rtol=0, atol=self.tolerances[dtype])

    # --- precision -------------------------------------------------------------------------------------------------

    def test_autocast_around_it_changes_nothing(self, dtype: torch.dtype) -> None:
        for circuit in self._showcase():
            engine = self.make_engine()
            x, weights = self._drawn(circuit, 17, dtype=dtype)
            with torch.autocast(x.device.type, torch.bfloat16):
                out = engine.evaluate(circuit, x, weights)
            expected = engine.evaluate(circuit, x, weights)
            torch.testing.assert_close(out, expected, rtol=0, atol=self.tolerances[dtype])

    # --- refusals --------------------------------------------------------------------------------------------------

    def test_wrong_shapes_and_dtypes_raise_shape_error(self) -> None:
        circuit, engine = self._showcase()[0], self.make_engine()
        x, weights = self._drawn(circuit, 14, dtype=next(iter(self.tolerances)))
        other = torch.float32 if x.dtype == torch.float64 else torch.float64
        for bad_x, bad_weights in (
            (x[..., :-1], weights),
            (x.to(other), weights),
            (x.long(), weights),
            (x, weights[..., :-1]),
            (x, weights.expand(2, *weights.shape)),
        ):
            with pytest.raises(ShapeError):
                engine.evaluate(circuit, bad_x, bad_weights)

    def test_noise_strength_that_does_not_fit_raises(self) -> None:
        engine, clean, noisy = self.make_engine(), Circuit(2, 1), Circuit(2, 1, noise=0.1)
        x, weights = self._drawn(clean, 15, dtype=next(iter(self.tolerances)))
        with pytest.raises(ConfigError):
            engine.evaluate(clean, x, weights, x.new_tensor(0.1))
        other = torch.float32 if x.dtype == torch.float64 else torch.float64
        for strength in (x.new_tensor([0.1]), x.new_tensor(0.1, dtype=other)):
            with pytest.raises(ShapeError):
                engine.evaluate(noisy, x, weights, strength)
        for value in (-0.1, 1.1, float("nan")):
            with pytest.raises(ConfigError):
                engine.evaluate(noisy, x, weights, x.new_tensor(value))
