"""Signed requests have the bytes and the settings of botocore's client, and each has a deadline."""

import contextlib
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import botocore.session
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ProxyConnectionError, ReadTimeoutError, SSLError
from certificate import self_signed
from wire import OK_BODY, WireServer, cut, drip, respond, server_that_never_accepts, slow

from chalicelib import dynamodb
from chalicelib.dynamodb import Table, create_client
from chalicelib.signed_http import Misconfigured, SignedHttp, endpoint

NOW = datetime.datetime(2026, 1, 31, 9, 30, tzinfo=datetime.UTC)
ITEM = {"pk": {"S": "acme/a"}, "payload": {"S": '{"name":"Zoë \U0001f600","n":1.0}'}, "expires_at": {"N": "1767225600"}}
CONDITION = {
    "ConditionExpression": "attribute_not_exists(pk) OR expires_at <= :now",
    "ExpressionAttributeValues": {":now": {"N": "1767225600"}},
}
KEY = {"pk": {"S": "acme/é"}}


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """DynamoDB's endpoint."""
    with WireServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        yield server


def post(http: SignedHttp | None = None, seconds: float = 20) -> bytes:
    """Send a request; return the body of its response."""
    http = http or SignedHttp("dynamodb", 5, 10)
    return http.post({"X-Amz-Target": "DynamoDB_20120810.GetItem"}, b"{}", time.monotonic() + seconds).body


# The bytes

CALLS = {
    "PutItem": {"Item": ITEM, "ReturnValuesOnConditionCheckFailure": "ALL_OLD", **CONDITION},
    "GetItem": {"Key": KEY, "ConsistentRead": True},
    "Query": {
        "IndexName": "by-type",
        "KeyConditionExpression": "tenant = :tenant AND created_at > :from",
        "ExpressionAttributeValues": {":tenant": {"S": "acme/\u00e9"}, ":from": {"S": "2026-01-31T09:30:00.000Z"}},
        "ScanIndexForward": False,
        "Limit": 20,
        "ExclusiveStartKey": KEY,
    },
    "BatchGetItem": {"RequestItems": {"events": {"Keys": [KEY, {"pk": {"S": "acme/b"}}], "ConsistentRead": True}}},
}


def parameters_of(operation: str) -> dict[str, Any]:
    """Return the parameters of a typical call."""
    return CALLS[operation] if operation == "BatchGetItem" else {"TableName": "events", **CALLS[operation]}


@pytest.mark.parametrize("token", [None, "session-token/+="])
@pytest.mark.parametrize("operation", CALLS)
def test_request_has_the_bytes_of_botocores_client(
    server: WireServer, monkeypatch: pytest.MonkeyPatch, operation: str, token: str | None
) -> None:
    """Method, target, headers, body and signature are those of botocore's client.

    The user agent differs. The client also has two headers that count its attempts, and does not sign them.
    """
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    client = boto3.Session().client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    server.responses = [respond(b"{}")]
    getattr(client, xform_name(operation))(**parameters_of(operation))
    dynamodb.send(create_client(), operation, parameters_of(operation), time.monotonic() + 20)
    expected, request = server.requests
    assert request.headers.pop("user-agent").startswith("event-api Botocore/")
    for name in ("user-agent", "amz-sdk-invocation-id", "amz-sdk-request"):
        del expected.headers[name]
    assert (request.start, request.headers, request.body) == (expected.start, expected.headers, expected.body)
    assert request.headers["x-amz-date"] == "20260131T093000Z"
    assert request.headers.get("x-amz-security-token") == token


def test_table_makes_these_calls(server: WireServer) -> None:
    """A table writes and reads with the parameters of the test above."""
    table = Table(create_client(), "events", 20)
    assert table.put_if(lambda: ITEM, **CONDITION) == (ITEM, True)
    assert table.get(KEY, consistent=True) == {"pk": {"S": "acme/a"}}
    assert [request.headers["x-amz-target"] for request in server.requests] == [
        "DynamoDB_20120810.PutItem", "DynamoDB_20120810.GetItem"
    ]  # fmt: skip
    bodies = [json.loads(request.body) for request in server.requests]
    assert bodies == [parameters_of("PutItem"), parameters_of("GetItem")]


