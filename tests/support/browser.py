"""A headless Chromium that stays open, by its DevTools protocol: pages, what scripts find in them, mouse and keys.

It is Debian's package, started by its name: no driver and no download.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from support.shared import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_CHROMIUM = "there is no chromium on the PATH; Debian has it as a package"
SECONDS = 60.0


class Refused(Exception):
    """What Chromium says of a command that it has not done: mostly that its page is gone."""


class Tab:
    """One page. violations: what the Content-Security-Policy has kept from it, and errors of its scripts.

    said: all errors that Chromium's console has.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._numbers = connection, itertools.count(1)
        self.violations: list[str] = []
        self.said: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol, and return its result. Raises Refused."""
        number = next(self._numbers)
        self._connection.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(self._connection.recv(timeout=SECONDS))
            if said.get("id") == number:
                if "error" in said:
                    raise Refused(said["error"]["message"])
                return said["result"]
            self._note(said.get("method"), said.get("params", {}))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; of a promise, what it resolves to.

        While another page takes the place of this one, it is asked of that one.
        """
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        try:
            given = self.call("Runtime.evaluate", **asked)
        except Refused:
            time.sleep(0.5)
            given = self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in given, given
        return given["result"].get("value")

    def open(self, address: str) -> None:
        """Go there, and wait until the page is loaded."""
        self.evaluate("window.__before = true")
        self.call("Page.navigate", url=address)
        self.loaded()

    def loaded(self) -> None:
        """Wait until another page than that of the last `open` is there, whole."""
        until(lambda: self.evaluate("!window.__before && document.readyState === 'complete'"), SECONDS)

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        until(lambda: self.evaluate(f"Boolean({expression})"), SECONDS)

    def centre(self, selector: str) -> tuple[float, float]:
        """The middle of the first element that fits, in pixels of the window."""
        at = f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        x, y = self.evaluate(f"{at} return [b.x + b.width / 2, b.y + b.height / 2] }})()")
        return x, y

    def click(self, selector: str) -> None:
        """Click on the first element that fits, as a person does: where it is, once it is in view."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        self.click_at(*self.centre(selector))

    def click_at(self, x: float, y: float) -> None:
        self.mouse("Moved", x, y)
        for kind in ("Pressed", "Released"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def mouse(self, kind: str, x: float, y: float, **other: Any) -> None:
        """kind: Moved, Pressed, Released or Wheel."""
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **other)

    def key(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **text)

    def press(self, selector: str) -> None:
        """Click on what leads to another page, and wait for it."""
        self.evaluate("window.__before = true")
        self.click(selector)
        self.loaded()

    def size(self, width: int, height: int = 900) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefers(self, scheme: str) -> None:
        """What the system says: `light` or `dark`."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, file: Path, most_height: int = 2400) -> None:
        """The whole page as a PNG, as wide as `size` has set it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], most_height), "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            told = json.dumps(params["exceptionDetails"])
            self.violations.append(told)
            self.said.append(told)
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.said.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if params["entry"]["source"] == "security":  # Airflow's own frame is a warning
                self.violations.append(params["entry"]["text"])


@contextlib.contextmanager
def browser(profile: Path, cookies: dict[str, str] | None = None, site: str = "") -> Iterator[Tab]:
    """A tab of a new Chromium, which has these cookies of `site`. profile: a folder for it."""
    assert CHROMIUM, NO_CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    with subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            told = profile / "DevToolsActivePort"
            until(lambda: told.exists() and told.read_text().count("\n") == 1, SECONDS)
            address = f"http://127.0.0.1:{told.read_text().splitlines()[0]}"
            pages = [one for one in httpx.get(f"{address}/json", timeout=SECONDS).json() if one["type"] == "page"]
            with connect(pages[0]["webSocketDebuggerUrl"], max_size=None, open_timeout=SECONDS) as connection:
                tab = Tab(connection)
                for name, value in (cookies or {}).items():
                    tab.call("Network.setCookie", name=name, value=value, url=site)
                yield tab
        finally:
            process.terminate()
