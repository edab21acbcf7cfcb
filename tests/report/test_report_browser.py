import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
]


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no browser found ({', '.join(NAMES)}); apt-get install chromium"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


def shoot(browser, page, folder, size, *flags):
    """Takes a picture of the page; returns it with what the browser wrote to its console."""
    picture = folder / "picture.png"
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size}", *flags]
    run = subprocess.run(
        [*command, f"--screenshot={picture}", page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert picture.is_file(), run.stderr[-2000:]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("L")).astype(float)
    return pixels, [line for line in run.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize(
    ("size", "flags", "dark"),
    [
        ("1280,2400", (), False),
        ("1280,2400", ("--blink-settings=preferredColorScheme=0",), True),
        ("390,2400", (), False),
    ],
)
def test_the_page_in_a_browser(browser, built, tmp_path, size, flags, dark):
    pixels, console = shoot(browser, built / "report.html", tmp_path, size, *flags)
    assert console == []
    assert pixels.std() > 10
    assert (pixels[3, 3] < 60) == dark


def test_a_request_would_be_seen(browser, built, tmp_path):
    """The test above can fail: the policy refuses a request, and the console says so."""
    text = (built / "report.html").read_text(encoding="utf-8")
    page = tmp_path / "bad.html"
    page.write_text(text.replace("</main>", '<img src="https://example.invalid/x.png"></main>'), encoding="utf-8")
    _, console = shoot(browser, page, tmp_path, "1280,800")
    assert any("Content Security Policy" in line for line in console)
