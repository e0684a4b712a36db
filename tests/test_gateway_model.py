"""The two checks of a body: API Gateway's model and the function. And the schema that declares an event's fields."""

import json
from decimal import Decimal
from typing import Any

import jsonschema
import msgspec
import pytest
from bodies import INVALID_BODIES, VALID_BODIES
from changes import Json
from chalicelib import event, problem
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(name="model")
def _model(swagger: Json) -> Json:
    """Return the model that is deployed. It is JSON Schema draft 4."""
    model = swagger["definitions"]["PostedBody"]
    jsonschema.Draft4Validator.check_schema(model)
    return model


SCHEMA = msgspec.json.schema(event.PostedEvent)
EVENT_SCHEMA = {**SCHEMA, **SCHEMA["$defs"]["PostedEvent"]}


def accepts(schema: Json, body: bytes) -> bool:
    """Tell whether a body passes a schema, by a strict validator."""
    try:
        document = json.loads(body.decode(), parse_int=Decimal, parse_float=Decimal)
    except (ValueError, RecursionError):
        return False
    return jsonschema.Draft4Validator(schema).is_valid(document)


def handler_accepts(body: bytes) -> bool:
    """Tell whether the handler accepts a body."""
    try:
        event.parse(body)
    except problem.InvalidEvent:
        return False
    return True


@pytest.mark.parametrize("body", [b"{}", b'{"a":{"b":[1]}}', b"[{}]", b'["x"]', b"[" + b"{}," * 99 + b"{}]"], ids=repr)
def test_gateway_passes_objects_and_batches(model: Json, body: bytes) -> None:
    """API Gateway cannot check more: the body of a CloudEvent in binary mode is any object."""
    assert accepts(model, body)


@pytest.mark.parametrize("body", [b"", b"x", b"null", b"1", b'"a"', b"[]", b"[" + b"{}," * 100 + b"{}]"], ids=repr)
def test_gateway_refuses_other_bodies(model: Json, body: bytes) -> None:
    """API Gateway refuses a body that is not an object, and an array that has no event or more than 100."""
    assert not accepts(model, body)


@pytest.mark.parametrize("body", VALID_BODIES, ids=lambda body: ascii(body[:60]))
def test_valid_body_is_accepted(body: bytes) -> None:
    """The handler accepts a valid body, and so does a strict validator of the declared schema."""
    assert handler_accepts(body)
    assert accepts(EVENT_SCHEMA, body)


@pytest.mark.parametrize("invalid", INVALID_BODIES, ids=lambda invalid: ascii(invalid.body[:60]))
def test_handler_refuses_every_invalid_body(invalid: Any) -> None:
    """The handler refuses an invalid body, with a pointer. The schema refuses it if it can express the rule."""
    with pytest.raises(problem.InvalidEvent) as refused:
        event.parse(invalid.body)
    assert invalid.pointer in [fault["pointer"] for fault in refused.value.members["errors"]]
    assert accepts(EVENT_SCHEMA, invalid.body) is not invalid.refused_by_schema


TEXTS = st.one_of(
    st.text(max_size=5),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,4}\n?", fullmatch=True),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,3}(\.[A-Za-z0-9_-]{0,3}){0,2}", fullmatch=True),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
    st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", fullmatch=True),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
FIELDS = st.fixed_dictionaries(
    {"type": TEXTS, "payload": st.dictionaries(st.text(max_size=3), VALUES, max_size=3)},
    optional={"id": TEXTS, "subject": TEXTS, "occurred_at": TEXTS},
)


@given(document=st.one_of(FIELDS, VALUES))
def test_schema_is_never_stricter_than_the_handler(document: Any) -> None:
    """The schema accepts every body that the handler accepts."""
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert accepts(EVENT_SCHEMA, body) or not handler_accepts(body)
