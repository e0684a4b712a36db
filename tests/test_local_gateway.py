"""The stand-in for API Gateway: the Lambda event that it makes, and CORS in its own responses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chalice import Chalice
from chalice.config import Config
from processes import LocalProcess
from raw_http import exchange
from targets import UrlApi

from local.gateway import Gateway

PAGE = "https://app.example"


@pytest.fixture(name="gateway")
def _gateway() -> Gateway:
    """A gateway in front of a function that returns its event."""
    app = Chalice("echo")

    @app.route("/events", methods=["GET", "POST"], content_types=[])
    def echo() -> dict[str, Any]:
        event = app.current_request.to_original_event()
        return {name: event[name] for name in ("headers", "multiValueHeaders", "requestContext")}

    return Gateway(app, Config.create(), require_token=False)


def test_event_has_all_lines_of_a_header(gateway: Gateway) -> None:
    """`headers` has the last line of a repeated header, and `multiValueHeaders` has all, without space around."""
    headers = {"If-None-Match": ['"x"', '\t"y" '], "Accept": " a/b"}
    event = json.loads(gateway.handle_request("GET", "/events", headers, b"")["body"])
    assert event["headers"] == {"if-none-match": '"y"', "accept": "a/b"}
    assert event["multiValueHeaders"] == {"if-none-match": ['"x"', '"y"'], "accept": ["a/b"]}


def test_caller_without_auth_has_all_scopes(gateway: Gateway) -> None:
    """With AUTH=off, the context is that of a token with both scopes."""
    event = json.loads(gateway.handle_request("GET", "/events", {}, b"")["body"])
    caller = {"tenant": "local", "scopes": "events:read events:write", "principalId": "anybody"}
    assert event["requestContext"]["authorizer"] == caller


def test_repeated_header_reaches_the_event(local_process: LocalProcess) -> None:
    """The authorizer gets the last line of Authorization; the function refuses several lines."""
    lines = [f"Authorization: Bearer {token}\r\n" for token in ("x", local_process.token)]
    for ordered, status in ((lines, 400), (lines[::-1], 401)):
        request = f"GET /events/x HTTP/1.1\r\nHost: localhost\r\n{''.join(ordered)}Connection: close\r\n\r\n"
        assert exchange(local_process.api.host, request.encode()).statuses == [status]


@pytest.fixture(name="cors", scope="module")
def _cors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrlApi]:
    """A local API for pages of one origin, called without a token."""
    with LocalProcess(tmp_path_factory.mktemp("cors"), CORS_ORIGINS=PAGE) as running:
        yield UrlApi(running.url)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/events/a", {}, 401),
        ("GET", "/tea", {}, 404),
        ("BREW", "/events", {}, 404),
        ("GET", "/events/a#b", {}, 400),
        ("GET", "/events/a", {"Host": "evil.example"}, 421),
        ("OPTIONS", "/tea", {"Access-Control-Request-Method": "GET"}, 404),
    ],
)
def test_page_can_read_the_gateways_own_errors(
    cors: UrlApi, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """An allowed page sees each error, another page none."""
    for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None), (None, None)):
        response = cors.request(method, path, None, {**headers, **({"Origin": origin} if origin else {})})
        assert (response.status, response.headers["vary"]) == (status, "Origin")
        assert response.headers.get("access-control-allow-origin") == allowed


def test_body_that_is_too_large_has_cors_headers(cors: UrlApi) -> None:
    """The server's own 413 is readable for the page, too."""
    response = cors.request("POST", "/events", b"x" * (10 * 1024 * 1024 + 1), {"Origin": PAGE})
    assert (response.status, response.headers["access-control-allow-origin"]) == (413, PAGE)


def test_preflight_needs_no_token(cors: UrlApi, local_process: LocalProcess) -> None:
    """A browser sends preflights without a token; without CORS, they are requests like others."""
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    response = cors.request("OPTIONS", "/events", None, headers)
    assert (response.status, response.body) == (204, b"")
    allowed = {name: value for name, value in response.headers.items() if name.startswith("access-control-allow-")}
    assert allowed == {
        "access-control-allow-origin": PAGE,
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-allow-headers": "Authorization, Content-Type, If-Match, If-None-Match",
    }
    assert cors.request("OPTIONS", "/events", None, {"Origin": PAGE}).status == 401
    response = UrlApi(local_process.url).request("OPTIONS", "/events", None, headers)
    assert response.status == 401
    assert not [name for name in response.headers if name.startswith("access-control-")]
