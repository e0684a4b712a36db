"""A model of the table's indexes, and a client that follows cursors. It calls the app's own functions for keys."""

from collections.abc import Iterator
from typing import NamedTuple

from chalicelib import index, listing
from chalicelib.event import Content
from chalicelib.index import Page, ShardEntries


class Stored(NamedTuple):
    """A stored event: its content, and when it was stored (a `created_at`)."""

    content: Content
    created_at: str

    @property
    def position(self) -> str:
        """Return the event's position."""
        return index.position_of(self.created_at, self.content.id)


class IndexModel:
    """The indexes of a table. `shards` is the number at the time of a call, and may grow."""

    def __init__(self) -> None:
        self.items: list[tuple[dict[str, str], str]] = []  # index attributes, type

    def store(self, tenant: str, stored: Stored, shards: int) -> None:
        """Store an event of a tenant."""
        self.items.append((index.keys(tenant, stored.content, stored.created_at, shards), stored.content.type))

    def read(self, query: listing.Query, tenant: str, shards: int, most: int | None = None) -> Page:
        """Return the page of a query. Each shard reads at most `most` entries."""
        if query.is_empty:
            return query.page([])
        most = most or query.entries_per_shard(shards)
        return query.page([self._read_shard(query, key, most) for key in query.partition_keys(tenant, shards)])

    def _read_shard(self, query: listing.Query, partition_key: str, most: int) -> ShardEntries:
        """Do what DynamoDB's Query does: Limit counts the entries before the filter."""
        assert query.low <= query.high, "DynamoDB refuses a BETWEEN whose ends are in the wrong order"
        entries = sorted(
            (
                (attributes[index.POSITION], event_type)
                for attributes, event_type in self.items
                if attributes.get(query.index_name) == partition_key
                and query.low.encode() <= attributes[index.POSITION].encode() <= query.high.encode()
            ),
            reverse=not query.ascending,
        )
        condition = query.type_filter
        read = entries[:most]
        found = [position for position, event_type in read if condition is None or meets(condition, event_type)]
        # DynamoDB returns LastEvaluatedKey as soon as it has read Limit entries, also if these are the last ones.
        return ShardEntries(found, read[-1][0] if len(entries) >= most else None)


def meets(condition: listing.TypeFilter, event_type: str) -> bool:
    """Tell whether a type meets the condition, as DynamoDB's filter does."""
    return event_type.startswith(condition.text) if condition.is_prefix else event_type == condition.text


def follow(
    model: IndexModel, parameters: dict[str, str], *, now: float, shards: int = 1, most: int | None = None
) -> Iterator[tuple[Page, str]]:
    """Yield the pages of a query of the tenant acme and their cursors, until there is no more."""
    values = {name: [value] for name, value in parameters.items()}
    for _ in range(1000):
        query = listing.parse(values, now)
        page = model.read(query, "acme", shards, most)
        cursor = query.cursor(page.continue_after)
        values["cursor"] = [cursor]
        yield page, cursor
        if not page.has_more:
            return
    raise AssertionError("the list has no end")
