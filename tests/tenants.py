"""A tenant whose events a test stores and lists through the store."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from botocore.client import BaseClient

from chalicelib import index, listing
from chalicelib.caller import Caller
from chalicelib.dynamodb import HANDLER_SECONDS, Table
from chalicelib.event import Content, parse
from chalicelib.problem import StoreUnavailable
from chalicelib.signed_http import SignedHttp
from chalicelib.store import EventPage, EventStore


def caller(tenant: str = "acme", **fields: Any) -> Caller:
    """Return a caller of a tenant."""
    return Caller(**{"tenant": tenant, "key_id": "the-key", "request_id": "the-request", **fields})


class Tenant:
    """A new tenant, whose events a test stores and lists."""

    def __init__(self, client: SignedHttp, shards: int = 1, retention_days: int = 0) -> None:
        self.name = f"t{uuid.uuid4().hex}"
        self.shards = shards
        self._client = client
        self._retention_days = retention_days

    @property
    def store(self) -> EventStore:
        """Return the store for one request."""
        return self._store(HANDLER_SECONDS)

    def _store(self, seconds: float) -> EventStore:
        table = Table(self._client, "events", seconds)
        return EventStore(table, caller(self.name), self._retention_days, self.shards)

    def post(self, *events: Content) -> None:
        """Store events. A busy machine has more time than a request has."""
        results = self._store(60).write_all(list(events))
        assert all(not isinstance(result, StoreUnavailable) and result[1] for result in results)

    def move(self, admin: BaseClient, event_id: str, created_at: str) -> None:
        """Change when an event was stored."""
        admin.update_item(
            TableName="events",
            Key={"pk": {"S": f"{self.name}/{event_id}"}},
            UpdateExpression="SET created_at = :created_at, #position = :position",
            ExpressionAttributeNames={"#position": "position"},
            ExpressionAttributeValues={
                ":created_at": {"S": created_at}, ":position": {"S": index.position_of(created_at, event_id)},
            },
        )  # fmt: skip

    def pages(self, now: float | None = None, **parameters: str) -> Iterator[EventPage]:
        """Yield the pages of a list."""
        values = {name: [value] for name, value in parameters.items()}
        for _ in range(500):
            query = listing.parse(values, time.time() if now is None else now)
            page = self.store.find(query)
            yield page
            if not page.has_more:
                return
            values["cursor"] = [query.cursor(page.continue_after)]
        raise AssertionError("the list has no end")

    def ids(self, now: float | None = None, **parameters: str) -> list[str]:
        """Return the ids of all events of a list."""
        return [listed.id for page in self.pages(now, **parameters) for listed in page.events]


def contents(count: int, payload: Any = None, **fields: str) -> list[Content]:
    """Return events with ids that sort in their order."""
    members = {"type": "t", "payload": payload or {}, **fields}
    return [parse(json.dumps({"id": f"{n:03}", **members}, ensure_ascii=False).encode()) for n in range(count)]
