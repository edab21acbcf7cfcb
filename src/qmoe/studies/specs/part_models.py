"""Routers and experts as a study file names them: models of their specs, which check what a file says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from qmoe.errors import ConfigError, unknown
from qmoe.experts import EXPERTS, Experts
from qmoe.part_spec import PartSpec, Within
from qmoe.routers import ROUTERS, Router
from qmoe.studies.specs.base import Spec, explain
from qmoe.studies.specs.imported import ImportedRouterSpec


class PartModel(Spec):
    """Base of all models of a router's or experts' spec, which are that spec as well."""

    kind: str

    @model_validator(mode="after")
    def _goes_together(self) -> PartModel:
        try:
            if isinstance(self, PartSpec):
                self.check()
        except ConfigError as error:
            raise PydanticCustomError("unused", "{message}", {"message": str(error)}) from error
        return self


def _model(kind: str, spec: type[PartSpec]) -> type[PartModel]:
    """The model of a spec: the same fields and methods, and ``kind``, the name it has in a file."""
    hints = get_type_hints(spec, include_extras=True)
    fields: dict[str, Any] = {f.name: (_checked(hints[f.name]), _default(f)) for f in dataclasses.fields(spec)}
    fields["kind"] = (Literal[kind], ...)
    bases: Any = (PartModel, spec)
    return create_model(spec.__name__, __base__=bases, __module__=__name__, __doc__=spec.__doc__, **fields)


def _default(option: dataclasses.Field[Any]) -> Any:
    if option.default_factory is not dataclasses.MISSING:
        return Field(default_factory=option.default_factory)
    return option.default


def _checked(hint: Any) -> Any:
    """A type with its limits as pydantic has them; whole numbers and truth values are not converted from anything else."""
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(_checked(part) for part in get_args(hint))]  # noqa: UP007  # of parts that are known only now
    limits: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        for mark in marks:
            limits |= mark.limits if isinstance(mark, Within) else {}
    if hint in (int, bool):
        limits["strict"] = True
    return Annotated[hint, Field(**limits)] if limits else hint


_ROUTERS = {kind: _model(kind, spec) for kind, spec in {**ROUTERS, "import": ImportedRouterSpec}.items()}
_EXPERTS = {kind: _model(kind, spec) for kind, spec in EXPERTS.items()}

if TYPE_CHECKING:

    class RouterModel(PartModel):
        """Any router's model."""

        build: Callable[..., Router]

    class ExpertsModel(PartModel):
        """Any experts' model."""

        build: Callable[..., Experts]

else:
    RouterModel = Annotated[Union[tuple(_ROUTERS.values())], Field(discriminator="kind")]  # noqa: UP007
    ExpertsModel = Annotated[Union[tuple(_EXPERTS.values())], Field(discriminator="kind")]  # noqa: UP007


def router_model(kind: str, **options: Any) -> RouterModel:
    """The router of that name, with these options.

    Raises:
        ConfigError: for an unknown name or option, or a value that is not allowed.
    """
    return _made("router", _ROUTERS, kind, options)


def experts_model(kind: str, **options: Any) -> ExpertsModel:
    """The experts of that name, with these options.

    Raises:
        ConfigError: for an unknown name or option, or a value that is not allowed.
    """
    return _made("experts", _EXPERTS, kind, options)


def _made(what: str, models: Mapping[str, type[PartModel]], kind: str, options: dict[str, Any]) -> Any:
    if kind not in models:
        raise unknown(what, kind, models)
    try:
        return models[kind](kind=kind, **options)
    except ValidationError as error:
        raise ConfigError("; ".join(explain(e) for e in error.errors())) from None


def __getattr__(name: str) -> type[PartModel]:
    """The models by name, where pickle looks for them."""
    for model in (*_ROUTERS.values(), *_EXPERTS.values()):
        if model.__name__ == name:
            return model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
