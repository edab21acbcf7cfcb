"""The trial of the judge, on tiny sizes, and its committed record."""

from pathlib import Path

import numpy as np
import pytest
import torch
from calibration.pools import (
    MaskedTwin,
    Teacher,
    moons,
    products,
    quantum_router,
    same_router,
    train_pool,
)
from calibration.questions import DEPENDS, EQUIVALENT, FALSE, FOUND, questions
from calibration.synthetic import bimodal, ceiling, failing, lossy, shifted, swapped, tied
from calibration.trying import SEEDS, TwoArms, as_study, from_pool, from_pools

from calibration import Limit, Question, Size, answers_of, ask, load_record, table
from calibration import __main__ as command
from qmoe.claims import shipped_claims
from qmoe.routers import QuantumRouter
from qmoe.statistics.conventions import MARGIN
from qmoe.testing import RouterConformance

PAGE = Path(__file__).parents[2] / "docs" / "claims.md"
TINY = Size(data=2, inits=3, samples=60, epochs=2)


class TestMaskedTwin(RouterConformance):
    in_features = n_experts = 2

    def make_router(self, in_features, n_experts, dtype, generator):
        return MaskedTwin(torch.tensor([1, 1, 0, 1, 1, 1, 1, 1]), generator, dtype)


def test_a_twin_that_is_crippled_never_sees_the_function_that_the_teacher_uses_most():
    teacher = Teacher(0)
    x = torch.rand(50, 2, dtype=torch.float64) * 6 - 3
    whole, crippled = (teacher.twin(c)(torch.Generator().manual_seed(0)) for c in (False, True))
    features = products(x)
    torch.testing.assert_close(whole.features(x), features)
    lost = crippled.features(x)
    assert not lost[:, teacher.strongest].any()
    kept = [i for i in range(8) if i != teacher.strongest]
    torch.testing.assert_close(lost[:, kept], features[:, kept])
    assert teacher.coefficients.abs().argmax() == teacher.strongest


def test_the_teacher_lies_in_the_span_of_its_twin():
    teacher = Teacher(3)
    x = torch.rand(200, 2, dtype=torch.float64) * 6 - 3
    z = teacher.measure(x)
    design = torch.cat([torch.ones(200, 1, dtype=torch.float64), products(x)], 1)
    rest = z - design @ torch.linalg.lstsq(design, z.unsqueeze(1)).solution[:, 0]
    assert float(rest.abs().max()) < 1e-12
    _, y, _, y_test = teacher.data(400)(0)
    assert 0.35 < float(torch.cat([y, y_test]).double().mean()) < 0.65


def test_the_last_rz_of_each_qubit_changes_nothing_at_any_angle():
    generator = torch.Generator().manual_seed(0)
    full, same = quantum_router(generator), same_router(generator)
    assert isinstance(full, QuantumRouter)
    assert isinstance(same, QuantumRouter)
    same.load_state_dict(dict(full.state_dict()))  # without the name of its ansatz, which is another
    x = torch.rand(100, 2, generator=generator) * 6 - 3
    torch.testing.assert_close(full(x), same(x), rtol=0, atol=1e-6)
    names = [op.name for op in same.circuit.operations]
    assert names.count("Rot") == 4
    assert names.count("RY") == 2


def test_pools_are_trained_models_and_the_same_for_the_same_seeds():
    one = train_pool(quantum_router, moons(60), TINY, 0)
    assert one.shape == (2, 3)
    np.testing.assert_array_equal(one, train_pool(quantum_router, moons(60), TINY, 0))
    assert (one != train_pool(quantum_router, moons(60), TINY, 1)).any()


