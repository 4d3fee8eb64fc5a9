"""A headless Chromium that tests drive as a person would: pages, wheel, mouse, and what a script says of the page.

Speaks the DevTools protocol over a pair of pipes, so that no port is opened and no package is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.programs import program

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--window-size=1200,900", "--remote-debugging-pipe"),
)
PATIENCE = 60.0
"""Longest wait for one answer [s]."""


class Page:
    """One page of a browser."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._held = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the browser told of itself, in order."""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to a URL and wait until it is there."""
        self.events.clear()
        failed = self._ask("Page.navigate", url=url).get("errorText")
        assert not failed, failed
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._take()

    def value(self, script: str) -> Any:
        """What an expression of JavaScript is in the page; promises are waited for."""
        found = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str, seconds: float = PATIENCE) -> Any:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not (found := self.value(script)):
            assert time.monotonic() < end, f"{script} stayed {found!r}"
            time.sleep(0.05)
        return found

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A real event of the mouse at a place of the window."""
        self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def key(self, key: str) -> None:
        """Press a key and let it go."""
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 else "")

    def complaints(self) -> list[str]:
        """What the browser refused or a script threw, as it says so."""
        found: list[str] = []
        for event in self.events:
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
            elif event["method"] == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
        return found

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._take()
            if found is not None and found["id"] == self._number:
                assert "error" not in found, f"{method}: {found['error']}"
                return found["result"]

    def _take(self) -> dict[str, Any] | None:
        """The next message: an answer, or None after an event was put to the others."""
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._back], [], [], PATIENCE)
            assert ready, "the browser said nothing"
            more = os.read(self._back, 1 << 16)
            assert more, "the browser ended"
            self._held += more
        text, _, self._held = self._held.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            return message
        self.events.append(message)
        return None


_BECOME = """
import os, sys
# neither may be overwritten by the other
pipes = [os.dup(os.dup(os.dup(int(pipe)))) for pipe in sys.argv[1:3]]
for place, pipe in zip((3, 4), pipes):
    os.dup2(pipe, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser reads descriptor 3 and writes descriptor 4."""


@contextlib.contextmanager
def browsing(profile: Path, *flags: str) -> Iterator[Page]:
    """A browser with one page; what it keeps is below a folder."""
    path = program("chromium", "chromium-browser", "google-chrome")
    theirs, to = os.pipe()
    back, answers = os.pipe()
    running = subprocess.Popen(
        [sys.executable, "-c", _BECOME, str(theirs), str(answers), path, *FLAGS, *flags, f"--user-data-dir={profile}"],
        pass_fds=(theirs, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    os.close(answers)
    try:
        yield Page(to, back)
    finally:
        os.close(to)
        os.close(back)
        running.terminate()
        running.wait(timeout=30)
