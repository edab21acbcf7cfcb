"""`qmoe ablate`, as a user meets it."""

import json

import numpy as np
import pytest

from helpers import qmoe_command as qmoe


def test_ablate_trains_the_ladder_on_a_table_and_writes_the_report(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(40, 2))
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in x]
    (tmp_path / "mine.csv").write_text("\n".join(["left,right,side", *rows]))
    options = ("--seeds", 2, "--epochs", 2, "--rung", "linear", "--rung", "twin", "--workers", 0, "--json")
    done = qmoe("ablate", "--data", "mine.csv", "--target", "side", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Rows of mine.csv, 2 features, 2 classes of side. The router has 2 qubits and 3 layers" in done.stderr
    assert "--qubits, --layers and --experts change this." in done.stderr
    assert json.loads(done.stdout)["trials_trained"] == 3 * 4 * 3
    page = (tmp_path / "ablation" / "report.html").read_text(encoding="utf-8")
    assert "<h1>What carries the effect: side in mine.csv</h1>" in page
    repeated = "qmoe ablate --data mine.csv --target side --epochs 2 --seeds 2 --rung linear --rung twin"
    assert f"In the folder of the table, {repeated} repeats ablate-mine-side." in page
    assert "every data seed is another split of the rows" in page
    assert "Stated by" not in page
    assert "No classifier beats the best possible" not in page
    assert "rung minus quantum router" in page
    for of_the_paper in ("Not examined", "Percentile:", "a percentile moves", "Published protocol", "Studies beyond"):
        assert of_the_paper not in page


def test_a_column_that_is_not_there_is_a_line_and_no_traceback(tmp_path):
    (tmp_path / "mine.csv").write_text("left,side\n1,a\n2,b\n3,a\n4,b\n")
    done = qmoe("ablate", "--data", "mine.csv", "--target", "sides", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no column 'sides'" in done.stderr
    assert "did you mean 'side'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("undrawn")
def test_claims_of_ones_own_are_judged_beside_the_ladders_questions(tmp_path):
    rng = np.random.default_rng(1)
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in rng.uniform(size=(40, 2))]
    (tmp_path / "mine.csv").write_text("\n".join(["left,right,side", *rows]))
    (tmp_path / "claims.toml").write_text(
        'id = "mine"\nstatement = "It does."\nsource = "me"\nstudies = ["ablate-mine-side"]\nmin_seeds = 6\n'
        '[[tests]]\nkind = "difference"\nname = "t"\na = "quantum"\nb = "linear"\nmargin = 0.02\n'
    )
    options = ("--seeds", 2, "--epochs", 2, "--rung", "linear", "--workers", 0, "--json")
    assert qmoe("ablate", "--data", "mine.csv", "--target", "side", *options, cwd=tmp_path).returncode == 0
    (tmp_path / "elsewhere").mkdir()
    options = ("../ablation", "--claims", "../claims.toml", "--json")
    done = qmoe("report", *options, cwd=tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr
    assert [verdict["claim"] for verdict in json.loads(done.stdout)["verdicts"]] == ["A1", "mine"]


def test_a_claim_with_the_name_of_one_that_ships_is_refused_at_once(tmp_path):
    (tmp_path / "claims.toml").write_text(
        'id = "C2"\nstatement = "s"\nsource = "s"\nstudies = ["x"]\n'
        '[[tests]]\nkind = "difference"\nname = "t"\na = "a"\nb = "b"\nmargin = 0.02\n'
    )
    done = qmoe("run", "phase2-heldout", "--claims", "claims.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "the claim C2 ships with qmoe" in done.stderr
    assert not (tmp_path / "results").exists()


def ablation(folder, *more, data="mine.csv", target="side"):
    options = ("--seeds", 2, "--epochs", 2, "--rung", "linear", "--workers", 0, "--json", *more)
    return qmoe("ablate", "--data", data, "--target", target, *options, cwd=folder)


def write(path, seed):
    rows = [f"{a:.3f},{b:.3f},{int(a > b)}" for a, b in np.random.default_rng(seed).uniform(size=(40, 2))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["left,right,side", *rows]))


@pytest.mark.usefixtures("undrawn")
def test_another_table_of_the_same_name_and_other_settings_stand_beside_the_first(tmp_path):
    write(tmp_path / "mine.csv", 0)
    write(tmp_path / "other" / "mine.csv", 1)
    first, again = ablation(tmp_path), ablation(tmp_path)
    other, experts = ablation(tmp_path, data="other/mine.csv"), ablation(tmp_path, "--experts", 3)
    trained = [json.loads(done.stdout)["trials_trained"] for done in (first, again, other, experts)]
    assert trained == [24, 0, 24, 24]
    assert "this one is named ablate-mine-side-2" in other.stderr
    assert "this one is named ablate-mine-side-3" in experts.stderr
    (tmp_path / "mine.csv").unlink()
    shown = json.loads(qmoe("report", "ablation", "--json", cwd=tmp_path).stdout)["headline"]
    page = (tmp_path / "ablation" / "report.html").read_text(encoding="utf-8")
    assert [f"beats the linear router (side in mine.csv{end})" in page for end in ("", " (2)", " (3)")] == [True] * 3
    assert {row["study"] for row in shown} == {f"ablate-mine-side{end}" for end in ("", "-2", "-3")}


@pytest.mark.usefixtures("undrawn")
def test_a_column_that_numbers_the_rows_is_refused_and_kept_on_request(tmp_path):
    rows = [f"{i},{i * i % 11},{int(i > 20)}" for i in range(40)]
    (tmp_path / "mine.csv").write_text("\n".join([",width,side", *rows]))
    done = ablation(tmp_path)
    assert done.returncode == 2
    assert "column '' of" in done.stderr
    assert "numbers the rows (0, 1, 2, ...)" in done.stderr
    assert ablation(tmp_path, "--keep", "").returncode == 0
