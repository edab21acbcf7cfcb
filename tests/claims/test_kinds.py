"""A kind of test is a class: what it does not say is as for all kinds."""

from typing import Literal

import numpy as np
import pytest
from pydantic import TypeAdapter

from qmoe.claims import ArmRuns, StudyRuns
from qmoe.claims.deciding.assay import Assays
from qmoe.claims.deciding.evidence import Contrast
from qmoe.claims.kinds.base import Side, StudyTest
from qmoe.claims.questions import Posed, Poser
from qmoe.claims.spec import AnyTest


class BestOf(StudyTest):
    """No rival is above a."""

    kind: Literal["best_of"]
    a: Side
    rivals: tuple[Side, ...]

    def pose(self, poser: Poser, study: StudyRuns, least: int) -> Posed:
        """A question for each rival."""
        asked = Contrast("not_less", self.margin)
        return Posed(self, study.name, [poser.ask(self, study, self.a.key, r.key, asked, least) for r in self.rivals])


def study(**means: float) -> StudyRuns:
    rows = np.arange(30)
    noise = {name: np.random.default_rng(i).normal(0, 0.01, 30) for i, name in enumerate(means)}
    return StudyRuns(
        "s", {(n, None): ArmRuns(n, rows, rows * 0, {"test_accuracy": m + noise[n]}, name=n) for n, m in means.items()}
    )


@pytest.mark.parametrize(("c", "holds", "fails"), [(0.8, True, False), (0.95, False, True)])
def test_a_new_kind_is_supported_where_all_its_questions_are_and_refuted_where_one_is(c, holds, fails):
    test = BestOf(kind="best_of", name="t", margin=0.02, a="a", rivals=("b", "c"))
    posed = Poser(Assays({})).one(test, study(a=0.9, b=0.8, c=c), 6)
    support, refute = test.p_values(posed)
    assert (support < 0.05) == holds
    assert (refute < 0.05) == fails
    assert test.settle(posed, ["supported", "refuted"], None, 0.05) == "refuted"
    assert test.breaks_at(posed, ["supported", "refuted"]) is None


def test_files_name_every_kind_that_is_listed():
    names = {kind.model_fields["kind"].annotation.__args__[0] for kind in AnyTest.__args__}
    assert names == {"difference", "parameters", "breakdown", "measurement"}
    made = TypeAdapter(AnyTest).validate_python({"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.1})
    assert (type(made).__name__, made.kind, made.name, made.margin) == ("DifferenceTest", "difference", "t", 0.1)


def test_a_claim_knows_its_studies_and_quantities():
    from qmoe.claims import shipped_claims

    claims = {claim.id: claim for claim in shipped_claims()}
    assert claims["C5"].named_studies == {"phase3b-heldout"}
    assert claims["C4a"].quantities == {"effective dimension on ladder-moons"}
    assert claims["C4a"].named_studies == frozenset()
