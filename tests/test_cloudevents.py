"""The mapping of CloudEvents: property tests of the round trip, its digest, its cost, and stored attributes."""

import contextlib
import hashlib
import json
import time
import urllib.parse
from typing import Any

import pytest
from bodies import IDS, SUBJECTS, TIMES, TYPES
from cloudevent_requests import (
    ACCEPTS, CLOUDEVENT, HEADERS, REFUSED, WRONG_HEADERS, a_cloudevent, binary_headers, changed,
)  # fmt: skip
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from test_event import OBJECTS, Number, spellings, tree_of

from chalicelib import cloudevents, event, media_types
from chalicelib.event import Content, Event
from chalicelib.lossless_json import MAX_DEPTH
from chalicelib.problem import BodyTooLarge, InvalidEvent

TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]).filter(lambda text: not cloudevents.NOT_TEXT.match(text)),
    max_size=12,
)
URIS = st.from_regex(r"[a-z]{1,5}:([A-Za-z0-9._~/?#@!$&'()*+,;=:\[\]-]|%[0-9a-fA-F]{2}){0,9}", fullmatch=True)
NAMES = st.from_regex("[a-z0-9]{1,20}", fullmatch=True).filter(
    lambda name: name not in {"data", "specversion", *cloudevents.FIELD_OF, *event.PLAIN_ATTRIBUTES}
    and not name.startswith("data")
)
VALUES = TEXTS | st.booleans() | st.integers(-(2**31), 2**31 - 1)
EVENTS = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": st.sampled_from(IDS),
        "type": st.sampled_from(TYPES),
        "source": URIS | st.sampled_from(["/a", "urn:event-api:events", "../a?b=%20#c"]),
        "data": OBJECTS,
    },
    optional={
        "subject": TEXTS.filter(bool),
        "time": st.sampled_from(TIMES),
        "dataschema": URIS,
        "datacontenttype": st.sampled_from(
            ["application/json", "text/json", "application/a.b+json", 'application/json; charset="utf-8"; v=1']
        ),
    },
)
EXTENSIONS = st.dictionaries(NAMES, VALUES, max_size=4)


def stored(content: Content) -> Event:
    """Return a content as the store returns it."""
    fields = {name: getattr(content, name) for name in Content.__struct_fields__}
    return Event(**fields, created_at="2026-01-31T09:30:00.000Z")


def structured(cloudevent: dict[str, Any]) -> Content:
    """Return the content of a CloudEvent in structured mode."""
    return cloudevents.parse(json.dumps(cloudevent).encode())


def binary(headers: dict[str, str], body: bytes) -> Content:
    """Return the content of a CloudEvent in binary mode."""
    lines = {name.removeprefix("ce-"): [value] for name, value in headers.items() if name.startswith("ce-")}
    return cloudevents.parse_binary(lines, headers["Content-Type"], body)


def json_of(cloudevent: dict[str, Any]) -> Any:
    """Return the JSON text of a CloudEvent that is returned, as a tree."""
    return tree_of(event.lossless_json.canonical(cloudevent))


def numbered(value: Any) -> Any:
    """Return an attribute's value as a tree."""
    return Number(value) if isinstance(value, int) and not isinstance(value, bool) else value


@given(st.data(), EVENTS, EXTENSIONS)
def test_structured_mode_loses_nothing(data: st.DataObject, sent: dict[str, Any], extensions: dict[str, Any]) -> None:
    """Any CloudEvent comes back as it was sent, in any spelling, with the type of each attribute."""
    sent = {**sent, **{name: numbered(value) for name, value in extensions.items()}}
    content = cloudevents.parse(data.draw(spellings(sent)).encode())
    assert json_of(cloudevents.document_of(stored(content))) == sent
    assert event.digest_of(stored(content)) == content.digest


@given(EVENTS, EXTENSIONS, OBJECTS)
def test_binary_mode_is_the_same_content(sent: dict[str, Any], extensions: dict[str, Any], data: Any) -> None:
    """Headers and body are the same content as the JSON format. Attributes come back as texts."""
    del sent["data"]
    body = event.lossless_json.canonical(data_of(data))
    attributes = {**sent, **extensions}
    posted = binary(binary_headers(attributes), body)
    text = json.dumps(attributes)[:-1].encode() + b',"data":' + body + b"}"
    assert posted.digest == cloudevents.parse(text).digest
    returned = json_of(cloudevents.document_of(stored(posted)))
    as_texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()}
    assert returned == {"datacontenttype": "application/json", **as_texts, "data": tree_of(body)}


