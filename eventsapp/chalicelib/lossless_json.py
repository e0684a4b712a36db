"""JSON that loses nothing: numbers keep every digit, and values that JSON readers disagree on are marked. Pure."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw

MAX_DEPTH = 64  # levels of objects and arrays; the payload is level 1
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"


class NotJson(Exception):
    """Raised when a body is not JSON text in UTF-8; the message says where and why."""


class InvalidValue:
    """Marks a value in a parsed body that not every JSON reader keeps, such as NaN."""

    def __init__(self, detail: str) -> None:
        """`detail` says what to do."""
        self.detail = detail


class RepeatedKeys:
    """Marks an object in which keys occur more than once: JSON readers disagree on their values."""

    DETAIL = "occurs more than once in its object: send it once"

    def __init__(self, keys: list[str], members: dict[str, Any]) -> None:
        """`members` are the others, whose key occurs once."""
        self.keys = keys
        self.members = members


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | RepeatedKeys:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    times = Counter(key for key, _ in pairs)
    once = {key: value for key, value in members.items() if times[key] == 1}
    return RepeatedKeys([key for key in times if times[key] > 1], once)


def _constant(name: str) -> InvalidValue:
    return InvalidValue(f"{name} is not JSON: send a number, a string or null")


# msgspec's own parser rounds long numbers and does not report repeated keys. Raw keeps a number as the text it came as.
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=Raw, parse_int=Raw)
# A string without its second quote is at the end. To try each of its quotes as a first one would take hours.
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)
_ENCODER = msgspec.json.Encoder(order="sorted")  # also sorts the fields of a Struct


def decode(body: bytes) -> tuple[Any, bool]:
    """Return the value of a JSON text, and whether it may be nested too deeply. Raises NotJson."""
    text = _text(body)
    try:
        return _DECODER.decode(text), _may_be_too_deep(text)
    except (json.JSONDecodeError, RecursionError) as exc:
        raise _not_json(exc) from exc


def decode_array(body: bytes, most: int) -> list[tuple[Any, bool, int]]:
    """Return the elements of a JSON array: the value, whether it may be nested too deeply, and its size in bytes.

    The body starts with a bracket. Elements after the first `most` are not read. Raises NotJson.
    """
    text = _text(body)
    try:
        return list(itertools.islice(_elements(text), most))
    except json.JSONDecodeError as exc:
        raise _not_json(exc) from exc


def _elements(text: str) -> Iterator[tuple[Any, bool, int]]:
    """Yield what decode_array returns. Raises JSONDecodeError."""
    end = _skip_space(text, _skip_space(text, 0) + 1)
    while text[end : end + 1] != "]":
        try:
            value, after = _DECODER.raw_decode(text, end)
        except RecursionError:
            value, after = InvalidValue(TOO_DEEP), _end_of_value(text, end)
        element = text[end:after]
        yield value, _may_be_too_deep(element), len(element.encode())
        end = _skip_space(text, after)
        if text[end : end + 1] == ",":
            end = _skip_space(text, end + 1)
            if text[end : end + 1] == "]":
                raise json.JSONDecodeError("Expecting value", text, end)
        elif text[end : end + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    end = _skip_space(text, end + 1)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)


def _end_of_value(text: str, start: int) -> int:
    """Return the end of an object or array that is nested too deeply for the parser. Raises JSONDecodeError."""
    depth = 0
    for part in _STRINGS_AND_BRACKETS.finditer(text, start):
        depth += (part[0] in "[{") - (part[0] in "]}")
        if depth == 0:
            return part.end()
    raise json.JSONDecodeError("Expecting the end of a value", text, start)


def _text(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise NotJson(f"is not UTF-8 at byte {exc.start}") from exc
    if text.startswith("\ufeff"):
        raise NotJson("starts with a byte order mark, which JSON does not allow: remove it")
    return text


def _skip_space(text: str, start: int) -> int:
    """Return the index of the first character from `start` on that is not white space."""
    return json.decoder.WHITESPACE.match(text, start).end()


def _may_be_too_deep(text: str) -> bool:
    return text.count("{") + text.count("[") > MAX_DEPTH


def _not_json(error: json.JSONDecodeError | RecursionError) -> NotJson:
    if isinstance(error, RecursionError):
        return NotJson(TOO_DEEP)
    return NotJson(f"is not JSON at line {error.lineno}, column {error.colno}: {error.msg}")


def canonical(value: Any) -> bytes:
    """Return the one text of a value: keys sorted, no white space, numbers as they came.

    Raises TypeError for a value with an InvalidValue or RepeatedKeys in it, UnicodeEncodeError for half a surrogate
    pair, and RecursionError. Changing this form changes the digest of every stored event.
    """
    return _ENCODER.encode(value)
