"""The contract, by HTTP alone: each test states a rule of it. `make contract URL=...` runs it against any target."""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from bodies import (
    IDS,
    LOSSLESS,
    TIMES,
    NOT_IDS,
    INVALID_TIMES,
    NOT_OBJECTS,
    NOT_PAYLOADS,
    NOT_TYPES,
    TYPES,
    REFUSED_PAYLOADS,
)
from targets import JSON, Response, Api, an_event, event_with_payload, get, post

LIMIT = 262_144
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
CREATED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ETAG = re.compile(r'"[0-9a-f]{64}"')


def value_of(text: bytes | str) -> Any:
    """Return a JSON text's value with each number as the text it came as."""
    return json.loads(text, parse_float=lambda number: ("number", number), parse_int=lambda number: ("number", number))


def assert_problem(response: Response, status: int, kind: str, **members: Any) -> None:
    """Assert that an answer is a whole problem of this status and type, and has these members and no other."""
    assert response.status == status, response
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    body = response.json
    assert body.pop("request_id")
    assert body.pop("title") and body.pop("detail")
    assert body == {"type": f"urn:event-api:problem:{kind}", "status": status, **members}


def assert_faults(response: Response, *expected: str) -> None:
    """Assert that an event is refused with faults at just these places.

    A gateway in front may refuse by the same declaration and cannot say where: its one fault, of the whole body, then
    names the rule of every field. The app by itself never answers so.
    """
    assert response.status == 400, response
    errors = response.json["errors"]
    assert_problem(response, 400, "invalid-event", errors=errors)
    assert all(fault.keys() == {"pointer", "detail"} and fault["detail"] for fault in errors)
    by_gateway = len(errors) == 1 and all(f"{field}: " in errors[0]["detail"] for field in ("id", "type", "payload"))
    pointers = sorted(fault["pointer"] for fault in errors)
    assert pointers == ([""] if by_gateway else sorted(expected))


# Fields


def test_new_event_is_stored_and_answered_whole(api: Api) -> None:
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


def test_event_under_the_servers_id_can_be_sent_again(api: Api) -> None:
    """The id that the server gave stands for the same content."""
    first = post(api, {"type": "test_event", "payload": {"n": 1}})
    again = post(api, {"id": first.json["id"], "type": "test_event", "payload": {"n": 1}})
    assert (again.status, again.body, again.headers["etag"]) == (200, first.body, first.headers["etag"])


@pytest.mark.parametrize("event_id", IDS)
def test_id_is_taken(api: Api, event_id: str) -> None:
    """No id of the documented form is a fault. It is sent beside one, so that no id of a real caller's is taken."""
    assert_faults(post(api, an_event(id=event_id, type="no type")), "/type")


def test_id_is_kept_as_it_is(api: Api) -> None:
    """An id comes back with every character that it may have, at its full length."""
    event_id = f"A.b_c~d:e-f.{uuid.uuid4()}".ljust(128, "z")
    assert post(api, an_event(id=event_id)).json["id"] == event_id
    assert get(api, event_id).json["id"] == event_id


def test_id_may_come_percent_encoded(api: Api) -> None:
    """A path names the id that it decodes to."""
    event_id = f"a:b~{uuid.uuid4()}"
    assert post(api, an_event(id=event_id)).status == 201
    assert get(api, event_id.replace(":", "%3A").replace("a", "%61")).json["id"] == event_id


def test_id_is_case_sensitive(api: Api) -> None:
    """Ids that differ in case are two."""
    lower = f"a-{uuid.uuid4()}"
    assert post(api, an_event(id=lower)).status == 201
    assert get(api, lower.upper()).status == 404
    assert post(api, an_event(id=lower.upper())).status == 201


@pytest.mark.parametrize("event_id", NOT_IDS)
def test_id_of_another_form_is_refused(api: Api, event_id: Any) -> None:
    """An id that breaks its rule is a fault at /id."""
    assert_faults(post(api, an_event(id=event_id)), "/id")


@pytest.mark.parametrize("event_type", TYPES)
def test_type_is_taken(api: Api, event_type: str) -> None:
    """A type of the documented form is taken as it is."""
    assert post(api, an_event(type=event_type)).json["type"] == event_type


@pytest.mark.parametrize("event_type", NOT_TYPES)
def test_type_of_another_form_is_refused(api: Api, event_type: Any) -> None:
    """A type that breaks its rule is a fault at /type."""
    assert_faults(post(api, an_event(type=event_type)), "/type")


