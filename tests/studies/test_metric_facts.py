"""What is known of a metric."""

import pytest

from qmoe.studies import load_preset, preset_names
from qmoe.studies.metrics import METRICS, metric_facts
from qmoe.studies.specs.study import LADDER_TITLE


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_the_test_part_say_that_they_are(name):
    assert metric_facts(name).held_out == name.startswith("test")


def test_of_a_metric_that_is_not_known_there_are_words_alone():
    facts = metric_facts("n_iterations")
    assert (facts.words, facts.kind, facts.higher_is_better) == ("n iterations", "other", False)


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_is_named_after_its_experiment_and_protocol(name):
    study = load_preset(name)
    assert name in (study.experiment, f"{study.experiment}-{study.protocol}")
    assert (study.title != study.short_title) == study.title.startswith(LADDER_TITLE) == bool(study.ladder)
