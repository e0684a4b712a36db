"""The contract suite: each test states one rule and uses only HTTP. `make contract URL=...` runs it on any API.

This file has `POST /events` and the errors.
"""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from targets import JSON, Response, Api, an_event, assert_faults, assert_problem, get, post


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
