"""Chalice's own commands. `chalice local` serves the API with the embedded AWS of a running `make run`.

Chalice loads app.py, which imports this module only under chalice's own command line. Chalice itself would set names of
AWS resources that only Terraform knows.
"""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, NamedTuple, NoReturn

import chalice.local
import click
from chalice.cli import cli
from chalice.local import LocalDevServer
from click.core import ParameterSource

from local import settings
from local.asgi import listen, open_listener

STAGE = "local"
DEPLOYING = ("deploy", "package")  # Terraform deploys this app, and chalice's Terraform needs corrections first


def prepare() -> None:
    """Let `chalice local --stage local` use the embedded AWS. Commands that deploy end with a sentence."""
    command = local_command()
    if command is None:
        refuse_to_deploy()
        return
    if command.params["stage"] != STAGE:
        end(f"the stage {command.params['stage']} is in AWS: use `chalice local --stage {STAGE}`.")
    if "CHALICE_WORKER" in os.environ:
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    running = make_run()
    environment = settings.api_environment(running.endpoint)
    # Chalice has set what config.json says for a deployment: references that Terraform resolves.
    known = {name: value for name, value in environment.items() if "${" not in value}
    os.environ.clear()
    os.environ.update(known | running.settings)
    try:
        settings.check()
    except settings.CannotRun as exc:
        end(str(exc))
    is_default = command.get_parameter_source("port") == ParameterSource.DEFAULT
    LocalServer.listener = listener(command.params["port"], is_default, running.port)
    chalice.local.LocalDevServer = LocalServer  # chalice has no setting for its server


def local_command() -> click.Context | None:
    """Return the command `local` with its options, or None while chalice runs another command."""
    context = click.get_current_context(silent=True)
    if context is not None:
        return context if context.command is cli.commands["local"] else None
    if "CHALICE_WORKER" not in os.environ:
        return None
    # Only `chalice local` has workers. A worker loads the app in a thread, where click has no context.
    return cli.commands["local"].make_context("local", sys.argv[sys.argv.index("local") + 1 :])


def refuse_to_deploy() -> None:
    """End `chalice deploy` and `chalice package` with a sentence. `make package` runs chalice without this folder."""
    context = click.get_current_context(silent=True)
    if context is not None and context.command.name in DEPLOYING:
        sys.exit(
            f"chalice {context.command.name}: Terraform deploys this app. Run `make package STAGE=dev` to package it "
            "or `make deploy-local` to try a deployment; docs/deployment.md describes the rest."
        )


class MakeRun(NamedTuple):
    """A `make run` that runs: the address of its embedded AWS, the port of its API, its settings.SHARED."""

    endpoint: str
    port: int
    settings: dict[str, str]


def make_run() -> MakeRun:
    """Return the `make run` of the same folder, or end with a sentence if there is none."""
    try:
        running = MakeRun(**json.loads((settings.data_dir() / "aws.json").read_text()))
        with socket.create_connection((settings.HOST, int(running.endpoint.rpartition(":")[2]))):
            return running
    except (OSError, ValueError, TypeError):  # `kill -9` leaves the file, and an older `make run` wrote other members
        end("`make run` does not run: start it in another terminal, then try again.")


def listener(port: int, is_default: bool, taken: int) -> socket.socket:
    """Return a socket that listens on a port, or on the next free one if it is only the default.

    Never on the taken port of `make run`, which is free for a moment while its API restarts.
    """
    reason = "`make run` has it"
    for number in range(port, 65536) if is_default else [port]:
        if number == taken:
            continue
        try:
            return open_listener(number)
        except OSError as exc:
            reason = os.strerror(exc.errno)
        except OverflowError:
            reason = "the largest is 65535"
    end(f"port {port} cannot be used ({reason}): take another, as in `--port 8001`.")


def end_with(parent: int) -> None:
    """End this process after its parent, which reacts to Ctrl-C only."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def end(sentence: str) -> NoReturn:
    """Print a sentence and end the command with an error."""
    if threading.current_thread() is threading.main_thread():
        sys.exit(f"chalice local: {sentence}")
    print(f"chalice local: {sentence}", file=sys.stderr, flush=True)
    # A worker's exit code is lost: its parent ends with 0 whatever the worker does.
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)  # pylint: disable=protected-access  # a thread has no other exit


class LocalServer(LocalDevServer):
    """Serves the API as `make run` does, where chalice would start its own server."""

    listener: socket.socket

    def __init__(self, *_arguments: Any) -> None:  # pylint: disable=super-init-not-called  # it would open a socket
        from local.server import LocalApi  # pylint: disable=import-outside-toplevel  # it imports app, which imports this

        self.port = self.listener.getsockname()[1]
        self._api = LocalApi(self.port)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    def serve_forever(self) -> None:
        """Serve until `shutdown`."""
        token = f"; the token is in {settings.data_dir() / 'token'}" if settings.requires_token() else ""
        print(f"Serving on http://{settings.HOST}:{self.port} with the events of `make run`{token}", flush=True)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(listen(self._api, self.listener, self._stop))

    def shutdown(self) -> None:
        """Stop from another thread."""
        self._loop.call_soon_threadsafe(self._stop.set)
