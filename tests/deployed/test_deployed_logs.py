"""`make logs` of the deployed stage: the request id of an error finds the request in the stage's logs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import logs_cli
import pytest
from callers import bearer, token_of
from chalicelib.token import READ
from deployed.faults import crashing_function, unreachable_table, without_token
from deployed.functions import FUNCTION
from processes import ROOT
from targets import Response, UrlApi, an_event, get, post

from emulator.stack import Stack


def refused(stack: Stack, api: UrlApi) -> Response:
    """Send no token."""
    del stack
    return get(without_token(api), "a")


def revoked(stack: Stack, api: UrlApi) -> Response:
    """Send a token that was revoked. The authorizer reads it."""
    token = token_of(stack.token_admin(), READ)
    stack.token_admin().revoke(token.split("_")[1])
    return get(api, "a", Authorization=bearer(token))


def unknown(stack: Stack, api: UrlApi) -> Response:
    """Get an event that does not exist."""
    del stack
    return get(api, "unknown")


def conflict(stack: Stack, api: UrlApi) -> Response:
    """Post another event with the same id."""
    del stack
    event = an_event()
    assert post(api, event).status == 201
    return post(api, {**event, "payload": {}})


def unreachable(stack: Stack, api: UrlApi) -> Response:
    """Get an event while the function cannot use its table."""
    with unreachable_table(stack, FUNCTION):
        return get(api, "unknown")


def crashed(stack: Stack, api: UrlApi) -> Response:
    """Get an event while the function ends with an exception."""
    with crashing_function(stack):
        return get(api, "unknown")


class Case(NamedTuple):
    """A request, its status, the logs that it is in, and a text that one of its lines has."""

    send: Callable[[Stack, UrlApi], Response]
    status: int
    logs: list[str]
    text: str


CASES = [
    Case(refused, 401, ["access"], "error=UNAUTHORIZED"),
    Case(revoked, 401, ["access", "authorizer"], "error=UNAUTHORIZED"),
    Case(unknown, 404, ["access", "function"], "event-not-found"),
    Case(conflict, 409, ["access", "function"], "event-conflict"),
    Case(unreachable, 503, ["access", "function"], "store-unavailable"),
    Case(crashed, 503, ["access", "function"], "TypeError: loads() takes 1 positional argument"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.send.__name__)
def test_request_id_finds_the_request(
    stack: Stack, url_api: UrlApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    """The command prints the line of the access log, and all lines of the functions that ran for the request."""
    get(url_api, "unknown")  # the gateway caches the token: later requests do not call the authorizer
    response = case.send(stack, url_api)
    assert response.status == case.status
    monkeypatch.setenv("LOCAL_AWS_DIR", str(stack.folder))
    logs_cli.main(["--stage", "emulated", "--request-id", response.json["request_id"]])
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:4].isdigit()]
    assert list(dict.fromkeys(line.split()[2] for line in lines)) == case.logs
    assert f"{case.status} " in lines[0] and f"request_id={response.json['request_id']}" in lines[0]
    assert case.text in "\n".join(lines)
    for log in case.logs[1:]:
        of_function = [line for line in lines if line.split()[2] == log]
        assert " START " in of_function[0] and " REPORT " in of_function[-1]


def test_logs_are_followed_until_ctrl_c(stack: Stack, url_api: UrlApi) -> None:
    """The command prints each new line of all three logs. Ctrl-C ends it without a traceback."""
    environment = {**os.environ, "LOCAL_AWS_DIR": str(stack.folder)}
    command = [sys.executable, "eventsapp/logs_cli.py", "--stage", "emulated"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        event = an_event()
        assert post(url_api, event, Authorization=bearer(stack.token())).status == 201
        while event["id"] not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        assert not process.stderr.read().strip()
    assert process.returncode == 130
