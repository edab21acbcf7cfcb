"""What the workers run.

``python -m benchmarks.trainings.child train CONTENDER Q M`` trains; ``... step THREADS`` repeats steps of the native engine,
with torch's default threads for 0; ``... fit`` fits classifiers.

Each imports only what it uses: the threads of one library slow another's down.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.trainings.workers import serve

#: A worker's first answer, and the function that gives the later ones.
Served = tuple[Any, Callable[..., Any]]


def train(contender: str, n_qubits: int, n_models: int) -> Served:
    """Trains once, with all compilation, and then as often as it is asked to."""
    if contender == "jax-split":
        # A device for each core; JAX reads it when it is first imported.
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={n_devices(n_models)}"
    from benchmarks.trainings.task import CONFIG, SHORT_EPOCHS, Task

    task = Task(n_qubits, n_models)
    _ = task.data, task.first_weights
    trainer: Any
    begin = time.perf_counter()
    if contender.startswith("jax"):
        from benchmarks.trainings.jaxed import Jaxed

        trainer = Jaxed(task, n_devices(n_models) if contender == "jax-split" else 1)
    elif contender == "eager":
        from benchmarks.trainings.eager import Eager

        trainer = Eager(task)
    else:
        from benchmarks.trainings.own import Own

        trainer = Own(task, 1 if contender == "qmoe-1" else None)
    _, outcome = trainer.train()
    first = time.perf_counter() - begin
    scale = CONFIG.epochs / SHORT_EPOCHS if contender == "eager" else 1.0

    def turn(repeats: int) -> dict[str, list[float]]:
        gc.collect()
        return {"seconds": [scale * trainer.train()[0] for _ in range(repeats)]}

    ready = {
        "first": first,
        "compiling": trainer.compiling,
        "scale": scale,
        "first_loss": outcome.first_loss.tolist(),
        "accuracy": float(outcome.accuracy.mean()),
        "seconds": turn(1)["seconds"][0],
    }
    if contender == "qmoe":
        ready["short_accuracy"] = float(trainer.train(SHORT_EPOCHS)[1].accuracy.mean())
    return ready, turn


def n_devices(n_models: int) -> int:
    """Into how many parts of one length the models are split: at most one for each core."""
    from benchmarks.machine import n_cores

    return next(n for n in range(min(n_cores(), n_models), 0, -1) if n_models % n == 0)


def step(threads: int) -> Served:
    """Repeats a step of the native engine, at the size that is asked for."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    from benchmarks.contenders.own import Native
    from benchmarks.problem import make_problem
    from benchmarks.sizes import parse_size
    from benchmarks.timing import calibrate, repeat

    prepared: dict[str, Any] = {}

    def turn(size: str, target: float) -> dict[str, Any]:
        if size not in prepared:
            prepared.clear()
            run = Native().prepare(make_problem(parse_size(size))).run
            begin = time.perf_counter()
            run()
            first = time.perf_counter() - begin
            prepared[size] = run, first, calibrate(run, target)[0]
        run, first, loops = prepared[size]
        return {"seconds": repeat(run, loops) / loops, "loops": loops, "first": first}

    return {"threads": torch.get_num_threads()}, turn


def fit() -> Served:
    """Fits a classifier, one after another for each turn."""
    from benchmarks.trainings.classifiers import CLASSIFIERS, fit_once

    return {"titles": list(CLASSIFIERS)}, fit_once


def main(kind: str, *arguments: str) -> None:
    """Reads the command line."""
    if kind == "train":
        contender, *numbers = arguments
        n_qubits, n_models = map(int, numbers)
        serve(lambda: train(contender, n_qubits, n_models))
    elif kind == "step":
        serve(lambda: step(int(arguments[0])))
    else:
        serve(fit)


if __name__ == "__main__":
    main(*sys.argv[1:])
