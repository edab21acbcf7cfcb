"""Where trajectories are all that there are, they must equal the reference, as every engine must."""

import pytest
import torch
from torch import Tensor

from qmoe.circuits import Circuit
from qmoe.engines import Engine, ReferenceEngine, TrajectoryEngine
from qmoe.errors import UnsupportedError
from qmoe.testing import EngineConformance
from qmoe.testing.random_circuits import random_inputs


class TestTrajectories(EngineConformance):
    max_qubits = 2

    def make_engine(self) -> Engine:
        return TrajectoryEngine(2**12)

    def _compare(
        self, circuit: Circuit, x: Tensor, weights: Tensor, strength: Tensor | None = None, seed: int = 0
    ) -> None:
        """A random circuit in a few has more patterns of errors than that, and is compared by its error bar."""
        found = TrajectoryEngine(2**12).estimate(circuit, x, weights, strength)
        if not found.standard_error.any():
            super()._compare(circuit, x, weights, strength, seed)
            return
        exact = ReferenceEngine().evaluate(circuit, *(t.detach().cpu().double() for t in (x, weights)))
        assert ((found.mean.detach() - exact).abs() < 5 * found.standard_error + 1e-5).all()

    def test_vmap_over_noise_strengths_equals_the_loop_or_raises(self, dtype: torch.dtype) -> None:
        circuit = Circuit(2, 1, noise=0.1)
        x, weights = random_inputs(circuit, 1, dtype=dtype)

        def run(strength: Tensor) -> Tensor:
            return TrajectoryEngine().evaluate(circuit, x, weights, strength)

        with pytest.raises(UnsupportedError, match="draws errors by the value of noise_strength"):
            torch.func.vmap(run)(x.new_tensor([0.0, 0.1]))
