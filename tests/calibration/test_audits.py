"""The trial of audits: a few of them, and the committed record."""

from pathlib import Path

import pytest
from calibration.audits import AUDITS, REQUIRED, audit_answers, audit_table, audited, load_audits, try_audits

from calibration import __main__ as command
from calibration import audits

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"


@pytest.mark.parametrize(("name", "right"), [("idle", "refuted"), ("parity", "supported")])
def test_verdicts_are_right_where_the_truth_is_known(name, right, monkeypatch):
    monkeypatch.setattr(audits, "ARMS", ("mean", "permuted"))
    assert [audited(name, 10_000 + number).outcome for number in range(2)] == [right] * 2


def test_a_trial_counts_each_verdict(monkeypatch):
    monkeypatch.setattr(audits, "TRAINING", {"epochs": 1, "batch_size": 400})
    monkeypatch.setattr(audits, "SPLITS", 6)
    record = try_audits(2)
    assert [sum(counts.values()) for counts in record["outcomes"].values()] == [2, 2]
    assert sum(record["twin_of_parity"].values()) == 2
    assert [answer.studies for answer in audit_answers(record)] == [2] * 4


def test_the_committed_record_keeps_its_limits():
    record = load_audits()
    assert record["audits"] == AUDITS
    assert (record["rows"], record["splits"]) == (audits.ROWS, audits.SPLITS)
    answers = audit_answers(record)
    assert all(answer.holds for answer in answers)
    assert min(answer.share for answer in answers if not answer.at_most) >= REQUIRED


def test_the_page_has_the_table_of_the_record():
    assert audit_table(load_audits()) in PAGE.read_text(encoding="utf-8")


def test_the_command_tries_audits_alone(monkeypatch, capsys):
    asked = []

    def played(n, report, jobs):
        asked.append((n, jobs))
        return {"audits": n, "outcomes": {"idle": {"refuted": n}, "parity": {"supported": n - 1, "inconclusive": 1}}}

    monkeypatch.setattr(command, "try_audits", played)
    assert command.main(["--audits", "40", "--jobs", "1"]) == 0
    assert command.main(["--audits", "10"]) == 1
    assert asked == [(40, 1), (10, 2)]
    assert "100.0%" in capsys.readouterr().out
