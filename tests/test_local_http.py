"""HTTP as the local server speaks it: connections, targets, hosts, limits."""

import asyncio
import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Iterator

import pytest
from processes import LocalProcess
from raw_http import exchange, problem
from targets import JSON, UrlApi, an_event, get, post

from local import server

BODY_LIMIT = {"type": "urn:event-api:problem:body-too-large", "limit": 1_048_576}


@pytest.fixture(name="connection")
def _connection(local_api: UrlApi) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept open."""
    with contextlib.closing(http.client.HTTPConnection(local_api.host, timeout=60)) as connection:
        yield connection


@pytest.fixture(name="caller")
def _caller(local_process: LocalProcess) -> dict[str, str]:
    """The header that says who calls."""
    return {"Authorization": f"Bearer {local_process.token}"}


def test_connection_carries_one_request_after_another(
    connection: http.client.HTTPConnection, caller: dict[str, str]
) -> None:
    """HEAD, 304, errors and events follow each other on one connection."""
    event = an_event()
    etag = ""
    for method, path, body, headers, status in [
        ("POST", "/events", json.dumps(event), JSON, 201),
        ("HEAD", f"/events/{event['id']}", None, {}, 200),
        ("HEAD", "/events/unknown", None, {}, 404),
        ("POST", "/events", "not JSON", JSON, 400),
        ("GET", f"/events/{event['id']}", None, {"If-None-Match": "*"}, 304),
        ("PUT", "/events", "{}", JSON, 405),
        ("GET", f"/events/{event['id']}", None, {"Authorization": ""}, 401),
        ("GET", f"/events/{event['id']}", None, {}, 200),
    ]:
        connection.request(method, path, body, {**caller, **headers})
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert not response.will_close
        etag = response.headers["ETag"]
    assert etag


def test_body_may_come_in_chunks(connection: http.client.HTTPConnection, caller: dict[str, str]) -> None:
    """A body of unknown length is taken as API Gateway takes it."""
    body = json.dumps(an_event()).encode()
    connection.request("POST", "/events", iter([body[:10], body[10:]]), {**JSON, **caller}, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()[:6]) == (201, b'{"id":')


def refusal(api: UrlApi, request: bytes) -> tuple[int, dict[str, object]]:
    """Send bytes, and return the status and the problem of the only response. The server must end the connection."""
    responses, closed = exchange(api.host, request, half_close=True)
    (response,) = responses
    assert closed
    return response.status, problem(response)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}", 400),
        (b"POST /events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /events/a HTTP/1.1\r\nHost: a\r\nno header\r\nIf-None-Match: *\r\n\r\n", 400),
        (b"GET /events and more HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    ],
)
def test_what_no_route_gets_to_see_is_a_problem_too(local_api: UrlApi, request_: bytes, status: int) -> None:
    """Requests that HTTP itself refuses are answered with a problem."""
    code, body = refusal(local_api, request_)
    assert (code, body["status"], body["type"]) == (status, status, "about:blank")


def test_head_that_is_refused_gets_no_body(local_api: UrlApi) -> None:
    """A client expects no body after HEAD, whatever the status."""
    request = b"HEAD /events/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    responses, closed = exchange(local_api.host, request, half_close=True)
    assert ([(response.status, response.body) for response in responses], closed) == ([(400, b"")], True)


@pytest.mark.parametrize(
    "announced",
    [
        b"Content-Length: 99999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + b"x" * (10 * 1024 * 1024 + 1),
    ],
)
def test_body_beyond_the_gateways_own_limit_is_413_even_if_it_is_cut(local_api: UrlApi, announced: bytes) -> None:
    """A body that API Gateway would not accept is too large, whether all of it arrives or not."""
    code, body = refusal(local_api, b"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\n" + announced)
    assert (code, body) == (413, {**body, **BODY_LIMIT})


@pytest.mark.parametrize("chunked", [False, True])
def test_client_that_reads_only_after_its_body_gets_413(local_api: UrlApi, chunked: bool) -> None:
    """The server reads a body that is too large to its end, and the connection stays usable."""
    body = b"x" * (11 * 1024 * 1024)
    head = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    first = b"POST /events HTTP/1.1\r\nHost: localhost\r\n" + head + sent
    second = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    responses, closed = exchange(local_api.host, first + second)
    assert ([response.status for response in responses], closed) == ([413, 404], True)
    assert problem(responses[0]) == {**problem(responses[0]), **BODY_LIMIT}


@pytest.mark.parametrize("auth", ["on", "off"])
def test_media_type_with_parameters_is_415(local_process: LocalProcess, auth_off: UrlApi, auth: str) -> None:
    """A Content-Type that HTTP allows reaches the app, which refuses it."""
    api = local_process.api if auth == "on" else auth_off
    for media_type in ("multipart/form-data; boundary=x", 'text/plain; charset="a;b"', "message/rfc822", "x/y;"):
        response = api.request("POST", "/events", b"--x--", {"Content-Type": media_type})
        assert (response.status, problem(response)["type"]) == (415, "urn:event-api:problem:unsupported-media-type")


@pytest.fixture(name="auth_off", scope="module")
def _auth_off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrlApi]:
    """A local API that needs no token."""
    with LocalProcess(tmp_path_factory.mktemp("off"), AUTH="off") as running:
        yield UrlApi(running.url)


@pytest.mark.parametrize("auth", ["on", "off"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1:1", "localhost.evil.example:{port}", "", "127.0.0.1.", "[::2]"],
)
@pytest.mark.parametrize("target", ["/events", "http://{host}/events"])
def test_other_host_is_421(local_process: LocalProcess, auth_off: UrlApi, auth: str, host: str, target: str) -> None:
    """A page whose name resolves to this machine (DNS rebinding) reaches nothing, with and without tokens."""
    api = local_process.api if auth == "on" else auth_off
    host = host.format(port=api.host.partition(":")[2])
    event = an_event()
    headers = {"Authorization": f"Bearer {local_process.token}", **JSON, "Host": host}
    if target.startswith("http"):
        headers["Host"] = api.host
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    body = json.dumps(event)
    request = f"POST {target.format(host=host)} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}"
    ((response,), _) = exchange(api.host, request.encode())
    assert (response.status, problem(response)["title"]) == (421, "Misdirected Request")
    assert "location" not in response.headers
    assert get(api, event["id"]).status == 404


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
@pytest.mark.parametrize("absolute", [False, True])
def test_own_names_are_served(local_process: LocalProcess, name: str, absolute: bool) -> None:
    """The server has the names of this machine, with its port or without; `Location` never names a host."""
    for host in (name, f"{name}:{local_process.port}"):
        event = json.dumps(an_event())
        lines = f"Host: {host}\r\nAuthorization: Bearer {local_process.token}\r\nContent-Type: application/json\r\n"
        target = f"HTTP://{host}/events" if absolute else "/events"
        lines += f"Connection: close\r\nContent-Length: {len(event)}\r\n"
        request = f"POST {target} HTTP/1.1\r\n{lines}\r\n{event}"
        ((response,), _) = exchange(local_process.api.host, request.encode())
        assert (response.status, response.headers["location"]) == (201, f"/events/{json.loads(event)['id']}")


@pytest.mark.parametrize(
    "path", ["/events#y", "/events?a=b#y", "//events", "//evil.example/events", "//evil.example//events"]
)
def test_target_that_is_no_path_stores_nothing(local_api: UrlApi, path: str) -> None:
    """A fragment is no part of a target, and two slashes do not start a host name."""
    event = an_event()
    response = local_api.request("POST", path, json.dumps(event).encode(), JSON)
    assert (response.status, "location" in response.headers) == (400 if "#" in path else 404, False)
    assert local_api.request("GET", f"/events/{event['id']}#y").status == 400
    assert get(local_api, event["id"]).status == 404


@pytest.mark.parametrize("space", [" ", "\t", " \t "])
def test_space_around_a_token_is_no_part_of_it(local_process: LocalProcess, space: str) -> None:
    """HTTP allows space and tab around each header's value."""
    authorization = f"{space}Bearer {local_process.token}{space}"
    assert get(UrlApi(local_process.url), "unknown", Authorization=authorization).status == 404


