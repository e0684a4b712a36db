"""The store with moto: write once, and read."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from faulty_store import FaultyStore
from in_process import app_tables
from tenants import caller

from chalicelib.event import Content, parse
from chalicelib.problem import EventNotFound, StoreUnavailable
from chalicelib.dynamodb import HANDLER_SECONDS, Table, create_client
from chalicelib.signed_http import SignedHttp
from chalicelib.store import SECONDS_A_DAY, EventStore


@pytest.fixture(name="admin")
def _admin(recorder: FaultyStore) -> Iterator[BaseClient]:
    """A client of the tables, for calls that the store cannot make."""
    with app_tables(recorder.upstream) as client:
        yield client


def content(payload: str = '{"n":1}', event_id: str = "a") -> Content:
    """Return an event's content."""
    return parse(b'{"id":"%s","type":"t","payload":%s}' % (event_id.encode(), payload.encode()))


def test_written_event_is_read(client: SignedHttp) -> None:
    """read returns the event that write returned."""
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1)
    stored, written = store.write(content())
    assert written
    assert store.read("a") == stored
    assert bytes(stored.event.payload) == b'{"n":1}'


def test_write_costs_one_call(client: SignedHttp, calls: list[Any]) -> None:
    """A write, a replay and a conflict are one conditional PutItem each, and no read."""
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1)
    first, _ = store.write(content())
    again, written = store.write(content())
    other, other_written = store.write(content('{"n":2}'))
    assert (again, written, other, other_written) == (first, False, first, False)
    assert [name for name, _ in calls] == ["PutItem"] * 3
    assert all(params["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD" for _, params in calls)


def test_hit_costs_one_eventually_consistent_read(client: SignedHttp, calls: list[Any]) -> None:
    """A hit costs one eventually consistent read, which is half the price."""
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1)
    store.write(content())
    calls.clear()
    store.read("a")
    assert [(name, params["ConsistentRead"]) for name, params in calls] == [("GetItem", False)]


def test_miss_is_read_again_consistently(client: SignedHttp, calls: list[Any]) -> None:
    """A miss is read again with a consistent read, so callers see their own writes."""
    with pytest.raises(EventNotFound):
        EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1).read("a")
    assert [(name, params["ConsistentRead"]) for name, params in calls] == [("GetItem", False), ("GetItem", True)]


def test_item_has_an_attribute_for_each_field(client: SignedHttp, admin: BaseClient) -> None:
    """Type, subject, times, digest and author are attributes; the payload is JSON text."""
    body = b'{"id":"a","type":"t","subject":"s","payload":{"n": 1.0},"occurred_at":"2026-01-31T09:30:00Z"}'
    stored, _ = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1).write(parse(body))
    item = admin.get_item(TableName="events", Key={"pk": {"S": "acme/a"}})["Item"]
    assert re.fullmatch(r"[0-9a-f]{32}", item.pop("write_id")["S"])
    assert item == {
        "pk": {"S": "acme/a"},
        "tenant": {"S": "acme"},
        "id": {"S": "a"},
        "type": {"S": "t"},
        "subject": {"S": "s"},
        "occurred_at": {"S": "2026-01-31T09:30:00Z"},
        "created_at": {"S": stored.event.created_at},
        "payload": {"S": '{"n":1.0}'},
        "digest": {"S": stored.digest},
        "key_id": {"S": "the-key"},
        "request_id": {"S": "the-request"},
        "by_time": {"S": "acme/0"},
        "by_type": {"S": "acme/0/t"},
        "by_subject": {"S": "acme/0/s"},
        "position": {"S": f"{stored.event.created_at}/a"},
    }


def test_replay_keeps_the_first_author(client: SignedHttp, admin: BaseClient) -> None:
    """A replay writes nothing, so the item names the token and the request that stored the event."""
    for key_id, request_id in (("first", "r1"), ("second", "r2")):
        author = caller(key_id=key_id, request_id=request_id)
        EventStore(Table(client, "events", HANDLER_SECONDS), author, 0, 1).write_all([content(), content()])
    item = admin.get_item(TableName="events", Key={"pk": {"S": "acme/a"}})["Item"]
    assert (item["key_id"], item["request_id"]) == ({"S": "first"}, {"S": "r1"})


