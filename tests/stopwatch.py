"""Measure elapsed time without the time in which a busy machine did not run this process."""

import threading
import time
from types import TracebackType
from typing import Self

STEP = 0.05  # seconds


class Stopwatch:
    """Measures elapsed seconds without stalls. A thread wakes up every 50 ms; each delay beyond that is a stall.

    So a test can limit the time that the code itself waits, also on a busy machine.
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
        """Return the seconds since the start without the stalls."""
        return time.monotonic() - self._start - self._stalled

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
