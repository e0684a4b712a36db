"""Media types: which ones the API reads and writes, and which one a caller prefers. Pure: no AWS, no HTTP."""

import re

JSON = "application/json"
CLOUDEVENT = "application/cloudevents+json"
CLOUDEVENTS = "application/cloudevents-batch+json"
HEADER_PREFIX = "ce-"  # of headers that have a CloudEvent's attributes in binary mode
POSTED = (JSON, CLOUDEVENT, CLOUDEVENTS)  # of the bodies that POST reads
EXPECTED = f"Send the event with Content-Type: {JSON}, {CLOUDEVENT} or {CLOUDEVENTS}."

# What is between semicolons; a semicolon in a quoted string is a part of it. A missing second quote is at the end.
_PART = re.compile(r'(?:^|;)((?:[^;"]++|"(?:[^"\\]++|\\.)*+"?)*+)', re.DOTALL)
_ELEMENT = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)  # of a list: what is between commas
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110, 12.4.2


def split(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return a media type and its parameters, in lower case."""
    media_type, *parameters = [part.strip() for part in _PART.findall(text.lower())]
    pairs = [parameter.partition("=") for parameter in parameters if parameter]
    return media_type, [(name.strip(), value.strip('" ')) for name, _, value in pairs]


def is_default(text: str) -> bool:
    """Tell whether a media type says only that the content is JSON in UTF-8."""
    media_type, parameters = split(text)
    return media_type == JSON and all(pair == ("charset", "utf-8") for pair in parameters)


def has_other_charset(parameters: list[tuple[str, str]]) -> bool:
    """Tell whether the parameters of a media type name a charset that is not UTF-8."""
    return any(name == "charset" and value != "utf-8" for name, value in parameters)


def is_other_json(media_type: str) -> bool:
    """Tell whether a media type is JSON (its subtype is json or ends in +json), but not a format of CloudEvents."""
    return media_type.endswith(("/json", "+json")) and not media_type.startswith("application/cloudevents")


def prefers_cloudevent(accept: str) -> bool:
    """Tell whether an Accept header prefers a CloudEvent to plain JSON (RFC 9110, 12.5.1).

    Only a header that names CloudEvents prefers one: a range such as `*/*` does not ask for a CloudEvent.
    """
    ranges: dict[str, float] = {}
    for element in _ELEMENT.findall(accept):
        media_range, parameters = split(element)
        ranges[media_range] = max(ranges.get(media_range, 0), _quality(dict(parameters).get("q", "1")))
    cloudevent, plain = (
        next((ranges[name] for name in (media_type, "application/*", "*/*") if name in ranges), 0.0)
        for media_type in (CLOUDEVENT, JSON)
    )
    return CLOUDEVENT in ranges and cloudevent > 0 and cloudevent >= plain


def _quality(text: str) -> float:
    return float(text) if _QUALITY.fullmatch(text) else 0.0
