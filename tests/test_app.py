"""The app as Lambda calls it: cases that a request over HTTP does not show."""

import base64
import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from bench.lambda_events import gateway_event
from in_process import tables_in_moto
from processes import ROOT

import app as event_api
from chalicelib import index, listing

BODY = json.dumps({"id": "a", "type": "t", "payload": {"n": 1}})
OTHER_BODY = BODY.replace('"a"', '"b"')


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


def test_author_is_the_gateways_request(table: Any) -> None:
    """An item has the token's key id and the request's id, which API Gateway's log and error responses have."""
    post(BODY)
    item = table.get_item(TableName="events", Key={"pk": {"S": "acme/a"}})["Item"]
    assert item["key_id"] == {"S": "4fJq0ZpXn2RkYw8T"}
    assert item["request_id"] == {"S": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"}


def test_tokens_retention_comes_from_the_authorizer(table: Any) -> None:
    """API Gateway passes the authorizer's context as text."""
    event = gateway_event("POST", "/events", None, f"[{BODY}]")
    event["requestContext"]["authorizer"]["retention"] = "60"  # type: ignore[index]
    before = int(time.time())
    assert event_api.app(event, Context)["statusCode"] == 207
    item = table.get_item(TableName="events", Key={"pk": {"S": "acme/a"}})["Item"]
    assert before + 60 <= int(item["expires_at"]["N"]) <= time.time() + 60


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
    for text in (str(len(valid)), f"000{len(valid)}"):  # RFC 9110, 8.6: one digit or more
        assert post(valid.decode(), ("Content-Length", text))["statusCode"] in (200, 201)
    for text in (f"{len(valid)}0", "0", "9" * 5000, "x"):
        assert post(valid.decode(), ("Content-Length", text))["statusCode"] == 400


def test_no_body_is_refused() -> None:
    """A POST without a body gets 400."""
    assert post(None)["statusCode"] == 400


@pytest.mark.parametrize("caller", [None, {}, {"principalId": "key"}, {"tenant": "", "scopes": "events:write"}])
def test_request_that_no_authorizer_allowed_is_refused(caller: dict[str, str] | None) -> None:
    """The tenant comes from the authorizer only: without it nothing is stored or read, whatever a header says."""
    for event in (
        gateway_event("POST", "/events", None, BODY),
        gateway_event("POST", "/events", None, f"[{BODY}]"),
        gateway_event("GET", "/events", None, None),
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
        ("GET", "/events", None, None, {404: 200}.get(read_status, read_status)),
        ("POST", "/events", None, f"[{BODY}]", {201: 207}.get(post_status, post_status)),
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
    assert (*kind(response), response["headers"]["Allow"]) == (405, "method-not-allowed", "GET, HEAD, POST")


# The list


def get_list(caller: str = "acme", **parameters: str) -> dict[str, Any]:
    """Return the response to a list."""
    event: dict[str, Any] = gateway_event("GET", "/events", None, None)
    event["requestContext"]["authorizer"]["tenant"] = caller
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in parameters.items()} or None
    return event_api.app(event, Context)


def test_link_has_the_stages_prefix() -> None:
    """Link is a reference to the stage's own path, as Location is."""
    post(f"[{BODY},{OTHER_BODY}]")
    response = get_list(limit="1", type="t.*")
    assert json.loads(get_list(limit="1", type="t").pop("body"))["has_more"] is True
    assert "Link" not in response["headers"]
    response = get_list(limit="1", type="t")
    cursor = json.loads(response["body"])["cursor"]
    assert response["headers"]["Link"] == f'</prod/events?limit=1&type=t&cursor={cursor}>; rel="next"'


@pytest.mark.parametrize("parameters", [None, {}])
def test_query_parameters_may_be_absent(parameters: Any) -> None:
    """API Gateway passes null without a query."""
    post(BODY)
    response = call("GET", "/events", None, None, multiValueQueryStringParameters=parameters)
    assert [event["id"] for event in json.loads(response["body"])["events"]] == ["a"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": []}, {"\ud800": ["1"]}, {"type": ["\ufffd"]}, {"subject": ["\udcff"]}, {"limit": ["1", "1"]},
        {"": [""]},
    ],
)
def test_damaged_query_is_refused(parameters: dict[str, list[str]]) -> None:
    """Whatever a gateway passes, the response is 400 and never 500."""
    response = call("GET", "/events", None, None, multiValueQueryStringParameters=parameters)
    assert kind(response) == (400, "invalid-query")


def test_cursor_of_another_tenant_shows_only_the_callers_events() -> None:
    """A cursor has a position and no tenant. Whoever made it, it lists events of the caller's token."""
    for tenant in ("acme", "other"):
        for event_id in ("a", "b", "c"):
            body = json.dumps({"id": f"{tenant}-{event_id}", "type": "t", "payload": {}})
            event = gateway_event("POST", "/events", None, body)
            event["requestContext"]["authorizer"]["tenant"] = tenant  # type: ignore[index]
            assert event_api.app(event, Context)["statusCode"] == 201
    query = listing.parse({"limit": ["1"]}, time.time())
    (position,) = [index.position_of(listed["created_at"], listed["id"]) for listed in listed_by("acme", limit="1")]
    forged = [query.cursor(end) for end in ("9999-12-31T23:59:59.999Z", f"{position}/x"[:24], position)]
    for cursor in (json.loads(get_list("acme", limit="1")["body"])["cursor"], *forged):
        assert {event["id"].partition("-")[0] for event in listed_by("other", cursor=cursor)} <= {"other"}
        assert {event["id"].partition("-")[0] for event in listed_by("acme", cursor=cursor)} == {"acme"}
    assert len(listed_by("other", cursor=forged[0])) == 3


def listed_by(caller: str, **parameters: str) -> list[dict[str, Any]]:
    """Return the events of a page."""
    response = get_list(caller, **parameters)
    assert response["statusCode"] == 200
    return json.loads(response["body"])["events"]


def test_setting_divides_the_indexes(monkeypatch: pytest.MonkeyPatch, table: Any) -> None:
    """INDEX_SHARDS is the number of shards. More shards find what fewer have stored."""
    post(BODY.replace('"a"', '"one"'))
    monkeypatch.setenv("INDEX_SHARDS", "16")
    post(BODY)
    items = table.scan(TableName="events")["Items"]
    assert {item["by_time"]["S"] for item in items} == {"acme/0", f"acme/{index.shard_of('a', 16)}"}
    assert [event["id"] for event in listed_by("acme")] == ["a", "one"]


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