def test_retention_sets_when_an_event_ends(client: SignedHttp) -> None:
    """With a retention, an item has the second at which the retention ends."""
    before = int(time.time())
    stored, _ = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 2, 1).write(content())
    assert stored.expires_at is not None
    assert before <= stored.expires_at - 2 * SECONDS_A_DAY <= time.time()


@pytest.mark.parametrize(
    ("days", "token_seconds", "seconds"),
    [(0, None, None), (0, 60, 60), (1, 60, 60), (1, 2 * SECONDS_A_DAY, SECONDS_A_DAY), (1, None, SECONDS_A_DAY)],
)
def test_shorter_retention_counts(
    client: SignedHttp, days: int, token_seconds: int | None, seconds: int | None
) -> None:
    """A token's retention can shorten the stage's, and not lengthen it."""
    author = caller(retention=token_seconds)
    before = int(time.time())
    expires_at = EventStore(Table(client, "events", HANDLER_SECONDS), author, days, 1).write(content())[0].expires_at
    assert expires_at is None if seconds is None else before <= (expires_at or 0) - seconds <= time.time()


def expire(admin: BaseClient, event_id: str) -> None:
    """End an event's retention now. DynamoDB has not removed the item yet."""
    admin.update_item(
        TableName="events",
        Key={"pk": {"S": f"acme/{event_id}"}},
        UpdateExpression="SET expires_at = :now",
        ExpressionAttributeValues={":now": {"N": str(int(time.time()))}},
    )


def test_expired_event_is_gone_before_dynamodb_removes_it(client: SignedHttp, admin: BaseClient) -> None:
    """An event whose retention has ended is not found."""
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 1, 1)
    store.write(content())
    expire(admin, "a")
    with pytest.raises(EventNotFound):
        store.read("a")


def test_id_of_an_expired_event_is_free(client: SignedHttp, admin: BaseClient) -> None:
    """An id can be used again after the retention of its event."""
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 1, 1)
    store.write(content())
    expire(admin, "a")
    stored, written = store.write(content('{"n":2}'))
    assert written
    assert store.read("a") == stored


def test_id_belongs_to_one_tenant(client: SignedHttp) -> None:
    """Two tenants can use one id, and neither sees the other's event."""
    callers = caller("acme"), caller("other")
    acme, other = (EventStore(Table(client, "events", HANDLER_SECONDS), sender, 0, 1) for sender in callers)
    assert acme.write(content())[1]
    with pytest.raises(EventNotFound):
        other.read("a")
    other_event, written = other.write(content('{"n":2}'))
    assert written
    assert (other.read("a"), bytes(acme.read("a").event.payload)) == (other_event, b'{"n":1}')


def test_event_of_another_tenant_costs_the_same_calls_as_an_unknown_one(client: SignedHttp, calls: list[Any]) -> None:
    """The calls do not tell whether another tenant uses the id."""
    EventStore(Table(client, "events", HANDLER_SECONDS), caller(), 0, 1).write(content())
    store = EventStore(Table(client, "events", HANDLER_SECONDS), caller("other"), 0, 1)
    calls_of_each = []
    for event_id in ("a", "unknown"):
        calls.clear()
        with pytest.raises(EventNotFound):
            store.read(event_id)
        calls_of_each.append([(name, params["ConsistentRead"], params["Key"].keys()) for name, params in calls])
    assert calls_of_each[0] == calls_of_each[1] == [("GetItem", consistent, {"pk"}) for consistent in (False, True)]


def test_permanent_error_is_not_retried(client: SignedHttp, calls: list[Any]) -> None:
    """A missing table is called once."""
    store = EventStore(Table(client, "another-table", HANDLER_SECONDS), caller(), 0, 1)
    for call in (lambda: store.write(content()), lambda: store.read("a")):
        calls.clear()
        with pytest.raises(StoreUnavailable):
            call()
        assert len(calls) == 1


def test_missing_credentials_are_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers get 503, and never 500, if the function has no credentials."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(StoreUnavailable):
        EventStore(Table(create_client(), "events", HANDLER_SECONDS), caller(), 0, 1).read("a")