def data_of(tree: Any) -> Any:
    """Return a tree with its numbers as JSON has them."""
    if isinstance(tree, Number):
        return Raw(tree.encode())
    if isinstance(tree, dict):
        return {name: data_of(value) for name, value in tree.items()}
    return [data_of(item) for item in tree] if isinstance(tree, list) else tree


@given(EVENTS, EVENTS, EXTENSIONS, EXTENSIONS)
def test_digest_differs_for_different_attributes(
    one: dict[str, Any], other: dict[str, Any], ones: dict[str, Any], others: dict[str, Any]
) -> None:
    """Two CloudEvents have one digest exactly if their texts in binary mode are equal."""
    first, second = {**one, **ones, "data": {}}, {**other, **others, "data": {}}
    same = structured(first).digest == structured(second).digest
    assert same == (binary_headers(first) == binary_headers(second))


def test_digest_is_computed_as_documented() -> None:
    """Callers may compute the digest. The attributes are texts, and a missing media type is application/json."""
    content = structured({
        "specversion": "1.0", "id": "a", "source": "/s", "type": "t", "time": "2026-01-31T09:30:00Z", "n": 5, "b": True,
        "datacontenttype": "application/json", "data": {"z": 1, "a": "é"},
    })  # fmt: skip
    canonical = (
        '{"cloudevent":{"b":"true","n":"5","source":"/s"},"id":"a","occurred_at":"2026-01-31T09:30:00Z",'
        '"payload":{"a":"é","z":1},"type":"t"}'
    )
    assert content.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert bytes(content.cloudevent) == b'{"b":true,"datacontenttype":"application/json","n":5,"source":"/s"}'


def test_plain_event_has_a_documented_source() -> None:
    """A CloudEvent with this source and no other attribute is an event in plain JSON: same digest, same item."""
    plain = event.parse(b'{"id":"a","type":"t","payload":{}}')
    returned = cloudevents.document_of(stored(plain))
    assert returned == {
        "specversion": "1.0", "id": "a", "type": "t", "source": "urn:event-api:events", "data": Raw(b"{}")
    }  # fmt: skip
    again = structured({**returned, "data": {}})
    assert again == plain and again.digest == plain.digest
    assert binary(binary_headers(returned), b"{}").digest == plain.digest
    assert structured({**returned, "data": {}, "n": 1}).digest != plain.digest


@pytest.mark.parametrize(("change", "pointers"), REFUSED, ids=lambda value: ascii(value)[:50])
def test_what_cannot_be_kept_is_refused(change: dict[str, Any], pointers: list[str]) -> None:
    """Each fault has its pointer and says what to send instead."""
    with pytest.raises(InvalidEvent) as refused:
        structured(changed(change))
    assert sorted(fault.pointer for fault in refused.value.faults) == pointers
    assert all(10 < len(fault.detail) < 260 for fault in refused.value.faults)


@pytest.mark.parametrize("subject", [subject for subject in SUBJECTS if not cloudevents.NOT_TEXT.search(subject)])
def test_subject_of_an_event_is_a_subject_of_a_cloudevent(subject: str) -> None:
    """A subject is kept, unless CloudEvents forbids one of its characters."""
    assert structured(a_cloudevent(subject=subject)).subject == subject


@pytest.mark.parametrize(("text", "value"), HEADERS)
def test_header_is_decoded(text: str, value: str) -> None:
    """Quoting is removed, and percent-encoding is decoded once."""
    content = binary({**binary_headers(a_cloudevent()), "ce-ext": text}, b"{}")
    assert event.attributes_of(content)["ext"] == value


@pytest.mark.parametrize("text", WRONG_HEADERS)
def test_wrong_header_is_refused(text: str) -> None:
    """A value with more than one meaning is never guessed."""
    with pytest.raises(InvalidEvent) as refused:
        binary({**binary_headers(a_cloudevent()), "ce-ext": text}, b"{}")
    assert [fault.pointer for fault in refused.value.faults] == ["/ext"]


@given(st.text(st.characters(max_codepoint=0xFF), max_size=20))
def test_any_header_is_handled(text: str) -> None:
    """Any value of a header is decoded or gets a documented error."""
    try:
        content = binary({**binary_headers(a_cloudevent()), "ce-ext": text}, b"{}")
    except InvalidEvent as exc:
        assert [fault.pointer for fault in exc.faults] == ["/ext"]
    else:
        assert "ext" in event.attributes_of(content)


def test_repeated_header_is_refused() -> None:
    """Two lines of a header are a fault, also if they are equal."""
    lines = {"specversion": ["1.0"], "id": ["a", "a"], "source": ["/a"], "type": ["t"], "ext": ["1", "1"]}
    with pytest.raises(InvalidEvent) as refused:
        cloudevents.parse_binary(lines, "application/json", b"{}")
    assert sorted(refused.value.faults) == [
        ("/ext", "occurs 2 times: send its header once"),
        ("/id", "occurs 2 times: send its header once"),
    ]