@pytest.mark.parametrize("payload", NOT_PAYLOADS)
def test_payload_that_is_no_object_is_refused(api: Api, payload: Any) -> None:
    """A payload is a JSON object."""
    assert_faults(post(api, an_event(payload=payload)), "/payload")


@pytest.mark.parametrize("moment", TIMES)
def test_occurred_at_is_taken(api: Api, moment: str) -> None:
    """A date and time with an offset comes back as it was sent."""
    response = post(api, an_event(occurred_at=moment))
    assert (response.status, response.json["occurred_at"]) == (201, moment)


@pytest.mark.parametrize("moment", INVALID_TIMES)
def test_occurred_at_of_another_form_is_refused(api: Api, moment: Any) -> None:
    """An occurred_at that is no moment of RFC 3339 with an offset is a fault there."""
    assert_faults(post(api, an_event(occurred_at=moment)), "/occurred_at")


@pytest.mark.parametrize("missing", ["type", "payload"])
def test_missing_field_is_named(api: Api, missing: str) -> None:
    """A required field that is absent is a fault where it should be."""
    event = an_event()
    del event[missing]
    assert_faults(post(api, event), f"/{missing}")


@pytest.mark.parametrize("name", ["tpye", "created_at", "", "Type", "payload ", "a/b~"])
def test_unknown_field_is_refused(api: Api, name: str) -> None:
    """An unknown field is an error: a typo must not vanish."""
    assert_faults(post(api, an_event(**{name: "x"})), "/" + name.replace("~", "~0").replace("/", "~1"))


def test_every_fault_is_named_at_once(api: Api) -> None:
    """A caller learns of all faults from one answer."""
    body = b'{"id":"-","tpe":"x","payload":{"a":NaN,"b":[{"c":"\\ud800"}]},"occurred_at":"now"}'
    assert_faults(post(api, body), "/id", "/occurred_at", "/payload/a", "/payload/b/0/c", "/tpe", "/type")


# Lossless JSON


@pytest.mark.parametrize("text", LOSSLESS)
def test_payload_comes_back_with_the_same_value(api: Api, text: str) -> None:
    """What is posted comes back with the same value, whatever it is."""
    event_id, body = event_with_payload(text)
    posted = post(api, body)
    assert posted.status == 201, posted
    assert value_of(posted.body)["payload"] == value_of(text)
    assert get(api, event_id).body == posted.body


@pytest.mark.parametrize(("text", "pointer"), REFUSED_PAYLOADS)
def test_value_that_json_cannot_carry_is_refused(api: Api, text: str, pointer: str) -> None:
    """NaN, Infinity, a duplicate key, a lone surrogate and nesting deeper than 64 are faults where they stand."""
    event_id, body = event_with_payload(text)
    assert_faults(post(api, body), pointer)
    assert get(api, event_id).status == 404


def test_duplicate_field_is_refused(api: Api) -> None:
    """No field can be given twice."""
    assert_faults(post(api, b'{"type":"a","payload":{},"type":"a"}'), "/type")


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_body_that_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    """A body that is not the JSON text of an object, in UTF-8, is a fault of the whole."""
    assert_faults(post(api, body), "")


def test_answer_to_many_faults_stays_small(api: Api) -> None:
    """An answer names a hundred faults at most, and no endless pointer."""
    key = "k" * 100_000
    response = post(api, b'{"type":"a","payload":{"%s":[%s]}}' % (key.encode(), b",".join([b"NaN"] * 1000)))
    assert_faults(response, *["/payload"] * 100)
    assert len(response.body) < 20_000


def sized(size: int) -> bytes:
    """Return an event's body of so many bytes."""
    body = json.dumps(an_event(payload={"fill": ""})).encode()
    return body.replace(b'"fill": ""', b'"fill": "%s"' % (b"x" * (size - len(body))))


def test_body_of_the_limit_is_stored(api: Api) -> None:
    """262,144 bytes are taken, and come back."""
    body = sized(LIMIT)
    assert len(body) == LIMIT
    assert post(api, body).status == 201
    assert value_of(get(api, json.loads(body)["id"]).body)["payload"] == value_of(body)["payload"]


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT])
def test_body_over_the_limit_is_refused(api: Api, size: int) -> None:
    """One byte more gets 413, with the limit.

    A firewall in front may refuse it by its Content-Length, with a text that has no request's id and is plain JSON.
    """
    response = post(api, sized(size))
    if response.headers["content-type"] == "application/json":
        assert (response.status, response.headers["cache-control"]) == (413, "no-store")
        assert response.json.items() >= {"type": "urn:event-api:problem:body-too-large", "limit": LIMIT}.items()
    else:
        assert_problem(response, 413, "body-too-large", limit=LIMIT)


