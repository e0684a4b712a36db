"""The app as Lambda calls it: cases that a request over HTTP does not show."""

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from bench.lambda_events import gateway_event
from in_process import tables_in_moto
from processes import ROOT

import app as event_api

BODY = json.dumps({"id": "a", "type": "t", "payload": {"n": 1}})


class Context:
    """The part of Lambda's context that the app reads."""

    aws_request_id = "lambda-request"


@pytest.fixture(name="table", autouse=True)
def _table() -> Any:
    """New tables for each test."""
    with tables_in_moto() as client:
        yield client


def post(body: str | None, *lines: tuple[str, str], **members: Any) -> dict[str, Any]:
    """Return the response to a POST with more header lines; keywords replace members of the gateway's event."""
    return call("POST", "/events", None, body, *lines, **members)


def get(event_id: str, *lines: tuple[str, str], method: str = "GET") -> dict[str, Any]:
    """Return the response to a GET with more header lines."""
    return call(method, "/events/{event_id}", {"event_id": event_id}, None, *lines)


def call(
    method: str, resource: str, parameters: Any, body: str | None, *lines: tuple[str, str], **members: Any
) -> dict[str, Any]:
    """Return the response to a request. API Gateway passes every header line, and the last one of each name."""
    event: dict[str, Any] = {**gateway_event(method, resource, parameters, body), **members}
    for name, value in lines:
        event["headers"][name] = value
        event["multiValueHeaders"].setdefault(name, []).append(value)
    return event_api.app(event, Context)


def kind(response: dict[str, Any]) -> tuple[int, str]:
    """Return the status and the type of a problem."""
    return response["statusCode"], json.loads(response["body"])["type"].removeprefix("urn:event-api:problem:")


def test_location_has_the_stages_prefix() -> None:
    """Location starts with the name of the stage."""
    assert post(BODY)["headers"]["Location"] == "/prod/events/a"


def test_body_may_come_as_base64() -> None:
    """API Gateway may pass a body as base64. The event is the same."""
    encoded = base64.b64encode(BODY.encode()).decode()
    assert post(encoded, isBase64Encoded=True)["statusCode"] == 201
    assert json.loads(get("a")["body"])["payload"] == {"n": 1}


@pytest.mark.parametrize("extra", [0, 1])
def test_body_limit_is_counted_after_base64(extra: int) -> None:
    """The limit counts the bytes that the caller sent."""
    body = BODY + " " * (262_144 + extra - len(BODY))
    response = post(base64.b64encode(body.encode()).decode(), isBase64Encoded=True)
    assert response["statusCode"] == (413 if extra else 201)


def test_body_that_the_gateway_changed_is_refused() -> None:
    """API Gateway replaces bytes that are not UTF-8 with U+FFFD. Such a body is refused."""
    sent = b'{"id":"a","type":"t","payload":{"s":"\xff"}}'
    response = post(sent.decode(errors="replace"), ("Content-Length", str(len(sent))))
    assert response["statusCode"] == 400
    assert [fault["pointer"] for fault in json.loads(response["body"])["errors"]] == [""]
    valid = sent.replace(b"\xff", "\ufffd".encode())
    assert post(valid.decode(), ("Content-Length", str(len(valid))))["statusCode"] == 201


def test_no_body_is_refused() -> None:
    """A POST without a body gets 400."""
    assert post(None)["statusCode"] == 400


