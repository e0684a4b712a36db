"""The log of a call of the emulated Lambda has all lines that the function wrote before its response."""

import queue
import subprocess
import threading
from types import SimpleNamespace

from ministack.core.lambda_runtime import Worker

from emulator import lambda_log_lines


def test_late_reader_loses_no_line() -> None:
    """On a busy machine, the thread that reads the lines may run long after the response."""
    command = ["sh", "-c", "echo first >&2; echo second >&2; echo response; read end"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        worker = SimpleNamespace(_proc=process, _stderr_queue=queue.Queue())
        worker._drain_stderr = lambda: Worker._drain_stderr(worker)  # pylint: disable=protected-access
        assert process.stdout.readline() == "response\n"
        reader = threading.Thread(target=lambda_log_lines.read_lines, args=(worker,))
        threading.Timer(0.3, reader.start).start()
        assert lambda_log_lines.lines_before_the_response(worker) == "first\nsecond"
        process.stdin.close()
        reader.join()
