"""The examples in the document: requests, and the responses that the code makes of them.

The suite sends the requests in this order and compares every response. Only times, request ids and cursors differ.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib import batch, cloudevents, event, listing, media_types, problem
from chalicelib.problem import Problem
from chalicelib.token import READ, SCOPES, WRITE

Json = dict[str, Any]

CREATED_AT = "2026-11-22T21:40:58.331Z"
CURSOR_TIME = "2026-11-22T21:40:58.000Z"
REQUEST_ID = "5f0c1c1e-6a0e-4a4e-9d0f-3f7b3f6f3a55"

ORDER: Json = {
    "id": "order-1001",
    "type": "order.paid",
    "subject": "customers/7",
    "occurred_at": "2026-11-22T22:40:57+01:00",
    "payload": {"currency": "EUR", "total": 42.5},
}
OTHER_TOTAL = {**ORDER, "payload": {"currency": "EUR", "total": 43}}
INVOICE: Json = {"id": "invoice-8", "type": "invoice.sent", "payload": {"total": 10}}
BATCH = [ORDER, INVOICE, OTHER_TOTAL]
CLOUDEVENT: Json = {
    "specversion": "1.0",
    "id": "shipment-3",
    "source": "https://shop.example.com/warehouse",
    "type": "shipment.sent",
    "time": "2026-11-22T21:40:57Z",
    "priority": "high",
    "data": {"parcels": 2},
}
OTHER_CLOUDEVENT: Json = {**CLOUDEVENT, "id": "shipment-4"}
INVALID: Json = {"id": "invoice-9", "type": "invoice..sent", "payload": {"total": 10}}


@dataclass(frozen=True)
class Request:
    """A request. `token` is the scopes of the caller's token, None without one."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    token: tuple[str, ...] | None = SCOPES


@dataclass(frozen=True)
class Example:
    """A request and its response. `name` is unique."""

    name: str
    summary: str
    request: Request
    status: int
    body: Any = None  # of the response; None is no body
    headers: dict[str, str] = field(default_factory=dict)  # of the response


def text(value: Any) -> bytes:
    """Return a value as the body of a request."""
    return json.dumps(value).encode()


def etag(sent: Json) -> str:
    """Return the ETag of an event."""
    return f'"{event.parse(text(sent)).digest}"'


def stored(sent: Json) -> Json:
    """Return an event as a response has it: in the order of the declared fields."""
    members = {**sent, "created_at": CREATED_AT}
    return {name: members[name] for name in event.Event.__struct_fields__ if name in members}


def stored_cloudevent(sent: Json) -> Json:
    """Return a CloudEvent as a plain response has it."""
    content = cloudevents.parse(text(sent))
    attributes = json.loads(bytes(content.cloudevent))
    return stored({**event.sent_fields(content), "payload": sent["data"], "cloudevent": attributes})


def cloudevent_etag(sent: Json, suffix: str = "") -> str:
    """Return the ETag of a CloudEvent."""
    return f'"{cloudevents.parse(text(sent)).digest}{suffix}"'


def fault_of(call: Callable[[], Any]) -> Problem:
    """Return the problem that a call raises."""
    try:
        call()
    except Problem as exc:
        return exc
    raise ValueError("an example of an error has no error")


def failing(name: str, summary: str, request: Request, error: Problem) -> Example:
    """Return an example of an error."""
    returned = {name: value for name, value in error.headers.items() if name != "Content-Type"}
    return Example(name, summary, request, error.status, error.body(REQUEST_ID), returned)


def posting(body: Any, headers: dict[str, str] | None = None, token: tuple[str, ...] | None = SCOPES) -> Request:
    """Return the request that posts a body as JSON, if the headers name no other type."""
    return Request("POST", "/events", body, {"Content-Type": "application/json", **(headers or {})}, token=token)


def reading(
    event_id: str, headers: dict[str, str] | None = None, token: tuple[str, ...] | None = SCOPES
) -> Request:
    """Return the request that reads an event."""
    return Request("GET", f"/events/{event_id}", headers=headers or {}, token=token)


def finding(parameters: dict[str, str], token: tuple[str, ...] | None = SCOPES) -> Request:
    """Return the request that lists events."""
    return Request("GET", "/events", parameters=parameters, token=token)


def parsed(parameters: dict[str, str]) -> listing.Query:
    """Return the query of a list. Raises InvalidQuery."""
    return listing.parse({name: [value] for name, value in parameters.items()}, 1_800_000_000)


CACHED = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Authorization, Accept"}


def batch_results() -> Json:
    """Return the body of the response to the batch."""
    conflict = problem.EventConflict(etag(ORDER)).body(REQUEST_ID)
    return {
        "results": [
            {"status": 200, "id": ORDER["id"], "etag": etag(ORDER), "created_at": CREATED_AT},
            {"status": 201, "id": INVOICE["id"], "etag": etag(INVOICE), "created_at": CREATED_AT},
            {"status": 409, "id": OTHER_TOTAL["id"], "problem": conflict},
        ]
    }


