"""Frozen questions: the hash, the seed it gives, and what has changed since."""

import datetime
import json

import pytest

from qmoe.claims import Registration, register, root_seed, shipped_claims, verify
from qmoe.claims.registration import digest, older_runs, seeded
from qmoe.errors import ConfigError
from qmoe.studies import Store, load_preset, run_studies

CLAIMS = [c for c in shipped_claims() if c.id in ("C2", "C5")]
STUDIES = [load_preset("phase2-heldout"), load_preset("phase3b-heldout")]


@pytest.fixture
def made():
    return register(CLAIMS, STUDIES, "1.0", "2030-01-01T00:00:00+00:00")


def test_the_hash_is_of_what_is_asked_in_any_order_and_gives_the_seed(made, tmp_path):
    assert made.digest == digest(CLAIMS[::-1], STUDIES[::-1])
    assert len(made.digest) == 64
    assert made.root_seed == root_seed(made.digest) == int(made.digest[:8], 16)
    run = [seeded(study, made) for study in STUDIES]
    assert {study.seeds.root for study in run} == {made.root_seed}
    assert digest(CLAIMS, run) == made.digest
    assert verify(made, CLAIMS, run) == []
    made.write(tmp_path / "new" / "r.json")
    assert Registration.read(tmp_path / "new" / "r.json") == made


def test_what_has_changed_is_named(made):
    run = [seeded(study, made) for study in STUDIES]
    test = CLAIMS[0].tests[0].model_copy(update={"margin": 0.01})
    changed = [CLAIMS[0].model_copy(update={"tests": (test,)}), *CLAIMS[2:]]
    fewer = run[0].model_copy(update={"seeds": run[0].seeds.model_copy(update={"data": 12})})
    found = {(d.kind, d.name, d.what, d.places) for d in verify(made, changed, [fewer, load_preset("ladder-moons")])}
    assert found == {
        ("claim", "C2", "changed", ("tests.0.margin",)),
        ("claim", "C5", "missing", ()),
        ("study", "phase2-heldout", "changed", ("seeds.data",)),
        ("study", "phase3b-heldout", "missing", ()),
        ("study", "ladder-moons", "added", ()),
    }
    (seed,) = verify(made, CLAIMS, [STUDIES[0], run[1]])
    assert seed.words == "The study phase2-heldout has another root seed than the registered one."


def test_a_file_that_was_changed_is_refused(made, tmp_path):
    path = tmp_path / "r.json"
    made.write(path)
    values = json.loads(path.read_text())
    values["claims"]["C2"]["tests"][0]["margin"] = 0.5
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="changed after it was made"):
        Registration.read(path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="qmoe register"):
        Registration.read(path)


def test_nothing_and_twice_the_same_are_refused():
    with pytest.raises(ConfigError, match="at least one of each"):
        register([], STUDIES, "1.0")
    with pytest.raises(ConfigError, match="Two studies are called phase2-heldout"):
        register(CLAIMS, [STUDIES[0], STUDIES[0]], "1.0")


def test_runs_older_than_the_registration_are_counted(tiny, tmp_path):
    with Store(tmp_path / "s.sqlite") as store:
        run_studies([tiny], store)
        results = store.load(tiny.name)
    assert older_runs("2999-01-01T00:00:00+00:00", [results]) == len(results.records) > 0
    assert older_runs("2000-01-01T00:00:00+00:00", [results]) == 0
    # The same moment, told in another time zone.
    ended = max(datetime.datetime.fromisoformat(r.execution.finished_at) for r in results.records.values())
    east = ended.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
    assert older_runs(east.isoformat(), [results]) < len(results.records)
