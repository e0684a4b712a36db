"""The HTTP server of the emulated AWS: no response that a client waits for gets lost."""

import asyncio
import http.client
import resource
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.aws import HOST
from emulator.emulated_aws import EmulatedAws
from emulator.http_server import HttpServer

GO_IDLE_TIMEOUT = 90  # seconds after which Go's HTTP client, in Terraform's provider, closes an idle connection


def test_connection_serves_any_number_of_requests(tmp_path: Path) -> None:
    """3,000 requests on one connection get a response each, and none says that the connection will be closed."""
    aws = EmulatedAws(tmp_path, "eu-west-1")
    aws.start()
    try:
        connection = http.client.HTTPConnection(aws.endpoint.removeprefix("http://"), timeout=60)
        connection.connect()
        local_port = connection.sock.getsockname()[1]
        for _ in range(3000):
            connection.request("GET", "/_ministack/health")
            response = connection.getresponse()
            assert response.status == 200 and response.read()
            assert response.getheader("Connection") is None
        assert connection.sock.getsockname()[1] == local_port  # http.client would have connected again
        connection.close()
    finally:
        aws.stop()


class ClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can set forward."""

    ahead = 0.0  # seconds

    def time(self) -> float:
        """Return the clock's time in seconds."""
        return super().time() + self.ahead


async def respond(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    """Answer an ASGI request with a response that has a body."""
    if scope["type"] == "lifespan":
        while (event := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{event['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"body"})


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def exchange(idle_seconds: int, count: int) -> list[bytes]:
    """Return what one read after each of some requests gets, on one connection that is idle after each of them."""

    async def run(loop: ClockLoop) -> list[bytes]:
        listener = socket.create_server((HOST, 0))
        port = listener.getsockname()[1]
        server = HttpServer(respond)
        serving = asyncio.create_task(server.serve(listener))
        reader, writer = await asyncio.open_connection(HOST, port)
        responses = []
        for _ in range(count):
            writer.write(REQUEST)
            responses.append(await reader.read(65536))
            loop.ahead += idle_seconds
            for _ in range(10):  # timers that are due run now
                await asyncio.sleep(0)
        writer.close()
        server.stop()
        await serving
        return responses

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, ClockLoop)
        return runner.run(run(loop))


@pytest.mark.parametrize("idle_seconds", [5, 75, GO_IDLE_TIMEOUT, 3600])
def test_idle_connection_is_not_closed(idle_seconds: int) -> None:
    """A request on a connection that was idle is answered: only the client closes it."""
    assert [response[:15] for response in exchange(idle_seconds, 2)] == [b"HTTP/1.1 200 OK"] * 2


def test_response_comes_in_one_packet() -> None:
    """A client that reads once has the header and the body, so that it cannot lose one after it has the other."""
    responses = exchange(0, 100)
    assert [response for response in responses if not response.endswith(b"\r\n\r\nbody")] == []


def test_closed_connections_are_released(tmp_path: Path) -> None:
    """A client may open more connections than the server may have files, if it closes each of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    aws = EmulatedAws(tmp_path, "eu-west-1")
    try:
        aws.start()
        assert all(aws.is_running() for _ in range(600))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        aws.stop()
