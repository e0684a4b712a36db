"""The contract of the list: filters, order, pages and cursors. Runs on every target, as tests/test_contract.py does."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from processes import eventually
from targets import Api, Response, an_event, assert_problem, get, post, value_of

HORIZON = timedelta(seconds=10)
SKEW = timedelta(seconds=1)  # between the clocks of two functions


def get_list(api: Api, **parameters: str) -> Response:
    """Request a list. `since` stands for `from`."""
    names = {"since": "from"}
    query = urlencode({names.get(name, name): value for name, value in parameters.items()}, quote_via=quote)
    return api.request("GET", f"/events?{query}" if query else "/events")


def pages(api: Api, **parameters: str) -> Iterator[Response]:
    """Yield the pages of a list, by its cursors."""
    for _ in range(200):
        response = get_list(api, **parameters)
        assert response.status == 200, response
        assert len(response.json["events"]) <= int(parameters.get("limit", 20))
        yield response
        if not response.json["has_more"]:
            return
        parameters["cursor"] = response.json["cursor"]
    raise AssertionError("the list has no end")


def ids(api: Api, **parameters: str) -> list[str]:
    """Return the ids of all events of a list."""
    return [event["id"] for page in pages(api, **parameters) for event in page.json["events"]]


@dataclass
class Stored:
    """Events that a test knows, in the order of the list. Their types and subjects contain a unique word."""

    word: str
    events: list[dict[str, Any]]
    before: str  # the cursor of a list in ascending order, from before the first event

    def where(self, kind: str | None = None, subject: str | None = None) -> list[str]:
        """Return the ids of the events with a type or a start of it, and a subject, oldest first."""
        return [
            event["id"]
            for event in self.events
            if (kind is None or f"{event['type']}.".startswith(kind) and (kind[-1] == "." or event["type"] == kind))
            and subject in (None, event.get("subject"))
            and not (kind is not None and kind[-1] == "." and event["type"] == kind[:-1])
        ]


@pytest.fixture(name="stored", scope="module")
def _stored(api: Api) -> Stored:
    """Thirty events, visible in the list of every index."""
    word = f"w{uuid.uuid4().hex}"
    before = get_list(api, type=f"{word}.*", order="asc").json["cursor"]
    kinds = [f"{word}.order.paid", f"{word}.order.sent", f"{word}.order", f"{word}.orders", f"{word}.order-x"]
    subjects = [{"subject": f"{word}/1"}, {"subject": f"{word}/é&=+ %"}, {}]
    events = [an_event(type=kinds[n % 5], **subjects[n % 3], payload={"n": n}) for n in range(30)]
    results = []
    for start in (0, 10, 20):
        batch = json.dumps(events[start : start + 10]).encode()
        results += post(api, batch).json["results"]
        time.sleep(0.01)
    complete = [{**event, "created_at": result["created_at"]} for event, result in zip(events, results, strict=True)]
    complete.sort(key=lambda event: (event["created_at"], event["id"]))
    stored = Stored(word, complete, before)
    expected = [event["id"] for event in complete]
    assert eventually(lambda: ids(api, type=f"{word}.*")[::-1] == expected, 30)
    for filters in [{"type": kind} for kind in kinds] + [{"subject": f"{word}/1"}, {"subject": f"{word}/é&=+ %"}]:
        by_name = stored.where(filters.get("type"), filters.get("subject"))
        assert eventually(lambda: ids(api, **filters)[::-1] == by_name, 30)  # pylint: disable=cell-var-from-loop  # used at once
    return stored


@pytest.fixture(name="settled", scope="module")
def _settled(stored: Stored, thousand: Stored) -> Stored:
    """The same events, when an ascending list shows them. `thousand` is stored before the wait, which is for both."""
    del thousand
    wait_until_settled(stored)
    return stored


def wait_until_settled(stored: Stored) -> None:
    """Wait until an ascending list shows all of the events."""
    newest = datetime.fromisoformat(stored.events[-1]["created_at"])
    wait = newest + HORIZON + SKEW - datetime.now(UTC)
    time.sleep(max(0.0, wait.total_seconds()))


def test_list_has_complete_events(api: Api, stored: Stored) -> None:
    """Each event is as in the response to its own GET. No cache may keep the list."""
    response = get_list(api, type=f"{stored.word}.order.paid", limit="100")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert response.headers["cache-control"] == "no-store"
    assert "link" not in response.headers
    assert response.json.keys() == {"events", "has_more", "cursor"}
    assert response.json["has_more"] is False
    listed = value_of(response.body)["events"]
    assert listed == [value_of(get(api, event["id"]).body) for event in listed]
    assert [event["id"] for event in listed] == stored.where(f"{stored.word}.order.paid")[::-1]


def test_values_are_lossless(api: Api) -> None:
    """Numbers keep every digit, and strings every character."""
    kind, text = f"w{uuid.uuid4().hex}", '{"n":1.0,"m":%s,"s":"\\u0000é\\ud83d\\ude00\\"\\\\"}' % ("1" * 300)
    posted = post(api, b'{"type":"%s","payload":%s}' % (kind.encode(), text.encode()))
    assert posted.status == 201
    assert eventually(lambda: len(ids(api, type=kind)) == 1, 30)
    assert value_of(get_list(api, type=kind).body)["events"] == [value_of(posted.body)]


def test_newest_20_events_are_the_default(api: Api, stored: Stored) -> None:
    """Without `order` and `limit` the list has the newest 20 events first."""
    response = get_list(api, since=stored.events[0]["created_at"])
    assert response.status == 200
    moments = [event["created_at"] for event in response.json["events"]]
    assert len(moments) == 20 and response.json["has_more"] is True
    assert moments == sorted(moments, reverse=True)
    assert get_list(api).status == 200


FILTERS = [
    {"type": "{}.order.paid"},
    {"type": "{}.order.*"},
    {"type": "{}.order"},
    {"type": "{}.orders"},
    {"type": "{}.*"},
    {"type": "{}.ord.*"},
    {"subject": "{}/1"},
    {"subject": "{}/é&=+ %"},
    {"subject": "{}/2"},
    {"subject": "{}/1", "type": "{}.order.paid"},
    {"subject": "{}/1", "type": "{}.order.*"},
    {"subject": "{}/1", "type": "{}.unknown"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
@pytest.mark.parametrize(("order", "limit"), [("desc", "100"), ("desc", "1"), ("asc", "100"), ("asc", "3")])
def test_filter_lists_exactly_the_matching_events(
    api: Api, settled: Stored, filters: dict[str, str], order: str, limit: str
) -> None:
    """Following the cursors gives the matching events in order, once each. A prefix does not match itself."""
    values = {name: text.format(settled.word) for name, text in filters.items()}
    expected = settled.where(values.get("type", "").removesuffix("*") or None, values.get("subject"))
    bounds = {"since": settled.events[0]["created_at"]}
    assert ids(api, **values, **bounds, order=order, limit=limit) == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_time_bounds_are_half_open(api: Api, settled: Stored, order: str) -> None:
    """`from` is included and `to` is not. A time may have any offset."""
    moments = [event["created_at"] for event in settled.events]
    since, until = moments[5], moments[22]
    expected = [event["id"] for event in settled.events if since <= event["created_at"] < until]
    kind = f"{settled.word}.*"
    listed = ids(api, type=kind, since=since, to=until, order=order)
    assert listed == (expected if order == "asc" else expected[::-1])
    moved = datetime.fromisoformat(since) + timedelta(hours=8)
    spelled = f"{moved.isoformat(timespec='milliseconds').removesuffix('+00:00')}+08:00"
    assert ids(api, type=kind, since=spelled, to=until, order=order) == listed
    assert ids(api, type=kind, since=since, to=since, order=order) == []
    assert ids(api, type=kind, since=until, to=since, order=order) == []
    after = datetime.fromisoformat(moments[-1]) + timedelta(milliseconds=1)
    assert ids(api, type=kind, since=after.isoformat(), order=order) == []


def test_limit_may_change_between_pages(api: Api, stored: Stored) -> None:
    """A cursor is valid with another limit."""
    kind = f"{stored.word}.*"
    first = get_list(api, type=kind, limit="4").json
    rest = ids(api, type=kind, limit="9", cursor=first["cursor"])
    assert [event["id"] for event in first["events"]] + rest == [event["id"] for event in stored.events][::-1]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_link_leads_to_the_next_page(api: Api, settled: Stored, order: str) -> None:
    """Link has the next page's URL, with all parameters and the cursor. The last page has no Link."""
    subject = f"{settled.word}/é&=+ %"
    response = get_list(api, subject=subject, order=order, limit="4", since="2026-01-01T08:00:00+08:00")
    listed = [event["id"] for event in response.json["events"]]
    while response.json["has_more"]:
        target, relation = response.headers["link"].split("; ")
        assert relation == 'rel="next"' and target[0] == "<" and target[-1] == ">"
        url = urlsplit(target[1:-1])
        assert url.path == f"{api.path}/events"
        assert parse_qs(url.query) == {
            "subject": [subject], "order": [order], "limit": ["4"], "from": ["2026-01-01T08:00:00+08:00"],
            "cursor": [response.json["cursor"]],
        }  # fmt: skip
        response = api.request("GET", f"/events?{url.query}")
        listed += [event["id"] for event in response.json["events"]]
    assert "link" not in response.headers
    expected = settled.where(subject=subject)
    assert listed == (expected if order == "asc" else expected[::-1])


