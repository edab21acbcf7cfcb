"""What ships was registered as it is, and its root seed comes from the hash."""

import pytest

from qmoe.claims import registered, shipped_claims
from qmoe.claims.registration import digest
from qmoe.studies import load_preset, preset_names


def test_the_hash_is_that_of_the_claims_and_studies_that_ship():
    studies = [load_preset(name) for name in preset_names()]
    assert digest(shipped_claims(), studies) == registered().digest, "run scripts/register.py, then all studies anew"


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_starts_from_the_registered_root_seed(name):
    assert load_preset(name).seeds.root == registered().root_seed == int(registered().digest[:8], 16)


def test_another_claim_or_study_has_another_hash():
    claims, studies = shipped_claims(), [load_preset(name) for name in preset_names()]
    assert digest(claims[1:], studies) != registered().digest
    assert digest(claims, [studies[0].resized(7), *studies[1:]]) != registered().digest
    moved = studies[0].model_copy(update={"seeds": studies[0].seeds.model_copy(update={"root": 1})})
    assert digest(claims, [moved, *studies[1:]]) == registered().digest
