"""Noise by quantum trajectories: pure states with errors drawn at random, for more qubits than density matrices take.

A Pauli error moves through a circuit: past a rotation it flips the sign of the angle or leaves it, and a gate without an
angle makes it another Pauli error. So a trajectory is the same circuit without noise, at angles with other signs, and what
is left of the errors at the end flips read-outs. Trajectories are then models of one stack, which other engines run.

* `signed_circuit`: angles whose signs may flip, and places of errors;
* `error_effects`: what each error flips;
* `error_patterns`: which errors a trajectory has, and how much it counts;
* `kraus_branches`: channels that are no mixture of Pauli errors;
* `confusions`: channels right before the measurement, which take no trajectories;
* `trajectory_runs`: all trajectories of a call, in portions;
* `engine`: the engine.
"""

from qmoe.engines.trajectories.engine import TrajectoryEngine, TrajectoryEstimate

__all__ = ["TrajectoryEngine", "TrajectoryEstimate"]
