"""PennyLane on JAX: a compiled step, a compiled step called for each batch of an epoch, and a whole epoch compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contenders import Step
from benchmarks.imported.cases import LEARNING_RATE, Case, OneEpoch, OneStep
from benchmarks.imported.layers import Entrant
from benchmarks.imported.sources import Source, Template
from benchmarks.problem import Answer

#: The parameters, in the order of torch's model.
_IN_ORDER = ("in_weight", "in_bias", "circuit", "out_weight", "out_bias")
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8

#: Arrays by name.
Tree = dict[str, Any]


def batched(source: Source) -> Callable[[Any, Any], Any]:
    """``(B, Q)`` features and weights to ``(B, O)`` expectation values: one sample of default.qubit, vmap over samples."""
    import jax
    import jax.numpy as jnp
    import pennylane as qml

    if isinstance(source, Template):
        from benchmarks.contenders.pennylane_jax import jax_function

        return jax.vmap(jax_function(source.circuit), in_axes=(0, None))
    device = qml.device("default.qubit", wires=source.n_qubits)
    qnode = qml.QNode(source.function(), device, interface="jax", diff_method="backprop")
    return jax.vmap(lambda x, weights: jnp.atleast_1d(jnp.asarray(qnode(x, weights))), in_axes=(0, None))


class _OnJax(Entrant):
    packages = ("pennylane", "jax", "jaxlib")
    needs = ("jax",)
    compiles = True


class JaxStep(_OnJax):
    """One step."""

    key = "jax"
    title = "PennyLane on JAX"
    kinds = ("map",)
    advice = (
        "default.qubit, backprop, complex64, jit of value_and_grad with vmap over samples inside; compilation is not "
        "counted"
    )

    def prepare(self, case: Case) -> Step:
        """One compiled function of weights, features and targets."""
        import jax
        import jax.numpy as jnp

        assert isinstance(case, OneStep)
        answer, outputs = case.answer, batched(case.source)
        weights, x, targets = map(jnp.asarray, (case.weights, *case.data))

        def loss(weights: Any, x: Any, targets: Any) -> Any:
            return jnp.mean((outputs(x, weights) - targets) ** 2)

        step = jax.jit(jax.value_and_grad(loss))

        def run() -> Any:
            return jax.block_until_ready(step(weights, x, targets))

        def read(result: Any) -> Answer:
            value, gradient = result
            return answer(jax.jit(outputs)(x, weights), float(value), gradient)

        return Step(run, read)


class _Training:
    """A model and Adam in JAX.

    Attributes:
        start: the first state.
        batches: features and numbers to be fitted, ``(batches, batch, ...)`` each.
    """

    def __init__(self, case: OneEpoch) -> None:
        import jax
        import jax.numpy as jnp

        self._case, self._circuit = case, batched(case.source)
        values = {name: jnp.asarray(value) for name, value in {**case.linear, "circuit": case.weights}.items()}
        zeros = jax.tree.map(jnp.zeros_like, values)
        self.start = (values, zeros, zeros, 0.0)
        self.batches = tuple(jnp.asarray(array.reshape(case.size, case.batch, -1)) for array in case.data)

    def loss(self, values: Tree, rows: Any, wanted: Any) -> Any:
        """Of one batch."""
        found = self._circuit(rows @ values["in_weight"].T + values["in_bias"], values["circuit"])
        return ((found @ values["out_weight"].T + values["out_bias"] - wanted) ** 2).mean()

    def step(self, state: Any, rows: Any, wanted: Any) -> tuple[Any, Any]:
        """The next state, and the loss before it."""
        import jax
        import jax.numpy as jnp

        values, first, second, count = state
        value, gradient = jax.value_and_grad(self.loss)(values, rows, wanted)
        count = count + 1
        first = jax.tree.map(lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g * g, second, gradient)
        rate, scale = LEARNING_RATE / (1 - _BETA_1**count), 1 - _BETA_2**count
        values = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v / scale) + _EPSILON), values, first, second)
        return (values, first, second, count), value

    def read(self, losses: Any) -> Answer:
        """What `OneEpoch` compares."""
        import jax

        x, y = self.batches
        gradient = jax.jit(jax.grad(self.loss))(self.start[0], x[0], y[0])
        return self._case.answer(losses, np.concatenate([np.ravel(gradient[name]) for name in _IN_ORDER]))


class _JaxEpoch(_OnJax):
    kinds = ("epoch",)


class JaxLoop(_JaxEpoch):
    """An epoch, step by step."""

    key = "jax-loop"
    title = "PennyLane on JAX, a call a step"
    advice = (
        "default.qubit, backprop, complex64, jit of one step of training with Adam by hand, called for each batch; "
        "compilation is not counted"
    )

    def prepare(self, case: Case) -> Step:
        """A loop in Python."""
        import jax

        assert isinstance(case, OneEpoch)
        training = _Training(case)
        compiled, batches = jax.jit(training.step), list(zip(*training.batches, strict=True))

        def run() -> list[Any]:
            state, losses = training.start, []
            for rows, wanted in batches:
                state, loss = compiled(state, rows, wanted)
                losses.append(loss)
            jax.block_until_ready(state)
            return losses

        return Step(run, training.read)


class JaxScan(_JaxEpoch):
    """An epoch in one call."""

    key = "jax-scan"
    title = "PennyLane on JAX, a call an epoch"
    advice = "the same steps under lax.scan: one compiled call for the epoch; compilation is not counted"

    def prepare(self, case: Case) -> Step:
        """One compiled function."""
        import jax

        assert isinstance(case, OneEpoch)
        training = _Training(case)
        epoch = jax.jit(lambda state, batches: jax.lax.scan(lambda now, b: training.step(now, *b), state, batches))

        def run() -> Any:
            return jax.block_until_ready(epoch(training.start, training.batches))[1]

        return Step(run, training.read)
