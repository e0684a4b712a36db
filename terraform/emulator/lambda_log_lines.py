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
from functools import partial
from importlib import import_module
from queue import Queue
from typing import IO, Any

# Whoever holds this lock sees each line either in the pipe or in the queue.
_MOVING = threading.Lock()


def complete_the_logs() -> None:
    """Let ministack's workers read the lines of their functions as below."""
    # pylint: disable=protected-access  # ministack's own functions are corrected
    worker = import_module("ministack.core.lambda_runtime").Worker
    worker._read_stderr = property(lambda started: partial(read_lines, started._proc.stderr, started._stderr_queue))
    worker._drain_stderr_bounded = lines_before_the_response


def read_lines(pipe: IO[str], queue: Queue[str]) -> None:
    """Move the lines of a function from its pipe into a queue, until the function's process ends.

    `pipe` is a file, not its number: Python closes a file that nobody holds, and the next function gets its number.
    """
    rest = b""
    readable = select.poll()
    readable.register(pipe)
    while True:
        readable.poll()
        with _MOVING:
            read = os.read(pipe.fileno(), 65536)
            *lines, rest = (rest + read).split(b"\n")
            for line in lines if read else filter(None, [rest]):
                queue.put(line.decode(errors="replace"))
        if not read:
            return


def lines_before_the_response(worker: Any, **_limits: float) -> str:
    """Return the lines that a function has written. Its response has arrived, so they are in the pipe or the queue."""
    # pylint: disable=protected-access  # ministack's own state is used
    process, reader = worker._proc, worker._stderr_thread
    if process is None:  # ministack has ended the process, because the function failed
        reader.join()
    while process is not None and reader.is_alive() and unread_bytes(process.stderr):
        time.sleep(0.001)
    return str(worker._drain_stderr())


def unread_bytes(pipe: IO[str]) -> int:
    """Return the number of bytes in a pipe."""
    with _MOVING:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
