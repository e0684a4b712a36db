"""The emulated AWS: ministack with IAM enforced, and with corrections that a deployment of the API needs.

`python -m emulator.aws FOLDER` serves it on a free port of 127.0.0.1. It writes its address to FOLDER/aws.json and
keeps all its files in FOLDER. It ends on SIGTERM. If its standard input is a pipe, it also ends when the pipe closes.
"""

import asyncio
import json
import os
import re
import socket
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .alarm_actions import check_and_suppress_actions
from .alarm_descriptions import describe_alarms_completely
from .alarms import evaluate_alarms, evaluate_each_minute
from .alias_routing import route_by_weight
from .api_gateway import add_missing_operations
from .backup import lock_vaults
from .clock import CLOCK
from .clock import PATH as CLOCK_PATH
from .codedeploy import CodeDeploy
from .iam import correct_policy_evaluation
from .dynamodb_metrics import publish_operations
from .gateway_requests import observe_requests
from .http_server import HttpServer
from .lambda_functions import CheckedFunctions, name_the_calling_function
from .lambda_log_lines import complete_the_logs
from .lambda_metrics import publish_invocations
from .log_metrics import count_log_events
from .logs import accept_new_keys
from .metrics import use_the_clock
from .recovery import RecordedTables
from .sts import require_oidc_provider
from .table_policy import evaluate_table_policies
from .waf import store_bodies_and_log_settings

HOST = "127.0.0.1"
ACCOUNT = "123456789012"
INHERITED = ("PATH", "LANG", "LC_ALL")  # variables of the environment that the functions may see

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_calls_api: ContextVar[bool] = ContextVar("calls_api", default=False)


def main() -> None:
    """Serve until told to stop."""
    asyncio.run(serve(Path(sys.argv[1]).resolve()))


async def serve(folder: Path) -> None:
    """Serve the emulated AWS, and write its address to the folder's aws.json once it accepts connections."""
    listener = socket.create_server((HOST, 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]
    prepare_environment(folder, port)
    server = HttpServer(CorrectedAws())
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=lambda: (sys.stdin.read(), server.stop()), daemon=True).start()
    address = folder / "aws.json"
    address.with_suffix(".new").write_text(json.dumps({"endpoint": f"http://{HOST}:{port}", "pid": os.getpid()}))
    address.with_suffix(".new").rename(address)
    evaluation = asyncio.create_task(evaluate_each_minute())
    await server.serve(listener)
    evaluation.cancel()
    import_module("ministack.core.lambda_runtime").reset()  # ends the functions' processes, and waits for their end


def prepare_environment(folder: Path, port: int) -> None:
    """Set the variables that ministack reads at its import and that the functions inherit; remove all others."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()
    os.environ.update(inherited)
    os.environ.update({
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "S3_DATA_DIR": str(scratch / "s3"),
        "STATE_DIR": str(scratch / "state"),
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": "unix:///nonexistent",  # ministack would remove containers that it takes for its own
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    })  # fmt: skip


class CorrectedAws:
    """The ASGI app: ministack's, corrected. The environment must be prepared before."""

    def __init__(self) -> None:
        self._ministack = import_module("ministack.app")
        self._pass_compressed_bodies_to_apis()
        add_missing_operations()
        route_by_weight()
        CheckedFunctions()
        name_the_calling_function()
        complete_the_logs()
        require_oidc_provider()
        accept_new_keys()
        describe_alarms_completely()
        lock_vaults()
        store_bodies_and_log_settings()
        code_deploy = CodeDeploy(f"http://{HOST}:{os.environ['GATEWAY_PORT']}")
        code_deploy.register()
        correct_policy_evaluation(code_deploy.resource_of)
        evaluate_table_policies()
        use_the_clock()
        publish_invocations()
        observe_requests()
        publish_operations()
        count_log_events()
        evaluate_alarms()
        check_and_suppress_actions()
        RecordedTables()

    def _pass_compressed_bodies_to_apis(self) -> None:
        """AWS's own services decompress a request's body; a deployed API receives it as it was sent."""
        # pylint: disable=protected-access  # ministack's own function is corrected
        decompress = self._ministack._decompress_request_body

        def decompress_for_services(body: bytes, headers: dict[str, str]) -> bytes:
            return body if _calls_api.get() else decompress(body, headers)

        self._ministack._decompress_request_body = decompress_for_services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] != "lifespan":  # policies may require TLS, which callers of the real AWS have
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        if scope.get("path") == CLOCK_PATH:
            await self._ministack._send_response(send, *CLOCK.handle_request(scope["method"], await read_body(receive)))
            return
        api_prefix = re.match(r"/_aws/execute-api/[^/]+(?=/)", scope.get("path", ""))
        if api_prefix is None:
            await self._ministack.app(scope, receive, send)
            return

        async def send_with_prefix(message: dict[str, Any]) -> None:
            """Put the prefix before a URL in a header: an API has its own host at AWS, and a path of this host here."""
            if message["type"] == "http.response.start":
                prefix = api_prefix[0].encode()
                message["headers"] = [(name, with_prefix(name, value, prefix)) for name, value in message["headers"]]
            await send(message)

        _calls_api.set(True)
        # ministack splits a path after it has decoded it, API Gateway before: an encoded slash stays encoded.
        path = unquote(re.sub(b"%2[Ff]", b"%252F", scope["raw_path"]).decode("ascii"))
        await self._ministack.app({**scope, "path": path}, receive, send_with_prefix)


async def read_body(receive: Receive) -> bytes:
    """Return the body of an ASGI request."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def with_prefix(name: bytes, value: bytes, prefix: bytes) -> bytes:
    """Return a response header's value. The prefix is before the path that a Location or Link has on this host."""
    start = {b"location": b"", b"link": b"<"}.get(name.lower())
    if start is None or not value.startswith(start + b"/"):
        return value
    return start + prefix + value.removeprefix(start)


if __name__ == "__main__":
    main()