def test_header_lines_combine(local_process: LocalProcess) -> None:
    """Several lines of If-None-Match reach the function, and are one list."""
    event = an_event()
    etag = post(local_process.api, event).headers["etag"]
    body = json.dumps(event)
    common = f"Host: localhost\r\nAuthorization: Bearer {local_process.token}\r\nConnection: close\r\n"
    common += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    for request_line, value, status in (
        (f"GET /events/{event['id']}", etag, 304),
        ("POST /events", "*", 412),
    ):
        for values in (('"x"', value), (value, '"x"')):
            lines = "".join(f"If-None-Match: {value}\r\n" for value in values)
            request = f"{request_line} HTTP/1.1\r\n{common}{lines}\r\n{body}"
            assert exchange(local_process.api.host, request.encode()).statuses == [status]


@pytest.mark.parametrize("version", ["2.0", "0.9", "3.0"])
def test_other_version_of_http_is_505(local_api: UrlApi, version: str) -> None:
    """The server speaks HTTP/1.1."""
    request = f"GET /events/a HTTP/{version}\r\nHost: localhost\r\n\r\n".encode()
    assert refusal(local_api, request)[0] == 505


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.3"])
def test_upgrade_is_ignored(local_process: LocalProcess, upgrade: str) -> None:
    """The response is that of HTTP/1.1."""
    settings = {"HTTP2-Settings": "AAMAAABkAARAAAAAAAIAAAAA"}
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade, **settings}
    assert local_process.api.request("GET", "/events/unknown", None, headers).status == 404


