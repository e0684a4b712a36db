"""`make breaking`: it finds changes of docs/openapi.json that break callers of the last release."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conformance import DOCUMENT
from processes import ROOT

from openapi.breaking import accepted, breaks

Json = dict[str, Any]
POST, GET = ("paths", "/events", "post"), ("paths", "/events/{id}", "get")
SCHEMAS = ("components", "schemas")
NOT_FOUND = (*GET, "responses", "404", "content", "application/problem+json", "schema")
FIELDS = (*SCHEMAS, "PostedEvent", "properties")
POSTED = (*SCHEMAS, "PostedCloudEvent")
RESULTS = (*SCHEMAS, "BatchResults", "properties", "results")
LIMIT = ("paths", "/events", "get", "parameters", 5)


def at(document: Any, *place: str | int) -> Any:
    """Return a part of a document."""
    for name in place:
        document = document[name]
    return document


def gone(*place: str | int) -> Callable[[Json], None]:
    """Return a change that removes a part."""
    return lambda document: at(document, *place[:-1]).__delitem__(place[-1])


def to(value: Any, *place: str | int) -> Callable[[Json], None]:
    """Return a change that sets a part."""
    return lambda document: at(document, *place[:-1]).__setitem__(place[-1], value)


def append(value: Any, *place: str | int) -> Callable[[Json], None]:
    """Return a change that adds a member to a list."""
    return lambda document: at(document, *place).append(value)


def not_required(schema: str, field: str) -> Callable[[Json], None]:
    """Return a change after which a field may be missing."""
    return lambda document: at(document, *SCHEMAS, schema, "required").remove(field)


def without_problem(document: Json) -> None:
    """Remove a problem type."""
    kinds = at(document, *NOT_FOUND)
    kinds["oneOf"].pop(0)
    del document["components"]["schemas"]["EventNotFound"]


BREAKS: list[tuple[Callable[[Json], None], str]] = [
    (gone("paths", "/events/{id}"), "the path /events/{id} is gone"),
    (gone("paths", "/events", "head"), "HEAD /events is gone"),
    (gone(*POST, "responses", "207"), "POST /events: the response 207 is gone"),
    (to("store", *POST, "operationId"), "POST /events: the operationId postEvents is now store"),
    (to([{"token": ["events:admin"]}], *POST, "security"),
     "POST /events: a request now needs token events:admin; it needed token events:write"),
    (to([{"token": ["events:write"], "key": []}], *POST, "security"), "a request now needs token events:write and key"),
    (to([{"key": []}], *POST, "security"), "POST /events: a request now needs key; it needed token events:write"),
    (to("apiKey", "components", "securitySchemes", "token", "type"), "the security scheme token: type has changed"),
    (gone("servers", 1), "the server https://{api}.execute-api.{region}.amazonaws.com/{stage} has changed or is gone"),
    (to("eu", "servers", 1, "variables", "region", "default"), "amazonaws.com/{stage} has changed or is gone"),
    (to([], *POST, "servers"), "POST /events: servers has changed, and make breaking has no rule for it"),
    (gone(*SCHEMAS, "Event", "properties", "created_at"), "GET /events/{id}, response 200: the field created_at is"),
    (not_required("Event", "created_at"), "the field created_at may now be missing"),
    (to("integer", *SCHEMAS, "Event", "properties", "id", "type"), "field id: the type is integer; it was string"),
    (gone(*SCHEMAS, "EventPage", "properties", "cursor"), "response 200: the field cursor is gone"),
    (gone(*SCHEMAS, "StoredResult", "properties", "etag"), "StoredResult: the field etag is gone"),
    (to([201, 200, 202], *SCHEMAS, "StoredResult", "properties", "status", "enum"),
     "StoredResult, field status: the values are 201, 200, 202; they were 201, 200"),
    (gone(*POST, "responses", "201", "headers", "Location"), "response 201, header Location is gone"),
    (to(False, "components", "headers", "ETag", "required"), "header ETag may now be missing"),
    (without_problem, "the problem type urn:event-api:problem:event-not-found is gone"),
    (to(410, *SCHEMAS, "EventConflict", "properties", "status", "const"), "has the status 410; it had 409"),
    (gone(*FIELDS, "subject"), "PostedEvent: the field subject is gone"),
    (to(["type", "payload", "id"], *SCHEMAS, "PostedEvent", "required"), "PostedEvent: the field id is now required"),
    (to(64, *FIELDS, "type", "maxLength"), "field type: maxLength is 64; it was 128"),
    (to(2, *FIELDS, "type", "minLength"), "field type: minLength is 2; it was not limited"),
    (to("^[a-z]+$", *FIELDS, "id", "pattern"), "field id: the pattern has changed"),
    (to("array", *FIELDS, "payload", "type"), "field payload: the type is array; it was object"),
    (to(10, *SCHEMAS, "PostedBatch", "maxItems"), "PostedBatch: maxItems is 10; it was 100"),
    (gone(*POST, "requestBody", "content", "application/json"), "the request's media type application/json is gone"),
    (to({"$ref": "#/components/schemas/PostedEvent"}, *POST, "requestBody", "content", "application/json", "schema"),
     "POST /events, request: PostedBatch is gone"),
    (gone(*LIMIT), "GET /events: the parameter limit (query) is gone"),
    (to(True, *LIMIT, "required"), "GET /events: the parameter limit (query) is now required"),
    (to(50, *LIMIT, "schema", "maximum"), "parameter limit (query): maximum is 50; it was 100"),
    (to(10, *LIMIT, "schema", "default"), "parameter limit (query): the default is 10; it was 20"),
    (to(["desc"], *LIMIT[:-1], 4, "schema", "enum"),
     "order (query): the values are desc; they were desc, asc"),
    # Requests
    (to("2.0", *POSTED, "properties", "specversion", "const"), "specversion: the values are 2.0; they were 1.0"),
    (to("string", *POSTED, "additionalProperties", "type"), "request, other fields: the type is string; it was"),
    (to(5, *POSTED, "additionalProperties", "maximum"), "other fields: maximum is 5; it was 2147483647"),
    (to(False, *POSTED, "additionalProperties"), "POST /events, request: unknown fields are now refused"),
    (to("^[a-z]+$", *POSTED, "propertyNames", "pattern"),
     "request, field names: the pattern has changed"),
    (to({"type": "string"}, *POSTED, "properties", "channel"),
     "POST /events, request: the new field channel may have been sent before, with another meaning"),
    (to({"type": "string"}, *FIELDS, "payload", "properties"), "the new field type may have been sent before"),
    *[(to(value, *FIELDS, "payload", name), f"field payload: {name} is {value}; it was not limited")
      for name, value in {"maxProperties": 5, "minProperties": 1}.items()],
    *[(to(99, *LIMIT, "schema", name), f"limit (query): {name} is 99; it was not limited")
      for name in ("exclusiveMaximum", "exclusiveMinimum")],
    *[(to(value, *LIMIT, "schema", name), f"limit (query): the {name} has changed")
      for name, value in {"multipleOf": 5, "format": "int8", "not": {"const": 7}}.items()],
    (to(True, *SCHEMAS, "PostedBatch", "uniqueItems"), "PostedBatch: the uniqueItems has changed"),
    (to({"id": ["subject"]}, *SCHEMAS, "PostedEvent", "dependentRequired"), "the dependentRequired has changed"),
    (to([{"required": ["id"]}], *SCHEMAS, "PostedEvent", "allOf"), "PostedEvent: allOf has changed, and make"),
    (to(True, *SCHEMAS, "PostedEvent", "unheardOf"), "PostedEvent: unheardOf has changed, and make"),
    (to("form", *LIMIT, "style"), "parameter limit (query): style has changed"),
    (to(False, *LIMIT, "explode"), "parameter limit (query): explode has changed"),
    (gone(*POST, "requestBody"), "POST /events: the request has no body any more"),
    (append({"name": "tenant", "in": "header", "required": True}, *POST, "parameters"),
     "POST /events: the new parameter tenant (header) is required"),
    # Responses
    (gone(*GET, "responses", "200", "content", "application/json"), "200: the media type application/json is gone"),
    (to("integer", "components", "headers", "ETag", "schema", "type"), "header ETag: the type is integer; it"),
    (to("code", *NOT_FOUND, "discriminator", "propertyName"), "response 404: the discriminator has changed"),
    # What has no rule
    (to("https://example.com", "jsonSchemaDialect"), "the document: jsonSchemaDialect has changed"),
    (to([], "paths", "/events", "servers"), "/events: servers has changed"),
    (to({}, *POST, "responses", "201", "links"), "POST /events, response 201: links has changed"),
    (to("other", *POST, "requestBody", "unheardOf"), "POST /events, request: unheardOf has changed"),
    (to({}, *POST, "requestBody", "content", "application/json", "encoding"), "request: encoding has changed"),
    (to(True, "components", "headers", "ETag", "explode"), "response 201, header ETag: explode has changed"),
    (to(["string", "object"], *SCHEMAS, "CloudEvent", "additionalProperties", "type"),
     "response 200, other fields: the type is string, object; it was string, boolean, integer"),
    (to({"type": "array"}, *SCHEMAS, "CloudEvent", "properties", "tags"), "field tags: the type is array; it"),
    (append({"type": "object", "title": "Other"}, *RESULTS, "items", "oneOf"), "item: it may now be Other"),
    (to(200, *RESULTS, "maxItems"), "field results: maxItems is 200; it was 100"),
    (gone(*SCHEMAS, "Event", "properties", "type", "maxLength"), "field type: maxLength is not limited; it was 128"),
    (to({"description": "Later."}, *POST, "responses", "202"), "POST /events: the response 202 is new"),
    (to({"type": "integer", "const": 1}, *SCHEMAS, "EventConflict", "properties", "title"), "title: the type is"),
    (gone(*SCHEMAS, "EventConflict", "properties", "status"), "problem:event-conflict is gone"),
]  # fmt: skip
ADDITIONS: list[Callable[[Json], None]] = [
    to("Other words.", "info", "description"),
    to({"type": "string"}, *FIELDS, "source"),
    to({"type": "string"}, *SCHEMAS, "Event", "properties", "source"),
    to(256, *FIELDS, "type", "maxLength"),
    to(200, *LIMIT, "schema", "maximum"),
    to({"description": "Gone."}, *GET, "responses", "410"),
    to({}, "paths", "/other"),
    to({"schema": {"type": "string"}}, *POST, "requestBody", "content", "text/plain"),
    to({"schema": {"type": "string"}}, *GET, "responses", "200", "content", "text/plain"),
    to(["string", "null"], *FIELDS, "subject", "type"),
    to(["null", "integer", "boolean", "string"], *POSTED, "additionalProperties", "type"),
    to(["integer", "string", "boolean"], *SCHEMAS, "CloudEvent", "additionalProperties", "type"),
    to({"type": "string"}, *SCHEMAS, "CloudEvent", "properties", "channel"),
    to({"properties": {"type": {"const": "a"}}}, *SCHEMAS, "WithoutStatus"),
    append({"$ref": "#/components/schemas/InvalidQuery"}, *NOT_FOUND, "oneOf"),
    append({"key": []}, *POST, "security"),
    append({"url": "https://example.com"}, "servers"),
    to(0, *SCHEMAS, "PostedEvent", "minProperties"),
    to(False, *SCHEMAS, "PostedBatch", "uniqueItems"),
    to("number", *LIMIT, "schema", "type"),
    to(True, "components", "schemas", "Anything"),
]


@pytest.mark.parametrize(("change", "sentence"), BREAKS, ids=lambda value: value if isinstance(value, str) else "")
def test_break_is_found(change: Callable[[Json], None], sentence: str) -> None:
    """Each kind of break is found, with its place."""
    new = copy.deepcopy(DOCUMENT)
    change(new)
    found = breaks(DOCUMENT, new)
    assert [line for line in found if sentence in line], found


def test_additions_break_nothing() -> None:
    """New fields, media types, errors and paths, wider limits, and another order break nothing."""
    new = copy.deepcopy(DOCUMENT)
    for change in ADDITIONS:
        change(new)
    assert not breaks(DOCUMENT, new)
    assert new != DOCUMENT


def test_only_unreleased_lines_accept_a_break() -> None:
    """A line of an earlier release does not accept a new break."""
    assert accepted("## Unreleased\n- one\n\n## 1.0.0\n- two\n") == {"## Unreleased", "- one", ""}


def test_body_that_becomes_required_is_a_break() -> None:
    """A request without a body was valid before."""
    old = copy.deepcopy(DOCUMENT)
    del at(old, *POST, "requestBody")["required"]
    assert breaks(old, DOCUMENT) == ["POST /events: a body is now required"]


def test_schema_may_contain_itself() -> None:
    """A comparison of recursive schemas ends."""
    new = copy.deepcopy(DOCUMENT)
    new["components"]["schemas"]["Event"]["properties"]["parent"] = {"$ref": "#/components/schemas/Event"}
    assert not breaks(DOCUMENT, new) and not breaks(new, new)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Path:
    """Return a git repository with the document and the comparison, without a release."""
    for name in ("eventsapp/openapi", "docs"):
        (tmp_path / name).mkdir(parents=True)
    code = [f"eventsapp/openapi/{name}.py" for name in ("__init__", "breaking")]
    for name in ("Makefile", "CHANGELOG.md", *code, "docs/openapi.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "--quiet", "--initial-branch", "work")
    return tmp_path


def git(project: Path, *arguments: str) -> None:
    """Run git in a repository."""
    names = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *arguments], cwd=project, check=True, capture_output=True)


def make_breaking(project: Path) -> subprocess.CompletedProcess[str]:
    """Run `make breaking`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "GIT", "GITHUB"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = ["make", "breaking"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_ci_fails_after_a_response_lost_a_field(project: Path) -> None:
    """Without a release, `make breaking` says so. After one, a lost field fails, until the changelog has the line."""
    result = make_breaking(project)
    assert (result.returncode, result.stderr) == (0, "")
    assert "there is nothing to compare with" in result.stdout
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "first")
    git(project, "tag", "v0.9.0")
    git(project, "tag", "v0.10.0")
    assert "breaks callers of v0.10.0, but for 0 noted" in make_breaking(project).stdout

    document = json.loads((project / "docs" / "openapi.json").read_text())
    del document["components"]["schemas"]["BatchResults"]["properties"]["results"]
    (project / "docs" / "openapi.json").write_text(json.dumps(document))
    result = make_breaking(project)
    line = "- Breaking: POST /events, response 207: the field results is gone"
    assert result.returncode != 0
    assert line in result.stderr and "make the next release a major one" in result.stderr

    changelog = project / "CHANGELOG.md"
    text = changelog.read_text()
    changelog.write_text(text.replace("## Unreleased\n", f"## Unreleased\n\n{line} in part\n", 1))
    assert make_breaking(project).returncode != 0
    changelog.write_text(text.replace("## Unreleased\n", f"## Unreleased\n\n{line}\n", 1))
    assert "but for 1 noted" in make_breaking(project).stdout
