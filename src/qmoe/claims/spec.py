"""A claim as data: what is stated, and which comparisons would bear it out. Read from TOML; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.claims.runs import ArmKey
from qmoe.errors import ConfigError
from qmoe.statistics.bootstrap import MIN_CLUSTERS
from qmoe.studies.files import read_toml
from qmoe.studies.specs.base import explain
from qmoe.studies.specs.study import Name, Probability, Spec

#: Independent seeds that a claim rests on unless it says otherwise.
HEADLINE_SEEDS = 30

ClaimId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=30)]
Seeds = Annotated[int, Field(ge=MIN_CLUSTERS, strict=True)]
Margin = Annotated[float, Field(ge=0)]
Direction = Literal["greater", "less", "equivalent", "not_less", "not_more"]
Scale = Literal["difference", "ratio"]
Combine = Literal["all", "any", "majority"]
Estimand = Literal["mean", "success", "best"]
Family = Literal["paper", "qmoe", "own"]

#: Initialisations below which the best of them says little about what an arm can do.
STARTS = 8


class Side(Spec):
    """An arm of a study, at one noise strength where the arm lists several; its name alone will do."""

    arm: Name
    noise: Probability | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        return {"arm": values} if isinstance(values, str) else values

    @property
    def key(self) -> ArmKey:
        """How results know the arm."""
        return ArmKey(self.arm, self.noise)


class _Test(Spec):
    """What all tests say."""

    name: Name
    margin: Margin
    min_seeds: Seeds | None = None


class _StudyTest(_Test):
    """A test on results of studies.

    ``estimand`` says what of the runs on one draw of the data is compared: their mean, the share of them at or above
    ``success``, or the one with the least training loss.
    """

    studies: tuple[Name, ...] = ()
    metric: str = "test_accuracy"
    estimand: Estimand = "mean"
    success: float | None = None
    starts: Annotated[int, Field(ge=1, strict=True)] = STARTS

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Self:
        if self.estimand == "success" and self.success is None:
            raise PydanticCustomError(
                "success", "estimand 'success' needs success, the threshold that a run must reach"
            )
        return self


class _Contrast(_Test):
    """How two sides are compared."""

    direction: Direction = "greater"
    scale: Scale = "difference"
    at_least: float | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        ratio = self.scale == "ratio"
        least = 1.0 if ratio else 0.0
        if self.margin < least:
            raise PydanticCustomError(
                "margin", "a margin on the ratio scale is a factor of at least 1, such as 1.1 for ten per cent"
            )
        if self.direction not in ("greater", "less"):
            if self.at_least is not None:
                raise PydanticCustomError("at_least", "at_least goes with the directions 'greater' and 'less' alone")
            if self.margin <= least:
                raise PydanticCustomError(
                    "margin", "direction {d} needs a margin above {m}: the largest difference that does not matter",
                    {"d": repr(self.direction), "m": f"{least:g}"},
                )  # fmt: skip
        elif self.at_least is not None and self.at_least < least:
            raise PydanticCustomError("at_least", "at_least must be {m} or more", {"m": f"{least:g}"})
        return self


class DifferenceTest(_StudyTest, _Contrast):
    """Arm a against arm b, paired by seeds."""

    kind: Literal["difference"]
    a: Side
    b: Side

    @model_validator(mode="after")
    def _two(self) -> DifferenceTest:
        if self.a == self.b:
            raise PydanticCustomError("sides", "a and b are the same arm, {a}", {"a": repr(self.a.arm)})
        return self


class ParametersTest(_StudyTest):
    """No rival of fewer than ``factor`` times a's parameters does as well as a."""

    kind: Literal["parameters"]
    a: Side
    rivals: Annotated[tuple[Side, ...], Field(min_length=1)]
    factor: Annotated[float, Field(ge=1)] = 1.0
    size: str = "router_parameters"


