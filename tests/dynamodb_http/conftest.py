"""Servers in place of DynamoDB's endpoint, with and without TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate import self_signed, server_context
from wire import WireServer


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """DynamoDB's endpoint."""
    with WireServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        yield server


@pytest.fixture(name="certificate", scope="module")
def _certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost, with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(name="tls_server")
def _tls_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """DynamoDB's endpoint, with TLS."""
    with WireServer(server_context(certificate)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        yield server
