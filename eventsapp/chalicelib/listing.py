"""Defines what a caller may ask of the list of events: parameters and cursors. Pure: no AWS, no HTTP."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
from msgspec import Struct

from chalicelib import event, index
from chalicelib.faults import is_unicode, matches
from chalicelib.problem import InvalidQuery, ParameterFault

ASCENDING, DESCENDING = "asc", "desc"
DEFAULT_LIMIT, MAX_LIMIT = 20, 100
MAX_FILTERED_ENTRIES = 1_000  # index entries that a request with a filter reads, in all shards together
MAX_NAME = 256  # characters of a parameter's name in a response

# `asc` does not list events of the last seconds, because an event with an earlier `created_at` may still become
# visible. Each attempt to write sets its own `created_at`. The function waits at most 2 seconds for an attempt
# (CONNECT_TIMEOUT and READ_TIMEOUT of dynamodb.py). The clocks of two functions differ by less than a second. The rest,
# 7 seconds, is for DynamoDB: to apply a request whose response came too late, and to update the indexes. Usually it
# needs less than one.
HORIZON = timedelta(seconds=10)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
TIME_PARTS = re.compile(r"(.{16}):(..)(?:\.([0-9]+))?(Z|[+-].{5})")  # of an RFC 3339 time in capitals
FIRST_MOMENT, LAST_MOMENT = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
FIRST_TIME, LAST_TIME = event.timestamp(FIRST_MOMENT), event.timestamp(LAST_MOMENT)  # of the years 1 to 9999

CURSOR_VERSION = "1"
DIGEST_BYTES = 12
POSITION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z)(?:/(.+))?", re.DOTALL)


class TypeFilter(Struct, frozen=True):
    """A condition on the type of entries that no index has: the whole type, or how it starts."""

    text: str
    is_prefix: bool


class Query(Struct, frozen=True, kw_only=True):
    """A valid query. `since`, `before` and `settled` are times, written as a `created_at`.

    `after` is the position in the cursor. `settled` is the time before which no more events will appear.
    """

    type: str | None
    subject: str | None
    since: str
    before: str
    order: str
    limit: int
    settled: str
    after: str | None = None

    @property
    def ascending(self) -> bool:
        """Tell whether the oldest event comes first."""
        return self.order == ASCENDING

    @property
    def low(self) -> str:
        """Return the lower end of the sort keys to read, for BETWEEN. No event is at this place itself."""
        if self.ascending and self.after is not None:
            return max(self.since, index.first_after(self.after))
        return self.since

    @property
    def high(self) -> str:
        """Return the upper end of the sort keys to read, for BETWEEN. No event is at this place itself."""
        if self.ascending:
            return min(self.before, self.settled)
        return self.before if self.after is None else min(self.before, index.last_before(self.after))

    @property
    def is_empty(self) -> bool:
        """Tell whether no event can match. DynamoDB refuses a BETWEEN whose ends are in the wrong order."""
        return self.low >= self.high

    @property
    def end(self) -> str:
        """Return the position to continue after when all entries were read."""
        # `settled` can be before `after`: another function's clock may be slow.
        return max(self.high, self.after or self.since) if self.ascending else self.since

    @property
    def index_name(self) -> str:
        """Return the name of the index to read."""
        if self.subject is not None:
            return index.BY_SUBJECT
        return index.BY_TIME if self.type is None or self.type.endswith("*") else index.BY_TYPE

    @property
    def type_filter(self) -> TypeFilter | None:
        """Return the condition on the type that the index does not meet, if there is one."""
        if self.type is None or self.index_name == index.BY_TYPE:
            return None
        return TypeFilter(self.type.removesuffix("*"), self.type.endswith("*"))

    def partition_keys(self, tenant: str, shards: int) -> list[str]:
        """Return the partition key of each shard in the query's index."""
        values = {index.BY_TIME: None, index.BY_TYPE: self.type, index.BY_SUBJECT: self.subject}
        return [index.partition_key(tenant, shard, values[self.index_name]) for shard in range(shards)]

    def entries_per_shard(self, shards: int) -> int:
        """Return how many index entries to read of each shard. One more than a page has tells whether more follow."""
        return self.limit + 1 if self.type_filter is None else max(1, MAX_FILTERED_ENTRIES // shards)

    def page(self, shards: list[index.ShardEntries]) -> index.Page:
        """Return the page that the entries of all shards make."""
        return index.merge(shards, self.ascending, self.limit, self.end)

    def cursor(self, position: str) -> str:
        """Return the cursor of a position in this query. It is URL-safe and has at most 300 characters."""
        encoded = base64.urlsafe_b64encode(self._digest(position) + position.encode())
        return CURSOR_VERSION + encoded.decode().rstrip("=")

    def position(self, cursor: str) -> str | None:
        """Return the position in a cursor, or None if the cursor is damaged or belongs to another query."""
        try:
            position = base64.urlsafe_b64decode(cursor[1:] + "==")[DIGEST_BYTES:].decode()
        except (binascii.Error, ValueError):
            return None
        # A cursor has one spelling only. The decoder above skips characters that it does not know.
        return position if _is_position(position) and self.cursor(position) == cursor else None

    def _digest(self, position: str) -> bytes:
        rules = [CURSOR_VERSION, position, self.order, self.type, self.subject, self.since, self.before]
        return hashlib.sha256(msgspec.json.encode(rules)).digest()[:DIGEST_BYTES]


def parse(parameters: Mapping[str, Sequence[str]] | None, now: float) -> Query:
    """Read a query from the decoded parameters of a URL, at a time (epoch seconds).

    Raises InvalidQuery with every fault. A cursor can be checked only if all other parameters are valid.
    """
    values: dict[str, Any] = {}
    faults = []
    for name, texts in (parameters or {}).items():
        rule = PARAMETERS.get(name)
        if rule is None:
            faults.append(_fault(name, f"is not a parameter of the list; the parameters are {', '.join(PARAMETERS)}"))
        elif len(texts) != 1:
            faults.append(_fault(name, f"occurs {len(texts)} times: send it once"))
        elif (value := rule.read(texts[0])) is None:
            faults.append(_fault(name, f"must be {rule.description}"))
        else:
            values[name] = value
    query = Query(
        type=values.get("type"),
        subject=values.get("subject"),
        since=values.get("from", FIRST_TIME),
        before=values.get("to", LAST_TIME),
        order=values.get("order", DESCENDING),
        limit=values.get("limit", DEFAULT_LIMIT),
        settled=event.timestamp(datetime.fromtimestamp(now, UTC) - HORIZON),
    )
    if "cursor" in values and not faults:
        query = msgspec.structs.replace(query, after=query.position(values["cursor"]))
        if query.after is None:
            faults.append(_fault("cursor", f"must be {PARAMETERS['cursor'].description}"))
    if faults:
        raise InvalidQuery(faults)
    return query


def _fault(name: str, detail: str) -> ParameterFault:
    return ParameterFault(name.encode(errors="backslashreplace").decode()[:MAX_NAME], detail)


def _is_position(text: str) -> bool:
    parts = POSITION.fullmatch(text)
    return parts is not None and event.is_real_time(parts[1]) and (parts[2] is None or event.is_id(parts[2]))


def _type(text: str) -> str | None:
    return text if matches(text.removesuffix(".*"), event.Type) else None


def _subject(text: str) -> str | None:
    return text if matches(text, event.Subject) and is_unicode(text) else None


def _time(text: str) -> str | None:
    """Return an RFC 3339 time as a `created_at`, rounded up. Times outside the years 1 to 9999 become the nearest one.

    A stored time has whole milliseconds. So it is at or after a bound exactly if it is at or after the rounded bound.
    """
    if not (matches(text, event.Timestamp) and event.is_real_time(text)):
        return None
    # A leap second counts as the second after it, as in POSIX time, which clocks have.
    date_and_minute, second, fraction, offset = TIME_PARTS.fullmatch(text.upper()).groups(default="")
    moment = datetime.fromisoformat(f"{date_and_minute}:00{offset}") - EPOCH + timedelta(seconds=int(second))
    milliseconds = moment // MILLISECOND + int(fraction[:3].ljust(3, "0")) + bool(fraction[3:].strip("0"))
    since_epoch = min(max(milliseconds * MILLISECOND, FIRST_MOMENT - EPOCH), LAST_MOMENT - EPOCH)
    return event.timestamp(EPOCH + since_epoch)


def _order(text: str) -> str | None:
    return text if text in (ASCENDING, DESCENDING) else None


def _limit(text: str) -> int | None:
    return int(text) if re.fullmatch("[1-9][0-9]{0,2}", text) and int(text) <= MAX_LIMIT else None


def _rule_of(field: Any) -> str:
    """Return the rule of a declared field, in words."""
    return get_args(field)[1].description


class Parameter(Struct, frozen=True):
    """A parameter: how to read its text (None if the text is not valid), and its rule in words, after "must be"."""

    read: Callable[[str], Any]
    description: str


_TIME = Parameter(_time, f"{_rule_of(event.Timestamp)}; write its + as %2B in a URL, or end it in Z")
PARAMETERS = {
    "type": Parameter(_type, "a type, or a prefix that ends in .*, as in order.paid or order.*"),
    "subject": Parameter(_subject, _rule_of(event.Subject)),
    "from": _TIME,
    "to": _TIME,
    "order": Parameter(_order, "asc (oldest first) or desc (newest first)"),
    "limit": Parameter(_limit, f"a whole number from 1 to {MAX_LIMIT}"),
    "cursor": Parameter(str, "a cursor of an earlier response to the same query, unchanged; only limit may differ"),
}
