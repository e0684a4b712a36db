"""Bodies that the API takes and refuses, one table for all who check it: the handler's tests and the gateway's."""

import json
from typing import Any, NamedTuple

from chalicelib.event import MAX_BODY_BYTES

IDS = ["a", "7", "order-1001", "A.b_c~d:e-f", "x" * 128, "01a20530-5ba6-7851-9958-e2cdec0ad88e"]
NOT_IDS = ["", "-a", ".a", "x" * 129, "a b", "a/b", "a\n", "é", "a%20b", 5, None, True, ["a"], {"a": 1}]

TYPES = ["t", "test_event", "order.paid.v2", "Order-Paid", "a.1.2", "x" * 128]
NOT_TYPES = ["", "1a", "_a", "-a", ".a", "a.", "a..b", "a b", "a\n", "é", "x" * 129, 5, None, False, ["a"], {}]

NOT_PAYLOADS = [None, True, 1, 1.5, "{}", [], [{}]]

MOMENTS = [
    "2026-01-31T09:30:00Z",
    "2026-01-31t09:30:00z",
    "2026-01-31T09:30:00.5+08:00",
    "2024-02-29T00:00:00.123456789012-00:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "2016-12-31T23:59:60Z",
    "2017-01-01T07:59:60.5+08:00",
]
NOT_MOMENTS = [
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
]

# JSON texts of payloads that must come back with the same value.
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

# JSON texts (and what is not JSON) in the place of a payload's value that must be refused; pointers are of the faults.
UNKEPT = [
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

# Bodies that are not the JSON text of one object.
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


class Bad(NamedTuple):
    """A body that is refused with 400: where its fault is, and whether the gateway's model refuses it too."""

    body: bytes
    pointer: str
    by_gateway: bool


def posted(**fields: Any) -> bytes:
    """Return a body as a caller sends it."""
    return json.dumps({"type": "test_event", "payload": {}, **fields}).encode()


def with_payload(text: str) -> bytes:
    """Return a body with a payload as it is written."""
    return f'{{"type": "test_event", "payload": {text}}}'.encode()


# What a pattern cannot say of a moment.
BEYOND_A_PATTERN = [
    "2026-02-30T00:00:00Z",
    "2025-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-31T09:30:60Z",
    "0000-01-01T00:00:00Z",
]

# Whole bodies, for what checks them before the handler does.
GOOD = [
    posted(),
    posted(id="order-1001", occurred_at="2026-01-31T09:30:00Z"),
    b' \t\r\n{"payload": {}, "\\u0074ype": "\\u0061"}\n',
    *[posted(id=event_id) for event_id in IDS],
    *[posted(type=event_type) for event_type in TYPES],
    *[posted(occurred_at=moment) for moment in MOMENTS],
    *[with_payload(text) for text in LOSSLESS],
    with_payload('{"a":[' + "1" * 5000 + ",0." + "1" * 5000 + ",1e99999999999]}"),
    with_payload('{"": "\u007f \ufffd \u2028 \uffff \U0010ffff"}'),
    posted(payload={"fill": "x" * (MAX_BODY_BYTES - len(posted(payload={"fill": ""})))}),
]
BAD = [
    *[Bad(body, "", True) for body in NOT_OBJECTS],
    Bad(b"{}", "/type", True),
    Bad(b'{"payload": {}}', "/type", True),
    Bad(b'{"type": "a"}', "/payload", True),
    Bad(b'{"type": "a", "type": "a", "payload": {}}', "/type", False),
    *[Bad(posted(**{name: "a"}), f"/{name}", True) for name in ("occured_at", "created_at", "Id")],
    *[Bad(posted(id=event_id), "/id", True) for event_id in NOT_IDS],
    *[Bad(posted(type=event_type), "/type", True) for event_type in NOT_TYPES],
    *[Bad(posted(payload=payload), "/payload", True) for payload in NOT_PAYLOADS],
    *[Bad(posted(occurred_at=moment), "/occurred_at", moment not in BEYOND_A_PATTERN) for moment in NOT_MOMENTS],
    *[Bad(with_payload(text), pointer, False) for text, pointer in UNKEPT],
]
