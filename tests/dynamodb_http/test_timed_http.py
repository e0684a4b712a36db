"""Connections are kept, and each request has a deadline."""

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ReadTimeoutError
from certificate import server_context
from dynamodb_http.sending import post
from stopwatch import Stopwatch
from wire import OK_BODY, WireServer, after, cut, drip, respond, server_that_never_accepts, slow

from chalicelib.signed_http import SignedHttp


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
    server.closed.acquire()
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
    with Stopwatch() as stopwatch, pytest.raises(ReadTimeoutError):
        post(http, seconds=1)
    assert time.monotonic() - start >= 1
    assert stopwatch.seconds < 8  # the drip would take longer
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
        with Stopwatch() as stopwatch, pytest.raises(HTTPClientError):
            post(SignedHttp("dynamodb", 0.5, 10), seconds=2)
        assert stopwatch.seconds < 5  # the server would take 10 seconds
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
        with Stopwatch() as stopwatch, pytest.raises(HTTPClientError):
            SignedHttp("dynamodb", 5, 10).post({}, b"x" * 20_000_000, time.monotonic() + 1)
        assert time.monotonic() - start >= 1
        assert stopwatch.seconds < 5  # the server would never read it all
        done.set()
        thread.join()


def test_each_request_has_its_own_deadline(server: WireServer) -> None:
    """A request on a kept connection has all of its time, however little the request before it had left."""
    http = SignedHttp("dynamodb", 5, 10)
    server.responses = [slow(respond(), 1)]
    assert post(http, seconds=4) == OK_BODY
    server.responses = [slow(respond(), 3.5)]  # the first request had at most 3 seconds left
    assert post(http, seconds=20) == OK_BODY
    assert [request.connection for request in server.requests] == [0, 0]


def test_threads_share_a_client(server: WireServer) -> None:
    """Threads get each its own response, and their connections are kept for later requests."""
    http = SignedHttp("dynamodb", 5, 10)
    everyone = threading.Barrier(8)
    server.responses = [after(everyone, respond(b"%d" % number)) for number in range(8)]
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
