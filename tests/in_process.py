"""The app in this process, and its tables in moto."""

from collections.abc import Iterator
from contextlib import contextmanager

import app as event_api
import botocore.session
from botocore.client import BaseClient
from chalice import Chalice
from chalice.config import Config
from chalice.test import TestHTTPClient
from moto import mock_aws
from targets import Response, with_token
from local.aws import TABLES
from local.gateway import Gateway


@contextmanager
def tables_in_moto() -> Iterator[BaseClient]:
    """Give the app tables of its own, and a client of them."""
    with mock_aws():
        client = botocore.session.get_session().create_client("dynamodb")
        for table in TABLES:
            client.create_table(**table)
        event_api.dynamodb.cache_clear()
        try:
            yield client
        finally:
            event_api.dynamodb.cache_clear()


class InProcessApi:
    """The app through chalice's test client; what HTTP does beyond it (no body to HEAD) is done here."""

    path = ""

    def __init__(self, app: Chalice, token: str | None = None, asks: bool = True) -> None:
        """`asks` tells whether there is an authorizer."""
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
    """Chalice's test client, behind the local server's gateway."""

    def __init__(self, app: Chalice, config: Config, asks: bool) -> None:
        super().__init__(app, config)
        self._local_gateway = Gateway(app, config, asks)
