"""The deployed stage behind API Gateway: the specification's commands, header lines, throttled functions, CORS."""

import http.client
import json
import shlex
import subprocess
from collections.abc import Iterator

import pytest
from callers import bearer
from curl import NEEDS_CURL, curl_commands
from deployed.faults import throttled_function
from deployed.functions import FUNCTION
from targets import JSON, Response, UrlApi, an_event, get, post

from emulator.__main__ import greeting
from emulator.stack import STAGE, Stack

POST_COMMAND = (
    "curl -X POST '<base>/events' --header 'Content-Type: application/json' "
    """--data-raw '{"id": "123", "type": "test_event", "payload": {"key": "value"}}'"""
)
GET_COMMAND = "curl '<base>/events/123'"
ORIGIN = "https://app.example.com"


@NEEDS_CURL
def test_commands_of_the_specification(stack: Stack) -> None:
    """The specification's two commands work, with an Authorization header added. The URL ends in the stage's name."""
    url = stack.api_url()
    assert url.endswith(f"/{STAGE}")
    events: list[dict[str, str]] = []
    for command, status in ((POST_COMMAND, "201"), (GET_COMMAND, "200")):
        words = shlex.split(command.replace("<base>", url))
        words += ["--header", f"Authorization: {bearer(stack.token())}", "--silent", "--write-out", "\n%{http_code}"]
        *lines, printed = subprocess.check_output(words, text=True).splitlines()
        assert printed == status, lines
        events.append(json.loads("\n".join(lines)))
    posted, read = events[0], events[1]
    assert posted == read
    assert posted.pop("created_at")
    assert posted == {"id": "123", "type": "test_event", "payload": {"key": "value"}}


@NEEDS_CURL
def test_printed_curl_commands_work_unchanged(stack: Stack) -> None:
    """The commands that `make deploy-local` prints at its end work unchanged."""
    commands = curl_commands(greeting(stack.api_url(), stack.token()))
    responses = [subprocess.check_output(command, shell=True, text=True) for command in commands]
    assert [response.split()[1] for response in responses] == ["201", "200", "200", "404"]
    assert '"events":[{"id":"order-1001"' in responses[2]


def status_of(api: UrlApi, method: str, path: str, lines: list[tuple[str, str]], body: bytes = b"") -> int:
    """Return the status of a request with these header lines."""
    connection = http.client.HTTPConnection(api.host, timeout=30)
    try:
        connection.putrequest(method, api.path + path)
        for name, value in [*lines, ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_header_lines_combine(stack: Stack, url_api: UrlApi) -> None:
    """Several lines of If-None-Match reach the function, and are one list."""
    event = an_event()
    etag = post(url_api, event).headers["etag"]
    authorization = [("Authorization", bearer(stack.token()))]
    for values in (('"x"', etag), (etag, '"x"')):
        lines = [*authorization, *(("If-None-Match", value) for value in values)]
        assert status_of(url_api, "GET", f"/events/{event['id']}", lines) == 304
    for values in (('"x"', "*"), ("*", '"x"')):
        lines = [*authorization, *JSON.items(), *(("If-None-Match", value) for value in values)]
        assert status_of(url_api, "POST", "/events", lines, json.dumps(event).encode()) == 412


def test_throttled_function_is_503(stack: Stack, url_api: UrlApi) -> None:
    """If Lambda throttles the function, the caller gets 503 and Retry-After. API Gateway's default is 500."""
    with throttled_function(stack, FUNCTION):
        response = post(url_api, an_event())
    assert (response.status, response.json["type"]) == (503, "urn:event-api:problem:service-unavailable")
    assert response.headers["retry-after"] == "5"
    assert post(url_api, an_event()).status == 201


def preflight(api: UrlApi, path: str, origin: str = ORIGIN) -> Response:
    """Return the response to a browser's preflight, which carries no token."""
    return api.request("OPTIONS", path, None, {"Origin": origin, "Access-Control-Request-Method": "POST"})


@pytest.mark.parametrize("path", ["/events", "/events/a"])
def test_other_origins_are_not_allowed_by_default(bare_api: UrlApi, path: str) -> None:
    """Without `cors_origins`, OPTIONS needs a token, and no response has a CORS header."""
    response = preflight(bare_api, path)
    assert response.status == 401
    assert [name for name in response.headers if name.startswith("access-control-")] == []


@pytest.fixture(name="origins", scope="module")
def _origins(stack: Stack) -> Iterator[None]:
    """Two allowed origins, until the end of this file."""
    stack.settings["cors_origins"] = json.dumps(["http://localhost:5173", ORIGIN])
    stack.apply()
    yield
    stack.settings["cors_origins"] = "[]"
    stack.apply()


@pytest.mark.usefixtures("origins")
def test_origins_do_not_drift(stack: Stack) -> None:
    """A second plan with origins changes nothing."""
    assert stack.plan() == ""


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("path", ["/events", "/events/a"])
def test_page_of_an_allowed_origin_may_call(bare_api: UrlApi, path: str) -> None:
    """With `cors_origins`, a preflight needs no token. Only the listed origins are allowed."""
    response = preflight(bare_api, path)
    assert (response.status, response.body, response.headers["access-control-allow-origin"]) == (204, b"", ORIGIN)
    assert "Authorization" in response.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in preflight(bare_api, path, "https://other.example.com").headers
    assert bare_api.request("OPTIONS", path).status == 405


@pytest.mark.usefixtures("origins")
def test_page_of_an_allowed_origin_can_read_every_response(url_api: UrlApi, bare_api: UrlApi) -> None:
    """Responses of the function and errors of the gateway have the CORS header."""
    event = an_event()
    assert post(url_api, event, Origin=ORIGIN).headers["access-control-allow-origin"] == ORIGIN
    assert get(url_api, event["id"], Origin=ORIGIN).headers["vary"] == "Authorization, Accept, Origin"
    for response, status in (
        (get(bare_api, event["id"], Origin=ORIGIN), 401),
        (post(url_api, b"[]", Origin=ORIGIN), 400),
        (url_api.request("GET", "/unknown", None, {"Origin": ORIGIN}), 404),
    ):
        assert (response.status, response.headers["access-control-allow-origin"]) == (status, "*")


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_other_methods_still_need_a_token(bare_api: UrlApi, method: str) -> None:
    """Only OPTIONS skips the authorizer."""
    assert bare_api.request(method, "/events/a", None, {"Origin": ORIGIN}).status == 401
