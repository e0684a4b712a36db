"""HTTP/1.1 by hypercorn and h11. They handle framing, limits, keep-alive and timeouts."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import h11
import hypercorn.protocol
from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol

from local.settings import HOST

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

READ_TIMEOUT = 30  # seconds without a byte, in the middle of a request

DETAILS = {
    HTTPStatus.BAD_REQUEST: "The request is not valid HTTP/1.1: check its target, its headers and its body's length.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time: send the request again.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The request's target is too long.",
    HTTPStatus.MISDIRECTED_REQUEST: "This server has another address: send the request to the printed URL.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request's headers are too large.",
    HTTPStatus.NOT_IMPLEMENTED: "The only transfer coding is chunked: send the body so, or with a Content-Length.",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "Send the request as HTTP/1.1.",
}


def http_problem(status: HTTPStatus) -> tuple[dict[str, str], str]:
    """Return the headers and the body of an error of HTTP itself. It ends the connection."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": DETAILS[status]}
    return {"Content-Type": "application/problem+json", "Connection": "close"}, json.dumps(body)


class Connection(h11.Connection):
    """h11's connection. It ignores data behind the last request, so that this request gets its response."""

    def next_event(self) -> Any:
        """Return the next event that the client's data makes."""
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class Http1Protocol(H11Protocol):
    """Hypercorn's HTTP/1.1, with more differences.

    It ignores `Upgrade`, as API Gateway does. Its errors have a body. If the client ends its half of the connection in
    the middle of a body, the app responds; otherwise the connection ends at once after the last response. The header
    and the body of a response are sent at once, so the client wakes up once.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connection = Connection(h11.SERVER, self.config.h11_max_incomplete_size)
        self._client_has_ended = False
        self._unsent = b""  # the header of a response

    async def handle(self, event: Event) -> None:
        """Handle what happens on the connection."""
        if isinstance(event, RawData) and not event.data:
            return  # the end of the client's half; Closed follows
        is_idle = self.stream is None
        await super().handle(event)
        if isinstance(event, Closed):
            self._client_has_ended = True
            if is_idle:
                await self.send(Closed())

    async def _maybe_recycle(self) -> None:
        await super()._maybe_recycle()
        if self._client_has_ended:
            await self.send(Closed())

    async def _check_protocol(self, event: h11.Request) -> None:
        """Switch to no other protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        method = request.method if request.method == request.method.upper() else b"UNKNOWN"  # else it would serve `get`
        version = request.http_version
        await super()._create_stream(
            h11.Request(method=method, target=request.target, headers=headers, http_version=version)
        )

    async def _send_h11_event(self, event: Any) -> None:
        try:
            self._unsent += self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if self._unsent and not isinstance(event, h11.Response):
            data, self._unsent = self._unsent, b""
            await self.send(RawData(data=data))

    async def _send_error_response(self, status_code: int) -> None:
        status = HTTPStatus(status_code)
        if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE and b"\n" not in self.connection.trailing_data[0]:
            status = HTTPStatus.REQUEST_URI_TOO_LONG
        headers, body = http_problem(status)
        headers["Content-Length"] = str(len(body))
        lines = [*header_lines(headers), *self.config.response_headers("h11")]
        await self._send_h11_event(h11.Response(status_code=status, headers=lines))
        is_head = self.stream is not None and self.stream.scope["method"] == "HEAD"
        await self._send_h11_event(h11.Data(data=b"" if is_head else body.encode()))
        await self._send_h11_event(h11.EndOfMessage())


hypercorn.protocol.H11Protocol = Http1Protocol  # hypercorn has no setting for its protocol


def header_lines(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def open_listener(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine; 0 takes a free one. Raises OSError."""
    listener = socket.create_server((HOST, port), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def listen(app: AsgiApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve an app on a socket until `stop`. Requests that run then can end."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.include_server_header = False
    config.read_timeout = READ_TIMEOUT
    config.loglevel = "WARNING"
    await serve(app, config, shutdown_trigger=stop.wait)


async def answer_lifespan(receive: Receive, send: Send) -> None:
    """Reply to the messages about the server's start and stop."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
