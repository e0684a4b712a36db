"""The rules for a batch: its limits, and events that fail alone."""

import json
import time

import pytest
from bodies import INVALID_BODIES, VALID_BODIES
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import batch, event
from chalicelib.problem import BodyTooLarge, InvalidEvent, Problem

EVENT = b'{"id":"a","type":"t","payload":{}}'


def problem_of(body: bytes) -> Problem:
    """Return the problem of a body as a whole."""
    with pytest.raises(Problem) as refused:
        batch.parse(body)
    return refused.value


def detail_of(body: bytes) -> str:
    """Return the one fault of a body as a whole. Its pointer is empty."""
    problem = problem_of(body)
    assert isinstance(problem, InvalidEvent)
    (fault,) = problem.members["errors"]
    assert fault["pointer"] == ""
    return fault["detail"]


@pytest.mark.parametrize("body", [b"[]", b" \t\r\n[", b"[1", b"[{}]"])
def test_array_is_a_batch(body: bytes) -> None:
    """A body is a batch if its first character after white space opens an array."""
    assert batch.is_batch(body)


@pytest.mark.parametrize("body", [b"", b"{}", b'"["', b"\x0b[]", b"\xef\xbb\xbf[]", b"1[", b"\x00["])
def test_other_body_is_no_batch(body: bytes) -> None:
    """A body that starts in another way is one event, or no JSON."""
    assert not batch.is_batch(body)


def test_events_are_read_as_if_sent_alone() -> None:
    """Each valid body gives the same content in a batch, in the order sent."""
    bodies = [json.dumps({"id": "a", **json.loads(body)}).encode() for body in VALID_BODIES[:3]]
    assert batch.parse(b" [ %s ]\n" % b" ,\t".join(bodies)) == [event.parse(body) for body in bodies]


@pytest.mark.parametrize("body", VALID_BODIES, ids=lambda body: ascii(body[:60]))
def test_valid_body_is_valid_in_a_batch(body: bytes) -> None:
    """A batch accepts what a single POST accepts."""
    content, last = batch.parse(b"[%s,%s]" % (body, EVENT))
    alone = event.parse(body)
    assert isinstance(content, event.Content)
    assert (content.type, bytes(content.payload)) == (alone.type, bytes(alone.payload))
    assert last == event.parse(EVENT)


def is_json(body: bytes) -> bool:
    """Tell whether a body is JSON text, by Python's own parser, which also accepts NaN and repeated keys."""
    try:
        json.loads(body.decode())
    except (ValueError, RecursionError):
        return False
    return True


@pytest.mark.parametrize("invalid", INVALID_BODIES, ids=lambda invalid: ascii(invalid.body[:60]))
def test_invalid_event_fails_alone(invalid: InvalidEvent) -> None:
    """An event that breaks a rule gets the problem of a single POST. The batch fails only if it is no JSON."""
    body = b"[%s,%s]" % (invalid.body, EVENT)
    if not is_json(invalid.body):
        assert isinstance(problem_of(body), InvalidEvent)
        return
    refused, content = batch.parse(body)
    with pytest.raises(InvalidEvent) as alone:
        event.parse(invalid.body)
    assert isinstance(refused, batch.Refused)
    assert refused.problem.body("r") == alone.value.body("r")
    assert content == event.parse(EVENT)


