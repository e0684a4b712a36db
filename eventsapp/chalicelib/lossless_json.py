"""JSON that loses nothing: numbers keep every digit, and values that JSON readers disagree on are marked. Pure."""

import json
from collections import Counter
from typing import Any

import msgspec
from msgspec import Raw

MAX_DEPTH = 64  # levels of objects and arrays; the payload is level 1
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


class NotJson(Exception):
    """Raised when a body is not JSON text in UTF-8; the message says where and why."""


class InvalidValue:
    """Marks a value in a parsed body that not every JSON reader keeps, such as NaN or an object with a repeated key."""

    def __init__(self, detail: str, key: str | None = None) -> None:
        """`detail` says what to do; `key` is the repeated key of an object."""
        self.detail = detail
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | InvalidValue:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    duplicate = Counter(key for key, _ in pairs).most_common(1)[0][0]
    return InvalidValue("occurs more than once in its object: send it once", duplicate)


def _constant(name: str) -> InvalidValue:
    return InvalidValue(f"{name} is not JSON: send a number, a string or null")


# msgspec's own parser rounds long numbers and does not report repeated keys. Raw keeps a number as the text it came as.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=Raw, parse_int=Raw)
_ENCODER = msgspec.json.Encoder(order="sorted")  # also sorts the fields of a Struct


def decode(body: bytes) -> tuple[Any, bool]:
    """Return the value of a JSON text, and whether it may be nested too deeply. Raises NotJson."""
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise NotJson(f"is not UTF-8 at byte {exc.start}") from exc
    if text.startswith("\ufeff"):
        raise NotJson("starts with a byte order mark, which JSON does not allow: remove it")
    try:
        return _DECODER.decode(text), text.count("{") + text.count("[") > MAX_DEPTH
    except json.JSONDecodeError as exc:
        raise NotJson(f"is not JSON at line {exc.lineno}, column {exc.colno}: {exc.msg}") from exc
    except RecursionError as exc:
        raise NotJson(TOO_DEEP) from exc


def canonical(value: Any) -> bytes:
    """Return the one text of a value: keys sorted, no white space, numbers as they came.

    Raises TypeError for a value with an InvalidValue in it, UnicodeEncodeError for half a surrogate pair, and
    RecursionError. Changing this form changes the digest of every stored event.
    """
    return _ENCODER.encode(value)
