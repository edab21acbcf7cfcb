"""Trainings with PennyLane's default.qubit on JAX, each in one compiled call."""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.contenders.pennylane_jax import jax_function
from benchmarks.trainings.task import CONFIG, N_POINTS, Outcome, Task

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
_FULL = N_POINTS // CONFIG.batch_size

#: Arrays by name.
Tree = dict[str, jax.Array]


class Jaxed:
    """jit of vmap over models of lax.scan over epochs and batches; Adam by hand, which adds nothing to the call.

    Args:
        task: what to train. It is compiled here, for its shapes.
        n_devices: into how many of JAX's devices of the processor the models are split.

    Attributes:
        compiling: seconds of tracing and compilation.
    """

    def __init__(self, task: Task, n_devices: int = 1) -> None:
        self._task = task
        x, y = task.data
        self._x, self._y = jnp.asarray(x), jnp.asarray(y.astype(np.int32))
        self._first = jax.tree.map(jnp.asarray, task.first_weights)
        if task.n_models == 1:
            self._x, self._y, self._first = jax.tree.map(lambda a: a[0], (self._x, self._y, self._first))
        training = _training(task)
        if task.n_models > 1:
            training = jax.vmap(training)
        self._sharding = None
        if n_devices > 1:
            mesh, models = jax.make_mesh((n_devices,), ("models",)), jax.sharding.PartitionSpec("models")
            training = jax.shard_map(training, mesh=mesh, in_specs=models, out_specs=models, check_vma=False)
            self._sharding = jax.sharding.NamedSharding(mesh, models)
            self._x, self._y, self._first = jax.device_put((self._x, self._y, self._first), self._sharding)
        begin = time.perf_counter()
        training = jax.jit(training)
        self._training = training.lower(self._first, self._x, self._y, self._orders()).compile()
        self.compiling = time.perf_counter() - begin

    def train(self) -> tuple[float, Outcome]:
        """Seconds and outcome of one training; the batch orders are drawn in that time, as they are in qmoe's."""
        begin = time.perf_counter()
        found = jax.block_until_ready(self._training(self._first, self._x, self._y, self._orders()))
        seconds = time.perf_counter() - begin
        losses, accuracy = (np.asarray(a, dtype=float).reshape(self._task.n_models, -1) for a in found)
        return seconds, Outcome(losses[:, 0], accuracy[:, 0])

    def _orders(self) -> jax.Array:
        orders = self._task.orders().astype(np.int32)
        return jax.device_put(orders if self._task.n_models > 1 else orders[0], self._sharding)


def _training(task: Task) -> Any:
    """``(first weights, x, y, orders)`` of one model to the losses of its epochs and its accuracy."""
    circuit = jax.vmap(jax_function(task.circuit), in_axes=(0, None))

    def logits(parameters: Tree, x: jax.Array) -> jax.Array:
        routed = circuit(x, parameters["circuit"]) @ parameters["adapter"].T + parameters["adapter_bias"]
        experts = jnp.einsum("bf,eof->beo", x, parameters["experts"]) + parameters["experts_bias"]
        return jnp.einsum("be,beo->bo", jax.nn.softmax(routed), experts)

    def loss(parameters: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(parameters, x)), y[:, None], 1).mean()

    def step(state: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        parameters, first, second, count = state
        value, gradient = jax.value_and_grad(loss)(parameters, *batch)
        count = count + 1
        first = jax.tree.map(lambda m, g: _BETA_1 * m + (1 - _BETA_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: _BETA_2 * v + (1 - _BETA_2) * g * g, second, gradient)
        rate, scale = CONFIG.lr / (1 - _BETA_1**count), 1 - _BETA_2**count
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v / scale) + _EPSILON), parameters, first, second
        )
        return (parameters, first, second, count), value

    def training(parameters: Tree, x: jax.Array, y: jax.Array, orders: jax.Array) -> tuple[jax.Array, jax.Array]:
        def epoch(state: Any, order: jax.Array) -> tuple[Any, jax.Array]:
            # Rows are gathered once an epoch; once a batch is no quicker.
            rows, labels = x[order], y[order]
            cut = _FULL * CONFIG.batch_size
            batches = (rows[:cut].reshape(_FULL, -1, x.shape[1]), labels[:cut].reshape(_FULL, -1))
            state, losses = jax.lax.scan(step, state, batches)
            total = losses.sum()
            if cut < N_POINTS:
                state, last = step(state, (rows[cut:], labels[cut:]))
                total = total + last
            return state, total

        zeros = jax.tree.map(jnp.zeros_like, parameters)
        (parameters, *_), losses = jax.lax.scan(epoch, (parameters, zeros, zeros, 0.0), orders)
        return losses, (logits(parameters, x).argmax(-1) == y).mean()

    return training
