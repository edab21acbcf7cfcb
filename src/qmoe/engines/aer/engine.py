"""Qiskit's simulator as an engine: forward only, the whole batch as one job. Qiskit is imported on use."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from qmoe.circuits import (
    Born,
    Circuit,
    Expval,
    Gate,
    Hamiltonian,
    Parity,
    Pauli,
    Probs,
    Readout,
    Readouts,
    split_readout,
)
from qmoe.circuits.noise.ibm_snapshots import INSTALL, as_backend, backend_name
from qmoe.circuits.placing import wires_of
from qmoe.engines.aer.aer_canary import channels_in, check_channel, check_excitation, known_excitation_of
from qmoe.engines.aer.aer_program import AerProgram, program_for
from qmoe.engines.aer.aer_readout import Confusion, confused, confusions_in, confusions_of, reading_noise
from qmoe.engines.aer.compiling import compiled
from qmoe.engines.protocol import Engine, too_large
from qmoe.engines.rewriting import Abilities, Rewriting, rewriting_for
from qmoe.engines.shots.outcome_counts import as_shots
from qmoe.errors import UnsupportedError, needed
from qmoe.seeding import Seed, numpy_generator
from qmoe.torch_internals import is_wrapped

_ABILITIES = Abilities((Expval, Born), True, True, True)


class AerEngine(Engine):
    """Runs circuits on qiskit-aer, for inference: gradients are refused when they are asked for.

    Without a backend the simulator is ideal, and the circuit's own noise goes to it as channels. With the name of a
    snapshot, or a backend of Qiskit, the circuit is compiled for that device and has its noise, as
    `qmoe.interop.on_device` does. With an ``AerSimulator`` of your own its noise model counts, and circuits have none.

    All samples, models and bases of a call are one job: one ``run`` with the values of parameters.

    Args:
        backend: None, the name of a snapshot such as ``"fake_manila"``, a backend of Qiskit, or an ``AerSimulator``.
        shots: number of measurements behind each read-out; None for exact numbers.
        seed: where the randomness of shots starts; it runs on from call to call. None draws fresh entropy.

    Raises:
        ConfigError: for an unknown snapshot, or shots below 1.
        UnsupportedError: where Qiskit is missing.
    """

    name: ClassVar[str] = "aer"
    readouts: ClassVar[tuple[type[Readout], ...]] = (Expval, Born, Pauli, Hamiltonian, Probs, Parity, Readouts)
    takes_expressions: ClassVar[bool] = True

    def __init__(self, backend: Any = None, shots: int | None = None, seed: Seed | None = None) -> None:
        as_shots(shots)
        simulator = needed("qiskit_aer", INSTALL).AerSimulator
        if backend is not None:
            as_backend(backend)
        self.backend, self.shots, self.seed = backend, shots, seed
        self._own = isinstance(backend, simulator)
        self._simulator: Any = backend if self._own else None
        self._random = np.random.default_rng() if seed is None else numpy_generator(seed)
        self._trusted: set[Any] = set()

    def rewriting(self, circuit: Circuit) -> Rewriting | None:
        """None: circuits in several bases are circuits of one job."""
        del circuit
        return None

    def why_not(self, circuit: Circuit, device: torch.device) -> str | None:
        """Says what no simulator of Qiskit runs."""
        del device
        if self.backend is not None and circuit.noise is not None:
            return (
                f"{backend_name(self.backend)} has noise of its own, and so has the circuit; use circuit.with_noise(None), "
                "or AerEngine() without a backend."
            )
        if circuit.prepares:
            return "Qiskit's parameters are angles, and features are amplitudes here; use engine='native'."
        if self.shots is not None and any(len(wires_of(op)) > 1 for op in split_readout(circuit.operations)[1]):
            return "qiskit-aer reads each qubit by itself, and the circuit confuses pairs; use shots=None."
        return too_large(circuit)

    def _evaluate(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        tensors = [tensor for tensor in (x, weights, strength) if tensor is not None]
        if any(is_wrapped(tensor) for tensor in tensors):
            raise UnsupportedError(
                "Engine 'aer' runs outside of torch, and takes no transforms of it; use engine='torch'."
            )
        return _ForwardOnly.apply(self, circuit, x, weights, strength)

    def run_job(self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None) -> Tensor:
        """Runs ``(S, B, F)`` features with ``(S, P)`` weights, as `evaluate` does, outside of autograd."""
        device = None if self.backend is None or self._own else self.backend
        if device is not None:
            circuit = compiled(circuit, device)
            strength = x.new_zeros(len(x))
        features, angles = x.detach().cpu().double(), weights.detach().cpu().double()
        levels = [None] * len(x) if strength is None else strength.detach().cpu().double().tolist()
        rewriting = rewriting_for(circuit, _ABILITIES)
        if rewriting is None:
            outcomes = self._probabilities((circuit,), features, angles, levels)
            return _read(circuit, outcomes[circuit]).to(x.device, x.dtype)
        if rewriting.angles is not None:
            features, angles = rewriting.angles(features, angles)
        outcomes = self._probabilities(rewriting.runs, features, angles, levels)
        without_angles = Rewriting(rewriting.circuit, None, rewriting.runs, rewriting.measured)
        found = without_angles.run(lambda run, x, weights: _read(run, outcomes[run]), features, angles)
        return found.to(x.device, x.dtype)

    def _probabilities(
        self, runs: tuple[Circuit, ...], x: Tensor, weights: Tensor, levels: list[float | None]
    ) -> dict[Circuit, Tensor]:
        """``(S, B, D)`` probabilities of each circuit, errors of the measurement included: one job."""
        self._check_noise(runs[0])
        confusions = confusions_of(split_readout(runs[0].operations)[1])  # bases differ before the measurement alone
        jobs = []
        for run in dict.fromkeys(runs):
            for level in dict.fromkeys(levels):
                models = [s for s, one in enumerate(levels) if one == level]
                jobs.append((run, program_for(run, split_readout(run.operations)[0], level), models))
        columns = [
            [
                torch.cat(parts).tolist()
                for parts in zip(*(program.values(x[s], weights[s]) for s in models), strict=True)
            ]
            for _, program, models in jobs
        ]
        found = self._measure([program for _, program, _ in jobs], columns, confusions)
        made = {run: x.new_empty(len(x), x.shape[1], run.dim) for run in runs}
        for (run, _, models), rows in zip(jobs, found, strict=True):
            made[run][models] = (
                torch.from_numpy(rows).expand(len(models) * x.shape[1], -1).reshape(len(models), -1, run.dim)
            )
        return made

    def _measure(
        self, programs: list[AerProgram], columns: list[list[list[float]]], confusions: tuple[Confusion, ...]
    ) -> list[np.ndarray]:
        """Probabilities of the outcomes of programs, by one job.

        Args:
            programs: what to run.
            columns: values of the parameters of each.
            confusions: errors of the measurement.

        Returns:
            Of each ``(n, D)``, with one row where it has no parameters; wire 0 is the most significant bit.
        """
        simulator, listed, places = self._simulator, [], []
        if simulator is None:
            simulator = self._simulator = needed("qiskit_aer", INSTALL).AerSimulator()
        for program in programs:
            made, wires = program.circuit, list(range(program.circuit.num_qubits))
            if self._own:
                made = needed("qiskit", INSTALL).transpile(made, simulator, seed_transpiler=0)
                wires = wires if made.layout is None else made.layout.final_index_layout()[: len(wires)]
            listed.append(self._measured(made, wires))
            places.append(wires)
        binds = [dict(zip(p.parameters, held, strict=True)) for p, held in zip(programs, columns, strict=True)]
        options: dict[str, Any] = {"shots": self.shots or 1, "seed_simulator": int(self._random.integers(2**31))}
        own_noise = simulator.options.noise_model if self._own else None
        if own_noise is not None or any(program.is_mixed for program in programs):
            options["method"] = "density_matrix"  # of itself it would draw one of the things that may happen
        if self.shots is not None and confusions:
            options["noise_model"] = reading_noise(confusions)
        done = simulator.run(listed, parameter_binds=binds, **options).result()
        if not done.success:
            raise UnsupportedError(f"qiskit-aer did not run the circuit: {done.status}")
        found, start = [], 0
        for held, wires in zip(columns, places, strict=True):
            n = len(held[0]) if held else 1
            rows = np.stack([self._row(done, place, len(wires)) for place in range(start, start + n)])
            errors = confusions_in(own_noise, wires) if self._own else confusions
            found.append(rows if self.shots is not None else confused(rows, errors))
            start += n
        return found

    def _measured(self, made: Any, wires: list[int]) -> Any:
        """The circuit with a measurement of some qubits, the first of which is the most significant bit."""
        if self.shots is None:
            made = made.copy()
            made.save_probabilities(wires[::-1])
            return made
        qiskit = needed("qiskit.circuit", INSTALL)
        measured = qiskit.QuantumCircuit(made.num_qubits, len(wires))
        measured.compose(made, range(made.num_qubits), inplace=True)
        measured.measure(wires[::-1], range(len(wires)))
        return measured

    def _row(self, done: Any, place: int, n_qubits: int) -> np.ndarray:
        if self.shots is None:
            return np.asarray(done.data(place)["probabilities"])
        row = np.zeros(2**n_qubits)
        for outcome, n in done.data(place)["counts"].items():
            row[int(outcome, 16)] = n / self.shots
        return row

    # --- known answers ----------------------------------------------------------------------------------------------

    def _check_noise(self, circuit: Circuit) -> None:
        """Runs circuits with known answers, once for each channel and simulator."""
        if self._own:
            noise = self.backend.options.noise_model
            if noise is not None and "own" not in self._trusted:
                self._check_own(noise)
                self._trusted.add("own")
            return
        for channel in channels_in(circuit):
            if channel not in self._trusted:
                check_channel(self._known, channel, self.shots)
                self._trusted.add(channel)

    def _known(self, circuit: Circuit) -> np.ndarray:
        operations, errors = split_readout(circuit.operations)
        (rows,) = self._measure([program_for(circuit, operations, 0.0)], [[]], confusions_of(errors))
        return rows[0]

    def _check_own(self, noise: Any) -> None:
        flip = Circuit.from_operations([Gate("PauliX", (0,))], readout="born")
        program = program_for(flip, flip.operations)
        made = needed("qiskit", INSTALL).transpile(program.circuit, self.backend, seed_transpiler=0)
        if [one.operation.name for one in made.data] != ["x"]:
            return  # a simulator without X gates, whose noise has no such known answer
        place = 0 if made.layout is None else made.layout.final_index_layout()[0]
        (rows,) = self._measure([program], [[]], ())
        expected = confused(known_excitation_of(noise, place)[None], confusions_in(noise, [place]))
        check_excitation(rows[0], expected[0], self.shots)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_simulator": self.backend if self._own else None}

    def __repr__(self) -> str:
        given = {"shots": self.shots, "seed": self.seed}
        parts = [] if self.backend is None else [repr(backend_name(self.backend))]
        return f"AerEngine({', '.join([*parts, *(f'{k}={v!r}' for k, v in given.items() if v is not None)])})"


def _read(circuit: Circuit, probabilities: Tensor) -> Tensor:
    """The read-out of a circuit, one of two, from ``(S, B, D)`` probabilities."""
    if isinstance(circuit.readout, Born):
        return probabilities
    states = torch.arange(circuit.dim)
    signs = [1 - 2 * ((states >> (circuit.n_qubits - 1 - wire)) & 1) for wire in range(circuit.n_qubits)]
    return probabilities @ torch.stack(signs, -1).to(probabilities.dtype)


class _ForwardOnly(torch.autograd.Function):
    """What runs outside of torch, and says so where a gradient is asked for."""

    @staticmethod
    def forward(
        ctx: Any, engine: AerEngine, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None
    ) -> Tensor:
        del ctx
        return engine.run_job(circuit, x, weights, strength)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        del ctx, gradients
        raise UnsupportedError(
            "Engine 'aer' has no gradients: it is for inference. Train with engine='native' or 'torch', or with shots by "
            "PennyLaneEngine(device, shots=...)."
        )
