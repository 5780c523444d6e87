"""A real browser without a window, driven over a pipe by its own protocol (Chrome DevTools)."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

NAME = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SECONDS = 60.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

_AT_3_AND_4 = """
import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
for wanted, end in zip((3, 4), ends):
    os.dup2(end, wanted)
    os.set_inheritable(wanted, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The protocol is spoken over file descriptors of these numbers."""


@dataclass
class Browser:
    """One page in a browser; what happens in it is kept.

    Attributes:
        events: Of the protocol, as they came.
    """

    process: subprocess.Popen[bytes]
    write: int
    read: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _pending: bytes = b""

    @classmethod
    def start(cls, profile: Path) -> Self:
        """Starts the browser with an empty profile."""
        theirs, write = os.pipe()
        read, ours = os.pipe()
        command = [
            sys.executable, "-c", _AT_3_AND_4, str(theirs), str(ours), str(NAME), *_OPTIONS,
            f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, pass_fds=(theirs, ours), stdin=quiet, stdout=quiet, stderr=quiet)
        os.close(theirs)
        os.close(ours)
        browser = cls(process, write, read)
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            browser.send(f"{domain}.enable")
        return browser

    def open(self, file: Path, width: int, scheme: str) -> None:
        """Loads a page, as a screen of that width in that colour scheme shows it."""
        self.events.clear()
        mobile = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=mobile)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=file.as_uri())
        self._wait("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401  # any JSON value
        """Returns the value of a JavaScript expression."""
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def complaints(self) -> list[str]:
        """Returns what the browser logged of the page: violated policies, failed requests, exceptions."""
        kinds = {"Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    def requests(self) -> list[str]:
        """Returns the addresses that the page asked for, itself left out."""
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in asked if each.get("type") != "Document"]

    def picture(self) -> bytes:
        """Returns the whole page as PNG."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        data = self.send("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        return base64.b64decode(data)

    def stop(self) -> None:
        """Ends the browser."""
        self.process.terminate()
        self.process.wait()
        os.close(self.write)
        os.close(self.read)

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Returns what the browser answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _wait(self, method: str) -> None:
        while not any(event["method"] == method for event in self.events):
            self._next()

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._pending:
            assert select.select([self.read], [], [], max(0.0, end - time.monotonic()))[0], "the browser is silent"
            data = os.read(self.read, 1 << 16)
            assert data, "the browser is gone"
            self._pending += data
        text, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message
