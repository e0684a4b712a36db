"""Defines the table's indexes: their keys, their shards, and the order of events in them. Pure: no AWS, no HTTP.

Each index sorts events by their position, `<created_at>/<id>`. A `created_at` always has 24 characters, so positions
sort as text by time, and then by id. A position without `/<id>` is a time: it lies before all events of that time.
"""

import hashlib

from msgspec import UNSET, Struct

from chalicelib.event import Content

# The name of an index is the name of its partition key. Its sort key is `position`.
BY_TIME, BY_TYPE, BY_SUBJECT = INDEXES = ("by_time", "by_type", "by_subject")
POSITION = "position"
# The attributes beside the keys that an index copies from the table: those that a filter needs.
PROJECTED = {BY_TIME: ("type",), BY_TYPE: (), BY_SUBJECT: ("type",)}


class ShardEntries(Struct, frozen=True):
    """The matching entries that one shard returned, as positions in the order of the list.

    `read_to` is the position of the last entry that was read, whether it matches or not. It is None if the shard was
    read to its end.
    """

    positions: list[str]
    read_to: str | None


class Page(Struct, frozen=True):
    """The positions on a page of the list, whether there may be more, and the position to continue after."""

    positions: list[str]
    has_more: bool
    continue_after: str

    def first(self, count: int) -> "Page":
        """Return the page with only its first positions, at least one."""
        if count >= len(self.positions):
            return self
        return Page(self.positions[:count], True, self.positions[count - 1])


def keys(tenant: str, content: Content, created_at: str, shards: int) -> dict[str, str]:
    """Return the attributes that put an event into the indexes. An event without a subject is not in `by_subject`."""
    shard = shard_of(content.id, shards)
    attributes = {
        BY_TIME: partition_key(tenant, shard),
        BY_TYPE: partition_key(tenant, shard, content.type),
        POSITION: position_of(created_at, content.id),
    }
    if content.subject is not UNSET:
        attributes[BY_SUBJECT] = partition_key(tenant, shard, content.subject)
    return attributes


def partition_key(tenant: str, shard: int, value: str | None = None) -> str:
    """Return the partition key of a shard. Tenants contain no slash, so no two tenants share a key."""
    return f"{tenant}/{shard}" if value is None else f"{tenant}/{shard}/{value}"


def shard_of(event_id: str, shards: int) -> int:
    """Return the shard of an id. Queries read shards 0 to `shards` - 1, so `shards` may grow and never shrink."""
    return int.from_bytes(hashlib.sha256(event_id.encode()).digest()[:8]) % shards


def position_of(created_at: str, event_id: str) -> str:
    """Return the position of an event."""
    return f"{created_at}/{event_id}"


def id_at(position: str) -> str:
    """Return the id of the event at a position."""
    return position.partition("/")[2]


def first_after(position: str) -> str:
    """Return a text between a position and all later ones: `!` sorts before `/` and every character of an id."""
    return f"{position}!"


def last_before(position: str) -> str:
    """Return a text between a position and all earlier ones: U+007F sorts after every character of an id."""
    return f"{position[:-1]}{chr(ord(position[-1]) - 1)}\x7f"


def merge(shards: list[ShardEntries], ascending: bool, limit: int, end: str) -> Page:
    """Return the page that the entries of all shards make. `end` is the position to continue after at the list's end.

    A shard that was not read to its end may have an entry at any place after `read_to`. So the page ends at the first
    `read_to` of all shards. Entries after it come with the next page.
    """
    earliest = min if ascending else max
    frontier = earliest((shard.read_to for shard in shards if shard.read_to is not None), default=None)
    found = sorted((position for shard in shards for position in shard.positions), reverse=not ascending)
    if frontier is not None:
        found = [position for position in found if earliest(position, frontier) == position]
    if len(found) > limit:
        return Page(found[:limit], True, found[limit - 1])
    if frontier is not None:
        return Page(found, True, frontier)
    return Page(found, False, end)