# POST /events


def test_same_content_again_is_answered_as_first_stored(api: Api) -> None:
    """The same id and content gets 200, the first answer, and Idempotent-Replayed."""
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


def test_white_space_key_order_and_escapes_do_not_make_other_content(api: Api) -> None:
    """The same value, spelled in another way, is the same content."""
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
        ('"payload":{}', '"payload":{},"occurred_at":"2026-01-31T09:30:00Z"'),
        (
            '"payload":{},"occurred_at":"2026-01-31T09:30:00Z"',
            '"payload":{},"occurred_at":"2026-01-31T09:30:00+00:00"',
        ),
    ],
)
def test_other_content_under_a_taken_id_conflicts(api: Api, one: str, other: str) -> None:
    """The same id with other content gets 409 and the stored event's ETag, and nothing is written."""
    event_id = f"test-{uuid.uuid4()}"
    first = post(api, f'{{"id":"{event_id}","type":"t",{one}}}'.encode())
    assert first.status == 201
    conflict = post(api, f'{{"id":"{event_id}","type":"t",{other}}}'.encode())
    assert_problem(conflict, 409, "event-conflict")
    assert conflict.headers["etag"] == first.headers["etag"]
    assert get(api, event_id).body == first.body


def test_other_type_under_a_taken_id_conflicts(api: Api) -> None:
    """The type is content."""
    event = an_event()
    post(api, event)
    assert post(api, {**event, "type": "other"}).status == 409


def test_conflict_does_not_show_what_is_stored_or_sent(api: Api) -> None:
    """A conflict shows neither side's content."""
    event = an_event(payload={"secret": "stored-content"})
    post(api, event)
    conflict = post(api, {**event, "payload": {"secret": "sent-content"}})
    assert conflict.status == 409
    assert b"content-" not in conflict.body and b"-content" not in conflict.body


@pytest.mark.parametrize("payload", [{"n": 1}, {"n": 2}])
def test_if_none_match_asks_for_a_new_event(api: Api, payload: dict[str, Any]) -> None:
    """With If-None-Match: * a taken id gets 412, whatever the content, and nothing is written."""
    event = an_event(payload={"n": 1})
    first = post(api, event, if_none_match="*")
    assert first.status == 201
    refused = post(api, {**event, "payload": payload}, if_none_match="*")
    assert_problem(refused, 412, "event-exists")
    assert refused.headers["etag"] == first.headers["etag"]
    assert get(api, event["id"]).body == first.body


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"a,b",{}'])
def test_post_with_the_stored_etag_in_if_none_match_gets_412(api: Api, form: str) -> None:
    """If-None-Match with the ETag of the stored event excludes this event: 412, and nothing is written."""
    event = an_event()
    first = post(api, event)
    refused = post(api, event, if_none_match=form.format(first.headers["etag"]))
    assert_problem(refused, 412, "event-exists")
    assert refused.headers["etag"] == first.headers["etag"]


def test_post_with_another_etag_in_if_none_match_is_an_ordinary_post(api: Api) -> None:
    """If-None-Match with another ETag excludes nothing: 201 for a new id, then 200, and 409 for different content."""
    event = an_event()
    assert post(api, event, if_none_match='"other"').status == 201
    assert post(api, event, if_none_match='"other", "a,b"').status == 200
    assert_problem(post(api, {**event, "type": "other"}, if_none_match='"other"'), 409, "event-conflict")


@pytest.mark.parametrize("if_match", ["*", '"other"', f'"{"0" * 64}"', "W/{}", "{}"])
@pytest.mark.parametrize("is_stored", [False, True])
def test_post_with_if_match_gets_412(api: Api, if_match: str, is_stored: bool) -> None:
    """If-Match asks to change a stored event, and POST changes none: 412, and nothing is written."""
    event = an_event()
    etag = post(api, event).headers["etag"] if is_stored else '"none"'
    assert_problem(post(api, event, if_match=if_match.format(etag)), 412, "precondition-failed")
    assert get(api, event["id"]).status == (200 if is_stored else 404)


