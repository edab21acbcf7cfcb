import functools
import json
from pathlib import Path

import pytest
import torch

import qmoe
from chromium import Chromium
from helpers import generator
from qmoe.explorer.explored_arms import ExploredArms
from qmoe.explorer.explored_data import explored_data
from qmoe.explorer.explorer_page import write_page
from qmoe.explorer.page_data import page_data

#: Put into the page, as ``check``.
HELPERS = Path(__file__).with_name("check.js").read_text(encoding="utf-8")


@functools.cache
def untrained():
    """Two moons, and models with first weights, as large as those of trained ones."""
    data = explored_data("moons", None, 0)
    torch_double = {"dtype": torch.float64}
    routers = {"quantum": qmoe.QuantumRouter(2, 2, n_qubits=2, n_layers=3, generator=generator(1), **torch_double)}
    routers["twin"] = qmoe.twin(routers["quantum"], generator=generator(2))
    routers["twin"].standardise(torch.as_tensor(data.scalers["minmax_pi"](data.split.x_train)))
    routers["linear"] = qmoe.LinearRouter(2, 2, generator=generator(3), **torch_double)
    models = {
        name: qmoe.MixtureOfExperts(
            router, qmoe.LinearExperts(2, 2, n_experts=2, generator=generator(4), **torch_double)
        )
        for name, router in routers.items()
    }
    with torch.no_grad():
        for model in models.values():
            for parameter in (model.router.adapter if model is models["quantum"] else model.router).parameters():
                parameter *= 3
            for parameter in model.experts.parameters():
                parameter *= 2
    return data, ExploredArms(models, "minmax_pi", False)


@pytest.fixture(scope="package")
def page(tmp_path_factory):
    """The file."""
    return write_page(tmp_path_factory.mktemp("explorer") / "explorer.html", page_data(*untrained()))


@pytest.fixture(scope="package")
def browser(tmp_path_factory):
    """One browser for all tests."""
    with Chromium(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def opened(browser, page):
    """The page as it is when it was opened."""
    browser.complaints.clear()
    browser.screen(1280, 900)
    browser.open(page)
    browser.run(HELPERS)
    yield browser
    assert browser.complaints == []


def put(browser, **values):
    """Sets controls by their ids, and returns the state of the page."""
    return browser.run(f"check.put({json.dumps({name.replace('_', '-'): v for name, v in values.items()})})")


def text(browser, name):
    """What an element of the page says."""
    return browser.run(f"document.getElementById('{name}').textContent")
