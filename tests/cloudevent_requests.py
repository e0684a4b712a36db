"""CloudEvents, and the requests that post them in each mode."""

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from bodies import HALF_PAIRS
from leaks import CANARY
from targets import Api, Response

CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
TEXT = "Euro € 😀 \"100 %\" \\ ;,="
SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')  # what a header has unescaped


def a_cloudevent(**members: Any) -> dict[str, Any]:
    """Return a new CloudEvent with a unique id."""
    return {
        "specversion": "1.0", "id": f"test-{uuid.uuid4()}", "source": "/tests", "type": "test_event",
        "data": {"n": 1, "note": CANARY}, **members,
    }  # fmt: skip


def header_value(value: Any) -> str:
    """Return an attribute's value as binary mode has it."""
    return quote(value if isinstance(value, str) else json.dumps(value), safe=SAFE)


def binary_headers(cloudevent: dict[str, Any]) -> dict[str, str]:
    """Return the headers of a CloudEvent in binary mode."""
    names = cloudevent.keys() - {"data", "datacontenttype"}
    attributes = {f"ce-{name}": header_value(cloudevent[name]) for name in sorted(names)}
    return {"Content-Type": cloudevent.get("datacontenttype", "application/json"), **attributes}


def post_structured(api: Api, cloudevent: dict[str, Any] | bytes, **headers: str) -> Response:
    """Post a CloudEvent in structured mode. Keywords are further headers."""
    body = cloudevent if isinstance(cloudevent, bytes) else json.dumps(cloudevent).encode()
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request("POST", "/events", body, {"Content-Type": CLOUDEVENT, **more})