def test_fault_of_the_event_comes_before_a_precondition(api: Api) -> None:
    """A request that is refused without its precondition is refused in the same way with it (RFC 9110, 13.2.1)."""
    assert_faults(post(api, an_event(type="no type"), if_match='"other"'), "/type")


@pytest.mark.parametrize("name", ["if_modified_since", "if_unmodified_since", "if_range"])
@pytest.mark.parametrize("date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 2100 00:00:00 GMT", "no date"])
def test_dates_are_ignored(api: Api, name: str, date: str) -> None:
    """Events have no Last-Modified, so a recipient ignores these headers (RFC 9110, 13.1.3 to 13.1.5)."""
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
        {"Content-Type": "application/cloudevents+json"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json;charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "identity, br"},
    ],
)
def test_body_not_declared_as_plain_json_is_refused(api: Api, headers: dict[str, str]) -> None:
    """Another media type or none, another charset, a content coding: 415, and what would be taken."""
    response = api.request("POST", "/events", json.dumps(an_event()).encode(), headers)
    assert_problem(response, 415, "unsupported-media-type")
    assert response.headers["accept-post"] == "application/json"


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
def test_body_declared_as_plain_json_is_taken(api: Api, headers: dict[str, str]) -> None:
    """JSON in UTF-8 is taken, however that is spelled."""
    assert api.request("POST", "/events", json.dumps(an_event()).encode(), headers).status == 201


LOST = (503, 504)  # the event may be stored although the response does not say so


def post_until_known(api: Api, event: dict[str, Any]) -> list[Response]:
    """Post an event as a careful caller: again after 429, 503 and 504. Return all responses; the last one counts."""
    responses = [post(api, event)]
    while responses[-1].status in (429, *LOST) and len(responses) < 60:
        time.sleep(int(responses[-1].headers.get("retry-after", "1")))
        responses.append(post(api, event))
    return responses


def has_lost(responses: list[Response]) -> bool:
    """Tell whether a caller had to send its request again without knowing whether it was stored."""
    return any(response.status in LOST for response in responses)


def test_of_64_concurrent_posts_one_is_first(server: Api) -> None:
    """Of any number of concurrent posts with one id, exactly one gets 201; all get the same event.

    If a response is lost, the first caller may be one that sends its request again and gets 200.
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


def test_of_concurrent_posts_with_other_content_one_wins(server: Api) -> None:
    """Of concurrent posts with one id and differing content, one is stored and the others conflict."""
    event = an_event()
    with ThreadPoolExecutor(16) as pool:
        callers = list(pool.map(lambda n: post_until_known(server, {**event, "payload": {"n": n}}), range(16)))
    (winner,) = [responses for responses in callers if responses[-1].status != 409]
    assert winner[-1].status == 201 or (winner[-1].status == 200 and has_lost(winner))
    assert get(server, event["id"]).body == winner[-1].body


# GET and HEAD /events/{id}


def test_event_is_read(api: Api) -> None:
    """GET gets 200, the event, its ETag, and leave to keep it."""
    event = an_event()
    posted = post(api, event)
    response = get(api, event["id"])
    assert (response.status, response.body) == (200, posted.body)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["etag"] == posted.headers["etag"]
    assert 0 < max_age(response) <= 31_536_000


def max_age(response: Response) -> int:
    """Return for how many seconds an event may be kept, by a cache of the caller's own, for its token alone."""
    assert response.headers["vary"] == "Authorization"
    private, seconds, immutable = response.headers["cache-control"].split(", ")
    assert (private, immutable) == ("private", "immutable")
    return int(seconds.removeprefix("max-age="))


def test_head_is_get_without_the_body(api: Api) -> None:
    """HEAD gets the same status and headers, and no body."""
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
    """If-None-Match with the event's ETag, in any form, gets 304 with ETag and Cache-Control and no body."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    response = get(api, event["id"], method, if_none_match=form.format(etag))
    assert (response.status, response.body) == (304, b"")
    assert response.headers["etag"] == etag
    assert max_age(response) > 0


@pytest.mark.parametrize("if_none_match", ['"other"', "other", '""', f'"{"0" * 64}"'])
def test_other_etag_gets_the_event(api: Api, if_none_match: str) -> None:
    """If-None-Match with another ETag gets the event."""
    event = an_event()
    post(api, event)
    assert get(api, event["id"], if_none_match=if_none_match).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("if_match", "status"),
    [("{}", 200), ('"other", {}', 200), ("*", 200), ('"other"', 412), ("W/{}", 412), ("other", 412), ('""', 412)],
)
def test_if_match_asks_for_one_version(api: Api, method: str, if_match: str, status: int) -> None:
    """If-Match without the event's ETag, by strong comparison, gets 412."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    assert get(api, event["id"], method, if_match=if_match.format(etag)).status == status


