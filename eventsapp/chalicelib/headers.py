"""Request headers that a client may send in more than one line (RFC 9110, 5.3), and lists of ETags in them."""

import re
from typing import Any

from chalice.app import Request

# An entity tag (RFC 9110, 8.8.3). It may contain a comma, so a list of them cannot be split at commas.
_ETAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def header_lines(event: dict[str, Any], name: str) -> list[str]:
    """Return the values of a header in a Lambda event, one for each line that the client sent."""
    return [value.strip() for key, values in _lines(event).items() if key.lower() == name for value in values]


def lines_with_prefix(event: dict[str, Any], prefix: str) -> dict[str, list[str]]:
    """Return the values of the headers whose names start with a prefix, by their lower-case names without it."""
    found: dict[str, list[str]] = {}
    for key, values in _lines(event).items():
        name = key.lower()
        if name.startswith(prefix):
            found.setdefault(name.removeprefix(prefix), []).extend(values)
    return found


def _lines(event: dict[str, Any]) -> dict[str, list[str]]:
    """Return all header lines. API Gateway has them in `multiValueHeaders`; `headers` has the last one of each name."""
    return event.get("multiValueHeaders") or {key: [value] for key, value in event["headers"].items()}


def combined_header(event: dict[str, Any], name: str) -> str:
    """Return the value of a header; empty if the client did not send it. Several lines make one list."""
    return ", ".join(header_lines(event, name))


def of(request: Request, name: str) -> str:
    """Return a request's header, empty without one. Several lines of it make one list."""
    return combined_header(request.to_original_event(), name)


def lists_etag(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names a resource with this ETag, by weak comparison (RFC 9110, 13.1.2)."""
    return lists_any(header) or any(value == etag for _, value in _ETAG.findall(header))


def lists_strong_etag(header: str, etag: str) -> bool:
    """Tell whether an If-Match header names a resource with this ETag, by strong comparison (RFC 9110, 13.1.1)."""
    return lists_any(header) or any(value == etag and not weak for weak, value in _ETAG.findall(header))


def lists_any(header: str) -> bool:
    """Tell whether a list of ETags contains `*`, which names every resource."""
    return any(part.strip(" \t") == "*" for part in _ETAG.sub('""', header).split(","))
