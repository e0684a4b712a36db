"""The official SDK of CloudEvents for Python: it posts to the local server, and reads what the server returns."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from targets import Api, Response, an_event, get, post

JSON_FORMAT = JSONFormat()
DATA = {"total": 42.5, "items": [{"sku": "a-1", "n": 2}], "note": "Euro € 😀", "none": None}


def a_cloudevent(**attributes: Any) -> CloudEvent:
    """Return a new CloudEvent of the SDK."""
    required = {"id": f"sdk-{uuid.uuid4()}", "source": "https://shop.example.com/orders", "type": "order.paid"}
    return CloudEvent({"specversion": "1.0", **required, **attributes}, DATA)


def post_message(api: Api, message: HTTPMessage) -> Response:
    """Post a message of the SDK."""
    return api.request("POST", "/events", message.body, message.headers)


def post_structured(api: Api, event: CloudEvent) -> Response:
    """Post an event in structured mode."""
    return post_message(api, to_structured(event, JSON_FORMAT))


def post_binary(api: Api, event: CloudEvent) -> Response:
    """Post an event in binary mode."""
    return post_message(api, to_binary(event, JSON_FORMAT))


def post_batch(api: Api, event: CloudEvent) -> Response:
    """Post an event as a batch. The SDK writes events only, so the brackets are ours."""
    headers = {"content-type": "application/cloudevents-batch+json"}
    return post_message(api, HTTPMessage(headers, b"[%s]" % JSON_FORMAT.write(event)))


def read(api: Api, event_id: str) -> CloudEvent:
    """Read an event with the SDK."""
    response = get(api, event_id, Accept="application/cloudevents+json")
    event = from_http(HTTPMessage({"content-type": response.headers["content-type"]}, response.body), JSON_FORMAT)
    assert isinstance(event, CloudEvent)
    return event


def members(event: CloudEvent) -> dict[str, Any]:
    """Return all that an event says."""
    return {**event.get_attributes(), "data": event.get_data()}


Post = Callable[[Api, CloudEvent], Response]
MODES = [post_structured, post_binary, post_batch]


@pytest.mark.parametrize("first", MODES, ids=lambda mode: mode.__name__)
def test_sdk_and_api_agree(local_api: Api, first: Post) -> None:
    """An event that the SDK posts in each mode is stored once. The SDK reads the event that it sent."""
    sent = a_cloudevent(
        subject="orders/1001 €", time=datetime(2026, 1, 31, 9, 30, 0, 500, UTC), datacontenttype="application/json",
        dataschema="https://example.com/schemas/order-v2.json", traceparent="00-0af7651916cd43dd", note='a "b" 100%',
    )  # fmt: skip
    assert first(local_api, sent).status in (201, 207)
    assert members(read(local_api, sent.get_id())) == members(sent)
    for again in MODES:
        response = again(local_api, sent)
        assert response.status == 200 or [result["status"] for result in response.json["results"]] == [200]


def test_sdk_reads_the_types_of_extensions(local_api: Api) -> None:
    """In structured mode, an extension keeps its type. The time keeps its offset."""
    moment = datetime(2026, 1, 31, 9, 30, tzinfo=timezone(timedelta(hours=8)))
    sent = a_cloudevent(number=-5, flag=True, text="true", time=moment)
    assert post_structured(local_api, sent).status == 201
    returned = read(local_api, sent.get_id())
    assert members(returned) == members(sent)
    assert [type(returned.get_extension(name)) for name in ("number", "flag", "text")] == [int, bool, str]
    assert returned.get_time().utcoffset() == timedelta(hours=8)


def test_sdk_reads_an_event_in_plain_json(local_api: Api) -> None:
    """An event that was not posted as a CloudEvent is a valid one, and the SDK can post it again."""
    event = an_event(occurred_at="2026-01-31T09:30:00Z")  # the SDK sets a missing time to the current time
    assert post(local_api, event).status == 201
    returned = read(local_api, event["id"])
    assert (returned.get_source(), returned.get_data()) == ("urn:event-api:events", event["payload"])
    assert post_structured(local_api, returned).status == 200