def test_if_match_comes_before_if_none_match(api: Api) -> None:
    """If-Match is evaluated first (RFC 9110, 13.2.2), and not at all if no event is found."""
    event = an_event()
    etag = post(api, event).headers["etag"]
    assert get(api, event["id"], if_match=etag, if_none_match=etag).status == 304
    failed = get(api, event["id"], if_match='"other"', if_none_match=etag)
    assert_problem(failed, 412, "precondition-failed")
    assert get(api, f"unknown-{uuid.uuid4()}", if_match='"other"').status == 404


NO_EVENTS = ["unknown-1", "-a", "x" * 129, "a%20b", "%00", "%", "%zz", "%FF", "..%2F", "a%2Fb", "%C3%A9", "~", "a,b"]


@pytest.mark.parametrize("event_id", NO_EVENTS)
def test_unknown_and_malformed_ids_get_the_same_404(api: Api, event_id: str) -> None:
    """Nothing tells an unknown id from one that cannot be, unless a firewall in front takes that one for an attack."""
    unknown = get(api, f"unknown-{uuid.uuid4()}")
    response = get(api, event_id)
    if response.status == 403 and "%" in event_id:
        assert_problem(response, 403, "request-blocked")
        return
    assert_problem(response, 404, "event-not-found")
    assert {**response.json, "request_id": ""} == {**unknown.json, "request_id": ""}


def test_head_of_an_unknown_id_gets_404_without_a_body(api: Api) -> None:
    """HEAD tells that nothing is there."""
    response = get(api, f"unknown-{uuid.uuid4()}", "HEAD")
    assert (response.status, response.body) == (404, b"")
    assert response.headers["content-type"] == "application/problem+json"


def test_reader_sees_its_own_write(server: Api) -> None:
    """An event is there as soon as its post is answered, and a miss before does not hide it."""
    for _ in range(20):
        event = an_event()
        assert get(server, event["id"]).status == 404
        assert post(server, event).status == 201
        assert get(server, event["id"]).status == 200


# Errors


@pytest.mark.parametrize("path", ["/", "/event", "/events/a/b", "/Events", "/favicon.ico"])
def test_unknown_path_gets_404(api: Api, path: str) -> None:
    """A path without a route is a problem too."""
    assert_problem(api.request("GET", path), 404, "path-not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [(method, "/events", {"POST"}) for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")]
    + [(method, "/events/a", {"GET", "HEAD"}) for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")],
)
def test_other_method_gets_405_with_allow(api: Api, method: str, path: str, allow: set[str]) -> None:
    """Events are written once and never changed: any other method is refused, and the right ones named."""
    response = api.request(method, path, b"" if method in ("POST", "PUT", "PATCH") else None, JSON)
    assert_problem(response, 405, "method-not-allowed")
    assert set(re.split(r"\s*,\s*", response.headers["allow"])) == allow


def test_error_does_not_echo_the_payload(api: Api) -> None:
    """What a payload says is in no error."""
    response = post(api, b'{"type":"no type","payload":{"card":"4111111111111111","x":NaN}}')
    assert_faults(response, "/payload/x", "/type")
    assert b"4111111111111111" not in response.body


def test_each_request_has_an_id_of_its_own(api: Api) -> None:
    """The request_id of a problem names one request."""
    ids = {get(api, "-").json["request_id"] for _ in range(3)}
    assert len(ids) == 3


def test_events_are_stored_in_the_order_of_their_created_at(api: Api) -> None:
    """created_at is when the event was stored: it does not go back from one post to the next."""
    start = time.monotonic()
    moments = [post(api, an_event()).json["created_at"] for _ in range(5)]
    elapsed = timedelta(seconds=time.monotonic() - start + 0.001)  # created_at is rounded down to a millisecond
    assert moments == sorted(moments)
    assert datetime.fromisoformat(moments[-1]) - datetime.fromisoformat(moments[0]) <= elapsed
