"""The schemas of events, batches and lists, from the declarations of the code."""

import re
from typing import Any

import msgspec
from chalicelib import batch, cloudevents, event, lossless_json, problem
from chalicelib.listing import MAX_LIMIT
from chalicelib.responses import MULTI_STATUS

from openapi import problems

Json = dict[str, Any]

CREATED_AT = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
    "description": "When the event was stored: RFC 3339 in UTC, with milliseconds.",
}
# The declared patterns name the end so that it means the same to Python. JSON Schema has `$` for it (ECMA-262).
END = re.compile(r"\$\(\?!\\n\)$|\(\?!\[\\s\\S\]\)$")
ETAG = {
    "type": "string",
    "pattern": '^"[0-9a-f]{64}"$',
    "description": "The SHA-256 of the event's content, as a strong validator (RFC 9110, 8.8.3).",
}
EXTENSION = {
    "description": "An extension: a string without control characters, a Boolean, or a whole number of 32 bits. Its "
    "name has lower-case letters and digits. Write the number without a fraction: `1`, not `1.0`.",
    "type": ["string", "boolean", "integer"], "minimum": -(2**31), "maximum": 2**31 - 1,
}  # fmt: skip
# What a string of a posted CloudEvent cannot have: the characters of cloudevents.NOT_TEXT. Only those above U+FFFF
# have no escape that Python and ECMA-262 share. JSON text has no half of a surrogate pair.
NOT_TEXT = r"\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff" + "".join(
    chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(0x10000, 0x110000, 0x10000)
)
CURSOR = {"type": "string", "minLength": 1, "maxLength": 300}
# The problems that one event of a batch can have.
BATCH_PROBLEMS: list[type[problem.Problem]] = [
    problem.InvalidEvent,
    problem.EventConflict,
    problem.EventExists,
    problem.PreconditionFailed,
    problem.BodyTooLarge,
    problem.StoredEventAltered,
    problem.StoreUnavailable,
]


