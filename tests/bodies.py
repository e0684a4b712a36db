"""Bodies that the API accepts and refuses. The tests of the handler and of API Gateway's model share this table."""

import json
from typing import Any, NamedTuple

from chalicelib.event import MAX_BODY_BYTES

HALF_PAIRS = ["\ud800", "a\udc00\ud800"]  # texts with half a surrogate pair

IDS = ["a", "7", "order-1001", "A.b_c~d:e-f", "x" * 128, "01a20530-5ba6-7851-9958-e2cdec0ad88e"]
NOT_IDS = ["", "-a", ".a", "x" * 129, "a b", "a/b", "a\n", "é", "a%20b", 5, None, True, ["a"], {"a": 1}, *HALF_PAIRS]

TYPES = ["t", "test_event", "order.paid.v2", "Order-Paid", "a.1.2", "x" * 128]
NOT_TYPES = [
    "", "1a", "_a", "-a", ".a", "a.", "a..b", "a b", "a\n", "é", "x" * 129, 5, None, False, ["a"], {}, *HALF_PAIRS,
]  # fmt: skip

SUBJECTS = ["a", " ", "orders/1001", "\u0080", "\u2028", "a\u0085", "é" * 256, "\U0001f600" * 256, "\uffff", '"$']
NOT_SUBJECTS = ["", "\0", "a\n", "\na", "a\r", "a\tb", "\u001f", "\u007f", "x" * 257, "\U0001f600" * 257, 5, None, {}]

NOT_PAYLOADS = [None, True, 1, 1.5, "{}", [], [{}], *HALF_PAIRS, HALF_PAIRS, [{"\ud800": 1}]]

TIMES = [
    "2026-01-31T09:30:00Z",
    "2026-01-31t09:30:00z",
    "2026-01-31T09:30:00.5+08:00",
    "2024-02-29T00:00:00.123456789012-00:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "2016-12-31T23:59:60Z",
    "2017-01-01T07:59:60.5+08:00",
]
INVALID_TIMES = [
    "",
    "2026-01-31",
    "2026-01-31T09:30:00",
    "2026-01-31 09:30:00Z",
    "2026-01-31T09:30Z",
    "2026-01-31T9:30:00Z",
    "2026-01-31T09:30:00.Z",
    "2026-01-31T09:30:00,5Z",
    "2026-01-31T09:30:00+0800",
    "2026-01-31T09:30:00+24:00",
    "2026-01-31T09:30:00Z\n",
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T09:60:00Z",
    "2026-01-31T09:30:61Z",
    "2026-01-31T09:30:60Z",
    "0000-01-01T00:00:00Z",
    "20260131T093000Z",
    "2026-W05-6T09:30:00Z",
    "٢٠٢٦-01-31T09:30:00Z",
    1769850600,
    None,
    ["2026-01-31T09:30:00Z"],
    *HALF_PAIRS,
]

# Payloads that the API returns with the same value.
LOSSLESS = [
    "{}",
    '{"a":1.0}',
    '{"a":0.1}',
    '{"a":[0,-0,0.0,-0.0,0e0,1E5,1e+5,1e-400,1e400,-1e400]}',
    '{"a":' + "123456789" * 30 + "}",
    '{"a":0.' + "987654321" * 30 + "}",
    '{"a":9007199254740993,"b":18446744073709551616}',
    '{"":"","a":[],"o":{},"n":null,"t":true,"f":false}',
    '{"a":[[],[[]],{"":{}}]}',
    '{"s":"\\u0000\\u001f\\u007f\\u0080\\u2028\\u2029\\uffff"}',
    '{"s":"\\ud83d\\ude00 \U0001f600 \U0010ffff","\U0001f600":1}',
    '{"s":"e\\u0301 é","tab\\t\\"\\\\\\/":"\\b\\f\\n\\r\\t"}',
    '{ "spaced" :\t[ 1 ,\n2 ] }',
    '{"b":1,"a":2,"A":3}',
    '{"id":"inner","type":7,"payload":null,"__type":"x","S":{"N":"1"}}',
    '{"a":' * 63 + '{"deep":64}' + "}" * 63,
    '{"a":[' + '[' * 62 + ']' * 62 + ']}',
    '{"brackets":"' + "[{" * 500 + '"}',
]

# Payloads that the API refuses, some of them not JSON, and the pointer of the fault.
REFUSED_PAYLOADS = [
    ('{"a":NaN}', "/payload/a"),
    ('{"a":[1,Infinity]}', "/payload/a/1"),
    ('{"a":-Infinity}', "/payload/a"),
    ('{"a":1,"a":2}', "/payload/a"),
    ('{"a":{"b":1,"\\u0062":1}}', "/payload/a/b"),
    ('{"a":"\\ud800"}', "/payload/a"),
    ('{"a":["\\udc00\\ud800"]}', "/payload/a/0"),
    ('{"\\ud800":1}', "/payload/\\ud800"),
    ('{"a/b~c":NaN}', "/payload/a~1b~0c"),
    ('{"a":' * 64 + "{}" + "}" * 64, "/payload" + "/a" * 64),
    ('{"a":[' + "[" * 63 + "]" * 63 + "]}", "/payload/a" + "/0" * 63),
]

