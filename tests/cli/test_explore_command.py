"""`qmoe explore`, as a user meets it."""

import webbrowser

import pytest

import qmoe as qmoe_package
from helpers import qmoe_command as qmoe
from user_tables import write_table


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a table and a saved model."""
    folder = tmp_path_factory.mktemp("explore")
    write_table(folder / "sides.csv")
    router = qmoe_package.QuantumRouter(2, 2)
    experts = qmoe_package.LinearExperts(2, 2, n_experts=2)
    qmoe_package.save(qmoe_package.MixtureOfExperts(router, experts), folder / "model.safetensors")
    return folder


def arguments(folder, *more):
    return (
        "explore", "--data", folder / "sides.csv", "--target", "side", "--model", folder / "model.safetensors", "--out",
        folder / "page.html", *more,
    )  # fmt: skip


@pytest.mark.parametrize(("opens", "lines"), [(True, 1), (False, 2)])
def test_it_writes_the_page_and_opens_it(saved, monkeypatch, opens, lines):
    asked = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or opens)
    done = qmoe(*map(str, arguments(saved)))
    assert done.returncode == 0, done.stderr
    assert asked == [(saved / "page.html").as_uri()]
    assert done.stdout.splitlines()[0] == f"Written: {saved / 'page.html'}"
    assert len(done.stdout.splitlines()) == lines
    assert '"data": "sides.csv"' in (saved / "page.html").read_text(encoding="utf-8")


def test_no_open_opens_nothing(saved, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail(address))
    assert qmoe(*map(str, arguments(saved, "--no-open"))).returncode == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("--model", "missing.safetensors"), "missing.safetensors cannot be read"),
        (("--model", "page.txt"), "page.txt"),
        (("--data", "moon"), "moon cannot be read"),
        (("--scaling", "log"), "'log'"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(saved, changed, words, monkeypatch):
    monkeypatch.chdir(saved)
    (saved / "page.txt").write_text("no model", encoding="utf-8")
    done = qmoe(*map(str, arguments(saved, "--no-open", *changed)))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
