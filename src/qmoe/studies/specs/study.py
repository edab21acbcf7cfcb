"""A study as data: what is compared, on which data, how often. Read from TOML; unknown keys are refused."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.data import DATASETS, SCALINGS, Dataset, make_dataset
from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.errors import ConfigError, did_you_mean
from qmoe.studies.specs.base import Label, Name, Probability, Size, Spec, Words, explain
from qmoe.studies.specs.multiverse import MultiverseSpec
from qmoe.studies.specs.noise_protocols import NoiseSpec
from qmoe.studies.specs.part_models import ExpertsModel, RouterModel
from qmoe.studies.specs.training import SeedSpec, TrainingSpec

#: How the title of a ladder begins; what follows says what it is climbed on.
LADDER_TITLE = "What carries the effect: "

Labels = Literal["true", "random"]
#: Classifiers of `qmoe.studies.baselines`.
Baseline = Literal["logistic", "rbf-svm", "random-forest", "mlp", "span-logistic", "bayes", "searched-svm"]


class ModelSpec(Spec):
    """A mixture: router, experts, and a linear head onto the classes where asked for.

    ``routing`` is a control: ``"mean"`` gives every sample the mean of a batch's routing weights, ``"permuted"`` those of
    another sample. ``top_k`` and ``norm_topk_prob`` are as in `qmoe.MixtureOfExperts`.
    """

    router: RouterModel
    routing: Literal["input", "mean", "permuted"] = "input"
    experts: ExpertsModel
    n_experts: Size = 2
    head: bool = False
    top_k: Size | None = None
    norm_topk_prob: Annotated[bool, Field(strict=True)] | None = None

    @model_validator(mode="after")
    def _leaves_something_to_train(self) -> Self:
        if self.norm_topk_prob and self.top_k == 1:
            raise PydanticCustomError(
                "norm_topk_prob",
                "norm_topk_prob = true with top_k = 1 makes every weight 1, so the router never trains; drop it",
            )
        return self

    @cached_property
    def shape_key(self) -> str:
        """Equal for models that can train in one stack, which may differ in the strength of their noise."""
        noisy = {
            name: part.model_copy(update={"noise": 1.0})
            for name, part in (("router", self.router), ("experts", self.experts))
            if isinstance(part, QuantumSpec) and part.noise is not None
        }
        return self.model_copy(update=noisy).canonical


class DataSpec(Spec):
    """A data set by name, with its options, components and scaling (fitted on the training part), and what is held out.

    ``standardise`` says whether components are of standardised features; `parse_study` sets it for tables, whose columns are
    in units of their own.

    What is held out is a share of its rows, or ``test_samples`` fresh ones of the same family, and then all its rows train.

    Labels that are ``"random"`` are permuted within each part, so that points, split and class sizes stay: a control that
    must come out at chance on held-out data. For files of the user's own the options name the content as well: ``digest`` is
    filled in where it is left out.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    components: Size | None = None
    standardise: Annotated[bool, Field(strict=True)] = False
    scaling: str = "none"
    test_fraction: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.2
    test_samples: Size | None = None
    labels: Labels = "true"

    @model_validator(mode="after")
    def _exists(self) -> DataSpec:
        try:
            dataset = make_dataset(self.name, **self.options)
            n_features = dataset.n_features
            # Frozen for everyone else: what the spec says is only complete with this.
            self.__dict__["options"] = {**self.options, **dataset.pinned()}
            if self.test_samples is not None:
                dataset.resized(self.test_samples)
        except ConfigError as error:
            raise PydanticCustomError("data", "{message}", {"message": str(error)}) from error
        if self.test_samples is not None:
            if "test_fraction" in self.model_fields_set and self.test_fraction:
                raise PydanticCustomError(
                    "test_samples",
                    "test_samples = {n} are sampled anew, and all rows train; drop test_fraction = {f}",
                    {"n": self.test_samples, "f": self.test_fraction},
                )
            self.__dict__["test_fraction"] = 0.0
        if self.components is not None and self.components > n_features:
            raise PydanticCustomError(
                "components", "components = {k} of {n} feature(s)", {"k": self.components, "n": n_features}
            )
        if self.components is None and self.standardise:
            raise PydanticCustomError(
                "standardise",
                "standardise is about components, and none are asked for; scaling = 'standard' standardises the features",
            )
        if self.scaling not in SCALINGS:
            hint = did_you_mean(self.scaling, SCALINGS)
            raise PydanticCustomError("scaling", "unknown scaling {s}{hint}", {"s": repr(self.scaling), "hint": hint})
        return self

    @property
    def holds_out(self) -> bool:
        """Whether there is a test part."""
        return not self.kind.resampled or self.test_fraction > 0 or self.test_samples is not None

    @property
    def kind(self) -> type[Dataset]:
        """The kind of data set; what holds for all of its kind needs no file."""
        return DATASETS[self.name]

    @cached_property
    def identity(self) -> str:
        """The canonical JSON without the place of files whose content it names: equal rows have equal results anywhere."""
        place = self.kind.located
        if place not in self.options or "digest" not in self.options:
            return self.canonical
        options = {name: value for name, value in self.options.items() if name != place}
        return self.model_copy(update={"options": options}).canonical


class ArmSpec(Spec):
    """One of the things compared. With ``noise``, the quantum router once at each of these strengths.

    ``labels`` takes the place of the study's own for this arm.
    """

    name: Name
    label: Label
    model: ModelSpec
    noise: Annotated[tuple[Probability, ...], Field(max_length=1_000)] | None = None
    labels: Labels | None = None

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

    The first ``timed`` trials of each arm train alone, so that their wall time is that of one model. ``ladder`` asks
    `parse_study` to add the arms of `qmoe.studies.ladder`, all of them or those that are named. Every arm is trained at
    ``training.lr`` times each of ``lr_factors`` as well, so that what is found can be held against the learning rate.
    ``multiverse`` lists other ways to analyse it, see `qmoe.studies.specifications`. ``noise`` holds trained models against
    noise by several protocols, see `qmoe.studies.noise_measures`. ``effective_dimension`` names arms of
    whose routers the effective dimension is measured on every draw of the data, ``boundaries`` arms of whose trained models
    the decision boundaries are. ``baselines`` names classifiers to fit beside the arms, as a ladder has them without being
    asked (`qmoe.studies.baselines`). The store keeps ``"all"`` of a trial, or its final ``"figures"``, without the course
    of its training and its weights (but for arms of ``boundaries``), in less room. ``command`` is what made the study, if no
    file did, and repeats it.
    """

    name: Name
    title: Words
    phase: Words
    protocol: Literal["published", "heldout"]
    about: Words = ""
    command: Words = ""
    data: DataSpec
    seeds: SeedSpec = SeedSpec()
    training: TrainingSpec = TrainingSpec()
    lr_factors: Annotated[tuple[Annotated[float, Field(gt=0, le=1e6, strict=True)], ...], Field(max_length=100)] = ()
    multiverse: MultiverseSpec | None = None
    noise: NoiseSpec | None = None
    timed: Annotated[int, Field(ge=0, strict=True)] = 0
    effective_dimension: tuple[str, ...] = ()
    boundaries: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    keep: Literal["all", "figures"] = "all"
    arms: Annotated[tuple[ArmSpec, ...], Field(min_length=1, max_length=1_000)]
    ladder: bool | tuple[str, ...] = False
    quick: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _distinct_arms(self) -> Study:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise PydanticCustomError("arms", "two arms have the same name: {names}", {"names": ", ".join(names)})
        if 1.0 in self.lr_factors or len(set(self.lr_factors)) != len(self.lr_factors):
            raise PydanticCustomError(
                "lr_factors",
                "lr_factors = {f}: each once, and 1 is training.lr itself",
                {"f": str(list(self.lr_factors))},
            )
        if self.lr_factors and self.training.optimiser != "adam":
            raise PydanticCustomError(
                "lr_factors",
                'lr_factors are multiples of a learning rate, which optimiser = "lbfgs" does not have; drop them',
            )
        if self.multiverse is not None:
            self.multiverse.check(self.training.optimiser, self.lr_factors)
            if self.training.balance_loss and "lbfgs-best" in self.multiverse.optimiser:
                raise PydanticCustomError(
                    "multiverse", '"lbfgs-best" minimises no balance_loss; drop it, or training.balance_loss'
                )
        if self.noise is not None:
            self._check_noise(self.noise)
        if self.protocol == "heldout" and not self.data.holds_out:
            raise PydanticCustomError(
                "heldout",
                "protocol 'heldout' needs a test part: set data.test_fraction above 0, data.test_samples, or protocol "
                "'published'",
            )
        _shortened(self.training, self.quick)
        return self

    def _check_noise(self, noise: NoiseSpec) -> None:
        noise.check(self.arms)
        if not self.data.holds_out:
            raise PydanticCustomError(
                "noise",
                "[noise] measures on held-out data, and all rows train; set data.test_fraction or data.test_samples",
            )
        if self.multiverse is not None:
            raise PydanticCustomError(
                "noise", "[noise] and [multiverse] both list specifications; give each a study of its own"
            )

    @property
    def sizes(self) -> tuple[int, int]:
        """Features, as they are before any are left out, and classes of the data."""
        dataset = make_dataset(self.data.name, **self.data.options)
        return dataset.n_features, dataset.n_classes

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rate of the study, then the others that every arm is trained with."""
        return (self.training.lr, *(self.training.lr * factor for factor in self.lr_factors))

    @property
    def short_title(self) -> str:
        """The title where there is little room: of a ladder what it is climbed on, of other studies the whole."""
        return self.title.removeprefix(LADDER_TITLE)

    @property
    def experiment(self) -> str:
        """The name without the protocol, equal for the two protocols of one experiment."""
        return self.name.removesuffix(f"-{self.protocol}")

    def resized(self, seeds: int | None = None, quick: bool = False) -> Study:
        """The same study with another number of seeds and, for ``quick``, the training overrides of its ``[quick]``."""
        changes: dict[str, Any] = {}
        if seeds is not None:
            changes["seeds"] = self.seeds.repeated(seeds)
        if quick and self.quick:
            changes["training"] = _shortened(self.training, self.quick)
        if quick:
            changes |= {"timed": min(self.timed, 1), "lr_factors": ()}
            changes["multiverse"] = None if self.multiverse is None else self.multiverse.shortened()
        return self.model_copy(update=changes)


def _shortened(training: TrainingSpec, quick: dict[str, Any]) -> TrainingSpec:
    """The training of ``--quick``; checked when the study is read, not when it is first asked for."""
    try:
        return TrainingSpec(**{**training.model_dump(), **quick})
    except ValidationError as error:
        problems = "; ".join(explain(e) for e in error.errors())
        raise PydanticCustomError("quick", "quick: {problems}", {"problems": problems}) from None