def test_last_cursor_finds_later_events(api: Api, settled: Stored) -> None:
    """The cursor of an ascending list's last page is valid later. It lists the events that were stored since then."""
    kind = f"{settled.word}.*"
    *_, last = pages(api, type=kind, order="asc", cursor=settled.before, limit="7")
    assert ids(api, type=kind, order="asc", cursor=settled.before) == [event["id"] for event in settled.events]
    again = get_list(api, type=kind, order="asc", cursor=last.json["cursor"])
    assert (again.json["events"], again.json["has_more"], bool(again.json["cursor"])) == ([], False, True)


def test_descending_list_has_an_end(api: Api, stored: Stored) -> None:
    """The cursor after the oldest event leads to no more events."""
    kind = f"{stored.word}.*"
    *_, last = pages(api, type=kind, limit="100")
    assert ids(api, type=kind, cursor=last.json["cursor"]) == []


def test_ascending_list_has_no_event_of_the_last_10_seconds(api: Api) -> None:
    """With `asc` an event is listed 10 seconds after it was stored, or later; with `desc` as soon as it is visible."""
    kind = f"w{uuid.uuid4().hex}"
    start = time.monotonic()
    post(api, an_event(type=kind))
    listed = ids(api, type=kind, order="asc")
    elapsed = timedelta(seconds=time.monotonic() - start)
    assert listed == [] or elapsed >= HORIZON - SKEW
    assert eventually(lambda: len(ids(api, type=kind)) == 1, 30)


