"""Finds what a new document takes away from callers of the old one.

Callers send requests and read responses. So a request may allow more than before and need no more. A response has at
least the fields, headers and types that it had. Descriptions, titles and examples may change.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Compare = Callable[[str, Json, Json], Iterator[str]]

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = "docs/openapi.json"

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
AT_LEAST, AT_MOST = ("minLength", "minItems", "minimum"), ("maxLength", "maxItems", "maximum")  # limits of a schema
ALTERNATIVES = ("oneOf", "anyOf")


class Comparison:
    """Compares two documents. `old` is the released one."""

    def __init__(self, old: Json, new: Json) -> None:
        self._old, self._new = old, new

    def breaks(self) -> list[str]:
        """Return what breaks callers, a sentence for each."""
        found = list(self._paths())
        found += list(self._problems())
        return list(dict.fromkeys(found))

    def _paths(self) -> Iterator[str]:
        for path, operations in self._old["paths"].items():
            new_operations = self._new["paths"].get(path)
            if new_operations is None:
                yield f"the path {path} is gone"
                continue
            for method in METHODS:
                if method not in operations:
                    continue
                place = f"{method.upper()} {path}"
                if method not in new_operations:
                    yield f"{place} is gone"
                    continue
                old = {**operations[method], "shared": operations.get("parameters", [])}
                new = {**new_operations[method], "shared": new_operations.get("parameters", [])}
                yield from self._operation(place, old, new)

    def _operation(self, place: str, old: Json, new: Json) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{place}: the operationId {old['operationId']} is now {new['operationId']}, a function of clients"
        yield from self._security(place, old, new)
        yield from self._parameters(place, old, new)
        yield from self._body(place, old.get("requestBody"), new.get("requestBody"))
        for status, response in old["responses"].items():
            if status not in new["responses"]:
                yield f"{place}: the response {status} is gone"
                continue
            where = f"{place}, response {status}"
            ours, theirs = self._of_old(response), self._of_new(new["responses"][status])
            for name, header in ours.get("headers", {}).items():
                yield from self._header(f"{where}, header {name}", header, theirs.get("headers", {}).get(name))
            for media_type, content in ours.get("content", {}).items():
                if media_type not in theirs.get("content", {}):
                    yield f"{where}: the media type {media_type} is gone"
                    continue
                yield from self._returned(where, content["schema"], theirs["content"][media_type]["schema"])

    @staticmethod
    def _security(place: str, old: Json, new: Json) -> Iterator[str]:
        """Find tokens that were enough. Each operation has one scheme: the token and its scopes."""
        needed = {scope for choice in new["security"] for scopes in choice.values() for scope in scopes}
        enough = {scope for choice in old["security"] for scopes in choice.values() for scope in scopes}
        if needed - enough:
            yield f"{place}: a token now needs the scope {', '.join(sorted(needed - enough))}"

    def _parameters(self, place: str, old: Json, new: Json) -> Iterator[str]:
        def by_name(operation: Json) -> Json:
            listed = [*operation["shared"], *operation.get("parameters", [])]
            return {f"{parameter['name']} ({parameter['in']})": parameter for parameter in listed}

        ours, theirs = by_name(old), by_name(new)
        for name, parameter in ours.items():
            if name not in theirs:
                yield f"{place}: the parameter {name} is gone"
                continue
            if theirs[name].get("required") and not parameter.get("required"):
                yield f"{place}: the parameter {name} is now required"
            yield from self._sent(f"{place}, parameter {name}", parameter["schema"], theirs[name]["schema"])
        for name in theirs.keys() - ours.keys():
            if theirs[name].get("required"):
                yield f"{place}: the new parameter {name} is required"

    def _body(self, place: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if old is None:
            if new is not None and new.get("required"):
                yield f"{place}: a body is now required"
            return
        if new is None:
            yield f"{place}: the request has no body any more"
            return
        for media_type, content in old["content"].items():
            if media_type not in new["content"]:
                yield f"{place}: the request's media type {media_type} is gone"
                continue
            yield from self._sent(f"{place}, request", content["schema"], new["content"][media_type]["schema"])

    def _header(self, place: str, old: Json, new: Json | None) -> Iterator[str]:
        if new is None:
            yield f"{place} is gone"
            return
        ours, theirs = self._of_old(old), self._of_new(new)
        if ours.get("required") and not theirs.get("required"):
            yield f"{place} may now be missing"
        yield from self._returned(place, ours["schema"], theirs["schema"])

    def _problems(self) -> Iterator[str]:
        """Find problem types that are gone, or have another status."""
        ours, theirs = self._types(self._old), self._types(self._new)
        for kind, status in ours.items():
            if kind not in theirs:
                yield f"the problem type {kind} is gone"
            elif theirs[kind] != status:
                yield f"the problem type {kind} has the status {theirs[kind]}; it had {status}"

    @staticmethod
    def _types(document: Json) -> Json:
        schemas = document["components"]["schemas"].values()
        members = [schema.get("properties", {}) for schema in schemas]
        return {m["type"]["const"]: m["status"]["const"] for m in members if "const" in m.get("type", {})}

    def _sent(self, place: str, old: Json, new: Json) -> Iterator[str]:
        """Find values that a caller could send, and no longer can."""
        old, new = self._of_old(old), self._of_new(new)
        if choices(old) or choices(new):
            yield from self._alternatives(place, old, new, self._sent)
            return
        yield from same_type(place, old, new)
        yield from narrowed(place, old, new)
        for name, schema in old.get("properties", {}).items():
            if name in new.get("properties", {}):
                yield from self._sent(f"{place}, field {name}", schema, new["properties"][name])
            else:
                yield f"{place}: the field {name} is gone"
        for name in sorted(set(new.get("required", [])) - set(old.get("required", []))):
            yield f"{place}: the field {name} is now required"
        if new.get("additionalProperties", True) is False and old.get("additionalProperties", True) is not False:
            yield f"{place}: unknown fields are now refused"
        if "items" in new:
            yield from self._sent(f"{place}, item", old.get("items", {}), new["items"])
    def _returned(self, place: str, old: Json, new: Json) -> Iterator[str]:
        """Find what a caller could rely on in a response, and no longer can."""
        old, new = self._of_old(old), self._of_new(new)
        if choices(old) or choices(new):
            # A status may get more problem types: callers read their `type`.
            if not choices(old) and "discriminator" not in new:
                yield f"{place}: it may now be one of several schemas"
            yield from self._alternatives(place, old, new, self._returned)
            return
        yield from same_type(place, old, new)
        if old.get("pattern") not in (None, new.get("pattern")):
            yield f"{place}: the pattern has changed"
        if "const" in old and old["const"] != new.get("const"):
            yield f"{place}: the value is {new.get('const')}; it was {old['const']}"
        if "enum" in old and not set(new.get("enum", [None])) <= set(old["enum"]):
            yield f"{place}: there are more values than before"
        for name, schema in old.get("properties", {}).items():
            if name in new.get("properties", {}):
                yield from self._returned(f"{place}, field {name}", schema, new["properties"][name])
            else:
                yield f"{place}: the field {name} is gone"
        for name in sorted(set(old.get("required", [])) - set(new.get("required", []))):
            if name in new.get("properties", {}):
                yield f"{place}: the field {name} may now be missing"
        if "items" in old:
            yield from self._returned(f"{place}, item", old["items"], new.get("items", {}))

    @staticmethod
    def _alternatives(place: str, old: Json, new: Json, compare: Compare) -> Iterator[str]:
        """Compare the alternatives of two schemas by their names. One schema is its own only alternative."""
        theirs = {name_of(choice): choice for choice in choices(new) or [new]}
        for choice in choices(old) or [old]:
            if name_of(choice) in theirs:
                yield from compare(f"{place}, {name_of(choice)}", choice, theirs[name_of(choice)])
            else:
                yield f"{place}: {name_of(choice)} is gone"

    def _of_old(self, part: Json) -> Json:
        return resolved(self._old, part)

    def _of_new(self, part: Json) -> Json:
        return resolved(self._new, part)


def choices(schema: Json) -> list[Json]:
    """Return the alternatives of a schema."""
    return [choice for keyword in ALTERNATIVES for choice in schema.get(keyword, [])]


def name_of(schema: Json) -> str:
    """Return the name of an alternative."""
    return str(schema.get("$ref") or schema.get("title") or schema.get("type")).rpartition("/")[2]


def same_type(place: str, old: Json, new: Json) -> Iterator[str]:
    """Find a changed type."""
    if old.get("type") != new.get("type"):
        yield f"{place}: the type is {new.get('type')}; it was {old.get('type')}"


def narrowed(place: str, old: Json, new: Json) -> Iterator[str]:
    """Find limits of a value that are narrower than before, and a changed default."""
    for name in AT_LEAST:
        if new.get(name, float("-inf")) > old.get(name, float("-inf")):
            yield f"{place}: {name} is {new[name]}; it was {old.get(name, 'not limited')}"
    for name in AT_MOST:
        if new.get(name, float("inf")) < old.get(name, float("inf")):
            yield f"{place}: {name} is {new[name]}; it was {old.get(name, 'not limited')}"
    if new.get("pattern") not in (None, old.get("pattern")):
        yield f"{place}: the pattern has changed"
    if "enum" in new and not set(old.get("enum", [None])) <= set(new["enum"]):
        yield f"{place}: fewer values are allowed"
    if new.get("default") != old.get("default"):
        yield f"{place}: the default is {new.get('default')}; it was {old.get('default')}"


def resolved(document: Json, part: Json) -> Json:
    """Return a part of a document, or what its reference names. The reference's last word becomes its title."""
    if "$ref" not in part:
        return part
    target: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    return {**target, "title": part["$ref"].rpartition("/")[2]}


