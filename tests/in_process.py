"""A client that calls the app in this process, with DynamoDB tables in moto."""

import asyncio
import functools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import app as event_api
import boto3
import pytest
from botocore.client import BaseClient
from chalice import Chalice
from chalice.config import Config
from chalice.test import TestHTTPClient
from processes import ROOT
from targets import Response, with_token
from local.aws import TABLES, DurableAws
from local.gateway import Gateway
from local.journal import Journal


def aws_in_moto() -> str:
    """Return the endpoint of moto's AWS. All tests of this process share its state."""
    return _moto()[1]


@functools.cache
def _moto() -> tuple[subprocess.Popen[str], str]:
    """Start moto in its own process, where coverage does not make it slow. It ends with this process."""
    process = subprocess.Popen(  # pylint: disable=consider-using-with  # it runs on after this function
        [sys.executable, "moto_process.py"], cwd=ROOT / "tests",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@contextmanager
def embedded_aws(folder: Path) -> Iterator[str]:
    """Serve the AWS of `make run` with its tables, and yield its endpoint."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, lambda: (stop.wait(), loop.call_soon_threadsafe(stopping.set)))
        with Journal(folder) as journal:
            aws = DurableAws(journal)
            await aws.create_tables()
            await aws.listen(listener, stopping)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield endpoint
    finally:
        stop.set()
        thread.join()


@contextmanager
def app_tables(endpoint: str) -> Iterator[BaseClient]:
    """Create the app's tables, yield a DynamoDB client, and delete the tables."""
    client = boto3.client("dynamodb", endpoint_url=endpoint)
    for table in TABLES:
        client.create_table(**table)
    try:
        yield client
    finally:
        for table in TABLES:
            client.delete_table(TableName=table["TableName"])
        client.close()


@contextmanager
def tables_in_moto() -> Iterator[BaseClient]:
    """Create the app's tables in moto, let the app use them, and yield a DynamoDB client."""
    endpoint = aws_in_moto()
    with app_tables(endpoint) as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
        event_api.dynamodb.cache_clear()
        try:
            yield client
        finally:
            event_api.dynamodb.cache_clear()


class InProcessApi:
    """Calls the app through chalice's test client, and removes the body of a response to HEAD."""

    path = ""

    def __init__(self, app: Chalice, token: str | None = None, asks: bool = True) -> None:
        """`asks`: whether the gateway calls the authorizer."""
        self._token = token
        self._client = _Client(app, Config.create(), asks)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Call the app."""
        response = self._client.request(method, path, with_token(headers, self._token), body or b"")
        fields = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, fields, b"" if method == "HEAD" else response.body)


class _Client(TestHTTPClient):
    """Chalice's test client with the gateway of the local server."""

    def __init__(self, app: Chalice, config: Config, asks: bool) -> None:
        super().__init__(app, config)
        self._local_gateway = Gateway(app, config, asks)
