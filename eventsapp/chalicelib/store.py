"""Stores events and finds them. An event is written once and read for ever, or until its retention ends.

Knows no HTTP.
"""

import concurrent.futures
import functools
import json
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from chalicelib import audit_log, index
from chalicelib.caller import Caller
from chalicelib.dynamodb import Item, Table
from chalicelib.event import CallerFields, Content, Event, digest_of, sent_fields, timestamp
from chalicelib.listing import Query
from chalicelib.problem import EventNotFound, StoredEventAltered, StoreUnavailable

SECONDS_A_DAY = 86_400
THREADS = 16  # calls of DynamoDB that one request makes at the same time
KEYS_PER_READ = 25  # events that a list reads at a time; 25 large events have 6 MB

# Lambda refuses a response of more than 6 MB. The events of a page have less, so that the rest of it fits too.
MAX_PAGE_BYTES = 4 * 1024 * 1024

T, R = TypeVar("T"), TypeVar("R")


class StoredEvent(Struct, frozen=True):
    """A stored event, the digest of its content, and when its retention ends (epoch seconds; None is never)."""

    event: Event
    digest: str
    expires_at: int | None

    @property
    def is_expired(self) -> bool:
        """Tell whether the retention has ended. DynamoDB removes an expired item up to days late."""
        return self.expires_at is not None and self.expires_at <= time.time()


# The event that is stored and whether this call wrote it, or why neither is known.
WriteResult = tuple[StoredEvent, bool] | StoreUnavailable | StoredEventAltered


class EventPage(Struct, frozen=True):
    """The events on a page of a list, whether there may be more, and the position to continue after."""

    events: list[Event]
    has_more: bool
    continue_after: str