@pytest.mark.parametrize("caller", [None, {}, {"principalId": "key"}, {"tenant": "", "scopes": "events:write"}])
def test_request_that_no_authorizer_allowed_is_refused(caller: dict[str, str] | None) -> None:
    """The tenant comes from the authorizer only: without it nothing is stored or read, whatever a header says."""
    for event in (
        gateway_event("POST", "/events", None, BODY),
        gateway_event("GET", "/events/{event_id}", {"event_id": "a"}, None),
    ):
        event["requestContext"]["authorizer"] = caller  # type: ignore[index]
        event["headers"]["X-Tenant"] = event["headers"]["tenant"] = "acme"  # type: ignore[index]
        response = event_api.app(event, Context)
        assert (response["statusCode"], response["headers"]["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("scopes", "post_status", "read_status"),
    [
        ({"scopes": "events:read events:write"}, 201, 404),
        ({"scopes": "events:write"}, 201, 403),
        ({"scopes": "events:read"}, 403, 404),
        ({"scopes": "events:writer events:reader"}, 403, 403),
        ({"scopes": ""}, 403, 403),
        ({}, 403, 403),
    ],
)
def test_route_checks_the_scope_itself(scopes: dict[str, str], post_status: int, read_status: int) -> None:
    """API Gateway executes the method of X-HTTP-Method-Override, but checks the policy for the method that was sent.

    So each route needs its own scope in the authorizer's context. No scopes there means none.
    """
    for method, resource, parameters, body, status in (
        ("POST", "/events", None, BODY, post_status),
        ("GET", "/events/{event_id}", {"event_id": "unknown"}, None, read_status),
        ("HEAD", "/events/{event_id}", {"event_id": "unknown"}, None, read_status),
    ):
        event = gateway_event(method, resource, parameters, body)
        event["requestContext"]["authorizer"] = {"tenant": "acme", **scopes}  # type: ignore[index]
        response = event_api.app(event, Context)
        assert response["statusCode"] == status
        if status == 403:
            assert kind(response) == (403, "forbidden")
            assert response["headers"]["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'


def test_other_method_is_405_with_any_scope() -> None:
    """A token without scopes gets the 405 of a method that the path does not support."""
    event = gateway_event("DELETE", "/events", None, None)
    event["requestContext"]["authorizer"] = {"tenant": "acme"}  # type: ignore[index]
    response = event_api.app(event, Context)
    assert (*kind(response), response["headers"]["Allow"]) == (405, "method-not-allowed", "GET, POST")


# Headers in several lines


def lines_of(name: str, *values: str) -> list[tuple[str, str]]:
    """Return one header line for each value."""
    return [(name, value) for value in values]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("values", [['"x"', "{}"], ["{}", '"x"'], ['"x"', 'W/{}, "y"'], ['"x"', "*"], ['"a,b"', "{}"]])
def test_if_none_match_lines_combine(values: list[str], method: str) -> None:
    """The lines of If-None-Match are one list (RFC 9110, 5.3): if one of them has the ETag, the response is 304."""
    etag = post(BODY)["headers"]["ETag"]
    lines = lines_of("If-None-Match", *(value.format(etag) for value in values))
    assert get("a", *lines, method=method)["statusCode"] == 304
    assert get("a", *lines_of("If-None-Match", '"x"', '"y"'), method=method)["statusCode"] == 200


@pytest.mark.parametrize("values", [['"x"', "*"], ["*", '"x"'], ['"x", *'], ['"x"', "{}"]])
def test_if_none_match_lines_combine_on_post(values: list[str]) -> None:
    """If one line of If-None-Match excludes the stored event, the response is 412."""
    etag = post(BODY)["headers"]["ETag"]
    lines = lines_of("If-None-Match", *(value.format(etag) for value in values))
    assert kind(post(BODY, *lines)) == (412, "event-exists")


def test_header_names_have_no_case() -> None:
    """A client may spell the lines of one header in several ways."""
    etag = post(BODY)["headers"]["ETag"]
    assert get("a", ("if-none-match", '"x"'), ("IF-NONE-MATCH", etag))["statusCode"] == 304


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (lines_of("Content-Encoding", "identity", "gzip"), (415, "unsupported-media-type")),
        (lines_of("Content-Encoding", "gzip", "identity"), (415, "unsupported-media-type")),
        (lines_of("Content-Type", "application/json"), (415, "unsupported-media-type")),
        (lines_of("Content-Type", "text/plain"), (415, "unsupported-media-type")),
        (lines_of("Content-Type", "application/json; charset=utf-8"), (415, "unsupported-media-type")),
        (lines_of("Authorization", "Bearer one", "Bearer two"), (400, "bad-request")),
    ],
)
def test_header_that_must_stand_once_is_refused_twice(lines: list[tuple[str, str]], expected: tuple[int, str]) -> None:
    """Content-Type and Authorization have one line; gateway_event already has a Content-Type. No coding hides."""
    assert kind(post(BODY, *lines)) == expected
    assert get("a")["statusCode"] == 404


def test_several_identity_codings_are_none() -> None:
    """Content-Encoding: identity changes nothing, however often it is sent."""
    assert post(BODY, *lines_of("Content-Encoding", "identity", "Identity"))["statusCode"] == 201


def test_problem_names_the_gateways_request() -> None:
    """The request_id of a problem is the one in the access log."""
    assert json.loads(get("unknown")["body"])["request_id"] == "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def test_problem_names_lambdas_request_without_a_gateway() -> None:
    """Without a request id of the gateway, a problem has the one of the function."""
    event = gateway_event("GET", "/events/{event_id}", {"event_id": "-"}, None)
    del event["requestContext"]["requestId"]  # type: ignore[attr-defined]
    assert json.loads(event_api.app(event, Context)["body"])["request_id"] == "lambda-request"


def test_unhandled_exception_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected exception is a 500. Only the log has its cause."""
    monkeypatch.setenv("RETENTION_DAYS", "a secret of the configuration")
    response = post(BODY)
    assert response["statusCode"] == 500
    assert response["headers"]["Content-Type"] == "application/problem+json"
    body = json.loads(response["body"])
    assert (body["type"], body["status"]) == ("urn:event-api:problem:internal-error", 500)
    assert "secret" not in response["body"] and "secret" in caplog.text


def test_direct_invocation_is_refused() -> None:
    """An invocation that is not a request of API Gateway gets a problem, not a traceback."""
    response = event_api.app({"warm": "up"}, Context)
    assert response["statusCode"] == 500
    assert json.loads(response["body"])["type"] == "urn:event-api:problem:internal-error"


@pytest.mark.parametrize(("days", "longest"), [("1", 86_400), ("100000", 31_536_000), ("0", 31_536_000)])
def test_event_is_not_cached_after_its_retention(
    monkeypatch: pytest.MonkeyPatch, days: str, longest: int
) -> None:
    """max-age is at most the retention, and at most a year."""
    monkeypatch.setenv("RETENTION_DAYS", days)
    assert post(BODY)["statusCode"] == 201
    max_age = int(get("a")["headers"]["Cache-Control"].split(", ")[1].removeprefix("max-age="))
    assert longest - 5 <= max_age <= longest


@pytest.mark.parametrize(("on_lambda", "clients"), [(True, "1"), (False, "0")])
def test_client_is_created_in_lambdas_init(on_lambda: bool, clients: str) -> None:
    """An import of the app creates the client on Lambda, and nothing elsewhere."""
    environment = {**os.environ, **({"AWS_LAMBDA_FUNCTION_NAME": "f"} if on_lambda else {})}
    code = "import app; print(app.dynamodb.cache_info().currsize)"
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, cwd=ROOT / "eventsapp", env=environment, text=True).strip() == clients
