"""Builds every response of the API from events and problems, and tells the audit log the outcome."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from chalice import Response
from chalice.app import Request

from chalicelib import audit_log, headers, media_types
from chalicelib.batch import Entry, Refused
from chalicelib.event import Content
from chalicelib.listing import Query
from chalicelib.problem import EventConflict, EventExists, PreconditionFailed, Problem
from chalicelib.store import EventPage, StoredEvent

MAX_AGE = 31_536_000  # seconds; a year means "for ever" to a cache
MULTI_STATUS = 207


def etag(stored: StoredEvent) -> str:
    """Return the ETag of an event in plain JSON: the digest of its content, as a strong validator."""
    return f'"{stored.digest}"'


def cloudevent_etag(stored: StoredEvent) -> str:
    """Return the ETag of an event as a CloudEvent. Representations that differ have different strong ETags."""
    return f'"{stored.digest}-cloudevent"'


def written(outcome: tuple[StoredEvent, bool], content: Content, request: Request) -> Response:
    """Return the response to a POST of one event. Raises EventExists, EventConflict."""
    stored, is_new = outcome
    if is_new:
        audit_log.add(outcome="stored")
        return event_response(stored, 201, {"Location": f"{path_of(request)}/{stored.event.id}"})
    require_same(stored, content, request)
    audit_log.add(outcome="replayed")
    return event_response(stored, 200, {"Idempotent-Replayed": "true"})


def require_same(stored: StoredEvent, content: Content, request: Request) -> None:
    """Raise EventExists or EventConflict if a stored event is not the one that a POST may repeat."""
    if_none_match = headers.of(request, "if-none-match")
    if any(headers.lists_etag(if_none_match, tag) for tag in (etag(stored), cloudevent_etag(stored))):
        raise EventExists(etag(stored))
    if content.digest != stored.digest:
        raise EventConflict(etag(stored))


def results(
    entries: Sequence[Entry], outcomes: Sequence[tuple[StoredEvent, bool] | Problem], request: Request
) -> Response:
    """Return the response to a batch. It has one outcome for each entry that is a content."""
    remaining = iter(outcomes)
    members = [
        refusal(entry.id, entry.problem, request)
        if isinstance(entry, Refused)
        else result(entry, next(remaining), request)
        for entry in entries
    ]
    statuses = [member["status"] for member in members]
    stored, replayed = statuses.count(201), statuses.count(200)
    audit_log.add(outcome="batch", stored=stored, replayed=replayed, refused=len(members) - stored - replayed)
    return json_response({"results": members}, MULTI_STATUS, {})


def result(content: Content, outcome: tuple[StoredEvent, bool] | Problem, request: Request) -> dict[str, Any]:
    """Return the result of one event of a batch."""
    if isinstance(outcome, Problem):
        return refusal(content.id, outcome, request)
    stored, is_new = outcome
    try:
        if not is_new:
            require_same(stored, content, request)
    except (EventExists, EventConflict) as exc:
        return refusal(content.id, exc, request)
    if is_new:
        audit_log.stored(content.id, content.type)
    members = {"id": content.id, "etag": etag(stored), "created_at": stored.event.created_at}
    return {"status": 201 if is_new else 200, **members}


def refusal(event_id: str | None, error: Problem, request: Request) -> dict[str, Any]:
    """Return the result of an event of a batch that was not stored."""
    return {
        "status": error.status,
        **({} if event_id is None else {"id": event_id}),
        "problem": error.body(request_id(request)),
    }


def found(stored: StoredEvent, request: Request) -> Response:
    """Return the response to a GET of an event: plain JSON or a CloudEvent. Raises PreconditionFailed."""
    as_cloudevent = media_types.prefers_cloudevent(headers.of(request, "accept"))
    tag = cloudevent_etag(stored) if as_cloudevent else etag(stored)
    if_match = headers.of(request, "if-match")
    if if_match and not headers.lists_strong_etag(if_match, tag):
        raise PreconditionFailed("The event does not have an ETag of your If-Match.")
    age = MAX_AGE if stored.expires_at is None else min(MAX_AGE, stored.expires_at - int(time.time()))
    # One private cache may serve callers of several tenants, so it may reuse a response for the same token only.
    fields = {"ETag": tag, "Cache-Control": f"private, max-age={age}, immutable", "Vary": "Authorization, Accept"}
    if headers.lists_etag(headers.of(request, "if-none-match"), tag):
        audit_log.add(outcome="not-modified", type=stored.event.type)
        return Response("", fields, 304)
    audit_log.add(outcome="found", type=stored.event.type)
    if as_cloudevent:
        from chalicelib import cloudevents  # pylint: disable=import-outside-toplevel  # plain JSON starts without it

        document = cloudevents.document_of(stored.event)
        return json_response(document, 200, {"Content-Type": media_types.CLOUDEVENT, **fields})
    return json_response(stored.event, 200, fields)


def page(events: EventPage, query: Query, parameters: Mapping[str, Sequence[str]] | None, request: Request) -> Response:
    """Return the response to a list."""
    audit_log.add(outcome="listed", events=len(events.events))
    cursor = query.cursor(events.continue_after)
    fields = {"Cache-Control": "no-store"}
    if events.has_more:
        following = {**{name: texts[0] for name, texts in (parameters or {}).items()}, "cursor": cursor}
        fields["Link"] = f'<{path_of(request)}?{urlencode(following, safe="", quote_via=quote)}>; rel="next"'
    return json_response({"events": events.events, "has_more": events.has_more, "cursor": cursor}, 200, fields)


def event_response(stored: StoredEvent, status: int, fields: dict[str, str]) -> Response:
    """Return a response with an event and more headers."""
    return json_response(stored.event, status, {"ETag": etag(stored), **fields})


def json_response(body: Any, status: int, fields: dict[str, str]) -> Response:
    """Return a response with a JSON body and more headers."""
    text = msgspec.json.encode(body)
    audit_log.add(response_bytes=len(text))
    return Response(text.decode(), {"Content-Type": media_types.JSON, **fields}, status)


def problem_response(error: Problem, request: Request | None) -> Response:
    """Return the response of a problem."""
    audit_log.add(outcome=error.type)
    return Response(error.body(None if request is None else request_id(request)), error.headers, error.status)


def request_id(request: Request) -> str:
    """Return the request's id in the gateway's log, or else the function's own."""
    return request.context.get("requestId") or request.lambda_context.aws_request_id


def path_of(request: Request) -> str:
    """Return the path that the client requested. On a deployed stage it starts with the stage's name."""
    return request.context["path"].rstrip("/")
