"""The HTTP server of the emulated AWS: uvicorn, set up so that no response gets lost.

A client that loses a response sends the request again, and a create then fails with EntityAlreadyExists. Two causes:

- The AWS SDK for Go, which Terraform's provider uses, may close a connection in the short time between a response's
  header and its body, if the header comes before its own thread has finished with sending the request. A real AWS is
  too slow for that. Here header and body are sent at once.
- A server that closes an idle connection may do so while the client sends the next request on it. Here only clients
  close connections: Go after 90 idle seconds, botocore never.
"""

import asyncio
import signal
import socket
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpServer:
    """Serves an ASGI app until SIGINT, SIGTERM or `stop`."""

    def __init__(self, app: Any) -> None:
        self._server = Server(Config(
            app, http=OneWriteProtocol, ws="none", loop="asyncio", lifespan="on", log_config=None, access_log=False,
            server_header=False, date_header=False, timeout_keep_alive=7 * 24 * 3600, timeout_graceful_shutdown=3,
        ))  # fmt: skip

    async def serve(self, listener: socket.socket) -> None:
        """Serve on a listening socket."""
        # uvicorn raises a signal again after it has stopped: the caller still has something to do then.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """Let the server stop. Any thread may call this."""
        self._server.should_exit = True


class OneWriteTransport:
    """A transport that sends what one step of the event loop writes, such as a response's header and body, at once."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._data: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send data at the end of this step of the event loop."""
        if not self._data:
            asyncio.get_running_loop().call_soon(self._flush)
        self._data.append(data)

    def _flush(self) -> None:
        data, self._data = b"".join(self._data), []
        if data:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was written, and close the connection."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 on such a transport."""

    def connection_made(self, transport: Any) -> None:
        """Begin with a new connection."""
        super().connection_made(OneWriteTransport(transport))
