"""Poisons one trial, in whatever interpreter finds this folder on its path; the product has no door for it.

``QMOE_POISON`` is the hash of the trial and what happens to it, such as ``0123456789abcdef:crash``.
"""

import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_TARGET = "qmoe.studies.run.stack_run"


def _poison(module: Any, digest: str, kind: str) -> None:
    run_stack, build_model = module.run_stack, module.build_model

    def poisoned_run(stack: Sequence[Any]) -> Any:
        if any(trial.hash == digest for trial in stack):
            if kind == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            elif kind == "killed":  # as a system does that runs out of memory
                os.kill(os.getpid(), signal.SIGKILL)
            elif kind == "memory":
                module.torch.empty(10**15)
            elif kind == "exception":
                raise KeyError("a row that cannot be encoded")
        return run_stack(stack)

    def poisoned_model(trial: Any) -> Any:
        model = build_model(trial)
        if trial.hash == digest:
            with module.torch.no_grad():
                next(iter(model.parameters())).fill_(float("nan"))
        return model

    module.run_stack = poisoned_run
    if kind == "nan":
        module.build_model = poisoned_model


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the module where it is, and changes it once it is there."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        run, (digest, kind) = spec.loader.exec_module, os.environ["QMOE_POISON"].split(":")

        def execute(module: ModuleType) -> None:
            run(module)
            _poison(module, digest, kind)

        spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec


if os.environ.get("QMOE_POISON"):
    sys.meta_path.insert(0, _Finder())