def test_data_has_as_many_levels_as_a_payload() -> None:
    """The data is level 1 in each mode."""
    deep = '{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1)
    headers = binary_headers({**a_cloudevent(), "id": "a"})
    text = json.dumps(a_cloudevent(id="a", data=0))
    in_body = cloudevents.parse(text.replace(": 0}", f": {deep}}}").encode())
    assert binary(headers, deep.encode()).digest == in_body.digest
    for post in (
        lambda data: binary(headers, data.encode()),
        lambda data: cloudevents.parse(text.replace(": 0}", f": {data}}}").encode()),
    ):
        with pytest.raises(InvalidEvent) as refused:
            post(f'{{"b":{deep}}}')
        assert refused.value.faults[0].detail == "is nested deeper than 64 levels"


MANY = event.MAX_BODY_BYTES - 200
HARD = {
    "source": {"source": "a" * MANY + " "},
    "escapes": {"source": "%20" * (MANY // 3) + "%"},
    "plus": {"datacontenttype": "a/" + "+" * MANY},
    "json": {"datacontenttype": "a/" + "json+" * (MANY // 5)},
    "semicolons": {"datacontenttype": "a/json" + ";" * MANY + "!"},
    "spaces": {"datacontenttype": "a/json;" + " " * MANY + "!"},
    "parameters": {"datacontenttype": "a/json" + "; a=b" * (MANY // 5) + "!"},
    "quotes": {"datacontenttype": "a/json" + ';a=""' * (MANY // 6) + "!"},
    "scheme": {"dataschema": "a" * MANY},
    "many extensions": {f"a{n}": n for n in range(15_000)},
    "many wrong extensions": {f"A{n}": 1 for n in range(15_000)},
    "a long number": {"a": 10**3_000},
}


@pytest.mark.parametrize("members", HARD.values(), ids=HARD.keys())
def test_expensive_cloudevents_are_parsed_in_time(members: dict[str, Any]) -> None:
    """Every CloudEvent under the size limit is parsed within the time limit, as an event in plain JSON."""
    body = json.dumps({**a_cloudevent(), **members}).encode()
    start = time.thread_time()
    try:
        cloudevents.parse(body)
    except (InvalidEvent, BodyTooLarge) as exc:
        assert json.dumps(exc.body("r"))
    assert time.thread_time() - start < 2


@pytest.mark.parametrize("text", [part * 4500 for part in ("[", '"', "\\", '"\\', "%", ";", ",", "%2", "=")])
def test_expensive_headers_are_read_in_time(text: str) -> None:
    """A header has at most 10 KB behind API Gateway."""
    start = time.thread_time()
    test_any_header_is_handled.hypothesis.inner_test(text)
    assert not media_types.prefers_cloudevent(text)
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(("accept", "media_type"), ACCEPTS)
def test_accept_header_is_read(accept: str, media_type: str) -> None:
    """The response is a CloudEvent if Accept names it with at least the quality of plain JSON."""
    assert media_types.prefers_cloudevent(accept) == (media_type == CLOUDEVENT)


PARTS = st.sampled_from([CLOUDEVENT, "*/*", ";q=", "0", "1", ".", ",", " "])


@given(st.text(max_size=30) | st.lists(PARTS).map("".join))
def test_any_accept_header_is_handled(accept: str) -> None:
    """No Accept header is an error."""
    assert media_types.prefers_cloudevent(accept) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "{}x", '{"source": "/s"}', '{"source":"/s","n":null}', '{"source":"/s","n":1.5}',
        '{"source":"/other","source":"/s"}', '{"source":"/s","n":{}}', '{"source":"\\u002fs"}', '{"source":"/t"}', "{}",
    ],
)  # fmt: skip
def test_altered_attributes_are_noticed(text: str) -> None:
    """Any other text of the stored attributes has another digest, or none."""
    content = structured({"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "data": {}})
    altered = Event(id="a", type="t", created_at="", cloudevent=Raw(text), payload=content.payload)
    with contextlib.suppress(ValueError):
        assert event.digest_of(altered) != content.digest


def test_percent_encoding_of_these_tests_is_the_bindings() -> None:
    """The example of the HTTP binding (3.1.3.2)."""
    assert binary_headers({"ext": "Euro € 😀"})["ce-ext"] == "Euro%20%E2%82%AC%20%F0%9F%98%80"
    assert urllib.parse.unquote(binary_headers({"ext": '"%'})["ce-ext"]) == '"%'
