"""Defines an event: its fields, limits, id, and the digest of its content. Pure: no AWS, no HTTP."""

import functools
import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from chalicelib import lossless_json, media_types
from chalicelib.faults import find_faults, is_unicode, matches
from chalicelib.problem import BodyTooLarge, Fault, InvalidEvent

MAX_BODY_BYTES = 262_144
PLAIN_ATTRIBUTES = {"source": "urn:event-api:events"}  # of an event that was not posted as a CloudEvent

# `$(?!\n)`: Python's `$` also matches before a final newline; the `$` of JSON Schema does not.
Id = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._~:-]{0,127}$(?!\n)",
        description="a string of 1 to 128 letters, digits and . _ ~ : -, the first a letter or digit",
    ),
]
Type = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$(?!\n)",
        max_length=128,
        description="a string of 1 to 128 characters: words of letters, digits, _ and - with single dots between them; "
        "the first word starts with a letter, as in order.paid.v2",
    ),
]
# `(?![\s\S])`: nothing follows. Unlike `$`, it means the same to Python, to Java and to JSON Schema.
Subject = Annotated[
    str,
    Meta(
        pattern=r"^[^\u0000-\u001f\u007f]+(?![\s\S])",
        max_length=256,
        description="a string of 1 to 256 characters without control characters (U+0000 to U+001F, U+007F), "
        "as in orders/1001",
    ),
]
Payload = Annotated[dict[str, Any], Meta(description="a JSON object")]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
        r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$(?!\n)",
        description="a date and time with an offset (RFC 3339), as in 2026-01-31T09:30:00.000+08:00",
    ),
]


class CallerFields(Struct, frozen=True, kw_only=True):
    """The fields that a caller may send, beside the payload. This is their only declaration: add a field here.

    Every field is a string. All other code derives the fields from this class: the body's check and its faults, the
    gateway's model, the digest, the stored item and the response.
    """

    id: Id | UnsetType = UNSET
    type: Type
    subject: Subject | UnsetType = UNSET
    occurred_at: Timestamp | UnsetType = UNSET


class PostedEvent(CallerFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as a caller sends it."""

    payload: Payload


class Content(CallerFields, frozen=True, kw_only=True, dict=True):
    """A posted event after the checks. It has an id, and `payload` is canonical JSON text.

    `cloudevent` is the canonical JSON text of the attributes that only a CloudEvent has.
    """

    cloudevent: Raw | UnsetType = UNSET
    payload: Raw

    @functools.cached_property
    def digest(self) -> str:
        """Return the SHA-256 (hexadecimal) of the canonical form. Two events with equal digests have equal content."""
        return digest_of(self)


_CONTENT_FIELDS = Content.__struct_fields__
_ATTRIBUTES = msgspec.json.Decoder(dict[str, bool | int | str])


class Event(CallerFields, frozen=True, kw_only=True):
    """An event as it is stored and returned; `payload` is JSON text."""

    created_at: str
    cloudevent: Raw | UnsetType = UNSET
    payload: Raw


def digest_of(event: Content | Event) -> str:
    """Return the digest of an event's content: of all fields except `created_at`.

    Raises ValueError if `cloudevent` is not the canonical text of attributes.
    """
    # A new Content would take three times as long, and each read computes a digest.
    form: dict[str, Any] = {
        name: value for name in _CONTENT_FIELDS if (value := getattr(event, name)) is not UNSET
    }
    if event.cloudevent is not UNSET:
        form["cloudevent"] = _attribute_texts(event)
        if form["cloudevent"] == PLAIN_ATTRIBUTES:
            del form["cloudevent"]
    return hashlib.sha256(lossless_json.canonical(form)).hexdigest()


def attributes_of(event: Content | Event) -> dict[str, Any]:
    """Return the attributes that only a CloudEvent has. Raises ValueError if their text is not canonical."""
    if event.cloudevent is UNSET:
        return PLAIN_ATTRIBUTES
    try:
        attributes = _ATTRIBUTES.decode(event.cloudevent)
    except msgspec.DecodeError as exc:
        raise ValueError("the attributes of a CloudEvent are not what the API stores") from exc
    if lossless_json.canonical(attributes) != bytes(event.cloudevent):
        raise ValueError("the attributes of a CloudEvent are not in canonical form")
    return attributes


def _attribute_texts(event: Content | Event) -> dict[str, str]:
    """Return the attributes as in binary mode: each value is text, and there is always a media type.

    So a CloudEvent has the same digest in all three modes.
    """
    texts = {
        name: value if isinstance(value, str) else lossless_json.canonical(value).decode()
        for name, value in attributes_of(event).items()
    }
    media_type = texts.pop("datacontenttype", media_types.JSON).rstrip(" \t")  # a header has no space at its end
    return texts if media_types.is_default(media_type) else {**texts, "datacontenttype": media_type}


def is_real_time(text: str) -> bool:
    """Tell whether an RFC 3339 text is a real time: no 30 February, and second 60 only for a leap second in UTC."""
    day_and_minute, second, rest = text[:17].upper(), text[17:19], text[19:].upper()
    try:
        parsed = datetime.fromisoformat(day_and_minute + ("59" if second == "60" else second) + rest)
        return second != "60" or (parsed.astimezone(UTC) + timedelta(seconds=1)).strftime("%d%H%M%S") == "01000000"
    except (ValueError, OverflowError):
        return False


def timestamp(moment: datetime) -> str:
    """Return a time as in `created_at`: RFC 3339 in UTC, with milliseconds. The text always has 24 characters."""
    return f"{moment.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


CHECKS = {"subject": is_unicode, "occurred_at": is_real_time}  # rules that a pattern cannot express


def parse(body: bytes) -> Content:
    """Read an event from the body of a request.

    Raises BodyTooLarge, and InvalidEvent with every fault.
    """
    return check(*read(body))


def read(body: bytes) -> tuple[Any, bool]:
    """Return the JSON of a body, and whether it may be nested too deeply. Raises BodyTooLarge, InvalidEvent."""
    require_size(len(body))
    try:
        return lossless_json.decode(body)
    except lossless_json.NotJson as exc:
        raise InvalidEvent([Fault("", str(exc))]) from exc


def require_size(size: int) -> None:
    """Raise BodyTooLarge if an event has too many bytes."""
    if size > MAX_BODY_BYTES:
        raise BodyTooLarge(MAX_BODY_BYTES)


def check(document: Any, may_be_too_deep: bool) -> Content:
    """Return the content of a parsed body. An event without an id gets a UUIDv7. Raises InvalidEvent."""
    try:
        posted = msgspec.convert(document, PostedEvent)
        payload = Raw(lossless_json.canonical(posted.payload))
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError, RecursionError) as exc:
        raise InvalidEvent(find_faults(document, PostedEvent, CHECKS)) from exc
    fields = sent_fields(posted)
    if may_be_too_deep or not all(holds(fields[name]) for name, holds in CHECKS.items() if name in fields):
        faults = find_faults(document, PostedEvent, CHECKS)
        if faults:
            raise InvalidEvent(faults)
    return Content(**{"id": new_id(), **fields, "payload": payload})


def sent_fields(event: CallerFields) -> dict[str, str]:
    """Return the fields that the caller sent, by name, without the payload."""
    fields = {name: getattr(event, name) for name in CallerFields.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def is_id(text: str) -> bool:
    """Tell whether an event can have this id."""
    return matches(text, Id)


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562, method 3: the 12 bits after the milliseconds are a fraction of a millisecond)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)))