# Bodies that are not one JSON object.
NOT_OBJECTS = [
    b"",
    b" ",
    b"null",
    b"[]",
    b'"{}"',
    b"1",
    b"{",
    b"{}{}",
    b"{'type':'a'}",
    b'{"type":"a",}',
    b'{"type":"a" "payload":{}}',
    b'{"type":"a","payload":{"n":01}}',
    b'{"type":"a","payload":{"n":+1}}',
    b'{"type":"a","payload":{"n":1.}}',
    b'{"type":"a","payload":{"n":0x1}}',
    b'{"type":"a","payload":{"s":"\n"}}',
    b'{"type":"a","payload":{"s":"\\x"}}',
    b'{"type":"a","payload":{}}\x00',
    b'\xef\xbb\xbf{"type":"a","payload":{}}',
    b'{"type":"a","payload":{"s":"\xff"}}',
    b'{"type":"a","payload":{"s":"\xed\xa0\x80"}}',
    b'{"type":"a","payload":{"s":"\xc0\x80"}}',
    '{"type":"a","payload":{}}'.encode("utf-16"),
    b"[" * 100_000,
    b'{"a":' * 50_000,
]


class InvalidBody(NamedTuple):
    """A body that gets 400, the pointer of its fault, and whether JSON Schema can express the rule."""

    body: bytes
    pointer: str
    refused_by_schema: bool


def body_of(**fields: Any) -> bytes:
    """Return the body of an event with these fields."""
    return json.dumps({"type": "test_event", "payload": {}, **fields}).encode()


def body_with_payload(text: str) -> bytes:
    """Return the body of an event with this payload, as JSON text."""
    return f'{{"type": "test_event", "payload": {text}}}'.encode()


# Times that no pattern can refuse.
IMPOSSIBLE_TIMES = [
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-31T09:30:60Z",
    "0000-01-01T00:00:00Z",
]

# Complete bodies, for the check before the handler.
VALID_BODIES = [
    body_of(),
    body_of(id="order-1001", occurred_at="2026-01-31T09:30:00Z"),
    b' \t\r\n{"payload": {}, "\\u0074ype": "\\u0061"}\n',
    *[body_of(id=event_id) for event_id in IDS],
    *[body_of(type=event_type) for event_type in TYPES],
    *[body_of(subject=subject) for subject in SUBJECTS],
    *[body_of(occurred_at=time) for time in TIMES],
    *[body_with_payload(text) for text in LOSSLESS],
    body_with_payload('{"a":[' + "1" * 5000 + ",0." + "1" * 5000 + ",1e99999999999]}"),
    body_with_payload('{"": "\u007f \ufffd \u2028 \uffff \U0010ffff"}'),
    body_of(payload={"fill": "x" * (MAX_BODY_BYTES - len(body_of(payload={"fill": ""})))}),
]
INVALID_BODIES = [
    *[InvalidBody(body, "", True) for body in NOT_OBJECTS],
    InvalidBody(b"{}", "/type", True),
    InvalidBody(b'{"payload": {}}', "/type", True),
    InvalidBody(b'{"type": "a"}', "/payload", True),
    InvalidBody(b'{"type": "a", "type": "a", "payload": {}}', "/type", False),
    *[InvalidBody(body_of(**{name: "a"}), f"/{name}", True) for name in ("occured_at", "created_at", "Id")],
    *[InvalidBody(body_of(id=event_id), "/id", True) for event_id in NOT_IDS],
    *[InvalidBody(body_of(type=event_type), "/type", True) for event_type in NOT_TYPES],
    *[InvalidBody(body_of(subject=subject), "/subject", True) for subject in NOT_SUBJECTS],
    *[InvalidBody(body_of(subject=text), "/subject", False) for text in HALF_PAIRS],
    InvalidBody(body_of(**{"\ud800": 1}), "/\\ud800", True),
    InvalidBody(body_of(**{"x" * 300: 1}), f"/{'x' * 254}…", True),
    *[InvalidBody(body_of(payload=payload), "/payload", True) for payload in NOT_PAYLOADS],
    *[InvalidBody(body_of(occurred_at=time), "/occurred_at", time not in IMPOSSIBLE_TIMES) for time in INVALID_TIMES],
    *[InvalidBody(body_with_payload(text), pointer, False) for text, pointer in REFUSED_PAYLOADS],
]