def test_request_is_sent_at_once(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and body are sent together, so that they are one packet and one TLS record."""
    sent = []
    send = socket.socket.send

    def record(self: socket.socket, data: bytes, *flags: int) -> int:
        sent.append(bytes(data))
        return send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "send", record)
    post()
    assert len(sent) == 1
    assert sent[0].startswith(b"POST / HTTP/1.1\r\n") and sent[0].endswith(b"\r\n\r\n{}")
    assert len(server.requests) == 1


# The environment


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-west-1.amazonaws.com"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}, "https://dynamodb.eu-west-1.api.aws"),
        ({"AWS_ENDPOINT_URL": "http://localhost:1"}, "http://localhost:1"),
        (
            {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:2"},
            "http://localhost:2",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://localhost:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
    ],
)
def test_endpoint_is_botocores(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str) -> None:
    """The environment names the endpoint, with the rules of botocore's client."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert endpoint("dynamodb") == url
    assert botocore.session.Session().create_client("dynamodb").meta.endpoint_url == url


@pytest.mark.parametrize("fips", ["false", "true"])
@pytest.mark.parametrize("dual_stack", ["false", "true"])
def test_endpoint_of_each_region_is_botocores(monkeypatch: pytest.MonkeyPatch, fips: str, dual_stack: str) -> None:
    """The app uses the endpoint of botocore's client in every region that it does not refuse."""
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", fips)
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", dual_stack)
    session = botocore.session.Session()
    partitions = [name for name in session.get_available_partitions() if name in ("aws", "aws-us-gov")]
    assert len(partitions) == 2
    for region in [name for part in partitions for name in session.get_available_regions("dynamodb", part)]:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
        assert endpoint("dynamodb") == session.create_client("dynamodb", region).meta.endpoint_url


@pytest.mark.parametrize(
    "region", ["cn-north-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eusc-de-east-1", "eu-isoe-west-1"]
)
def test_region_with_a_domain_of_its_own_needs_its_endpoint(monkeypatch: pytest.MonkeyPatch, region: str) -> None:
    """The app refuses such a region with a sentence, unless its endpoint is set."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    real = botocore.session.Session().create_client("dynamodb").meta.endpoint_url
    assert not real.endswith((".amazonaws.com", ".api.aws"))
    with pytest.raises(Misconfigured, match="set AWS_ENDPOINT_URL_DYNAMODB"):
        create_client()
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", real)
    create_client()


@pytest.mark.parametrize("missing", ["AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_missing_setting_is_named(server: WireServer, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Without a region or credentials, the error says which variable to set."""
    monkeypatch.delenv(missing)
    with pytest.raises(Misconfigured, match=f"{missing} is not set"):
        post()
    assert server.requests == []


def test_next_call_uses_changed_credentials(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request reads the credentials again, because Lambda may replace them."""
    http = SignedHttp("dynamodb", 5, 10)
    for key, token in (("first", "one"), ("second", "two")):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
        post(http)
        request = server.requests.pop()
        assert f"Credential={key}/" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == token


def test_proxy_is_used(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request goes to the proxy of the environment, except to the hosts of NO_PROXY."""
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb.example:8000")
    post()
    assert server.requests[0].start == "POST http://dynamodb.example:8000/ HTTP/1.1"
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
    post()
    assert server.requests[1].start == "POST / HTTP/1.1"


def test_proxy_that_does_not_respond_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the proxy failed, and not DynamoDB."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://dynamodb.example")
    with pytest.raises(ProxyConnectionError):
        post()


# TLS


@pytest.fixture(name="certificate", scope="module")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def server_context(certificate: Path) -> ssl.SSLContext:
    """Return the TLS settings of a server with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(name="tls_server")
def _tls_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """DynamoDB's endpoint, with TLS."""
    with WireServer(server_context(certificate)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        yield server


def test_certificate_is_verified(tls_server: WireServer, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown authority is refused, unless AWS_CA_BUNDLE contains it."""
    with pytest.raises(SSLError):
        post()
    assert tls_server.requests == []
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    http = SignedHttp("dynamodb", 5, 10)
    assert [post(http), post(http)] == [OK_BODY, OK_BODY]
    assert len({request.connection for request in tls_server.requests}) == 1


def test_certificate_of_another_name_is_refused(
    tls_server: WireServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate must have the endpoint's name."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"https://127.0.0.1:{tls_server.port}")
    with pytest.raises(SSLError):
        post()


# Connections and the deadline


def test_connection_is_kept(server: WireServer) -> None:
    """Requests use one connection, also after an error."""
    server.responses = [respond(), respond(b"{}", "400 Bad Request"), respond(b"{}", "500 Internal Server Error")]
    http = SignedHttp("dynamodb", 5, 10)
    for _ in range(5):
        post(http)
    assert [request.connection for request in server.requests] == [0] * 5


@pytest.mark.parametrize("closing", [respond(stays=False), respond(stays=False, Connection="close")])
def test_connection_that_the_server_closed_is_not_used_again(server: WireServer, closing: Any) -> None:
    """The client replaces a kept connection that the server has closed."""
    server.responses = [closing]
    http = SignedHttp("dynamodb", 5, 10)
    assert post(http) == OK_BODY
    time.sleep(0.1)  # until the end of the connection has arrived
    assert post(http) == OK_BODY
    assert [request.connection for request in server.requests] == [0, 1]


@pytest.mark.parametrize(
    "response",
    [
        cut(),
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"),
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        cut(b"this is not HTTP\r\n\r\n"),
    ],
)
def test_response_that_is_cut_is_an_error(server: WireServer, response: Any) -> None:
    """A connection that ends before or during the response is an error, and the next request works."""
    server.responses = [response]
    http = SignedHttp("dynamodb", 5, 10)
    with pytest.raises(HTTPClientError):
        post(http)
    assert post(http) == OK_BODY


RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(OK_BODY), OK_BODY)


@pytest.mark.parametrize(
    "response",
    [drip(RESPONSE), drip(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100), drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)],
    ids=["body", "headers", "interim responses"],
)
def test_slow_response_does_not_stretch_the_deadline(server: WireServer, response: Any) -> None:
    """A server that sends one byte after another cannot stretch the deadline."""
    server.responses = [response]
    http = SignedHttp("dynamodb", 5, 10)
    start = time.monotonic()
    with pytest.raises(ReadTimeoutError):
        post(http, seconds=1)
    assert 1 <= time.monotonic() - start < 8  # the drip would take longer
    assert post(http) == OK_BODY
    assert server.requests[-1].connection == 1


def test_slow_response_over_tls_does_not_stretch_the_deadline(
    tls_server: WireServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response over TLS has the same deadline."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    tls_server.responses = [drip(RESPONSE)]
    with pytest.raises(ReadTimeoutError):
        post(seconds=1)


def test_slow_handshake_does_not_stretch_the_deadline(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS handshake that arrives byte by byte ends after the connect timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                for byte in b"\x16\x03\x03\x40\x00" + bytes(100):  # a handshake record of 16 KiB
                    connection.sendall(bytes([byte]))
                    time.sleep(0.1)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"https://127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(HTTPClientError):
            post(SignedHttp("dynamodb", 0.5, 10), seconds=2)
        assert time.monotonic() - start < 4  # the server would take 10 seconds
        thread.join()
    del server


@pytest.mark.parametrize("tls", [False, True])
def test_server_that_does_not_read_does_not_stretch_the_deadline(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    """A request that the server does not read ends at the deadline."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection = server_context(certificate).wrap_socket(connection, server_side=True) if tls else connection
            with connection:
                while not done.wait(0.2):
                    connection.recv(16)  # so the client can send a little more each time

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"{'https' if tls else 'http'}://localhost:{listener.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        start = time.monotonic()
        with pytest.raises(HTTPClientError):
            SignedHttp("dynamodb", 5, 10).post({}, b"x" * 20_000_000, time.monotonic() + 1)
        assert 1 <= time.monotonic() - start < 4
        done.set()
        thread.join()


def test_each_request_has_its_own_deadline(server: WireServer) -> None:
    """A request on a kept connection has all of its time, however little the request before it had left."""
    http = SignedHttp("dynamodb", 5, 10)
    server.responses = [drip(RESPONSE, 0.005)]
    assert post(http, seconds=0.005 * len(RESPONSE) + 0.5) == OK_BODY
    server.responses = [slow(respond(), 1)]
    assert post(http, seconds=5) == OK_BODY
    assert [request.connection for request in server.requests] == [0, 0]


def test_threads_share_a_client(server: WireServer) -> None:
    """Threads get each its own response, and their connections are kept for later requests."""
    http = SignedHttp("dynamodb", 5, 10)
    server.responses = [slow(respond(b"%d" % number), 0.3) for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        bodies = list(threads.map(lambda _: post(http), range(8)))
    assert sorted(bodies) == [b"%d" % number for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: post(http), range(40))) == [OK_BODY] * 40
    assert server.connections == 8


def test_slow_response_within_the_deadline_is_read(server: WireServer) -> None:
    """A response may be slow, as long as it is complete in time."""
    server.responses = [drip(RESPONSE, 0.001)]
    assert post() == OK_BODY


def test_large_response_is_read(server: WireServer) -> None:
    """An item can have 400 KB."""
    body = b'{"Item":{"payload":{"S":"' + b"x" * 400_000 + b'"}}}'
    server.responses = [respond(body)]
    assert post() == body


@pytest.mark.parametrize("kept", [False, True])
def test_silent_server_ends_with_the_read_timeout(server: WireServer, kept: bool) -> None:
    """A server that sends nothing fails after the read timeout, and not at the later deadline."""
    http = SignedHttp("dynamodb", 5, 0.3)
    if kept:
        post(http)
    server.responses = [slow(respond(), 5)]
    with pytest.raises(ReadTimeoutError):
        post(http)


def test_connect_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not accept connections is an error after the timeout."""
    with server_that_never_accepts() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", url)
        with pytest.raises(ConnectTimeoutError):
            post(SignedHttp("dynamodb", 0.2, 10))