def result(status: int, sent: Json) -> Json:
    """Return the result of a stored CloudEvent in a batch."""
    return {"status": status, "id": sent["id"], "etag": cloudevent_etag(sent), "created_at": CREATED_AT}


def examples() -> list[Example]:
    """Return the examples, in the order in which a test sends them."""
    return [*of_writing(), *of_reading(), *of_listing()]


def of_writing() -> list[Example]:
    """Return the examples of POST."""
    tag = {"ETag": etag(ORDER)}
    invalid, empty = fault_of(lambda: event.parse(text(INVALID))), fault_of(lambda: batch.parse(b"[]"))
    return [
        Example("stored", "The event is new", posting(ORDER), 201, stored(ORDER),
                {"Location": f"/events/{ORDER['id']}", **tag}),
        Example("replayed", "The same event again: nothing is written", posting(ORDER), 200, stored(ORDER),
                {"Idempotent-Replayed": "true", **tag}),
        Example("batch", "A batch: each event has its own result", posting(BATCH), 207,
                batch_results()),
        Example("cloudevent", "A CloudEvent is new", posting(CLOUDEVENT, {"Content-Type": media_types.CLOUDEVENT}), 201,
                stored_cloudevent(CLOUDEVENT), {"Location": f"/events/{CLOUDEVENT['id']}",
                "ETag": cloudevent_etag(CLOUDEVENT)}),
        Example("cloudevents", "A batch of CloudEvents",
                posting([CLOUDEVENT, OTHER_CLOUDEVENT], {"Content-Type": media_types.CLOUDEVENTS}), 207,
                {"results": [result(200, CLOUDEVENT), result(201, OTHER_CLOUDEVENT)]}),
        failing("invalid-event", "A field breaks its rule", posting(INVALID), invalid),
        failing("empty-batch", "A batch without events", posting([]), empty),
        failing("no-token-for-post", "No valid token", posting(ORDER, token=None), problem.Unauthorized()),
        failing("read-only-token", "The token may only read", posting(ORDER, token=(READ,)), problem.Forbidden()),
        failing("conflict", "The id has other content", posting(OTHER_TOTAL), problem.EventConflict(etag(ORDER))),
        failing("exists", "The id is taken, and only a new event may be stored",
                posting(ORDER, {"If-None-Match": "*"}), problem.EventExists(etag(ORDER))),
        failing("if-match-on-post", "A POST never changes an event", posting(ORDER, {"If-Match": etag(ORDER)}),
                problem.PreconditionFailed("POST never changes a stored event: send it without If-Match.")),
        failing("not-json", "The body is not declared as JSON", posting(ORDER, {"Content-Type": "text/plain"}),
                problem.UnsupportedMediaType(media_types.EXPECTED)),
    ]  # fmt: skip


def of_reading() -> list[Example]:
    """Return the examples of GET of an event."""
    tag, unlike = {"ETag": etag(ORDER)}, {"If-Match": etag(INVOICE)}
    return [
        Example("found", "The event", reading("order-1001"), 200, stored(ORDER), {**tag, **CACHED}),
        Example("found-cloudevent", "The CloudEvent, if Accept asks for it",
                reading("shipment-3", {"Accept": media_types.CLOUDEVENT}), 200, CLOUDEVENT,
                {**CACHED, "ETag": cloudevent_etag(CLOUDEVENT, "-cloudevent")}),
        Example("not-modified", "You have this event", reading("order-1001", {"If-None-Match": etag(ORDER)}), 304,
                headers={**tag, **CACHED}),
        failing("no-token", "No valid token", reading("order-1001", token=None), problem.Unauthorized()),
        failing("write-only-token", "The token may only write", reading("order-1001", token=(WRITE,)),
                problem.Forbidden()),
        failing("unknown-id", "No event has this id", reading("order-1002"), problem.EventNotFound()),
        failing("if-match-on-get", "The event has another ETag", reading("order-1001", unlike),
                problem.PreconditionFailed("The event does not have an ETag of your If-Match.")),
    ]  # fmt: skip


def of_listing() -> list[Example]:
    """Return the examples of a list."""
    wanted, wrong = {"type": "order.*", "limit": "10"}, {"order": "newest", "limit": "1000"}
    page = {"events": [stored(ORDER)], "has_more": False, "cursor": parsed(wanted).cursor(CURSOR_TIME)}
    return [
        Example("page", "A page, and no more events follow", finding(wanted), 200, page, {"Cache-Control": "no-store"}),
        failing("no-token-for-list", "No valid token", finding({}, token=None), problem.Unauthorized()),
        failing("write-only-token-for-list", "The token may only write", finding({}, token=(WRITE,)),
                problem.Forbidden()),
        failing("invalid-query", "Two parameters break their rules", finding(wrong), fault_of(lambda: parsed(wrong))),
    ]  # fmt: skip


# Errors that no request can bring about at will. The code that sends them makes these examples too.
RARE: tuple[Problem, ...] = (
    problem.RequestBlocked(),
    problem.TooManyRequests(1),
    problem.StoreUnavailable(),
    problem.AuthorizerUnavailable(),
    problem.ServiceUnavailable(),
    problem.ServiceTimeout(),
)
