"""The OpenAPI document: it equals the code, it is valid, and the API sends each of its examples."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chalicelib import problem
from chalicelib.cloudevents import NOT_TEXT
from cloudevent_requests import REFUSED, a_cloudevent, changed
from conformance import DOCUMENT, faults, operation, undocumented
from in_process import InProcessApi, tables_in_moto
from jsonschema import Draft202012Validator
from merge.gateway_problems import GATEWAY_PROBLEMS, gateway_response
from openapi_spec_validator import OpenAPIV31SpecValidator
from targets import Response
from token_admin import TokenAdmin

import app as event_api
from openapi import document, examples, problems
from openapi.__main__ import TARGET, text

EXAMPLES = examples.examples()
POSTED_CLOUDEVENT = {"$ref": "#/components/schemas/PostedCloudEvent"}
VARYING = ("created_at", "request_id", "cursor")  # members that differ each time


def test_document_equals_the_code() -> None:
    """docs/openapi.json is what `make openapi` writes."""
    assert TARGET.read_text() == text(), "docs/openapi.json differs from the code: run `make openapi` and commit it."


def test_document_is_valid() -> None:
    """The document is valid OpenAPI 3.1, and each schema is valid JSON Schema."""
    assert not list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors())
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


# What a schema cannot express: a real time, NaN, how a number is written, and which charset a media type has. Python's
# `$` is also before a final \n.
NOT_IN_A_SCHEMA = ("2026-02-30T00:00:00Z", "{'b': nan}", "1.0}", "\\n'", "\\ud800", "\\udc00", "latin-1", "UTF-16")


@pytest.mark.parametrize(("change", "pointers"), REFUSED, ids=lambda value: ascii(value)[:50])
def test_schema_of_cloudevents_refuses_what_the_code_refuses(change: dict[str, Any], pointers: list[str]) -> None:
    """A client can check a CloudEvent with the document before it sends it."""
    is_expressible = not any(text in ascii(change) for text in NOT_IN_A_SCHEMA)
    assert bool(faults(changed(change), POSTED_CLOUDEVENT)) >= is_expressible, pointers


def test_schema_of_cloudevents_knows_every_forbidden_character() -> None:
    """A subject and an extension may have exactly the characters that the code accepts."""
    ends = [plane + code for plane in range(0, 0x110000, 0x10000) for code in (0xFFFD, 0xFFFE, 0xFFFF)]
    for subject in (f"{chr(code)}a" for code in (*range(0x100), *range(0xFDC0, 0xFDFF), *ends)):
        places = [fault.split(":")[0] for fault in faults(a_cloudevent(subject=subject, a=subject), POSTED_CLOUDEVENT)]
        assert sorted(places) == (["$.a", "$.subject"] if NOT_TEXT.search(subject) else []), ascii(subject)


def test_every_problem_is_described() -> None:
    """Each problem type has a schema. A new type without one stops `make openapi`."""
    kinds = {kind.__name__: kind for kind in problem.Problem.__subclasses__()}
    described = DOCUMENT["components"]["schemas"]
    assert kinds.keys() <= described.keys()
    for name, kind in kinds.items():
        assert described[name]["properties"]["type"]["const"] == f"urn:event-api:problem:{kind.type}"
        assert described[name]["properties"]["status"]["const"] == kind.status


def test_new_declarations_stop_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter, a problem or a member that the generator does not know is an error, not a gap in the document."""
    monkeypatch.setitem(document.listing.PARAMETERS, "color", document.listing.PARAMETERS["type"])
    with pytest.raises(ValueError, match="color"):
        document.list_parameters()
    monkeypatch.setattr(problems, "SAMPLES", problems.SAMPLES[1:])
    with pytest.raises(ValueError, match="InvalidEvent"):
        problems.schemas()
    monkeypatch.setattr(problems, "MEMBERS", {})
    with pytest.raises(ValueError, match="limit"):
        problems.schema(problem.BodyTooLarge(1))


