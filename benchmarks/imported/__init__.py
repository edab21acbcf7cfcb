"""Circuits of other libraries: what qmoe imports, beside the peers that run the very same object.

* `sources`: the circuits, as users of PennyLane and of Qiskit write them;
* `cases`: what is timed with them, one step or one epoch, and the right answer by other means;
* `layers`, `on_jax`: who computes it;
* `run`: the measurement; `results`: what is kept of it; `text`: how it is shown.
"""
