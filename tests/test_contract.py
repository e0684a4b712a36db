"""The contract suite: each test states one rule and uses only HTTP. `make contract URL=...` runs it on any API."""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from bodies import (
    HALF_PAIRS,
    IDS,
    LOSSLESS,
    TIMES,
    NOT_IDS,
    INVALID_TIMES,
    NOT_OBJECTS,
    NOT_PAYLOADS,
    NOT_SUBJECTS,
    NOT_TYPES,
    SUBJECTS,
    TYPES,
    REFUSED_PAYLOADS,
)
from targets import (
    CREATED_AT, ETAG, JSON, Response, Api, an_event, assert_faults, assert_problem, event_with_payload, get, post,
    value_of,
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
    """A field that appears twice is a fault."""
    assert_faults(post(api, b'{"type":"a","payload":{},"type":"a"}'), "/type")


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


# POST /events


def test_repeated_post_gets_the_stored_event(api: Api) -> None:
    """A repeated post gets 200, the body of the first response, and the header Idempotent-Replayed."""
    event = an_event(occurred_at="2026-01-31T09:30:00Z")
    first = post(api, event)
    assert "idempotent-replayed" not in first.headers
    time.sleep(0.005)
    again = post(api, event)
    assert again.status == 200
    assert again.body == first.body
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "location" not in again.headers


def test_spelling_does_not_change_the_content(api: Api) -> None:
    """White space, key order and escapes do not change the content."""
    event_id = f"test-{uuid.uuid4()}"
    one = '{"id":"%s","type":"t","payload":{"a":[1,{"b":2,"c":"\u00e9"}],"d":null}}' % event_id
    other = '{ "payload":\n{"d": null, "a":[1 ,{"c":"\\u00e9","b":2}]},"type":"t", "id":"%s"}\t' % event_id
    assert post(api, one.encode()).status == 201
    assert post(api, other.encode()).status == 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"payload":{"n":1}', '"payload":{"n":1.0}'),
        ('"payload":{"n":100}', '"payload":{"n":1e2}'),
        ('"payload":{"n":0}', '"payload":{"n":-0}'),
        ('"payload":{"n":1}', '"payload":{"n":"1"}'),
        ('"payload":{"n":null}', '"payload":{}'),
        ('"payload":{"n":[1,2]}', '"payload":{"n":[2,1]}'),
        ('"payload":{"n":"\u00e9"}', '"payload":{"n":"e\u0301"}'),
        ('"payload":{"n":1}', '"payload":{"N":1}'),
        ('"payload":{"n":10000000000000000}', '"payload":{"n":10000000000000001}'),
        ('"payload":{}', '"payload":{},"subject":"a"'),
        ('"payload":{},"subject":"a"', '"payload":{},"subject":"A"'),
        ('"payload":{}', '"payload":{},"occurred_at":"2026-01-31T09:30:00Z"'),
        (
            '"payload":{},"occurred_at":"2026-01-31T09:30:00Z"',
            '"payload":{},"occurred_at":"2026-01-31T09:30:00+00:00"',
        ),
    ],
)
def test_different_content_with_the_same_id_gets_409(api: Api, one: str, other: str) -> None:
    """The same id with different content gets 409 and the stored event's ETag. Nothing is written."""
    event_id = f"test-{uuid.uuid4()}"
    first = post(api, f'{{"id":"{event_id}","type":"t",{one}}}'.encode())
    assert first.status == 201
    conflict = post(api, f'{{"id":"{event_id}","type":"t",{other}}}'.encode())
    assert_problem(conflict, 409, "event-conflict")
    assert conflict.headers["etag"] == first.headers["etag"]
    assert get(api, event_id).body == first.body


def test_different_type_with_the_same_id_gets_409(api: Api) -> None:
    """The type is part of the content."""
    event = an_event()
    post(api, event)
    assert post(api, {**event, "type": "other"}).status == 409


def test_conflict_does_not_show_the_content(api: Api) -> None:
    """A 409 response contains neither the stored nor the sent content."""
    event = an_event(payload={"secret": "stored-content"})
    post(api, event)
    conflict = post(api, {**event, "payload": {"secret": "sent-content"}})
    assert conflict.status == 409
    assert b"content-" not in conflict.body and b"-content" not in conflict.body


