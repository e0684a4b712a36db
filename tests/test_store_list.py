"""The list through the whole store with moto: pages, events that are gone, limits."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from faulty_store import FaultyStore
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from in_process import app_tables
from list_examples import NOW, START, Coverage, expected, lists

from chalicelib import event, index, listing
from chalicelib.event import Content, Event
from chalicelib.problem import StoreUnavailable
from chalicelib.signed_http import SignedHttp
from chalicelib.store import KEYS_PER_READ
from index_model import Stored
from tenants import Tenant, contents


@pytest.fixture(name="admin", scope="module")
def _admin(recorder: FaultyStore) -> Iterator[BaseClient]:
    """A client of the tables, for calls that the store cannot make."""
    with app_tables(recorder.upstream) as client:
        yield client


def in_order(tenant: Tenant, admin: BaseClient, count: int) -> list[str]:
    """Store events, each a millisecond after the one before, and return their ids."""
    everything = contents(count)
    tenant.post(*everything)
    for number, content in enumerate(everything):
        tenant.move(admin, content.id, event.timestamp(START + timedelta(milliseconds=number)))
    return [content.id for content in everything]


# Following cursors


def complete(content: Content, created_at: str) -> Event:
    """Return the event that a list shows of a content."""
    return Event(
        id=content.id, type=content.type, subject=content.subject, payload=content.payload, created_at=created_at
    )


def test_cursors_lead_to_every_matching_event_once(client: SignedHttp, admin: BaseClient) -> None:
    """For any events, filter, page size and number of shards, the cursors lead to exactly the matching events."""
    coverage = Coverage()

    @settings(max_examples=5, phases=[Phase.generate])  # to shrink an example takes minutes here
    @given(lists(), st.sampled_from([1, 2, 5]))
    def check(drawn: tuple[list[Stored], list[dict[str, str]]], shards: int) -> None:
        events, queries = drawn
        tenant = Tenant(client, shards)
        tenant.post(*(stored.content for stored in events))
        for stored in events:
            tenant.move(admin, stored.content.id, stored.created_at)
        sent = {stored.content.id: stored.content for stored in events}
        for query in queries:
            pages = list(tenant.pages(NOW, **query))
            listed = [found for page in pages for found in page.events]
            assert [index.position_of(found.created_at, found.id) for found in listed] == expected(events, query)
            assert all(len(page.events) <= int(query["limit"]) for page in pages)
            assert listed == [complete(sent[found.id], found.created_at) for found in listed]
            coverage.count(query, [len(page.events) for page in pages])

    coverage.run(check, "type", "prefix", "subject")


@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("limit", ["1", "5"])
def test_events_of_one_millisecond_are_listed_by_id(
    client: SignedHttp, admin: BaseClient, shards: int, limit: str
) -> None:
    """Events of the same millisecond have the order of their ids, also over the end of a page."""
    tenant = Tenant(client, shards)
    ids = in_order(tenant, admin, 12)
    for event_id in ids[2:10]:
        tenant.move(admin, event_id, event.timestamp(START + timedelta(milliseconds=2)))
    assert tenant.ids(NOW, order="asc", limit=limit) == ids
    assert tenant.ids(NOW, order="desc", limit=limit) == ids[::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_more_shards_still_find_old_events(client: SignedHttp, admin: BaseClient, order: str) -> None:
    """The number of shards may grow: the old shards are read, too."""
    tenant = Tenant(client, 2)
    ids = in_order(tenant, admin, 20)
    tenant.shards = 5
    assert tenant.ids(NOW, order=order, limit="3") == (ids if order == "asc" else ids[::-1])


def test_list_costs_one_query_a_shard_and_one_read_of_events(client: SignedHttp, recorder: FaultyStore) -> None:
    """Each shard has one Query. The events have one eventually consistent BatchGetItem. There is no scan."""
    tenant = Tenant(client, 3)
    tenant.post(*contents(30))
    recorder.requests.clear()
    assert len(next(tenant.pages(limit="20")).events) == 20
    operations = [operation for operation, _ in recorder.requests]
    assert operations == ["Query"] * 3 + ["BatchGetItem"]
    (read,) = recorder.requests[-1][1]["RequestItems"].values()
    assert read["ConsistentRead"] is False
    assert {parameters["Limit"] for _, parameters in recorder.requests[:3]} == {21}


def test_shards_are_read_at_the_same_time(client: SignedHttp, recorder: FaultyStore) -> None:
    """A list with sixteen shards waits for a slow store once, not for each shard."""
    tenant = Tenant(client, 16)
    tenant.post(*contents(40))
    recorder.rule = lambda operation, _: "slow 0.5" if operation == "Query" else None
    page = next(tenant.pages(limit="100"))
    assert len(page.events) == 40
    assert 4 < recorder.most_waiting <= 16


@pytest.mark.parametrize("shards", [1, 3, 16])
@pytest.mark.parametrize("filters", [{"type": "t.*"}, {"type": "t", "subject": "s"}, {"type": "t.*", "subject": "s"}])
def test_filtered_list_reads_at_most_1000_entries(
    client: SignedHttp, calls: list[tuple[str, dict[str, Any]]], shards: int, filters: dict[str, str]
) -> None:
    """With a filter that no index has, the queries of all shards together have a Limit of 1,000, for any page size."""
    next(Tenant(client, shards).pages(limit="2", **filters))
    assert [(operation, parameters["Limit"]) for operation, parameters in calls] == [("Query", 1000 // shards)] * shards


# Tenants


def test_tenants_never_mix(client: SignedHttp) -> None:
    """Tenants with similar names and equal ids, types and subjects see their own events only."""
    first, second = Tenant(client), Tenant(client)
    second.name = first.name[:-1]
    first.post(*contents(3, {"of": "first"}, subject="s"))
    second.post(*contents(5, {"of": "second"}, subject="s"))
    for parameters in ({}, {"type": "t"}, {"subject": "s"}, {"subject": "s", "type": "t"}):
        for tenant, count, name in ((first, 3, "first"), (second, 5, "second")):
            listed = [found for page in tenant.pages(**parameters) for found in page.events]
            assert [json.loads(bytes(found.payload)) for found in listed] == [{"of": name}] * count


# Events that are gone


def set_expiry(admin: BaseClient, tenant: Tenant, event_id: str, expires_at: int) -> None:
    """Change when an event's retention ends."""
    admin.update_item(
        TableName="events",
        Key={"pk": {"S": f"{tenant.name}/{event_id}"}},
        UpdateExpression="SET expires_at = :end",
        ExpressionAttributeValues={":end": {"N": str(expires_at)}},
    )


