"""`make logs`: it shows a request's lines, and each error is a clear sentence. tests/deployed has the whole."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import logs_cli
import pytest
from command_line import Result, run_command
from in_process import aws_in_moto
from logs_cli import StageLogs
from processes import free_port
from token_stage import region_of

REQUEST_ID, FUNCTION_ID = "11111111-aaaa", "22222222-bbbb"
GROUPS = ("/aws/apigateway/event-api-dev", "/aws/lambda/event-api-dev", "/aws/lambda/event-api-dev-authorizer")
ACCESS = {
    "error": "-", "extended_request_id": REQUEST_ID, "function_request_id": FUNCTION_ID, "latency_ms": "12",
    "method": "GET", "request_id": REQUEST_ID, "resource": "/events/{event_id}", "status": "503", "tls": "TLSv1.3",
}  # fmt: skip
OTHER = {"request_id": "other", "key_id": REQUEST_ID}  # the id in another member
FUNCTION = (
    f"START RequestId: {FUNCTION_ID} Version: 7",
    "[ERROR] \x1b[31mKeyError: 'a'\nTraceback (most recent call last):",
    f"REPORT RequestId: {FUNCTION_ID}\tDuration: 10 ms",
)


def run(*arguments: str, **environment: str) -> Result:
    """Run `make logs` in this process, with more environment variables."""
    return run_command(logs_cli.main, list(arguments), **environment)


@pytest.fixture(name="account", scope="module")
def _account() -> Iterator[str]:
    """The endpoint of an AWS account in moto, with the logs of `dev` and a request in them."""
    endpoint = aws_in_moto()
    client = boto3.client("logs", endpoint_url=endpoint, region_name=region_of("dev"))
    for group, messages in zip(GROUPS, ([json.dumps(ACCESS), json.dumps(OTHER)], FUNCTION, []), strict=True):
        client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName="a")
        now = int(time.time() * 1000)
        events = [{"timestamp": now + number, "message": message} for number, message in enumerate(messages)]
        if events:
            client.put_log_events(logGroupName=group, logStreamName="a", logEvents=events)
    yield endpoint
    for group in GROUPS:
        client.delete_log_group(logGroupName=group)


def test_request_has_all_its_lines(account: str) -> None:
    """The function's lines have the traceback, without characters that control a terminal."""
    result = run("--stage", "dev", "--request-id", REQUEST_ID, AWS_ENDPOINT_URL=account)
    assert (result.code, result.stderr) == (0, "")
    texts = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in result.stdout.splitlines()]
    ids = f"function_request_id={FUNCTION_ID} latency_ms=12 request_id={REQUEST_ID}"
    assert texts == [
        f"access      GET /events/{{event_id}} 503 {ids}",
        f"function    START RequestId: {FUNCTION_ID} Version: 7",
        "function    [ERROR] \\x1b[31mKeyError: 'a'",
        "Traceback (most recent call last):",
        f"function    REPORT RequestId: {FUNCTION_ID}  Duration: 10 ms",
    ]


def test_followed_line_appears_once(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints the lines of the last minute, then each new line, until Ctrl-C."""
    client = boto3.client("logs", endpoint_url=account, region_name=region_of("dev"))
    new = [{"timestamp": int(time.time() * 1000) + 5000, "message": '{"message": "new"}'}]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt
        client.put_log_events(logGroupName=GROUPS[2], logStreamName="a", logEvents=new)

    monkeypatch.setattr(time, "sleep", pause)
    result = run("--stage", "dev", AWS_ENDPOINT_URL=account)
    assert (result.code, result.stderr.strip(), len(pauses)) == (130, "", 2)
    lines = result.stdout.splitlines()
    assert len(lines) == 7 and lines[-1].endswith("  authorizer  new")


def test_line_that_arrives_while_the_terminal_stands_still_is_shown(
    account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader may stop the output for an hour, as with Ctrl-S."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", account)
    reads = iter(range(3))
    monkeypatch.setattr(time, "sleep", lambda seconds: next(reads))
    client = boto3.client("logs", endpoint_url=account, region_name=region_of("dev"))
    client.create_log_stream(logGroupName=GROUPS[2], logStreamName="still")
    start = time.time()
    followed = StageLogs("dev").follow(start - 1)

    def add(message: str, after: float) -> None:
        new = [{"timestamp": int((start + after) * 1000), "message": message}]
        client.put_log_events(logGroupName=GROUPS[2], logStreamName="still", logEvents=new)

    add("first", 10)
    while not next(followed).endswith("  first"):
        pass
    add("second", 30)
    monkeypatch.setattr(time, "time", lambda: start + 3600)
    assert next(followed).endswith("  second")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--stage", "dev", "--request-id", "unknown"], "no line of the last 1440 minutes has the request id unknown"),
        (["--stage", "dev", "--request-id", "none", "--since", "12h"], "no line of the last 720 minutes"),
        (["--stage", "prod", "--request-id", "a"], "the stage prod has no such log in this account and region: deploy"),
        (["--stage", "local"], "'local' is not one of 'emulated', 'dev'"),
        (["--stage", "dev", "--request-id", '"'], "copy `request_id` from the error response"),
        (["--stage", "dev", "--since", "1 h"], "'1 h' is not a time"),
    ],
    ids=str,
)
def test_wrong_arguments_are_explained(account: str, arguments: list[str], sentence: str) -> None:
    """A sentence says what is wrong."""
    result = run(*arguments, AWS_ENDPOINT_URL=account)
    assert result.code != 0 and result.stderr.startswith("make logs: ") and sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_credentials_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials, a sentence says how to get them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    nowhere = {name: str(tmp_path / "none") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    result = run("--stage", "dev", **nowhere, AWS_EC2_METADATA_DISABLED="true")
    assert result.code == 1 and result.stderr.startswith("make logs: there are no AWS credentials: log in")


def test_stage_that_does_not_run_is_explained(tmp_path: Path) -> None:
    """A sentence says how to start the emulated stage: before its first start, and after its end."""
    assert "start it with `make deploy-local`" in run("--stage", "emulated", LOCAL_AWS_DIR=str(tmp_path)).stderr
    address = {"endpoint": f"http://127.0.0.1:{free_port()}"}
    (tmp_path / "aws.json").write_text(json.dumps(address))
    result = run("--stage", "emulated", LOCAL_AWS_DIR=str(tmp_path))
    assert result.code == 1 and result.stderr.endswith("Start it with `make deploy-local`.\n")
