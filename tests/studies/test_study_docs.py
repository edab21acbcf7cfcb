"""The reference of study files names every key there is."""

from pathlib import Path

import pytest

from qmoe.studies import RUNGS, load_study
from qmoe.studies.specs import study as spec
from qmoe.studies.trials import make_trials

TEXT = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text(encoding="utf-8")
SPECS = [value for value in vars(spec).values() if isinstance(value, type) and issubclass(value, spec.Spec)]


@pytest.mark.parametrize("kind", SPECS, ids=lambda kind: kind.__name__)
def test_every_key_of_a_study_file_is_in_the_reference(kind):
    for key in kind.model_fields:
        forms = (f"`{key}`", f"{key} =", f"[{key}]", f".{key}]")
        assert any(form in TEXT for form in forms), key


@pytest.mark.parametrize("rung", RUNGS)
def test_every_rung_of_the_ladder_is_in_the_reference(rung):
    assert f"`{rung}`" in TEXT


def test_the_example_is_a_whole_study(tmp_path):
    example = TEXT.split("```toml\n")[1].split("```")[0]
    path = tmp_path / "my-moons.toml"
    path.write_text(example, encoding="utf-8")
    study = load_study(path)
    assert [arm.name for arm in study.arms] == ["linear", "quantum"]
    assert len(make_trials(study)) == 2 * 30 * 2
