"""A headless Chromium that tests drive: real keys, screens of any size, pictures. Commands go over two pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "End": 35, "Home": 36, "Left": 37, "Up": 38, "Right": 39, "Down": 40}
EVENTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
TEXT = {"Enter": "\r", "Space": " "}


def find_browser() -> str:
    """The browser; without one the test is skipped, and fails in CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = f"no browser found ({', '.join(NAMES)}); apt-get install chromium"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found


class Chromium:
    """One tab of a browser of its own; a context manager.

    Attributes:
        complaints: what pages wrote to the console, and errors that nothing caught.
    """

    def __init__(self, profile: Path) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        def as_three_and_four() -> None:
            kept = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(kept[0], 3)
            os.dup2(kept[1], 4)

        command = [find_browser(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, preexec_fn=as_three_and_four, close_fds=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = ours_in, ours_out
        self._buffer, self._number = b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        target = next(t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._out)  # the browser ends with its pipe
        os.close(self._in)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def send(self, method: str, timeout: float = 60, **arguments: Any) -> dict[str, Any]:
        """One command of the protocol, and what came of it."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": arguments}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._next(end)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self._note(answer)

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self._in, 1 << 20)
            assert read, "the browser ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        text = json.dumps(event.get("params"))
        # Pages here never read their pictures back; tests do.
        if event.get("method") in EVENTS and "getImageData" not in text:
            self.complaints.append(text[:600])

    def screen(self, width: int, height: int, dark: bool = False, still: bool = False) -> None:
        """The size of the screen, and what its user prefers."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [("prefers-color-scheme", "dark" if dark else "light")]
        features.append(("prefers-reduced-motion", "reduce" if still else "no-preference"))
        self.send("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features])

    def open(self, page: Path) -> None:
        """Goes to a page, and waits until its scripts have run."""
        self.send("Page.navigate", url=page.as_uri())
        end = time.monotonic() + 30
        while not self.run(f"location.href === {json.dumps(page.as_uri())} && document.readyState === 'complete'"):
            assert time.monotonic() < end, f"{page} does not load"
            time.sleep(0.02)

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page; one of a promise is waited for."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """A key, as from a keyboard: a name of `KEYS`, or a character."""
        code = KEYS.get(key, ord(key[0].upper()))
        named = f"Arrow{key}" if key in ("Left", "Right", "Up", "Down") else {"Space": " "}.get(key, key)
        text = TEXT.get(key, "" if key in KEYS else key)
        for _ in range(times):
            down = {"text": text} if text else {}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=named, windowsVirtualKeyCode=code, **down)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=named, windowsVirtualKeyCode=code)

    def picture(self, path: Path, whole: bool = False) -> Path:
        """A PNG of what is seen, or of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path
