"""Runs the embedded AWS in this process and the API in another one, which it restarts after each change of the code."""

import asyncio
import errno
import importlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from watchfiles import PythonFilter, awatch

from local import page, settings
from local.asgi import open_listener
from local.aws import DurableAws
from local.journal import Journal
from local.settings import APP_DIR, HOST, TENANT, CannotRun

UNCAUGHT = 1  # Python's exit code after a traceback
STOP_TIMEOUT = 5  # seconds that the API's process has for its last requests


def main() -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, or until make is gone."""
    try:
        settings.check()
        asyncio.run(run_until_stopped(settings.port(), settings.data_dir()))
    except* CannotRun as group:
        sys.exit("\n".join(f"make run: {exc}" for exc in group.exceptions))


async def run_until_stopped(port: int, data_dir: Path) -> None:
    """Start everything, and stop it after a signal."""
    require_free(port)
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with Journal(data_dir) as journal:
        aws = DurableAws(journal)
        await aws.replay()
        await aws.create_tables()
        await run_aws_and_api(port, aws, stop, data_dir)


async def run_aws_and_api(port: int, aws: DurableAws, stop: asyncio.Event, data_dir: Path) -> None:
    """Run the embedded AWS on a free port, and the API that uses it."""
    listener = open_listener(0)
    endpoint = f"http://{HOST}:{listener.getsockname()[1]}"
    address = data_dir / "aws.json"  # `make token` and `chalice local` read it
    shared = {name: os.environ[name] for name in settings.SHARED if name in os.environ}
    address.write_text(json.dumps({"endpoint": endpoint, "port": port, "settings": shared}))
    aws_stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(aws.listen(listener, aws_stop))
        make = tasks.create_task(stop_without_make(stop))
        greeting = tasks.create_task(greet(port, endpoint, data_dir))
        changed = asyncio.Event()
        watcher = tasks.create_task(watch_code(changed))
        try:
            await supervise_api(port, endpoint, stop, changed)
        finally:
            address.unlink(missing_ok=True)
            for task in (make, greeting, watcher):
                task.cancel()
            aws_stop.set()  # after the API, whose last requests need it


def require_free(port: int) -> None:
    """Raise CannotRun unless the API can listen on the port."""
    try:
        open_listener(port).close()
    except OSError as exc:
        taken = exc.errno == errno.EADDRINUSE
        why = "is in use: stop what listens there" if taken else f"cannot be used ({os.strerror(exc.errno)})"
        raise CannotRun(f"port {port} {why}, or take another, as in `make run PORT=8001`.") from exc


async def stop_without_make(stop: asyncio.Event) -> None:
    """Set `stop` when the make that started this process is killed."""
    parent = os.getppid()
    while "MAKELEVEL" not in os.environ or os.getppid() == parent:
        await asyncio.sleep(0.5)
    stop.set()


async def watch_code(changed: asyncio.Event) -> None:
    """Set `changed` at each change of the code or of its configuration. Editors' other files do not count."""
    async for _ in awatch(APP_DIR, watch_filter=PythonFilter(extra_extensions=["config.json"])):
        changed.set()


async def supervise_api(port: int, endpoint: str, stop: asyncio.Event, changed: asyncio.Event) -> None:
    """Run the API until `stop`, and restart it after each change. Raises CannotRun if it ends by itself."""
    while not stop.is_set():
        changed.clear()
        api = await start_api(port, endpoint)
        await wait_for_first(stop.wait(), changed.wait(), api.wait())
        if api.returncode is None:
            await stop_api(api)
        elif api.returncode == UNCAUGHT:
            print(f"make run: the API has the error above. It restarts after a change under {APP_DIR}.", flush=True)
            await wait_for_first(stop.wait(), changed.wait())
        elif not stop.is_set():
            code = api.returncode
            raise CannotRun(f"the API's process ended by itself (code {code}); start again with `make run`.")


async def start_api(port: int, endpoint: str) -> Process:
    """Start the API's process. It ends when its stdin ends, and so with this process, even after `kill -9`."""
    environment = {**settings.api_environment(endpoint), "PORT": str(port)}
    # Ctrl-C reaches both processes. Only this one reacts, and then stops the other.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).parent), "api", stdin=PIPE, env=environment
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


async def stop_api(api: Process) -> None:
    """Stop the API's process after its last requests."""
    api.terminate()
    try:
        await asyncio.wait_for(api.wait(), STOP_TIMEOUT)
    except TimeoutError:
        api.kill()
        await api.wait()


async def wait_for_first(*events: Coroutine[Any, Any, Any]) -> None:
    """Wait until one of the events happens."""
    tasks = [asyncio.create_task(event) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def greet(port: int, endpoint: str, data_dir: Path) -> None:
    """Print how to use the API when it responds, with a token that it accepts."""
    token = await asyncio.to_thread(own_token, endpoint, data_dir / "token") if settings.requires_token() else ""
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
            break
        except OSError:
            await asyncio.sleep(0.05)
    writer.close()
    url = f"http://{HOST}:{port}"
    header = f" -H 'Authorization: Bearer {token}'" if token else ""
    auth = f"Requests need a token. The one below is in {data_dir / 'token'}, and `make token` creates others."
    if not token:
        auth = f"AUTH is off: no request needs a token, and every caller is of the tenant {TENANT}."
    print(f"""
The Event API listens on {url} and keeps its events in {data_dir}.
{auth}
{url}{page.PATH}{f"#{token}" if token else ""} describes the API and sends requests from your browser.
A change under {APP_DIR} reloads it; Ctrl-C ends it. Paste into another terminal:

curl -i {url}/events{header} -H 'Content-Type: application/json' \\
  -d '{{"id": "order-1001", "type": "order.paid", "payload": {{"total": 42.50}}}}'

curl -i {url}/events/order-1001{header}

curl -i '{url}/events?type=order.*&limit=10'{header}
""", flush=True)


def own_token(endpoint: str, path: Path) -> str:
    """Return the token in a file. If there is none, or it is not valid, create one."""
    # Not at the top: boto3 would delay the start.
    admin, stage = importlib.import_module("token_admin"), importlib.import_module("token_stage")
    client = stage.local_client(endpoint, "local")
    return admin.load_or_create(admin.TokenAdmin(client, "tokens"), path, TENANT, "make run")