def post_binary(api: Api, cloudevent: dict[str, Any], **headers: str) -> Response:
    """Post a CloudEvent in binary mode. Keywords are further headers."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request(
        "POST", "/events", json.dumps(cloudevent["data"]).encode(), {**binary_headers(cloudevent), **more}
    )


def post_batch(api: Api, *cloudevents: Any) -> Response:
    """Post CloudEvents as a batch."""
    return api.request("POST", "/events", json.dumps(cloudevents).encode(), {"Content-Type": CLOUDEVENTS})


def status_and_etag(response: Response) -> tuple[int, str]:
    """Return the status and the ETag of one event, also of a batch with one event."""
    if response.status == 207:
        (result,) = response.json["results"]
        return result["status"], result["etag"]
    return response.status, response.headers["etag"]


MODES: dict[str, Callable[[Api, dict[str, Any]], Response]] = {
    "structured": post_structured, "binary": post_binary, "batch": post_batch,
}  # fmt: skip

MISSING = ...  # the names of tests contain it: its text is the same in each process

# Members that make a CloudEvent invalid, and the pointers of the faults.
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    *[({name: MISSING}, [f"/{name}"]) for name in ("specversion", "id", "source", "type", "data")],
    *[({name: None}, [f"/{name}"]) for name in ("specversion", "id", "source", "type", "data")],
    *[({"specversion": version}, ["/specversion"]) for version in ("0.3", "1", "1.0.2", "", 1.0, 1)],
    *[({"id": event_id}, ["/id"]) for event_id in ("", "a b", "a/b", "é", "x" * 129, 5)],
    *[({"type": event_type}, ["/type"]) for event_type in ("", "1a", "a b", "com.example/a", 5)],
    *[({"source": source}, ["/source"]) for source in ("", "a b", "é", "a\n", "%zz", "a%2", '"', "<a>", 5, {})],
    *[({"subject": subject}, ["/subject"]) for subject in ("", "a\n", "x" * 257, "\u0085", "\ufffe", 5)],
    *[({"time": time}, ["/time"]) for time in ("", "now", "2026-01-31", "2026-02-30T00:00:00Z", "2026-01-31T09:30")],
    *[({"dataschema": uri}, ["/dataschema"]) for uri in ("", "/relative", "a b:c", 5)],
    *[
        ({"datacontenttype": media_type}, ["/datacontenttype"])
        for media_type in (
            "", "text/xml", "json", "application/jsonx", "application/json; a", "a/json,a/json",
            "application/json; charset=latin-1", 'a/json;a=b;Charset="UTF-16"', 'a/json;a="b',
        )
    ],
    *[({"data": data}, ["/data"]) for data in ("text", 1, True, [], [{}])],
    ({"data": {"a": {"b": float("nan")}}}, ["/data/a/b"]),
    ({"data": MISSING, "data_base64": "e30="}, ["/data", "/data_base64"]),
    ({"data_base64": "e30="}, ["/data_base64"]),
    *[({name: "a"}, [f"/{name}"]) for name in ("Source", "a-b", "a_b", "a.b", "é", "", "occurred_at", "created_at")],
    ({"a/b~": "a"}, ["/a~1b~0"]),
    *[({"ext": value}, ["/ext"]) for value in (1.0, 1.5, 2**31, -(2**31) - 1, 10**400, float("nan"), [], {}, ["a"])],
    *[({"ext": text}, ["/ext"]) for text in ("\0", "a\r\nb", "\u007f", "\u0085", "\ufdd0", "\uffff", "\U0010fffe")],
    *[
        ({name: text}, [f"/{name}"])
        for name in (
            "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data", "ext",
        )
        for text in HALF_PAIRS
    ],
    ({"\ud800": "a"}, ["/\\ud800"]),
    ({"data": ["\ud800"]}, ["/data"]),
    *[({name: None}, [f"/{name}"]) for name in ("FOO", "data_base64", "a-b")],
    ({"a" * 300 + "A": 1, "a" * 300 + "B": 1}, [f"/{'a' * 254}…"]),
    ({"source": "", "id": "", "A": 1, "time": "x"}, ["/A", "/id", "/source", "/time"]),
]

# Values of headers in binary mode, and what they mean.
HEADERS = [
    ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
    ("Euro%20%e2%82%ac", "Euro €"),
    ("%41%25", "A%"),
    ("two words", "two words"),
    ('"two words"', "two words"),
    (r'"a \"quoted\" \\ %25 word"', r'a "quoted" \ % word'),
    ('""', ""),
    ("a+b", "a+b"),
    ("%2520", "%20"),
]
WRONG_HEADERS = [
    "%", "%4", "%zz", "%C0%A0", "%ED%A0%80", "%FF", "%00", "a%0D%0Ab: c", "%C2%85", 'a"b', '"a', '"a\\"', '"a" "b"',
    "\xe9", "caf\xc3\xa9",
]  # fmt: skip

# Accept headers, and the media type of the response.
PLAIN = "application/json"
ACCEPTS = [
    (CLOUDEVENT, CLOUDEVENT),
    (CLOUDEVENT.upper(), CLOUDEVENT),
    (f"{CLOUDEVENT}; charset=utf-8", CLOUDEVENT),
    (f"{CLOUDEVENT}, */*", CLOUDEVENT),
    (f"*/*, {CLOUDEVENT}", CLOUDEVENT),
    (f"{CLOUDEVENT}, {PLAIN}", CLOUDEVENT),
    (f"{PLAIN};q=0.9,{CLOUDEVENT}", CLOUDEVENT),
    (f"{PLAIN};q=0.1 , text/html , {CLOUDEVENT} ; Q=0.2", CLOUDEVENT),
    (f"application/*, {PLAIN};q=0.5", PLAIN),
    (f"text/html, {PLAIN};q=0.9, */*", PLAIN),
    (f"*/*, {PLAIN};q=0", PLAIN),
    (f"{CLOUDEVENT};q=0.1, {PLAIN};q=0", CLOUDEVENT),
    (f'{CLOUDEVENT};a=";q=0"', CLOUDEVENT),
    (f'{PLAIN};a="b,{CLOUDEVENT};q=1,c"', PLAIN),
    (f'{PLAIN};a="b\\",{CLOUDEVENT},c', PLAIN),
    (f"{CLOUDEVENT};q=0.001", CLOUDEVENT),
    (f"{CLOUDEVENT};q=0.8, {PLAIN}", PLAIN),
    (f"{CLOUDEVENT};q=0.5, */*", PLAIN),
    (f"{CLOUDEVENT};q=0.5, */*;q=0.5", CLOUDEVENT),
    (f"{CLOUDEVENT};q=0", PLAIN),
    (f"{CLOUDEVENT};q=0, {PLAIN};q=0", PLAIN),
    (f"{CLOUDEVENT};q=2", PLAIN),
    (f"{CLOUDEVENT};q=0.1234", PLAIN),
    (f"{CLOUDEVENT};q=", PLAIN),
    (CLOUDEVENTS, PLAIN),
    ("application/*", PLAIN),
    ("*/*", PLAIN),
    (PLAIN, PLAIN),
    ("text/html", PLAIN),
    ("", PLAIN),
    (",;,q=", PLAIN),
]


def changed(change: dict[str, Any]) -> dict[str, Any]:
    """Return a new CloudEvent with other members. MISSING removes a member."""
    return {name: value for name, value in {**a_cloudevent(), **change}.items() if value is not MISSING}
