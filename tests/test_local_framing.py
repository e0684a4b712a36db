"""Generated HTTP: a valid request gets its response; anything else gets one error and the end of the connection."""

import json
import re
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from processes import LocalProcess
from raw_http import exchange, problem
from targets import an_event, get

SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
REFUSALS = {400, 413, 414, 421, 431, 501, 505}

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAMES = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20).map(lambda name: f"X-{name}".encode())
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=40)
SPACE = st.text(" \t", max_size=3).map(str.encode)


class Framing(NamedTuple):
    """How a body is sent: the headers for it, and the bytes."""

    headers: bytes
    body: bytes


@st.composite
def header_lines(draw: st.DrawFn) -> bytes:
    """Lines that every server must accept."""
    values = VALUES.filter(lambda value: value == value.strip("\x85\xa0")).map(lambda value: value.encode("latin-1"))
    lines = draw(st.lists(st.tuples(NAMES, SPACE, values, SPACE), max_size=6))
    return b"".join(b"%s:%s%s%s\r\n" % line for line in lines)


@st.composite
def chunks(draw: st.DrawFn, body: bytes, sizes: st.SearchStrategy[str]) -> bytes:
    """A body in chunks of any size, with extensions."""
    cuts = sorted(draw(st.lists(st.integers(1, len(body) - 1), max_size=4, unique=True)))
    parts = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)])]
    extension = draw(st.sampled_from([b"", b";a=b", b';a="b c"']))
    return b"".join(
        draw(sizes).format(len(part)).encode() + extension + b"\r\n" + part + b"\r\n" for part in parts
    )


@st.composite
def clear_framing(draw: st.DrawFn, body: bytes) -> Framing:
    """A body whose length every server reads in the same way."""
    if draw(st.booleans()):
        length = b"Content-Length:%s%d%s\r\n" % (draw(SPACE), len(body), draw(SPACE))
        return Framing(length * draw(st.integers(1, 2)), body)
    trailer = draw(st.sampled_from([b"", b"X-Trailer: a\r\n"]))
    sent = draw(chunks(body, st.sampled_from(["{:x}", "{:X}", "0{:x}"]))) + b"0\r\n" + trailer + b"\r\n"
    return Framing(draw(st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"transfer-encoding:CHUNKED\r\n"])), sent)


# Requests whose body has a length that two servers may read differently, or nobody can. `filled` fills them in.
TEXTS = [
    b"x", b"-1", b"+<length>", b"0x<hex>", b"<length>, 1", b"<length> 1", b"<length>.0", b"1_<length>", b"",
    b"<length>\xb2",
]  # fmt: skip
CODINGS = [
    b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"gzip", b"identity", b"xchunked", b"chunked;q=1", b"",
]  # fmt: skip
SIZES = [b"-1", b"+1", b"0x1", b"g", b" 1", b"", b"1" * 30]
NO_HEADERS = [  # a value may have other control characters (RFC 9110, 5.5)
    b"<name>", b"<name> : x", b": x", b"<name>\xe9: x", b"a\0<name>: x", b"a\r<name>: x", b"a\x01<name>: x",
    b"a: b\0<name>", b"a: b\r<name>",
]  # fmt: skip
LENGTH, CHUNKED = b"Content-Length: <length>\r\n", b"Transfer-Encoding: chunked\r\n"
UNCLEAR = [
    *(Framing(b"Content-Length: %s\r\n" % text, b"<body>") for text in TEXTS),
    Framing(LENGTH + b"Content-Length: <longer>\r\n", b"<body>"),
    *(Framing(b"Transfer-Encoding: %s\r\n" % coding, b"<chunks>") for coding in CODINGS),
    Framing(CHUNKED + CHUNKED, b"<chunks>"),
    Framing(CHUNKED + LENGTH, b"<chunks>"),
    Framing(LENGTH + CHUNKED, b"<chunks>"),
    Framing(CHUNKED, b"<hex>\r\n<body>X\r\n0\r\n\r\n"),
    *(Framing(CHUNKED, size + b"\r\n<body>") for size in SIZES),
    *(Framing(line + b"\r\n" + LENGTH, b"<body>") for line in NO_HEADERS),
    *(Framing(LENGTH + line + b"\r\n", b"<body>") for line in NO_HEADERS),
]


@st.composite
def filled(draw: st.DrawFn, framing: Framing, body: bytes) -> Framing:
    """A framing with the length of the body, the body itself, and a header's name in their places."""
    values = {
        b"<length>": b"%d" % len(body),
        b"<hex>": b"%x" % len(body),
        b"<longer>": b"%d" % (len(body) + draw(st.integers(1, 20))),
        b"<name>": draw(NAMES),
        b"<chunks>": draw(chunks(body, st.just("{:x}"))) + b"0\r\n\r\n",
        b"<body>": body,
    }
    headers, sent = framing
    for place, value in values.items():
        headers, sent = headers.replace(place, value), sent.replace(place, value)
    return Framing(headers, sent)


def a_request(local_process: LocalProcess, framing: Framing, lines: bytes = b"", version: str = "1.1") -> bytes:
    """Return a POST with a hidden request behind it, which stores nothing and ends the connection."""
    token = f"Authorization: Bearer {local_process.token}\r\nHost: localhost\r\n"
    head = f"POST /events HTTP/{version}\r\n{token}Content-Type: application/json\r\n".encode()
    hidden = f"GET /events/hidden HTTP/1.1\r\n{token}Connection: close\r\n\r\n".encode()
    return head + lines + framing.headers + b"\r\n" + framing.body + hidden