@pytest.fixture(name="thousand", scope="module")
def _thousand(server: Api) -> Stored:
    """A thousand events of ten batches. They have four types and five subjects."""
    word = f"w{uuid.uuid4().hex}"
    events: list[dict[str, Any]] = []
    for _ in range(10):
        batch = [an_event(type=f"{word}.{'abcd'[n % 4]}.x", subject=f"{word}/{n % 5}") for n in range(100)]
        results = post(server, json.dumps(batch).encode()).json["results"]
        events += [{**event, "created_at": result["created_at"]} for event, result in zip(batch, results, strict=True)]
    events.sort(key=lambda event: (event["created_at"], event["id"]))
    return Stored(word, events, before="")


@pytest.mark.parametrize("filters", [{"type": "{}.a.x"}, {"type": "{}.*"}, {"subject": "{}/1"}, {}], ids=str)
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_thousand_events_are_found_page_by_page(
    server: Api, thousand: Stored, filters: dict[str, str], order: str
) -> None:
    """A thousand events in batches are found by type, prefix, subject and time (the case without a filter)."""
    values = {name: text.format(thousand.word) for name, text in filters.items()}
    expected = thousand.where(values.get("type", "").removesuffix("*") or None, values.get("subject"))
    if not filters:
        since, until = (thousand.events[n]["created_at"] for n in (300, 700))
        values = {"since": since, "to": until}
        expected = [event["id"] for event in thousand.events if since <= event["created_at"] < until]
    assert len(expected) >= 200
    everything = {event["id"] for event in thousand.events}

    def listed() -> list[str]:
        # A stage that others use may have more events of the same time.
        return [found for found in ids(server, **values, order=order, limit="100") if found in everything]

    if order == "asc":
        wait_until_settled(thousand)
        assert listed() == expected
    else:
        assert eventually(lambda: listed() == expected[::-1], 30)


