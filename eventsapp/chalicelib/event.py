"""What an event is: its fields, its limits, JSON that loses nothing, and the digest of its content. Pure."""

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
MAX_DEPTH = 64  # objects and arrays in one another, the payload itself counted
MAX_POINTER = 256  # characters of a JSON pointer in an answer

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

# `$(?!\n)`: Python's `$` also matches before a last newline, JSON Schema's does not.
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
    """An event as a caller may send it: the one declaration of the fields."""

    type: Type
    payload: Payload
    id: Id | UnsetType = UNSET
    occurred_at: Timestamp | UnsetType = UNSET


class Event(Struct, frozen=True):
    """An event as it is answered; `payload` is JSON text."""

    id: str
    type: str
    occurred_at: str | UnsetType
    created_at: str
    payload: Raw


class Content(Struct, frozen=True):
    """What a caller said, checked: `payload` is JSON text, `digest` the SHA-256 (hex) that decides on sameness."""

    id: str
    type: str
    occurred_at: str | UnsetType
    payload: Raw
    digest: str


class _Unkept:
    """Stands in a parsed body for what JSON cannot promise to carry."""

    def __init__(self, detail: str, key: str | None = None) -> None:
        self.detail = detail
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Unkept:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return _Unkept("stands more than once in its object: keep one", twice)


def _constant(name: str) -> _Unkept:
    return _Unkept(f"{name} is not JSON: send a number, a string or null")


# Numbers stay the text they came as (Raw), so that none loses a digit.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=Raw, parse_int=Raw)
_ENCODER = msgspec.json.Encoder(order="deterministic")


def parse(body: bytes) -> Content:
    """Read an event from a request's body; one without an id gets a UUIDv7.

    Raises BodyTooLarge, or InvalidEvent with the faults found.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(MAX_BODY_BYTES)
    text, document = _decode(body)
    try:
        posted = msgspec.convert(document, PostedEvent)
        payload = _ENCODER.encode(posted.payload)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError, RecursionError) as exc:
        raise InvalidEvent(_faults(document)) from exc
    if not _is_shallow(text) or (posted.occurred_at is not UNSET and not _is_moment(posted.occurred_at)):
        faults = _faults(document)
        if faults:
            raise InvalidEvent(faults)
    said = {"id": new_id() if posted.id is UNSET else posted.id, "type": posted.type, "payload": Raw(payload)}
    if posted.occurred_at is not UNSET:
        said["occurred_at"] = posted.occurred_at
    # Changing this form changes the digest of every event stored before.
    digest = hashlib.sha256(_ENCODER.encode(said)).hexdigest()
    return Content(**{"occurred_at": UNSET, **said, "digest": digest})


def is_id(text: str) -> bool:
    """Tell whether an event can have this id."""
    return _fits(text, Id)


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562, method 3: the 12 bits after the milliseconds are a fraction of one)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)))


def _decode(body: bytes) -> tuple[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidEvent([Fault("", f"is not UTF-8 at byte {exc.start}")]) from exc
    if text.startswith("\ufeff"):
        raise InvalidEvent([Fault("", "starts with a byte order mark, which is not JSON: leave it out")])
    try:
        return text, _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise InvalidEvent([Fault("", f"is not JSON at line {exc.lineno}, column {exc.colno}: {exc.msg}")]) from exc
    except RecursionError as exc:
        raise InvalidEvent([Fault("", _TOO_DEEP)]) from exc


def _is_shallow(text: str) -> bool:
    """Tell whether a text has too few brackets to be nested too deep."""
    return text.count("{") + text.count("[") <= MAX_DEPTH


def _is_moment(text: str) -> bool:
    """Tell whether an RFC 3339 form names a moment: no 30 February, and second 60 only where UTC can have it."""
    day_and_minute, second, rest = text[:17].upper(), text[17:19], text[19:].upper()
    try:
        moment = datetime.fromisoformat(day_and_minute + ("59" if second == "60" else second) + rest)
        return second != "60" or (moment.astimezone(UTC) + timedelta(seconds=1)).strftime("%d%H%M%S") == "01000000"
    except (ValueError, OverflowError):
        return False


def _faults(document: Any) -> list[Fault]:
    """Return the faults of a parsed body, at most one more than an answer shows."""
    return list(itertools.islice(_each_fault(document), InvalidEvent.MOST_FAULTS + 1))


def _each_fault(document: Any) -> Iterator[Fault]:
    if isinstance(document, _Unkept):
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
        if field.name == "payload" and isinstance(value, (dict, _Unkept)):
            yield from _faults_within(value, ("payload",))
        elif not _fits(value, field.type) or (field.name == "occurred_at" and not _is_moment(value)):
            yield Fault(pointer, f"must be {rule}")


def _fits(value: Any, declared: Any) -> bool:
    try:
        msgspec.convert(value, declared)
    except msgspec.ValidationError:
        return False
    return True


def _faults_within(value: Any, path: tuple[str, ...]) -> Iterator[Fault]:
    """Find what JSON cannot carry in the value at a path of keys, which is as deep as the path is long."""
    if isinstance(value, _Unkept):
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
    """Return the JSON pointer to a path, or to as much of it as is of use in an answer."""
    pointer = ""
    for key in path:
        part = key.encode(errors="backslashreplace").decode().replace("~", "~0").replace("/", "~1")
        if len(pointer) + len(part) >= MAX_POINTER:
            break
        pointer += f"/{part}"
    return pointer
