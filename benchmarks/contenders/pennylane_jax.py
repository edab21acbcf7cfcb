"""PennyLane on JAX: default.qubit and default.mixed, compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import pennylane as qml

from benchmarks.contenders.base import Contender, Step, make_answer
from benchmarks.problem import Answer, Problem
from benchmarks.sizes import NOISE, Size
from qmoe.circuits import Circuit


def jax_function(circuit: Circuit) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """``(Q,)`` features and ``(L, Q, 3)`` weights of one model to ``(Q,)`` expectation values, in complex64.

    U3 gates, which differ from Rot by a phase that nothing sees: a step is as quick as with PennyLane's template, and
    compiles in half the time.
    """
    wires, noisy = range(circuit.n_qubits), circuit.noise is not None
    device = qml.device("default.mixed" if noisy else "default.qubit", wires=circuit.n_qubits)

    def function(x: jax.Array, weights: jax.Array) -> list[Any]:
        qml.AngleEmbedding(x, wires=wires)
        _damp(circuit, wires)
        _depolarize(circuit)
        for layer in range(circuit.n_layers):
            for gate in circuit.ansatz.layer(layer, circuit.n_qubits):
                if gate.name == "CNOT":
                    qml.CNOT(wires=gate.wires)
                else:
                    phi, theta, omega = weights[layer, gate.wires[0]]
                    qml.U3(theta, omega, phi, wires=gate.wires)
                _damp(circuit, gate.wires)
        _depolarize(circuit)
        return [qml.expval(qml.PauliZ(wire)) for wire in wires]

    qnode = qml.QNode(function, device, interface="jax", diff_method="backprop")
    return lambda x, weights: jnp.stack(qnode(x, weights))


def _damp(circuit: Circuit, wires: Iterable[int]) -> None:
    for wire in wires if circuit.noise is not None and circuit.noise.channels else ():
        qml.AmplitudeDamping(NOISE, wires=wire)


def _depolarize(circuit: Circuit) -> None:
    if circuit.noise is not None and not circuit.noise.channels:
        for wire in range(circuit.n_qubits):
            qml.DepolarizingChannel(NOISE, wires=wire)


class _Jax(Contender):
    packages = ("pennylane", "jax", "jaxlib")
    compiles = True
    states_kept = 3.0

    def prepare(self, problem: Problem) -> Step:
        """One compiled function of weights, features and targets."""
        one = problem.size.n_models == 1
        x, weights, targets = (
            jnp.asarray(array[0] if one else array) for array in (problem.x, problem.weights, problem.targets)
        )
        outputs = jax.vmap(jax_function(problem.circuit), in_axes=(0, None))

        def loss(weights: jax.Array, x: jax.Array, targets: jax.Array) -> jax.Array:
            return jnp.mean((outputs(x, weights) - targets) ** 2)

        step = jax.value_and_grad(loss)
        step, outputs_of_all = (step, outputs) if one else (jax.vmap(step), jax.vmap(outputs))
        step = jax.jit(step)

        def run() -> tuple[jax.Array, jax.Array]:
            return jax.block_until_ready(step(weights, x, targets))

        def read(result: tuple[jax.Array, jax.Array]) -> Answer:
            losses, gradient = result
            return make_answer(problem, jax.jit(outputs_of_all)(x, weights), float(jnp.sum(losses)), gradient)

        return Step(run, read)


class JaxDefaultQubit(_Jax):
    """PennyLane's JAX program."""

    key = "jax-default.qubit"
    title = "PennyLane on JAX"
    advice = (
        "default.qubit, backprop, JAX interface, complex64, jit of value_and_grad with vmap over samples (and models) "
        "inside, U3 gates (as quick as broadcast samples, the templates, probabilities or the state; compiled sooner); "
        "compilation is not counted"
    )

    def applies(self, size: Size) -> bool:
        """It holds pure states and has no noise channels."""
        return not size.is_mixed


class JaxDefaultMixed(_Jax):
    """PennyLane's density matrices on JAX."""

    key = "jax-default.mixed"
    title = "default.mixed on JAX"
    advice = (
        "default.mixed, otherwise as PennyLane on JAX (vmap over samples is quicker here than broadcasting); compilation is "
        "not counted"
    )

    def applies(self, size: Size) -> bool:
        """Density matrices pay where there is noise only."""
        return size.is_mixed