FAULTS = [
    ("type=", {"type"}),
    ("type=no%20type", {"type"}),
    ("type=*", {"type"}),
    ("subject=", {"subject"}),
    ("subject=a%0Ab", {"subject"}),
    ("from=2026-01-31", {"from"}),
    ("from=2026-01-31T09:30:00+08:00", {"from"}),  # the + is a space
    ("to=now", {"to"}),
    ("order=ASC", {"order"}),
    ("limit=0", {"limit"}),
    ("limit=101", {"limit"}),
    ("limit=%2B5", {"limit"}),
    ("limit=5&limit=5", {"limit"}),
    ("order=asc&limit=5&order=desc", {"order"}),
    ("offset=5", {"offset"}),
    ("Type=a", {"Type"}),
    ("type", {"type"}),
    ("limit=x&order=y&type=-&from=z&a=b", {"limit", "order", "type", "from", "a"}),
    ("cursor=", {"cursor"}),
    ("cursor=x", {"cursor"}),
    ("cursor=1AAAA", {"cursor"}),
]


@pytest.mark.parametrize(("query", "names"), FAULTS)
def test_invalid_query_names_each_fault(api: Api, query: str, names: set[str]) -> None:
    """An unknown or repeated parameter and an invalid value get 400 with the parameter's name."""
    response = api.request("GET", f"/events?{query}")
    assert response.status == 400, response
    errors = response.json["errors"]
    assert_problem(response, 400, "invalid-query", errors=errors)
    assert all(fault.keys() == {"parameter", "detail"} and fault["detail"] for fault in errors)
    assert {fault["parameter"] for fault in errors} == names and len(errors) == len(names)


@pytest.mark.parametrize(
    "query", ["type=%FF", "limit=%C3", "%FF=1", "order=%ED%A0%80", "from=%", "cursor=%FF%FE", "to=%zz"]
)
def test_query_that_is_not_utf8_gets_400(api: Api, query: str) -> None:
    """A query that cannot be decoded gets 400."""
    response = api.request("GET", f"/events?{query}")
    assert response.status == 400, response


@pytest.mark.parametrize(
    "query", ["subject=%FF", "subject=%ED%A0%80", "subject=%", "&", "&&limit=1", "limit=1&", "?", "%"]
)
def test_odd_query_never_gets_500(api: Api, query: str) -> None:
    """A gateway may repair a query. Then the list has no event that does not match."""
    response = api.request("GET", f"/events?{query}")
    assert response.status in (200, 400), response
    if response.status == 200 and "subject" in query:
        assert response.json["events"] == []


@pytest.mark.parametrize(
    "changed", [{"type": "{}.order"}, {"order": "asc"}, {"subject": "a"}, {"to": "2100-01-01T00:00:00Z"}]
)
def test_cursor_of_another_query_is_refused(api: Api, stored: Stored, changed: dict[str, str]) -> None:
    """All parameters except `limit` must be the same as in the query that returned the cursor."""
    parameters = {"type": f"{stored.word}.*", "limit": "2"}
    cursor = get_list(api, **parameters).json["cursor"]
    others = {**parameters, **{name: text.format(stored.word) for name, text in changed.items()}}
    errors = get_list(api, **others, cursor=cursor).json["errors"]
    assert [fault["parameter"] for fault in errors] == ["cursor"]


def test_damaged_cursor_is_refused(api: Api, stored: Stored) -> None:
    """A cursor that was cut or changed gets 400."""
    parameters = {"type": f"{stored.word}.*", "limit": "2"}
    cursor = get_list(api, **parameters).json["cursor"]
    assert len(cursor) <= 300
    middle = len(cursor) // 2
    other = "A" if cursor[middle] != "A" else "B"
    changed = cursor[:middle] + other + cursor[middle + 1 :]
    for damaged in (cursor[:-1], cursor[1:], f"{cursor}A", changed, cursor.lower()):
        response = get_list(api, **parameters, cursor=damaged)
        assert (response.status, response.json["type"]) == (400, "urn:event-api:problem:invalid-query")


def test_head_returns_the_headers_of_a_list(api: Api) -> None:
    """HEAD has the status and the headers of GET, and no body. A wrong parameter is 400."""
    response = api.request("HEAD", "/events?limit=1")
    assert (response.status, response.body, response.headers["cache-control"]) == (200, b"", "no-store")
    assert api.request("HEAD", "/events?limit=0").status == 400