def put_stale_entry(admin: BaseClient, tenant: Tenant, created_at: str, event_id: str) -> None:
    """Put an entry into the indexes that no event of the table has, as an index that is behind."""
    (key,) = listing.parse({}, NOW).partition_keys(tenant.name, 1)
    position = index.position_of(created_at, event_id)
    entry = {"pk": f"{tenant.name}/#{position}", "by_time": key, "position": position}
    admin.put_item(TableName="events", Item={name: {"S": value} for name, value in entry.items()})


@pytest.mark.parametrize("limit", ["1", "2", "20"])
def test_expired_and_removed_events_are_not_listed(client: SignedHttp, admin: BaseClient, limit: str) -> None:
    """Events whose retention has ended leave shorter pages, and no gap. The index may still have removed events."""
    tenant = Tenant(client, 2, retention_days=1)
    ids = in_order(tenant, admin, 8)
    now = int(time.time())
    set_expiry(admin, tenant, "002", now)
    set_expiry(admin, tenant, "005", now + 100)
    put_stale_entry(admin, tenant, event.timestamp(START), "removed")
    put_stale_entry(admin, tenant, event.timestamp(START + timedelta(milliseconds=4)), "removed-too")
    assert tenant.ids(NOW, limit=limit) == [event_id for event_id in ids[::-1] if event_id != "002"]


@pytest.mark.parametrize("limit", ["1", "20"])
def test_id_that_is_used_again_is_listed_once(client: SignedHttp, admin: BaseClient, limit: str) -> None:
    """The index may still have the place of an expired event whose id is used again. The new event has its own."""
    tenant = Tenant(client)
    in_order(tenant, admin, 3)
    tenant.move(admin, "001", event.timestamp(START + timedelta(milliseconds=5)))
    put_stale_entry(admin, tenant, event.timestamp(START + timedelta(milliseconds=1)), "001")
    assert tenant.ids(NOW, limit=limit) == ["001", "002", "000"]
    assert tenant.ids(NOW, order="asc", limit=limit) == ["000", "002", "001"]


