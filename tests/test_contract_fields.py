"""The contract of an event's fields. Runs on every target, as tests/test_contract.py does."""

import json
import re
import time
import uuid
from datetime import datetime
from typing import Any

import pytest
from bodies import (
    HALF_PAIRS, IDS, LOSSLESS, TIMES, NOT_IDS, INVALID_TIMES, NOT_OBJECTS, NOT_PAYLOADS,
    NOT_SUBJECTS, NOT_TYPES, SUBJECTS, TYPES, REFUSED_PAYLOADS,
)  # fmt: skip
from targets import (
    CREATED_AT, ETAG, Api, an_event, assert_faults, assert_problem, event_with_payload, get, post, value_of,
)  # fmt: skip

LIMIT = 262_144
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


# Fields


def test_new_event_gets_201_with_the_stored_event(api: Api) -> None:
    """A new id gets 201, Location, ETag and the stored event."""
    event = an_event(occurred_at="2026-01-31T09:30:00.000+08:00")
    response = post(api, event)
    assert response.status == 201
    assert response.headers["content-type"] == "application/json"
    assert ETAG.fullmatch(response.headers["etag"])
    prefix = response.headers["location"].removesuffix(f"/events/{event['id']}")
    assert prefix != response.headers["location"] and api.path.endswith(prefix)
    body = response.json
    created_at = body.pop("created_at")
    assert CREATED_AT.fullmatch(created_at)
    assert abs(datetime.fromisoformat(created_at).timestamp() - time.time()) < 300
    assert body == event
    assert get(api, event["id"]).json == {**event, "created_at": created_at}


def test_event_without_id_gets_a_uuid7_that_sorts_by_time(api: Api) -> None:
    """The server's ids are UUIDv7, so they sort by time."""
    ids = []
    for _ in range(5):
        response = post(api, {"type": "test_event", "payload": {}})
        assert response.status == 201
        assert UUID7.fullmatch(response.json["id"])
        assert response.headers["location"].endswith(f"/events/{response.json['id']}")
        ids.append(response.json["id"])
        time.sleep(0.002)
    assert ids == sorted(ids)
    assert get(api, ids[0]).status == 200


def test_event_with_a_generated_id_can_be_posted_again(api: Api) -> None:
    """An event whose id the server generated can be posted again with this id."""
    first = post(api, {"type": "test_event", "payload": {"n": 1}})
    again = post(api, {"id": first.json["id"], "type": "test_event", "payload": {"n": 1}})
    assert (again.status, again.body, again.headers["etag"]) == (200, first.body, first.headers["etag"])


@pytest.mark.parametrize("event_id", IDS)
def test_valid_id_is_accepted(api: Api, event_id: str) -> None:
    """A valid id is no fault. The type is invalid, so that the test stores no event under an id that a caller uses."""
    assert_faults(post(api, an_event(id=event_id, type="no type")), "/type")


def test_id_comes_back_unchanged(api: Api) -> None:
    """An id of 128 characters with every allowed special character comes back unchanged."""
    event_id = f"A.b_c~d:e-f.{uuid.uuid4()}".ljust(128, "z")
    assert post(api, an_event(id=event_id)).json["id"] == event_id
    assert get(api, event_id).json["id"] == event_id


def test_id_in_the_path_can_be_percent_encoded(api: Api) -> None:
    """The API decodes percent-encoding in the path before it looks for the id."""
    event_id = f"a:b~{uuid.uuid4()}"
    assert post(api, an_event(id=event_id)).status == 201
    assert get(api, event_id.replace(":", "%3A").replace("a", "%61")).json["id"] == event_id


def test_id_is_case_sensitive(api: Api) -> None:
    """Two ids that differ only in case are different ids."""
    lower = f"a-{uuid.uuid4()}"
    assert post(api, an_event(id=lower)).status == 201
    assert get(api, lower.upper()).status == 404
    assert post(api, an_event(id=lower.upper())).status == 201


@pytest.mark.parametrize("event_id", NOT_IDS)
def test_invalid_id_is_refused(api: Api, event_id: Any) -> None:
    """An id that breaks its rule is a fault at /id."""
    assert_faults(post(api, an_event(id=event_id)), "/id")


@pytest.mark.parametrize("event_type", TYPES)
def test_valid_type_is_accepted(api: Api, event_type: str) -> None:
    """A valid type is accepted and comes back unchanged."""
    assert post(api, an_event(type=event_type)).json["type"] == event_type


@pytest.mark.parametrize("event_type", NOT_TYPES)
def test_invalid_type_is_refused(api: Api, event_type: Any) -> None:
    """A type that breaks its rule is a fault at /type."""
    assert_faults(post(api, an_event(type=event_type)), "/type")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_valid_subject_is_accepted(api: Api, subject: str) -> None:
    """A valid subject comes back unchanged."""
    event = an_event(subject=subject)
    assert post(api, event).json["subject"] == subject
    assert get(api, event["id"]).json["subject"] == subject


@pytest.mark.parametrize("subject", [*NOT_SUBJECTS, *HALF_PAIRS])
def test_invalid_subject_is_refused(api: Api, subject: Any) -> None:
    """A subject that breaks its rule is a fault at /subject."""
    assert_faults(post(api, an_event(subject=subject)), "/subject")


