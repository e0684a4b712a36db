"""Start and stop the local API in its own process, as `make run` does."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from leaks import leaks
from targets import UrlApi

ROOT = Path(__file__).resolve().parent.parent

# With these variables, coverage measures a process. Only the app's own processes get them: they would slow the others.
# The first process of a run keeps them, because it starts the workers.
COVERAGE = {
    name: os.environ.pop(name)
    for name in list(os.environ)
    if name.startswith("COVERAGE_") and "PYTEST_XDIST_WORKER" in os.environ
}


class LocalProcess:
    """A process of eventsapp/local. Its output goes to a file. The end of the `with` block stops it."""

    def __init__(
        self,
        data_dir: Path,
        program: Path = ROOT / "eventsapp" / "local",
        file_limit: str = "unlimited",
        is_measured: bool = True,
        **environment: str,
    ) -> None:
        """`file_limit` limits the size of the files that the process writes, in the units of `ulimit -f`.

        `is_measured`: whether coverage measures the process, which then takes twice the time.
        """
        self.port = free_port()
        self._coverage = COVERAGE if is_measured else {}
        self._command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', file_limit, sys.executable, str(program)]
        self._environment = environment
        self.data_dir = data_dir
        self._log = data_dir.parent / f"{data_dir.name}-{self.port}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        variables = {"PORT": str(self.port), "DATA_DIR": str(self.data_dir), **self._environment}
        environment = {**os.environ, **self._coverage, **variables}
        with self._log.open("wb") as log:
            return subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Return the API's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """Return the token in the API's data folder."""
        return (self.data_dir / "token").read_text().strip()

    @property
    def api(self) -> UrlApi:
        """Return a client of the API that uses this token."""
        return UrlApi(self.url, self.token)

    @property
    def output(self) -> str:
        """Return the process's output so far."""
        return self._log.read_text()

    @property
    def api_pid(self) -> int:
        """Return the id of the child process that serves the API."""
        listed = subprocess.run(["pgrep", "-P", str(self.process.pid)], check=True, capture_output=True, text=True)
        return int(listed.stdout.split()[0])

    def kill_all(self) -> None:
        """Kill the whole process group at once, as a power failure would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        assert eventually(self.is_gone)

    def wait_until_ready(self) -> Self:
        """Wait until the process has printed its curl commands."""
        assert eventually(lambda: "\ncurl -i" in self.output or self.process.poll() is not None), self.output
        if f"port {self.port} is in use" in self.output:  # another process took the port after `free_port` returned it
            self.port = free_port()
            self.process = self._start()
            return self.wait_until_ready()
        assert self.process.poll() is None, self.output
        return self

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(signum)
        return self.process.wait(timeout=120)

    def is_gone(self) -> bool:
        """Tell whether all processes of the group have ended and the port is closed."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) != 0
        return False

    def __enter__(self) -> Self:
        return self.wait_until_ready()

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        token = self.data_dir / "token"
        assert leaks(self.output, *([self.token] if token.exists() else [])) == []


def failed_start(data_dir: Path, **environment: str) -> str:
    """Start the local API with settings that must fail, and return its message on stderr."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "eventsapp" / "local")],
        env={**os.environ, **COVERAGE, "PORT": str(free_port()), "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    return result.stderr


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def eventually(holds: Callable[[], bool], seconds: float = 120) -> bool:
    """Tell whether a condition becomes true. The timeout is long, because it only has to end a hang."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