@pytest.mark.parametrize("limit", ["5", "100"])
def test_read_behind_the_index_is_repeated_consistently(
    client: SignedHttp, recorder: FaultyStore, limit: str
) -> None:
    """An event that is in the index but not in the first read is read again, consistently."""
    tenant = Tenant(client)
    tenant.post(*contents(30))

    def is_behind(operation: str, parameters: dict[str, Any]) -> str | None:
        reads = parameters["RequestItems"].values() if operation == "BatchGetItem" else ()
        return "stale" if any(not read["ConsistentRead"] for read in reads) else None

    recorder.rule = is_behind
    assert len(tenant.ids(limit=limit)) == 30


# Limits


def test_empty_range_costs_nothing(client: SignedHttp, recorder: FaultyStore) -> None:
    """A query that no event can match makes no call."""
    recorder.requests.clear()
    moment = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    assert Tenant(client).ids(**{"from": moment, "to": moment}) == []
    assert recorder.requests == []


# Faults: 503 or a shorter page, and never a gap


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_failed_shard_is_unavailable(client: SignedHttp, recorder: FaultyStore, shard: int) -> None:
    """If one shard cannot be read, there is no page. A page of the other shards would have gaps."""
    tenant = Tenant(client, 3)
    tenant.post(*contents(20))
    key = f"{tenant.name}/{shard}"

    def is_throttled(operation: str, parameters: dict[str, Any]) -> str | None:
        is_it = operation == "Query" and parameters["ExpressionAttributeValues"][":partition"]["S"] == key
        return "throttled" if is_it else None

    recorder.rule = is_throttled
    with pytest.raises(StoreUnavailable):
        tenant.ids()
    recorder.work()
    assert len(tenant.ids()) == 20


@pytest.mark.parametrize("fault", ["throttled", "failed", "cut", "cut short", "garbled"])
def test_transient_fault_leaves_no_gap(client: SignedHttp, recorder: FaultyStore, fault: str) -> None:
    """Each call is retried."""
    tenant = Tenant(client, 2)
    tenant.post(*contents(60))
    recorder.faults = [fault, "none", fault, "none", fault]
    assert len(tenant.ids(limit="50")) == 60


@pytest.mark.parametrize("faults", [["unprocessed"], ["unprocessed"] * 3, ["all unprocessed", "unprocessed"]])
def test_unprocessed_keys_are_read_again(client: SignedHttp, recorder: FaultyStore, faults: list[str]) -> None:
    """Keys that DynamoDB did not process are read again, and only these."""
    tenant = Tenant(client)
    tenant.post(*contents(20))
    recorder.requests.clear()
    recorder.faults = ["none", *faults]
    assert sorted(tenant.ids()) == [f"{n:03}" for n in range(20)]
    reads = [p["RequestItems"]["events"]["Keys"] for operation, p in recorder.requests if operation == "BatchGetItem"]
    assert len(reads) == len(faults) + 1
    lengths = [20]
    for fault in faults:
        lengths.append(lengths[-1] - (lengths[-1] // 2 if fault == "unprocessed" else 0))
    assert [len(keys) for keys in reads] == lengths


def test_keys_that_stay_unprocessed_are_unavailable(client: SignedHttp, recorder: FaultyStore) -> None:
    """If nothing could be read, there is no page."""
    tenant = Tenant(client)
    tenant.post(*contents(5))
    recorder.rule = lambda operation, _: "all unprocessed" if operation == "BatchGetItem" else None
    with pytest.raises(StoreUnavailable):
        tenant.ids()


@pytest.mark.parametrize("fault", ["throttled", "unprocessed", "hangs"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_page_that_is_cut_continues_without_a_gap(
    client: SignedHttp, admin: BaseClient, recorder: FaultyStore, fault: str, order: str
) -> None:
    """If the store fails in the middle of a page, the page is shorter and says that there is more."""
    tenant = Tenant(client)
    ids = in_order(tenant, admin, 60)
    reads = 0

    def fails_after_the_first(operation: str, _: Any) -> str | None:
        nonlocal reads
        reads += operation == "BatchGetItem"
        return fault if operation == "BatchGetItem" and reads > 1 else None

    recorder.rule = fails_after_the_first
    query = listing.parse({"order": [order], "limit": ["50"]}, NOW)
    page = tenant.store.find(query)
    assert (len(page.events), page.has_more) == (KEYS_PER_READ, True)
    recorder.work()
    rest = tenant.ids(NOW, order=order, limit="50", cursor=query.cursor(page.continue_after))
    assert [found.id for found in page.events] + rest == (ids if order == "asc" else ids[::-1])