@pytest.mark.parametrize("payload", [{"n": 1}, {"n": 2}])
def test_if_none_match_star_requires_a_new_event(api: Api, payload: dict[str, Any]) -> None:
    """With If-None-Match: * an existing id gets 412, also for the same content. Nothing is written."""
    event = an_event(payload={"n": 1})
    first = post(api, event, if_none_match="*")
    assert first.status == 201
    response = post(api, {**event, "payload": payload}, if_none_match="*")
    assert_problem(response, 412, "event-exists")
    assert response.headers["etag"] == first.headers["etag"]
    assert get(api, event["id"]).body == first.body


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"a,b",{}'])
def test_post_with_the_stored_etag_in_if_none_match_gets_412(api: Api, form: str) -> None:
    """If-None-Match with the ETag of the stored event gets 412. Nothing is written."""
    event = an_event()
    first = post(api, event)
    response = post(api, event, if_none_match=form.format(first.headers["etag"]))
    assert_problem(response, 412, "event-exists")
    assert response.headers["etag"] == first.headers["etag"]


def test_post_with_another_etag_in_if_none_match_is_an_ordinary_post(api: Api) -> None:
    """If-None-Match with another ETag has no effect: 201 for a new id, then 200, and 409 for different content."""
    event = an_event()
    assert post(api, event, if_none_match='"other"').status == 201
    assert post(api, event, if_none_match='"other", "a,b"').status == 200
    assert_problem(post(api, {**event, "type": "other"}, if_none_match='"other"'), 409, "event-conflict")


@pytest.mark.parametrize("if_match", ["*", '"other"', f'"{"0" * 64}"', "W/{}", "{}"])
@pytest.mark.parametrize("is_stored", [False, True])
def test_post_with_if_match_gets_412(api: Api, if_match: str, is_stored: bool) -> None:
    """POST never changes an event, so a POST with If-Match gets 412. Nothing is written."""
    event = an_event()
    etag = post(api, event).headers["etag"] if is_stored else '"none"'
    assert_problem(post(api, event, if_match=if_match.format(etag)), 412, "precondition-failed")
    assert get(api, event["id"]).status == (200 if is_stored else 404)


def test_event_is_checked_before_the_precondition(api: Api) -> None:
    """The API checks the event before the precondition (RFC 9110, 13.2.1)."""
    assert_faults(post(api, an_event(type="no type"), if_match='"other"'), "/type")


@pytest.mark.parametrize("name", ["if_modified_since", "if_unmodified_since", "if_range"])
@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 00:00:00 GMT", "no date"])
def test_date_headers_are_ignored(api: Api, name: str, date: str) -> None:
    """Events have no Last-Modified, so the API ignores these headers (RFC 9110, 13.1.3 to 13.1.5)."""
    event = an_event()
    assert post(api, event, **{name: date}).status == 201
    assert post(api, event, **{name: date}).status == 200
    assert get(api, event["id"], **{name: date}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/cloudevents"},
        {"Content-Type": "application/cloudevents+avro"},
        {"Content-Type": "application/vnd.order+json"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json;charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "identity, br"},
    ],
)
def test_other_media_type_gets_415(api: Api, headers: dict[str, str]) -> None:
    """Another media type, another charset or a content coding gets 415. Accept-Post names the media types."""
    response = api.request("POST", "/events", json.dumps(an_event()).encode(), headers)
    assert_problem(response, 415, "unsupported-media-type")
    assert response.headers["accept-post"] == (
        "application/json, application/cloudevents+json, application/cloudevents-batch+json"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"content-type": "Application/JSON"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": 'application/json;charset="UTF-8"'},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
    ],
)
def test_json_media_type_is_accepted(api: Api, headers: dict[str, str]) -> None:
    """Every valid spelling of JSON in UTF-8 is accepted."""
    assert api.request("POST", "/events", json.dumps(an_event()).encode(), headers).status == 201


LOST = (503, 504)  # the event may be stored although the response does not confirm it


