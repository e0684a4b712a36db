"""The clients and helpers with which the tests send requests to an API."""

import http.client
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from leaks import CANARY

JSON = {"Content-Type": "application/json"}
CREATED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ETAG = re.compile(r'"[0-9a-f]{64}"')


@dataclass(frozen=True)
class Response:
    """An HTTP response. Its header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


class Api(Protocol):
    """The interface through which the tests call an API."""

    path: str  # the path prefix of the API

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request. Only the headers that HTTP needs and the client's token are added."""


class UrlApi:
    """A client of the API at a base URL."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self._token = token
        self.path = parts.path.rstrip("/")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.host = parts.netloc

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send one request on a new connection."""
        connection = self._connect(self.host, timeout=120)  # long, because a busy machine is slow
        try:
            connection.request(method, self.path + path, body, with_token(headers, self._token))
            response = connection.getresponse()
            return Response(
                response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
            )
        finally:
            connection.close()


def with_token(headers: dict[str, str] | None, token: str | None) -> dict[str, str]:
    """Add an Authorization header, if there is a token and the headers have none."""
    return {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}


def post(api: Api, body: bytes | dict[str, Any], **headers: str) -> Response:
    """Post an event. Keywords are further headers, such as `if_none_match="*"`."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return api.request("POST", "/events", data, {**JSON, **{name.replace("_", "-"): v for name, v in headers.items()}})


def get(api: Api, event_id: str, method: str = "GET", **headers: str) -> Response:
    """Get an event by its id. Keywords are headers."""
    return api.request(method, f"/events/{event_id}", None, {name.replace("_", "-"): v for name, v in headers.items()})


def an_event(**members: Any) -> dict[str, Any]:
    """Return a new event with a unique id."""
    return {"id": f"test-{uuid.uuid4()}", "type": "test_event", "payload": {"n": 1, "note": CANARY}, **members}


def event_with_payload(text: str) -> tuple[str, bytes]:
    """Return a unique id, and the body of an event with this id and this JSON text as payload."""
    event_id = f"test-{uuid.uuid4()}"
    return event_id, b'{"id":"%s","type":"test_event","payload":%s}' % (event_id.encode(), text.encode())


def value_of(text: bytes | str) -> Any:
    """Parse a JSON text. Each number stays as the text that was sent."""
    return json.loads(text, parse_float=lambda number: ("number", number), parse_int=lambda number: ("number", number))


def assert_problem(response: Response, status: int, kind: str, **members: Any) -> None:
    """Assert that a response is a complete problem with this status, this type and exactly these further members."""
    assert response.status == status, response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json
    assert body.pop("request_id")
    assert body.pop("title") and body.pop("detail")
    assert body == {"type": f"urn:event-api:problem:{kind}", "status": status, **members}


def assert_faults(response: Response, *expected: str) -> None:
    """Assert that an event is refused with faults at exactly these pointers."""
    assert response.status == 400, response
    errors = response.json["errors"]
    assert_problem(response, 400, "invalid-event", errors=errors)
    assert all(fault.keys() == {"pointer", "detail"} and fault["detail"] for fault in errors)
    assert sorted(fault["pointer"] for fault in errors) == sorted(expected)