class EventStore:
    """The events of a caller's tenant. The table holds the events of all tenants; its key `pk` is `<tenant>/<id>`."""

    def __init__(self, table: Table, caller: Caller, retention_days: int, shards: int) -> None:
        """With `retention_days` 0, events are kept for ever. `shards` is the number of parts of each index."""
        self._table = table
        self._caller = caller
        self._tenant = caller.tenant
        self._retention_days = retention_days
        self._shards = shards

    def write(self, content: Content) -> tuple[StoredEvent, bool]:
        """Store an event unless its id is taken. Return the event that is stored, and whether this call wrote it.

        One conditional PutItem, no read. Raises StoreUnavailable, StoredEventAltered.
        """
        # A retry can meet the item that its own first attempt wrote. This id tells it from another call's item.
        write_id = uuid.uuid4().hex
        item, is_new = self._table.put_if(
            lambda: self._new_item(content, write_id),
            # DynamoDB removes an expired item up to days late.
            ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
            ExpressionAttributeValues={":now": {"N": str(int(time.time()))}},
        )
        if is_new:
            return _stored_event(item), True
        return self._unaltered(item), item.get("write_id") == {"S": write_id}

    def write_all(self, contents: list[Content]) -> list[WriteResult]:
        """Store events as `write` does, in parallel. Return its result or its error for each of them, in order.

        Events with the same id are written one after another, in the order of the list.
        """
        groups: dict[str, list[int]] = {}
        for number, content in enumerate(contents):
            groups.setdefault(content.id, []).append(number)

        def write_group(numbers: list[int]) -> dict[int, WriteResult]:
            return {number: self._write_or_error(contents[number]) for number in numbers}

        results = {
            number: result for group in in_parallel(write_group, groups.values()) for number, result in group.items()
        }
        return [results[number] for number in range(len(contents))]

    def read(self, event_id: str) -> StoredEvent:
        """Return the event of an id. Raises EventNotFound, StoreUnavailable, StoredEventAltered.

        An eventually consistent read costs half, and a hit is right because events never change. A miss is read again
        with a consistent read.
        """
        for consistent in (False, True):
            item = self._table.get(self._key(event_id), consistent)
            if item is not None:
                stored = self._unaltered(item)
                if not stored.is_expired:
                    return stored
        raise EventNotFound

    def find(self, query: Query) -> EventPage:
        """Return a page of events. Raises StoreUnavailable if no event could be read, and StoredEventAltered.

        A page that the deadline or the limit of bytes ends early has fewer events, and never a gap.
        """
        page = self._positions(query)
        events, count = self._read_first(page.positions)
        page = page.first(count)
        return EventPage(events, page.has_more, page.continue_after)

    def _write_or_error(self, content: Content) -> WriteResult:
        try:
            return self.write(content)
        except (StoreUnavailable, StoredEventAltered) as exc:
            return exc

    def _unaltered(self, item: Item) -> StoredEvent:
        """Return the event of an item that was read. Raises StoredEventAltered unless it is what the API stored.

        The digest covers the fields that the caller sent. The item's keys have copies of the id, the tenant and
        `created_at`. An attribute that is missing or has another type was altered, too.
        """
        try:
            stored = _stored_event(item)
            if self._is_unaltered(item, stored):
                return stored
        except (KeyError, TypeError, ValueError):
            pass
        event_id = item["pk"]["S"].partition("/")[2]
        audit_log.altered(self._tenant, event_id)
        raise StoredEventAltered([event_id])

    def _is_unaltered(self, item: Item, stored: StoredEvent) -> bool:
        event = stored.event
        if digest_of(event) != stored.digest or item["pk"]["S"] != f"{self._tenant}/{event.id}":
            return False
        # Events of old versions have no position.
        return index.POSITION not in item or item[index.POSITION]["S"] == index.position_of(event.created_at, event.id)

    def _new_item(self, content: Content, write_id: str) -> Item:
        """Return the item of an event that is stored now. `key_id` and `request_id` say who stores it.

        No response contains these two.
        """
        now = time.time()
        created_at = timestamp(datetime.fromtimestamp(now, UTC))
        attributes = {
            **sent_fields(content),
            **index.keys(self._tenant, content, created_at, self._shards),
            "tenant": self._tenant,
            "created_at": created_at,
            "payload": bytes(content.payload).decode(),
            "digest": content.digest,
            "write_id": write_id,
            "key_id": self._caller.key_id,
            "request_id": self._caller.request_id,
        }
        if content.cloudevent is not UNSET:
            attributes["cloudevent"] = bytes(content.cloudevent).decode()
        item = {**self._key(content.id), **{name: {"S": value} for name, value in attributes.items()}}
        retentions = [self._retention_days * SECONDS_A_DAY, self._caller.retention]  # of the stage and of the token
        seconds = min((retention for retention in retentions if retention), default=None)
        if seconds is not None:
            item["expires_at"] = {"N": str(int(now) + seconds)}
        return item

    def _positions(self, query: Query) -> index.Page:
        """Return the page of positions that the shards of a query's index have together."""
        if query.is_empty:
            return query.page([])
        keys = query.partition_keys(self._tenant, self._shards)
        return query.page(in_parallel(functools.partial(self._read_shard, query), keys))

    def _read_shard(self, query: Query, partition_key: str) -> index.ShardEntries:
        names = {"#partition": query.index_name, "#position": index.POSITION}
        values = {":partition": partition_key, ":low": query.low, ":high": query.high}
        type_filter = {}
        if query.type_filter is not None:
            names["#type"], values[":type"] = "type", query.type_filter.text
            is_prefix = query.type_filter.is_prefix
            type_filter["FilterExpression"] = "begins_with(#type, :type)" if is_prefix else "#type = :type"
        entries = self._table.query(
            IndexName=query.index_name,
            KeyConditionExpression="#partition = :partition AND #position BETWEEN :low AND :high",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ProjectionExpression="#position",
            ScanIndexForward=query.ascending,
            Limit=query.entries_per_shard(self._shards),
            **type_filter,
        )
        last = entries.last_key
        positions = [item[index.POSITION]["S"] for item in entries.items]
        return index.ShardEntries(positions, None if last is None else last[index.POSITION]["S"])

    def _read_first(self, positions: list[str]) -> tuple[list[Event], int]:
        """Return the events at the first positions, and the number of these positions: as many as fit on a page."""
        events: list[Event] = []
        size = 0
        for start in range(0, len(positions), KEYS_PER_READ):
            part = positions[start : start + KEYS_PER_READ]
            try:
                found = self._read_all(part)
            except StoreUnavailable:
                if start == 0:
                    raise
                return events, start
            for number, position in enumerate(part, start):
                if position in found:
                    size += _response_size(found[position].event)
                    if size > MAX_PAGE_BYTES and events:
                        return events, number
                    events.append(found[position].event)
        return events, len(positions)

    def _read_all(self, positions: list[str]) -> dict[str, StoredEvent]:
        """Return the events at positions. Those whose retention has ended, and those that were removed, are left out.

        A first read that is behind the index is read again consistently. An expired event's id may be used again, so
        the item of an id can be at another position. Raises StoredEventAltered with all altered events.
        """
        found: dict[str, StoredEvent] = {}
        altered: list[str] = []
        for consistent in (False, True):
            keys = [self._key(index.id_at(position)) for position in positions if position not in found]
            if keys:
                for item in self._table.batch_get(_distinct(keys), consistent):
                    try:
                        stored = self._unaltered(item)
                    except StoredEventAltered as exc:
                        altered += exc.ids
                    else:
                        found[index.position_of(stored.event.created_at, stored.event.id)] = stored
            if altered:
                raise StoredEventAltered(altered)
        return {position: stored for position, stored in found.items() if not stored.is_expired}

    def _key(self, event_id: str) -> Item:
        """Return the key of an id. No other tenant has this key, because neither tenants nor ids contain a slash."""
        return {"pk": {"S": f"{self._tenant}/{event_id}"}}


def in_parallel(function: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """Return the results of a function for each argument, in order. Waits for all calls, also if one raises.

    No thread runs after the response: Lambda would stop it at any place and continue it in a later request, with an
    old time in its hands.
    """
    arguments = list(arguments)
    if len(arguments) <= 1:
        return [function(argument) for argument in arguments]
    with concurrent.futures.ThreadPoolExecutor(min(THREADS, len(arguments))) as pool:
        return list(pool.map(function, arguments))


def _distinct(keys: list[Item]) -> list[Item]:
    """Return each key once: DynamoDB refuses a BatchGetItem with a key twice."""
    return list({key["pk"]["S"]: key for key in keys}.values())


def _response_size(event: Event) -> int:
    """Return the bytes that an event takes in the response of a Lambda function: a JSON string inside of JSON."""
    return len(json.dumps(msgspec.json.encode(event).decode()))


def _stored_event(item: Item) -> StoredEvent:
    return StoredEvent(
        event=Event(
            **{name: item[name]["S"] for name in CallerFields.__struct_fields__ if name in item},
            created_at=item["created_at"]["S"],
            cloudevent=Raw(item["cloudevent"]["S"]) if "cloudevent" in item else UNSET,
            payload=Raw(item["payload"]["S"]),
        ),
        digest=item["digest"]["S"],
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
    )
