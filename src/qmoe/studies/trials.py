"""From a study to trials: the smallest units of work, each with a hash of all that decides its numbers."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pydantic import ValidationError

from qmoe.engines.quantum_spec import QuantumSpec
from qmoe.errors import ConfigError
from qmoe.seeding import child
from qmoe.studies.specs.base import explain
from qmoe.studies.specs.study import ArmSpec, DataSpec, ModelSpec, Study, TrainingSpec

#: Part of every hash; raised whenever the same spec would train to other numbers than before.
NUMERICS = 7
#: Newer ones that are looked for in stores of later versions.
_NEWER = 50

_DATA, _SPLIT, _INIT, _ORDER, _LABELS, _TEST, _BASELINE, _SHOTS = range(8)  # streams of the root seed; never renumber


@dataclass(frozen=True)
class Draw:
    """One draw of a data set, hashable."""

    name: str
    options: str
    components: int | None
    scaling: str
    test_fraction: float
    root: int
    data_seed: int
    fixed: int | None
    labels: str = "true"
    test_samples: int | None = None
    standardise: bool = False

    @property
    def sample_seed(self) -> int | np.random.SeedSequence:
        """Seed of the points."""
        return child(self.root, _DATA, self.data_seed) if self.fixed is None else self.fixed

    @property
    def split_seed(self) -> int | np.random.SeedSequence:
        """Seed of the split."""
        return child(self.root, _SPLIT, self.data_seed) if self.fixed is None else self.fixed

    @property
    def test_seed(self) -> np.random.SeedSequence:
        """Seed of the points of a test part that is sampled anew."""
        return child(self.root, _TEST, self.data_seed)

    @property
    def baseline_seed(self) -> np.random.SeedSequence:
        """Seed of the baselines that are fitted beside the trials."""
        return child(self.root, _BASELINE, self.data_seed)

    @property
    def labels_seed(self) -> np.random.SeedSequence:
        """Seed of the permutations of random labels."""
        return child(self.root, _LABELS, self.data_seed)


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """All that decides the numbers of one trial, and nothing else.

    Studies have a million of them: one takes 200 bytes, since all of an arm share their parts.

    Attributes:
        data: the data set.
        model: the mixture.
        training: how it is trained.
        root: seed that all others come from.
        data_seed: number of the draw of the data.
        init_seed: number of the initialisation of one draw.
        fixed: seed of the points and of their split in place of those from ``root``.
        hash: 16 hexadecimal digits of the SHA-256 of the JSON, without the place of files whose content it names.
    """

    data: DataSpec
    model: ModelSpec
    training: TrainingSpec
    root: int
    data_seed: int
    init_seed: int
    fixed: int | None = None
    hash: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", self.hash_by(NUMERICS))

    def hash_by(self, numerics: int) -> str:
        """The hash that a version of qmoe with these `NUMERICS` gives it."""
        return hashlib.sha256(f"{numerics}:{self._joined(self.data.identity)}".encode()).hexdigest()[:16]

    def numerics_of(self, found: str | None) -> int | None:
        """The `NUMERICS` by which it has the hash ``found``; None where there are none."""
        return next((n for n in range(NUMERICS + _NEWER) if self.hash_by(n) == found), None)

    @property
    def canonical(self) -> str:
        """As of every spec: JSON with sorted keys and without defaults."""
        return self._joined(self.data.canonical)

    @property
    def frame(self) -> str:
        """The JSON without the two seeds, which is the same for all trials of an arm."""
        fixed = "" if self.fixed is None else f'"fixed":{self.fixed},'
        return (
            f'{{"data":{self.data.canonical},{fixed}"model":{self.model.canonical},"root":{self.root},'
            f'"training":{self.training.canonical}}}'
        )

    def _joined(self, data: str) -> str:
        """The JSON with ``data`` as that of the data."""
        fixed = "" if self.fixed is None else f'"fixed":{self.fixed},'
        return (
            f'{{"data":{data},"data_seed":{self.data_seed},{fixed}"init_seed":{self.init_seed},'
            f'"model":{self.model.canonical},"root":{self.root},"training":{self.training.canonical}}}'
        )

    @classmethod
    def from_json(cls, text: str) -> TrialSpec:
        """The trial with this JSON.

        Raises:
            ConfigError: when it is not that of a trial.
        """
        try:
            values = json.loads(text)
            return cls(
                DataSpec.model_validate(values.pop("data")),
                ModelSpec.model_validate(values.pop("model")),
                TrainingSpec.model_validate(values.pop("training")),
                **values,
            )
        except ValidationError as error:
            raise ConfigError("\n".join(explain(e) for e in error.errors())) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"This is not the JSON of a trial: {error!r}.") from None

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def shape_key(self) -> str:
        """Equal for trials that can train in one stack: all but seeds and noise strength."""
        return f"{self.data.identity} {self.model.shape_key} {self.training.canonical}"

    def at(self, data_seed: int, init_seed: int) -> TrialSpec:
        """The same at other seeds."""
        return TrialSpec(self.data, self.model, self.training, self.root, data_seed, init_seed, self.fixed)

    @property
    def draw(self) -> Draw:
        """The part that decides the data: equal for every arm of a study at one data seed, but for labels of its own."""
        data = self.data
        options = json.dumps(data.options, sort_keys=True)
        seeds = self.root, self.data_seed, self.fixed
        part = data.test_fraction, *seeds, data.labels, data.test_samples, data.standardise
        return Draw(data.name, options, data.components, data.scaling, *part)

    @property
    def router_seed(self) -> np.random.SeedSequence:
        """Seed of the router's first weights."""
        return self._first_weights(0)

    @property
    def experts_seed(self) -> np.random.SeedSequence:
        """Seed of the experts' first weights, so that they do not depend on how much the router draws."""
        return self._first_weights(1)

    @property
    def head_seed(self) -> np.random.SeedSequence:
        """Seed of the head's first weights."""
        return self._first_weights(2)

    @property
    def order_seed(self) -> np.random.SeedSequence:
        """Seed of the batch order."""
        return child(self.root, _ORDER, self.data_seed, self.init_seed)

    def _first_weights(self, part: int) -> np.random.SeedSequence:
        return child(self.root, _INIT, self.data_seed, self.init_seed, part)


