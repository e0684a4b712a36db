"""Measures how long something takes, without the time for which the machine let this process wait."""

import threading
import time
from types import TracebackType
from typing import Self

STEP = 0.05  # seconds


class Stopwatch:
    """Elapsed seconds less the stalls: a thread that wants to run every 50 ms knows when it could not.

    A loaded machine makes both late, so a limit on the rest says what the code waits for, not how busy the machine is.
    """

    def __init__(self) -> None:
        self._stalled = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._start = time.monotonic()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(STEP):
            now = time.monotonic()
            self._stalled += max(0.0, now - before - STEP)
            before = now

    @property
    def seconds(self) -> float:
        """Return the seconds since the start, less those that this process could not run."""
        return time.monotonic() - self._start - self._stalled

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
