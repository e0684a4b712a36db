"""The tables in moto, with the app of this process on them."""

from collections.abc import Iterator
from contextlib import contextmanager

import app as event_api
import botocore.session
from botocore.client import BaseClient
from local import TABLES
from moto import mock_aws


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
