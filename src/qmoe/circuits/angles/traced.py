"""A function of features and weights that gives angles, traced once by torch so that it can be kept and compared."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qmoe.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Numbers at most that a trace is made with.
_MAX_TRACED = 200_000_000
#: Points at which the trace is held against the function, of other batch sizes than it was traced with.
_CHECKED = (3, 5)


class AngleFunction:
    """``(x (B, F), weights (P,)) -> (B, A)`` angles in radians, as torch's operations.

    Two are equal if they are the same operations with the same constants.

    Args:
        function: what to trace; it sees floats of either precision, and its operations may not depend on values.
        in_features: number of features F.
        n_weights: number of weights P.
        n_factors: how many of the weights, from the first on, are factors of features and no angles. They are drawn within
            1 / F of 0, where angles are drawn from a full turn.

    Attributes:
        n_angles: number of angles A.
        digest: of its operations and constants, in hexadecimal.

    Raises:
        ConfigError: where it cannot be traced, depends on the size of the batch or on values, is not of that shape, or holds
            tensors that train.

    Example:
        >>> from qmoe.circuits import AngleFunction
        >>> turned = AngleFunction(lambda x, weights: x[..., :1] * weights, in_features=1, n_weights=2)
        >>> turned.n_weights
        2
    """

    n_factors = 0  # of pickles that do not say it

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], in_features: int, n_weights: int, n_factors: int = 0
    ) -> None:
        import torch

        self.in_features, self.n_weights = in_features, n_weights
        if not 0 <= n_factors <= n_weights:
            raise ConfigError(f"n_factors is {n_factors!r}, expected at most the {n_weights} weights.")
        self.n_factors = n_factors
        self._programs = {
            dtype: _traced(function, in_features, n_weights, dtype) for dtype in (torch.float32, torch.float64)
        }
        self.n_angles = _checked(function, self._programs[torch.float64], in_features, n_weights)
        self.digest = _digest(self._programs[torch.float64])
        self._placed: dict[tuple[torch.dtype, torch.device], Any] = {}

    def __call__(self, x: Tensor, weights: Tensor) -> Tensor:
        """``(S, B, F)`` features and ``(S, P)`` weights to ``(S, B, A)`` angles."""
        import torch

        program = self._on(x.dtype, x.device)
        if len(x) == 1:
            found: Tensor = program(x[0], weights[0]).unsqueeze(0)
            return found
        return torch.func.vmap(program)(x, weights)

    def _on(self, dtype: torch.dtype, device: torch.device) -> Any:
        if (dtype, device) not in self._placed:
            import copy

            self._placed[dtype, device] = copy.deepcopy(self._programs[dtype]).to(device)
        return self._placed[dtype, device]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AngleFunction) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[int, int, str]:
        return self.in_features, self.n_weights, self.digest

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_placed": {}}

    def __repr__(self) -> str:
        return f"AngleFunction({self.in_features}, {self.n_weights} -> {self.n_angles}, {self.digest[:12]})"


def _traced(function: Any, in_features: int, n_weights: int, dtype: Any) -> Any:
    import torch

    from qmoe.torch_internals import program_of_any_sizes

    # Sizes that are alike would be taken for one.
    n = in_features + n_weights + 11
    if n * in_features > _MAX_TRACED:
        raise ConfigError(
            f"A function of angles takes {in_features} features and {n_weights} weights, which is too many to trace it; let "
            "a layer of torch in front make fewer features."
        )
    x, weights = torch.full((n, in_features), 0.5, dtype=dtype), torch.full((n_weights,), 0.25, dtype=dtype)
    try:
        program = program_of_any_sizes(function, x, weights)
    except Exception as error:  # whatever a function of somebody else does
        raise ConfigError(
            f"The function of the angles cannot be traced: {' '.join(str(error).split())[:300]}. It takes x (B, F) and "
            "weights (P,), and returns (B, A) angles by torch's operations, without branches on their values."
        ) from error
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten.sym_size.int:  # which torch.func.vmap cannot run
            tensor, axis = node.args
            with program.graph.inserting_before(node):
                shape = program.graph.call_function(getattr, (tensor, "shape"))
                node.replace_all_uses_with(program.graph.call_function(operator.getitem, (shape, axis)))
    program.graph.eliminate_dead_code()
    for node in program.graph.nodes:
        node.meta.clear()  # what was known of shapes; it would not pickle
    return torch.fx.GraphModule(program, program.graph)


def _checked(function: Any, program: Any, in_features: int, n_weights: int) -> int:
    """The number of angles, where the trace gives the same as the function on batches of other sizes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(n_weights, generator=generator, dtype=torch.float64)
    n_angles = 0
    for n in _CHECKED:
        x = torch.randn(n, in_features, generator=generator, dtype=torch.float64)
        try:
            found, expected = program(x, weights), function(x, weights)
        except Exception as error:
            raise ConfigError(f"The function of the angles fails on a batch of {n}: {error}.") from error
        if getattr(expected, "requires_grad", False):
            raise ConfigError(
                "The function of the angles holds tensors that train; take them from its weights instead."
            )
        shape = tuple(getattr(expected, "shape", ()))
        if len(shape) != 2 or shape[0] != n or expected.dtype != torch.float64:
            raise ConfigError(
                f"The function of the angles gives {getattr(expected, 'dtype', type(expected).__name__)} of shape {shape} "
                f"for x of shape {(n, in_features)}, expected torch.float64, as x is, of shape ({n}, A): a row for each."
            )
        if not torch.allclose(found, expected, rtol=1e-12, atol=1e-12):
            raise ConfigError(
                "The function of the angles gives other values than its trace, so it depends on more than x and weights: "
                "the size of the batch, branches on values, or random numbers."
            )
        n_angles = shape[1]
    return n_angles


def _digest(program: Any) -> str:
    text = hashlib.sha256(program.code.encode())
    for name, value in sorted(vars(program).items()) + sorted(program.state_dict().items()):
        if hasattr(value, "numpy") and hasattr(value, "detach"):
            text.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return text.hexdigest()
