"""A study as data: what is compared, on which data, how often. Read from TOML; unknown keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.data import SCALINGS, make_dataset
from qmoe.errors import ConfigError, did_you_mean

Probability = Annotated[float, Field(ge=0, le=1)]
Size = Annotated[int, Field(ge=1, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)]
Label = Annotated[str, Field(max_length=200)]


class Spec(BaseModel):
    """Base of everything read from a study file: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    hint = did_you_mean(key, cls.model_fields)
                    raise PydanticCustomError(
                        "unknown_key", "unknown key {key}{hint}", {"key": repr(key), "hint": hint}
                    )
        return values


class LinearRouterSpec(Spec):
    """The paper's control."""

    kind: Literal["linear"]


class MLPRouterSpec(Spec):
    """One hidden layer."""

    kind: Literal["mlp"]
    hidden: Size = 16
    activation: Literal["relu", "tanh", "silu"] = "relu"


class UniformRouterSpec(Spec):
    """All experts alike; with one expert, no router."""

    kind: Literal["uniform"]


class QuantumSpec(Spec):
    """What quantum routers and quantum experts have in common."""

    kind: Literal["quantum"]
    #: 24 qubits are 16 million amplitudes for each sample; a study batches thousands.
    n_qubits: Annotated[int, Field(ge=1, le=24, strict=True)] | None = None
    n_layers: Annotated[int, Field(ge=0)] = 3
    encoding: Literal["angle", "amplitude"] = "angle"
    rotation: Literal["X", "Y", "Z"] = "X"
    uploads: Size = 1
    ansatz: Literal["strongly_entangling", "basic_entangler", "no_entangler"] = "strongly_entangling"
    readout: Literal["expval", "born"] = "expval"
    noise: Probability | None = None
    placement: Literal["block", "gate"] = "block"
    dephasing: Literal["none", "encoding", "layers", "all"] = "none"
    engine: Annotated[str, Field(pattern=r"^(auto|native|torch|reference|pennylane(:[\w.]+)?)$")] = "auto"

    @model_validator(mode="after")
    def _used(self) -> QuantumSpec:
        if self.encoding == "amplitude" and (self.rotation, self.uploads) != ("X", 1):
            raise PydanticCustomError("unused", "rotation and uploads belong to angle encoding; drop them")
        return self

    @property
    def mixed(self) -> bool:
        """Whether its states are mixed: whether there is noise, if only of strength 0, or dephasing."""
        return self.noise is not None or self.dephasing != "none"


class LinearExpertsSpec(Spec):
    """Linear experts."""

    kind: Literal["linear"]
    out_features: Size | None = None


class MLPExpertsSpec(Spec):
    """Experts with one hidden layer."""

    kind: Literal["mlp"]
    hidden: Size = 8
    out_features: Size | None = None
    activation: Literal["relu", "tanh", "silu"] = "relu"


RouterSpec = Annotated[LinearRouterSpec | MLPRouterSpec | UniformRouterSpec | QuantumSpec, Field(discriminator="kind")]
ExpertsSpec = Annotated[LinearExpertsSpec | MLPExpertsSpec | QuantumSpec, Field(discriminator="kind")]


class ModelSpec(Spec):
    """A mixture: router, experts, and a linear head onto the classes where asked for."""

    router: RouterSpec
    experts: ExpertsSpec
    n_experts: Size = 2
    head: bool = False
    top_k: Size | None = None


class DataSpec(Spec):
    """A data set by name, with its options, components and scaling (fitted on the training part), and share held out."""

    name: str
    options: dict[str, Any] = {}
    components: Size | None = None
    scaling: str = "none"
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @model_validator(mode="after")
    def _exists(self) -> DataSpec:
        try:
            n_features = make_dataset(self.name, **self.options).n_features
        except ConfigError as error:
            raise PydanticCustomError("data", "{message}", {"message": str(error)}) from error
        if self.components is not None and self.components > n_features:
            raise PydanticCustomError(
                "components", "components = {k} of {n} feature(s)", {"k": self.components, "n": n_features}
            )
        if self.scaling not in SCALINGS:
            hint = did_you_mean(self.scaling, SCALINGS)
            raise PydanticCustomError("scaling", "unknown scaling {s}{hint}", {"s": repr(self.scaling), "hint": hint})
        return self


