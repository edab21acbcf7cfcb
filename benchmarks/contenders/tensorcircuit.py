"""TensorCircuit-NG on JAX."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorcircuit as tc

from benchmarks.contenders.base import Contender, Step, make_answer
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import NOISE, Size


class TensorCircuit(Contender):
    """TensorCircuit-NG, compiled by XLA: the fastest of the peers for small circuits."""

    key = "tensorcircuit"
    title = "TensorCircuit-NG"
    packages = ("tensorcircuit-ng", "jax", "jaxlib")
    advice = (
        "on JAX, complex64, jit of value_and_grad with vmap over samples (and models) inside, U gates, probabilities times "
        "a matrix of signs, the contractor `plain` (faster than RZ RY RZ, expectation_ps and the default contractor); "
        "compilation is not counted"
    )
    compiles = True
    states_kept = 3.0

    def __init__(self) -> None:
        logging.getLogger("tensorcircuit").setLevel(logging.ERROR)  # it misses an optimiser that nothing here uses
        tc.set_backend("jax")
        tc.set_dtype("complex64")
        # Gate by gate: the default order is alike for few qubits, and 190 times slower for 12.
        tc.set_contractor("plain")

    def prepare(self, problem: Problem) -> Step:
        """One compiled function of weights, features and targets."""
        size = problem.size
        x, weights, targets = (
            jnp.asarray(array if size.n_models > 1 else array[0])
            for array in (problem.x, problem.weights, problem.targets)
        )
        outputs = jax.vmap(_function(problem), in_axes=(0, None))

        def loss(weights: jax.Array, x: jax.Array, targets: jax.Array) -> jax.Array:
            return jnp.mean((outputs(x, weights) - targets) ** 2)

        step = jax.value_and_grad(loss)
        if size.n_models > 1:
            step, outputs_of_all = jax.vmap(step), jax.vmap(outputs)
        else:
            outputs_of_all = outputs
        step = jax.jit(step)

        def run() -> tuple[jax.Array, jax.Array]:
            return jax.block_until_ready(step(weights, x, targets))

        def read(result: tuple[jax.Array, jax.Array]) -> Answer:
            losses, gradient = result
            return make_answer(problem, outputs_of_all(x, weights), float(jnp.sum(losses)), gradient)

        return Step(run, read)


#: Up to here a matrix of signs is the quickest read-out; beyond, it is a constant of many megabytes that XLA folds.
_MAX_SIGNS = 12


def _function(problem: Problem) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """``(Q,)`` features and ``(L, Q, 3)`` weights of one model to ``(Q,)`` expectation values."""
    size, described = problem.size, problem.circuit
    kind = tc.DMCircuit if size.noisy else tc.Circuit
    read_out = _read_by_signs(size.n_qubits) if size.n_qubits <= _MAX_SIGNS else _read_by_sums(size.n_qubits)

    def function(x: jax.Array, weights: jax.Array) -> jax.Array:
        circuit = kind(size.n_qubits)
        for wire in range(size.n_qubits):
            circuit.rx(wire, theta=x[wire])
        _depolarize(circuit, size)
        for layer in range(size.n_layers):
            for gate in described.ansatz.layer(layer, size.n_qubits):
                if gate.name == "CNOT":
                    circuit.cnot(*gate.wires)
                else:
                    phi, theta, omega = weights[layer, gate.wires[0]]
                    # Rot(phi, theta, omega) up to a phase that nothing sees.
                    circuit.u(gate.wires[0], theta=theta, phi=omega, lbd=phi)
        _depolarize(circuit, size)
        state = circuit.state()
        probabilities = jnp.real(jnp.diagonal(state)) if size.noisy else jnp.real(state) ** 2 + jnp.imag(state) ** 2
        return read_out(probabilities)

    return function


def _read_by_signs(n_qubits: int) -> Callable[[jax.Array], jax.Array]:
    bits = np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits - 1, -1, -1) & 1
    signs = (1 - 2 * bits).astype(np.float32)
    return lambda probabilities: probabilities @ signs


def _read_by_sums(n_qubits: int) -> Callable[[jax.Array], jax.Array]:
    def read_out(probabilities: jax.Array) -> jax.Array:
        halves = [probabilities.reshape(2**wire, 2, -1).sum((0, 2)) for wire in range(n_qubits)]
        return jnp.stack([half[0] - half[1] for half in halves])

    return read_out


def _depolarize(circuit: Any, size: Size) -> None:
    if size.noisy:
        for wire in range(size.n_qubits):
            circuit.depolarizing(wire, px=NOISE / 3, py=NOISE / 3, pz=NOISE / 3)
