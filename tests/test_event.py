"""The rules for an event: its JSON, its digest and its id."""

import hashlib
import json
import time
import uuid
from typing import Any

import pytest
from bodies import LOSSLESS, NOT_OBJECTS, REFUSED_PAYLOADS
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.event import CHECKS, MAX_BODY_BYTES, Content, is_id, new_id, parse
from chalicelib.lossless_json import MAX_DEPTH
from chalicelib.problem import TITLES, BodyTooLarge, InvalidEvent, Problem

# A tree is a parsed JSON value whose numbers are kept as text.
Number = type("Number", (str,), {})
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True).map(Number)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TREES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, TREES, max_size=4)
SPACES = st.text(" \t\r\n", max_size=2)


@st.composite
def spellings(draw: st.DrawFn, tree: Any) -> str:
    """Draw a JSON text for a tree, with any white space, any key order and any escapes."""
    space = draw(SPACES)
    if isinstance(tree, Number):
        return f"{space}{tree}{space}"
    if isinstance(tree, dict):
        names = draw(st.permutations(list(tree)))
        members = [f"{draw(spellings(name))}:{draw(spellings(tree[name]))}" for name in names]
        return f"{space}{{{space}{','.join(members)}}}{space}"
    if isinstance(tree, list):
        return f"{space}[{space}{','.join([draw(spellings(item)) for item in tree])}]{space}"
    return f"{space}{json.dumps(tree, ensure_ascii=draw(st.booleans()))}{space}"


def tree_of(text: bytes | str) -> Any:
    """Parse a JSON text into a tree with Python's own parser."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def content_of(payload: str, **members: str) -> Content:
    """Return the content of an event whose payload is this JSON text."""
    fields = {"id": '"a"', "type": '"t"', **members, "payload": payload}
    return parse(("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode())


@given(st.data(), OBJECTS)
def test_payload_keeps_its_value(data: st.DataObject, tree: dict[str, Any]) -> None:
    """Any JSON object, in any spelling, keeps its value."""
    assert tree_of(bytes(content_of(data.draw(spellings(tree))).payload)) == tree


@given(st.data(), OBJECTS)
def test_digest_ignores_spelling(data: st.DataObject, tree: dict[str, Any]) -> None:
    """White space, key order and escapes do not change the digest."""
    assert content_of(data.draw(spellings(tree))).digest == content_of(data.draw(spellings(tree))).digest


@given(st.data(), OBJECTS, OBJECTS)
def test_digest_differs_for_different_values(data: st.DataObject, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two digests are equal only if the values are equal, to the last digit."""
    same = content_of(data.draw(spellings(one))).digest == content_of(data.draw(spellings(other))).digest
    assert same == (one == other)


@given(OBJECTS, st.data())
def test_digest_changes_with_any_new_member(tree: dict[str, Any], data: st.DataObject) -> None:
    """A new member at any place changes the digest."""
    text = json.dumps(tree)
    opening_brackets = [index for index, character in enumerate(text) if character == "{"]
    index = data.draw(st.sampled_from(opening_brackets))
    changed = text[: index + 1] + '"\\uffff added":0' + ("" if text[index + 1] == "}" else ",") + text[index + 1 :]
    try:
        tree_of(changed)
    except ValueError:
        return  # the bracket was inside a string
    assert content_of(changed).digest != content_of(text).digest


def test_digest_covers_every_field_of_the_caller() -> None:
    """Id, type, subject, payload and occurred_at change the digest, and each one changes it differently."""
    moment = '"2026-01-31T09:30:00Z"'
    contents = [
        content_of("{}"),
        content_of("{}", id='"b"'),
        content_of("{}", type='"u"'),
        content_of('{"a":1}'),
        content_of("{}", subject='"b"'),
        content_of("{}", subject='"u"'),
        content_of("{}", occurred_at=moment),
        content_of('{"occurred_at":%s}' % moment),
    ]
    assert len({content.digest for content in contents}) == len(contents)


def test_digest_is_computed_as_documented() -> None:
    """Callers may compute the digest: SHA-256 of the event in UTF-8, with sorted keys and no white space."""
    content = content_of('{"z": 1.0, "a": "é"}', occurred_at='"2026-01-31T09:30:00Z"')
    canonical = '{"id":"a","occurred_at":"2026-01-31T09:30:00Z","payload":{"a":"é","z":1.0},"type":"t"}'
    assert content.digest == hashlib.sha256(canonical.encode()).hexdigest()


def test_digest_of_stored_events_never_changes() -> None:
    """An event without a new field keeps the digest that it had before the field existed."""
    old = content_of('{"z": 1.0, "a": "é"}', occurred_at='"2026-01-31T09:30:00Z"')
    assert old.digest == "0f9602ea0d0d7d21000175539af7e26bb67a5b1cfff19fe661bd28cc50c203ca"
    new = content_of('{"z": 1.0, "a": "é"}', subject='"orders/\\u0031"')
    canonical = '{"id":"a","payload":{"a":"é","z":1.0},"subject":"orders/1","type":"t"}'
    assert new.digest == hashlib.sha256(canonical.encode()).hexdigest()


