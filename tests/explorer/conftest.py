import functools
import json

import pytest
import torch

import qmoe
from chromium import Chromium
from helpers import generator
from qmoe.explorer.explored_arms import ExploredArms
from qmoe.explorer.explored_data import explored_data
from qmoe.explorer.explorer_page import write_page
from qmoe.explorer.page_data import page_data

#: What tests ask of the page: checksums of all that each model computes and shows, and values put into controls.
HELPERS = """
window.check = (() => {
  const sum = (buffer) => new Uint32Array(buffer).reduce((h, word) => Math.imul(h ^ word, 16777619) ^ (h >>> 13), 2166136261) >>> 0;
  const pixels = (c) => sum(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);
  const one = (name) => ({
    numbers: sum(Float64Array.from([...explorer.grid(name).share, ...explorer.grid(name).output]).buffer),
    text: ['heldOut', 'train', 'share', 'probability'].map((part) => document.getElementById(`${name}-${part}`).textContent),
    maps: [...document.querySelectorAll(`figure[data-arm=${name}] .pixels`)].map(pixels),
    over: [...document.querySelectorAll(`figure[data-arm=${name}] .overlay`)].map(pixels),
  });
  return {
    seen: async () => {
      await explorer.settled();
      return { ...Object.fromEntries(['quantum', 'twin', 'linear'].map((name) => [name, one(name)])),
        bloch: [0, 1].map((q) => document.getElementById(`bloch-${q}`).innerHTML + document.getElementById(`bloch-${q}-says`).textContent) };
    },
    put: async (values) => {
      for (const [id, value] of Object.entries(values)) {
        const element = document.getElementById(id);
        if (element.type === 'checkbox' || element.type === 'radio') { if (element.checked !== value) element.click(); continue; }
        element.value = value;
        element.dispatchEvent(new Event('input', { bubbles: true }));
      }
      await explorer.settled();
      return explorer.state();
    },
  };
})();
"""


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