@SETTINGS
@given(data=st.data(), version=st.sampled_from(["1.0", "1.1"]))
def test_data_after_the_last_request_is_ignored(
    local_process: LocalProcess, data: st.DataObject, version: str
) -> None:
    """Where a client says that its request is the last one, more data neither spoils its response nor has another."""
    event = an_event()
    body = json.dumps(event).encode()
    close = data.draw(st.sampled_from([b"Connection: close\r\n", b"" if version == "1.0" else b"connection:CLOSE\r\n"]))
    framing = Framing(b"Content-Length: %d\r\n" % len(body), body + data.draw(st.sampled_from([b"\r\n", b"\0", b""])))
    responses, closed = exchange(local_process.api.host, a_request(local_process, framing, close, version))
    assert ([response.status for response in responses], closed) == ([201], True)


@SETTINGS
@given(data=st.data(), lines=header_lines())
def test_clear_request_gets_its_response(local_process: LocalProcess, data: st.DataObject, lines: bytes) -> None:
    """Whatever valid headers and framing a request has, it is stored, and the next request follows it."""
    event = an_event()
    framing = data.draw(clear_framing(json.dumps(event).encode()))
    responses, closed = exchange(local_process.api.host, a_request(local_process, framing, lines))
    assert ([response.status for response in responses], closed) == ([201, 404], True)
    assert json.loads(responses[0].body)["id"] == event["id"]


@pytest.mark.parametrize("unclear", UNCLEAR, ids=repr)
@settings(SETTINGS, max_examples=3)
@given(data=st.data(), lines=header_lines(), number=st.integers(0))
def test_unclear_request_gets_one_error(
    local_process: LocalProcess, data: st.DataObject, unclear: Framing, lines: bytes, number: int
) -> None:
    """A request whose end is not clear is refused, its event is not stored, and no hidden request is executed."""
    event = an_event(payload={"n": number})
    framing = data.draw(filled(unclear, json.dumps(event).encode()))
    responses, closed = exchange(local_process.api.host, a_request(local_process, framing, lines), half_close=True)
    assert ([response.status for response in responses], closed) in (([400], True), ([501], True))
    assert problem(responses[0])["type"] == "about:blank"
    assert get(local_process.api, event["id"]).status == 404


@SETTINGS
@given(data=st.data())
def test_chunks_in_http_1_0_are_refused(local_process: LocalProcess, data: st.DataObject) -> None:
    """HTTP/1.0 has no transfer codings, so another server would read another body."""
    event = an_event()
    body = data.draw(chunks(json.dumps(event).encode(), st.just("{:x}"))) + b"0\r\n\r\n"
    framing = Framing(b"Transfer-Encoding: chunked\r\n", body)
    request = a_request(local_process, framing, version="1.0")
    responses, closed = exchange(local_process.api.host, request)
    assert ([response.status for response in responses], closed) == ([400], True)


TARGETS = st.lists(
    st.sampled_from(
        """/ // events /events /events/ evil.example http:// https:// localhost @ : ? a=b # x ; %2F %2f.. .. . * %zz %00
        %ff \\ [ ] {event_id} | " < & +""".split()
    ),
    min_size=1,
).map("".join)
STORING = ["/events", "/events?a=b", "http://localhost/events"]


@example("POST", STORING[0])
@example("POST", STORING[1])
@example("POST", STORING[2])
@SETTINGS
@given(method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "BREW", "get", "post", "head"]), target=TARGETS)
def test_no_target_causes_a_fault(local_process: LocalProcess, method: str, target: str) -> None:
    """Any target gets one response, never a 500, and `Location` never names a host."""
    body = json.dumps(event := an_event())
    lines = f"Host: localhost\r\nAuthorization: Bearer {local_process.token}\r\nContent-Type: application/json\r\n"
    lines += f"Connection: close\r\nContent-Length: {len(body)}\r\n"
    request = f"{method} {target} HTTP/1.1\r\n{lines}\r\n{body}"
    received = exchange(local_process.api.host, request.encode())
    (status,) = received.statuses
    assert status < 500
    assert status == 201 or (method, target) not in [("POST", storing) for storing in STORING]
    if status == 201:
        assert method == "POST"
        assert received.responses[0].headers["location"] == f"/events/{event['id']}"
        assert "#" not in target
    elif method != "HEAD" and status not in (200, 304):
        problem(received.responses[0])


@example("localhost")
@SETTINGS
@given(host=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20))
def test_only_own_names_are_served(local_process: LocalProcess, host: str) -> None:
    """Any Host but the server's own names gets 421, or 400 where it is no host."""
    request = f"GET /events/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    (status,) = exchange(local_process.api.host, request).statuses
    own = re.fullmatch(rf"(127\.0\.0\.1|localhost|\[::1])(:{local_process.port})?", host.lower())
    assert status in ({401} if own else {400, 421})


@SETTINGS
@given(garbage=st.binary(max_size=200))
def test_garbage_gets_one_error(local_process: LocalProcess, garbage: bytes) -> None:
    """Bytes that are no request get one error, or none if the client stops before the end of its headers."""
    received = exchange(local_process.api.host, garbage, half_close=True)
    assert received.closed
    assert len(received.responses) <= 1
    assert set(received.statuses) <= REFUSALS


def test_server_has_logged_no_fault(local_process: LocalProcess) -> None:
    """None of these requests caused an error in the server itself."""
    assert "Traceback" not in local_process.output
