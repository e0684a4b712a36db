"""A headless Chromium, driven by chromedriver through the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

import base64
import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import eventually, free_port

CHROMIUM = next(filter(None, map(shutil.which, ("google-chrome", "chromium"))), None)
DRIVER = shutil.which("chromedriver")
NEEDS_BROWSER = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="Chrome or chromedriver is not on the PATH (Debian: apt install chromium-driver; GitHub has both)",
)
MESSAGE = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id in a message


class Browser:
    """A browser window."""

    def __init__(self, port: int, width: int, height: int, is_phone: bool) -> None:
        self._port = port
        options: dict[str, Any] = {
            "binary": CHROMIUM,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"],
        }
        if is_phone:
            metrics = {"width": width, "height": height, "pixelRatio": 1, "touch": True}
            options["mobileEmulation"] = {"deviceMetrics": metrics}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._session = ""
        self._session = self.call("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, command: str, parameters: dict[str, Any] | None = None, method: str = "POST") -> Any:
        """Send a command to the driver and return its value."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            path = f"/session/{self._session}{command}" if self._session else "/session"
            connection.request(method, path, json.dumps(parameters or {}) if method == "POST" else None)
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def open(self, url: str) -> None:
        """Open a page."""
        self.call("/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page and return what it returns."""
        return self.call("/execute/sync", {"script": script, "args": list(arguments)})

    def waits_for(self, expression: str) -> bool:
        """Tell whether an expression becomes true in the page."""
        return eventually(lambda: bool(self.run(f"return Boolean({expression})")))

    def click(self, element: str) -> None:
        """Click the element that an expression returns, as a person does."""
        found = self.run(f"return {element}")
        assert found, element
        self.call(f"/element/{found[MESSAGE]}/click")

    def console(self) -> list[str]:
        """Return the messages of the console since the last call."""
        return [f"{line['level']}: {line['message']}" for line in self.call("/se/log", {"type": "browser"})]

    def requested(self) -> set[str]:
        """Return the addresses that the pages have requested since the last call."""
        messages = [json.loads(line["message"])["message"] for line in self.call("/se/log", {"type": "performance"})]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        return {str(event["request"]["url"]) for event in sent}

    def save_picture(self, path: Path) -> None:
        """Write a picture of the window, as PNG."""
        path.write_bytes(base64.b64decode(self.call("/screenshot", method="GET")))

    def close(self) -> None:
        """Close the browser."""
        self.call("", method="DELETE")


@contextmanager
def chromedriver() -> Iterator[int]:
    """Run chromedriver and yield its port."""
    port = free_port()
    with subprocess.Popen([str(DRIVER), f"--port={port}", "--silent"], stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: is_ready(port))
            yield port
        finally:
            process.kill()  # after SIGTERM, it would wait for a browser that does not respond


def is_ready(port: int) -> bool:
    """Tell whether chromedriver responds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", "/status")
        return bool(json.loads(connection.getresponse().read())["value"]["ready"])
    except OSError:
        return False
    finally:
        connection.close()
