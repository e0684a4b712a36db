"""The API's own process: it puts HTTP in front of the gateway, and ends with its parent or when its code changes."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from chalice.config import Config
from chalice.local import LocalChalice

from app import app
from chalicelib import batch, problem
from local import gateway, page, settings
from local.asgi import Receive, Scope, Send, answer_lifespan, header_lines, http_problem, listen, open_listener

GATEWAY_BODY_LIMIT = 10 * 1024 * 1024  # bytes; API Gateway's own
READ_LIMIT = 10 * GATEWAY_BODY_LIMIT  # bytes of a body that is too large; a client that sends more loses its connection
GATEWAY_TIMEOUT = 29  # seconds; API Gateway's own
THREADS = 64  # requests that run at the same time

log = logging.getLogger(__name__)


def main() -> None:
    """Serve the API until SIGTERM, or until the parent is gone."""
    threading.Thread(target=exit_with_parent, daemon=True).start()
    leave_a_cpu_to_aws()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    log.setLevel(logging.INFO)
    asyncio.run(serve_api(settings.port()))


def exit_with_parent() -> None:
    """End this process when the parent, which has the other end of stdin, has ended."""
    os.read(sys.stdin.fileno(), 1)  # sys.stdin.read() would hold a lock that the exit needs
    os._exit(0)  # pylint: disable=protected-access  # a thread has no other exit


def leave_a_cpu_to_aws() -> None:
    """Let this process use all CPUs but one, where the system can do that.

    Otherwise Linux may run both processes on the same CPU while another one is idle, because they wake each other. On
    two CPUs, a batch took almost twice as long.
    """
    # A system may not have these calls, or not permit them.
    with contextlib.suppress(AttributeError, OSError):
        cpus = os.sched_getaffinity(0)
        left = random.choice(sorted(cpus))  # several of `make run` leave different ones
        os.sched_setaffinity(0, cpus - {left} or cpus)


async def serve_api(port: int) -> None:
    """Serve the API on a port until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await listen(LocalApi(port), open_listener(port), stop)


class HttpError(Exception):
    """Raised when a request is not one that HTTP allows here."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class LocalApi:
    """The API as an ASGI app. It accepts only its own host names, so no web page can reach it by another name."""

    def __init__(self, port: int) -> None:
        app.__class__ = LocalChalice  # current_request for each thread, as `chalice local` does
        config = Config.create(chalice_app=app, project_dir=str(settings.APP_DIR))
        self._gateway = gateway.Gateway(app, config, settings.requires_token())
        names = (settings.HOST, "localhost", "[::1]")
        self._authorities = {*names, *(f"{name}:{port}" for name in names)}
        self._threads = ThreadPoolExecutor(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        headers: gateway.Headers = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
        origin = headers.get("origin", [None])[-1]
        try:
            body = await read_body(receive, headers)
            require_clear_framing(scope, headers)
            path = self._path(scope, headers)
        except HttpError as exc:
            response = gateway.response(int(exc.status), *http_problem(exc.status), origin)
        except problem.BodyTooLarge as exc:
            response = gateway.problem_response(exc, origin)
        else:
            response = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._respond, scope["method"], path, headers, body
            )
        await send_response(response, send)
        log.info("%s %s %d", scope["method"], scope["raw_path"].decode(), response["statusCode"])

    def _respond(self, method: str, path: str, headers: gateway.Headers, body: bytes) -> dict[str, Any]:
        """Return the response to a request: a file of the page, or what the API responds."""
        file = page.response(method, path, f"http://{headers['host'][-1]}") if "host" in headers else None
        return file or self._gateway.handle_request(method, path, headers, body)

    def _path(self, scope: Scope, headers: gateway.Headers) -> str:
        """Return the path and the query of a request (RFC 9112, 3.2). Raises HttpError."""
        if not scope["http_version"].startswith("1."):
            raise HttpError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        path, query = scope["raw_path"].decode(), scope["query_string"].decode()
        authorities = list(headers.get("host", []))
        scheme, found, rest = path.partition("://")
        if found and scheme.lower() == "http":  # the absolute form
            authority, _, path = rest.partition("/")
            authorities.append(authority)
            path = f"/{path}"
        if not path.startswith("/") or "#" in path + query:
            raise HttpError(HTTPStatus.BAD_REQUEST)
        if any(authority.lower() not in self._authorities for authority in authorities):
            raise HttpError(HTTPStatus.MISDIRECTED_REQUEST)
        return f"{path}?{query}" if query else path


async def read_body(receive: Receive, headers: gateway.Headers) -> bytes:
    """Return the body of a request. Raises HttpError, and BodyTooLarge after the client has sent it all."""
    body, size, more = bytearray(), 0, True
    try:
        async with asyncio.timeout(GATEWAY_TIMEOUT):
            while more and size <= READ_LIMIT:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                more = message["more_body"]
                size += len(message["body"])
                if size <= GATEWAY_BODY_LIMIT:
                    body += message["body"]
    except TimeoutError as exc:
        raise HttpError(HTTPStatus.REQUEST_TIMEOUT) from exc
    if max(size, int(headers.get("content-length", ["0"])[-1])) > GATEWAY_BODY_LIMIT:
        raise batch.too_large()
    if more:
        raise HttpError(HTTPStatus.BAD_REQUEST)
    return bytes(body)


def require_clear_framing(scope: Scope, headers: gateway.Headers) -> None:
    """Raise HttpError if another program could read another length of the body (RFC 9112, 6.1)."""
    if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
        raise HttpError(HTTPStatus.BAD_REQUEST)


async def send_response(response: dict[str, Any], send: Send) -> None:
    """Send a response that has the form of Lambda's proxy integration."""
    status, body = response["statusCode"], response["body"].encode()
    headers = header_lines(response["headers"])
    for name, values in response["multiValueHeaders"].items():
        headers += [(name.encode(), value.encode("latin-1")) for value in values]
    if status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append((b"Content-Length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
