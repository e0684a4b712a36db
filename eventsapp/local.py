"""The API on this machine: chalice's server with live reload, beside an embedded AWS that keeps what it acknowledged.

`local.py` runs both until it is told to stop; `local.py serve` is the part that is restarted on a change. Not shipped.
"""

# pylint: disable=wrong-import-position  # Ctrl-C is to be heard, without a traceback, while the others are imported
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import errno
import fcntl
import importlib
import json
import os
import socket
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from chalice import AuthResponse, Chalice
from chalice.app import RouteEntry
from chalice.cli.filewatch import RESTART_REQUEST_RC
from chalice.cli.reloader import start_worker_process
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, ForbiddenError, LocalChalice, LocalDevServer, LocalGateway
from chalice.local import LocalGatewayAuthorizer, NotAuthorizedError, ThreadedHTTPServer
from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config as ServerConfig

HOST = "127.0.0.1"
APP_DIR = Path(__file__).resolve().parent
GATEWAY_BODY_LIMIT = 10 * 1024 * 1024  # bytes; API Gateway's own
GATEWAY_TIMEOUT = 29  # seconds; API Gateway's own

TENANT = "local"  # of the token that is made at the start, and of every caller where nobody is asked for one
TABLES = [
    {
        "TableName": name,
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    for name, key in (("events", "pk"), ("tokens", "key_id"))
]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def main() -> None:
    """Run what the command line asks for."""
    if sys.argv[1:] == ["serve"]:
        serve()
    try:
        require_retention(os.environ.get("RETENTION_DAYS", "0"))
        require_auth(os.environ.get("AUTH", "on"))
        asyncio.run(run(port_of(os.environ["PORT"]), Path(os.environ.get("DATA_DIR", APP_DIR.parent / ".local"))))
    except* CannotRun as group:
        sys.exit("\n".join(f"make run: {exc}" for exc in group.exceptions))


class CannotRun(Exception):
    """Raised when the API cannot start or go on here; says what to do about it."""


# The supervisor: starts both parts, and ends them.


async def run(port: int, data_dir: Path) -> None:
    """Run the embedded AWS and the API until SIGINT, SIGTERM or SIGHUP, or until make is gone."""
    require_free(port)
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with open_journal(data_dir) as journal:
        aws = DurableAws(journal)
        await aws.replay()
        await aws.create_tables()
        await run_parts(port, aws, stop, data_dir)


async def run_parts(port: int, aws: AsgiApp, stop: asyncio.Event, data_dir: Path) -> None:
    """Run the embedded AWS, on a port that is free, and the API that uses it."""
    listener = socket.create_server((HOST, 0))
    endpoint = f"http://{HOST}:{listener.getsockname()[1]}"
    address = data_dir / "aws.json"  # where `make token` finds the tokens
    address.write_text(json.dumps({"endpoint": endpoint}))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_aws(aws, listener, stop))
        tasks.create_task(stop_without_make(stop))
        try:
            await supervise_api(port, endpoint, stop, data_dir)
        finally:
            stop.set()
            address.unlink()


def require_retention(days: str) -> None:
    """Raise CannotRun unless a text is a number of days, as Terraform requires for a deployment."""
    if not (days.isascii() and days.isdigit()):
        raise CannotRun(f"RETENTION_DAYS is {days!r}: make it a whole number of days, or 0 to keep events for ever.")


def require_auth(auth: str) -> None:
    """Raise CannotRun unless a text says whether the API asks who calls."""
    if auth not in ("on", "off"):
        raise CannotRun(f"AUTH is {auth!r}: make it on, to ask for tokens as a deployed API does, or off.")


