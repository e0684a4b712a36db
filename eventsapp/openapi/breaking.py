"""Finds what a new document takes away from callers of the old one.

Callers send requests and read responses. So a request may allow more than before and need no more. A response has at
least the fields, headers and types that it had, and no other values. Descriptions, titles and examples may change.
Whatever else differs, and is not in the rules below, counts as a break.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = "docs/openapi.json"

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")
TEXTS = {"title", "description", "summary", "example", "examples", "externalDocs", "deprecated", "$comment", "tags"}
ALTERNATIVES = ("oneOf", "anyOf")
# Limits of a schema, and what each is if the schema does not have it.
AT_LEAST = {
    "minLength": 0, "minItems": 0, "minProperties": 0, "minimum": float("-inf"), "exclusiveMinimum": float("-inf"),
}  # fmt: skip
AT_MOST = dict.fromkeys(("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum"), float("inf"))
LIMITED = {"Length": "string", "Items": "array", "Properties": "object"}  # the type of a limit; the others: numbers
CONDITIONS = ("pattern", "format", "multipleOf", "not", "uniqueItems", "dependentRequired")  # each allows fewer values
PARTS = {"items": "item", "propertyNames": "field names"}  # schemas of parts of a value
SCHEMA = {
    *AT_LEAST, *AT_MOST, *CONDITIONS, *PARTS, *ALTERNATIVES, "type", "const", "enum", "default", "properties",
    "required", "additionalProperties", "discriminator",
}  # fmt: skip


def breaks(old: Json, new: Json) -> list[str]:
    """Return what breaks callers of the old document, a sentence for each."""
    old, new = expanded(old, old), expanded(new, new)
    return list(dict.fromkeys([*document(old, new), *problems(old, new)]))


def document(old: Json, new: Json) -> Iterator[str]:
    """Find what is gone from the document as a whole."""
    known = {"openapi", "info", "paths", "components", "servers", "security"}
    yield from others("the document", old, new, known)
    for server in map(address, old.get("servers", [])):
        if server not in map(address, new.get("servers", [])):
            yield f"the server {server['url']} has changed or is gone"
    schemes = new.get("components", {}).get("securitySchemes", {})
    for name, scheme in old.get("components", {}).get("securitySchemes", {}).items():
        yield from others(f"the security scheme {name}", scheme, schemes.get(name, {}), {"bearerFormat"})
    for path, operations in old["paths"].items():
        if path not in new["paths"]:
            yield f"the path {path} is gone"
            continue
        yield from others(path, operations, new["paths"][path], {*METHODS, "parameters"})
        for method in METHODS:
            place = f"{method.upper()} {path}"
            if method in operations and method not in new["paths"][path]:
                yield f"{place} is gone"
            elif method in operations:
                yield from operation(place, *(whole_operation(d, path, method) for d in (old, new)))


def whole_operation(document_: Json, path: str, method: str) -> Json:
    """Return an operation with its path's parameters and the document's security, if it has none of its own."""
    own = document_["paths"][path][method]
    shared = document_["paths"][path].get("parameters", [])
    return {"security": document_.get("security", []), **own, "parameters": [*shared, *own.get("parameters", [])]}


def operation(place: str, old: Json, new: Json) -> Iterator[str]:
    """Find what callers of an operation lose."""
    yield from others(place, old, new, {"operationId", "security", "parameters", "requestBody", "responses"})
    name, new_name = old.get("operationId"), new.get("operationId")
    if name != new_name:
        yield f"{place}: the operationId {name} is now {new_name}, a function of clients"
    yield from security(place, old["security"] or [{}], new["security"] or [{}])
    yield from parameters(place, old["parameters"], new["parameters"])
    yield from body(place, old.get("requestBody"), new.get("requestBody"))
    for status, response in old["responses"].items():
        if status not in new["responses"]:
            yield f"{place}: the response {status} is gone"
            continue
        where, theirs = f"{place}, response {status}", new["responses"][status]
        yield from others(where, response, theirs, {"headers", "content"})
        for name, header in response.get("headers", {}).items():
            yield from returned_header(f"{where}, header {name}", header, theirs.get("headers", {}).get(name))
        for media_type, content in response.get("content", {}).items():
            if media_type not in theirs.get("content", {}):
                yield f"{where}: the media type {media_type} is gone"
                continue
            yield from medium(where, content, theirs["content"][media_type], is_sent=False)
    for status in sorted(new["responses"].keys() - old["responses"].keys()):
        if not status.startswith(("4", "5")):  # callers handle each error; a new success may be a new body
            yield f"{place}: the response {status} is new"


def security(place: str, old: list[Json], new: list[Json]) -> Iterator[str]:
    """Find credentials that were enough. Each choice has schemes that are needed together, with their scopes."""

    def is_enough(needed: Json, sent: Json) -> bool:
        return all(name in sent and set(scopes) <= set(sent[name]) for name, scopes in needed.items())

    def text(needed: list[Json]) -> str:
        schemes = [" and ".join(" ".join([name, *scopes]) for name, scopes in choice.items()) for choice in needed]
        return " or ".join(names or "nothing" for names in schemes)

    if not all(any(is_enough(choice, sent) for choice in new) for sent in old):
        yield f"{place}: a request now needs {text(new)}; it needed {text(old)}"


def parameters(place: str, old: list[Json], new: list[Json]) -> Iterator[str]:
    """Find parameters that a caller could send or leave out."""
    ours, theirs = ({f"{member['name']} ({member['in']})": member for member in listed} for listed in (old, new))
    for name, parameter in ours.items():
        if name not in theirs:
            yield f"{place}: the parameter {name} is gone"
            continue
        if theirs[name].get("required") and not parameter.get("required"):
            yield f"{place}: the parameter {name} is now required"
        where = f"{place}, parameter {name}"
        yield from others(where, parameter, theirs[name], {"name", "in", "required", "schema"})
        yield from schema(where, parameter.get("schema", {}), theirs[name].get("schema", {}), is_sent=True)
    for name in sorted(theirs.keys() - ours.keys()):
        if theirs[name].get("required"):
            yield f"{place}: the new parameter {name} is required"


def body(place: str, old: Json | None, new: Json | None) -> Iterator[str]:
    """Find bodies that a caller could send or leave out."""
    if (new or {}).get("required") and not (old or {}).get("required"):
        yield f"{place}: a body is now required"
    if old is None:
        return
    if new is None:
        yield f"{place}: the request has no body any more"
        return
    yield from others(f"{place}, request", old, new, {"required", "content"})
    for media_type, content in old["content"].items():
        if media_type not in new["content"]:
            yield f"{place}: the request's media type {media_type} is gone"
            continue
        yield from medium(f"{place}, request", content, new["content"][media_type], is_sent=True)


def medium(place: str, old: Json, new: Json, is_sent: bool) -> Iterator[str]:
    """Compare the contents of one media type."""
    yield from others(place, old, new, {"schema"})
    yield from schema(place, old.get("schema", {}), new.get("schema", {}), is_sent)


def returned_header(place: str, old: Json, new: Json | None) -> Iterator[str]:
    """Find what a caller could rely on in a header of a response."""
    if new is None:
        yield f"{place} is gone"
        return
    if old.get("required") and not new.get("required"):
        yield f"{place} may now be missing"
    yield from others(place, old, new, {"required", "schema"})
    yield from schema(place, old.get("schema", {}), new.get("schema", {}), is_sent=False)


def problems(old: Json, new: Json) -> Iterator[str]:
    """Find problem types that are gone, or have another status."""
    ours, theirs = statuses(old), statuses(new)
    for kind, status in ours.items():
        if kind not in theirs:
            yield f"the problem type {kind} is gone"
        elif theirs[kind] != status:
            yield f"the problem type {kind} has the status {theirs[kind]}; it had {status}"


def statuses(document_: Json) -> Json:
    """Return the status of each problem type."""
    members = [as_schema(s).get("properties", {}) for s in document_.get("components", {}).get("schemas", {}).values()]
    pairs = [(as_schema(m.get("type", {})), as_schema(m.get("status", {}))) for m in members]
    return {kind["const"]: status["const"] for kind, status in pairs if "const" in kind and "const" in status}


def schema(place: str, old: Any, new: Any, is_sent: bool) -> Iterator[str]:
    """Find values that a caller could send and no longer can, or new values in a response.

    `is_sent`: whether the schema is one of a request. A request's new schema must allow all that the old one allowed;
    a response's old schema must allow all that the new one allows.
    """
    old, new = as_schema(old), as_schema(new)
    if choices(old) or choices(new):
        yield from alternatives(place, old, new, is_sent)
        old, new = ({k: v for k, v in s.items() if k not in ALTERNATIVES} if choices(s) else {} for s in (old, new))
    yield from others(place, old, new, SCHEMA)
    inner, outer = (old, new) if is_sent else (new, old)
    if types(outer) and not (types(inner) and types(inner) <= types(outer)):
        yield f"{place}: the type is {listed(new.get('type'))}; it was {listed(old.get('type'))}"
    yield from limits(place, old, new, is_sent)
    if values(outer) is not None and (values(inner) is None or not contains(values(outer), values(inner))):
        yield f"{place}: the values are {listed(values(new))}; they were {listed(values(old))}"
    if is_sent and new.get("default") != old.get("default"):
        yield f"{place}: the default is {new.get('default')}; it was {old.get('default')}"
    if old.get("discriminator", {}).get("propertyName") not in (None, new.get("discriminator", {}).get("propertyName")):
        yield f"{place}: the discriminator has changed"
    yield from fields(place, old, new, is_sent)
    for keyword, name in PARTS.items():
        if keyword in old or keyword in new:
            yield from schema(f"{place}, {name}", old.get(keyword, {}), new.get(keyword, {}), is_sent)


def limits(place: str, old: Json, new: Json, is_sent: bool) -> Iterator[str]:
    """Find limits and conditions that are narrower in a request, or wider in a response."""
    inner, outer = (old, new) if is_sent else (new, old)
    narrower = [name for name, least in AT_LEAST.items() if outer.get(name, least) > inner.get(name, least)]
    narrower += [name for name, most in AT_MOST.items() if outer.get(name, most) < inner.get(name, most)]
    for name in (name for name in narrower if not types(inner) or LIMITED.get(name[3:], "integer") in types(inner)):
        yield f"{place}: {name} is {new.get(name, 'not limited')}; it was {old.get(name, 'not limited')}"
    for name in CONDITIONS:
        if outer.get(name) not in (None, False, inner.get(name)):
            yield f"{place}: the {name} has changed"


def fields(place: str, old: Json, new: Json, is_sent: bool) -> Iterator[str]:
    """Find fields of an object that are gone or new, needed or missing, or have another schema."""
    ours, theirs = old.get("properties", {}), new.get("properties", {})
    free, still_free = old.get("additionalProperties", True), new.get("additionalProperties", True)
    for name, declared in ours.items():
        if name in theirs:
            yield from schema(f"{place}, field {name}", declared, theirs[name], is_sent)
        else:
            yield f"{place}: the field {name} is gone"
    for name in sorted(theirs.keys() - ours.keys()):
        if is_sent and free is not False:
            yield f"{place}: the new field {name} may have been sent before, with another meaning"
        elif not is_sent and isinstance(free, dict):
            yield from schema(f"{place}, field {name}", free, theirs[name], is_sent)
    required, still_required = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(still_required - required if is_sent else (required - still_required) & theirs.keys()):
        yield f"{place}: the field {name} {'is now required' if is_sent else 'may now be missing'}"
    if False in (free, still_free):
        if is_sent and free is not False:
            yield f"{place}: unknown fields are now refused"
    elif (free, still_free) != (True, True):
        yield from schema(f"{place}, other fields", free, still_free, is_sent)


def alternatives(place: str, old: Json, new: Json, is_sent: bool) -> Iterator[str]:
    """Compare the alternatives of two schemas by their names. One schema is its own only alternative."""
    ours, theirs = by_name(choices(old) or [old]), by_name(choices(new) or [new])
    for name, choice in ours.items():
        if name in theirs:
            yield from schema(f"{place}, {name}", choice, theirs[name], is_sent)
        else:
            yield f"{place}: {name} is gone"
    # A status may get more problem types: callers read their `type`.
    if not is_sent and "discriminator" not in new:
        for name in sorted(theirs.keys() - ours.keys()):
            yield f"{place}: it may now be {name}"


def others(place: str, old: Json, new: Json, known: Iterable[str]) -> Iterator[str]:
    """Find differences that no rule is about."""
    for name in sorted((old.keys() | new.keys()) - TEXTS - set(known)):
        if not name.startswith("x-") and old.get(name) != new.get(name):
            yield f"{place}: {name} has changed, and make breaking has no rule for it"


def as_schema(value: Any) -> Json:
    """Return a schema as an object. `true` allows every value, `false` none."""
    return value if isinstance(value, dict) else {} if value else {"not": {}}


def choices(value: Json) -> list[Any]:
    """Return the alternatives of a schema."""
    return [choice for keyword in ALTERNATIVES for choice in value.get(keyword, [])]


def by_name(listed_: list[Any]) -> dict[str, Json]:
    """Return schemas by their names. Those with one name get a number."""
    named: dict[str, Json] = {}
    for choice in map(as_schema, listed_):
        name = str(choice.get("title") or choice.get("type") or "a schema without a name")
        named[f"{name} {len(named)}" if name in named else name] = choice
    return named


def types(value: Json) -> set[str]:
    """Return the types that a schema allows, empty for all. A number may be an integer."""
    named = value.get("type", [])
    found = {named} if isinstance(named, str) else set(named)
    return found | {"integer"} if "number" in found else found


def values(value: Json) -> list[Any] | None:
    """Return the values that a schema allows, or None if it does not list them."""
    return [value["const"]] if "const" in value else value.get("enum")


def contains(outer: list[Any], inner: list[Any]) -> bool:
    """Tell whether a list has all JSON values of another one."""
    return {json.dumps(value) for value in inner} <= {json.dumps(value) for value in outer}


def listed(value: Any) -> str:
    """Return a value, or the members of a list, in words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value if value is not None else "any")


def address(server: Json) -> Json:
    """Return a server without its texts."""

    def facts(part: Json) -> Json:
        return {name: value for name, value in part.items() if name not in TEXTS}

    return {**facts(server), "variables": {name: facts(rule) for name, rule in server.get("variables", {}).items()}}


def expanded(whole: Json, part: Any, inside: tuple[str, ...] = ()) -> Any:
    """Return a part of a document with what its references name. A reference's last word becomes the title."""
    if isinstance(part, list):
        return [expanded(whole, member, inside) for member in part]
    if not isinstance(part, dict):
        return part
    if not isinstance(part.get("$ref"), str) or part["$ref"] in inside:  # a schema may contain itself
        return {name: expanded(whole, member, inside) for name, member in part.items()}
    target: Any = whole
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    beside = {name: member for name, member in part.items() if name != "$ref"}
    merged = {**target, **beside, "title": part["$ref"].rpartition("/")[2]}
    return expanded(whole, merged, (*inside, part["$ref"]))


def git(*arguments: str) -> str:
    """Return what git prints, empty if it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def last_release() -> str | None:
    """Return the newest release's tag; before the first one, the branch that a pull request is for, or main."""
    names = git("tag", "--list", "v*", "--sort=-v:refname").splitlines()
    tags = [name for name in names if re.fullmatch(r"v[0-9.]+", name)]
    branches = [f"origin/{os.environ.get('GITHUB_BASE_REF') or 'main'}", "main"]
    found = [*tags[:1], *(branch for branch in branches if git("rev-parse", "--verify", "--quiet", branch))]
    return found[0] if found else None


def accepted(changelog: str) -> set[str]:
    """Return the lines of the changelog about what is not released yet."""
    return set(re.split(r"(?m)^## \[?v?\d", changelog)[0].splitlines())


def main() -> None:
    """Compare the document with that of the last release. End with an error if something breaks callers."""
    base = last_release()
    text = git("show", f"{base}:{DOCUMENT}") if base else ""
    if not text:
        print(f"make breaking: {base or 'this clone'} has no {DOCUMENT}, so there is nothing to compare with.")
        return
    new = json.loads((ROOT / DOCUMENT).read_text("utf-8"))
    found = [f"- Breaking: {sentence}" for sentence in breaks(json.loads(text), new)]
    noted = accepted((ROOT / "CHANGELOG.md").read_text("utf-8"))
    unnoted = "\n".join(line for line in found if line not in noted)
    if not unnoted:
        print(f"make breaking: nothing in {DOCUMENT} breaks callers of {base}, but for {len(found)} noted changes.")
        return
    sys.exit(
        f"make breaking: {DOCUMENT} breaks callers of {base}:\n\n{unnoted}\n\n"
        "Keep the old form beside the new one. If callers must change, add these lines to \"Unreleased\" in "
        "CHANGELOG.md, and make the next release a major one."
    )


if __name__ == "__main__":
    main()
