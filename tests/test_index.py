"""The indexes: keys, shards, and pages that miss no event and repeat none."""

import hashlib
import string
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib import event, index, listing
from chalicelib.index import Page, ShardEntries, first_after, last_before, merge
from index_model import IndexModel, Stored, follow
from list_examples import FILTERS, NOW, START, Coverage, content, expected, lists, stored_events
from msgspec import UNSET

CREATED_AT = "2026-01-31T09:30:00.000Z"

IDS = st.text(string.ascii_letters + string.digits + "._~:-", min_size=1, max_size=128).filter(event.is_id)


# Keys


def test_event_without_subject_is_in_two_indexes() -> None:
    """The partition keys have tenant, shard and value; all indexes sort by time and id."""
    assert index.keys("acme", content(), CREATED_AT, 1) == {
        "by_time": "acme/0",
        "by_type": "acme/0/t",
        "position": "2026-01-31T09:30:00.000Z/a",
    }


def test_event_with_subject_is_in_three_indexes() -> None:
    """A subject may contain slashes, because tenant and shard have none."""
    attributes = index.keys("acme", content(subject="orders/1001"), CREATED_AT, 16)
    assert attributes["by_subject"] == f"acme/{index.shard_of('a', 16)}/orders/1001"


@pytest.mark.parametrize(
    ("event_id", "shards", "shard"), [("a", 1, 0), ("a", 4, 2), ("a", 16, 10), ("order-1", 16, 12)]
)
def test_shard_of_an_id_never_changes(event_id: str, shards: int, shard: int) -> None:
    """Stored events have these shards, so the function must stay the same."""
    digest = hashlib.sha256(event_id.encode()).hexdigest()
    assert index.shard_of(event_id, shards) == int(digest[:16], 16) % shards == shard


@given(IDS, st.integers(1, 64), st.integers(0, 64))
def test_more_shards_find_old_events(event_id: str, shards: int, added: int) -> None:
    """The shards of a larger number include every old shard."""
    assert 0 <= index.shard_of(event_id, shards) < shards + added


@given(st.lists(IDS, min_size=2, max_size=10, unique=True), st.data())
def test_texts_beside_a_position_separate_it_from_its_neighbours(ids: list[str], data: st.DataObject) -> None:
    """Between a position and the next one there is a text; no event is at that text."""
    times = data.draw(st.lists(st.sampled_from(["00.000", "00.001", "59.999"]), min_size=len(ids), max_size=len(ids)))
    positions = sorted(index.position_of(f"2026-01-31T09:30:{time}Z", id_) for id_, time in zip(ids, times))
    for before, after in zip(positions, positions[1:]):
        assert before < first_after(before) < after
        assert before < last_before(after) < after
    bound = positions[0].partition("/")[0]
    assert last_before(bound) < bound < first_after(bound) < positions[0]


# Merge


FULL, PART = [ShardEntries(["1/a", "3/a", "5/a"], None)], [ShardEntries(["1/a", "3/a"], "4/x")]

MERGED: list[tuple[str, list[ShardEntries], int, Page]] = [
    ("nothing", [ShardEntries([], None), ShardEntries([], None)], 9, Page([], False, "end")),
    ("no shard", [], 9, Page([], False, "end")),
    ("all", [*FULL, ShardEntries(["2/a"], None)], 9, Page(["1/a", "2/a", "3/a", "5/a"], False, "end")),
    ("exactly the limit", [*FULL, ShardEntries(["2/a"], None)], 4, Page(["1/a", "2/a", "3/a", "5/a"], False, "end")),
    ("more than the limit", [*FULL, ShardEntries(["2/a"], None)], 3, Page(["1/a", "2/a", "3/a"], True, "3/a")),
    ("one shard goes on", [*FULL, *PART], 9, Page(["1/a", "1/a", "3/a", "3/a"], True, "4/x")),
    ("entry at the frontier", [ShardEntries(["1/a"], "1/a"), *FULL], 9, Page(["1/a", "1/a"], True, "1/a")),
    ("the least far frontier", [ShardEntries(["2/a"], "2/b"), *PART], 9, Page(["1/a", "2/a"], True, "2/b")),
    ("only filtered entries", [ShardEntries([], "0/z"), *FULL], 9, Page([], True, "0/z")),
    ("limit before the frontier", [*FULL, *PART], 1, Page(["1/a"], True, "1/a")),
]


@pytest.mark.parametrize(("shards", "limit", "page"), [case[1:] for case in MERGED], ids=[case[0] for case in MERGED])
def test_page_ends_where_a_shard_was_not_read_further(shards: list[ShardEntries], limit: int, page: Page) -> None:
    """A page has no event behind the place up to which all shards are known."""
    assert merge(shards, True, limit, "end") == page


