"""The log of a call of the emulated Lambda has all lines that the function wrote before its response."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from types import SimpleNamespace
from typing import Any

from ministack.core.lambda_runtime import Worker

from emulator.lambda_log_lines import lines_before_the_response, read_lines

# pylint: disable=protected-access  # ministack's own state is used


@contextmanager
def function(script: str) -> Iterator[Any]:
    """Run a shell script as a function. Yield ministack's state of it, after its response and before its log is read.

    On a busy machine, the thread that reads the log may run long after the response.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        worker = SimpleNamespace(_proc=process, _stderr_queue=Queue())
        worker._drain_stderr = lambda: Worker._drain_stderr(worker)
        worker._stderr_thread = threading.Timer(0.3, read_lines, (process.stderr, worker._stderr_queue))
        assert process.stdout.readline() == "response\n"
        worker._stderr_thread.start()
        yield worker
        process.stdin.close()
        worker._stderr_thread.join()


def test_late_reader_loses_no_line() -> None:
    """The function's process goes on, as it does between two calls."""
    with function("echo first >&2; echo second >&2; echo response; read end") as worker:
        assert lines_before_the_response(worker) == "first\nsecond"


def test_log_has_the_last_words_of_a_function_that_failed() -> None:
    """ministack ends the process of such a function, and forgets it. The last line may have no end."""
    with function("echo first >&2; printf last >&2; echo response") as worker:
        worker._proc.wait()
        worker._proc = None
        assert lines_before_the_response(worker) == "first\nlast"