def test_studies_are_drawn_without_replacement_and_paired_by_data():
    pool = np.arange(400.0).reshape(50, 8)
    a, b = from_pool(pool, 3)(np.random.default_rng(0))
    assert a.shape == b.shape == (SEEDS, 3)
    both = np.concatenate([a, b], axis=1)
    assert len(np.unique(both)) == both.size
    assert ((both // 8) == (both[:, :1] // 8)).all()
    a, b = from_pools(pool, 1000 + pool, 3)(np.random.default_rng(0))
    assert a.max() < 1000 <= b.min()
    np.testing.assert_array_equal(a[:, 0] // 8, (b[:, 0] - 1000) // 8)
    study = as_study("s", a, b)
    assert study.arms["a", None].data_seeds.tolist() == np.arange(SEEDS).repeat(3).tolist()


@pytest.mark.parametrize(
    ("draw", "gap"),
    [
        (bimodal(0.7), 0), (bimodal(0.7, 0.02), 0.02), (tied(), 0), (ceiling(), 0), (shifted(0.02), 0.02),
        (failing(0.02, 0.2), 0.02), (failing(0.02, 0.4), 0.02), (lossy(0.02), 0.02), (lossy(0.02, only_b=True), 0.02),
    ],
    ids=["two groups", "two groups apart", "ties", "ceiling", "apart", "rare", "rarer", "losses", "losses of b"],
)  # fmt: skip
def test_synthetic_scores_have_the_gap_that_they_promise(draw, gap):
    generator = np.random.default_rng(0)
    d = np.array([(a - b).mean() for a, b in (draw(generator) for _ in range(2000))])
    assert abs(d.mean() - gap) < 5 * d.std() / np.sqrt(len(d))


def asked(draw, *limits, claims=1):
    return Question("name", "a is better", "a is better than b", TwoArms(draw, "greater", claims), limits)


def test_an_answer_counts_verdicts_and_keeps_its_limit_or_not():
    clear = asked(shifted(0.2), Limit("supported", 0.95, at_most=False), Limit("refuted", 0.05), Limit("inconclusive"))
    found, refuted, told = ask(clear, 5)
    assert (found.share, found.holds, found.studies) == (1.0, True, 5)
    assert found.effect == pytest.approx(0.2, abs=0.02)
    assert (refuted.share, refuted.holds, refuted.low) == (0.0, True, 0.0)
    assert (told.limit, told.holds) == (None, True)
    (never,) = ask(asked(shifted(0.2), Limit("supported", 0.05), claims=2), 3)
    assert not never.holds
    assert ask(clear, 5) == [found, refuted, told]


def test_a_swapped_draw_is_the_same_with_a_for_b():
    a, b = lossy(0.02)(np.random.default_rng(1))
    np.testing.assert_array_equal(swapped(lossy(0.02))(np.random.default_rng(1)), (b, a))


def test_the_command_refuses_to_commit_a_quick_look(capsys):
    with pytest.raises(SystemExit):
        command.main(["--write", "--quick"])
    assert "drop --quick" in capsys.readouterr().err


def test_the_committed_record_answers_every_question_and_keeps_every_limit():
    record = load_record()
    answers = answers_of(record)
    rows = np.full((40, 12), 0.9)
    asked = questions(dict.fromkeys(("quantum", "without-last-rz", "twin", "crippled-twin"), rows))
    assert [(a.name, a.asked, a.outcome, a.limit) for a in answers] == [
        (q.name, q.asked, limit.outcome, limit.share) for q in asked for limit in q.limits
    ]
    assert (record["margin"], record["seeds"]) == (MARGIN, SEEDS)
    assert all(pool["models"] >= 1000 for pool in record["pools"].values())
    for answer in answers:
        assert answer.low <= answer.share <= answer.high
        assert answer.holds, answer.name
    by_name = {(a.name, a.outcome): a for a in answers}
    assert by_name["a/a", "supported"].limit == FALSE == 0.05
    assert by_name["planted effect", "supported"].limit == FOUND == 0.95
    assert by_name["equivalence, 6 inits", "supported"].limit == EQUIVALENT == 0.90
    assert by_name["18 analyses, flips", "depends"].limit == DEPENDS == 0.90


def test_the_margin_on_trial_is_that_of_the_shipped_claims_on_accuracy():
    margins = {
        test.margin
        for claim in shipped_claims()
        for test in claim.tests
        if test.kind != "measurement" and test.metric == "test_accuracy"
    }
    assert margins == {MARGIN}


def test_the_page_on_claims_shows_the_committed_record():
    assert table(load_record()) in PAGE.read_text(encoding="utf-8")