def check_parsing(body: bytes) -> None:
    """Assert that parsing a body takes little CPU time, and that it succeeds or raises a documented error."""
    start = time.thread_time()
    try:
        parse(body)
    except (InvalidEvent, BodyTooLarge) as exc:
        assert json.dumps(exc.body("r"))
    assert time.thread_time() - start < 2


@given(st.binary(max_size=300))
def test_any_bytes_are_handled(body: bytes) -> None:
    """Any bytes are a valid event or get a documented error."""
    check_parsing(body)


@given(st.lists(st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"NaN", b"1", b"\\ud800", b"\xff",
                                 b'"payload"', b'"type"', b'"subject"', b'"t"', b'"a"', b"null",
                                 b" "]), max_size=40))  # fmt: skip
def test_any_json_tokens_are_handled(tokens: list[bytes]) -> None:
    """A body that is almost JSON is a valid event or gets a documented error."""
    check_parsing(b"".join(tokens))
    check_parsing(b'{"type":"t","payload":{"a":' + b"".join(tokens) + b"}}")


HARD = {
    "brackets": b"[" * MAX_BODY_BYTES,
    "braces": b'{"a":' * (MAX_BODY_BYTES // 5),
    "nested payload": b'{"type":"t","payload":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    "quotes": b'"\\"' * (MAX_BODY_BYTES // 3),
    "a long number": b'{"type":"t","payload":{"n":' + b"9" * 200_000 + b"}}",
    "a long exponent": b'{"type":"t","payload":{"n":1e' + b"9" * 200_000 + b"}}",
    "many members": b'{"type":"t","payload":{' + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}}",
    "a late duplicate": b'{"type":"t","payload":{' + b",".join(b'"%d":0' % n for n in range(20_000)) + b',"0":0}}',
    "many duplicates": b'{"type":"t","payload":{"a":[' + b",".join([b'{"a":0,"a":0}'] * 15_000) + b"]}}",
    "many constants": b'{"type":"t","payload":{"a":[' + b",".join([b"NaN"] * 60_000) + b"]}}",
    "many unknown fields": b"{" + b",".join(b'"%d":0' % n for n in range(20_000)) + b"}",
    "a long key above many": b'{"type":"t","payload":{"%s":[%s,NaN]}}' % (b"k" * 90_000, b",".join([b"0"] * 80_000)),
}


@pytest.mark.parametrize("body", HARD.values(), ids=HARD.keys())
def test_expensive_bodies_are_parsed_in_time(body: bytes) -> None:
    """Every body under the size limit is parsed within the time limit."""
    assert len(body) <= MAX_BODY_BYTES
    check_parsing(body)


@pytest.mark.parametrize("text", LOSSLESS)
def test_stored_text_has_the_posted_value(text: str) -> None:
    """The stored payload has the same value as the posted text, and is not longer."""
    payload = bytes(content_of(text).payload)
    assert tree_of(payload) == tree_of(text)
    assert len(payload) <= len(text.encode())


@pytest.mark.parametrize("payload", [text for text, _ in REFUSED_PAYLOADS])
def test_values_outside_json_are_refused(payload: str) -> None:
    """A value that JSON cannot represent safely is refused with its pointer."""
    with pytest.raises(InvalidEvent) as error:
        content_of(payload)
    assert [fault["pointer"].startswith("/payload/") for fault in error.value.members["errors"]] == [True]


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_fault_of_the_whole_body_is_explained(body: bytes) -> None:
    """The error for a body without a JSON object is short, so it does not repeat the body."""
    with pytest.raises(InvalidEvent) as error:
        parse(body)
    (fault,) = error.value.members["errors"]
    assert fault["pointer"] == "" and 10 < len(fault["detail"]) < 120


def test_depth_counts_levels_instead_of_brackets() -> None:
    """A payload with many brackets but few levels is accepted."""
    wide = "[" + ",".join(["[[]]"] * MAX_DEPTH) + "]"
    assert bytes(content_of('{"a":%s}' % wide).payload).decode() == '{"a":%s}' % wide


def test_new_ids_are_uuid7_and_sort_by_time() -> None:
    """The first 48 bits of an id are the milliseconds since 1970. A fraction of a millisecond follows."""
    before = time.time_ns()
    ids = []
    for _ in range(200):
        ids.append(new_id())
        time.sleep(0.00001)
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    first = uuid.UUID(ids[0])
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert before // 1_000_000 <= first.int >> 80 <= time.time_ns() // 1_000_000
    assert all(is_id(event_id) for event_id in ids)


def test_every_problem_is_documented_by_its_class() -> None:
    """Each problem has its own type, a status with a title, and a docstring that says when it is raised."""
    kinds = Problem.__subclasses__()
    assert len({kind.type for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.status in TITLES
        assert (kind.__doc__ or "").startswith("Raised when ")


def test_check_can_close_a_field_to_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first release of a new field refuses it in bodies: a check that no value passes, with the field's pointer."""
    monkeypatch.setitem(CHECKS, "subject", lambda text: False)
    with pytest.raises(InvalidEvent) as error:
        parse(b'{"type": "test_event", "subject": "orders/1001", "payload": {}}')
    assert [fault.pointer for fault in error.value.faults] == ["/subject"]
    assert parse(b'{"type": "test_event", "payload": {}}').type == "test_event"
