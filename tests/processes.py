"""The local API as a process of its own, as `make run` starts it."""

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
    """A running eventsapp/local with its output in a file. Leaving the context stops it."""

    def __init__(
        self,
        data_dir: Path,
        program: Path = ROOT / "eventsapp" / "local",
        file_limit: str = "unlimited",
        **environment: str,
    ) -> None:
        """`file_limit` is the largest size of a file that it can write, as `ulimit -f` counts it."""
        self.port = free_port()
        self._command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', file_limit, sys.executable, str(program)]
        self._environment = environment
        self.data_dir = data_dir
        self._log = data_dir.parent / f"{data_dir.name}-{self.port}.log"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        variables = {"PORT": str(self.port), "DATA_DIR": str(self.data_dir), **self._environment}
        environment = {**os.environ, **COVERAGE, **variables}
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
        """Return the token that it keeps."""
        return (self.data_dir / "token").read_text().strip()

    @property
    def api(self) -> UrlApi:
        """Return the API, called with that token."""
        return UrlApi(self.url, self.token)

    @property
    def output(self) -> str:
        """Return what it has printed."""
        return self._log.read_text()

    @property
    def api_pid(self) -> int:
        """Return the process id of the API's own process."""
        listed = subprocess.run(["pgrep", "-P", str(self.process.pid)], check=True, capture_output=True, text=True)
        return int(listed.stdout.split()[0])

    def kill_all(self) -> None:
        """Kill all its processes at once, as a power failure would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)
        assert eventually(self.is_gone)

    def wait_until_ready(self) -> Self:
        """Return once it has printed its curl lines."""
        assert eventually(lambda: "\ncurl -i" in self.output or self.process.poll() is not None), self.output
        if f"port {self.port} is in use" in self.output:  # another process took it since `free_port` found it free
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
        """Tell whether no process of its group is left, and no port."""
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
    """Start the local API where it cannot run, and return its message."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "eventsapp" / "local")],
        env={**os.environ, **COVERAGE, "PORT": str(free_port()), "DATA_DIR": str(data_dir), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    return ran.stderr


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def eventually(holds: Callable[[], bool], seconds: float = 120) -> bool:
    """Tell whether something comes to hold; the time limit is against a hang alone, however slow the machine is."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
