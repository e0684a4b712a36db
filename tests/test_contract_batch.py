"""The contract of the batch: a body with many events. Runs on every target, as tests/test_contract.py does."""

import json
import re
import time
import uuid
from typing import Any

import pytest
from targets import (
    CREATED_AT, ETAG, JSON, Api, Response, an_event, assert_faults, assert_problem, event_with_payload, get, post,
    value_of,
)  # fmt: skip

LIMIT, BATCH_LIMIT = 262_144, 1_048_576
MADE_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")  # a UUIDv7


def post_batch(api: Api, *events: dict[str, Any] | bytes, **headers: str) -> Response:
    """Post a batch. An event is a dict, or JSON text."""
    texts = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return post(api, b"[" + b",".join(texts) + b"]", **headers)


def results_of(response: Response) -> list[dict[str, Any]]:
    """Return the results of a batch. The response is a 207 with nothing else."""
    assert response.status == 207, response
    assert response.headers["content-type"] == "application/json"
    assert response.json.keys() == {"results"}
    return response.json["results"]


def assert_refused(result: dict[str, Any], status: int, kind: str, event_id: str | None, **members: Any) -> None:
    """Assert that a result has exactly the id that was sent and a complete problem of a single POST."""
    problem = result["problem"]
    assert result == {"status": status, **({"id": event_id} if event_id else {}), "problem": problem}
    complete = {name: problem[name] for name in ("title", "detail", "request_id")}
    assert all(complete.values())
    assert problem == {"type": f"urn:event-api:problem:{kind}", "status": status, **complete, **members}


def test_new_events_are_stored(api: Api) -> None:
    """Each new event has a result with 201, id, ETag and created_at, in the order sent. A GET shows the same."""
    events = [an_event(payload={"n": n}) for n in range(5)]
    results = results_of(post_batch(api, *events))
    for event, result in zip(events, results, strict=True):
        response = get(api, event["id"])
        assert response.json == {**event, "created_at": result["created_at"]}
        assert result == {
            "status": 201,
            "id": event["id"],
            "etag": response.headers["etag"],
            "created_at": response.json["created_at"],
        }
        assert ETAG.fullmatch(result["etag"]) and CREATED_AT.fullmatch(result["created_at"])


def test_repeated_batch_stores_nothing(api: Api) -> None:
    """A batch can be sent again: what is stored has 200 and the same members."""
    events = [an_event() for _ in range(3)]
    first = results_of(post_batch(api, *events))
    time.sleep(0.005)
    again = results_of(post_batch(api, an_event(id="new-" + str(uuid.uuid4())), *events))
    assert [result["status"] for result in again] == [201, 200, 200, 200]
    assert again[1:] == [{**result, "status": 200} for result in first]


def test_batch_and_single_post_store_the_same(api: Api) -> None:
    """An event in a batch is the same event as one that was sent alone."""
    event = an_event(subject="orders/1", occurred_at="2026-01-31T09:30:00+08:00")
    alone = post(api, event)
    (result,) = results_of(post_batch(api, event))
    assert (result["status"], result["etag"]) == (200, alone.headers["etag"])
    other = an_event()
    (result,) = results_of(post_batch(api, other))
    again = post(api, other)
    assert (again.status, again.headers["etag"], again.json["created_at"]) == (
        200, result["etag"], result["created_at"],
    )  # fmt: skip


def test_event_without_id_gets_one(api: Api) -> None:
    """The server gives an id to each event without one."""
    first, second = results_of(post_batch(api, *[{"type": "test_event", "payload": {}}] * 2))
    assert (first["status"], second["status"]) == (201, 201)
    assert first["id"] != second["id"] and MADE_ID.fullmatch(first["id"]) and MADE_ID.fullmatch(second["id"])
    assert get(api, first["id"]).headers["etag"] == first["etag"]


def test_payloads_are_lossless(api: Api) -> None:
    """The value of each payload stays as it was sent."""
    texts = ['{"n":1.0}', '{"n":%s}' % ("1" * 300), '{"n":1e400,"s":"\\u0000é"}', "{}"]
    posted = [event_with_payload(text) for text in texts]
    results = results_of(post_batch(api, *(body for _, body in posted)))
    assert [result["id"] for result in results] == [event_id for event_id, _ in posted]
    for (event_id, _), text in zip(posted, texts):
        assert value_of(get(api, event_id).body)["payload"] == value_of(text)


def test_each_event_has_its_own_result(api: Api) -> None:
    """A wrong event does not affect the others. Each result has the problem of a single POST."""
    stored = an_event()
    etag = post(api, stored).headers["etag"]
    new, large = an_event(), an_event(payload={"fill": "x" * LIMIT})
    changed = {**stored, "type": "other"}
    results = results_of(post_batch(api, stored, changed, an_event(id="-"), large, b"1", new))
    assert [result["status"] for result in results] == [200, 409, 400, 413, 400, 201]
    assert results[0]["etag"] == etag
    assert_refused(results[1], 409, "event-conflict", stored["id"])
    assert_refused(results[2], 400, "invalid-event", None, errors=results[2]["problem"]["errors"])
    assert [fault["pointer"] for fault in results[2]["problem"]["errors"]] == ["/id"]
    assert_refused(results[3], 413, "body-too-large", large["id"], limit=LIMIT)
    assert_refused(results[4], 400, "invalid-event", None, errors=results[4]["problem"]["errors"])
    assert get(api, stored["id"]).headers["etag"] == etag
    assert get(api, large["id"]).status == 404
    assert get(api, new["id"]).headers["etag"] == results[5]["etag"]


