"""Claims files: what is read, what is refused, and in which words."""

import re
import tomllib
from pathlib import Path

import pytest

from qmoe.claims import CLAIMS, claim_text, load_claims, parse_claims, shipped_claims
from qmoe.claims import spec as claim_spec
from qmoe.errors import ConfigError
from qmoe.studies import load_preset, preset_names
from qmoe.studies.specs.study import Spec

TEXT = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```toml\n(.*?)```", TEXT, re.DOTALL)[1]
SPECS = [
    value
    for value in vars(claim_spec).values()
    if isinstance(value, type) and issubclass(value, Spec) and value.__module__ == claim_spec.__name__
]
#: Arms of the ladder of ablations that claims may name.
LADDER = {
    *("quantum", "linear", "no-entangler", "dephased-encoding", "dephased-layers", "dephased-all", "frozen", "twin"),
    *("embedding-only", "trigonometric", "random-fourier", "quadratic", "relu", "tanh", "silu", "more-experts", "mean"),
    *("permuted", "random-labels", "uniform", "constant", "random", "single-expert", "one-mlp"),
}
#: Controls that claims name and a ladder may lack; the comparison then stays open.
OPTIONAL = {"dephased-x", "dephased-y", "stochastic"}


def values(**changes):
    test = {"kind": "difference", "name": "t", "a": "x", "b": "y", "margin": 0.02}
    test |= changes.pop("test", {})
    return {"id": "X", "statement": "x beats y", "source": "me", "studies": ["s"], "tests": [test]} | changes


def test_the_example_of_the_reference_is_a_claim(tmp_path):
    file = tmp_path / "my-claims.toml"
    file.write_text(EXAMPLE, encoding="utf-8")
    (claim,) = load_claims(file)
    assert claim.id == "my-claim"
    assert claim.tests[0].a.arm == "quantum"
    assert claim.tests[0].b.key == ("no-entangler", None)
    assert claim.min_seeds == 6


@pytest.mark.parametrize("kind", SPECS, ids=lambda kind: kind.__name__)
def test_every_key_of_a_claims_file_is_in_the_reference(kind):
    for key in kind.model_fields:
        assert any(form in TEXT for form in (f"`{key}`", f"{key} =")), key


def test_the_papers_claims_are_the_headline_and_ours_are_not():
    assert [c.id for c in shipped_claims(headline=True)] == [
        "C1", "C2", "C3", "C4a", "C4b", "C5", "C6a", "C6b", "C7",
    ]  # fmt: skip
    assert [c.id for c in shipped_claims(headline=False)] == ["T1", "T2", "T3", "T4"]
    assert [c.id for c in shipped_claims()] == list(CLAIMS)
    for claim in shipped_claims():
        assert claim.if_supported
        assert claim.if_refuted
        assert claim.topic
        assert claim.min_seeds >= 30


def test_shipped_claims_name_arms_that_their_studies_have():
    for claim in shipped_claims():
        for test in claim.tests:
            if test.kind == "measurement":
                continue
            for study in claim.studies_of(test):
                arms = {arm.name for arm in load_preset(study).arms} if study in preset_names() else LADDER
                assert study in preset_names() or study.startswith("ladder-")
                sides = [test.arm] if test.kind == "breakdown" else [test.a.arm]
                sides += [side.arm for side in getattr(test, "rivals", ())] + [
                    b.arm for b in [getattr(test, "b", None)] if b
                ]
                assert set(sides) - OPTIONAL <= arms, (claim.id, test.name)


def test_a_folder_gives_the_claims_of_all_its_files_and_a_file_may_hold_several(tmp_path):
    (tmp_path / "b.toml").write_text(claim_text("C2"), encoding="utf-8")
    (tmp_path / "a.toml").write_text(claim_text("C6b"), encoding="utf-8")
    assert [c.id for c in load_claims(tmp_path)] == ["C6b", "C2"]
    listed = {"claims": [tomllib.loads(claim_text(name)) for name in ("C1", "C5")]}
    assert [c.id for c in parse_claims(listed)] == ["C1", "C5"]


def test_an_arm_may_be_named_with_its_noise():
    (claim,) = parse_claims(values(test={"a": {"arm": "x", "noise": 0.1}, "b": {"arm": "x", "noise": 0}}))
    assert claim.tests[0].a.key == ("x", 0.1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": "me"}, "unknown key 'sources'; did you mean 'source'?"),
        ({"test": {"magin": 1}}, "unknown key 'magin'; did you mean 'margin'?"),
        ({"test": {"a": {"arms": "x"}}}, "unknown key 'arms'; did you mean 'arm'?"),
        ({"test": {"kind": "diference"}}, "'difference'"),
        ({"test": {"direction": "more"}}, "'not_more'"),
        ({"test": {"b": "x"}}, "the same arm"),
        ({"test": {"margin": -0.1}}, "greater than or equal to 0"),
        ({"test": {"direction": "equivalent", "margin": 0}}, "needs a margin above 0"),
        ({"test": {"direction": "equivalent", "at_least": 0.1}}, "at_least goes with"),
        ({"test": {"scale": "ratio"}}, "a factor of at least 1"),
        ({"test": {"scale": "ratio", "margin": 1.1, "at_least": 0.5}}, "1 or more"),
        ({"studies": []}, "names no study"),
        ({"min_seeds": 5}, "greater than or equal to 6"),
        ({"combine": "most"}, "'majority'"),
        ({"tests": []}, "at least 1 item"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(changes, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_claims(values(**changes))


def test_two_claims_of_one_id_and_two_tests_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two claims have the id 'X'"):
        parse_claims({"claims": [values(), values()]})
    with pytest.raises(ConfigError, match="same name"):
        parse_claims(values(tests=values()["tests"] * 2))


def test_breakdowns_have_their_bounds_in_order():
    test = {"kind": "breakdown", "name": "t", "arm": "x", "robust_to": 0.2, "breaks_by": 0.1, "margin": 0.02}
    with pytest.raises(ConfigError, match="above robust_to"):
        parse_claims(values(tests=[test]))
    with pytest.raises(ConfigError, match="margin above 0"):
        parse_claims(values(tests=[test | {"breaks_by": 0.5, "margin": 0}]))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"no claims file .*none\.toml"):
        load_claims(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"has no \.toml file"):
        load_claims(tmp_path)
    (tmp_path / "bad.toml").write_text("id =", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml cannot be read as TOML"):
        load_claims(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'C1'"):
        claim_text("C11")