@pytest.mark.parametrize("payload", NOT_PAYLOADS)
def test_invalid_payload_is_refused(api: Api, payload: Any) -> None:
    """A payload that is not a JSON object is a fault at /payload."""
    assert_faults(post(api, an_event(payload=payload)), "/payload")


@pytest.mark.parametrize("moment", TIMES)
def test_valid_occurred_at_is_accepted(api: Api, moment: str) -> None:
    """A valid date and time with an offset comes back unchanged."""
    response = post(api, an_event(occurred_at=moment))
    assert (response.status, response.json["occurred_at"]) == (201, moment)


@pytest.mark.parametrize("moment", INVALID_TIMES)
def test_invalid_occurred_at_is_refused(api: Api, moment: Any) -> None:
    """A value that is not an RFC 3339 time with an offset is a fault at /occurred_at."""
    assert_faults(post(api, an_event(occurred_at=moment)), "/occurred_at")


@pytest.mark.parametrize("missing", ["type", "payload"])
def test_missing_field_is_reported(api: Api, missing: str) -> None:
    """A missing required field is a fault at the field's pointer."""
    event = an_event()
    del event[missing]
    assert_faults(post(api, event), f"/{missing}")


@pytest.mark.parametrize("name", ["tpye", "created_at", "", "Type", "payload ", "a/b~"])
def test_unknown_field_is_refused(api: Api, name: str) -> None:
    """An unknown field is a fault, so that a typo in a field name is not ignored."""
    assert_faults(post(api, an_event(**{name: "x"})), "/" + name.replace("~", "~0").replace("/", "~1"))


def test_response_lists_every_fault(api: Api) -> None:
    """One response lists every fault."""
    body = b'{"id":"-","tpe":"x","payload":{"a":NaN,"b":[{"c":"\\ud800"}]},"occurred_at":"now"}'
    assert_faults(post(api, body), "/id", "/occurred_at", "/payload/a", "/payload/b/0/c", "/tpe", "/type")


# Lossless JSON


@pytest.mark.parametrize("text", LOSSLESS)
def test_payload_comes_back_with_the_same_value(api: Api, text: str) -> None:
    """A payload comes back with exactly the value that was posted."""
    event_id, body = event_with_payload(text)
    post_response = post(api, body)
    assert post_response.status == 201, post_response
    assert value_of(post_response.body)["payload"] == value_of(text)
    assert get(api, event_id).body == post_response.body


@pytest.mark.parametrize(("text", "pointer"), REFUSED_PAYLOADS)
def test_value_outside_json_is_refused(api: Api, text: str, pointer: str) -> None:
    """NaN, Infinity, a duplicate key, a lone surrogate and nesting deeper than 64 are faults at their pointer."""
    event_id, body = event_with_payload(text)
    assert_faults(post(api, body), pointer)
    assert get(api, event_id).status == 404


def test_duplicate_field_is_refused(api: Api) -> None:
    """A field that appears twice is a fault, and hides no other fault."""
    assert_faults(post(api, b'{"type":"a","payload":{},"type":"a"}'), "/type")
    assert_faults(post(api, b'{"id":"!","id":"?","type":5,"type":6,"x":0}'), "/id", "/type", "/x", "/payload")
    body = b'{"type":"t","payload":{"a":1,"a":2,"b":NaN,"c":{"d":1,"d":1,"e":NaN},"f":1,"f":1}}'
    assert_faults(post(api, body), *(f"/payload/{place}" for place in ("a", "f", "b", "c/d", "c/e")))


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_body_without_a_json_object_is_refused(api: Api, body: bytes) -> None:
    """A body that is not a JSON object in UTF-8 is one fault of the whole body."""
    assert_faults(post(api, body), "")


def test_response_to_many_faults_is_small(api: Api) -> None:
    """A response lists at most 100 faults, and its pointers are short."""
    key = "k" * 100_000
    response = post(api, b'{"type":"a","payload":{"%s":[%s]}}' % (key.encode(), b",".join([b"NaN"] * 1000)))
    assert_faults(response, *["/payload"] * 100)
    assert len(response.body) < 20_000


def sized(size: int) -> bytes:
    """Return the body of an event that is exactly `size` bytes long."""
    body = json.dumps(an_event(payload={"fill": ""})).encode()
    return body.replace(b'"fill": ""', b'"fill": "%s"' % (b"x" * (size - len(body))))


def test_body_at_the_limit_is_stored(api: Api) -> None:
    """A body of 262,144 bytes is stored and can be read."""
    body = sized(LIMIT)
    assert len(body) == LIMIT
    assert post(api, body).status == 201
    assert value_of(get(api, json.loads(body)["id"]).body)["payload"] == value_of(body)["payload"]


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT])
def test_body_over_the_limit_is_refused(api: Api, size: int) -> None:
    """A body of one byte more gets 413 with the limit.

    A firewall may refuse the request first, because of its Content-Length. Its response is plain JSON without an id.
    """
    response = post(api, sized(size))
    if response.headers["content-type"] == "application/json":
        assert (response.status, response.headers["cache-control"]) == (413, "no-store")
        assert response.json.items() >= {"type": "urn:event-api:problem:body-too-large", "limit": LIMIT}.items()
    else:
        assert_problem(response, 413, "body-too-large", limit=LIMIT)