class BreakdownTest(_StudyTest):
    """The arm without noise against itself with noise: no worse up to ``robust_to``, worse at ``breaks_by``."""

    kind: Literal["breakdown"]
    arm: Name
    robust_to: Annotated[float, Field(gt=0, le=1)]
    breaks_by: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _in_order(self) -> BreakdownTest:
        if self.breaks_by <= self.robust_to:
            raise PydanticCustomError("breaks_by", "breaks_by must be above robust_to")
        if self.margin <= 0:
            raise PydanticCustomError(
                "margin", "a breakdown needs a margin above 0: the largest loss that does not matter"
            )
        return self


class MeasurementTest(_Contrast):
    """Two measured quantities that are no metric of a trial, such as effective dimensions; b may be a fixed number."""

    kind: Literal["measurement"]
    quantity: str
    a: str
    b: str | float


ClaimTest = Annotated[DifferenceTest | ParametersTest | BreakdownTest | MeasurementTest, Field(discriminator="kind")]


class Claim(Spec):
    """A statement with the tests that decide it.

    ``if_supported`` and ``if_refuted`` say in plain words what the verdict means; ``headline`` marks the claims that a
    report opens with. Claims of one ``family`` are corrected for multiple comparisons together, and no others with them.
    With ``per_study`` each study has a verdict of its own beside that of the claim.
    """

    id: ClaimId
    statement: str
    source: str
    topic: str = ""
    family: Family = "own"
    headline: bool = False
    studies: tuple[Name, ...] = ()
    per_study: bool = False
    combine: Combine = "all"
    min_seeds: Seeds = HEADLINE_SEEDS
    tests: Annotated[tuple[ClaimTest, ...], Field(min_length=1)]
    if_supported: str = ""
    if_refuted: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        names = [test.name for test in self.tests]
        if len(set(names)) != len(names):
            raise PydanticCustomError("tests", "two tests have the same name: {names}", {"names": ", ".join(names)})
        for test in self.tests:
            if not isinstance(test, MeasurementTest) and not (test.studies or self.studies):
                raise PydanticCustomError(
                    "studies",
                    "test {n} names no study; set studies in the test or in the claim",
                    {"n": repr(test.name)},
                )
        if self.per_study and any(isinstance(test, MeasurementTest) or test.studies for test in self.tests):
            raise PydanticCustomError(
                "per_study", "per_study = true needs tests on the studies of the claim; drop studies from the tests"
            )
        return self

    def studies_of(self, test: DifferenceTest | ParametersTest | BreakdownTest) -> tuple[str, ...]:
        """The studies that a test is done on: its own, else the claim's. Each makes a test of its own."""
        return test.studies or self.studies


class _ClaimFile(Spec):
    """A file with several claims."""

    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]


def parse_claims(values: dict[str, Any], source: str = "claims") -> list[Claim]:
    """Builds claims from the tables of a TOML file: one claim, or a list ``[[claims]]``.

    Raises:
        ConfigError: naming ``source``, the place, the value and what was expected.
    """
    try:
        found = list(_ClaimFile.model_validate(values).claims) if "claims" in values else [Claim.model_validate(values)]
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {explain(e)}" for e in error.errors())) from None
    _distinct(found, source)
    return found


def load_claims(path: str | Path) -> list[Claim]:
    """Reads claims from a TOML file, or from all TOML files of a folder in the order of their names.

    Raises:
        ConfigError: when there is no such file, it is no TOML, or holds no valid claims; for a folder without claims; for
            two claims of one id.
    """
    path = Path(path)
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"The folder {path} has no .toml file; docs/claims.md shows what one looks like.")
    found: list[Claim] = []
    for file in files:
        try:
            values = read_toml(file)
        except FileNotFoundError:
            raise ConfigError(f"There is no claims file {file}; docs/claims.md shows what one looks like.") from None
        found += parse_claims(values, file.name)
    _distinct(found, str(path))
    return found


def _distinct(claims: Sequence[Claim], source: str) -> None:
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ConfigError(f"{source}: two claims have the id {claim.id!r}; give each one of its own.")
        seen.add(claim.id)
