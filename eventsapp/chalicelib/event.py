"""What an event is: fields, limits, lossless JSON, and the digest of its content. Pure: no AWS, no HTTP."""

import hashlib
import itertools
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from chalicelib.problem import BodyTooLarge, Fault, InvalidEvent

MAX_BODY_BYTES = 262_144
MAX_DEPTH = 64  # nested objects and arrays; the payload itself is level 1
MAX_POINTER = 256  # characters of a JSON pointer in a response

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

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
        description="a string of 1 to 128 characters: words of letters, digits, _ and - with single dots between them, "
        "the first of which starts with a letter, like order.paid.v2",
    ),
]
Payload = Annotated[dict[str, Any], Meta(description="a JSON object")]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
        r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$(?!\n)",
        description="a date and time with an offset (RFC 3339), like 2026-01-31T09:30:00.000+08:00",
    ),
]


class PostedEvent(Struct, forbid_unknown_fields=True):
    """An event as a caller sends it. The only declaration of the fields."""

    type: Type
    payload: Payload
    id: Id | UnsetType = UNSET
    occurred_at: Timestamp | UnsetType = UNSET


class Event(Struct, frozen=True):
    """An event as the API returns it. `payload` is JSON text."""

    id: str
    type: str
    occurred_at: str | UnsetType
    created_at: str
    payload: Raw


class Content(Struct, frozen=True):
    """A valid event from a caller. `payload` is JSON text. Equal `digest`s (SHA-256, hex) mean equal content."""

    id: str
    type: str
    occurred_at: str | UnsetType
    payload: Raw
    digest: str


class _InvalidValue:
    """Replaces, in a parsed body, a value that JSON parsers do not agree on. The API refuses it."""

    def __init__(self, detail: str, key: str | None = None) -> None:
        self.detail = detail
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _InvalidValue:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    duplicate = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return _InvalidValue("occurs more than once in its object: send it once", duplicate)


def _constant(name: str) -> _InvalidValue:
    return _InvalidValue(f"{name} is not JSON: send a number, a string or null")


# A number stays the text that the caller sent (Raw), so it keeps every digit.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=Raw, parse_int=Raw)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def parse(body: bytes) -> Content:
    """Return the event in a request's body. An event without an id gets a UUIDv7.

    Raises BodyTooLarge, or InvalidEvent with every fault.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(MAX_BODY_BYTES)
    text, document = _decode(body)
    try:
        posted = msgspec.convert(document, PostedEvent)
        payload = _ENCODER.encode(posted.payload)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError, RecursionError) as exc:
        raise InvalidEvent(_faults(document)) from exc
    if not _is_shallow(text) or (posted.occurred_at is not UNSET and not _is_real_time(posted.occurred_at)):
        faults = _faults(document)
        if faults:
            raise InvalidEvent(faults)
    fields = {"id": new_id() if posted.id is UNSET else posted.id, "type": posted.type, "payload": Raw(payload)}
    if posted.occurred_at is not UNSET:
        fields["occurred_at"] = posted.occurred_at
    # A change of this form changes the digests of all stored events.
    digest = hashlib.sha256(_ENCODER.encode(fields)).hexdigest()
    return Content(**{"occurred_at": UNSET, **fields, "digest": digest})


def is_id(text: str) -> bool:
    """Tell whether an event can have this id."""
    return _matches(text, Id)


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562, method 3: the 12 bits after the milliseconds are a fraction of a millisecond)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)))


def _decode(body: bytes) -> tuple[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidEvent([Fault("", f"is not UTF-8 at byte {exc.start}")]) from exc
    if text.startswith("\ufeff"):
        raise InvalidEvent([Fault("", "starts with a byte order mark, which JSON does not allow: remove it")])
    try:
        return text, _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise InvalidEvent([Fault("", f"is not JSON at line {exc.lineno}, column {exc.colno}: {exc.msg}")]) from exc
    except RecursionError as exc:
        raise InvalidEvent([Fault("", _TOO_DEEP)]) from exc


def _is_shallow(text: str) -> bool:
    """Tell whether a text has too few brackets to be nested too deeply."""
    return text.count("{") + text.count("[") <= MAX_DEPTH


def _is_real_time(text: str) -> bool:
    """Tell whether an RFC 3339 text is a real time: no 30 February, and second 60 only for a leap second in UTC."""
    day_and_minute, second, rest = text[:17].upper(), text[17:19], text[19:].upper()
    try:
        parsed = datetime.fromisoformat(day_and_minute + ("59" if second == "60" else second) + rest)
        return second != "60" or (parsed.astimezone(UTC) + timedelta(seconds=1)).strftime("%d%H%M%S") == "01000000"
    except (ValueError, OverflowError):
        return False


def _faults(document: Any) -> list[Fault]:
    """Return the faults of a parsed body: at most one more than a response shows."""
    return list(itertools.islice(_each_fault(document), InvalidEvent.MOST_FAULTS + 1))


def _each_fault(document: Any) -> Iterator[Fault]:
    if isinstance(document, _InvalidValue):
        yield from _faults_within(document, ())
        return
    if not isinstance(document, dict):
        yield Fault("", "must be a JSON object")
        return
    schema = msgspec.json.schema(PostedEvent)["$defs"]["PostedEvent"]
    for name in [name for name in document if name not in schema["properties"]]:
        yield Fault(_pointer((name,)), f"is not a field of an event; the fields are {', '.join(schema['properties'])}")
    for field in msgspec.structs.fields(PostedEvent):
        pointer, rule = f"/{field.name}", schema["properties"][field.name]["description"]
        if field.name not in document:
            if field.required:
                yield Fault(pointer, f"is missing; it must be {rule}")
            continue
        value = document[field.name]
        if field.name == "payload" and isinstance(value, (dict, _InvalidValue)):
            yield from _faults_within(value, ("payload",))
        elif not _matches(value, field.type) or (field.name == "occurred_at" and not _is_real_time(value)):
            yield Fault(pointer, f"must be {rule}")


def _matches(value: Any, field_type: Any) -> bool:
    try:
        msgspec.convert(value, field_type)
    except msgspec.ValidationError:
        return False
    return True


def _faults_within(value: Any, path: tuple[str, ...]) -> Iterator[Fault]:
    """Yield the faults inside the value at a path of keys. Its nesting level is the length of the path."""
    if isinstance(value, _InvalidValue):
        yield Fault(_pointer(path if value.key is None else (*path, value.key)), value.detail)
    elif isinstance(value, str):
        if not _is_unicode(value):
            yield Fault(_pointer(path), "has half of a surrogate pair: send whole characters")
    elif isinstance(value, (dict, list)):
        if len(path) > MAX_DEPTH:
            yield Fault(_pointer(path), _TOO_DEEP)
            return
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            member = (*path, str(key))
            if not _is_unicode(member[-1]):
                yield Fault(_pointer(member), "has half of a surrogate pair in its key: send whole characters")
            yield from _faults_within(child, member)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pointer(path: tuple[str, ...]) -> str:
    """Return the JSON pointer to a path. A long pointer is cut at MAX_POINTER characters."""
    pointer = ""
    for key in path:
        part = key.encode(errors="backslashreplace").decode().replace("~", "~0").replace("/", "~1")
        if len(pointer) + len(part) >= MAX_POINTER:
            break
        pointer += f"/{part}"
    return pointer