def test_version_is_the_newest_release_of_the_changelog() -> None:
    """Before the first release, the version says so."""
    assert document.version("# Changelog\n\n## Unreleased\n") == "unreleased"
    assert document.version("## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n## 0.1.0 - 2026-11-01\n") == "0.2.0"


@pytest.fixture(scope="module", name="callers")
def _callers() -> Iterator[dict[Any, InProcessApi]]:
    """Return a client for each set of scopes, all of one tenant. None has no token."""
    with tables_in_moto() as client:
        admin = TokenAdmin(client, "tokens")
        scopes = {example.request.token for example in EXAMPLES}
        yield {
            wanted: InProcessApi(event_api.app, wanted and admin.create("all", "test", frozenset(wanted), None)[0])
            for wanted in scopes
        }


def without_varying(value: Any) -> Any:
    """Return a JSON value with each varying member replaced by its type."""
    if isinstance(value, list):
        return [without_varying(member) for member in value]
    if isinstance(value, dict):
        return {
            name: type(member).__name__ if name in VARYING else without_varying(member)
            for name, member in value.items()
        }
    return value


def send(api: InProcessApi, request: examples.Request) -> Response:
    """Send the request of an example."""
    query = "&".join(f"{name}={value}" for name, value in request.parameters.items())
    body = None if request.body is None else examples.text(request.body)
    return api.request(request.method, f"{request.path}?{query}" if query else request.path, body, request.headers)


def test_api_sends_every_example(callers: dict[Any, InProcessApi]) -> None:
    """The API responds to each example's request as the document says: status, headers and body, except the times."""
    for example in EXAMPLES:
        response = send(callers[example.request.token], example.request)
        assert response.status == example.status, (example.name, response)
        for name, value in example.headers.items():
            assert response.headers[name.lower()] == value, example.name
        body = response.json if response.body else None
        assert without_varying(body) == without_varying(example.body), example.name
        assert undocumented(example.request.method, example.request.path, response) == [], example.name


def test_gateway_sends_every_rare_example() -> None:
    """Some errors have no request that causes them. Their examples are API Gateway's configured responses."""
    templates = [gateway_response(error)["responseTemplates"] for error in GATEWAY_PROBLEMS.values()]
    sent = [json.loads(template["application/json"]) for template in templates]
    for error in examples.RARE:
        if not isinstance(error, problem.StoreUnavailable):
            assert error.body("$context.requestId") in sent


def test_function_sends_the_example_of_a_failing_store(
    callers: dict[Any, InProcessApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its table, the store is unavailable."""
    monkeypatch.setenv("TABLE_NAME", "missing")
    response = callers[("events:write", "events:read")].request("GET", "/events/order-1001")
    assert undocumented("GET", "/events/order-1001", response) == []
    assert without_varying(response.json) == without_varying(problem.StoreUnavailable().body(examples.REQUEST_ID))


def shown_examples() -> Iterator[tuple[str, Any, Any]]:
    """Yield each example in the document: its place, its schema and its value."""
    for path, operations in DOCUMENT["paths"].items():
        for method in operations.keys() - {"parameters"}:
            declared = operation(method, path.replace("{id}", "x"))
            assert declared
            contents = {"request": declared.get("requestBody", {}), **declared["responses"]}
            for place, described in contents.items():
                for content in described.get("content", {}).values():
                    for name, shown in content.get("examples", {}).items():
                        yield f"{method} {path} {place} {name}", content["schema"], shown["value"]


def test_every_example_matches_its_schema() -> None:
    """Each example in the document has exactly the fields of its schema."""
    shown = list(shown_examples())
    names = {place.split()[-1] for place, *_ in shown}
    assert {example.name for example in EXAMPLES if example.body is not None} <= names
    for place, schema, value in shown:
        assert faults(value, schema) == [], place
