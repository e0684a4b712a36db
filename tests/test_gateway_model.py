"""The two checks of an event: API Gateway's model and the handler. They come from one declaration."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from bodies import INVALID_BODIES, VALID_BODIES
from changes import Json
from chalicelib import event, problem
from hypothesis import given
from hypothesis import strategies as st
from merge.__main__ import merge
from merge.swagger_steps import CACHE_SECONDS


@pytest.fixture(scope="module", name="model")
def _model(chalice_package: Path) -> Json:
    """Return the model that is deployed. It is JSON Schema draft 4."""
    merged = merge(json.loads((chalice_package / "chalice.tf.json").read_text()))
    swagger = merged["locals"]["chalice_api_swagger"].replace(CACHE_SECONDS, "300")
    model = json.loads(swagger)["definitions"]["PostedBody"]
    jsonschema.Draft4Validator.check_schema(model)
    return model


def gateway_accepts(model: Json, body: bytes) -> bool:
    """Tell whether a body passes a model, by a strict validator of JSON Schema draft 4."""
    try:
        document = json.loads(body.decode(), parse_int=Decimal, parse_float=Decimal)
    except (ValueError, RecursionError):
        return False
    return jsonschema.Draft4Validator(model).is_valid(document)


def handler_accepts(body: bytes) -> bool:
    """Tell whether the handler accepts a body."""
    try:
        event.parse(body)
    except problem.InvalidEvent:
        return False
    return True


@pytest.mark.parametrize("body", VALID_BODIES, ids=lambda body: ascii(body[:60]))
def test_valid_body_passes_both(model: Json, body: bytes) -> None:
    """API Gateway and the handler accept a valid body."""
    assert handler_accepts(body)
    assert gateway_accepts(model, body)


@pytest.mark.parametrize("invalid", INVALID_BODIES, ids=lambda invalid: ascii(invalid.body[:60]))
def test_handler_refuses_every_invalid_body(model: Json, invalid: Any) -> None:
    """The handler refuses an invalid body, with a pointer. The model refuses it if draft 4 can express the rule."""
    with pytest.raises(problem.InvalidEvent) as refused:
        event.parse(invalid.body)
    assert invalid.pointer in [fault["pointer"] for fault in refused.value.members["errors"]]
    assert gateway_accepts(model, invalid.body) is not invalid.refused_by_model


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
def test_gateway_is_never_stricter_than_the_handler(model: Json, document: Any) -> None:
    """Whatever is posted: API Gateway accepts what the handler accepts."""
    body = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert gateway_accepts(model, body) or not handler_accepts(body)