def post_until_known(api: Api, event: dict[str, Any]) -> list[Response]:
    """Post an event and retry after 429, 503 and 504. Return all responses; the last one counts."""
    responses = [post(api, event)]
    while responses[-1].status in (429, *LOST) and len(responses) < 60:
        time.sleep(int(responses[-1].headers.get("retry-after", "1")))
        responses.append(post(api, event))
    return responses


def has_lost(responses: list[Response]) -> bool:
    """Tell whether a response was lost: the caller retried and did not know if its event was stored."""
    return any(response.status in LOST for response in responses)


def test_one_of_64_concurrent_posts_gets_201(server: Api) -> None:
    """Of concurrent posts with the same id and content, exactly one gets 201. All get the same event.

    If the 201 response is lost, its caller retries and gets 200.
    """
    event = an_event()
    with ThreadPoolExecutor(64) as pool:
        callers = list(pool.map(lambda _: post_until_known(server, event), range(64)))
    responses = [responses[-1] for responses in callers]
    assert {response.status for response in responses} <= {200, 201}
    first = sum(response.status == 201 for response in responses)
    assert first == 1 or (first == 0 and any(map(has_lost, callers)))
    assert len({response.body for response in responses}) == 1
    assert get(server, event["id"]).body == responses[0].body


def test_one_of_concurrent_posts_with_different_content_is_stored(server: Api) -> None:
    """Of concurrent posts with the same id and different content, one is stored. The others get 409."""
    event = an_event()
    with ThreadPoolExecutor(16) as pool:
        callers = list(pool.map(lambda n: post_until_known(server, {**event, "payload": {"n": n}}), range(16)))
    (winner,) = [responses for responses in callers if responses[-1].status != 409]
    assert winner[-1].status == 201 or (winner[-1].status == 200 and has_lost(winner))
    assert get(server, event["id"]).body == winner[-1].body


# GET and HEAD /events/{id}


def test_get_returns_the_event(api: Api) -> None:
    """GET gets 200, the event and its ETag, and the client may cache the response."""
    event = an_event()
    post_response = post(api, event)
    response = get(api, event["id"])
    assert (response.status, response.body) == (200, post_response.body)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == post_response.headers["etag"]
    assert 0 < max_age(response) <= 31_536_000


def max_age(response: Response) -> int:
    """Return the max-age of a response. Only a private cache may keep it, and only for the same token."""
    assert response.headers["vary"] == "Authorization, Accept"
    private, seconds, immutable = response.headers["cache-control"].split(", ")
    assert (private, immutable) == ("private", "immutable")
    return int(seconds.removeprefix("max-age="))


def test_head_gets_the_headers_of_get(api: Api) -> None:
    """HEAD gets the same status and headers as GET, without a body."""
    event = an_event()
    post(api, event)
    response, head = get(api, event["id"]), get(api, event["id"], "HEAD")
    assert (head.status, head.body) == (200, b"")
    for name in ("content-type", "etag"):
        assert head.headers[name] == response.headers[name]
    assert abs(max_age(head) - max_age(response)) <= 60


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other",W/{}', "*"])
def test_known_etag_gets_304(api: Api, method: str, form: str) -> None:
    """If-None-Match with the event's ETag, in any form, gets 304 with ETag and Cache-Control, without a body."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    response = get(api, event["id"], method, if_none_match=form.format(etag))
    assert (response.status, response.body) == (304, b"")
    assert response.headers["etag"] == etag
    assert max_age(response) > 0


@pytest.mark.parametrize("if_none_match", ['"other"', "other", '""', f'"{"0" * 64}"'])
def test_other_etag_gets_200(api: Api, if_none_match: str) -> None:
    """If-None-Match with another ETag gets the event."""
    event = an_event()
    post(api, event)
    assert get(api, event["id"], if_none_match=if_none_match).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("if_match", "status"),
    [("{}", 200), ('"other", {}', 200), ("*", 200), ('"other"', 412), ("W/{}", 412), ("other", 412), ('""', 412)],
)
def test_if_match_requires_the_etag_of_the_event(api: Api, method: str, if_match: str, status: int) -> None:
    """If-Match gets 412 if it does not contain the event's ETag. The comparison is strong."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    assert get(api, event["id"], method, if_match=if_match.format(etag)).status == status


