"""A claim as data: what is stated, and which comparisons would bear it out. Read from TOML; unknown keys are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qmoe.claims.kinds.base import MeasuredTest, Seeds, StudyTest
from qmoe.claims.kinds.breakdown import BreakdownTest
from qmoe.claims.kinds.difference import DifferenceTest
from qmoe.claims.kinds.measurement import MeasurementTest
from qmoe.claims.kinds.parameters import ParametersTest
from qmoe.claims.vocabulary import Combine, Family
from qmoe.errors import ConfigError
from qmoe.studies.files import check_tables, read_toml
from qmoe.studies.specs.base import Name, Spec, Words, explain

#: Independent seeds that a claim rests on unless it says otherwise.
HEADLINE_SEEDS = 30

ClaimId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=30)]
#: Every kind of test that a file can ask for; a new one is listed here.
AnyTest = DifferenceTest | ParametersTest | BreakdownTest | MeasurementTest


class Claim(Spec):
    """A statement with the tests that decide it.

    ``if_supported`` and ``if_refuted`` say in plain words what the verdict means; ``headline`` marks the claims that a
    report opens with. Claims of one ``family`` are corrected for multiple comparisons together, and no others with them.
    With ``per_study`` each study has a verdict of its own beside that of the claim.
    """

    id: ClaimId
    statement: Words
    source: Words
    topic: Words = ""
    family: Family = "own"
    headline: bool = False
    studies: tuple[Name, ...] = ()
    per_study: bool = False
    combine: Combine = "all"
    min_seeds: Seeds = HEADLINE_SEEDS
    tests: Annotated[tuple[Annotated[AnyTest, Field(discriminator="kind")], ...], Field(min_length=1)]
    if_supported: Words = ""
    if_refuted: Words = ""

    @model_validator(mode="after")
    def _complete(self) -> Claim:
        names = [test.name for test in self.tests]
        if len(set(names)) != len(names):
            raise PydanticCustomError("tests", "two tests have the same name: {names}", {"names": ", ".join(names)})
        for test in self.tests:
            if isinstance(test, StudyTest) and not (test.studies or self.studies):
                raise PydanticCustomError(
                    "studies",
                    "test {n} names no study; set studies in the test or in the claim",
                    {"n": repr(test.name)},
                )
        if self.per_study and any(not isinstance(test, StudyTest) or test.studies for test in self.tests):
            raise PydanticCustomError(
                "per_study", "per_study = true needs tests on the studies of the claim; drop studies from the tests"
            )
        return self

    def studies_of(self, test: StudyTest) -> tuple[str, ...]:
        """The studies that a test is done on: its own, else the claim's. Each makes a test of its own."""
        return test.studies or self.studies

    @property
    def named_studies(self) -> frozenset[str]:
        """The studies that its tests are done on."""
        return frozenset(n for test in self.tests if isinstance(test, StudyTest) for n in self.studies_of(test))

    @property
    def quantities(self) -> frozenset[str]:
        """What its tests compare that is measured beside the trials."""
        return frozenset(test.quantity for test in self.tests if isinstance(test, MeasuredTest))


class _ClaimFile(Spec):
    """A file with several claims."""

    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]


def parse_claims(values: dict[str, Any], source: str = "claims") -> list[Claim]:
    """Builds claims from the tables of a TOML file: one claim, or a list ``[[claims]]``.

    Raises:
        ConfigError: naming ``source``, the place, the value and what was expected.
    """
    check_tables(values, source)
    try:
        found = list(_ClaimFile.model_validate(values).claims) if "claims" in values else [Claim.model_validate(values)]
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {explain(e)}" for e in error.errors())) from None
    _distinct(found, source)
    return found


def load_claims(path: str | Path) -> list[Claim]:
    """Reads claims from a TOML file, or from all TOML files of a folder in the order of their names.

    Raises:
        ConfigError: when there is no such file, it is not TOML, or holds no valid claims; for a folder without claims; for
            two claims of one id.

    Example:
        >>> from qmoe.claims import CLAIMS, claim_text, load_claims
        >>> from pathlib import Path
        >>> _ = Path("claim.toml").write_text(claim_text("C2"))
        >>> [claim.id for claim in load_claims("claim.toml")], "C2" in CLAIMS
        (['C2'], True)
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
