"""Requests as bytes, and the responses that a server sends back."""

import contextlib
import json
import socket
from typing import Any, NamedTuple

from targets import Response

PATIENCE = 60  # seconds without a byte, after which a test fails


class Exchange(NamedTuple):
    """The responses on one connection, without the informational ones; `closed` if the server then ended it."""

    responses: list[Response]
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """Return the status of each response."""
        return [response.status for response in self.responses]


def exchange(host: str, request: bytes, half_close: bool = False) -> Exchange:
    """Send bytes and return what comes back until the server ends the connection; with `half_close` it can tell at
    once that no more will come."""
    name, port = host.split(":")
    received = b""
    with socket.create_connection((name, int(port)), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # the server may end the connection before it has all
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        closed = True
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionError:
            pass
        except TimeoutError:
            closed = False
    return Exchange(parse(received), closed)


def parse(received: bytes) -> list[Response]:
    """Return the responses in what a server sent. A response to HEAD must be the last one."""
    responses = []
    while received:
        head, found, received = received.partition(b"\r\n\r\n")
        assert found, head
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(status_line.split()[1])
        if status >= 200:
            length = 0 if status in (204, 304) else int(headers["content-length"])
            responses.append(Response(status, headers, received[:length]))
            received = received[length:]
    return responses


def problem(response: Response) -> dict[str, Any]:
    """Return the problem in a response."""
    assert response.headers["content-type"] == "application/problem+json"
    body = json.loads(response.body)
    assert body["status"] == response.status
    return dict(body)
