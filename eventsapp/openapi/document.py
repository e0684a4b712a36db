"""The OpenAPI document: operations, parameters, headers, responses and security."""

import re
from pathlib import Path
from typing import Any

from chalicelib import listing, media_types, problem, token
from chalicelib.problem import Problem

from openapi import problems, schemas
from openapi.examples import (
    BATCH, CLOUDEVENT, ORDER, OTHER_CLOUDEVENT, RARE, REQUEST_ID, Example, of_listing, of_reading, of_writing,
)  # fmt: skip

Json = dict[str, Any]
Kinds = list[type[Problem]]

ROOT = Path(__file__).resolve().parent.parent.parent
DESCRIPTION = """\
Stores events, returns them by id, and lists them by type, subject and time. An event is an immutable fact: it is \
written once and never changed.

**Send your own id.** It makes a retry safe: send the same request again after `429`, `503`, `504` or a lost \
connection, and the event is stored once.

Errors are problem details (RFC 9457). A problem's `type` never changes. Responses may get more fields: ignore the \
ones that you do not know.

If a path does not have the method POST, PUT, PATCH, DELETE or OPTIONS, the response is `405` with `Allow` and the type \
`urn:event-api:problem:method-not-allowed`. For other methods, such as TRACE, and for other paths, it is `404` with the \
type `urn:event-api:problem:path-not-found`.
"""

# Problems that any operation can have: of the token, the firewall, the throttles, the store and the gateway.
EVERYWHERE: Kinds = [
    problem.BadRequest, problem.Unauthorized, problem.Forbidden, problem.RequestBlocked, problem.TooManyRequests,
    problem.InternalError, problem.StoredEventAltered, problem.StoreUnavailable, problem.AuthorizerUnavailable,
    problem.ServiceUnavailable, problem.ServiceTimeout,
]  # fmt: skip
OF_POST: Kinds = [
    problem.InvalidEvent, problem.EventConflict, problem.EventExists, problem.PreconditionFailed, problem.BodyTooLarge,
    problem.UnsupportedMediaType,
]  # fmt: skip
OF_GET: Kinds = [problem.EventNotFound, problem.PathNotFound, problem.PreconditionFailed]
OF_LIST: Kinds = [problem.InvalidQuery]

