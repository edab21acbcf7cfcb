"""Every control, by the keyboard: what it changes, and what it leaves as it is."""

import pytest

from explorer.conftest import HELPERS, put, text

QUANTUM, ALL, NOTHING = {"quantum"}, {"quantum", "twin", "linear"}, set()
#: Controls that change numbers: the key, which models change, and what has to be set before.
DRIVEN = {
    "axis-X": ("Right", QUANTUM, {}),  # in a group of radio buttons an arrow goes on to the next
    "entangler": ("Space", QUANTUM, {}),
    "strength": ("Right", QUANTUM, {}),
    "placement": ("Down", QUANTUM, {"strength": 0.2}),
    "dephasing": ("Down", QUANTUM, {}),
    "dephasingAxis": ("Up", QUANTUM, {"dephasing": "encoding"}),
    "shots": ("Left", QUANTUM, {}),
    "shotSeed": ("Up", QUANTUM, {"shots": 3}),
    "again": ("Enter", QUANTUM, {"shots": 3}),
    "scaling": ("Down", ALL, {}),
    "stretch": ("Right", ALL, {}),
    "train": ("Enter", ALL, {}),
    "random-weights": ("Enter", ALL, {}),
    "copy-twin": ("Enter", {"twin"}, {}),
    **{
        f"angle-{layer}-{qubit}-{k}": ("Right", QUANTUM, {})
        for layer in range(3)
        for qubit in range(2)
        for k in range(3)
    },
    **{f"adapter-{expert}-{k}": ("Right", QUANTUM, {}) for expert in range(2) for k in range(2)},
    **{f"bias-{expert}": ("Right", QUANTUM, {}) for expert in range(2)},
    # What is turned about Z just before the CNOTs and the measurement is not seen by it.
    "angle-2-0-2": ("Right", NOTHING, {}),
    "angle-2-1-2": ("Right", NOTHING, {}),
}
BEGIN = """
(document.getElementById('reset-all').click(), document.querySelectorAll('details').forEach((d) => { d.open = true; }),
explorer.settled())
"""


def focus(browser, name):
    """Gives a control the focus."""
    assert browser.run(f"(document.getElementById('{name}').focus(), document.activeElement.id)") == name


@pytest.fixture(scope="module")
def driven(browser, page):
    """What every control in `DRIVEN` changes: the page before and after its key."""
    browser.screen(1280, 900)
    browser.open(page)
    browser.run(HELPERS)
    found = {}
    for name, (key, _, first) in DRIVEN.items():
        browser.run(BEGIN)
        put(browser, **first)
        before = browser.run("check.seen()")
        focus(browser, name)
        browser.press(key)
        found[name] = before, browser.run("check.seen()")
    assert browser.complaints == []
    return found


@pytest.mark.parametrize("name", DRIVEN)
def test_a_control_changes_numbers_and_maps_of_its_models_and_of_no_other(driven, name):
    before, after = driven[name]
    changes = DRIVEN[name][1]
    assert {arm for arm in ALL if before[arm]["numbers"] != after[arm]["numbers"]} == changes
    for arm in ALL - changes:
        assert before[arm] == after[arm]


@pytest.mark.parametrize("name", [name for name, (_, changes, _) in DRIVEN.items() if changes and "bias" not in name])
def test_its_pictures_move_at_once(driven, name):
    before, after = driven[name]
    for arm in DRIVEN[name][1]:
        assert before[arm]["maps"] != after[arm]["maps"] or before[arm]["over"] != after[arm]["over"]
    moves_state = DRIVEN[name][1] & {"quantum"} and name[:5] not in ("shots", "shotS", "again", "adapt")
    if moves_state and name not in ("train", "random-weights"):
        assert before["bloch"] != after["bloch"]


def test_controls_of_the_view_change_pictures_and_no_number(opened):
    for name, key, what in [("rows", "Down", "over"), ("errors", "Space", "over"), ("theme", "Enter", "maps")]:
        before = opened.run("check.seen()")
        focus(opened, name)
        opened.press(key)
        after = opened.run("check.seen()")
        for arm in ALL:
            assert before[arm][what] != after[arm][what]
            assert (before[arm]["numbers"], before[arm]["text"]) == (after[arm]["numbers"], after[arm]["text"])