def reference(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def caller_fields(declared: type[msgspec.Struct]) -> Json:
    """Return the schema of a declared event. Descriptions become sentences."""
    schema = msgspec.json.schema(declared)["$defs"][declared.__name__]
    for rule in schema["properties"].values():
        if "description" in rule:
            rule["description"] = sentence(rule["description"])
        if "pattern" in rule:
            rule["pattern"] = END.sub("$", rule["pattern"])
    return schema


def sentence(text: str) -> str:
    """Return a rule, which follows "must be", as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def posted_event() -> Json:
    """Return the schema of an event that a caller sends."""
    schema = caller_fields(event.PostedEvent)
    schema["properties"]["id"]["description"] += (
        " Unique within your tenant. Send your own: it makes a retry safe."
    )
    schema["properties"]["payload"] |= {
        "description": f"A JSON object with at most {lossless_json.MAX_DEPTH} levels. Every number and character comes "
        "back as you sent it.",
        "additionalProperties": True,  # the default; some generators of clients need it
    }
    schema["description"] = (
        f"An event as you send it, with at most {event.MAX_BODY_BYTES:,} bytes. Without an id, the API makes a UUIDv7."
    )
    return schema


def stored_event() -> Json:
    """Return the schema of an event that the API returns."""
    schema = caller_fields(event.Event)
    payload = posted_event()["properties"]["payload"]
    schema["properties"] |= {
        "created_at": CREATED_AT, "payload": payload, "cloudevent": reference("CloudEventAttributes"),
    }  # fmt: skip
    schema["required"] = ["id", *schema["required"]]
    schema["description"] = "A stored event. It never changes."
    return schema


def attributes() -> Json:
    """Return the schema of the attributes that only a CloudEvent has, as plain JSON shows them."""
    schema = caller_fields(cloudevents.Attributes)
    schema["title"] = "CloudEventAttributes"
    schema["description"] = "The attributes of a CloudEvent that an event has no field for. You cannot send this field."
    schema["additionalProperties"] = EXTENSION
    return schema


def cloudevent(is_posted: bool) -> Json:
    """Return the schema of a CloudEvent in JSON format. In a posted one, an attribute that is null counts as absent."""
    fields, own = posted_event()["properties"], attributes()["properties"]
    renamed = {name: dict(fields[field]) for name, field in cloudevents.FIELD_OF.items()}
    members = {"specversion": {"type": "string", "const": cloudevents.VERSION}, **renamed, **own}
    required = ["specversion", "id", "source", "type", "data"]
    extension = dict(EXTENSION)
    if is_posted:
        for name in members.keys() - set(required):
            members[name] = {**members[name], "type": [members[name]["type"], "null"]}
        members["subject"]["pattern"] = f"^[^{NOT_TEXT}]+$"
        extension |= {"type": [*EXTENSION["type"], "null"], "pattern": f"^[^{NOT_TEXT}]*$"}
    named = {"pattern": f"^({cloudevents.EXTENSION_NAME.pattern})$"}
    return {
        "title": "PostedCloudEvent" if is_posted else "CloudEvent",
        "description": "A CloudEvent 1.0 in JSON format: structured mode.",
        "type": "object",
        "properties": members,
        "required": required,
        "additionalProperties": extension,
        **({"propertyNames": named} if is_posted else {}),
    }


def posted_batch(name: str, items: str) -> Json:
    """Return the schema of a batch of posted events."""
    return {
        "title": name,
        "description": f"1 to {batch.MAX_EVENTS} events, with at most {batch.MAX_BATCH_BYTES:,} bytes together. "
        "Each event is handled as if you had sent it alone.",
        "type": "array",
        "minItems": 1,
        "maxItems": batch.MAX_EVENTS,
        "items": reference(items),
    }


def results() -> Json:
    """Return the schemas of the response to a batch."""
    identifier = caller_fields(event.PostedEvent)["properties"]["id"]
    stored = {
        "title": "StoredResult",
        "description": "The event is stored: now (201), or before with the same content (200).",
        "type": "object",
        "properties": {
            "status": {"type": "integer", "enum": [201, 200]},
            "id": identifier,
            "etag": ETAG,
            "created_at": CREATED_AT,
        },
        "required": ["status", "id", "etag", "created_at"],
    }
    refused = {
        "title": "RefusedResult",
        "description": "The event is not stored. `id` is missing if the event is invalid and has no valid id.",
        "type": "object",
        "properties": {
            "status": {"type": "integer", "enum": sorted({kind.status for kind in BATCH_PROBLEMS})},
            "id": identifier,
            "problem": problems.any_of(BATCH_PROBLEMS),
        },
        "required": ["status", "problem"],
    }
    whole = {
        "title": "BatchResults",
        "description": f"The body of {MULTI_STATUS}: a result for each event, in the order sent.",
        "type": "object",
        "properties": {
            "results": {
                "type": "array",
                "minItems": 1,
                "maxItems": batch.MAX_EVENTS,
                "items": {"oneOf": [reference("StoredResult"), reference("RefusedResult")]},
            }
        },
        "required": ["results"],
    }
    return {"StoredResult": stored, "RefusedResult": refused, "BatchResults": whole}


def schemas() -> Json:
    """Return all schemas, by name."""
    return {
        "PostedEvent": posted_event(),
        "PostedBatch": posted_batch("PostedBatch", "PostedEvent"),
        "PostedCloudEvent": cloudevent(is_posted=True),
        "PostedCloudEventBatch": posted_batch("PostedCloudEventBatch", "PostedCloudEvent"),
        "Event": stored_event(),
        "CloudEventAttributes": attributes(),
        "CloudEvent": cloudevent(is_posted=False),
        **results(),
        "EventPage": {
            "title": "EventPage",
            "description": "A page of a list.",
            "type": "object",
            "properties": {
                "events": {"type": "array", "maxItems": MAX_LIMIT, "items": reference("Event")},
                "has_more": {"type": "boolean", "description": "Whether more events follow. Even an empty page may."},
                "cursor": {**CURSOR, "description": "Send it as the parameter `cursor` to continue after this page."},
            },
            "required": ["events", "has_more", "cursor"],
        },
        **problems.schemas(),
    }