def test_refused_event_names_each_fault(api: Api) -> None:
    """The faults are those of a single POST, with the same pointers, and the id is the one that was sent."""
    event = an_event(type="no type", tpye="x")
    alone = post(api, event)
    (result,) = results_of(post_batch(api, event))
    assert_refused(result, 400, "invalid-event", event["id"], errors=result["problem"]["errors"])
    if len(alone.json["errors"]) > 1:  # the gateway's own check reports only one fault
        assert result["problem"]["errors"] == alone.json["errors"]


def test_response_to_many_faults_is_small(api: Api) -> None:
    """A response lists 10 faults of each event, so that it fits into Lambda's limit."""
    body = b'{"type":"a","payload":{"%s":[%s]}}' % ("é".encode() * 300, b",".join([b"NaN"] * 1000))
    response = post_batch(api, *[body] * 100)
    results = results_of(response)
    assert {len(result["problem"]["errors"]) for result in results} == {10}
    assert {result["problem"]["detail"] for result in results} == {"`errors` lists the first 10 faults."}
    assert len(json.dumps(response.body.decode())) < 5_000_000


def test_equal_ids_are_handled_in_order(api: Api) -> None:
    """Of events with the same id, the first one is stored, the same content again is 200, other content is 409."""
    event = an_event()
    for _ in range(5):
        event = an_event()
        others = [an_event() for _ in range(20)]
        changed = {**event, "payload": {}}
        results = results_of(post_batch(api, event, event, changed, *others, event))
        assert [result["status"] for result in results] == [201, 200, 409, *[201] * 20, 200]
        assert {results[0]["created_at"], results[1]["created_at"]} == {results[-1]["created_at"]}
        assert get(api, event["id"]).json["payload"] == event["payload"]


def test_if_none_match_star_applies_to_each_event(api: Api) -> None:
    """With If-None-Match: * an event whose id is taken has 412, also for the same content."""
    stored, new = an_event(), an_event()
    post(api, stored)
    results = results_of(post_batch(api, stored, {**stored, "type": "other"}, new, new, if_none_match="*"))
    assert [result["status"] for result in results] == [412, 412, 201, 412]
    assert_refused(results[0], 412, "event-exists", stored["id"])


def test_if_match_applies_to_each_event(api: Api) -> None:
    """With If-Match no event is stored, because a POST never changes an event. The events are checked first."""
    event, without_id = an_event(), {"type": "test_event", "payload": {}}
    results = results_of(post_batch(api, event, an_event(type="no type"), without_id, if_match='"other"'))
    assert [result["status"] for result in results] == [412, 400, 412]
    assert_refused(results[0], 412, "precondition-failed", event["id"])
    assert MADE_ID.fullmatch(results[2]["id"])
    assert get(api, results[2]["id"]).status == 404
    assert get(api, event["id"]).status == 404


def test_batch_has_up_to_100_events(api: Api) -> None:
    """100 events are stored; one more is a fault of the whole body, and nothing is stored."""
    events = [an_event() for _ in range(101)]
    assert_faults(post_batch(api, *events), "")
    assert get(api, events[0]["id"]).status == 404
    assert {result["status"] for result in results_of(post_batch(api, *events[:100]))} == {201}
    assert get(api, events[99]["id"]).status == 200


@pytest.mark.parametrize("body", [b"[]", b"[ ]", b"[", b"[1", b"[{}", b"[]]", b'[{"type":"a","payload":{}},]'])
def test_body_that_is_no_batch_stores_nothing(api: Api, body: bytes) -> None:
    """An empty array, or a body that is not JSON, is one fault of the whole body."""
    assert_faults(post(api, body), "")


def test_first_events_of_a_damaged_batch_are_not_stored(api: Api) -> None:
    """If the end of the body is damaged, no event of it is stored."""
    event = an_event()
    assert_faults(post(api, b"[%s, {]" % json.dumps(event).encode()), "")
    assert get(api, event["id"]).status == 404


def test_batch_has_at_most_1_mib(api: Api) -> None:
    """Events of 1 MiB in total are stored. One byte more gets 413 with the limit, and nothing is stored."""
    events = [an_event(payload={"fill": "x" * 200_000}) for _ in range(5)]
    body = json.dumps(events).encode()
    whole = body + b" " * (BATCH_LIMIT - len(body))
    response = post(api, whole + b" ")
    if response.headers["content-type"] == "application/json":  # a firewall refuses it first
        assert (response.status, response.json["type"]) == (413, "urn:event-api:problem:body-too-large")
    else:
        assert_problem(response, 413, "body-too-large", limit=BATCH_LIMIT)
    assert get(api, events[0]["id"]).status == 404
    assert [result["status"] for result in results_of(post(api, whole))] == [201] * 5
    assert get(api, events[4]["id"]).json["payload"] == events[4]["payload"]


def test_other_media_type_gets_415(api: Api) -> None:
    """The media type is that of a single POST."""
    body = json.dumps([an_event()]).encode()
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=latin-1"}):
        assert_problem(api.request("POST", "/events", body, headers), 415, "unsupported-media-type")
    assert api.request("POST", "/events", b" \n" + body, JSON).status == 207
