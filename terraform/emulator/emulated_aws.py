"""Starts and ends the process of the emulated AWS, and gives clients of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3

ADMIN = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}  # ministack's root user
SOURCES = Path(__file__).resolve().parent.parent  # where Python finds this package


class CannotDeploy(Exception):
    """Raised when a step of the deployment fails; says what to do."""


class EmulatedAws:
    """The emulated AWS; all its files are in one folder."""

    def __init__(self, folder: Path, region: str) -> None:
        self.folder = folder
        self.region = region
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, detached: bool = False) -> None:
        """Start the emulated AWS unless it runs. It ends with this process, unless it is detached."""
        if self.is_running():
            return
        log_path = self.folder / "aws.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
        with open(log_path, "wb") as log:
            self._process = subprocess.Popen(  # pylint: disable=consider-using-with  # it runs on after this function
                [sys.executable, "-m", f"{__package__}.aws", str(self.folder)],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, "PYTHONPATH": str(SOURCES)},
                start_new_session=detached,
            )
        deadline = time.monotonic() + 120
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotDeploy(f"the emulated AWS does not start: its log {log_path} has the reason.")
            time.sleep(0.05)

    def is_running(self) -> bool:
        """Tell whether the emulated AWS responds."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"{self.endpoint}/_ministack/health", timeout=10
            ):
                return True
        except OSError:  # no such file, no such process
            return False

    def stop(self) -> None:
        """End the emulated AWS, and wait until it has ended."""
        if not self.is_running():
            return
        pid = json.loads((self.folder / "aws.json").read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(timeout=60)
        deadline = time.monotonic() + 60
        while is_alive(pid) or self.is_running():
            if time.monotonic() > deadline:
                raise CannotDeploy(f"the emulated AWS (process {pid}) does not end: end it with `kill -9 {pid}`.")
            time.sleep(0.05)

    @property
    def endpoint(self) -> str:
        """The URL of the emulated AWS. Raises FileNotFoundError when it never started."""
        return str(json.loads((self.folder / "aws.json").read_text())["endpoint"])

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """Return a client of a service, with credentials or as the account's administrator."""
        credentials = {**ADMIN, **(credentials or {})}
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=credentials["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=credentials["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        )


def is_alive(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
