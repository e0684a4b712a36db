"""The command line of `make logs`: follows a stage's logs, or shows the lines of one request. Not shipped."""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import click
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from aws_errors import explained
from duration import UNITS, seconds_of
from token_stage import client_of, deployed_name, stage_names

PAUSE = 3  # seconds between two reads; AWS permits an account five of these calls a second
OVERLAP = 60  # seconds that each read goes back, because a line can arrive late
SHOWN_FIRST = ("message", "outcome", "method", "resource", "status")
NOT_SHOWN = ("extended_request_id", "trace_id", "time", "timestamp", "level", "tls", "_aws")

Event = dict[str, Any]  # a log event of CloudWatch Logs


def main(arguments: list[str]) -> None:
    """Run the command. Lines go to stdout, messages to stderr."""
    try:
        logs.main(arguments, prog_name="make logs", standalone_mode=False)
    except click.ClickException as exc:
        click.echo(f"make logs: {exc.format_message()}", err=True)
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)  # as a shell reports Ctrl-C
    except BrokenPipeError:  # the other program has ended, as in `make logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def seconds(text: str) -> int:
    """Return the seconds of a text like 12h. Raises BadParameter."""
    return seconds_of(text, 4, "30m, 12h or 30d")


def request_id_of(text: str) -> str:
    """Return a request id. Raises BadParameter."""
    if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", text):
        raise click.BadParameter(f"{text!r} is not a request id: copy `request_id` from the error response.")
    return text


@click.command()
@click.option("--stage", type=click.Choice([name for name in stage_names() if name != "local"]), required=True)
@click.option("--request-id", type=request_id_of)
@click.option("--since", type=seconds, help="How far back to look: 30m, 12h, 30d.")
def logs(stage: str, request_id: str | None, since: int | None) -> None:
    """Follow the access log and both functions' logs of a stage, or show the lines of one request."""
    with explained(stage, f"the logs of {stage} cannot be read", explain):
        stage_logs = StageLogs(stage)
        if request_id is None:
            for line in stage_logs.follow(time.time() - (since or OVERLAP)):
                click.echo(line)
        else:
            show(stage_logs, request_id, since or UNITS["d"])


def show(stage_logs: "StageLogs", request_id: str, since: int) -> None:
    """Print the lines of a request; end with an error if there are none."""
    lines = stage_logs.of_request(request_id, time.time() - since)
    if not lines:
        raise click.ClickException(
            f"no line of the last {since // 60} minutes has the request id {request_id}. A new line takes some "
            "seconds: try again. For an older request, add SINCE=30d. For another stage, set STAGE."
        )
    for line in lines:
        click.echo(line)


def explain(error: ClientError, stage: str) -> str:
    """Return what an error of CloudWatch Logs means for a stage, and what to do."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ResourceNotFoundException":
        return f"the stage {stage} has no such log in this account and region: deploy it first. AWS said: {message}"
    if code == "AccessDeniedException":
        return f"{message}: your credentials need logs:FilterLogEvents on the log groups of event-api-{stage}."
    if code in ("ExpiredTokenException", "UnrecognizedClientException"):
        return f"your AWS credentials are not valid or have expired ({message}): log in again."
    return str(error)


class StageLogs:
    """The logs of a stage in CloudWatch Logs. `explained` handles the errors that it raises."""

    def __init__(self, stage: str) -> None:
        self._client: BaseClient = client_of("logs", stage)
        name = deployed_name(stage)
        self._groups = {
            "access": f"/aws/apigateway/{name}",
            "function": f"/aws/lambda/{name}",
            "authorizer": f"/aws/lambda/{name}-authorizer",
        }

    def follow(self, start: float) -> Iterator[str]:
        """Yield each line since a time in seconds, then each new line, for ever."""
        shown: dict[tuple[Any, ...], int] = {}  # an event => its time in milliseconds
        while True:
            read_at = time.time()  # the reading, and a terminal that stands still, can take minutes
            found = [(log, event) for log in self._groups for event in self._events(log, start)]
            for log, event in sorted(found, key=lambda pair: pair[1]["timestamp"]):
                key = (log, event["logStreamName"], event["timestamp"], event["message"])
                if key not in shown:
                    shown[key] = event["timestamp"]
                    yield line_of(log, event)
            start = max(start, read_at - OVERLAP)
            shown = {key: at for key, at in shown.items() if at >= start * 1000}
            time.sleep(PAUSE)

    def of_request(self, request_id: str, start: float) -> list[str]:
        """Return the lines of a request since a time in seconds: of the access log, then of the functions."""
        access = self._of_request("access", request_id, start)
        lines = [line_of("access", event) for event in access]
        members = [parsed(event["message"]) or {} for event in access]
        for log, member in (("authorizer", "authorizer_request_id"), ("function", "function_request_id")):
            ids = [entry[member] for entry in members if entry.get(member, "-") != "-"]
            events = [event for own_id in ids for event in self._invocation(log, own_id, start)]
            if log == "function" and not events:  # for example, the access log's line has not arrived yet
                events = self._of_request(log, request_id, start)
            lines += [line_of(log, event) for event in events]
        return lines

    def _of_request(self, log: str, request_id: str, start: float) -> list[Event]:
        """Return the lines of JSON that have a request's id."""
        events = self._events(log, start, filterPattern=f'"{request_id}"')
        return [event for event in events if (parsed(event["message"]) or {}).get("request_id") == request_id]

    def _invocation(self, log: str, request_id: str, start: float) -> list[Event]:
        """Return the events of one invocation. Lambda writes its id into the first and the last one."""
        marks = self._events(log, start, filterPattern=f'"{request_id}"')
        if not marks:
            return []
        stream, first, last = marks[0]["logStreamName"], marks[0]["timestamp"], marks[-1]["timestamp"]
        events = self._events(log, first / 1000, logStreamNames=[stream], endTime=last + 1)
        numbers = [number for number, event in enumerate(events) if request_id in event["message"]]
        return events[numbers[0] : numbers[-1] + 1]

    def _events(self, log: str, start: float, **parameters: Any) -> list[Event]:
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=self._groups[log], startTime=int(start * 1000), **parameters
        )
        return [event for page in pages for event in page["events"]]


def line_of(log: str, event: Event) -> str:
    """Return a log event as a line for a terminal: its time in UTC, its log, and what it says."""
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    members = parsed(event["message"])
    text = event["message"].strip().replace("\t", "  ") if members is None else described(members)
    return f"{at}  {log:10}  {printable(text)}"


def described(members: dict[str, Any]) -> str:
    """Return the members of a line of JSON: the important values first, then the others with their names."""
    shown = {name: value for name, value in members.items() if name not in NOT_SHOWN and value != "-"}
    first = [str(shown.pop(name)) for name in SHOWN_FIRST if name in shown]
    return " ".join(first + [f"{name}={value}" for name, value in shown.items()])


def parsed(message: str) -> dict[str, Any] | None:
    """Return the members of a line of JSON, or None."""
    try:
        members = json.loads(message)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None


def printable(text: str) -> str:
    """Return a text without characters that control a terminal: a caller chooses parts of a log."""
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


if __name__ == "__main__":
    main(sys.argv[1:])