def test_descending_page_ends_at_the_latest_frontier() -> None:
    """With the newest first, the least far frontier is the greatest one."""
    shards = [ShardEntries(["5/a", "3/a"], "3/a"), ShardEntries(["4/a"], "2/a")]
    assert merge(shards, False, 9, "end") == Page(["5/a", "4/a", "3/a"], True, "3/a")
    assert merge(shards, False, 2, "end") == Page(["5/a", "4/a"], True, "4/a")


def test_shortened_page_continues_after_its_last_event() -> None:
    """A page that is cut says that there is more."""
    page = Page(["1/a", "2/a", "3/a"], False, "end")
    assert (page.first(3), page.first(2)) == (page, Page(["1/a", "2/a"], True, "2/a"))


# Following cursors

def test_cursors_lead_to_every_matching_event_once() -> None:
    """Following the cursors returns exactly the matching events, in order, for any limits and number of shards."""
    coverage = Coverage()

    @settings(max_examples=80)
    @given(lists(), st.integers(1, 5), st.integers(0, 3), st.sampled_from([None, 1, 2, 3, 8]))
    def check(drawn: tuple[list[Stored], list[dict[str, str]]], old_shards: int, added: int, most: int | None) -> None:
        events, queries = drawn
        model = IndexModel()
        for number, stored in enumerate(events):
            model.store("acme", stored, old_shards if number % 2 else old_shards + added)
        model.store("acm", Stored(content("other"), CREATED_AT), old_shards)
        for query in queries:
            pages = list(follow(model, query, now=NOW, shards=old_shards + added, most=most))
            assert [position for page, _ in pages for position in page.positions] == expected(events, query)
            assert all(len(page.positions) <= int(query["limit"]) and len(cursor) <= 300 for page, cursor in pages)
            if "type" not in query and most is None:
                assert all(page.positions for page, _ in pages[:-1])
            coverage.count(query, [len(page.positions) for page, _ in pages])

    coverage.run(check, *FILTERS)


def test_ascending_client_that_comes_back_misses_nothing() -> None:
    """The last cursor stays valid: each later visit lists what has settled since, although clocks differ a little."""
    coverage = Coverage()
    events = stored_events(["order", "order.paid", "order.sent"], [UNSET, "a", "a"], min_size=2)

    @settings(max_examples=120)
    @given(
        st.lists(events, min_size=1, max_size=4), st.lists(st.sampled_from([-40, 0, 3, 400]), min_size=4),
        st.sampled_from([{}, {"type": "order.*"}, {"subject": "a"}, {"from": START.isoformat()}]), st.integers(1, 3),
    )  # fmt: skip
    @example([[Stored(content(), CREATED_AT)], [], [Stored(content("b"), CREATED_AT)]], [0] * 4, {}, 1)
    def check(rounds: list[list[Stored]], clock_steps: list[int], filters: dict[str, str], shards: int) -> None:
        model, everything, pages = IndexModel(), [], []
        now, parameters = NOW, {"order": "asc", "limit": "3", **filters}
        for number, posted in enumerate([*rounds, []]):
            # These events become visible 8 to 9 seconds after their created_at.
            late = [
                Stored(
                    content(f"{stored.content.id}.{number}", stored.content.type, stored.content.subject),
                    event.timestamp(datetime.fromisoformat(stored.created_at) + timedelta(seconds=now - NOW + 2)),
                )
                for stored in posted
            ]
            everything += late
            for stored in late:
                model.store("acme", stored, shards)
            now += 10 + clock_steps[number % 4] / 1000
            for page, parameters["cursor"] in follow(model, parameters, now=now, shards=shards, most=2):
                pages.append(page.positions)
        seen = [position for page in pages for position in page]
        assert seen == expected(everything, {"order": "asc", **filters}, now)
        coverage.count(filters, [len(page) for page in pages])

    coverage.run(check, "prefix", "subject")


def test_filtered_query_reads_at_most_1000_entries() -> None:
    """All shards together read 1,000 entries, and the page without events leads on."""
    model = IndexModel()
    for number in range(2500):
        event_type = "order.paid" if number == 2400 else "other"
        model.store("acme", Stored(content(f"{number:04}", event_type, "s"), CREATED_AT), 4)
    for query in ({"type": "order.*"}, {"type": "order.*", "subject": "s"}, {"type": "order.paid", "subject": "s"}):
        for shards in (4, 16):
            parsed = listing.parse({name: [value] for name, value in query.items()}, NOW)
            assert parsed.entries_per_shard(shards) * shards <= 1000
        pages = list(follow(model, {**query, "order": "asc"}, now=NOW, shards=4))
        assert [position for page, _ in pages for position in page.positions] == [f"{CREATED_AT}/2400"]
        assert [page.has_more for page, _ in pages] == [True, True, False]


def test_query_without_filter_reads_one_entry_more_than_a_page() -> None:
    """The entry after the page tells whether there is more."""
    for query in ({}, {"type": ["order.paid"]}, {"subject": ["s"]}):
        assert listing.parse({**query, "limit": ["7"]}, NOW).entries_per_shard(4) == 8
