"""Converts CloudEvents 1.0 to events and back. Pure: no AWS, no HTTP.

The rules of attributes, of the JSON format, and of binary mode, in which each attribute is a header:
https://github.com/cloudevents/spec/tree/v1.0.2/cloudevents
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from chalicelib import event, lossless_json
from chalicelib.event import CallerFields, Content, Event
from chalicelib.faults import matches, pointer_to, without_repeated
from chalicelib.lossless_json import InvalidValue
from chalicelib.media_types import HEADER_PREFIX, has_other_charset, split
from chalicelib.problem import MOST_FAULTS, Fault, InvalidEvent

VERSION = "1.0"
FIELD_OF = {"time" if name == "occurred_at" else name: name for name in CallerFields.__struct_fields__} | {
    "data": "payload"
}  # attribute => field of an event
ATTRIBUTE_OF = {field: attribute for attribute, field in FIELD_OF.items()}

_URI = r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"  # a character of a URI (RFC 3986)
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # RFC 9110, 5.6.2

Source = Annotated[
    str,
    Meta(
        pattern=rf"^{_URI}+(?![\s\S])",
        description="a URI or a relative reference (RFC 3986), as in https://shop.example.com/orders or /orders",
    ),
]
DataSchema = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z][A-Za-z0-9+.-]*:{_URI}*(?![\s\S])",
        description="an absolute URI (RFC 3986), as in https://example.com/schemas/order-v2.json",
    ),
]
DataContentType = Annotated[
    str,
    Meta(
        pattern=rf"^{_TOKEN}/(?:{_TOKEN}\+)?[Jj][Ss][Oo][Nn]"
        rf'(?:[ \t]*;(?:[ \t]*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*"))?)*[ \t]*(?![\s\S])',
        description="a media type of JSON, as in application/json or application/vnd.order+json; "
        "the API keeps JSON data only",
    ),
]
EXTENSION_NAME = re.compile("[a-z0-9]+")
EXTENSION_NAME_RULE = "is not a name of an attribute: use lower-case letters and digits"
EXTENSION_RULE = (
    "must be a string without control characters, true, false, or a whole number from -2147483648 to 2147483647"
)
TEXT_RULE = "must be text without control characters (U+0000 to U+001F, U+007F to U+009F) and noncharacters"

_PLANES = range(0, 0x110000, 0x10000)
NOT_TEXT = re.compile(
    "[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in _PLANES)
    + "]"
)
_INTEGER = re.compile("0|-?[1-9][0-9]{0,9}")
_HEADER_TEXT = re.compile("[ -~]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_NOT_IN_HEADERS = {"datacontenttype": "the header Content-Type", "data": "the body"}
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")


class Attributes(Struct, frozen=True, kw_only=True):
    """The attributes that no field of an event has, without extensions. Any other attribute is an extension."""

    source: Source
    datacontenttype: DataContentType | UnsetType = UNSET
    dataschema: DataSchema | UnsetType = UNSET


_RULES = {field.name: field.type for field in msgspec.structs.fields(Attributes)}
_WORDS = {name: get_args(rule)[1].description for name, rule in {
    "source": Source, "datacontenttype": DataContentType, "dataschema": DataSchema, "id": event.Id,
}.items()}  # fmt: skip


def parse(body: bytes) -> Content:
    """Read a CloudEvent in JSON format: structured mode. Raises BodyTooLarge, and InvalidEvent with every fault."""
    return check(*event.read(body))


def parse_binary(header_lines: Mapping[str, Sequence[str]], content_type: str, body: bytes) -> Content:
    """Read a CloudEvent in binary mode.

    `header_lines` has the values of each header that starts with the prefix, by its lower-case name without the prefix.
    A fault's pointer is the place in the same event's JSON format. Raises BodyTooLarge, InvalidEvent.
    """
    event.require_size(len(body))
    document: dict[str, Any] = {name: _in_header(name, lines) for name, lines in header_lines.items()}
    document.setdefault("datacontenttype", content_type)
    may_be_too_deep = False
    if "data" not in document:
        try:
            document["data"], may_be_too_deep = lossless_json.decode(body)
        except lossless_json.NotJson as exc:
            document["data"] = InvalidValue(str(exc))
    return check(document, may_be_too_deep)


def check(document: Any, may_be_too_deep: bool) -> Content:
    """Return the content of a parsed CloudEvent. Raises InvalidEvent."""
    document, repeated = without_repeated(document)
    if not isinstance(document, dict):
        return event.check(document, may_be_too_deep)  # raises InvalidEvent
    # CloudEvents treats an attribute that is null as absent (JSON format, 2.2). But `data` that is null is data, and a
    # member without an attribute's name is a fault.
    members = {name: value for name, value in document.items() if value is not None or not _may_be_null(name)}
    found_here = [*itertools.islice(_attribute_faults(members), MOST_FAULTS + 1), *repeated.values()]
    faults = {fault.pointer: fault for fault in found_here}
    fields = {field: members[name] for name, field in FIELD_OF.items() if name in members}
    try:
        content = event.check(fields, may_be_too_deep)
    except InvalidEvent as exc:
        found = [Fault(_renamed(fault.pointer), fault.detail) for fault in exc.faults]
        raise InvalidEvent(list(({fault.pointer: fault for fault in found} | faults).values())) from exc
    if faults:
        raise InvalidEvent(list(faults.values()))
    attributes = {name: value for name, value in members.items() if name not in FIELD_OF and name != "specversion"}
    if attributes == event.PLAIN_ATTRIBUTES:
        return content
    return msgspec.structs.replace(content, cloudevent=Raw(lossless_json.canonical(attributes)))


def document_of(stored: Event) -> dict[str, Any]:
    """Return an event as a CloudEvent in JSON format."""
    fields = {name: value for name, field in FIELD_OF.items() if (value := getattr(stored, field)) is not UNSET}
    data = fields.pop("data")
    return {"specversion": VERSION, **fields, **event.attributes_of(stored), "data": data}


def _attribute_faults(members: dict[str, Any]) -> Iterator[Fault]:
    """Yield the faults that only a CloudEvent can have."""
    if members.get("specversion") != VERSION:
        yield from _fault("specversion", members, f"the string {VERSION}")
    if "id" not in members:
        yield from _fault("id", members, _WORDS["id"])
    for name, rule in _RULES.items():
        if (name in members or name == "source") and not matches(members.get(name), rule):
            yield from _fault(name, members, _WORDS[name])
        elif name == "datacontenttype" and name in members and has_other_charset(split(members[name])[1]):
            yield Fault(f"/{name}", "must have no other charset than utf-8, because the API returns the data in UTF-8")
    for name, value in members.items():
        if name in FIELD_OF:
            if isinstance(value, InvalidValue):
                yield Fault(f"/{name}", value.detail)
            elif name == "subject" and isinstance(value, str) and NOT_TEXT.search(value):
                yield Fault(f"/{name}", TEXT_RULE)
        elif name not in _RULES and name != "specversion":
            yield from _extension_faults(name, value)


def _may_be_null(name: str) -> bool:
    return name != "data" and EXTENSION_NAME.fullmatch(name) is not None


def _extension_faults(name: str, value: Any) -> Iterator[Fault]:
    if name == "data_base64":
        yield Fault(f"/{name}", "cannot be kept: send data, a JSON object")
    elif not EXTENSION_NAME.fullmatch(name):
        yield Fault(pointer_to(name), EXTENSION_NAME_RULE)
    elif isinstance(value, InvalidValue):
        yield Fault(pointer_to(name), value.detail)
    elif not _is_extension(value):
        yield Fault(pointer_to(name), EXTENSION_RULE)


def _fault(name: str, members: dict[str, Any], rule: str) -> Iterator[Fault]:
    value = members.get(name)
    if isinstance(value, InvalidValue):
        yield Fault(f"/{name}", value.detail)
    else:
        yield Fault(f"/{name}", f"must be {rule}" if name in members else f"is missing; it must be {rule}")


def _is_extension(value: Any) -> bool:
    """Tell whether a value is a Boolean, an Integer or a String of CloudEvents. A number is JSON text (Raw) here."""
    if isinstance(value, Raw):
        text = bytes(value).decode()
        return _INTEGER.fullmatch(text) is not None and -(2**31) <= int(text) < 2**31
    return isinstance(value, bool) or (isinstance(value, str) and not NOT_TEXT.search(value))


def _in_header(name: str, lines: Sequence[str]) -> str | InvalidValue:
    """Return the value of an attribute in a header, or its fault."""
    if name in _NOT_IN_HEADERS:
        return InvalidValue(f"is {_NOT_IN_HEADERS[name]} in binary mode: send no header {HEADER_PREFIX}{name}")
    if len(lines) != 1:
        return InvalidValue(f"occurs {len(lines)} times: send its header once")
    try:
        return _decoded(lines[0].strip(" \t"))
    except ValueError as exc:
        return InvalidValue(str(exc))


def _decoded(text: str) -> str:
    """Return the decoded value of a header (HTTP binding, 3.1.3.2). Raises ValueError; its text says what to do."""
    if not _HEADER_TEXT.fullmatch(text):
        raise ValueError("has a character that is not printable ASCII: send it percent-encoded, in UTF-8")
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    elif '"' in text:
        raise ValueError("has a double quote: send it percent-encoded, as %22")
    if _BROKEN_ESCAPE.search(text):
        raise ValueError("has a % without two hexadecimal digits: send the character % as %25")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as exc:
        raise ValueError("is percent-encoded, but not in UTF-8") from exc


def _renamed(pointer: str) -> str:
    """Return the pointer into a CloudEvent for a pointer into an event."""
    _, field, *rest = pointer.split("/")
    return "/".join(["", ATTRIBUTE_OF[field], *rest])