def port_of(text: str) -> int:
    """Return the port that a text names. Raises CannotRun."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise CannotRun(f"{text!r} is no port: take one from 1 to 65535, as in `make run PORT=8001`.")
    return int(text)


def require_free(port: int) -> None:
    """Raise CannotRun unless the API can listen on the port."""
    try:
        with socket.create_server((HOST, port)):
            pass
    except OSError as exc:
        taken = exc.errno == errno.EADDRINUSE
        why = "is in use: stop what listens there" if taken else f"cannot be had ({exc.strerror})"
        raise CannotRun(f"port {port} {why}, or take another, as in `make run PORT=8001`.") from exc


async def stop_without_make(stop: asyncio.Event) -> None:
    """Set `stop` when the make that started this is killed, so that nothing is left behind."""
    parent = os.getppid()
    while not stop.is_set() and ("MAKELEVEL" not in os.environ or os.getppid() == parent):
        await asyncio.sleep(0.5)
    stop.set()


async def supervise_api(port: int, endpoint: str, stop: asyncio.Event, data_dir: Path) -> None:
    """Run the API, anew after each change of its code, until `stop`. Raises CannotRun when it ends by itself."""
    stopping = asyncio.create_task(stop.wait())
    greeting = asyncio.create_task(greet(port, endpoint, data_dir))
    try:
        while not stop.is_set():
            # The pipe is how the child learns that this process is gone, even when it was killed.
            api = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "serve", stdin=asyncio.subprocess.PIPE, env=api_environment(port, endpoint)
            )
            ended = asyncio.create_task(api.wait())
            await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                api.terminate()
                await ended
            elif api.returncode == -signal.SIGINT:
                stop.set()  # Ctrl-C is for both, and the child may hear of it first
            elif api.returncode != RESTART_REQUEST_RC and not stop.is_set():
                raise CannotRun(
                    f"the API's process ended by itself (code {api.returncode}); start again with `make run`."
                )
    finally:
        greeting.cancel()


def api_environment(port: int, endpoint: str) -> dict[str, str]:
    """Return the environment in which the API can reach the embedded AWS, and no other."""
    ours = {
        "PORT": str(port),
        "TABLE_NAME": "events",
        "TOKEN_TABLE_NAME": "tokens",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": "ap-southeast-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": HOST,
        "no_proxy": HOST,
        "PYTHONDONTWRITEBYTECODE": "1",  # a written .pyc would count as a change and restart the API
    }
    return {**{name: value for name, value in os.environ.items() if not name.startswith("AWS_")}, **ours}


async def greet(port: int, endpoint: str, data_dir: Path) -> None:
    """Print how to use the API once it answers, with a token that it takes."""
    token = await asyncio.to_thread(own_token, endpoint, data_dir / "token") if asks_for_tokens() else ""
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
            break
        except OSError:
            await asyncio.sleep(0.05)
    writer.close()
    url = f"http://{HOST}:{port}"
    header = f" -H 'Authorization: Bearer {token}'" if token else ""
    asks = f"It asks for a token: the one below is in {data_dir / 'token'}, and `make token` makes others."
    if not token:
        asks = f"AUTH is off: it asks nobody for a token, and takes everybody for the tenant {TENANT}."
    print(f"""
The Event API listens on {url} and keeps its events in {data_dir}.
{asks}
A change under {APP_DIR} reloads it; Ctrl-C ends it. Paste into another terminal:

curl -i {url}/events{header} -H 'Content-Type: application/json' \\
  -d '{{"id": "order-1001", "type": "order.paid", "payload": {{"total": 42.50}}}}'

