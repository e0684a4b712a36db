"""Examples of lists that Hypothesis draws: events, and a query whose filter some of these events match."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from index_model import Stored
from msgspec import UNSET, Raw

from chalicelib import event
from chalicelib.event import Content

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
NOW = (START + timedelta(seconds=11)).timestamp()  # `asc` lists events before second 1

TYPES = ["order", "order.paid", "order.paid.v2", "orders", "order-x.y"]
SUBJECTS = [UNSET, "a", "a/1", "é", "\U0001f600"]
FILTERS = ["type", "prefix", "subject", "type and subject", "prefix and subject"]


def content(event_id: str = "a", event_type: str = "t", subject: Any = UNSET) -> Content:
    """Return an event's content."""
    return Content(id=event_id, type=event_type, subject=subject, payload=Raw(b"{}"))


@st.composite
def stored_events(draw: st.DrawFn, types: Sequence[str], subjects: Sequence[Any], min_size: int) -> list[Stored]:
    """Draw up to 25 events of one tenant, many of them in the same millisecond."""
    ids = st.text("aA0.~-:_", min_size=1, max_size=3).filter(event.is_id)
    return [
        Stored(
            content(id_, draw(st.sampled_from(types)), draw(st.sampled_from(subjects))),
            event.timestamp(START + timedelta(milliseconds=draw(st.sampled_from([0, 1, 2, 998, 999, 1000, 1001])))),
        )
        for id_ in draw(st.lists(ids, min_size=min_size, max_size=25, unique=True))
    ]


BOUNDS = st.sampled_from([-1, 0, 0.5, 1, 2, 998.001, 999, 1000, 1001.9, 5000]).map(
    lambda milliseconds: (START + timedelta(milliseconds=milliseconds)).isoformat()
)
TIMES = st.fixed_dictionaries({}, optional={"from": BOUNDS, "to": BOUNDS})


@st.composite
def lists(draw: st.DrawFn) -> tuple[list[Stored], list[dict[str, str]]]:
    """Draw 8 to 25 events, and a query with small pages for each filter. An event has its type and subject."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=3, unique=True))
    subjects = draw(st.lists(st.sampled_from(SUBJECTS[1:]), min_size=1, max_size=2, unique=True))
    events = draw(stored_events(types, [UNSET, *subjects, *subjects], min_size=8))
    matched = [stored.content for stored in events if stored.content.subject is not UNSET] or [content(subject="a")]
    return events, [draw(queries(kind, draw(st.sampled_from(matched)))) for kind in ["", *FILTERS]]


@st.composite
def queries(draw: st.DrawFn, kind: str, matched: Content) -> dict[str, str]:
    """Draw a query with a kind of filter that a content matches. About one in four can have `from` and `to`."""
    query = {"order": draw(st.sampled_from(["asc", "desc"])), "limit": str(draw(st.integers(1, 3)))}
    if draw(st.integers(0, 3)) == 3:
        query |= draw(TIMES)
    if "type" in kind:
        query["type"] = matched.type
    if "prefix" in kind:
        words = matched.type.split(".")
        query["type"] = ".".join(words[: draw(st.integers(1, max(1, len(words) - 1)))]) + ".*"
    if "subject" in kind:
        query["subject"] = matched.subject
    return query


def expected(events: list[Stored], query: dict[str, str], now: float = NOW) -> list[str]:
    """Return the positions that a query lists, by the words of the contract."""

    def listed(stored: Stored) -> bool:
        time = datetime.fromisoformat(stored.created_at)
        wanted = query.get("type", stored.content.type)
        return (
            (stored.content.type.startswith(wanted[:-1]) if wanted.endswith(".*") else stored.content.type == wanted)
            and query.get("subject", stored.content.subject) == stored.content.subject
            and ("from" not in query or time >= datetime.fromisoformat(query["from"]))
            and ("to" not in query or time < datetime.fromisoformat(query["to"]))
            and (query["order"] == "desc" or time.timestamp() < now - 10)
        )

    found = sorted(((stored.created_at, stored.content.id) for stored in events if listed(stored)))
    positions = [f"{created_at}/{event_id}" for created_at, event_id in found]
    return positions if query["order"] == "asc" else positions[::-1]


class Coverage:
    """Counts the queries of a test, so that the test can assert that enough of them have several pages."""

    def __init__(self) -> None:
        self._queries = self._long = 0
        self._filters: Counter[str] = Counter()  # of queries with several pages

    def count(self, query: dict[str, str], lengths: list[int]) -> None:
        """Count a query and its pages. `lengths` are the numbers of events on them."""
        self._queries += 1
        if sum(length > 0 for length in lengths) > 1:
            self._long += 1
            kind = "prefix" if query.get("type", "").endswith("*") else "type"
            parts = [kind] * ("type" in query) + ["subject"] * ("subject" in query)
            self._filters.update({*parts, " and ".join(parts)})

    def run(self, check: Callable[[], None], *filters: str) -> None:
        """Run a test of Hypothesis that counts its queries.

        Then assert that a third of them have several pages with events, and some of these each of the filters.
        """
        check()
        assert self._long >= self._queries / 3, (self._long, self._queries)
        assert all(self._filters[kind] for kind in filters), self._filters