def shots_seed(root: int, what: int) -> np.random.SeedSequence:
    """Seed of the shots of one measurement on trained models, by a number that names it (of 64 bits)."""
    return child(root, _SHOTS, *divmod(what, 2**32))


@dataclass(frozen=True, slots=True)
class Member:
    """A trial in its place in a study.

    Attributes:
        arm: name of the arm.
        strength: depolarizing probability; None where the arm lists none.
        trial: what to run.
    """

    arm: str
    strength: float | None
    trial: TrialSpec


def make_trials(study: Study) -> list[Member]:
    """All trials of a study: learning rates times arms times noise strengths times seeds, in that order.

    Raises:
        ConfigError: when a file that the study is about has changed since it was read.

    Example:
        >>> from qmoe.studies import load_preset, make_trials
        >>> members = make_trials(load_preset("phase2-heldout").resized(seeds=2))
        >>> members[0].arm, len(members[0].trial.hash)
        ('linear', 16)
    """
    return list(_members(study.canonical))


def from_canonical(canonical: str) -> Study:
    """The study with this JSON.

    Raises:
        ConfigError: when a file that it is about has changed since it was read.
    """
    try:
        return Study.model_validate_json(canonical)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(e) for e in error.errors())) from None


@functools.lru_cache(maxsize=256)
def _members(canonical: str) -> tuple[Member, ...]:
    """The trials of the study with this JSON, remembered: who plans, measures and reports asks for the same ones."""
    study = from_canonical(canonical)
    seeds = list(itertools.product(range(study.seeds.data), range(study.seeds.per_data)))
    return tuple(
        Member(first.arm, first.strength, first.trial.at(*pair)) for first in first_members(study) for pair in seeds
    )


def first_members(study: Study) -> Iterator[Member]:
    """The trials of both seeds 0, in the order of `make_trials`: learning rates times arms times noise strengths."""
    # A data set that comes with its own split is the same for every data seed, so its trials are too.
    fixed = study.seeds.fixed if study.data.kind.resampled else 0
    for lr, arm in itertools.product(study.learning_rates, study.arms):
        training = study.training.model_copy(update={"lr": lr})
        data = study.data if arm.labels is None else study.data.model_copy(update={"labels": arm.labels})
        for strength in arm.noise or (None,):
            trial = TrialSpec(
                data=data,
                model=_with_noise(arm, strength),
                training=training,
                root=study.seeds.root,
                data_seed=0,
                init_seed=0,
                fixed=fixed,
            )
            yield Member(arm.name, strength, trial)


def _with_noise(arm: ArmSpec, strength: float | None) -> ModelSpec:
    if strength is None:
        return arm.model
    assert isinstance(arm.model.router, QuantumSpec)
    return arm.model.model_copy(update={"router": arm.model.router.model_copy(update={"noise": strength})})
