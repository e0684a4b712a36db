"""Corrects the emulated Lambda: the log of a call has all lines that the function wrote before its response.

ministack waits at most 50 ms for them. On a busy machine, a line then came into the log of the next call, or into none.
"""

import fcntl
import os
import select
import sys
import termios
import threading
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

# Whoever holds this lock sees each line either in the pipe or in the queue.
_MOVING = threading.Lock()


def complete_the_logs() -> None:
    """Let ministack's workers read the lines of their functions as below."""
    worker = import_module("ministack.core.lambda_runtime").Worker
    worker._read_stderr = read_lines  # pylint: disable=protected-access  # ministack's own functions are corrected
    worker._drain_stderr_bounded = lines_before_the_response  # pylint: disable=protected-access


def read_lines(worker: Any) -> None:
    """Move the lines of a function from its pipe into the worker's queue, until the function's process ends."""
    # pylint: disable=protected-access  # ministack's own state is used
    queue, rest = worker._stderr_queue, b""
    with suppress(OSError, ValueError):  # the worker closes the pipe
        pipe = worker._proc.stderr.fileno()
        while True:
            select.select([pipe], [], [])
            with _MOVING:
                read = os.read(pipe, 65536)
                *lines, rest = (rest + read).split(b"\n") if read else ([rest] if rest else []) + [b""]
                for line in lines:
                    queue.put(line.decode(errors="replace"))
            if not read:
                return


def lines_before_the_response(worker: Any, **_limits: float) -> str:
    """Return the lines that a function has written. Its response has arrived, so they are in the pipe or the queue."""
    # pylint: disable=protected-access  # ministack's own state is used
    with suppress(OSError, ValueError):  # the worker closes the pipe
        while unread_bytes(worker._proc.stderr.fileno()):
            time.sleep(0.001)
    return str(worker._drain_stderr())


def unread_bytes(pipe: int) -> int:
    """Return the number of bytes in a pipe."""
    with _MOVING:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