TEXT = {"type": "string"}
HEADERS: Json = {
    "ETag": {
        "description": "The event's ETag. That of its form as a CloudEvent ends in `-cloudevent`.", "required": True,
        "schema": {**schemas.ETAG, "pattern": '^"[0-9a-f]{64}(-cloudevent)?"$'},
    },
    "Location": {
        "description": "The event's path. On a deployed stage it starts with the stage's name.",
        "required": True, "schema": TEXT,
    },
    "Idempotent-Replayed": {
        "description": "The event was stored before.", "required": True, "schema": {"type": "string", "const": "true"},
    },
    "Cache-Control": {"description": "How long a cache may keep the response.", "required": True, "schema": TEXT},
    "Vary": {
        "description": "A cache keeps one response for each token and each `Accept`.", "required": True, "schema": TEXT,
    },
    "Link": {"description": 'The next page, if there is one: `<...>; rel="next"`.', "schema": TEXT},
    "Retry-After": {
        "description": "Seconds to wait before you send the request again.", "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "The scheme, and what the token lacks.", "required": True, "schema": TEXT},
    "Accept-Post": {"description": "The media types that you may post.", "required": True, "schema": TEXT},
    "Accept-Encoding": {"description": "The codings that a body may have.", "required": True, "schema": TEXT},
}  # fmt: skip

PARAMETERS: Json = {
    "type": {**TEXT, "maxLength": 130, "pattern": r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(\.\*)?$"},
    "subject": schemas.posted_event()["properties"]["subject"],
    "from": schemas.posted_event()["properties"]["occurred_at"],
    "to": schemas.posted_event()["properties"]["occurred_at"],
    "order": {**TEXT, "enum": [listing.DESCENDING, listing.ASCENDING], "default": listing.DESCENDING},
    "limit": {"type": "integer", "minimum": 1, "maximum": listing.MAX_LIMIT, "default": listing.DEFAULT_LIMIT},
    "cursor": schemas.CURSOR,
}
MEANINGS = {
    "type": "Only events of this type, or of all types with this prefix.",
    "subject": "Only events with this subject.",
    "from": "Only events that were stored at this time or after it.",
    "to": "Only events that were stored before this time.",
    "order": "`desc` lists the newest event first. `asc` lists events 10 seconds after they were stored.",
    "limit": "The most events of a page. A page may have fewer.",
    "cursor": "Continues after an earlier page.",
}
CONDITIONS = {
    "post": {
        "If-None-Match": "`*`, or ETags: respond with `412` if the id is taken, or taken by an event with one of them.",
        "If-Match": "A POST never changes an event: with this header, the response is `412`.",
    },
    "get": {
        "If-None-Match": "`*`, or ETags that you have: respond with `304` if the event has one of them.",
        "If-Match": "`*`, or ETags: respond with `412` if the event has none of them.",
    },
}


def document() -> Json:
    """Return the OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Event API",
            "version": version((ROOT / "CHANGELOG.md").read_text()),
            "summary": "An event store: written once, never changed.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": servers(),
        "tags": [{"name": "Events", "description": "Store, read and list events."}],
        "security": [{"token": [token.WRITE, token.READ]}],
        "paths": {
            "/events": {"post": post_operation(), "get": list_operation(), "head": head(list_operation())},
            "/events/{id}": {
                "parameters": [id_parameter()], "get": get_operation(), "head": head(get_operation()),
            },
        },
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "evt_...",
                    "description": f"A token with the scope `{token.WRITE}` for POST, or `{token.READ}` for GET and "
                    "HEAD. You see the events of your token's tenant only.",
                },
            },
            "headers": HEADERS,
            "schemas": schemas.schemas(),
        },
    }  # fmt: skip


def version(changelog: str) -> str:
    """Return the newest release in the changelog; before the first one, "unreleased"."""
    found = re.search(r"(?m)^## \[?v?(\d+\.\d+\.\d+)", changelog)
    return found[1] if found else "unreleased"


def servers() -> list[Json]:
    """Return the addresses of the API."""
    return [
        {"url": "http://127.0.0.1:8000", "description": "`make run`"},
        {
            "url": "https://{api}.execute-api.{region}.amazonaws.com/{stage}",
            "description": "A deployed stage",
            "variables": {
                "api": {"default": "a1b2c3d4e5", "description": "The id of the stage's API."},
                "region": {"default": "ap-southeast-1", "description": "The stage's region."},
                "stage": {"default": "prod", "description": "The stage's name."},
            },
        },
    ]


def post_operation() -> Json:
    """Return the operation that stores events."""
    ours = of_writing()
    content = {
        media_types.JSON: {
            "schema": {"oneOf": [schemas.reference("PostedEvent"), schemas.reference("PostedBatch")]},
            "examples": {
                "event": {"summary": "An event", "value": ORDER},
                "batch": {"summary": "A batch", "value": BATCH},
            },
        },
        media_types.CLOUDEVENT: {
            "schema": schemas.reference("PostedCloudEvent"),
            "examples": {"cloudevent": {"summary": "A CloudEvent", "value": CLOUDEVENT}},
        },
        media_types.CLOUDEVENTS: {
            "schema": schemas.reference("PostedCloudEventBatch"),
            "examples": {"batch": {"summary": "A batch of CloudEvents", "value": [CLOUDEVENT, OTHER_CLOUDEVENT]}},
        },
    }
    return {
        "operationId": "postEvents",
        "summary": "Store an event or a batch",
        "description": "Send an event as often as you like: it is stored once. An array is a batch: the response has a "
        "result for each event. A CloudEvent may be in binary mode, too: its attributes are headers that start with "
        f"`{media_types.HEADER_PREFIX}`, and the body is its data. The document does not list these headers, so "
        "a generated client uses structured mode.",
        "tags": ["Events"],
        "security": [{"token": [token.WRITE]}],
        "parameters": conditions("post"),
        "requestBody": {"required": True, "content": content},
        "responses": {
            "201": success("The event is stored.", "Event", ours, "ETag", "Location"),
            "200": success("The event was stored before, with the same content.", "Event", ours,
                           "ETag", "Idempotent-Replayed"),
            "207": success("The results of a batch.", "BatchResults", ours),
            **errors([*EVERYWHERE, *OF_POST], ours),
        },
    }  # fmt: skip


def get_operation() -> Json:
    """Return the operation that reads an event."""
    ours = of_reading()
    caching = ("ETag", "Cache-Control", "Vary")
    found = success("The event.", "Event", [e for e in ours if e.name != "found-cloudevent"], *caching)
    found["content"][media_types.CLOUDEVENT] = {
        "schema": schemas.reference("CloudEvent"),
        "examples": named([e for e in ours if e.name == "found-cloudevent"]),
    }
    return {
        "operationId": "getEvent",
        "summary": "Read an event",
        "description": "You can read an event as soon as its POST has returned. `Accept` chooses plain JSON or a "
        "CloudEvent.",
        "tags": ["Events"],
        "security": [{"token": [token.READ]}],
        "parameters": conditions("get"),
        "responses": {
            "200": found,
            "304": {"description": "You have this event.", "headers": header_references(*caching)},
            **errors([*EVERYWHERE, *OF_GET], ours),
        },
    }


def list_operation() -> Json:
    """Return the operation that lists events."""
    ours = of_listing()
    return {
        "operationId": "listEvents",
        "summary": "List events",
        "description": "Lists your tenant's events in the order in which they were stored. Follow the cursors until "
        "`has_more` is false: then you have seen every event exactly once.",
        "tags": ["Events"],
        "security": [{"token": [token.READ]}],
        "parameters": list_parameters(),
        "responses": {
            "200": success("A page of events.", "EventPage", ours, "Cache-Control", "Link"),
            **errors([*EVERYWHERE, *OF_LIST], ours),
        },
    }


def head(operation: Json) -> Json:
    """Return the HEAD of a GET: the same without the bodies."""
    name = operation["operationId"].removeprefix("get").removeprefix("list")
    responses = {
        status: {part: response[part] for part in ("description", "headers") if part in response}
        for status, response in operation["responses"].items()
    }
    summary = f"{operation['summary']}: the headers only"
    return {**operation, "operationId": f"head{name}", "summary": summary, "responses": responses}


def id_parameter() -> Json:
    """Return the parameter of an event's path."""
    rule = {**schemas.posted_event()["properties"]["id"], "description": "The event's id."}
    return {"name": "id", "in": "path", "required": True, "schema": rule, "example": "order-1001"}


def list_parameters() -> list[Json]:
    """Return the parameters of a list. Raises ValueError if the code has others."""
    if not listing.PARAMETERS.keys() == PARAMETERS.keys() == MEANINGS.keys():
        raise ValueError(f"the parameters are {list(listing.PARAMETERS)}: describe them in PARAMETERS and MEANINGS")
    return [
        {
            "name": name,
            "in": "query",
            "description": f"{MEANINGS[name]} It must be {parameter.description}.",
            "schema": {key: value for key, value in PARAMETERS[name].items() if key != "description"},
        }
        for name, parameter in listing.PARAMETERS.items()
    ]


def conditions(method: str) -> list[Json]:
    """Return the conditional headers of a method."""
    return [
        {"name": name, "in": "header", "description": text, "schema": TEXT} for name, text in CONDITIONS[method].items()
    ]


def header_references(*names: str) -> Json:
    """Return references to headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def success(description: str, schema: str, ours: list[Example], *names: str) -> Json:
    """Return a response without an error. Its examples are those with exactly these headers; a Link is optional."""
    shown = [e for e in ours if e.status < 300 and set(e.headers) == set(names) - {"Link"}]
    content = {"schema": schemas.reference(schema), "examples": named(shown)}
    return {
        "description": description,
        **({"headers": header_references(*names)} if names else {}),
        "content": {media_types.JSON: content},
    }


def errors(kinds: Kinds, ours: list[Example]) -> Json:
    """Return the responses with errors, by status."""
    statuses = sorted({kind.status for kind in kinds})
    return {
        str(status): problem_response([kind for kind in kinds if kind.status == status], ours) for status in statuses
    }


def problem_response(kinds: Kinds, ours: list[Example]) -> Json:
    """Return the response of problems with one status."""
    types = [problems.sample(kind).body(None)["type"] for kind in kinds]
    shown = named([e for e in ours if e.status >= 400 and e.body["type"] in types])
    for error in RARE:
        if type(error) in kinds:
            shown[error.type] = {"summary": problems.rule(type(error)), "value": error.body(REQUEST_ID)}
    fields = {name: None for kind in kinds for name in problems.sample(kind).headers if name != "Content-Type"}
    headers = {}
    for name in fields:
        required = all(name in problems.sample(kind).headers for kind in kinds)
        reference = {"$ref": f"#/components/headers/{name}"}
        headers[name] = reference if required else {**HEADERS[name], "required": False}
    content = {"schema": problems.any_of(kinds), **({"examples": shown} if shown else {})}
    return {
        "description": " Or: ".join(problems.schema(problems.sample(kind))["description"] for kind in kinds),
        "headers": headers,
        "content": {problem.MEDIA_TYPE: content},
    }


def named(shown: list[Example]) -> Json:
    """Return examples of responses, by name."""
    return {example.name: {"summary": example.summary, "value": example.body} for example in shown}
