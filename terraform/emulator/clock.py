"""The clock of the emulated CloudWatch. A test can stop it and set it, so that no test waits for a minute to pass.

`PUT /_emulated/clock` with `{"now": SECONDS}` stops the clock at this time, in seconds since 1970, and evaluates all
alarms, as AWS does each minute. With `{"now": null}` the clock shows the real time again. `GET` returns `{"now": ...}`.
"""

import json
import time
from collections.abc import Callable

from .responses import Response

PATH = "/_emulated/clock"


class Clock:
    """A clock with the interface of the `time` module that ministack's CloudWatch uses."""

    def __init__(self) -> None:
        self._stopped_at: float | None = None
        self.after_set: list[Callable[[], None]] = []  # called when a test has set the clock

    def time(self) -> float:
        """Return the time in seconds since 1970."""
        return time.time() if self._stopped_at is None else self._stopped_at

    def is_stopped(self) -> bool:
        """Tell whether a test has set the clock."""
        return self._stopped_at is not None

    def handle_request(self, method: str, body: bytes) -> Response:
        """Set or read the clock."""
        if method == "PUT":
            now = json.loads(body)["now"]
            self._stopped_at = None if now is None else float(now)
            for call in self.after_set:
                call()
        return 200, {"Content-Type": "application/json"}, json.dumps({"now": self.time()}).encode()


CLOCK = Clock()
