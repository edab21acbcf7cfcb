"""A router of your own in a study: a class by its place, imported only where that is allowed."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, ParamSpec, TypeVar, Unpack

from qmoe.errors import ConfigError, unknown
from qmoe.part_spec import Drawn, Within
from qmoe.routers import Router, RouterSpec, require_router

P = ParamSpec("P")
Result = TypeVar("Result")

_ALLOWED: ContextVar[bool] = ContextVar("imports_allowed", default=False)
_NAME = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"


@contextmanager
def allow_imports(allowed: bool = True) -> Iterator[None]:
    """Lets studies import routers of your own (``kind = "import"``) within the block, in worker processes too.

    Outside of it, as when a report is written of a store that somebody sent, no study runs any code.

    Example:
        >>> from qmoe.studies import allow_imports, load_preset
        >>> with allow_imports():
        ...     study = load_preset("phase2-heldout")
    """
    before = _ALLOWED.set(allowed)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def with_permission(function: Callable[P, Result]) -> Callable[P, Result]:
    """The function as it is to be run elsewhere: with imports allowed if they are allowed here."""
    return functools.partial(_permitted, function) if _ALLOWED.get() else function


def _permitted(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    with allow_imports():
        return function(*args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class ImportedRouterSpec(RouterSpec):
    """A router of your own: what ``path`` names is called with the sizes, the arguments, ``generator`` and ``dtype``.

    The hash of a trial covers the path and the arguments, not the code: give code that changed another name, or an argument
    such as ``version``.
    """

    path: Annotated[str, Within(pattern=f"^{_NAME}:{_NAME}$")] = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raises ConfigError without a path."""
        if not self.path:
            raise ConfigError('kind = "import" needs a path such as "my_routers:MyRouter", a module and a name in it')

    def build(self, in_features: int, n_experts: int, **drawn: Unpack[Drawn]) -> Router:
        """The router, if imports are allowed.

        Raises:
            ConfigError: when they are not, or what the path names is no such router.
        """
        make = self._imported()
        try:
            router = require_router(make(in_features, n_experts, **self.arguments, **drawn))
        except TypeError as error:
            raise ConfigError(
                f"{self.path} cannot be called as studies do: {error}. It is given in_features, n_experts, the arguments of "
                "the study file, generator and dtype."
            ) from error
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error
        if (router.in_features, router.n_experts) != (in_features, n_experts):
            raise ConfigError(
                f"{self.path} made a router of {router.in_features} features and {router.n_experts} experts, expected "
                f"{in_features} and {n_experts}."
            )
        return router

    def _imported(self) -> Callable[..., object]:
        if not _ALLOWED.get():
            raise ConfigError(
                f"The router {self.path} is code that a study may not run unasked. If you trust it, run the study with "
                "--allow-import, or in Python within qmoe.studies.allow_imports()."
            )
        module, _, names = self.path.partition(":")
        try:
            found: Any = importlib.import_module(module)
        except Exception as error:  # whatever the module raises
            raise ConfigError(
                f"{self.path} cannot be imported: {error!r}. The module must be installed, on PYTHONPATH, or in the folder "
                "where qmoe is started; on every machine that computes."
            ) from error
        for name in names.split("."):
            if not hasattr(found, name):
                raise unknown(f"name in {module}:", name, [n for n in vars(found) if not n.startswith("_")])
            found = getattr(found, name)
        if not callable(found):
            raise ConfigError(f"{self.path} is a {type(found).__name__}, expected a class of routers or a function.")
        return found