def test_too_large_event_fails_alone() -> None:
    """The limit of a single event counts its bytes as sent, without white space around it."""
    start, end = b'{"id":"%s","type":"t","payload":{"s":"', b'"}}'
    fill = b"\xc3\xa9" * ((event.MAX_BODY_BYTES - len(start % b"a") - len(end)) // 2)
    largest = start % b"a" + fill + b"x" * (event.MAX_BODY_BYTES - len(start % b"a") - len(end) - len(fill)) + end
    assert len(largest) == event.MAX_BODY_BYTES
    content, refused = batch.parse(b"[  %s  ,%s]" % (largest, largest.replace(b'"a"', b'"b2"')))
    assert isinstance(content, event.Content) and isinstance(refused, batch.Refused)
    assert isinstance(refused.problem, BodyTooLarge)
    assert (refused.id, refused.problem.members) == ("b2", {"limit": 262_144})


@pytest.mark.parametrize(
    ("body", "event_id"),
    [
        (b'{"id":"a"}', "a"),
        (b'{"id":"a","payload":{"n":NaN}}', "a"),
        (b'{"id":"-"}', None),
        (b'{"id":1}', None),
        (b'{"id":"\\ud800"}', None),
        (b'{"id":"a","id":"b"}', None),
        (b"{}", None),
        (b"1", None),
        (b"null", None),
        (b"[]", None),
        (b'"a"', None),
    ],
)
def test_refused_event_keeps_a_valid_id(body: bytes, event_id: str | None) -> None:
    """A refused event has the id that it sent, if that is an id."""
    (refused,) = batch.parse(b"[%s]" % body)
    assert isinstance(refused, batch.Refused) and refused.id == event_id


def test_batch_has_1_to_100_events() -> None:
    """More events, or none, are a fault of the whole body."""
    assert len(batch.parse(b"[" + b",".join([EVENT] * 100) + b"]")) == 100
    for body in (b"[]", b" [ ] ", b"[" + b",".join([EVENT] * 101) + b"]", b"[" + b"0," * 500_000 + b"0]"):
        assert detail_of(body) == "must have 1 to 100 events"


@pytest.mark.parametrize("depth", [65, 900, 1500, 40_000])
def test_deep_event_fails_alone(depth: int) -> None:
    """An event that is nested too deeply is refused, and the others are not, however deep it is."""
    nested = b'{"type":"a","payload":' + b'{"a":' * depth + b'"]}\\""' + b"}" * depth + b"}"
    deep, fine = batch.parse(b"[%s, %s]" % (nested, EVENT))
    assert isinstance(deep, batch.Refused) and isinstance(fine, event.Content)
    assert "is nested deeper than 64 levels" in str(deep.problem.members["errors"])


DEEP = b"[" * 1100  # too deep for the parser, which then looks for the end of the event
HARD = {
    "brackets": b"[" * batch.MAX_BATCH_BYTES,
    "an open string": DEEP + b'"' + b'\\"' * 60_000,
    "many strings": DEEP + b'"\\"' * 60_000,
    "many backslashes": DEEP + b'"' + b"\\" * 120_001,
}


@pytest.mark.parametrize("body", HARD.values(), ids=HARD.keys())
def test_expensive_batches_are_parsed_in_time(body: bytes) -> None:
    """A batch that never ends is refused at once, however its strings and brackets look."""
    start = time.thread_time()
    assert "Expecting the end of a value" in detail_of(body)
    assert time.thread_time() - start < 2


def test_batch_has_at_most_1_mib() -> None:
    """The limit counts all bytes, also white space."""
    fitting = b"[%s]" % EVENT + b" " * (batch.MAX_BATCH_BYTES - len(EVENT) - 2)
    assert len(batch.parse(fitting)) == 1
    problem = problem_of(fitting + b" ")
    assert isinstance(problem, BodyTooLarge) and problem.members == {"limit": 1_048_576}
    assert problem.detail == (
        "The limit is 1048576 bytes: send fewer events at a time, or store large data elsewhere and post its address."
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[", "is not JSON at line 1, column 2: Expecting value"),
        (b"[%s" % EVENT, "is not JSON at line 1, column 36: Expecting ',' delimiter"),
        (b"[%s,]" % EVENT, "is not JSON at line 1, column 37: Expecting value"),
        (b"[,%s]" % EVENT, "is not JSON at line 1, column 2: Expecting value"),
        (b"[%s\n%s]" % (EVENT, EVENT), "is not JSON at line 2, column 1: Expecting ',' delimiter"),
        (b"[%s]]" % EVENT, "is not JSON at line 1, column 37: Extra data"),
        (b"[%s]\x00" % EVENT, "is not JSON at line 1, column 37: Extra data"),
        (b"[%s}" % EVENT, "is not JSON at line 1, column 36: Expecting ',' delimiter"),
        (b"[%s,\xff]" % EVENT, "is not UTF-8 at byte 36"),
        (b"[" * 100_000, "is not JSON at line 1, column 2: Expecting the end of a value"),
    ],
)
def test_body_that_is_no_json_fails_as_a_whole(body: bytes, detail: str) -> None:
    """If the body is not JSON, no event of it is read."""
    assert detail_of(body) == detail


TOKENS = [
    b"[", b"]", b",", b"{", b"}", b":", b'"', b"\\", b" ", b"NaN", b"1", b"\\ud800", b"\xff", EVENT, b'{"id":"b"}',
]  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(TOKENS), max_size=20).map(b"".join)))
def test_any_body_is_handled(body: bytes) -> None:
    """Any bytes are a list of contents and problems, or get a documented error."""
    for candidate in (b"[" + body, b"[" + body + b"]", b"[%s,%s]" % (EVENT, body)):
        assert batch.is_batch(candidate)
        try:
            results = batch.parse(candidate)
        except (InvalidEvent, BodyTooLarge) as exc:
            assert json.dumps(exc.body("r"))
            continue
        assert is_json(candidate) and len(results) == len(json.loads(candidate))
        for result in results:
            assert isinstance(result, event.Content) or json.dumps(result.problem.body("r"))
