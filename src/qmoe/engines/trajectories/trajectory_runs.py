"""The circuits of all patterns on a batch, in portions, and what their read-outs add up to."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from qmoe.engines.constants import cached_tensors
from qmoe.engines.protocol import Engine
from qmoe.engines.trajectories.confusions import confuse, confused_signs
from qmoe.engines.trajectories.error_patterns import ErrorPatterns, error_classes
from qmoe.engines.trajectories.kraus_branches import branch_tensor, run_branches
from qmoe.engines.trajectories.signed_circuit import BranchPlace, SignedCircuit, Sources
from qmoe.torch_internals import is_transformed

#: Bytes of the angles and read-outs, or of the states, of the trajectories that run together.
PORTION_BYTES = 1 << 28
#: States of each sample that torch keeps for a gradient, for each stage of a circuit.
_KEPT_STATES = 2


@dataclass(frozen=True, eq=False)
class TrajectoryRuns:
    """What runs the trajectories of one circuit.

    Attributes:
        signed: the circuit.
        engine: what runs it without noise.
    """

    signed: SignedCircuit
    engine: Engine

    def total(self, patterns: ErrorPatterns, x: Tensor, weights: Tensor, strength: float | Tensor) -> Tensor:
        """The average over all patterns.

        Args:
            patterns: of all models.
            x: ``(S, B, F)`` features.
            weights: ``(S, P)``.
            strength: of all models; a tensor for its gradient.

        Returns:
            ``(S, B, n_outputs)``.
        """
        if isinstance(strength, Tensor):
            shares, chosen = patterns.shares(strength.double().cpu()), np.arange(len(patterns.flips))
        else:
            shares, chosen = patterns.shares_at(strength)
        cast = shares.to(x.device, x.dtype)
        found: Tensor | None = None
        portions = list(self._portions(len(chosen), x, weights))
        for first, last in portions:
            add = functools.partial(self._summed, patterns, chosen[first:last], shares=cast)
            if len(portions) > 1 and torch.is_grad_enabled() and not is_transformed():
                part = checkpoint(add, x, weights, use_reentrant=False, preserve_rng_state=False)
            else:
                part = add(x, weights)
            found = part if found is None else found + part
        assert found is not None
        return self._finished(found, strength, is_total=True)

    def drawn(self, patterns: ErrorPatterns, x: Tensor, weights: Tensor, strength: float) -> Iterator[Tensor]:
        """``(K, S, B, n_outputs)`` what each pattern that was drawn adds to the average, up to what all add alike."""
        shares, n = patterns.shares_at(strength)[0].to(x.device, x.dtype), patterns.n_listed
        for first, last in self._portions(patterns.n_drawn, x, weights):
            circuits, which = np.unique(patterns.circuit_of[n + first : n + last], return_inverse=True)
            read = self._read_outs(patterns.flips[circuits], x, weights)
            rows = read.movedim(1, 0)[torch.from_numpy(which.reshape(-1)).to(x.device)]
            rows = rows * shares[n + first : n + last, None, None, :]
            if self.signed.is_born:
                basis = torch.arange(rows.shape[-1], device=x.device)
                flipped = basis ^ torch.from_numpy(patterns.masks[n + first : n + last, None]).to(x.device)
                rows = rows.gather(-1, flipped[:, None, None, :].expand(rows.shape))
            yield self._finished(rows, strength, is_total=False)

    def _portions(self, n: int, x: Tensor, weights: Tensor) -> Iterator[tuple[int, int]]:
        circuit, (n_models, n_batch, _) = self.signed.circuit, x.shape
        per_sample = 2 * (circuit.in_features + circuit.n_outputs)
        if self.signed.runs is not None or self.engine.name != "native":
            n_states = 4 + (_KEPT_STATES * self._n_stages if torch.is_grad_enabled() else 0)
            per_sample += 2 * circuit.dim * n_states
        each = n_models * (n_batch * per_sample + weights.shape[-1]) * x.element_size()
        size = max(1, PORTION_BYTES // max(1, each))
        for first in range(0, n, size):
            yield first, min(first + size, n)

    @functools.cached_property
    def _n_stages(self) -> int:
        runs = self.signed.runs
        return len(self.signed.circuit.operations) if runs is None else sum(len(run.stages) for run in runs)

    def _summed(
        self, patterns: ErrorPatterns, circuits: np.ndarray, x: Tensor, weights: Tensor, *, shares: Tensor
    ) -> Tensor:
        """The sum over the patterns that are some of the circuits."""
        read = self._read_outs(patterns.flips[circuits], x, weights)
        place = np.full(len(patterns.flips), -1)
        place[circuits] = np.arange(len(circuits))
        place = place[patterns.circuit_of]
        masks = np.where(place < 0, -1, patterns.masks)
        found: Tensor | None = None
        for mask in np.unique(masks[masks >= 0]).tolist():
            members = np.flatnonzero(masks == mask)
            counted = shares.new_zeros(len(circuits), shares.shape[1]).index_add(
                0, _index(place[members], x), shares[_index(members, x)]
            )
            used = np.unique(place[members])
            part = read if len(used) == len(circuits) else read[:, _index(used, x)]
            part = torch.einsum("subo,uo->sbo", part, counted[_index(used, x)].expand(-1, part.shape[-1]))
            if mask:
                part = part[..., torch.arange(part.shape[-1], device=x.device) ^ mask]
            found = part if found is None else found + part
        assert found is not None
        return found

    def _read_outs(self, flips: np.ndarray, x: Tensor, weights: Tensor) -> Tensor:
        """``(S, U, B, n)`` read-outs of the circuits whose signs flip so ``(U, n_signs)``."""
        signed, n = self.signed, len(flips)
        if signed.numbers:
            numbers = weights.new_tensor(signed.numbers).expand(len(weights), -1)
            weights = torch.cat([weights, numbers], -1)
        angles = _signed(signed.weights, weights, flips).expand(-1, n, -1)
        if signed.features is None:
            features = x.unsqueeze(1).expand(-1, n, -1, -1)
        else:
            features = _signed(signed.features, x, flips).expand(-1, n, -1, -1)
        if signed.runs is None:
            return self.engine.evaluate(signed.circuit, features, angles)
        branches = torch.cat([_branch_numbers(branch, flips, x) for branch in signed.branches], -1)
        angles = torch.cat([angles, branches.expand(len(x), -1, -1)], -1)
        out = run_branches(signed.circuit, signed.runs, features.flatten(0, 1), angles.flatten(0, 1))
        return out.unflatten(0, (len(x), n))

    def _finished(self, found: Tensor, strength: float | Tensor, *, is_total: bool) -> Tensor:
        """What follows behind all angles: ``(..., n)`` to ``(..., n_outputs)``; a part of a total gets no constants."""
        signed, n_qubits = self.signed, self.signed.circuit.n_qubits
        if not signed.is_born:
            if not signed.confusions:
                return found
            scales, offsets = (found.new_tensor(part) for part in confused_signs(signed.confusions, n_qubits))
            return found * scales + offsets if is_total else found * scales
        basis = torch.arange(found.shape[-1], device=found.device)
        for place in error_classes(signed).mixing:
            found = sum(
                (((a + strength * b) * (found[..., basis ^ mask] if mask else found)) for mask, a, b in place),
                torch.zeros_like(found),
            )
        found = confuse(found, signed.confusions, n_qubits)
        return found @ _signs(n_qubits, found.dtype, found.device) if signed.reads_signs else found


def _index(places: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(places)).to(like.device)


def _signed(sources: Sources, values: Tensor, flips: np.ndarray) -> Tensor:
    """``(S, ..., N)`` values to ``(S, U, ..., A)`` angles; U is 1 where no sign flips."""
    picked = values.index_select(-1, _index(sources.index, values))
    if not (sources.factors == 1).all():
        picked = picked * values.new_tensor(sources.factors.tolist())
    picked = picked.unsqueeze(1)
    if (sources.signs < 0).all() or not flips[:, sources.signs[sources.signs >= 0]].any():
        return picked
    signs = np.where(sources.signs < 0, 1, 1 - 2 * flips[:, sources.signs].astype(np.int8))
    factors = torch.from_numpy(signs).to(values.device, values.dtype)
    return picked * (factors if values.dim() == 2 else factors.unsqueeze(1))


def _branch_numbers(branch: BranchPlace, flips: np.ndarray, like: Tensor) -> Tensor:
    """``(U, n)`` numbers of the operators that trajectories have."""
    table = branch_tensor(branch.channel, like.dtype, like.device)
    code = np.zeros(len(flips), np.int64)
    for k, bit in enumerate(branch.codes):
        code += flips[:, bit].astype(np.int64) << k
    word = np.zeros(len(flips), np.int64)
    for x_bit, z_bit in branch.frames:
        x, z = flips[:, x_bit].astype(np.int64), flips[:, z_bit].astype(np.int64)
        word = 4 * word + np.where(x == 0, 3 * z, 1 + z)  # I, X, Y, Z: both are Y
    rows = code * 4 ** len(branch.frames) + word
    return table[_index(np.minimum(rows, len(table) - 1), like)]


@cached_tensors
def _signs(n_qubits: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """``(D, Q)``: what Z of each wire is in each basis state."""
    bits = (np.arange(2**n_qubits)[:, None] >> np.arange(n_qubits)[::-1]) & 1
    return torch.tensor(1.0 - 2.0 * bits, dtype=dtype, device=device)
