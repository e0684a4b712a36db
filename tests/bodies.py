"""Bodies of POST /events, good and bad: one table for the handler, for the gateway's model and for a whole API."""

import json
from typing import Any, NamedTuple

from chalicelib.event import MAX_BODY_BYTES, MAX_DEPTH


class Bad(NamedTuple):
    """A body that is refused with 400: where its fault is, and whether the gateway's model refuses it too."""

    body: bytes
    pointer: str
    by_gateway: bool


def posted(**fields: Any) -> bytes:
    """Return a body as a caller sends it; a field that is None is left out."""
    whole = {"type": "order.paid", "payload": {}, **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def with_payload(text: str) -> bytes:
    """Return a body with a payload as it is written, where Python has no value for it."""
    return f'{{"type": "order.paid", "payload": {text}}}'.encode("utf-8", "surrogatepass")


def nested(depth: int) -> str:
    """Return a payload of so many objects and arrays in one another."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def of_size(size: int) -> bytes:
    """Return a body of so many bytes."""
    return posted(payload={"fill": "x" * (size - len(posted(payload={"fill": ""})))})


GOOD: dict[str, bytes] = {
    "the fewest fields": posted(),
    "all fields": posted(id="order-1001", payload={"total": 42.5}, occurred_at="2026-01-31T09:30:00.000+08:00"),
    "white space around": b" \t\r\n" + posted() + b"\n",
    "fields in another order": b'{"payload": {"b": 1, "a": 2}, "type": "a"}',
    "an id of one character": posted(id="0"),
    "an id of 128 characters, all kinds": posted(id="aZ09._~:-".ljust(128, "x")),
    "a type of one letter": posted(type="t"),
    "a type of 128 characters": posted(type="t" * 128),
    "a type with words that begin with any of their characters": posted(type="a-_.0.-._"),
    "an escaped field name and value": b'{"\\u0074ype": "\\u0061", "payload": {}}',
    "occurred_at in lower case": posted(occurred_at="2026-01-31t09:30:00z"),
    "occurred_at west of Greenwich": posted(occurred_at="2026-01-31T09:30:00-23:59"),
    "occurred_at with a long fraction": posted(occurred_at="2026-01-31T09:30:00.12345678901234567890Z"),
    "occurred_at at a leap second": posted(occurred_at="2016-12-31T23:59:60Z"),
    "occurred_at on 29 February": posted(occurred_at="2024-02-29T00:00:00+00:00"),
    "every kind of JSON value": with_payload('{"a": [null, true, false, 0, "", {}, []]}'),
    "numbers as they are written": with_payload('{"a": [1.0, 0.1, -0, -0.0, 1e400, 1E+2, 1e-400]}'),
    "numbers with many digits": with_payload('{"a": [' + "1" * 5000 + ", 0." + "1" * 5000 + "]}"),
    "all of Unicode": with_payload('{"": "\u007f \u00e9 \u2028 \ufffd \uffff \U0001f600 \U0010ffff"}'),
    "all of Unicode, escaped": posted(payload={"\0": "\0 \u00e9 \u2028 \ufffd \uffff \U0001f600 \U0010ffff"}),
    "field names of an event in the payload": posted(payload={"id": 1, "type": None, "payload": [], "extra": "x"}),
    "as deep as may be": with_payload(nested(MAX_DEPTH)),
    "many brackets, none deep": with_payload('{"a": [' + ", ".join(["[]"] * 100) + "]}"),
    "as large as may be": of_size(MAX_BODY_BYTES),
}

BAD: dict[str, Bad] = {
    "no body": Bad(b"", "", True),
    "not JSON": Bad(b"type=order.paid", "", True),
    "JSON cut off": Bad(posted()[:-1], "", True),
    "two JSON values": Bad(posted() + b"{}", "", True),
    "a trailing comma": Bad(b'{"type": "a", "payload": {},}', "", True),
    "not UTF-8": Bad(b'{"type": "a", "payload": {"a": "\xff"}}', "", True),
    "UTF-16": Bad(posted().decode().encode("utf-16-be"), "", True),
    "null": Bad(b"null", "", True),
    "a string": Bad(b'"order.paid"', "", True),
    "an array": Bad(b"[" + posted() + b"]", "", True),
    "no fields": Bad(b"{}", "/type", True),
    "no type": Bad(posted(type=None), "/type", True),
    "no payload": Bad(posted(payload=None), "/payload", True),
    "an unknown field": Bad(posted(occured_at="2026-01-31T09:30:00Z"), "/occured_at", True),
    "a field of the server's": Bad(posted(created_at="2026-01-31T09:30:00.000Z"), "/created_at", True),
    "a field in capitals": Bad(posted(Id="a"), "/Id", True),
    "a type that is a number": Bad(posted(type=1), "/type", True),
    "an empty type": Bad(posted(type=""), "/type", True),
    "a type that begins with a digit": Bad(posted(type="1a"), "/type", True),
    "a type with an empty word": Bad(posted(type="order..paid"), "/type", True),
    "a type that ends with a dot": Bad(posted(type="order."), "/type", True),
    "a type with a space": Bad(posted(type="order paid"), "/type", True),
    "a type with a last newline": Bad(posted(type="order.paid\n"), "/type", True),
    "a type with a letter beyond ASCII": Bad(posted(type="ordr\u00e9"), "/type", True),
    "a type of 129 characters": Bad(posted(type="t" * 129), "/type", True),
    "a payload that is an array": Bad(posted(payload=[]), "/payload", True),
    "a payload that is a string": Bad(posted(payload="{}"), "/payload", True),
    "a payload that is null": Bad(with_payload("null"), "/payload", True),
    "an id that is null": Bad(b'{"type": "a", "payload": {}, "id": null}', "/id", True),
    "an id that is a number": Bad(posted(id=1), "/id", True),
    "an empty id": Bad(posted(id=""), "/id", True),
    "an id that begins with a dot": Bad(posted(id=".a"), "/id", True),
    "an id with a slash": Bad(posted(id="a/b"), "/id", True),
    "an id with a last newline": Bad(posted(id="a\n"), "/id", True),
    "an id of 129 characters": Bad(posted(id="a" * 129), "/id", True),
    "occurred_at without an offset": Bad(posted(occurred_at="2026-01-31T09:30:00"), "/occurred_at", True),
    "occurred_at without seconds": Bad(posted(occurred_at="2026-01-31T09:30Z"), "/occurred_at", True),
    "occurred_at with a space": Bad(posted(occurred_at="2026-01-31 09:30:00Z"), "/occurred_at", True),
    "occurred_at in epoch seconds": Bad(posted(occurred_at=1769823000), "/occurred_at", True),
    "occurred_at at 24:00": Bad(posted(occurred_at="2026-01-31T24:00:00Z"), "/occurred_at", True),
    "occurred_at on 30 February": Bad(posted(occurred_at="2026-02-30T09:30:00Z"), "/occurred_at", False),
    "occurred_at at a leap second that is none": Bad(posted(occurred_at="2026-01-31T09:30:60Z"), "/occurred_at", False),
    "NaN": Bad(with_payload('{"a": NaN}'), "/payload/a", False),
    "Infinity": Bad(with_payload('{"a": -Infinity}'), "/payload/a", False),
    "a key twice": Bad(with_payload('{"a": 1, "a": 1}'), "/payload/a", False),
    "a field twice": Bad(b'{"type": "a", "type": "a", "payload": {}}', "/type", False),
    "half a surrogate pair": Bad(with_payload('{"a": "\\ud83d"}'), "/payload/a", False),
    "half a surrogate pair, as bytes": Bad(with_payload('{"a": "\ud83d"}'), "", True),
    "one level too deep": Bad(with_payload(nested(MAX_DEPTH + 1)), "/payload/a" + "/0" * (MAX_DEPTH - 1), False),
}

TOO_LARGE = of_size(MAX_BODY_BYTES + 1)
