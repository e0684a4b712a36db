"""Stored events that somebody altered in the table: the API returns none of them, and says so in response and log."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.client import BaseClient
from in_process import InProcessApi, tables_in_moto
from targets import Api, Response, assert_problem, get, post

import app as event_api

EVENT = {"id": "a", "type": "t", "subject": "s", "payload": {"n": 1.0}, "occurred_at": "2026-01-31T09:30:00Z"}
EARLIER = "2020-01-01T00:00:00.000Z"

# Each changes or removes attributes of the stored item.
ALTERATIONS: dict[str, dict[str, Any]] = {
    "payload": {"payload": {"S": '{"n":2.0}'}},
    "number in the payload": {"payload": {"S": '{"n":1}'}},
    "space in the payload": {"payload": {"S": '{"n": 1.0}'}},
    "attributes of a CloudEvent": {"cloudevent": {"S": '{"source":"/a"}'}},
    "attributes that are not JSON": {"cloudevent": {"S": "{"}},
    "payload that is not JSON": {"payload": {"S": '{"n":'}},
    "payload of another DynamoDB type": {"payload": {"M": {"n": {"N": "1"}}}},
    "type": {"type": {"S": "u"}},
    "subject": {"subject": {"S": "other"}},
    "no subject": {"subject": None},
    "occurred_at": {"occurred_at": {"S": "2026-01-31T09:30:01Z"}},
    "id": {"id": {"S": "b"}},
    "digest": {"digest": {"S": "0" * 64}},
    "no digest": {"digest": None},
    "no payload": {"payload": None},
    "created_at": {"created_at": {"S": EARLIER}},
    "position": {"position": {"S": f"{EARLIER}/a"}},
    "expires_at that is not a second": {"expires_at": {"N": "9999999999.5"}},
}


@pytest.fixture(name="table", scope="module")
def _table() -> Iterator[BaseClient]:
    """A client of the tables, for changes outside of the API."""
    with tables_in_moto() as client:
        yield client


@pytest.fixture(name="app_api")
def _app_api(table: BaseClient) -> Api:
    """The app with one stored event."""
    table.delete_item(TableName="events", Key={"pk": {"S": "local/a"}})
    api = InProcessApi(event_api.app, asks=False)
    assert post(api, EVENT).status == 201
    return api


def alter(table: BaseClient, changes: dict[str, Any]) -> None:
    """Change attributes of the event `a`. None removes one."""
    item = table.get_item(TableName="events", Key={"pk": {"S": "local/a"}})["Item"]
    merged = {**item, **changes}
    table.put_item(TableName="events", Item={name: value for name, value in merged.items() if value is not None})


def assert_altered(response: Response) -> None:
    """Assert that a response names the altered event, and has nothing of it."""
    assert_problem(response, 500, "stored-event-altered", ids=["a"])
    assert "etag" not in response.headers


@pytest.mark.parametrize("changes", ALTERATIONS.values(), ids=ALTERATIONS)
def test_altered_event_is_never_returned(table: BaseClient, app_api: Api, changes: dict[str, Any]) -> None:
    """GET, HEAD, a replay, a conflict and a batch get the problem, whatever was changed."""
    alter(table, changes)
    assert_altered(get(app_api, "a"))
    assert get(app_api, "a", "HEAD").status == 500
    assert_altered(get(app_api, "a", if_none_match="*"))
    assert_altered(post(app_api, EVENT))
    assert_altered(post(app_api, {**EVENT, "payload": {}}))
    assert_altered(post(app_api, EVENT, if_none_match="*"))
    response = post(app_api, json.dumps([EVENT, {**EVENT, "id": "b", "type": "-"}]).encode())
    first, second = response.json["results"]
    assert (response.status, first["status"], first["id"], second["status"]) == (207, 500, "a", 400)
    assert first["problem"]["type"] == "urn:event-api:problem:stored-event-altered"


@pytest.mark.parametrize("name", ["payload", "type", "digest", "no payload"])
def test_list_with_an_altered_event_fails(table: BaseClient, app_api: Api, name: str) -> None:
    """A list never leaves an altered event out. The problem names it, and the others can be listed by time."""
    assert post(app_api, {**EVENT, "id": "intact"}).status in (200, 201)
    alter(table, ALTERATIONS[name])
    assert_altered(app_api.request("GET", "/events"))
    alter(table, {"position": {"S": f"{EARLIER}/a"}})
    response = app_api.request("GET", "/events?from=2020-01-02T00:00:00Z")
    assert [listed["id"] for listed in response.json["events"]] == ["intact"]
    assert_altered(app_api.request("GET", "/events?order=asc"))


def test_digest_does_not_cover_the_time(table: BaseClient, app_api: Api) -> None:
    """Who changes `created_at` together with its key moves the event in time. docs/security.md names this limit."""
    alter(table, {"created_at": {"S": EARLIER}, "position": {"S": f"{EARLIER}/a"}})
    assert get(app_api, "a").json["created_at"] == EARLIER


def test_item_under_another_key_is_altered(table: BaseClient, app_api: Api) -> None:
    """An event that was copied to another tenant or another id is not that tenant's event."""
    item = table.get_item(TableName="events", Key={"pk": {"S": "local/a"}})["Item"]
    table.put_item(TableName="events", Item={**item, "pk": {"S": "local/copy"}})
    assert_problem(get(app_api, "copy"), 500, "stored-event-altered", ids=["copy"])
    table.put_item(TableName="events", Item={**item, "pk": {"S": "other/a"}})
    assert get(app_api, "a").status == 200


def test_event_without_later_attributes_is_returned(table: BaseClient, app_api: Api) -> None:
    """An event of an old version has no keys of indexes, no author and no write id."""
    later = ("position", "by_time", "by_type", "by_subject", "write_id", "key_id", "request_id")
    alter(table, dict.fromkeys(later))
    assert get(app_api, "a").status == 200
    assert post(app_api, EVENT).headers["idempotent-replayed"] == "true"


def test_altered_event_is_logged_and_counted(
    table: BaseClient, app_api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has an error with tenant and id, and a metric in CloudWatch's embedded metric format."""
    alter(table, ALTERATIONS["payload"])
    with caplog.at_level(logging.ERROR):
        get(app_api, "a")
    (record,) = [record for record in caplog.records if record.name == "chalicelib.audit_log"]
    fields = record.__dict__["fields"]
    assert record.levelname == "ERROR" and "event a of the tenant local" in record.message
    assert (fields["tenant"], fields["event_id"], fields["StoredEventAltered"]) == ("local", "a", 1)
    (metrics,) = fields["_aws"]["CloudWatchMetrics"]
    assert metrics["Metrics"] == [{"Name": "StoredEventAltered", "Unit": "Count"}]
    assert all(name in fields for dimensions in metrics["Dimensions"] for name in dimensions)
    assert isinstance(fields["_aws"]["Timestamp"], int) and "payload" not in fields
