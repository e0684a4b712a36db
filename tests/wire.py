"""An HTTP server that records each request, and responds with the bytes that a test chooses."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

OK_BODY = b'{"Item":{"pk":{"S":"acme/a"}}}'


class Request(NamedTuple):
    """A request as it arrived. The names of its headers are lower case."""

    start: str
    headers: dict[str, str]
    body: bytes
    connection: int  # the number of its connection, from 0


Respond = Callable[[socket.socket, Request], bool]  # sends a response; returns whether the connection stays open


def respond(body: bytes = OK_BODY, status: str = "200 OK", stays: bool = True, **headers: str) -> Respond:
    """Return what sends a complete response."""
    fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join([f"HTTP/1.1 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"])

    def send(connection: socket.socket, _request: Request) -> bool:
        connection.sendall(head.encode() + body)
        return stays

    return send


def drip(text: bytes, pause: float = 0.2) -> Respond:
    """Return what sends bytes one by one, with a pause (seconds) after each, until the client disconnects."""

    def send(connection: socket.socket, _request: Request) -> bool:
        for byte in text:
            connection.sendall(bytes([byte]))
            time.sleep(pause)
        return True

    return send


def slow(response: Respond, pause: float) -> Respond:
    """Return what waits (seconds) and then sends a response."""

    def send(connection: socket.socket, request: Request) -> bool:
        time.sleep(pause)
        return response(connection, request)

    return send


def after(everyone: threading.Barrier, response: Respond) -> Respond:
    """Return what sends a response when as many requests are here as the barrier needs."""

    def send(connection: socket.socket, request: Request) -> bool:
        everyone.wait()
        return response(connection, request)

    return send


def cut(sent: bytes = b"") -> Respond:
    """Return what sends bytes and then closes the connection."""

    def send(connection: socket.socket, _request: Request) -> bool:
        connection.sendall(sent)
        return False

    return send


@contextlib.contextmanager
def server_that_never_accepts() -> Iterator[str]:
    """Yield the URL of a server whose queue of connections is full."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


class WireServer:
    """Responds with each of `responses` in turn, and then with `respond()`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.responses: list[Respond] = []
        self.connections = 0
        self.closed = threading.Semaphore(0)  # its value is the number of connections that this server has closed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the server's URL."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()
            self.connections += 1

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as reader:
                while start := reader.readline():
                    headers = {}
                    while line := reader.readline().strip():
                        name, _, value = line.decode("latin-1").partition(":")
                        headers[name.lower()] = value.strip()
                    body = reader.read(int(headers.get("content-length", "0")))
                    request = Request(start.decode().strip(), headers, body, number)
                    self.requests.append(request)
                    send = self.responses.pop(0) if self.responses else respond()
                    if not send(connection, request):
                        connection.shutdown(socket.SHUT_RDWR)
                        self.closed.release()
                        return
        except OSError:
            return  # the client has left