class TrainingSpec(Spec):
    """Adam on cross-entropy."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 50
    batch_size: Size = 32
    lr: Annotated[float, Field(gt=0, le=1e30)] = 0.1
    dtype: Literal["float32", "float64"] = "float32"


class SeedSpec(Spec):
    """How often a study is repeated.

    Data seed d (d = 0 .. data-1) decides points and split, initialisation seed i the first weights and the batch order.
    Each data seed meets ``per_data`` initialisations d, d+1, ... (modulo the number of them), so the two are crossed and
    every one of either is used equally often. ``fixed`` pins the data to what that integer gives, as the authors' seed 42.
    """

    root: Annotated[int, Field(ge=0)] = 0
    data: Size = 30
    per_data: Size = 2
    fixed: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_fixed(self) -> SeedSpec:
        if self.fixed is not None and self.data != 1:
            raise PydanticCustomError(
                "fixed", "fixed = {f} pins the data, so data must be 1, not {d}; raise per_data for more trials",
                {"f": self.fixed, "d": self.data},
            )  # fmt: skip
        if 1 < self.data < self.per_data:
            raise PydanticCustomError(
                "per_data", "per_data = {k} asks for more initialisations than there are, {d} (as many as data)",
                {"k": self.per_data, "d": self.data},
            )  # fmt: skip
        return self

    def repeated(self, seeds: int) -> SeedSpec:
        """The same design with ``seeds`` repetitions: of the data where they vary, of the initialisation elsewhere."""
        field = "per_data" if self.data == 1 else "data"
        changed = {**self.model_dump(), field: seeds}
        if 1 < changed["data"] < changed["per_data"]:
            changed["per_data"] = changed["data"]
        return SeedSpec(**changed)


class ArmSpec(Spec):
    """One of the things compared. With ``noise``, one variant of the quantum router for each strength."""

    name: Name
    label: Label
    model: ModelSpec
    noise: tuple[Probability, ...] | None = None

    @model_validator(mode="after")
    def _noise_needs_circuit(self) -> ArmSpec:
        if self.noise is not None and (not isinstance(self.model.router, QuantumSpec) or not self.noise):
            raise PydanticCustomError(
                "noise", "arm {n}: noise lists strengths for a quantum router; this router is {k}",
                {"n": repr(self.name), "k": repr(self.model.router.kind)},
            )  # fmt: skip
        strengths = self.noise or ()
        if len(set(strengths)) != len(strengths):
            raise PydanticCustomError("noise", "noise lists a strength twice: {p}", {"p": str(list(strengths))})
        router = self.model.router
        if isinstance(router, QuantumSpec):
            if self.noise is not None and router.noise is not None:
                raise PydanticCustomError("noise", "noise stands in the arm and in its router; keep one of them")
            if self.noise is None and router.noise is None and router.placement != "block":
                raise PydanticCustomError("placement", "placement says where noise acts, but there is none; add noise")
        return self


class Study(Spec):
    """A question, asked of several arms under equal conditions.

    The first ``timed`` trials of each arm train alone, so that their wall time is that of one model.
    """

    name: Name
    title: str
    phase: str
    protocol: Literal["published", "heldout"]
    about: str = ""
    data: DataSpec
    seeds: SeedSpec = SeedSpec()
    training: TrainingSpec = TrainingSpec()
    timed: Annotated[int, Field(ge=0, strict=True)] = 0
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1)]
    quick: dict[str, Any] = {}

    @model_validator(mode="after")
    def _distinct_arms(self) -> Study:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise PydanticCustomError("arms", "two arms have the same name: {names}", {"names": ", ".join(names)})
        resampled = make_dataset(self.data.name, **self.data.options).resampled
        if self.protocol == "heldout" and resampled and self.data.test_fraction == 0:
            raise PydanticCustomError(
                "heldout",
                "protocol 'heldout' needs a test part: set data.test_fraction above 0, or protocol 'published'",
            )
        _shortened(self.training, self.quick)
        return self

    def resized(self, seeds: int | None = None, quick: bool = False) -> Study:
        """The same study with another number of seeds and, for ``quick``, the training overrides of its ``[quick]``."""
        changes: dict[str, Any] = {}
        if seeds is not None:
            changes["seeds"] = self.seeds.repeated(seeds)
        if quick and self.quick:
            changes["training"] = _shortened(self.training, self.quick)
        if quick:
            changes["timed"] = min(self.timed, 1)
        return self.model_copy(update=changes)


def _shortened(training: TrainingSpec, quick: dict[str, Any]) -> TrainingSpec:
    """The training of ``--quick``; checked when the study is read, not when it is first asked for."""
    try:
        return TrainingSpec(**{**training.model_dump(), **quick})
    except ValidationError as error:
        problems = "; ".join(_explain(e) for e in error.errors())
        raise PydanticCustomError("quick", "quick: {problems}", {"problems": problems}) from None


def parse_study(values: dict[str, Any], source: str = "study") -> Study:
    """Builds a study from the tables of a TOML file.

    Raises:
        ConfigError: naming ``source``, the place, the value and what was expected.
    """
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {_explain(e)}" for e in error.errors())) from None


def load_study(path: str | Path) -> Study:
    """Reads a study from a TOML file.

    Raises:
        ConfigError: when the file is missing, no TOML, or no valid study.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"There is no study file {path}; run `qmoe presets` for those that ship with qmoe.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from None
    return parse_study(values, path.name)


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "top level"
    given = "" if isinstance(error["input"], (dict, list, tuple)) else f" (got {error['input']!r})"
    return f"{place}: {error['msg']}{given}"
