"""The audit log: a line for each request and each stored event, with ids, and never a payload, a token or a cursor."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from bench.lambda_events import gateway_event
from botocore.client import BaseClient
from faulty_store import FaultyStore
from in_process import app_tables, tables_in_moto
from leaks import CANARY, leaks
from processes import ROOT

import app as event_api

KEY_ID, REQUEST_ID = "4fJq0ZpXn2RkYw8T", "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
CALLER = {"request_id": REQUEST_ID, "tenant": "acme", "key_id": KEY_ID}
EVENT = {"id": "a", "type": "t", "payload": {"note": CANARY}}


class Context:
    """The part of Lambda's context that the app reads."""

    aws_request_id = "lambda-request"


@pytest.fixture(name="table")
def _table() -> Iterator[BaseClient]:
    """New tables for each test."""
    with tables_in_moto() as client:
        yield client


@pytest.fixture(name="lines")
def _lines(table: BaseClient, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines that the test's requests write. Levels, messages and durations are checked here and left out."""
    del table

    class Lines(list[dict[str, Any]]):
        """The lines. `take` returns those that are new."""

        def take(self) -> list[dict[str, Any]]:
            """Return the lines since the last call."""
            records = [record for record in caplog.records if record.name == "chalicelib.audit_log"]
            new = [dict(record.__dict__["fields"]) for record in records]
            caplog.clear()
            kinds = [(line.pop("level"), line.pop("message")) for line in new]
            assert kinds == [("INFO", "request" if "status" in line else "event") for line in new]
            durations = [line.pop("duration_ms") for line in new if "status" in line]
            assert all(0 <= duration < 60_000 for duration in durations)
            return new

    return Lines()


def post(body: Any, **headers: str) -> dict[str, Any]:
    """Post an event or a batch."""
    event = gateway_event("POST", "/events", None, body if isinstance(body, str) else json.dumps(body))
    event["multiValueHeaders"].update({name: [value] for name, value in headers.items()})  # type: ignore[attr-defined]
    return event_api.app(event, Context)


def get(event_id: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """Get an event."""
    event = gateway_event(method, "/events/{event_id}", {"event_id": event_id}, None)
    event["multiValueHeaders"].update({name: [value] for name, value in headers.items()})  # type: ignore[attr-defined]
    return event_api.app(event, Context)


def test_post_has_one_line(lines: Any) -> None:
    """The outcome says whether the event was stored, was there before, or conflicts; the bytes are the bodies'."""
    request = {"event_id": "a", "type": "t", "request_bytes": len(json.dumps(EVENT))}
    response = post(EVENT)
    size = len(response["body"])
    assert lines.take() == [{**CALLER, **request, "outcome": "stored", "response_bytes": size, "status": 201}]
    post(EVENT)
    assert lines.take() == [{**CALLER, **request, "outcome": "replayed", "response_bytes": size, "status": 200}]
    post({**EVENT, "type": "u"})
    assert lines.take() == [{**CALLER, **request, "type": "u", "outcome": "event-conflict", "status": 409}]
    post(EVENT, **{"If-None-Match": "*"})
    assert lines.take() == [{**CALLER, **request, "outcome": "event-exists", "status": 412}]


def test_bytes_are_not_characters(lines: Any) -> None:
    """The bytes count the body in UTF-8."""
    body = '{"id":"a","type":"t","payload":{"s":"\u00e9\u20ac"}}'
    response = post(body)
    (line,) = lines.take()
    assert (line["request_bytes"], line["response_bytes"]) == (len(body.encode()), len(response["body"].encode()))


def test_read_has_one_line(lines: Any) -> None:
    """A read has the id that was asked for, whether the event exists or not; an invalid id is not repeated."""
    post(EVENT)
    lines.take()
    size = len(get("a")["body"])
    found = {**CALLER, "event_id": "a", "type": "t"}
    assert lines.take() == [{**found, "outcome": "found", "response_bytes": size, "status": 200}]
    get("a", "HEAD")
    assert lines.take() == [{**found, "outcome": "found", "response_bytes": size, "status": 200}]
    get("a", **{"If-None-Match": "*"})
    assert lines.take() == [{**found, "outcome": "not-modified", "status": 304}]
    get("unknown")
    assert lines.take() == [{**CALLER, "event_id": "unknown", "outcome": "event-not-found", "status": 404}]
    get("no id")
    assert lines.take() == [{**CALLER, "outcome": "event-not-found", "status": 404}]


def test_list_has_one_line(lines: Any) -> None:
    """A list has the number of events, and nothing of the query."""
    post([{**EVENT, "id": f"e{number}"} for number in range(3)])
    lines.take()
    cursor = ""
    for count in (2, 1):
        parameters = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        body = event_api.app(gateway_event("GET", "/events", None, None, **parameters), Context)["body"]
        (line,) = lines.take()
        assert line == {**CALLER, "outcome": "listed", "events": count, "response_bytes": len(body), "status": 200}
        cursor = json.loads(body)["cursor"]
    event_api.app(gateway_event("GET", "/events", None, None, cursor=cursor[:-1]), Context)
    assert lines.take() == [{**CALLER, "outcome": "invalid-query", "status": 400}]


def test_batch_has_a_line_for_each_stored_event(lines: Any) -> None:
    """Each id can be found as one that was posted alone. The request's own line has the counts."""
    post(EVENT)
    lines.take()
    batch = [EVENT, {**EVENT, "id": "b"}, {**EVENT, "type": "u"}, {"type": "-"}, {**EVENT, "id": "c", "type": "u"}]
    response = post(batch)
    sizes = {"request_bytes": len(json.dumps(batch)), "response_bytes": len(response["body"])}
    assert lines.take() == [
        {**CALLER, "outcome": "stored", "event_id": "b", "type": "t"},
        {**CALLER, "outcome": "stored", "event_id": "c", "type": "u"},
        {**CALLER, **sizes, "outcome": "batch", "stored": 2, "replayed": 1, "refused": 2, "status": 207},
    ]


def test_problem_has_a_line_with_its_type(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function logs each request, also those that it does not understand."""
    post("{")
    assert lines.take() == [{**CALLER, "request_bytes": 1, "outcome": "invalid-event", "status": 400}]
    event_api.app(gateway_event("DELETE", "/events", None, None), Context)
    assert lines.take() == [{"request_id": REQUEST_ID, "outcome": "method-not-allowed", "status": 405}]
    event_api.app({"warm": "up"}, Context)
    assert lines.take() == [{"request_id": "unknown", "outcome": "internal-error", "status": 500}]
    monkeypatch.setenv("RETENTION_DAYS", "not a number")
    get("a")
    assert lines.take() == [{**CALLER, "outcome": "internal-error", "status": 500}]


ON_LAMBDA = """
import json, sys
import app
class Context:
    aws_request_id = "lambda-request"
for event in json.load(sys.stdin):
    app.app(event, Context)
"""


def test_lambda_gets_json_lines_on_stdout(recorder: FaultyStore) -> None:
    """On Lambda, each line is a JSON object of its own, which CloudWatch Logs takes unchanged."""
    events = [
        gateway_event("POST", "/events", None, json.dumps(EVENT)),
        gateway_event("POST", "/events", None, json.dumps([EVENT, {**EVENT, "id": "b"}])),
        gateway_event("GET", "/events/{event_id}", {"event_id": "altered"}, None),
        gateway_event("GET", "/events", None, None, cursor="x"),
    ]
    with app_tables(recorder.upstream) as client:
        client.put_item(TableName="events", Item={"pk": {"S": "acme/altered"}, "payload": {"S": CANARY}})
        environment = {
            **os.environ, "AWS_LAMBDA_FUNCTION_NAME": "event-api-test", "AWS_ENDPOINT_URL_DYNAMODB": recorder.upstream,
        }  # fmt: skip
        output = subprocess.run(
            [sys.executable, "-c", ON_LAMBDA], input=json.dumps(events), cwd=ROOT / "eventsapp", env=environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    lines = [json.loads(line) for line in output.stdout.splitlines()]
    assert [(line["level"], line.get("outcome"), line.get("event_id")) for line in lines] == [
        ("INFO", "stored", "a"),
        ("INFO", "stored", "b"),
        ("INFO", "batch", None),
        ("ERROR", None, "altered"),
        ("INFO", "stored-event-altered", "altered"),
        ("INFO", "invalid-query", None),
    ]
    assert {line["message"] for line in lines if line["level"] == "INFO"} == {"request", "event"}
    assert lines[3]["function"] == "event-api-test" and lines[3]["StoredEventAltered"] == 1
    assert leaks(output.stdout + output.stderr) == [] and output.stderr == ""
