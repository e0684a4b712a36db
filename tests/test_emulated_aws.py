"""The emulated AWS as a server: it never closes a connection that a client may use again."""

import asyncio
import http.client
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypercorn.asyncio import serve

from emulator.aws import HOST, server_config
from emulator.emulated_aws import EmulatedAws

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
    """Answer an ASGI request with an empty response."""
    if scope["type"] == "lifespan":
        while (event := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{event['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("idle_seconds", [5, 75, GO_IDLE_TIMEOUT, 3600])
def test_idle_connection_is_not_closed(idle_seconds: int) -> None:
    """A request on a connection that was idle is answered: only the client closes it."""

    async def exchange(loop: ClockLoop) -> list[bytes]:
        listener = socket.create_server((HOST, 0))
        port = listener.getsockname()[1]
        stop = asyncio.Event()
        server = asyncio.create_task(serve(respond, server_config(listener), shutdown_trigger=stop.wait))
        reader, writer = await asyncio.open_connection(HOST, port)
        responses = []
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                responses.append((await reader.readuntil(b"\r\n\r\n"))[:12])
            except asyncio.IncompleteReadError:
                responses.append(b"closed")
            loop.ahead += idle_seconds
            for _ in range(10):  # timers that are due run now
                await asyncio.sleep(0)
        writer.close()
        stop.set()
        await server
        return responses

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, ClockLoop)
        assert runner.run(exchange(loop)) == [b"HTTP/1.1 204"] * 2
