"""Adds a deadline to botocore's HTTP session. The whole request and its response end by the deadline.

A socket's own timeout starts again with each byte. So a server that sends one byte a second could hold a request for
hours. TLS handshakes need no code here: Python gives all reads of a handshake one timeout, the connect timeout.
"""

import io
import socket
import threading
import time
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
    AWSPreparedRequest,
    AWSResponse,
)
from botocore.httpsession import URLLib3Session


class TimedSession(URLLib3Session):
    """botocore's HTTP session, with a deadline for each request. Threads can share it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            # Without this option, a packet can wait 40 ms for the acknowledgement of the packet before it.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
            **options,
        )
        self._pool_classes_by_scheme.update(http=TimedHttpPool, https=TimedHttpsPool)

    def send_until(self, deadline: float, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and read its response until the deadline (monotonic seconds).

        Raises botocore's HTTPClientError, or its ConnectionError if no connection can be made.
        """
        _current.deadline = deadline
        return self.send(request)


_current = threading.local()  # `deadline` is that of the request that this thread sends


def seconds_left(deadline: float) -> float:
    """Return the seconds until a deadline. Raises TimeoutError after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the request and its response took too long")
    return left


class TimedReader(io.RawIOBase):
    """Reads a socket until the deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._deadline = _current.deadline

    def readable(self) -> bool:
        """Tell io.BufferedReader that it can read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read bytes that have arrived. Raises TimeoutError."""
        # urllib3 has set the read timeout. It stays, unless the deadline is earlier.
        self._sock.settimeout(min(self._sock.gettimeout(), seconds_left(self._deadline)))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the socket's own reader, too."""
        self._raw.close()
        super().close()


class TimedResponse(HTTPResponse):
    """Reads an HTTP response until the deadline."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(TimedReader(self.fp.detach(), sock))


class TimedConnection(HTTPConnection):
    """Sends a request until the deadline, with its headers and body in one packet. urllib3 sends them apart."""

    response_class = TimedResponse
    _unsent: bytearray | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request."""
        self._unsent = bytearray()
        try:
            super().request(*args, **kwargs)
            data = memoryview(self._unsent)
        finally:
            self._unsent = None
        if self.sock is None:
            self.connect()
        while data:
            self.sock.settimeout(seconds_left(_current.deadline))
            data = data[self.sock.send(data) :]

    def send(self, data: bytes) -> None:
        """Keep a part of a request until the request is complete."""
        if self._unsent is None:
            super().send(data)  # CONNECT, which asks a proxy for a tunnel
        else:
            self._unsent += data


class TimedHttpConnection(TimedConnection, AWSHTTPConnection):
    """A connection with a deadline."""


class TimedHttpsConnection(TimedConnection, AWSHTTPSConnection):
    """A TLS connection with a deadline."""


class TimedHttpPool(AWSHTTPConnectionPool):
    """A pool of connections with a deadline."""

    ConnectionCls = TimedHttpConnection


class TimedHttpsPool(AWSHTTPSConnectionPool):
    """A pool of TLS connections with a deadline."""

    ConnectionCls = TimedHttpsConnection