def git(*arguments: str) -> str:
    """Return what git prints, empty if it fails."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def last_release() -> str | None:
    """Return the newest release's tag; before the first one, the branch that a pull request is for, or main."""
    listed = git("tag", "--list", "v*", "--sort=-v:refname").splitlines()
    tags = [tag for tag in listed if re.fullmatch(r"v[0-9.]+", tag)]
    branches = [f"origin/{os.environ.get('GITHUB_BASE_REF') or 'main'}", "main"]
    found = [*tags[:1], *(branch for branch in branches if git("rev-parse", "--verify", "--quiet", branch))]
    return found[0] if found else None


def accepted(changelog: str) -> str:
    """Return the changelog's lines about what is not released yet."""
    return re.split(r"(?m)^## \[?v?\d", changelog)[0]


def main() -> None:
    """Compare the document with that of the last release. End with an error if something breaks callers."""
    base = last_release()
    text = git("show", f"{base}:{DOCUMENT}") if base else ""
    if not text:
        print(f"make breaking: {base or 'this clone'} has no {DOCUMENT}, so there is nothing to compare with.")
        return
    breaks = Comparison(json.loads(text), json.loads((ROOT / DOCUMENT).read_text("utf-8"))).breaks()
    noted = accepted((ROOT / "CHANGELOG.md").read_text("utf-8"))
    unnoted = [sentence for sentence in breaks if sentence not in noted]
    if not unnoted:
        print(f"make breaking: nothing in {DOCUMENT} breaks callers of {base}, but for {len(breaks)} noted changes.")
        return
    lines = "\n".join(f"- Breaking: {sentence}" for sentence in unnoted)
    sys.exit(
        f"make breaking: {DOCUMENT} breaks callers of {base}:\n\n{lines}\n\n"
        "Keep the old form beside the new one. If callers must change, add these lines to \"Unreleased\" in "
        "CHANGELOG.md, and make the next release a major one."
    )


if __name__ == "__main__":
    main()
