"""Stores events. An event is written once and read for ever, or until its retention ends. Knows no HTTP."""

import time
import uuid
from datetime import UTC, datetime

from msgspec import Raw, Struct

from chalicelib.dynamodb import Item, Table
from chalicelib.event import CallerFields, Content, Event, sent_fields, timestamp
from chalicelib.problem import EventNotFound

SECONDS_A_DAY = 86_400


class StoredEvent(Struct, frozen=True):
    """A stored event, the digest of its content, and when its retention ends (epoch seconds; None is never)."""

    event: Event
    digest: str
    expires_at: int | None


class EventStore:
    """The events of one tenant. The table holds the events of all tenants; its key `pk` is `<tenant>/<id>`."""

    def __init__(self, table: Table, tenant: str, retention_days: int) -> None:
        """With `retention_days` 0, events are kept for ever."""
        self._table = table
        self._tenant = tenant
        self._retention_days = retention_days

    def write(self, content: Content) -> tuple[StoredEvent, bool]:
        """Store an event unless its id is taken. Return the event that is stored, and whether this call wrote it.

        One conditional PutItem, no read. Raises StoreUnavailable.
        """
        now = time.time()
        item = {
            **self._key(content.id),
            **{name: {"S": value} for name, value in sent_fields(content).items()},
            "tenant": {"S": self._tenant},
            "created_at": {"S": timestamp(datetime.fromtimestamp(now, UTC))},
            "payload": {"S": bytes(content.payload).decode()},
            "digest": {"S": content.digest},
            # A retry can meet the item that its own first attempt wrote. This id tells it from another call's item.
            "write_id": {"S": uuid.uuid4().hex},
        }
        if self._retention_days:
            item["expires_at"] = {"N": str(int(now) + self._retention_days * SECONDS_A_DAY)}
        existing = self._table.put_if(
            item,
            # DynamoDB removes an expired item up to days late.
            ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
            ExpressionAttributeValues={":now": {"N": str(int(now))}},
        )
        if existing is None:
            return _stored_event(item), True
        return _stored_event(existing), existing["write_id"] == item["write_id"]

    def read(self, event_id: str) -> StoredEvent:
        """Return the event of an id. Raises EventNotFound, StoreUnavailable.

        An eventually consistent read costs half, and a hit is right because events never change. A miss is read again
        with a consistent read.
        """
        deadline = self._table.deadline()
        for consistent in (False, True):
            item = self._table.get(self._key(event_id), deadline, consistent)
            if item is not None:
                stored = _stored_event(item)
                if stored.expires_at is None or stored.expires_at > time.time():
                    return stored
        raise EventNotFound

    def _key(self, event_id: str) -> Item:
        """Return the key of an id. No other tenant has this key, because neither tenants nor ids contain a slash."""
        return {"pk": {"S": f"{self._tenant}/{event_id}"}}


def _stored_event(item: Item) -> StoredEvent:
    return StoredEvent(
        event=Event(
            **{name: item[name]["S"] for name in CallerFields.__struct_fields__ if name in item},
            created_at=item["created_at"]["S"],
            payload=Raw(item["payload"]["S"]),
        ),
        digest=item["digest"]["S"],
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )
