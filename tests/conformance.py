"""Checks that docs/openapi.json describes a response: its status, media type, headers and every field of its body."""

import functools
import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from processes import ROOT
from targets import Api, Response

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())


def closed(schema: Any) -> Any:
    """Return a schema without room for fields that it does not name. Clients must accept such fields; a test must not.

    A payload has no fields of its own in the document, so it stays open.
    """
    if isinstance(schema, list):
        return [closed(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **inner} if isinstance(schema.get("properties"), dict) else inner


CLOSED = {"components": {"schemas": closed(DOCUMENT["components"]["schemas"])}}


@functools.cache
def validator(schema: str) -> Draft202012Validator:
    """Return a validator of a schema of the document, which is written as JSON. Making one takes long."""
    return Draft202012Validator({**CLOSED, **closed(json.loads(schema))})


def faults(value: Any, schema: Any) -> list[str]:
    """Return how a value differs from a schema of the document."""
    errors = validator(json.dumps(schema)).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in errors]


def resolved(member: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document. Follow its reference, if it is one."""
    if "$ref" not in member:
        return member
    target: Any = DOCUMENT
    for name in member["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return target


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation of a request, or None if the document has none."""
    template = {"/events": "/events"}.get(path) or (re.fullmatch(r"/events/[^/]+", path) and "/events/{id}")
    return DOCUMENT["paths"].get(template, {}).get(method.lower())


def undocumented(method: str, target: str, response: Response) -> list[str]:
    """Return the differences between a response and the document; none if the document lacks the operation."""
    declared = operation(method, target.partition("?")[0])
    if declared is None:
        return []
    described = declared["responses"].get(str(response.status))
    if described is None:
        return [f"the status {response.status}"]
    found = []
    for name, reference in described.get("headers", {}).items():
        rule, value = resolved(reference), response.headers.get(name.lower())
        if value is None:
            found += [f"no header {name}"] if rule.get("required") else []
        else:
            found += faults(int(value) if rule["schema"]["type"] == "integer" else value, rule["schema"])
    if method == "HEAD" or "content" not in described:
        return found + ([f"the body {response.body!r}"] if response.body else [])
    media_type = response.headers["content-type"]
    if media_type not in described["content"]:
        return [*found, f"the media type {media_type}"]
    return found + faults(response.json, described["content"][media_type]["schema"])


class DocumentedApi:
    """Calls an API and asserts that the document describes each response."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.path = api.path

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request."""
        response = self._api.request(method, path, body, headers)
        differences = undocumented(method, path, response)
        assert not differences, f"{method} {path[:200]}: docs/openapi.json does not describe {differences}"
        return response
