"""Runs a command of the project in this process."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import boto3
import pytest


class Result(NamedTuple):
    """The exit code of a command, and what it printed."""

    code: int
    stdout: str
    stderr: str


def run_command(main: Callable[[list[str]], None], arguments: list[str], **environment: str) -> Result:
    """Run a command with more environment variables."""
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials of an earlier test
        try:
            main(arguments)
        except SystemExit as exc:
            code = int(exc.code or 0)
    return Result(code, stdout.getvalue(), stderr.getvalue())
