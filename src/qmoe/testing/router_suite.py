"""The tests that every router must pass, inherited by subclassing."""

# ruff: noqa: D102  # a test's name says what it tests

from __future__ import annotations

import copy
import math
import pickle
from typing import ClassVar

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from qmoe.errors import ShapeError
from qmoe.experts import LinearExperts
from qmoe.layers import own_tensor
from qmoe.moe import MixtureOfExperts
from qmoe.routers import Router, feature_router

_BATCHES = ((), (1,), (5,), (2, 3), (0,), (2, 0))
_each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


class RouterConformance:
    """The conformance suite of routers: subclass it, name the subclass ``Test...``, and supply `make_router`.

    Example:
        ::

            class TestMyRouter(RouterConformance):
                def make_router(self, in_features, n_experts, dtype, generator):
                    return MyRouter(in_features, n_experts, generator=generator, dtype=dtype)
    """

    #: number of features F of the routers under test.
    in_features: ClassVar[int] = 3
    #: number of experts E.
    n_experts: ClassVar[int] = 3
    #: where routers and inputs are moved to.
    device: ClassVar[str] = "cpu"
    #: largest deviation between two ways to compute one thing, for each dtype.
    tolerances: ClassVar[dict[torch.dtype, float]] = {torch.float32: 1e-5, torch.float64: 1e-12}

    def make_router(self, in_features: int, n_experts: int, dtype: torch.dtype, generator: torch.Generator) -> Router:
        """Returns a new router of these sizes with parameters of ``dtype``, drawn from ``generator``."""
        raise NotImplementedError("RouterConformance: define make_router(...) in your subclass.")

    def make_inputs(self, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
        """Returns features ``(*shape, in_features)``, by default uniform in (0, pi)."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(*shape, self.in_features, generator=generator, dtype=dtype)
        return ((0.01 + 0.98 * x) * math.pi).to(self.device)

    # --- helpers ---------------------------------------------------------------------------------------------------

    def router(self, dtype: torch.dtype, seed: int = 0) -> Router:
        """The router under test, its weights from ``seed``."""
        generator = torch.Generator().manual_seed(seed)
        return self.make_router(self.in_features, self.n_experts, dtype, generator).to(self.device)

    def _close(self, got: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(got, expected, rtol=0, atol=self.tolerances[expected.dtype])

    # --- routing weights -------------------------------------------------------------------------------------------

    @_each_dtype
    def test_sizes_are_as_asked_for(self, dtype: torch.dtype) -> None:
        router = self.router(dtype)
        assert isinstance(router, Router)
        assert (router.in_features, router.n_experts) == (self.in_features, self.n_experts)
        for name, parameter in router.named_parameters():
            assert parameter.dtype == dtype, f"parameter {name} is {parameter.dtype}, expected {dtype}"

    @_each_dtype
    def test_rows_are_non_negative_and_sum_to_one(self, dtype: torch.dtype) -> None:
        for seed in range(5):
            weights = self.router(dtype, seed)(self.make_inputs((50,), dtype, seed))
            assert weights.min() >= 0, f"a routing weight is {float(weights.min())}, expected at least 0"
            self._close(weights.sum(-1), torch.ones_like(weights[:, 0]))

    @_each_dtype
    def test_any_batch_shape_gives_that_shape_dtype_and_device(self, dtype: torch.dtype) -> None:
        router = self.router(dtype)
        for batch in _BATCHES:
            x = self.make_inputs(batch, dtype)
            out = router(x)
            assert out.shape == (*batch, self.n_experts), f"batch {batch} gave {tuple(out.shape)}"
            assert out.dtype == dtype, f"{dtype} gave {out.dtype}: outputs have the dtype of the input"
            assert out.device == x.device, f"input on {x.device} gave {out.device}"

    @_each_dtype
    def test_every_sample_is_routed_by_itself(self, dtype: torch.dtype) -> None:
        router, x = self.router(dtype), self.make_inputs((2, 3), dtype)
        out = router(x)
        for a in range(2):
            for b in range(3):
                self._close(router(x[a, b]), out[a, b])

    @_each_dtype
    def test_softmax_of_the_logits_is_the_output(self, dtype: torch.dtype) -> None:
        router, x = self.router(dtype), self.make_inputs((5,), dtype)
        softmax = router.as_softmax()
        if softmax is None:
            pytest.skip("this router has no logits")
        self._close(softmax.logits(x).softmax(-1), router(x))

    @_each_dtype
    def test_inputs_are_left_alone(self, dtype: torch.dtype) -> None:
        x = self.make_inputs((5,), dtype)
        before = x.clone()
        self.router(dtype)(x)
        assert torch.equal(x, before)

    # --- gradients -------------------------------------------------------------------------------------------------

    def test_gradcheck_of_inputs_and_parameters(self) -> None:
        router = self.router(torch.float64)
        trainable = {name: p for name, p in router.named_parameters() if p.requires_grad}

        def run(x: Tensor, *values: Tensor) -> Tensor:
            return functional_call(router, dict(zip(trainable, values, strict=True)), (x,))

        x = self.make_inputs((2,), torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(run, (x, *trainable.values()), atol=1e-6)

    @_each_dtype
    def test_two_backward_calls_are_equal(self, dtype: torch.dtype) -> None:
        router, x = self.router(dtype), self.make_inputs((5,), dtype).requires_grad_()
        inputs = [x, *(p for p in router.parameters() if p.requires_grad)]
        runs = []
        for _ in range(2):
            out = router(x)
            if not out.requires_grad:
                pytest.skip("this router has no gradients")
            target = torch.arange(out.numel(), device=out.device).reshape(out.shape).to(dtype)
            runs.append(torch.autograd.grad((out * target).sum(), inputs, materialize_grads=True))
        for first, second in zip(*runs, strict=True):
            assert torch.equal(first, second), "two backward calls on the same input differ"

    @_each_dtype
    def test_backward_through_an_empty_batch_leaves_zero_gradients(self, dtype: torch.dtype) -> None:
        router = self.router(dtype)
        trainable = [p for p in router.parameters() if p.requires_grad]
        out = router(self.make_inputs((0,), dtype))
        if not trainable:
            pytest.skip("this router has nothing to train")
        out.sum().backward()
        assert not any(p.grad is not None and bool(p.grad.any()) for p in trainable)

    def test_every_parameter_trains_in_a_mixture_of_any_top_k(self) -> None:
        router = self.router(torch.float64)
        trainable = {name: p for name, p in router.named_parameters() if p.requires_grad and p.numel()}
        if not trainable or self.n_experts < 2:
            pytest.skip("there is nothing to train, or nothing to choose from")
        generator = torch.Generator().manual_seed(3)
        experts = LinearExperts(self.in_features, 2, self.n_experts, generator=generator, dtype=torch.float64)
        target = torch.randn(40, 2, generator=generator, dtype=torch.float64).to(self.device)
        for k in sorted({1, 2, self.n_experts}):
            out = MixtureOfExperts(router, experts.to(self.device), top_k=k)(self.make_inputs((40,), torch.float64))
            found = torch.autograd.grad((out * target).sum(), list(trainable.values()), materialize_grads=True)
            for name, gradient in zip(trainable, found, strict=True):
                largest = float(gradient.abs().max())
                assert largest > 1e-6, f"at top_k={k} the gradient of {name} is {largest}, so it does not train"

    # --- seeds and copies ------------------------------------------------------------------------------------------

    @_each_dtype
    def test_equal_seeds_give_equal_weights_and_others_do_not(self, dtype: torch.dtype) -> None:
        first, again, other = (dict(self.router(dtype, seed).named_parameters()) for seed in (0, 0, 1))
        if not first:
            pytest.skip("this router has no parameters")
        assert all(torch.equal(value, again[name]) for name, value in first.items()), "one seed, two sets of weights"
        assert not all(torch.equal(value, other[name]) for name, value in first.items()), "the generator is not used"

    def test_global_random_state_is_left_alone(self) -> None:
        before = torch.get_rng_state()
        self.router(torch.float32)(self.make_inputs((5,), torch.float32))
        assert torch.equal(torch.get_rng_state(), before), "the router draws from torch's global generator"

    @_each_dtype
    def test_reset_parameters_gives_the_values_of_a_new_router(self, dtype: torch.dtype) -> None:
        expected, used = self._drawn(dtype, 0), self._drawn(dtype, 1)
        used.reset_parameters(torch.Generator().manual_seed(0))
        self._same_values(used, expected)
        used.reset_parameters()  # torch's own generator

    @_each_dtype
    def test_a_router_without_memory_works_once_it_has_some_and_is_reset(self, dtype: torch.dtype) -> None:
        expected = self._drawn(dtype, 0)
        router = self._drawn(dtype, 1).to("meta").to_empty(device="cpu")
        with torch.no_grad():
            for value in (*router.parameters(), *router.buffers()):
                value.fill_(math.nan if value.is_floating_point() else 77)  # memory holds anything
        router.reset_parameters(torch.Generator().manual_seed(0))
        self._same_values(router, expected)
        x = self.make_inputs((5,), dtype)
        assert torch.equal(router.to(self.device)(x), expected.to(self.device)(x))

    def _drawn(self, dtype: torch.dtype, seed: int) -> Router:
        """A router on the CPU, where the generator is."""
        return self.make_router(self.in_features, self.n_experts, dtype, torch.Generator().manual_seed(seed))

    @staticmethod
    def _same_values(router: Router, expected: Router) -> None:
        for kind in ("named_parameters", "named_buffers"):
            wanted = dict(getattr(expected, kind)())
            for name, value in getattr(router, kind)():
                assert torch.equal(value, wanted[name]), (
                    f"reset_parameters leaves {name} at another value than __init__"
                )

    @_each_dtype
    def test_state_dict_round_trip(self, dtype: torch.dtype) -> None:
        first, other, x = self.router(dtype, 0), self.router(dtype, 1), self.make_inputs((5,), dtype)
        other.load_state_dict(first.state_dict())
        assert torch.equal(other(x), first(x))

    @_each_dtype
    def test_safetensors_round_trip(self, dtype: torch.dtype) -> None:
        first, other, x = self.router(dtype, 0), self.router(dtype, 1), self.make_inputs((5,), dtype)
        other.load_state_dict(safetensors.torch.load(safetensors.torch.save(first.state_dict())))
        assert torch.equal(other(x), first(x))

    @_each_dtype
    def test_pickle_and_deepcopy_round_trips(self, dtype: torch.dtype) -> None:
        router, x = self.router(dtype), self.make_inputs((5,), dtype)
        expected = router(x)
        for twin in (pickle.loads(pickle.dumps(router)), copy.deepcopy(router)):
            assert torch.equal(twin(x), expected)
            with torch.no_grad():
                for parameter in twin.parameters():
                    parameter.zero_()
            assert torch.equal(router(x), expected), "the copy shares parameters with the original"

    # --- stacks ----------------------------------------------------------------------------------------------------

    @_each_dtype
    def test_vmap_over_stacked_parameters_equals_the_loop(self, dtype: torch.dtype) -> None:
        routers = [self.router(dtype, seed) for seed in range(3)]
        x = torch.stack([self.make_inputs((4,), dtype, seed) for seed in range(3)])
        parameters, buffers = stack_module_state(routers)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(routers[0], (parameters, buffers), (x,))

        loop = torch.stack([router(rows) for router, rows in zip(routers, x, strict=True)])
        self._close(vmap(one)(parameters, buffers, x), loop)

    # --- fixed functions ---------------------------------------------------------------------------------------------

    @_each_dtype
    def test_standardised_functions_have_mean_zero_and_one_size_or_are_constant(self, dtype: torch.dtype) -> None:
        gate, x = feature_router(self.router(dtype)), self.make_inputs((200,), dtype)
        if gate is None:
            pytest.skip("this router has no fixed functions")
        found = gate.standardise(x).functions(x).double()
        assert found.mean(0).abs().max() < 10 * self.tolerances[dtype], "a standardised function has a mean"
        sizes = found.std(0, correction=0)
        off = torch.where(gate.scale == 1, sizes.clamp_max(0), sizes - 1).abs().max()
        assert off < 10 * self.tolerances[dtype], "a standardised function has another size than 1"

    def test_standardising_leaves_the_span_and_the_number_of_parameters_as_they_are(self) -> None:
        raw, gate = (feature_router(self.router(torch.float64)) for _ in range(2))
        if raw is None or gate is None:
            pytest.skip("this router has no fixed functions")
        x = self.make_inputs((200,), torch.float64)
        gate.standardise(x)
        assert [p.shape for p in gate.parameters()] == [p.shape for p in raw.parameters()]
        assert not torch.equal(gate(x), raw(x)), "standardising changed nothing, though the weights stayed"
        with torch.no_grad():
            for forth in (True, False):  # both hold the weights W and b of the same seed at first
                if forth:
                    gate.weight.copy_(raw.weight * gate.scale)
                    gate.bias.copy_(raw.bias + raw.weight @ gate.centre)
                else:
                    drawn = torch.empty(gate.weight.shape, dtype=gate.weight.dtype)
                    gate.weight.copy_(drawn.uniform_(-1, 1, generator=torch.Generator().manual_seed(1)))
                    raw.weight.copy_(gate.weight / gate.scale)
                    raw.bias.copy_(gate.bias - raw.weight @ gate.centre)
                self._close(gate.logits(x), raw.logits(x))

    @_each_dtype
    def test_standardising_keeps_what_is_computed_where_asked_to(self, dtype: torch.dtype) -> None:
        gate, x = feature_router(self.router(dtype)), self.make_inputs((200,), dtype)
        if gate is None:
            pytest.skip("this router has no fixed functions")
        before = gate(x)
        for rows in (x, x[:20]):
            self._close(gate.standardise(rows, keep=True)(x), before)

    # --- precision -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("lowered", [torch.bfloat16, torch.float16], ids=str)
    def test_inside_autocast_it_takes_what_a_layer_in_front_gives(self, lowered: torch.dtype) -> None:
        router, x = self.router(torch.float32), self.make_inputs((6,), torch.float32).to(lowered)
        expected = router(x.float())
        with torch.autocast(self.device, dtype=lowered):
            weights = router(x)
        torch.testing.assert_close(weights.float(), expected, rtol=0, atol=0.05)
        with pytest.raises(ShapeError, match=str(lowered).removeprefix("torch.")):
            router(x)

    def test_another_dtype_than_its_own_raises_shape_error(self) -> None:
        for own, other in ((torch.float32, torch.float64), (torch.float64, torch.float32)):
            router = self.router(own)
            if own_tensor(router) is None:
                pytest.skip("this router holds no floats")
            with pytest.raises(ShapeError, match=str(other)):
                router(self.make_inputs((4,), other))

    # --- refusals --------------------------------------------------------------------------------------------------

    @_each_dtype
    def test_wrong_number_of_features_raises_shape_error(self, dtype: torch.dtype) -> None:
        router, x = self.router(dtype), self.make_inputs((4,), dtype)
        for bad in (x[:, :-1], torch.cat([x, x], -1), x.new_zeros(())):
            with pytest.raises(ShapeError, match=rf"{self.in_features}"):
                router(bad)

    def test_integer_input_raises_shape_error(self) -> None:
        with pytest.raises(ShapeError, match="int64"):
            self.router(torch.float32)(torch.ones(4, self.in_features, dtype=torch.int64, device=self.device))

    @_each_dtype
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_value_that_is_not_finite_is_named_with_its_position(self, dtype: torch.dtype, value: float) -> None:
        x = self.make_inputs((4,), dtype)
        x[2, -1] = value
        with pytest.raises(ShapeError) as caught:
            self.router(dtype)(x)
        assert str(value) in str(caught.value), "the message does not name the value"
        assert f"(2, {self.in_features - 1})" in str(caught.value), "the message does not name the position"