def test_if_match_is_evaluated_before_if_none_match(api: Api) -> None:
    """The API evaluates If-Match first (RFC 9110, 13.2.2). If there is no event, it ignores If-Match."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    assert get(api, event["id"], if_match=etag, if_none_match=etag).status == 304
    response = get(api, event["id"], if_match='"other"', if_none_match=etag)
    assert_problem(response, 412, "precondition-failed")
    assert get(api, f"unknown-{uuid.uuid4()}", if_match='"other"').status == 404


NO_EVENTS = ["unknown-1", "-a", "x" * 129, "a%20b", "%00", "%", "%zz", "%FF", "..%2F", "a%2Fb", "%C3%A9", "~", "a,b"]


@pytest.mark.parametrize("event_id", NO_EVENTS)
def test_unknown_and_malformed_ids_get_the_same_404(api: Api, event_id: str) -> None:
    """Unknown and invalid ids get the same response. Only a firewall may block an invalid id, with 403."""
    unknown = get(api, f"unknown-{uuid.uuid4()}")
    response = get(api, event_id)
    if response.status == 403 and "%" in event_id:
        assert_problem(response, 403, "request-blocked")
        return
    assert_problem(response, 404, "event-not-found")
    assert {**response.json, "request_id": ""} == {**unknown.json, "request_id": ""}


def test_head_of_an_unknown_id_gets_404_without_a_body(api: Api) -> None:
    """HEAD of an unknown id gets 404, without a body."""
    response = get(api, f"unknown-{uuid.uuid4()}", "HEAD")
    assert (response.status, response.body) == (404, b"")
    assert response.headers["content-type"] == "application/problem+json"


def test_event_can_be_read_right_after_its_post(server: Api) -> None:
    """An event can be read as soon as its POST returns, also after an earlier 404 for its id."""
    for _ in range(20):
        event = an_event()
        assert get(server, event["id"]).status == 404
        assert post(server, event).status == 201
        assert get(server, event["id"]).status == 200


# Errors


@pytest.mark.parametrize("path", ["/", "/event", "/events/a/b", "/Events", "/favicon.ico"])
def test_unknown_path_gets_404(api: Api, path: str) -> None:
    """A path without a route gets 404 as a problem."""
    assert_problem(api.request("GET", path), 404, "path-not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [(method, "/events", {"GET", "HEAD", "POST"}) for method in ("PUT", "PATCH", "DELETE", "OPTIONS")]
    + [(method, "/events/a", {"GET", "HEAD"}) for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")],
)
def test_other_method_gets_405_with_allow(api: Api, method: str, path: str, allow: set[str]) -> None:
    """Events never change, so any other method gets 405. Allow names the supported methods."""
    response = api.request(method, path, b"" if method in ("POST", "PUT", "PATCH") else None, JSON)
    assert_problem(response, 405, "method-not-allowed")
    assert set(re.split(r"\s*,\s*", response.headers["allow"])) == allow


def test_error_does_not_echo_the_payload(api: Api) -> None:
    """An error response contains no value of the payload."""
    response = post(api, b'{"type":"no type","payload":{"card":"4111111111111111","x":NaN}}')
    assert_faults(response, "/payload/x", "/type")
    assert b"4111111111111111" not in response.body


def test_each_request_has_its_own_id(api: Api) -> None:
    """Each problem has a different request_id."""
    ids = {get(api, "-").json["request_id"] for _ in range(3)}
    assert len(ids) == 3


def test_created_at_never_goes_back(api: Api) -> None:
    """created_at is the time when the API stored the event. A later event has no earlier created_at."""
    start = time.monotonic()
    moments = [post(api, an_event()).json["created_at"] for _ in range(5)]
    elapsed = timedelta(seconds=time.monotonic() - start + 0.001)  # created_at is rounded down to a millisecond
    assert moments == sorted(moments)
    assert datetime.fromisoformat(moments[-1]) - datetime.fromisoformat(moments[0]) <= elapsed