curl -i {url}/events/order-1001{header}
""", flush=True)


def own_token(endpoint: str, path: Path) -> str:
    """Return the token that a file keeps, a new one if need be."""
    token_admin, token_stage = importlib.import_module("token_admin"), importlib.import_module("token_stage")
    admin = token_admin.TokenAdmin(token_stage.local_client(endpoint, "local"), "tokens")
    return token_admin.load_or_create(admin, path, TENANT, "make run")


def asks_for_tokens() -> bool:
    """Tell whether the API asks who calls, which only here can be turned off."""
    return os.environ.get("AUTH", "on") == "on"


# The embedded AWS: ministack's, with a journal.


class DurableAws:
    """An AWS in this process that journals each write before it acknowledges it, and replays them at the start.

    ministack itself saves its state only when it ends in order.
    """

    READS = ("Get", "BatchGet", "Query", "Scan", "Describe", "List", "TransactGet")
    HEADERS = (b"x-amz-target", b"content-type", b"authorization")
    TARGET = "DynamoDB_20120810."

    def __init__(self, journal: BinaryIO) -> None:
        os.environ["LOG_LEVEL"] = "WARNING"  # ministack reads it at import
        from ministack.app import app  # pylint: disable=import-outside-toplevel  # only the supervisor needs it

        self._aws: AsgiApp = app
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        if scope["type"] == "lifespan":  # ministack's own would start services and clean up containers
            while True:
                event = (await receive())["type"]
                await send({"type": f"{event}.complete"})
                if event == "lifespan.shutdown":
                    return
        headers = {name: value for name, value in scope["headers"] if name in self.HEADERS}
        target = headers.get(b"x-amz-target", b"").decode("latin-1")
        if not (target.startswith(self.TARGET) and is_from_here(scope)):
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = await self._answer(scope, body)
        if answer[0]["status"] == 200 and not target.removeprefix(self.TARGET).startswith(self.READS):
            self._record(headers, body)
        for message in answer:
            await send(message)

    async def _answer(self, scope: Scope, body: bytes) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            answer.append(message)

        await self._aws(scope, receive, send)
        return answer

    def _record(self, headers: dict[bytes, bytes], body: bytes) -> None:
        text = {name.decode(): value.decode() for name, value in headers.items()}
        self._journal.write(json.dumps({"headers": text, "body": body.decode()}).encode() + b"\n")
        self._journal.flush()

    async def replay(self) -> None:
        """Do again what the journal says was done. Raises CannotRun where that is not possible."""
        self._journal.seek(0)
        whole = 0
        for line in self._journal:
            if not line.endswith(b"\n"):
                break  # the process was killed in the middle of a write that it had not acknowledged
            entry = json.loads(line)
            headers = {name.encode(): value.encode() for name, value in entry["headers"].items()}
            if await self._status(headers, entry["body"].encode()) != 200:
                raise CannotRun(
                    f"{self._journal.name} does not replay at byte {whole}: move it away to start without its events."
                )
            whole += len(line)
        self._journal.truncate(whole)

    async def create_tables(self) -> None:
        """Create the tables unless they are there."""
        scope = "20260101/ap-southeast-1/dynamodb/aws4_request"
        headers = {
            b"x-amz-target": b"DynamoDB_20120810.CreateTable",
            b"content-type": b"application/x-amz-json-1.0",
            b"authorization": f"AWS4-HMAC-SHA256 Credential=local/{scope}, SignedHeaders=host, Signature=none".encode(),
        }
        for table in TABLES:
            body = json.dumps(table).encode()
            if await self._status(headers, body) == 200:
                self._record(headers, body)

    async def _status(self, headers: dict[bytes, bytes], body: bytes) -> int:
        """Make a call from within, and return its HTTP status."""
        address = {"server": (HOST, 80), "client": (HOST, 0), "scheme": "http", "http_version": "1.1"}
        place = {"path": "/", "raw_path": b"/", "query_string": b"", "root_path": ""}
        scope = {"type": "http", "method": "POST", "headers": list(headers.items()), **address, **place}
        return int((await self._answer(scope, body))[0]["status"])


def is_from_here(scope: Scope) -> bool:
    """Tell whether a request is one that a program of this machine makes of DynamoDB.

    ministack runs code for whoever asks Lambda, and a page in a browser can ask: not for a header that it may not set,
    nor by another name of this machine.
    """
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").partition(":")[0]
    return scope["method"] == "POST" and scope["path"] == "/" and host == HOST


def open_journal(data_dir: Path) -> BinaryIO:
    """Return the journal in a folder, made if need be. Raises CannotRun while another process has it."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    journal = open(  # pylint: disable=consider-using-with  # callers do
        data_dir / "journal.jsonl", "ab+", opener=lambda path, flags: os.open(path, flags, 0o600)
    )
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise CannotRun(f"another `make run` uses {data_dir}: stop it first.") from exc
    return journal


