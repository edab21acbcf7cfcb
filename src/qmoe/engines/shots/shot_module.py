"""What a module with a circuit needs to run it with shots: their number, and a stream of random numbers of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines.protocol import Engine
from qmoe.engines.shots.outcome_counts import as_shots
from qmoe.engines.shots.shot_sampling import GRADIENTS, RECORDED, Gradient, check_plain_call, sampled
from qmoe.engines.shots.shot_streams import IS_GIVEN, SEED, SHOT_STREAM, begun, check_seed, next_sources, seed_of
from qmoe.errors import UnsupportedError, unknown
from qmoe.layers import Rng, Stackable


class ShotModule(Stackable):
    """The part of a `CircuitModule` that is about shots.

    Attributes:
        circuit: what runs.
        noise_strength: of its noise.
        shot_stream: ``(3,)`` seed, calls so far, and whether the seed was given; a buffer, and in ``state_dict``. It is
            there once the module had shots.
    """

    circuit: Circuit
    noise_strength: Tensor | None
    shot_stream: Tensor
    # Of modules that were pickled before there were shots.
    _shots: int | None = None
    _shot_gradient: Gradient = "parameter-shift"

    @abstractmethod
    def flat_weights(self) -> Tensor:
        """All weights: ``(*stack, *circuit.weight_shape)``."""

    @abstractmethod
    def engine_for(self, device: torch.device) -> tuple[Engine, str]:
        """The engine that runs on ``device``, and why."""

    @property
    def shots(self) -> int | None:
        """Samples of each circuit in each basis; None for exact read-outs. Set it to go from one to the other."""
        return self._shots

    @shots.setter
    def shots(self, shots: int | None) -> None:
        if as_shots(shots) is not None and SHOT_STREAM not in self._buffers:
            self._keep_stream(begun(seed_of(self.flat_weights(), None), is_given=False))
        self._shots = shots

    @property
    def shot_gradient(self) -> Gradient:
        """``"parameter-shift"`` or ``"exact"``."""
        return self._shot_gradient

    @shot_gradient.setter
    def shot_gradient(self, gradient: Gradient) -> None:
        if gradient not in GRADIENTS:
            raise unknown("shot_gradient", gradient, GRADIENTS)
        self._shot_gradient = gradient

    def restart_shots(self, seed: int) -> None:
        """Begins the random numbers of the shots anew, with a seed: the same calls then give the same numbers.

        Raises:
            UnsupportedError: for a stack of models, or where there never were shots.
        """
        check_seed(seed)
        stream = self._buffers.get(SHOT_STREAM)
        if stream is None or stream.dim() > 1:
            raise UnsupportedError("Random numbers of shots begin anew in one module that has shots; set shots first.")
        with torch.no_grad():
            stream.copy_(begun(seed, is_given=True))

    def shot_options(self) -> dict[str, Any]:
        """The arguments that say how many shots there are, and which stream; its calls so far are in ``state_dict``."""
        stream = self._buffers.get(SHOT_STREAM)
        seed = None if stream is None else int(stream.reshape(-1, 3)[0, SEED])
        return {"shots": self._shots, "shot_seed": seed, "shot_gradient": self._shot_gradient}

    def _begin_shots(self, shots: int | None, seed: int | None, gradient: Gradient) -> None:
        """Takes the arguments of the constructor; seeds that follow from weights come once these are drawn."""
        self.shot_gradient = gradient
        if seed is not None:
            check_seed(seed)
        if shots is not None or seed is not None:
            self._keep_stream(begun(seed or 0, is_given=seed is not None))
        self.shots = shots

    def _reset_stream(self, generator: Rng) -> None:
        """Begins the stream of freshly drawn weights."""
        stream = self._buffers.get(SHOT_STREAM)
        if stream is None or stream.is_meta:
            return
        with torch.no_grad():
            is_given = bool(stream[..., IS_GIVEN].any())
            seed = int(stream[..., SEED]) if is_given else seed_of(self.flat_weights(), generator)
            stream.copy_(begun(seed, is_given))

    def _keep_stream(self, stream: Tensor) -> None:
        """Keeps a stream on the device of the weights; where these have no memory, on the CPU."""
        device = next(self.parameters(recurse=False)).device
        self.register_buffer(SHOT_STREAM, stream if device.type == "meta" else stream.to(device))

    def _estimated(self, x: Tensor) -> Tensor:
        """`forward` with shots."""
        if torch.compiler.is_dynamo_compiling():
            if torch.compiler.is_exporting():
                raise NotImplementedError(RECORDED)  # the compiler of torch.export shows errors of Python alone
            from qmoe.engines.uncompiled import run_uncompiled

            return run_uncompiled(self._drawn, x, self.flat_weights())
        return self._drawn(x, self.flat_weights())

    def _drawn(self, x: Tensor, weights: Tensor) -> Tensor:
        assert self._shots is not None
        check_plain_call()  # before a call is counted
        if self.shot_stream.is_inference() and not torch.is_inference_mode_enabled():
            self.shot_stream = self.shot_stream.clone()
        return sampled(
            self.engine_for(x.device)[0],
            self.circuit,
            x,
            weights,
            shots=self._shots,
            generator=next_sources(self.shot_stream, x.device),
            noise_strength=self.noise_strength,
            gradient=self._shot_gradient,
        )

    def _estimated_vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """`vjp` with shots."""
        with torch.enable_grad():
            leaf = self.flat_weights().detach().requires_grad_()
            out = self._drawn(x.detach(), leaf)
        return out.detach(), lambda given: torch.autograd.grad(out, leaf, given, materialize_grads=True)[0]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        stream = self._buffers.get(SHOT_STREAM)
        kept = None if stream is None or stream.is_meta else stream.clone()
        super()._apply(fn, recurse)
        if kept is not None and not self.shot_stream.is_meta:
            with torch.no_grad():
                self.shot_stream.copy_(kept)  # `to_empty` gave it memory that holds anything
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        # With shots or without, the weights are the same: a stream that only one of both has is no reason to refuse.
        if SHOT_STREAM not in self._buffers:
            state_dict.pop(prefix + SHOT_STREAM, None)
        else:
            state_dict.setdefault(prefix + SHOT_STREAM, self.shot_stream)
        super()._load_from_state_dict(state_dict, prefix, *others)
