"""The contract of `GET` and `HEAD /events/{id}`. Runs on every target, as tests/test_contract.py does."""

import uuid

import pytest
from targets import Response, Api, an_event, assert_problem, get, post


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
