"""Cross-origin requests, as the function answers them. tests/deployed and terraform/tests check the gateway's part."""

import json
from collections.abc import Iterator
from typing import Any

import app as event_api
import pytest
from bench.lambda_events import gateway_event
from in_process import tables_in_moto

BODY = json.dumps({"id": "a", "type": "t", "payload": {}})
APP, OTHER = "https://app.example.com", "https://other.example.com"


class Context:
    """The part of Lambda's context that the app reads."""

    aws_request_id = "lambda-request"


@pytest.fixture(autouse=True)
def _tables() -> Iterator[None]:
    """Tables for the app."""
    with tables_in_moto():
        yield


def call(method: str, event_id: str | None, body: str | None = None, **headers: str) -> dict[str, Any]:
    """Return the response to a request; keywords are headers."""
    resource, parameters = ("/events", None) if event_id is None else ("/events/{event_id}", {"event_id": event_id})
    event: dict[str, Any] = gateway_event(method, resource, parameters, body)
    for name, value in headers.items():
        event["headers"][name.replace("_", "-")] = value
        event["multiValueHeaders"][name.replace("_", "-")] = [value]
    return event_api.app(event, Context)


def preflight(
    origin: str, event_id: str | None = None, requested: str = "authorization,content-type"
) -> dict[str, Any]:
    """Return the response to a preflight. It carries no token, so the gateway calls no authorizer."""
    resource, parameters = ("/events", None) if event_id is None else ("/events/{event_id}", {"event_id": event_id})
    event: dict[str, Any] = gateway_event("OPTIONS", resource, parameters, None)
    del event["requestContext"]["authorizer"]
    lines = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    lines["Access-Control-Request-Headers"] = requested
    event["headers"].update(lines)
    event["multiValueHeaders"].update({name: [value] for name, value in lines.items()})
    return event_api.app(event, Context)


def cors_headers(response: dict[str, Any]) -> dict[str, str]:
    """Return the CORS headers of a response."""
    return {name: value for name, value in response["headers"].items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("event_id", [None, "a"])
def test_without_origins_nothing_is_added(event_id: str | None) -> None:
    """By default no page of another origin may call: no response has a CORS header, and OPTIONS is 405."""
    response = preflight(APP, event_id)
    assert (response["statusCode"], cors_headers(response)) == (405, {})
    created = call("POST", None, BODY, Origin=APP)
    assert (created["statusCode"], cors_headers(created), "Vary" in created["headers"]) == (201, {}, False)
    assert call("GET", "a", Origin=APP)["headers"]["Vary"] == "Authorization, Accept"


@pytest.mark.parametrize("event_id", [None, "a"])
@pytest.mark.parametrize("origins", [APP, f"{OTHER} {APP}", "*"])
def test_preflight_of_an_allowed_origin(monkeypatch: pytest.MonkeyPatch, origins: str, event_id: str | None) -> None:
    """A preflight without a token gets 204, and what the page may send."""
    monkeypatch.setenv("CORS_ORIGINS", origins)
    response = preflight(APP, event_id)
    assert (response["statusCode"], response["body"]) == (204, "")
    assert cors_headers(response) == {
        "Access-Control-Allow-Origin": "*" if origins == "*" else APP,
        "Access-Control-Expose-Headers": "ETag, Location, Link, Idempotent-Replayed, Retry-After, WWW-Authenticate",
        "Access-Control-Allow-Methods": "GET, HEAD, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match",
        "Access-Control-Max-Age": "7200",
    }
    assert response["headers"].get("Vary") == (None if origins == "*" else "Origin")


@pytest.mark.parametrize(
    ("requested", "allowed"),
    [
        ("ce-id,ce-source, Ce-Type,content-type", ", ce-id, ce-source, ce-type"),
        ("ce-x1", ", ce-x1"),
        ("x-ce-a,ce-,ce-a_b,ce-a-b,ce-é,ce-a\r\nx-evil: 1,*,cookie,", ""),
        ("ce-a:b, ce-a;b, ce-a\x00", ""),
    ],
)
def test_page_may_send_the_headers_of_a_cloudevent(
    monkeypatch: pytest.MonkeyPatch, requested: str, allowed: str
) -> None:
    """The names of extensions are the page's own, so the response repeats them. It repeats nothing else."""
    monkeypatch.setenv("CORS_ORIGINS", APP)
    names = cors_headers(preflight(APP, None, requested))["Access-Control-Allow-Headers"]
    assert names == "Authorization, Content-Type, If-Match, If-None-Match" + allowed
    assert "Access-Control-Allow-Headers" not in cors_headers(preflight(OTHER, None, requested))


@pytest.mark.parametrize("origin", [OTHER, f"{APP}:8443", "http://app.example.com", "null", f"{APP}, {APP}"])
def test_preflight_of_another_origin_allows_nothing(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    """The response names no origin, so the browser does not send the request. A cache keeps it for this origin."""
    monkeypatch.setenv("CORS_ORIGINS", APP)
    response = preflight(origin)
    assert (response["statusCode"], cors_headers(response), response["headers"]["Vary"]) == (204, {}, "Origin")


def test_options_without_a_preflights_headers_is_405(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPTIONS is not a method of the API: only a preflight gets 204."""
    monkeypatch.setenv("CORS_ORIGINS", APP)
    for headers in ({}, {"Origin": APP}, {"Access_Control_Request_Method": "POST"}):
        response = call("OPTIONS", "a", **headers)
        assert (response["statusCode"], sorted(response["headers"]["Allow"].split(", "))) == (405, ["GET", "HEAD"])


@pytest.mark.parametrize("origins", [APP, "*"])
def test_every_response_has_the_headers(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    """A page can read 201, 200, 304, and every error."""
    monkeypatch.setenv("CORS_ORIGINS", origins)
    created = call("POST", None, BODY, Origin=APP)
    etag = created["headers"]["ETag"]
    responses = {
        201: created,
        200: call("GET", "a", Origin=APP),
        304: call("GET", "a", Origin=APP, If_None_Match=etag),
        404: call("GET", "unknown", Origin=APP),
        400: call("POST", None, "{}", Origin=APP),
        405: call("DELETE", "a", Origin=APP),
        412: call("POST", None, BODY, Origin=APP, If_None_Match="*"),
        409: call("POST", None, BODY.replace('"t"', '"u"'), Origin=APP),
    }
    monkeypatch.setenv("RETENTION_DAYS", "not a number")
    responses[500] = call("GET", "a", Origin=APP)
    for status, response in responses.items():
        assert response["statusCode"] == status
        assert response["headers"]["Access-Control-Allow-Origin"] == ("*" if origins == "*" else APP)
        assert "Retry-After" in response["headers"]["Access-Control-Expose-Headers"]
        vary = ["Authorization, Accept"] if status in (200, 304) else []
        vary += [] if origins == "*" else ["Origin"]
        assert response["headers"].get("Vary") == (", ".join(vary) or None)


def test_request_without_an_origin_is_the_same_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is no browser sends no Origin, and is served. A cache must not reuse the response for a page."""
    monkeypatch.setenv("CORS_ORIGINS", APP)
    response = call("POST", None, BODY)
    assert (response["statusCode"], cors_headers(response), response["headers"]["Vary"]) == (201, {}, "Origin")