def test_controls_of_the_point_move_it_on_every_map_and_the_stage_moves_the_arrows(opened):
    for name in ("point0", "point1"):
        before = opened.run("check.seen()")
        focus(opened, name)
        opened.press("Right", 9)
        after = opened.run("check.seen()")
        assert before["bloch"] != after["bloch"]
        for arm in ALL:
            assert before[arm]["over"] != after[arm]["over"]
            assert before[arm]["text"][2:] != after[arm]["text"][2:]
            assert before[arm]["numbers"] == after[arm]["numbers"]
    before = opened.run("check.seen()")
    focus(opened, "stage")
    opened.press("Left")
    after = opened.run("check.seen()")
    assert before["bloch"] != after["bloch"]
    assert before["quantum"] == after["quantum"]
    assert text(opened, "stage-value") == "after layer 2"


def test_a_mouse_over_a_map_moves_the_point(opened):
    box = opened.run(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('.map .canvas').getBoundingClientRect())"
    )
    opened.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] / 4, y=box[1] + box[3] / 4)
    opened.run("explorer.settled()")
    window = opened.run("JSON.parse(document.getElementById('numbers').textContent).window")
    expected = [window[0][f] + share * (window[1][f] - window[0][f]) for f, share in enumerate((0.25, 0.75))]
    assert opened.run("explorer.state().settings.point") == pytest.approx(expected, rel=0.02)


def test_resets_bring_everything_back(opened):
    before = opened.run("check.seen()")
    for reset, keys in [("reset-weights", ["random-weights"]), ("reset-all", ["random-weights", "entangler"])]:
        for name in keys:
            focus(opened, name)
            opened.press("Space")
        assert opened.run("check.seen()")["quantum"] != before["quantum"]
        focus(opened, reset)
        opened.press("Enter")
        assert opened.run("check.seen()") == before


def test_a_training_can_be_stopped_and_says_its_losses(opened):
    focus(opened, "train")
    opened.press("Enter")
    begun = "document.getElementById('training-note').textContent.startsWith('Step ')"
    assert opened.run(
        "new Promise((done) => { const look = (left) => "
        f"{begun} || left === 0 ? done({begun}) : setTimeout(look, 10, left - 1); look(500); }})"
    )
    opened.press("Enter")
    assert not opened.run("explorer.state().training")
    assert text(opened, "training-note").startswith("Stopped after ")
    assert text(opened, "train") == "Train from here"


EXPERIMENTS = {
    "twin": {"twin"},
    "late": QUANTUM,
    "early": QUANTUM,
    "shots": QUANTUM,
    "product": QUANTUM,
    "dephased": QUANTUM,
    "axis": QUANTUM,
    "stretched": ALL,
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_sets_controls_and_says_what_to_look_at(opened, name):
    before = opened.run("check.seen()")
    said = text(opened, "says")
    opened.run(f"document.querySelector('[data-experiment={name}]').focus()")
    opened.press("Enter")
    after = opened.run("check.seen()")
    assert {arm for arm in ALL if before[arm]["numbers"] != after[arm]["numbers"]} == EXPERIMENTS[name]
    assert text(opened, "says") not in (said, "")
    share = opened.run("(({share}) => Math.max(...share) - Math.min(...share))(explorer.grid('quantum'))")
    assert (share < 1e-12) == (name == "dephased")


def test_every_control_of_the_page_is_driven_here(opened):
    controls = "document.querySelectorAll('input, select, button, summary')"
    ids = opened.run(f"[...{controls}].map((e) => e.id || e.dataset.experiment)")
    others = {
        "axis-Y",
        "axis-Z",
        "point0",
        "point1",
        "stage",
        "rows",
        "errors",
        "theme",
        "reset-weights",
        "reset-all",
        None,
    }
    assert set(ids) - set(DRIVEN) - others - set(EXPERIMENTS) == set()