async def serve_aws(aws: AsgiApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve an ASGI app on a listening socket until `stop`."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = ServerConfig()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    await serve_asgi(aws, config, shutdown_trigger=stop.wait)


# The API's process: chalice's local server, put right where API Gateway differs from it.


def serve() -> None:
    """Serve the API until its code changes or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=exit_with_parent, daemon=True).start()
    sys.exit(start_worker_process(partial(api_server, int(os.environ["PORT"])), str(APP_DIR)))


def exit_with_parent() -> None:
    """End this process when the parent, which holds the other end of stdin, has ended."""
    os.read(sys.stdin.fileno(), 1)  # not by sys.stdin, whose lock would be in the way of an exit
    os._exit(0)  # pylint: disable=protected-access  # the only exit that a thread has


def api_server(port: int) -> LocalDevServer:
    """Return the server of the API on a port."""
    from app import app  # pylint: disable=import-outside-toplevel  # a fault in it is shown, and waits for a change

    app.__class__ = LocalChalice  # one current_request a thread, as chalice's own factory does
    config = Config.create(chalice_app=app, project_dir=str(APP_DIR))
    return LocalDevServer(app, config, HOST, port, Handler, Server)


class Server(ThreadedHTTPServer):
    """A server that takes a burst of connections, and thinks nothing of one that is cut."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show an error of the handler's, but not that the caller has left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Gateway(LocalGateway):
    """Chalice's stand-in for API Gateway, with the answers of ours to what no route gets to see."""

    def __init__(self, app_object: Chalice, config: Config, asks: bool) -> None:
        """`asks` tells whether callers have to have a token; without, each is of the one tenant there is."""
        super().__init__(app_object, config)
        self._authorizer = Authorizer(app_object) if asks else NoAuthorizer()

    def handle_request(self, method: str, path: str, headers: dict[str, Any], body: bytes | None) -> dict[str, Any]:
        """Return the answer to a request in the form of Lambda's proxy integration."""
        problem = app_module("problem")
        path = path.replace(";", "%3B")  # which chalice would cut off, with what follows it
        context = self._generate_lambda_context()
        try:
            request = self._generate_lambda_event(method, path, headers, body)
        except ValueError:
            return answer_to(problem.PathNotFound())
        if method not in AuthResponse.ALL_HTTP_METHODS:  # which API Gateway takes for a path that it has not
            return answer_to(problem.PathNotFound())
        try:
            request, context = self._authorizer.authorize(path, request, context)
        except (NotAuthorizedError, problem.Unauthorized):
            return answer_to(problem.Unauthorized())
        except ForbiddenError:
            return answer_to(problem.Forbidden())
        except problem.StoreUnavailable:
            return answer_to(problem.AuthorizerUnavailable())
        return self._app_object(request, context)


class Authorizer(LocalGatewayAuthorizer):
    """Chalice's stand-in for API Gateway's caller of the authorizer. It keeps no answer."""

    def _route_for_event(self, lambda_event: dict[str, Any]) -> RouteEntry:
        # A method that the path has not is answered to known callers alone.
        return next(iter(self._app_object.routes[lambda_event["requestContext"]["resourcePath"]].values()))


class NoAuthorizer:
    """What stands in the authorizer's place where AUTH is off."""

    def authorize(self, _path: str, request: dict[str, Any], context: Any) -> tuple[dict[str, Any], Any]:
        """Let every caller in, all as one tenant."""
        caller = {"tenant": TENANT, "scopes": "events:read events:write", "principalId": "anybody"}
        request["requestContext"]["authorizer"] = caller
        return request, context


class Handler(ChaliceRequestHandler):
    """Chalice's HTTP handler, with what HTTP asks for beyond it: chunked bodies, HEAD, 304, errors as problems."""

    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait for an ACK
    timeout = GATEWAY_TIMEOUT

    def __init__(self, *connection: Any, app_object: Chalice, config: Config) -> None:
        self._gateway = Gateway(app_object, config, asks_for_tokens())
        super().__init__(*connection, app_object, config)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what no route gets to see, and end the connection: where its next request starts is not known."""
        title = HTTPStatus(code).phrase
        body = {"type": "about:blank", "title": title, "status": int(code), "detail": explain or message or title}
        self._end_with(code, {"Content-Type": "application/problem+json"}, json.dumps(body))

    def _end_with(self, code: int, headers: dict[str, str], body: str) -> None:
        self.close_connection = True  # pylint: disable=attribute-defined-outside-init  # the base class's way
        self._send_http_response(code, {**headers, "Connection": "close"}, body)

    def _generic_handle(self) -> None:
        if self.headers.defects:
            self.send_error(HTTPStatus.BAD_REQUEST, explain="A line among the headers is no header.")
            return
        try:
            body = b"".join(self._body())
        except (ValueError, TimeoutError) as exc:
            self.send_error(HTTPStatus.BAD_REQUEST, explain=f"The body's length is not clear: {exc}")
        except OverflowError:
            answer = answer_to(app_module("problem").BodyTooLarge(app_module("event").MAX_BODY_BYTES))
            self._end_with(answer["statusCode"], answer["headers"], answer["body"])
        else:
            answer = self._gateway.handle_request(self.command, self.path, dict(self.headers), body)
            self._send_http_response(answer["statusCode"], answer["headers"], answer["body"])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _generic_handle

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._generic_handle  # the app knows which methods it has
        raise AttributeError(name)

    def _body(self) -> Iterator[bytes]:
        """Read the body, whole or in chunks (RFC 9112, 7.1)."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self._read(length(self.headers.get("Content-Length", "0"), 10), GATEWAY_BODY_LIMIT)
            return
        left = GATEWAY_BODY_LIMIT
        while size := length(self.rfile.readline(64).decode("latin-1").partition(";")[0].strip(), 16):
            yield self._read(size, left)
            left -= size
            self.rfile.readline(64)
        while self.rfile.readline(65536).strip():
            pass  # a trailer

    def _read(self, size: int, limit: int) -> bytes:
        if size > limit:
            raise OverflowError
        data = self.rfile.read(size)
        if len(data) != size:
            raise ValueError(f"{size} bytes were announced, {len(data)} came")
        return data

    def _send_http_response(self, code: int, headers: dict[str, str], body: str) -> None:
        data = body.encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if code != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD" and code != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(data)


def length(text: str, base: int) -> int:
    """Return the length that a text says. Raises ValueError."""
    try:
        size = int(text, base)
    except ValueError:
        size = -1
    if size < 0:
        raise ValueError(f"{text[:20]!r} is no number of bytes")
    return size


def answer_to(problem: Any) -> dict[str, Any]:
    """Return the answer that is a Problem, in the form of Lambda's proxy integration."""
    body = json.dumps(problem.body(str(uuid.uuid4())))
    return {"statusCode": problem.status, "headers": problem.headers, "multiValueHeaders": {}, "body": body}


def app_module(name: str) -> ModuleType:
    """Return a module of the app's; not imported above, so that a fault in it waits for a change."""
    return importlib.import_module(f"chalicelib.{name}")


if __name__ == "__main__":
    main()
