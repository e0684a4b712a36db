"""Finds every fault of a body that is not a valid event. A valid event never comes here. Pure."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from chalicelib.lossless_json import MAX_DEPTH, TOO_DEEP, InvalidValue, RepeatedKeys
from chalicelib.problem import MOST_FAULTS, Fault

MAX_POINTER = 256  # characters of a JSON pointer in a response

HALF_PAIR = "has half of a surrogate pair"

Checks = Mapping[str, Callable[[str], bool]]  # field => whether a value that has the field's form is valid


def find_faults(document: Any, declaration: type[msgspec.Struct], checks: Checks) -> list[Fault]:
    """Return the faults of a parsed body, at most one more than a response shows.

    `declaration` declares the fields. `checks` holds the rules that a declaration cannot express.
    """
    return list(itertools.islice(_faults(document, declaration, checks), MOST_FAULTS + 1))


def matches(value: Any, rule: Any) -> bool:
    """Tell whether a value matches a declared type."""
    try:
        msgspec.convert(value, rule)
    except (msgspec.ValidationError, UnicodeEncodeError):  # of half a surrogate pair
        return False
    return True


def is_unicode(text: str) -> bool:
    """Tell whether a text has only whole characters: no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _faults(document: Any, declaration: type[msgspec.Struct], checks: Checks) -> Iterator[Fault]:
    if isinstance(document, InvalidValue):
        yield Fault("", document.detail)
        return
    document, repeated = without_repeated(document)
    yield from repeated.values()
    if not isinstance(document, dict):
        yield Fault("", "must be a JSON object")
        return
    rules = msgspec.json.schema(declaration)["$defs"][declaration.__name__]["properties"]
    for name in [name for name in document if name not in rules]:
        yield Fault(pointer_to(name), f"is not a field of an event; the fields are {', '.join(rules)}")
    for field in msgspec.structs.fields(declaration):
        pointer, rule = f"/{field.name}", rules[field.name]
        value = document.get(field.name, msgspec.UNSET)
        if value is msgspec.UNSET:
            if field.required and field.name not in repeated:
                yield Fault(pointer, f"is missing; it must be {rule['description']}")
        elif _has_faults_inside(value, rule["type"]):
            yield from _value_faults(value, (field.name,))
        elif not matches(value, field.type) or (field.name in checks and not checks[field.name](value)):
            yield Fault(pointer, f"must be {rule['description']}")


def _has_faults_inside(value: Any, declared_type: str) -> bool:
    """Tell whether the faults of a field are inside its value: in an object, or half a surrogate pair in a text."""
    if declared_type == "object":
        return isinstance(value, (dict, InvalidValue, RepeatedKeys))
    return isinstance(value, str) and not is_unicode(value)


def _value_faults(value: Any, path: tuple[str, ...]) -> Iterator[Fault]:
    """Yield the faults in the value at a path of keys; its level is the length of the path."""
    value, repeated = without_repeated(value, path)
    yield from repeated.values()
    if isinstance(value, InvalidValue):
        yield Fault(pointer_to(*path), value.detail)
    elif isinstance(value, str):
        if not is_unicode(value):
            yield Fault(pointer_to(*path), f"{HALF_PAIR}: send whole characters")
    elif isinstance(value, (dict, list)):
        if len(path) > MAX_DEPTH:
            yield Fault(pointer_to(*path), TOO_DEEP)
            return
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            member = (*path, str(key))
            if not is_unicode(member[-1]):
                yield Fault(pointer_to(*member), f"{HALF_PAIR} in its key: send whole characters")
            yield from _value_faults(child, member)


def without_repeated(value: Any, path: tuple[str, ...] = ()) -> tuple[Any, dict[str, Fault]]:
    """Return the value at a path without the keys that occur more than once in it, and the fault of each such key."""
    if not isinstance(value, RepeatedKeys):
        return value, {}
    return value.members, {key: Fault(pointer_to(*path, key), value.DETAIL) for key in value.keys}


def pointer_to(*path: str) -> str:
    """Return the JSON pointer to a path of keys. Shorten a long one: leave out its last keys, or cut its only key."""
    pointer = ""
    for key in path:
        part = key.encode(errors="backslashreplace").decode().replace("~", "~0").replace("/", "~1")
        if len(pointer) + len(part) >= MAX_POINTER:
            return pointer or f"/{part[:MAX_POINTER - 2].rstrip('~')}…"
        pointer += f"/{part}"
    return pointer