def test_client_that_waits_for_100_gets_it(local_process: LocalProcess) -> None:
    """A client may send its headers, and its body only after `100 Continue`."""
    body = json.dumps(an_event())
    lines = f"Host: localhost\r\nAuthorization: Bearer {local_process.token}\r\nContent-Type: application/json\r\n"
    host, port = local_process.api.host.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST /events HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(body.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 201")


def test_headers_that_do_not_arrive_end_the_connection(local_api: UrlApi) -> None:
    """A client that stops in the middle of its headers does not hold a connection."""
    assert exchange(local_api.host, b"GET /events/a HTTP/1.1\r\nHost: localh").closed


def test_body_that_does_not_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle of its body gets a response."""
    monkeypatch.setattr(server, "GATEWAY_TIMEOUT", 0.01)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(server.HttpError, match="Request Timeout"):
        asyncio.run(server.read_body(receive, {}))


def test_part_of_a_body_is_no_body() -> None:
    """If the client leaves in the middle of its body, the app does not get the part."""
    messages = [{"type": "http.request", "body": b"{}", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    with pytest.raises(server.HttpError, match="Bad Request"):
        asyncio.run(server.read_body(receive, {}))


def test_caller_that_leaves_is_not_made_a_fuss_of(local_api: UrlApi, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A connection that is cut in the middle leaves no traceback, and the server goes on."""
    host, port = local_api.host.split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert get(local_api, "unknown").status == 404
    (log,) = tmp_path_factory.getbasetemp().glob("local*.log")
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("BREW", "/events"), ("TRACE", "/events/a"), ("BREW", "/tea"),
        ("get", "/events"), ("head", "/events"), ("Post", "/events"),
    ],
)
def test_method_that_no_gateway_knows_is_answered_like_an_unknown_path(
    local_api: UrlApi, method: str, path: str
) -> None:
    """API Gateway knows seven methods, and takes any other for a path that it has not. Lower case makes another one."""
    assert local_api.request(method, path).status == 404


@pytest.mark.parametrize("path", ["/events/order;a=1", "/events/order;"])
def test_parameters_of_a_path_are_part_of_the_id(local_api: UrlApi, path: str) -> None:
    """What follows a semicolon is not cut off: such an id cannot be."""
    post(local_api, an_event(id="order"))
    assert local_api.request("GET", path).status == 404
